//! `POST /api/v1/verify`: rows of a live session's state are looked at afresh, drawn by the node, named by
//! the client, or all of them.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::actors::messages::{Challenge, QuestionUnavailable};
use crate::http::body::{BodyKind, kind_of};
use crate::http::error::HttpProblem;
use crate::http::negotiation::negotiate;
use crate::http::server::Shared;
use crate::protocol::json::{Fault, Faults};
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::verification::{
    LooksAt, VerificationResult, VerifyAnswer, VerifyRequest, to_json,
};

/// An item of a body is a row at most, beside the text that it was read from.
const BYTES_OF_ITEM: u64 = 8;

/// Checks the present state of a session.
pub async fn verify(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    negotiate(&request, &["application/json"])?;
    let (_, encoding) = kind_of(&request, &[BodyKind::Json])?;
    let decode = VerifyRequest::from_json;
    let asked =
        shared.intake.receive_json(&request, payload, encoding, BYTES_OF_ITEM, decode).await?;
    let VerifyRequest { session, looks_at, warnings } = asked;
    let challenge = match &looks_at {
        LooksAt::Probes(probes) => Challenge::Random { probes: *probes },
        LooksAt::Rows(rows) => Challenge::Rows(rows.clone()),
        LooksAt::All => Challenge::Exhaustive,
    };
    let verification = match (shared.node.verify(session, challenge).await, &looks_at) {
        (Ok(verification), _) => verification,
        (Err(QuestionUnavailable::OutOfRange { unknowns }), LooksAt::Rows(rows)) => {
            return Err(beyond(rows, unknowns).into());
        }
        (Err(unavailable), _) => return Err(Problem::from(unavailable).into()),
    };
    let result = VerificationResult::from(verification);
    let document =
        to_json(&VerifyAnswer { session, timestamp: shared.clock.wall(), result, warnings });
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("cache-control", "no-store"))
        .body(document))
}

/// Rows that there are not.
fn beyond(rows: &[u32], unknowns: usize) -> Problem {
    let mut faults = Faults::default();
    for row in rows.iter().filter(|row| **row as usize >= unknowns) {
        faults.push(Fault {
            pointer: "/rows".to_owned(),
            expected: format!("rows below {unknowns}, the number of unknowns"),
            found: row.to_string(),
        });
    }
    Problem::of_faults(ProblemKind::InvalidRequest, &faults)
}
