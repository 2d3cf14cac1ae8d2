//! `POST /api/v1/entries`: a system or a live session in, some entries of its solution out, each with what
//! is known of its error and how it was found. No session is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::actors::messages::{EntriesQuestion, EntriesState, QuestionUnavailable};
use crate::http::error::HttpProblem;
use crate::http::intake::AskedEntries;
use crate::http::negotiation::negotiate;
use crate::http::server::Shared;
use crate::protocol::entries::{
    AnswerGround, EntriesAnswer, EntriesOfSession, EntriesOptions, PreparedEntries, ask, to_json,
};
use crate::protocol::problem::{Problem, ProblemKind};
use crate::runtime::clock::Clock;
use crate::solver::proof::entry::InquiryFault;

/// Answers for entries; a client that leaves ends the work on its answer.
pub async fn entries(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    negotiate(&request, &["application/json"])?;
    let document = match shared.intake.receive_entries(&request, payload).await? {
        AskedEntries::OfSession(question) => answer_of_session(&shared, question).await?,
        AskedEntries::OfSystem(asked) => {
            let unwanted = Unwanted::default();
            let (clock, is_unwanted) = (shared.clock.clone(), Arc::clone(&unwanted.0));
            let answer = move |prepared, methods_bytes| {
                answered(prepared, methods_bytes, &clock, &is_unwanted).map_err(of_fault)
            };
            shared.intake.answer_entries(asked, answer).await?
        }
    };
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("cache-control", "no-store"))
        .body(document))
}

/// Asks a live session.
async fn answer_of_session(
    shared: &Shared,
    question: EntriesOfSession,
) -> Result<Vec<u8>, HttpProblem> {
    let EntriesOfSession { session, asked } = question;
    let options = asked.options;
    let question = EntriesQuestion { entries: asked.entries.clone(), options };
    let state = match shared.node.ask_entries(session, question).await {
        Ok(state) => state,
        Err(QuestionUnavailable::OutOfRange { unknowns }) => {
            asked.check(unknowns)?;
            return Err(Problem::new(ProblemKind::Internal, "an entry went missing").into());
        }
        Err(unavailable) => return Err(Problem::from(unavailable).into()),
    };
    let EntriesState {
        system_version,
        unknowns,
        nonzeros,
        converged,
        entries,
        touched_entries,
        took,
    } = state;
    Ok(to_json(&EntriesAnswer {
        unknowns,
        nonzeros,
        options: options.inquiry,
        ground: AnswerGround::Session { session, system_version, converged },
        entries,
        touched_entries,
        took,
        warnings: asked.warnings,
    }))
}

/// Set when the request is dropped: nobody waits for its answer any more.
#[derive(Debug, Default)]
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn answered(
    prepared: PreparedEntries,
    methods_bytes: u64,
    clock: &Clock,
    is_unwanted: &AtomicBool,
) -> Result<Vec<u8>, InquiryFault> {
    let PreparedEntries { system, entries, mut options, warnings } = prepared;
    let EntriesOptions { inquiry, .. } = &mut options;
    inquiry.memory_bytes_max = inquiry.memory_bytes_max.min(methods_bytes);
    let started = clock.now();
    let elapsed = || clock.now().since(started);
    let is_wanted = || !is_unwanted.load(Ordering::Relaxed);
    let mut answer = ask(system, &entries, &options, &elapsed, &is_wanted)?;
    answer.warnings = warnings;
    Ok(to_json(&answer))
}

fn of_fault(fault: InquiryFault) -> Problem {
    match fault {
        InquiryFault::Refused(refusal) => refusal.into(),
        InquiryFault::Stopped(ref reason) => {
            Problem::new(ProblemKind::of_stop(reason), fault.to_string())
        }
        // Indices and options were checked where they were read.
        InquiryFault::Entry(fault) => Problem::new(ProblemKind::Internal, fault.to_string()),
    }
}
