//! Single entries on the wire: the request (a system or a live session, and which of its unknowns are
//! wanted) and the answer.
//! Reading is in `request`, how entries of a system are asked for one after the other with their times
//! here, the document in `document`. Who runs it, and on what thread, is `http`'s and `cli`'s business.

mod document;
mod request;

pub use document::to_json;
pub use request::{
    Asked, ENTRIES_MAX, EntriesOfSession, EntriesOfSystem, EntriesOptions, EntriesRequest,
    PreparedEntries, TIME_BUDGET_MAX,
};

use std::time::Duration;

use crate::ids::{SessionId, SystemVersion};
use crate::protocol::frame::Warning;
use crate::solver::proof::entry::{
    EntryAnswer, EntryEnd, Inquiry, InquiryFault, InquiryOptions, Patience, SetUp,
};
use crate::solver::system::LinearSystem;

/// What was asked, as it is told again in the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct EntriesAnswer {
    pub unknowns: usize,
    pub nonzeros: usize,
    pub options: InquiryOptions,
    pub ground: AnswerGround,
    /// In the order in which they were asked for, each with the time it took.
    pub entries: Vec<(EntryAnswer, Duration)>,
    pub touched_entries: u64,
    pub took: Duration,
    pub warnings: Vec<Warning>,
}

/// What an answer stands on.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerGround {
    /// A system of its own, and what was done before the first entry.
    System { set_up: SetUp, set_up_took: Duration },
    /// What a live session holds at this version; whether its `x` meets the tolerance.
    Session { session: SessionId, system_version: SystemVersion, converged: bool },
}

impl EntriesAnswer {
    /// Whether every entry is as close as was asked.
    pub fn is_reached(&self) -> bool {
        self.entries.iter().all(|(answer, _)| answer.end == EntryEnd::Reached)
    }
}

/// Asks for entries one after the other. `elapsed` tells the time since some moment; `is_wanted` whether
/// anybody still waits. Entries that the time budget leaves no time for are told as far as they are known
/// without work.
///
/// # Errors
/// See [`InquiryFault`].
pub fn ask(
    system: LinearSystem,
    entries: &[usize],
    options: &EntriesOptions,
    elapsed: &dyn Fn() -> Duration,
    is_wanted: &dyn Fn() -> bool,
) -> Result<EntriesAnswer, InquiryFault> {
    let started = elapsed();
    let deadline = started.saturating_add(options.time_budget);
    let is_patient = || is_wanted() && elapsed() < deadline;
    let (unknowns, nonzeros) = (system.order(), system.nonzeros());
    let mut inquiry = Inquiry::open(system, options.inquiry, Patience(&is_patient))?;
    let set_up_took = elapsed().saturating_sub(started);
    let mut answers = Vec::with_capacity(entries.len());
    let mut lap = elapsed();
    for (at, &entry) in entries.iter().enumerate() {
        let answer = inquiry.answer(entry, entries.len() - at)?;
        let now = elapsed();
        answers.push((answer, now.saturating_sub(std::mem::replace(&mut lap, now))));
    }
    Ok(EntriesAnswer {
        unknowns,
        nonzeros,
        options: options.inquiry,
        ground: AnswerGround::System { set_up: inquiry.set_up().clone(), set_up_took },
        entries: answers,
        touched_entries: inquiry.touched_entries(),
        took: elapsed().saturating_sub(started),
        warnings: vec![],
    })
}
