//! Sessions as resources: open one without listening, listen to one, ask what it does, end it.

use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::http::error::HttpProblem;
use crate::http::negotiation::{negotiate, stream_format};
use crate::http::server::Shared;
use crate::http::solve_stream::open;
use crate::http::stream_body::{Listening, stream_response};
use crate::ids::{FrameSequence, SessionId};
use crate::protocol::json::{Fault, Faults};
use crate::protocol::options::RequestOptions;
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::sse;
use crate::protocol::status::{ResidualCourse, SessionState};

/// Most sessions that one answer lists.
const LISTED_MAX: usize = 1_000;

/// `POST /api/v1/sessions`: opens a session that runs to its end, whoever listens.
pub async fn create(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    negotiate(&request, &["application/json"])?;
    let prepared = shared.intake.receive(&request, payload).await?;
    let session = open(&shared, prepared, false).await?.session;
    let status = shared.node.status(session).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/v1/sessions/{session}")))
        .insert_header(("cache-control", "no-store"))
        .json(status))
}

/// `GET /api/v1/sessions/{id}/stream`: listens from now on, after the facts so far. A `Last-Event-ID`
/// leaves out what its sender has had; 204 when that is everything there will ever be, which makes a
/// browser's `EventSource` stop.
pub async fn listen(
    request: HttpRequest,
    path: Path<String>,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    let format = stream_format(&request)?;
    let session = session_of(&path)?;
    let options = listening_options(&request)?;
    let seen = last_event(&request, session);
    if let Some(seen) = seen {
        let status = shared.node.status(session).await?;
        if status.state == SessionState::Ended && seen >= status.sequence {
            let mut nothing_more = HttpResponse::NoContent();
            return Ok(nothing_more.insert_header(("cache-control", "no-store")).finish());
        }
    }
    let frames = shared.node.subscribe(session, options.include_solution).await?;
    let flush_interval = options.flush_interval;
    let listening = Listening { session, frames, format, flush_interval, seen };
    Ok(stream_response(&request, listening, &shared.clock))
}

/// `GET /api/v1/status/{id}` and `GET /api/v1/sessions/{id}`.
pub async fn status(
    request: HttpRequest,
    path: Path<String>,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    negotiate(&request, &["application/json"])?;
    let status = shared.node.status(session_of(&path)?).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(status))
}

/// `GET /api/v1/sessions/{id}/residuals`: how the residual norm has gone, over the last 1,000 states that
/// were announced.
pub async fn residuals(
    request: HttpRequest,
    path: Path<String>,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    negotiate(&request, &["application/json"])?;
    let history = shared.node.residuals(session_of(&path)?).await?;
    let body = ResidualCourse::from(&history);
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(body))
}

/// `DELETE /api/v1/sessions/{id}`: ends it and forgets it; those who listen get their end frame.
pub async fn delete(path: Path<String>, shared: Data<Shared>) -> Result<HttpResponse, HttpProblem> {
    shared.node.delete(session_of(&path)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/v1/health`: 200 while the node takes sessions, 503 when it is shutting down.
pub async fn health(shared: Data<Shared>) -> Result<HttpResponse, HttpProblem> {
    let status = shared.node.health().await?;
    let mut response = match status.draining {
        false => HttpResponse::Ok(),
        true => HttpResponse::ServiceUnavailable(),
    };
    Ok(response.insert_header(("cache-control", "no-store")).json(serde_json::json!({
        "status": if status.draining { "draining" } else { "ok" },
        "version": env!("CARGO_PKG_VERSION"),
        "node": status,
    })))
}

/// `GET /api/v1/status`: the node and its sessions, oldest first.
pub async fn node_status(
    request: HttpRequest,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    negotiate(&request, &["application/json"])?;
    let node = shared.node.health().await?;
    let sessions = shared.node.list(LISTED_MAX).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(serde_json::json!({ "node": node, "sessions": sessions })))
}

/// The session that a path names.
///
/// # Errors
/// 404: a text that is no session id names no session.
pub fn session_of(path: &str) -> Result<SessionId, HttpProblem> {
    path.parse().map_err(|_| {
        let shown: String = path.chars().take(60).collect();
        Problem::new(ProblemKind::UnknownSession, format!("there is no session `{shown}`")).into()
    })
}

struct ListeningOptions {
    include_solution: bool,
    flush_interval: Option<Duration>,
}

/// What a listener may choose for itself; the rest was chosen when the session was opened.
fn listening_options(request: &HttpRequest) -> Result<ListeningOptions, HttpProblem> {
    let pairs = query_pairs(request);
    let mut faults = Faults::default();
    for (name, _) in &pairs {
        if !["include_solution", "flush_interval_ms"].contains(&name.as_str()) {
            faults.push(Fault {
                pointer: format!("?{name}"),
                expected: "`include_solution` or `flush_interval_ms`".into(),
                found: "another parameter".into(),
            });
        }
    }
    if !faults.is_empty() {
        return Err(Problem::of_faults(ProblemKind::InvalidQuery, &faults).into());
    }
    let stream =
        RequestOptions::of_query(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))?.stream;
    Ok(ListeningOptions {
        include_solution: stream.include_solution,
        flush_interval: stream.flush_interval,
    })
}

/// The last frame of this session that a client says it has had.
fn last_event(request: &HttpRequest, session: SessionId) -> Option<FrameSequence> {
    sse::sequence_of(request.headers().get("last-event-id")?.to_str().ok()?, session)
}

/// The parameters of a request's address, decoded.
pub fn query_pairs(request: &HttpRequest) -> Vec<(String, String)> {
    actix_web::web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(|pairs| pairs.into_inner())
        .unwrap_or_default()
}
