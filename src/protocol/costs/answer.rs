//! What a sender of updates is told about each: when it counts from, or why it does not.

use crate::ids::{SystemVersion, UpdateKey};
use crate::protocol::costs::Receipt;
use crate::protocol::json::JsonObject;
use crate::protocol::ndjson::write_warning;
use crate::protocol::problem::Problem;

/// What became of an update.
#[derive(Debug, Clone, PartialEq)]
pub enum CostAnswer {
    /// It counts from this version on.
    Accepted(SystemVersion),
    /// It was accepted before, and has counted since this version.
    Duplicate(SystemVersion),
    /// Nothing of it was applied.
    Refused(Box<Problem>),
}

/// How many updates became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub accepted: u64,
    pub duplicates: u64,
    pub refused: u64,
}

impl Tally {
    pub fn count(&mut self, answer: &CostAnswer) {
        match answer {
            CostAnswer::Accepted(_) => self.accepted += 1,
            CostAnswer::Duplicate(_) => self.duplicates += 1,
            CostAnswer::Refused(_) => self.refused += 1,
        }
    }

    fn write(self, object: &mut JsonObject<'_>) {
        let Self { accepted, duplicates, refused } = self;
        object
            .integer("accepted", accepted)
            .integer("duplicates", duplicates)
            .integer("refused", refused);
    }
}

/// Appends the acknowledgement of one update; `line` is where it stood in a stream, from 1.
pub fn write_answer(out: &mut Vec<u8>, line: Option<u64>, receipt: &Receipt, answer: &CostAnswer) {
    let Receipt { session, key, warnings, pointer: _, additions: _ } = receipt;
    let mut object = JsonObject::open(out);
    object.plain_text("type", b"cost_acknowledgement");
    if let Some(line) = line {
        object.integer("line", line);
    }
    if let Some(session) = session {
        object.plain_text("session_id", session.hyphenated(&mut [0; 36]));
    }
    match key {
        Some(UpdateKey::Sequence(sequence)) => drop(object.integer("sequence", *sequence)),
        Some(UpdateKey::Id(id)) => drop(object.text("update_id", id)),
        None => {}
    }
    match answer {
        CostAnswer::Accepted(version) => {
            object.plain_text("status", b"accepted").integer("system_version", version.0);
        }
        CostAnswer::Duplicate(version) => {
            object.plain_text("status", b"duplicate").integer("system_version", version.0);
        }
        CostAnswer::Refused(problem) => {
            object.plain_text("status", b"refused");
            object.member("problem").extend_from_slice(&problem.to_json());
        }
    }
    if !warnings.is_empty() {
        object.array("warnings", warnings, write_warning);
    }
    object.close();
}

/// Appends the answer to an array: the acknowledgements in its order.
pub fn write_answers(out: &mut Vec<u8>, answers: &[(Receipt, CostAnswer)]) {
    let mut tally = Tally::default();
    answers.iter().for_each(|(_, answer)| tally.count(answer));
    let mut object = JsonObject::open(out);
    object.plain_text("type", b"cost_acknowledgements");
    tally.write(&mut object);
    object.array("results", answers, |out, (receipt, answer)| {
        write_answer(out, None, receipt, answer);
    });
    object.close();
}

/// Appends the last line of a stream: what became of its lines, and the problem that ended it if
/// it was not the sender.
pub fn write_end(out: &mut Vec<u8>, tally: Tally, problem: Option<&Problem>) {
    let mut object = JsonObject::open(out);
    object.plain_text("type", b"end");
    tally.write(&mut object);
    if let Some(problem) = problem {
        object.member("problem").extend_from_slice(&problem.to_json());
    }
    object.close();
    out.push(b'\n');
}
