//! `POST /api/v1/swarm/costs` and `POST /api/v1/sessions/{id}/costs`: changes of costs for live sessions,
//! one, an array, or a stream of lines that stays open.

mod batch;
mod stream;

use std::pin::pin;
use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::{Either, select};

use crate::http::body::{BodyKind, kind_of};
use crate::http::costs::batch::Batch;
use crate::http::costs::stream::answer_lines;
use crate::http::error::HttpProblem;
use crate::http::negotiation::negotiate;
use crate::http::server::Shared;
use crate::http::sessions::{query_pairs, session_of};
use crate::ids::SessionId;
use crate::protocol::costs::{
    CostAnswer, CostBody, ReadUpdate, read_body, write_answer, write_answers,
};
use crate::protocol::json::{Fault, Faults};
use crate::protocol::problem::{Problem, ProblemKind};

/// An item of a body is an edit at most (40 to 48 bytes), beside the arrays that it was read into (12).
const BYTES_OF_ITEM: u64 = 64;

/// How long a part of an array waits for room in its session.
const ARRAY_PATIENCE: Duration = Duration::from_secs(2);

/// How long a session is asked whether it takes changes at all.
const PROBE_LIMIT: Duration = Duration::from_millis(20);

/// What the address says.
#[derive(Debug, Clone, Copy, Default)]
struct Addressed {
    /// The session of all updates; without it each names its own.
    session: Option<SessionId>,
    acknowledge: Acknowledge,
}

/// Which lines of a stream are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Acknowledge {
    #[default]
    Each,
    /// Those that were refused; the last line counts the others. For a sender that does not read while it
    /// writes.
    Refused,
}

/// `POST /api/v1/swarm/costs`, with the session in each update or in `?session_id=`.
pub async fn of_any_session(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    let addressed = addressed(&request, None)?;
    answer(request, payload, shared, addressed).await
}

/// `POST /api/v1/sessions/{id}/costs`.
pub async fn of_session(
    request: HttpRequest,
    path: Path<String>,
    payload: Payload,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    let addressed = addressed(&request, Some(session_of(&path)?))?;
    answer(request, payload, shared, addressed).await
}

async fn answer(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
    addressed: Addressed,
) -> Result<HttpResponse, HttpProblem> {
    let (kind, encoding) = kind_of(&request, &BodyKind::OF_UPDATES)?;
    let session = addressed.session;
    if kind == BodyKind::Lines {
        negotiate(&request, &["application/x-ndjson"])?;
        if let Some(session) = session {
            refuse_closed(&shared, session).await?;
        }
        return Ok(answer_lines(&request, payload, shared, addressed));
    }
    negotiate(&request, &["application/json"])?;
    let read = move |body: &[u8]| read_body(body, session);
    let intake = &shared.intake;
    match intake.receive_json(&request, payload, encoding, BYTES_OF_ITEM, read).await? {
        CostBody::One(update) => answer_one(&shared, Ok(update)).await,
        CostBody::Array(updates) => answer_array(&shared, updates).await,
    }
}

/// Tells before a stream begins that its session takes no changes, by sending it none. A session that is in
/// a long step is not waited for: its refusals come at once.
async fn refuse_closed(shared: &Shared, session: SessionId) -> Result<(), Problem> {
    let asked = pin!(shared.node.apply_costs(session, vec![]));
    let wait = pin!(shared.clock.sleep(PROBE_LIMIT));
    match select(asked, wait).await {
        Either::Left((answer, _)) => Ok(answer.map(drop)?),
        Either::Right(_) => Ok(()),
    }
}

async fn answer_one(shared: &Shared, update: ReadUpdate) -> Result<HttpResponse, HttpProblem> {
    let mut batch = Batch::default();
    batch.push(None, update);
    let applied = batch.apply(&shared.node, &shared.clock, Duration::ZERO).await;
    let mut body = vec![];
    for (line, receipt, answer) in applied.answers {
        if let CostAnswer::Refused(problem) = answer {
            return Err(HttpProblem(problem));
        }
        write_answer(&mut body, line, &receipt, &answer);
    }
    Ok(json(body))
}

/// Each update is answered for itself, so the answer as a whole is always 200. The updates come in
/// batches, in order; one that finds the session full is refused.
async fn answer_array(
    shared: &Shared,
    updates: Vec<ReadUpdate>,
) -> Result<HttpResponse, HttpProblem> {
    let mut answers = Vec::with_capacity(updates.len());
    let mut updates = updates.into_iter().peekable();
    while updates.peek().is_some() {
        let mut batch = Batch::default();
        while batch.has_room()
            && let Some(update) = updates.next()
        {
            batch.push(None, update);
        }
        let applied = batch.apply(&shared.node, &shared.clock, ARRAY_PATIENCE).await;
        answers.extend(applied.answers.into_iter().map(|(_, receipt, answer)| (receipt, answer)));
    }
    let mut body = Vec::with_capacity(128 * answers.len());
    write_answers(&mut body, &answers);
    Ok(json(body))
}

fn json(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("cache-control", "no-store"))
        .body(body)
}

/// Reads the parameters of the address; `session` is the one in its path.
fn addressed(request: &HttpRequest, session: Option<SessionId>) -> Result<Addressed, Problem> {
    let mut addressed = Addressed { session, ..Addressed::default() };
    let mut faults = Faults::default();
    for (name, value) in query_pairs(request) {
        let mut fault = |expected: &str| {
            let found = format!("`{}`", value.chars().take(40).collect::<String>());
            let expected = expected.to_owned();
            faults.push(Fault { pointer: format!("?{name}"), expected, found });
        };
        match (name.as_str(), value.as_str()) {
            ("session_id", _) if session.is_some() => fault("nothing: the path names the session"),
            ("session_id", id) => match id.parse() {
                Ok(id) => addressed.session = Some(id),
                Err(_) => fault("the id of a session, a UUID"),
            },
            ("acknowledge", "each") => addressed.acknowledge = Acknowledge::Each,
            ("acknowledge", "refused") => addressed.acknowledge = Acknowledge::Refused,
            ("acknowledge", _) => fault("`each` or `refused`"),
            _ => fault("`session_id` or `acknowledge`"),
        }
    }
    match faults.is_empty() {
        true => Ok(addressed),
        false => Err(Problem::of_faults(ProblemKind::InvalidQuery, &faults)),
    }
}
