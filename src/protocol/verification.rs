//! A check of a session's state on the wire: the request (which session, and which of its rows are looked
//! at) and the result.

use std::collections::BTreeSet;

use crate::ids::{ProbeId, SessionId, SystemVersion};
use crate::policy::verification::{
    CONFIDENCE, Claim, Faults as RowFaults, PROBES, PROBES_MAX, Verdict,
};
use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, Faults, JsonObject, JsonReader, Malformed, write_f64};
use crate::protocol::matrix::unknown_member;
use crate::protocol::ndjson::write_warning;
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::solve::{absent, read_session, text_of};
use crate::protocol::timestamp::Timestamp;

/// Most rows that one request may name.
pub const ROWS_MAX: usize = 10_000;

const MEMBERS: [&str; 4] = ["session_id", "probe_count", "rows", "exhaustive"];

/// A request whose members have the right types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyRequest {
    pub session: SessionId,
    pub looks_at: LooksAt,
    pub warnings: Vec<Warning>,
}

/// Which rows are to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LooksAt {
    /// So many probes of rows that the node draws.
    Probes(usize),
    /// These, distinct and in ascending order.
    Rows(Vec<u32>),
    All,
}

#[derive(Default)]
struct Members {
    session: Option<SessionId>,
    probes: Option<u64>,
    rows: Option<Vec<u32>>,
    exhaustive: bool,
    warnings: Vec<Warning>,
    seen: Vec<&'static str>,
}

impl VerifyRequest {
    /// Reads a JSON body. Linear in it.
    ///
    /// # Errors
    /// A problem that names every fault found, by JSON pointer.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        let text = text_of(body)?;
        let mut reader = JsonReader::new(text, "");
        let mut members = Members::default();
        let is_object = reader
            .object("an object with `session_id`", |reader, name| members.read(reader, name))?;
        reader.finish()?;
        if is_object && !members.seen.contains(&"session_id") {
            let expected = "the id of a live session, a UUID";
            reader.faults.push(absent("", "session_id", expected));
        }
        members.check_choice(&mut reader.faults);
        let Members { session: Some(session), probes, rows, exhaustive, warnings, .. } = members
        else {
            return Err(Problem::of_faults(ProblemKind::InvalidRequest, &reader.faults));
        };
        if !reader.faults.is_empty() {
            return Err(Problem::of_faults(ProblemKind::InvalidRequest, &reader.faults));
        }
        let looks_at = match (rows, exhaustive) {
            (_, true) => LooksAt::All,
            (Some(rows), false) => {
                let distinct: BTreeSet<u32> = rows.into_iter().collect();
                LooksAt::Rows(distinct.into_iter().collect())
            }
            (None, false) => LooksAt::Probes(probes.map_or(PROBES, |probes| probes as usize)),
        };
        Ok(Self { session, looks_at, warnings })
    }
}

impl Members {
    fn read(&mut self, reader: &mut JsonReader<'_>, name: &str) -> Result<(), Malformed> {
        match name {
            "session_id" => {
                self.seen.push("session_id");
                self.session = read_session(reader)?;
            }
            "probe_count" | "rows" | "exhaustive" if reader.null()? => {}
            "probe_count" => {
                self.seen.push("probe_count");
                self.probes = reader.integer(1..=PROBES_MAX as u64)?;
            }
            "rows" => {
                self.seen.push("rows");
                self.rows = read_rows(reader)?;
            }
            "exhaustive" => self.exhaustive = reader.boolean()?.unwrap_or_default(),
            _ => {
                self.warnings.push(unknown_member(reader, name, &MEMBERS));
                reader.skip()?;
            }
        }
        Ok(())
    }

    /// One way to choose rows at a time.
    fn check_choice(&self, faults: &mut Faults) {
        let chosen: Vec<&str> =
            ["probe_count", "rows"].into_iter().filter(|name| self.seen.contains(name)).collect();
        let expected = match (chosen.as_slice(), self.exhaustive) {
            ([], _) | ([_], false) => return,
            (_, true) => "nothing beside `exhaustive`, which looks at all rows",
            (_, false) => "either `probe_count` or `rows`",
        };
        let (pointer, found) = (format!("/{}", chosen[chosen.len() - 1]), "both".to_owned());
        faults.push(Fault { pointer, expected: expected.to_owned(), found });
    }
}

fn read_rows(reader: &mut JsonReader<'_>) -> Result<Option<Vec<u32>>, Malformed> {
    let (mut rows, mut count) = (vec![], 0);
    let is_array = reader.array("an array of rows that count from 0", |reader, _| {
        count += 1;
        // Bounded before they are kept.
        if count > ROWS_MAX {
            return reader.skip();
        }
        if let Some(row) = reader.integer(0..=u64::from(u32::MAX))? {
            rows.push(row as u32);
        }
        Ok(())
    })?;
    if is_array && !(1..=ROWS_MAX).contains(&count) {
        let expected = format!("1 to {ROWS_MAX} rows; for all of them, `exhaustive`");
        reader.fault(expected, format!("{count}"));
    }
    Ok(is_array.then_some(rows))
}

/// What a check came to (plan 2.4).
#[derive(Debug, Clone, PartialEq)]
pub struct VerificationResult {
    pub probe_id: ProbeId,
    /// The version and the iteration of the state that was looked at.
    pub checked_version: SystemVersion,
    pub iteration: u64,
    pub claim: Claim,
    pub verdict: Verdict,
    pub exhaustive: bool,
    /// Rows that were drawn or named asked for a look at all of them.
    pub escalated: bool,
    /// The session is going to mend what is at fault.
    pub correction_applied: bool,
    pub verification_time_ms: f64,
}

/// A result that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyAnswer {
    pub session: SessionId,
    pub timestamp: Timestamp,
    pub result: VerificationResult,
    pub warnings: Vec<Warning>,
}

/// The answer, `application/json`.
pub fn to_json(answer: &VerifyAnswer) -> Vec<u8> {
    let VerifyAnswer { session, timestamp, result, warnings } = answer;
    let mut out = Vec::with_capacity(1_024 + 24 * result.verdict.components.len());
    let mut document = JsonObject::open(&mut out);
    document
        .text("type", "verification_result")
        .text("session_id", &session.to_string())
        .plain_text("timestamp", &timestamp.rfc3339())
        .integer("system_version", result.checked_version.0);
    write_result(&mut document, result);
    document.array("warnings", warnings, write_warning);
    document.close();
    out
}

/// Adds the members of a result to a document or a frame.
pub fn write_result(object: &mut JsonObject<'_>, result: &VerificationResult) {
    let VerificationResult {
        probe_id,
        checked_version,
        iteration,
        claim,
        verdict,
        exhaustive,
        escalated,
        correction_applied,
        verification_time_ms,
    } = result;
    object
        .text("probe_id", &probe_id.to_string())
        .integer("checked_version", checked_version.0)
        .integer("iteration", *iteration)
        .flag("verified", verdict.verified)
        .number("verification_score", verdict.score)
        .flag("converged", claim.is_settled)
        .array("residual_components", &verdict.components, |out, &size| write_f64(out, size))
        .number("residual_threshold", claim.residual_threshold)
        .number("residual_norm_seen", verdict.residual_norm_seen)
        .number("residual_norm_estimated", verdict.residual_norm_estimated)
        .integer("rows_probed", verdict.rows as u64)
        .integer("unknowns", claim.order as u64)
        .flag("exhaustive", *exhaustive)
        .flag("escalated", *escalated)
        .object("faults", |object| write_faults(object, &verdict.faults))
        .object("detection", |object| {
            object
                .number("one_row", verdict.reach.detection(1))
                .number("one_row_in_a_hundred", verdict.reach.detection(claim.order.div_ceil(100)))
                .number("confidence", CONFIDENCE)
                .optional_integer("rows", verdict.reach.detectable().map(|rows| rows as u64));
        })
        .flag("drift_detected", verdict.faults.untracked > 0)
        .flag("correction_applied", *correction_applied)
        .number("verification_time_ms", *verification_time_ms);
}

fn write_faults(object: &mut JsonObject<'_>, faults: &RowFaults) {
    let RowFaults { over_tolerance, untracked, altered, first_row } = faults;
    object
        .integer("over_tolerance", *over_tolerance as u64)
        .integer("untracked", *untracked as u64)
        .integer("altered", *altered as u64)
        .optional_integer("first_row", first_row.map(|row| row as u64));
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = r#""session_id": "6f9f1c9e-5b0a-4c7e-8f57-0c9d7a1b2c3d""#;

    fn read(members: &str) -> Result<VerifyRequest, Problem> {
        VerifyRequest::from_json(format!("{{{ID}{members}}}").as_bytes())
    }

    #[test]
    fn each_way_to_choose_rows_is_read() {
        let looks_at = |members| read(members).unwrap().looks_at;
        assert_eq!(looks_at(""), LooksAt::Probes(PROBES));
        assert_eq!(looks_at(r#", "probe_count": 100"#), LooksAt::Probes(100));
        assert_eq!(looks_at(r#", "rows": [7, 2, 7]"#), LooksAt::Rows(vec![2, 7]));
        assert_eq!(looks_at(r#", "exhaustive": true, "rows": null"#), LooksAt::All);
        let unknown = read(r#", "probe_cuont": 3"#).unwrap();
        assert!(unknown.warnings[0].detail.contains("did you mean `probe_count`"));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let pointer = |problem: Problem| problem.errors[0].pointer.clone();
        let refused = |members: &str| pointer(read(members).unwrap_err());
        assert_eq!(refused(r#", "probe_count": 0"#), "/probe_count");
        assert_eq!(refused(r#", "probe_count": 101"#), "/probe_count");
        assert_eq!(refused(r#", "rows": []"#), "/rows");
        assert_eq!(refused(r#", "rows": [1, -2]"#), "/rows/1");
        assert_eq!(refused(r#", "rows": [1], "probe_count": 3"#), "/rows");
        assert_eq!(refused(r#", "exhaustive": true, "rows": [1]"#), "/rows");
        assert_eq!(refused(r#", "exhaustive": 1"#), "/exhaustive");
        let many = format!(r#", "rows": [{}1]"#, "1,".repeat(ROWS_MAX));
        assert_eq!(refused(&many), "/rows");
        let missing = VerifyRequest::from_json(b"{}").unwrap_err();
        assert_eq!(pointer(missing), "/session_id");
        assert_eq!(pointer(VerifyRequest::from_json(b"[]").unwrap_err()), "");
        let odd = VerifyRequest::from_json(br#"{"session_id": "x"}"#).unwrap_err();
        assert_eq!(pointer(odd), "/session_id");
    }
}
