//! What is kept of an update while it is worked in, to answer it: its name, where its edits stood, what
//! was ignored.

use crate::ids::{SessionId, UpdateKey};
use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, Faults};
use crate::protocol::problem::{Problem, ProblemKind};
use crate::solver::live::{DeltaFault, DeltaMember, EditFault};

/// What an answer says of the update that it answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    /// `None` where the address names it, or nothing does.
    pub session: Option<SessionId>,
    pub key: Option<UpdateKey>,
    pub warnings: Vec<Warning>,
    /// JSON pointer to the update within the body.
    pub pointer: String,
    /// The first edits of `b` come from `delta_costs`, the others from `rhs_updates`.
    pub additions: usize,
}

impl Receipt {
    /// The problem of an update whose edits cannot be made: 409 where all that is wrong is that values
    /// have changed meanwhile, else 422.
    pub fn refusal(&self, faults: &[DeltaFault]) -> Problem {
        let is_stale = |fault: &DeltaFault| matches!(fault.fault, EditFault::Stale { .. });
        let kind = match faults.iter().all(is_stale) {
            true => ProblemKind::StaleCosts,
            false => ProblemKind::InvalidCosts,
        };
        let mut located = Faults::default();
        faults.iter().for_each(|fault| located.push(self.locate(fault)));
        let mut problem = Problem::of_faults(kind, &located);
        for (entry, fault) in problem.errors.iter_mut().zip(faults) {
            entry.held = held_value(&fault.fault);
        }
        match kind {
            ProblemKind::StaleCosts => problem
                .with_way_out("take `held` as `old_value`, or leave `old_value` out to overwrite"),
            _ => problem,
        }
    }

    /// The problem of an update whose number is not above `forgotten`, up to which it is not known any more
    /// what was accepted.
    pub fn too_old(&self, forgotten: u64) -> Problem {
        let found = match &self.key {
            Some(UpdateKey::Sequence(sequence)) => sequence.to_string(),
            Some(UpdateKey::Id(id)) => format!("`{id}`"),
            None => "none".to_owned(),
        };
        let pointer = format!("{}/sequence", self.pointer);
        let mut faults = Faults::default();
        faults.push(Fault { pointer, expected: format!("a number above {forgotten}"), found });
        Problem::of_faults(ProblemKind::UpdateTooOld, &faults)
    }

    fn locate(&self, fault: &DeltaFault) -> Fault {
        let DeltaFault { member, index, fault } = fault;
        let (index, additions) = (*index, self.additions);
        let (edit, is_addition) = match member {
            DeltaMember::Entries => (format!("/matrix_updates/{index}"), false),
            DeltaMember::Rhs if index < additions => ("/delta_costs".to_owned(), true),
            DeltaMember::Rhs => (format!("/rhs_updates/{}", index - additions), false),
        };
        let row = if *member == DeltaMember::Entries { "row" } else { "index" };
        let at = |name: &str| match (is_addition, name) {
            (false, "") => edit.clone(),
            (false, name) => format!("{edit}/{name}"),
            (true, "index") => format!("{edit}/indices/{index}"),
            (true, _) => format!("{edit}/values/{index}"),
        };
        let (pointer, expected, found) = match fault {
            EditFault::RowOutOfRange { row: found, order } => {
                (at(row), format!("a row below {order}"), found.to_string())
            }
            EditFault::ColOutOfRange { col, order } => {
                (at("col"), format!("a column below {order}"), col.to_string())
            }
            EditFault::NotFinite { value } => {
                (at("new_value"), "a finite number".to_owned(), value.to_string())
            }
            EditFault::OldValueNotFinite { value } => {
                (at("old_value"), "a finite number".to_owned(), value.to_string())
            }
            EditFault::Stale { held, expected } => {
                (at("old_value"), format!("{held}, the value held"), expected.to_string())
            }
            EditFault::Overflow { held, added } => (
                at("new_value"),
                format!("a number whose sum with {held}, the value held, is finite"),
                added.to_string(),
            ),
            EditFault::TooManyEntries { entries_max } => {
                (at(""), format!("at most {entries_max} entries"), "one more".to_owned())
            }
        };
        Fault { pointer: format!("{}{pointer}", self.pointer), expected, found }
    }
}

fn held_value(fault: &EditFault) -> Option<f64> {
    match fault {
        EditFault::Stale { held, .. } | EditFault::Overflow { held, .. } => Some(*held),
        EditFault::RowOutOfRange { .. }
        | EditFault::ColOutOfRange { .. }
        | EditFault::NotFinite { .. }
        | EditFault::OldValueNotFinite { .. }
        | EditFault::TooManyEntries { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(member: DeltaMember, index: usize, fault: EditFault) -> DeltaFault {
        DeltaFault { member, index, fault }
    }

    fn pointers(problem: &Problem) -> Vec<&str> {
        problem.errors.iter().map(|entry| entry.pointer.as_str()).collect()
    }

    #[test]
    fn faults_of_edits_are_found_where_the_sender_wrote_them() {
        let receipt = Receipt { additions: 2, pointer: "/7".into(), ..Receipt::default() };
        let row = EditFault::RowOutOfRange { row: 9, order: 3 };
        let overflow = EditFault::Overflow { held: f64::MAX, added: f64::MAX };
        let stale = EditFault::Stale { held: 1.5, expected: 2.5 };
        let problem = receipt.refusal(&[
            fault(DeltaMember::Rhs, 1, row),
            fault(DeltaMember::Rhs, 0, overflow),
            fault(DeltaMember::Rhs, 2, row),
            fault(DeltaMember::Rhs, 3, stale),
            fault(DeltaMember::Entries, 0, row),
            fault(DeltaMember::Entries, 1, EditFault::ColOutOfRange { col: 9, order: 3 }),
            fault(DeltaMember::Entries, 2, EditFault::TooManyEntries { entries_max: 4 }),
        ]);
        assert_eq!(problem.kind, ProblemKind::InvalidCosts);
        assert_eq!(
            pointers(&problem),
            [
                "/7/delta_costs/indices/1",
                "/7/delta_costs/values/0",
                "/7/rhs_updates/0/index",
                "/7/rhs_updates/1/old_value",
                "/7/matrix_updates/0/row",
                "/7/matrix_updates/1/col",
                "/7/matrix_updates/2",
            ]
        );
        assert_eq!(problem.errors[3].held, Some(1.5));
    }

    #[test]
    fn stale_values_alone_are_a_conflict_that_tells_what_is_held() {
        let stale = EditFault::Stale { held: 1.51, expected: 1.5 };
        let problem = Receipt::default().refusal(&[fault(DeltaMember::Entries, 0, stale)]);
        assert_eq!(problem.kind, ProblemKind::StaleCosts);
        let document: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(document["errors"][0]["held"], 1.51);
        assert_eq!(document["errors"][0]["found"], "1.5");
        assert_eq!(document["errors"][0]["pointer"], "/matrix_updates/0/old_value");
    }
}
