//! One update of costs, from its JSON (plan 2.2) to the change that it asks for. Whether the change can
//! be made is decided where the system is.

use crate::ids::{SessionId, UpdateKey, UpdateSource};
use crate::protocol::costs::edits::{Edits, ignore};
use crate::protocol::costs::{EDITS_MAX, NAME_BYTES_MAX, ReadUpdate, Receipt, Unreadable};
use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, Faults, JsonReader, Kind, Malformed};
use crate::protocol::options::not_acted_on;
use crate::protocol::problem::{Problem, ProblemKind};
use crate::solver::live::CostDelta;

/// Members of an update that are read.
const MEMBERS: [&str; 11] = [
    "type",
    "session_id",
    "timestamp",
    "delta_costs",
    "rhs_updates",
    "matrix_updates",
    "source_node",
    "sequence",
    "update_id",
    "propagation_depth",
    "computation_confidence",
];
/// A change of one session's costs.
#[derive(Debug, Clone, PartialEq)]
pub struct CostUpdate {
    pub session: SessionId,
    /// Additions to `b`, then settings of `b`; settings of entries of `A`.
    pub delta: CostDelta,
    /// `None` where the update is not numbered: sent twice, it counts twice.
    pub source: Option<UpdateSource>,
    pub receipt: Receipt,
}

impl CostUpdate {
    /// Reads the update that is next. `in_address` is the session that the address names, if it does; an
    /// update may name it again.
    ///
    /// # Errors
    /// [`Malformed`] where the text is no JSON; else what is kept of the update, and all its faults, which
    /// are taken from the reader.
    pub fn read(
        reader: &mut JsonReader<'_>,
        in_address: Option<SessionId>,
    ) -> Result<ReadUpdate, Malformed> {
        let pointer = reader.pointer().to_owned();
        let mut members = Members { in_address, ..Members::default() };
        let is_object =
            reader.object("an update of costs", |reader, name| members.read(reader, name))?;
        let mut faults = std::mem::take(&mut reader.faults);
        if is_object {
            members.check(&pointer, &mut faults);
        }
        Ok(members.into_update(pointer, &faults))
    }
}

/// What has been read of an update.
#[derive(Default)]
struct Members {
    in_address: Option<SessionId>,
    named: Option<SessionId>,
    session_seen: bool,
    node_seen: bool,
    edits: Edits,
    node: Option<String>,
    sequence: Option<u64>,
    id: Option<String>,
    warnings: Vec<Warning>,
}

impl Members {
    fn read(&mut self, reader: &mut JsonReader<'_>, name: &str) -> Result<(), Malformed> {
        if reader.peek()? == Kind::Null && MEMBERS.contains(&name) {
            return reader.skip();
        }
        match name {
            "type" => {
                let text = reader.string("\"cost_update\"")?;
                if let Some(text) = text.filter(|text| text != "cost_update") {
                    reader.fault("the string \"cost_update\"", quoted(&text));
                }
            }
            "session_id" => self.read_session(reader)?,
            "delta_costs" => self.edits.read_additions(reader, &mut self.warnings)?,
            "rhs_updates" => self.edits.read_rhs_updates(reader, &mut self.warnings)?,
            "matrix_updates" => self.edits.read_matrix_updates(reader, &mut self.warnings)?,
            "source_node" => {
                self.node_seen = true;
                self.node = name_of(reader)?;
            }
            "update_id" => self.id = name_of(reader)?,
            "sequence" => self.sequence = reader.integer(0..=u64::MAX)?,
            // For people; a sender may write a date or the milliseconds of its clock.
            "timestamp" if reader.peek()? == Kind::Number => drop(reader.number()?),
            "timestamp" => drop(reader.string("a time, as text or as a number")?),
            // Hops that it may still travel: a node alone has nobody to pass it on to.
            "propagation_depth" => drop(reader.integer(0..=u64::from(u32::MAX))?),
            "computation_confidence" => {
                self.warnings.push(not_acted_on(reader));
                let confidence = reader.number()?;
                if let Some(wrong) = confidence.filter(|value| !(0.0..=1.0).contains(value)) {
                    reader.fault("a number from 0 to 1", wrong.to_string());
                }
            }
            _ => ignore(&mut self.warnings, reader, name, &MEMBERS)?,
        }
        Ok(())
    }

    fn read_session(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Malformed> {
        self.session_seen = true;
        let Some(text) = reader.string("the id of a session")? else { return Ok(()) };
        self.named = text.parse().ok();
        match (self.named, self.in_address) {
            (None, _) => reader.fault("the id of a session, a UUID", quoted(&text)),
            (Some(named), Some(session)) if named != session => {
                let expected = format!("{session}, as in the address, or nothing");
                reader.fault(expected, quoted(&text));
            }
            (Some(_), _) => {}
        }
        Ok(())
    }

    /// What only the members together can show. `pointer` is the update's.
    fn check(&self, pointer: &str, faults: &mut Faults) {
        let mut fault = |member: &str, expected: &str, found: &str| {
            faults.push(Fault {
                pointer: format!("{pointer}{member}"),
                expected: expected.to_owned(),
                found: found.to_owned(),
            });
        };
        if !self.session_seen && self.in_address.is_none() {
            fault("/session_id", "the id of a session, here or in the address", "nothing");
        }
        if !self.edits.were_seen() {
            fault("", "`delta_costs`, `rhs_updates` or `matrix_updates`", "none of them");
        }
        let is_numbered = self.sequence.is_some() || self.id.is_some();
        if self.sequence.is_some() && self.id.is_some() {
            fault("/update_id", "`sequence` or `update_id`", "both");
        }
        if is_numbered && !self.node_seen {
            fault("/source_node", "who numbers its updates", "nothing");
        }
        let edits = self.edits.len();
        if edits > EDITS_MAX {
            fault("", &format!("at most {EDITS_MAX} edits"), &format!("{edits}"));
        }
    }

    fn into_update(self, pointer: String, faults: &Faults) -> ReadUpdate {
        let Self { in_address, named, edits, node, .. } = self;
        let key = match (self.sequence, self.id) {
            (Some(sequence), _) => Some(UpdateKey::Sequence(sequence)),
            (None, id) => id.map(UpdateKey::Id),
        };
        let receipt = Receipt {
            session: if in_address.is_none() { named } else { None },
            key: key.clone(),
            warnings: self.warnings,
            pointer,
            additions: edits.additions(),
        };
        let session = match in_address.or(named) {
            Some(session) if faults.is_empty() => session,
            _ => {
                let problem = Problem::of_faults(ProblemKind::InvalidRequest, faults);
                return Err(Unreadable::boxed(receipt, problem));
            }
        };
        let source = node.zip(key).map(|(node, key)| UpdateSource { node, key });
        Ok(CostUpdate { session, delta: edits.into_delta(), source, receipt })
    }
}

/// A string in words, for a fault; a long one is cut.
fn quoted(text: &str) -> String {
    format!("the string \"{}\"", text.chars().take(40).collect::<String>())
}

/// Reads a name that is kept as long as the session lives.
fn name_of(reader: &mut JsonReader<'_>) -> Result<Option<String>, Malformed> {
    let Some(text) = reader.string("a name")? else { return Ok(None) };
    if (1..=NAME_BYTES_MAX).contains(&text.len()) {
        return Ok(Some(text.into_owned()));
    }
    let found = format!("{} bytes", text.len());
    reader.fault(format!("a name of 1 to {NAME_BYTES_MAX} bytes"), found);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::costs::edits::WARNINGS_MAX;
    use crate::protocol::costs::read_line;
    use crate::solver::live::Change;

    fn session() -> SessionId {
        "4dbb51a1-2f0c-4d33-9a3f-0d2f6f2a7a11".parse().unwrap()
    }

    /// The plan's 2.2, with the id of a session.
    const PLAN_2_2: &str = r#"{
        "type": "cost_update",
        "session_id": "4dbb51a1-2f0c-4d33-9a3f-0d2f6f2a7a11",
        "timestamp": "2025-09-19T19:26:51.605Z",
        "delta_costs": {
        "indices": [100, 205, 1337],
        "values": [0.01, -0.003, 0.007]
        },
        "matrix_updates": [
        {
        "row": 100,
        "col": 205,
        "old_value": 1.5,
        "new_value": 1.51
        }
        ],
        "source_node": "node-abc123",
        "propagation_depth": 3
        }"#;

    /// Reads `text` for the session of the address; pairs of pointer and what was expected.
    fn faults(text: &str) -> Vec<(String, String)> {
        let problem = read_line(text.as_bytes(), Some(session())).unwrap_err().problem;
        let entry = |entry: &crate::protocol::problem::ProblemEntry| {
            (entry.pointer.clone(), entry.expected.clone().unwrap_or_default())
        };
        problem.errors.iter().map(entry).collect()
    }

    #[test]
    fn the_plans_update_is_read_word_for_word() {
        let update = read_line(PLAN_2_2.as_bytes(), None).unwrap();
        let mut delta = CostDelta::default();
        for (row, value) in [(100, 0.01), (205, -0.003), (1337, 0.007)] {
            delta.edit_rhs(row, Change::Add(value), None);
        }
        delta.edit_entry(100, 205, Change::Set(1.51), Some(1.5));
        assert_eq!((update.session, update.delta, update.source), (session(), delta, None));
        assert_eq!(update.receipt.warnings, []);
    }

    #[test]
    fn additions_come_before_settings_wherever_they_are_written() {
        let additions = r#""delta_costs": {"indices": [2], "values": [1]}"#;
        let settings = r#""rhs_updates": [{"index": 2, "old_value": 1, "new_value": 5}]"#;
        let read = |first: &str, second: &str| {
            read_line(format!("{{{first}, {second}}}").as_bytes(), Some(session())).unwrap()
        };
        assert_eq!(read(additions, settings), read(settings, additions));
        let mut expected = CostDelta::default();
        expected.edit_rhs(2, Change::Add(1.0), None);
        expected.edit_rhs(2, Change::Set(5.0), Some(1.0));
        assert_eq!(read(settings, additions).delta, expected);
    }

    #[test]
    fn an_update_is_named_by_its_sender_and_a_number_or_an_id() {
        let read = |name: &str| {
            let text = format!(r#"{{"matrix_updates": [], "source_node": "a", {name}}}"#);
            read_line(text.as_bytes(), Some(session())).unwrap().source
        };
        let source = |key| Some(UpdateSource { node: "a".into(), key });
        assert_eq!(read(r#""sequence": 7"#), source(UpdateKey::Sequence(7)));
        assert_eq!(read(r#""update_id": "7""#), source(UpdateKey::Id("7".into())));
        assert_eq!(read(r#""sequence": null"#), None);
    }

    #[test]
    fn each_fault_has_its_place() {
        let cases: [(&str, &[&str]); 12] = [
            ("{}", &[""]),
            (r#"{"delta_costs": {"indices": [1, 2], "values": [1]}}"#, &["/delta_costs/values"]),
            (r#"{"delta_costs": {"indices": [1]}}"#, &["/delta_costs/values"]),
            (r#"{"delta_costs": {}}"#, &["/delta_costs/indices", "/delta_costs/values"]),
            (r#"{"delta_costs": [1]}"#, &["/delta_costs"]),
            (
                r#"{"delta_costs": {"indices": [-1], "values": [1e999]}}"#,
                &["/delta_costs/indices/0", "/delta_costs/values/0"],
            ),
            (
                r#"{"matrix_updates": [{"row": 1.5, "new_value": "2"}]}"#,
                &["/matrix_updates/0/row", "/matrix_updates/0/new_value", "/matrix_updates/0/col"],
            ),
            (
                r#"{"rhs_updates": [{"index": 1, "new_value": 2}, {"old_value": true}]}"#,
                &["/rhs_updates/1/old_value", "/rhs_updates/1/index", "/rhs_updates/1/new_value"],
            ),
            (r#"{"matrix_updates": [], "sequence": 1}"#, &["/source_node"]),
            (
                r#"{"matrix_updates": [], "sequence": 1, "update_id": "", "source_node": 5}"#,
                &["/update_id", "/source_node"],
            ),
            (
                r#"{"type": "cost_report", "matrix_updates": [], "computation_confidence": 2,
                    "session_id": "00000000-0000-4000-8000-000000000000", "timestamp": []}"#,
                &["/type", "/computation_confidence", "/session_id", "/timestamp"],
            ),
            (r#"{"matrix_updates": [], "propagation_depth": -1}"#, &["/propagation_depth"]),
        ];
        for (text, expected) in cases {
            let found = faults(text);
            let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
            assert_eq!(pointers, expected, "{text}: {found:?}");
        }
        let problem = read_line(br#"{"matrix_updates": []}"#, None).unwrap_err().problem;
        assert_eq!(problem.errors[0].pointer, "/session_id");
        let problem = read_line(b"{\xff}", None).unwrap_err().problem;
        assert_eq!(problem.kind, ProblemKind::MalformedBody);
    }

    #[test]
    fn names_that_are_kept_are_short() {
        let text = |bytes: usize| {
            let name = "n".repeat(bytes);
            format!(r#"{{"matrix_updates": [], "source_node": "{name}", "sequence": 1}}"#)
        };
        assert!(read_line(text(NAME_BYTES_MAX).as_bytes(), Some(session())).is_ok());
        assert_eq!(faults(&text(NAME_BYTES_MAX + 1))[0].0, "/source_node");
        assert_eq!(faults(&text(0))[0].0, "/source_node");
    }

    #[test]
    fn unknown_members_are_warned_of_with_a_hint_but_not_without_end() {
        let text = r#"{"matrix_update": 1, "delta_costs": {"indices": [], "values": [], "x": 1}}"#;
        let update = read_line(text.as_bytes(), Some(session())).unwrap();
        let warnings = update.receipt.warnings;
        assert!(warnings[0].detail.contains("did you mean `matrix_updates`?"), "{warnings:?}");
        assert_eq!(warnings[1].pointer, "/delta_costs/x");
        let edits = vec![r#"{"row": 0, "col": 0, "new_value": 1, "why": 2}"#; 100].join(",");
        let text = format!(r#"{{"matrix_updates": [{edits}]}}"#);
        let update = read_line(text.as_bytes(), Some(session())).unwrap();
        assert_eq!(update.receipt.warnings.len(), WARNINGS_MAX);
        assert_eq!(update.delta.len(), 100);
    }

    /// The JSON of a delta whose additions come before its settings.
    fn written(delta: &CostDelta) -> String {
        let (mut indices, mut values, mut settings) = (vec![], vec![], vec![]);
        for edit in delta.rhs() {
            match edit.change {
                Change::Add(value) => {
                    indices.push(edit.place.row);
                    values.push(value);
                }
                Change::Set(value) => settings.push(serde_json::json!({
                    "index": edit.place.row, "old_value": edit.old_value, "new_value": value,
                })),
            }
        }
        let entries = delta.entries().iter().map(|edit| match edit.change {
            Change::Set(value) => serde_json::json!({
                "row": edit.place.row, "col": edit.place.col,
                "old_value": edit.old_value, "new_value": value,
            }),
            Change::Add(_) => unreachable!("entries are set"),
        });
        let entries: Vec<_> = entries.collect();
        serde_json::json!({
            "delta_costs": {"indices": indices, "values": values},
            "rhs_updates": settings,
            "matrix_updates": entries,
        })
        .to_string()
    }

    fn finite() -> impl Strategy<Value = f64> {
        any::<f64>().prop_filter("JSON holds no other", |value| value.is_finite())
    }

    fn deltas() -> impl Strategy<Value = CostDelta> {
        let row = || any::<u32>().prop_map(|row| row as usize);
        let old = || prop::option::of(finite());
        let additions = prop::collection::vec((row(), finite()), 0..6);
        let settings = prop::collection::vec((row(), finite(), old()), 0..6);
        let entries = prop::collection::vec((row(), row(), finite(), old()), 0..6);
        (additions, settings, entries).prop_map(|(additions, settings, entries)| {
            let mut delta = CostDelta::default();
            for (row, value) in additions {
                delta.edit_rhs(row, Change::Add(value), None);
            }
            for (row, value, old) in settings {
                delta.edit_rhs(row, Change::Set(value), old);
            }
            for (row, col, value, old) in entries {
                delta.edit_entry(row, col, Change::Set(value), old);
            }
            delta
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_to_the_bit(delta in deltas()) {
            let update = read_line(written(&delta).as_bytes(), Some(session())).unwrap();
            prop_assert_eq!(update.delta, delta);
        }

        #[test]
        fn no_cut_of_an_update_is_a_panic(delta in deltas(), cut in any::<prop::sample::Index>()) {
            let text = written(&delta);
            let cut = cut.index(text.len());
            prop_assert!(read_line(&text.as_bytes()[..cut], Some(session())).is_err());
        }
    }
}
