//! `POST /api/v1/solve-stream`: a system in, its frames out, over one connection.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::actors::node::{NewSession, Opened};
use crate::http::error::HttpProblem;
use crate::http::negotiation::stream_format;
use crate::http::server::Shared;
use crate::http::stream_body::{Listening, stream_response};
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::solve::PreparedSession;

/// Opens a session that lives as long as somebody listens, and streams it.
pub async fn solve_stream(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    let format = stream_format(&request)?;
    let prepared = shared.intake.receive(&request, payload).await?;
    let flush_interval = prepared.stream.flush_interval;
    let Opened { session, frames } = open(&shared, prepared, true).await?;
    let frames = frames.ok_or_else(|| {
        Problem::new(ProblemKind::Internal, "the session was opened without its listener")
    })?;
    let listening = Listening { session, frames, format, flush_interval, seen: None };
    Ok(stream_response(&request, listening, &shared.clock))
}

/// Opens a prepared session.
pub async fn open(
    shared: &Shared,
    prepared: PreparedSession,
    listen: bool,
) -> Result<Opened, HttpProblem> {
    let PreparedSession { engine, stream, warnings } = prepared;
    Ok(shared.node.open(NewSession { engine, stream, warnings, listen }).await?)
}
