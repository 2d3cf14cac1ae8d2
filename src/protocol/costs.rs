//! Updates of costs as clients send them: one, an array, or a line of a stream; and how each is
//! answered. What an edit means is the solver's (`solver::live`), when it counts is the session's.

mod answer;
mod edits;
mod lines;
mod receipt;
mod update;

pub use answer::{CostAnswer, Tally, write_answer, write_answers, write_end};
pub use lines::{Line, LineBuffer};
pub use receipt::Receipt;
pub use update::CostUpdate;

use crate::ids::SessionId;
use crate::protocol::json::{Fault, Faults, JsonReader, Kind, Malformed};
use crate::protocol::problem::{Problem, ProblemKind};

/// Most bytes of one line of a stream, its newline not counted.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Most edits of one update, and of all updates of an array.
pub const EDITS_MAX: usize = 1 << 20;
/// Most updates of an array.
pub const UPDATES_MAX: usize = 1 << 16;
/// An array of which more updates cannot be read is refused as a whole.
const UNREADABLE_MAX: usize = 1 << 10;
/// An array of which more updates have warnings is told of no more.
const WARNED_MAX: usize = 1 << 10;
/// Longest `source_node` and `update_id`, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// An update that can be asked for, or why it cannot.
pub type ReadUpdate = Result<CostUpdate, Box<Unreadable>>;

/// An update that cannot be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    pub receipt: Receipt,
    pub problem: Problem,
}

impl Unreadable {
    pub fn boxed(receipt: Receipt, problem: Problem) -> Box<Self> {
        Box::new(Self { receipt, problem })
    }
}

/// A whole body.
#[derive(Debug, Clone, PartialEq)]
pub enum CostBody {
    One(CostUpdate),
    /// Updates that are independent of each other: each is answered for itself.
    Array(Vec<ReadUpdate>),
}

/// Reads a JSON body: an update, or an array of them. `session` is the one that the address names.
///
/// # Errors
/// A problem that names every fault of a single update; of an array only that it is none, or too long.
pub fn read_body(body: &[u8], session: Option<SessionId>) -> Result<CostBody, Problem> {
    let mut reader = JsonReader::new(text_of(body)?, "");
    if reader.peek()? != Kind::Array {
        let read = CostUpdate::read(&mut reader, session)?;
        reader.finish()?;
        return read.map(CostBody::One).map_err(|unreadable| unreadable.problem);
    }
    let mut array = Array::default();
    reader.array("an update or an array of updates", |reader, _| array.read(reader, session))?;
    reader.finish()?;
    array.finish()
}

/// An array of updates that is being read.
#[derive(Default)]
struct Array {
    updates: Vec<ReadUpdate>,
    edits: usize,
    unreadable: usize,
    warned: usize,
    surplus: usize,
}

impl Array {
    fn is_full(&self) -> bool {
        self.updates.len() == UPDATES_MAX
            || self.edits > EDITS_MAX
            || self.unreadable > UNREADABLE_MAX
    }

    fn read(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: Option<SessionId>,
    ) -> Result<(), Malformed> {
        if self.is_full() {
            self.surplus += 1;
            return reader.skip();
        }
        let mut read = CostUpdate::read(reader, session)?;
        match &mut read {
            Ok(update) => {
                self.edits += update.delta.len();
                self.warned += usize::from(!update.receipt.warnings.is_empty());
                if self.warned > WARNED_MAX {
                    update.receipt.warnings = vec![];
                }
            }
            Err(_) => self.unreadable += 1,
        }
        self.updates.push(read);
        Ok(())
    }

    fn finish(self) -> Result<CostBody, Problem> {
        let Self { updates, edits, unreadable, surplus, .. } = self;
        let found = if unreadable > UNREADABLE_MAX {
            format!("{unreadable} updates that cannot be read, and {surplus} more")
        } else if edits > EDITS_MAX {
            format!("{edits} edits, and {surplus} more updates")
        } else if surplus > 0 {
            format!("{} updates", updates.len() + surplus)
        } else {
            return Ok(CostBody::Array(updates));
        };
        let mut faults = Faults::default();
        let expected = format!(
            "at most {UPDATES_MAX} updates with {EDITS_MAX} edits in all, of which {UNREADABLE_MAX} \
             may be unreadable"
        );
        faults.push(Fault { pointer: String::new(), expected, found });
        let problem = Problem::of_faults(ProblemKind::InvalidRequest, &faults);
        Err(problem.with_way_out("send them as a stream of lines (application/x-ndjson)"))
    }
}

/// Reads one line of a stream.
///
/// # Errors
/// What is kept of the line, and every fault found.
pub fn read_line(line: &[u8], session: Option<SessionId>) -> ReadUpdate {
    let unreadable = |problem| Unreadable::boxed(Receipt::default(), problem);
    let mut reader = JsonReader::new(text_of(line).map_err(unreadable)?, "");
    let read = CostUpdate::read(&mut reader, session).map_err(|fault| unreadable(fault.into()))?;
    reader.finish().map_err(|fault| unreadable(fault.into()))?;
    read
}

fn text_of(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|error| {
        let detail = format!("the text is not UTF-8 from byte {} on", error.valid_up_to());
        Problem::new(ProblemKind::MalformedBody, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updates(body: &str) -> Vec<ReadUpdate> {
        match read_body(body.as_bytes(), Some(SessionId::from_random_bits(1))).unwrap() {
            CostBody::Array(updates) => updates,
            CostBody::One(update) => panic!("{update:?}"),
        }
    }

    #[test]
    fn a_fault_of_one_update_of_an_array_leaves_the_others_alone() {
        let edit = r#"{"delta_costs": {"indices": [1], "values": [2]}}"#;
        let wrong = r#"{"delta_costs": {"indices": [1, -1], "values": [2]}}"#;
        let read = updates(&format!("[{edit}, {wrong}, 7, {edit}]"));
        assert!(read[0].is_ok() && read[3].is_ok());
        let pointers = |read: &ReadUpdate| -> Vec<String> {
            let errors = &read.as_ref().unwrap_err().problem.errors;
            errors.iter().map(|entry| entry.pointer.clone()).collect()
        };
        assert_eq!(pointers(&read[1]), ["/1/delta_costs/indices/1", "/1/delta_costs/values"]);
        assert_eq!(pointers(&read[2]), ["/2"]);
    }

    #[test]
    fn an_array_may_hold_so_many_updates_and_no_more() {
        let array =
            |updates: usize| format!("[{}]", vec![r#"{"matrix_updates":[]}"#; updates].join(","));
        assert_eq!(updates(&array(UPDATES_MAX)).len(), UPDATES_MAX);
        assert_eq!(updates("[]").len(), 0);
        let problem = read_body(array(UPDATES_MAX + 1).as_bytes(), None).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    }
}
