//! Problem documents (RFC 9457): how a request that cannot be served is answered, and the conversion of
//! faults found by the layers below. What kinds of problems there are is in `kind`.

mod kind;

pub use kind::ProblemKind;

use std::time::Duration;

use crate::protocol::json::{Fault, Faults, JsonObject, Malformed};
use crate::solver::outcome::Refusal;

/// One problem document.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// What is wrong this time, in one sentence.
    pub detail: String,
    /// What is wrong with which member.
    pub errors: Vec<ProblemEntry>,
    /// Further entries that are not listed.
    pub errors_omitted: u64,
    /// What would work instead, where there is something.
    pub way_out: Option<String>,
    /// When to try again, where that helps; also a header.
    pub retry_after: Option<Duration>,
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct ProblemEntry {
    /// JSON pointer into the body; `?name` for a parameter of the address.
    pub pointer: String,
    pub detail: String,
    pub expected: Option<String>,
    pub found: Option<String>,
    /// The value that the server holds, where the fault depends on it.
    pub held: Option<f64>,
}

impl From<&Fault> for ProblemEntry {
    fn from(Fault { pointer, expected, found }: &Fault) -> Self {
        Self {
            pointer: pointer.clone(),
            detail: format!("expected {expected}, found {found}"),
            expected: Some(expected.clone()),
            found: Some(found.clone()),
            held: None,
        }
    }
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: vec![],
            errors_omitted: 0,
            way_out: None,
            retry_after: None,
        }
    }

    pub fn with_way_out(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }

    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// The problem of a text with `faults`; its kind says whose.
    pub fn of_faults(kind: ProblemKind, faults: &Faults) -> Self {
        let errors: Vec<ProblemEntry> = faults.list().iter().map(ProblemEntry::from).collect();
        let total = errors.len() as u64 + faults.omitted();
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", place(&only.pointer), only.detail),
            [first, ..] => {
                format!("{total} faults; the first at {}: {}", place(&first.pointer), first.detail)
            }
            [] => kind.title().to_owned(),
        };
        Self { errors, errors_omitted: faults.omitted(), ..Self::new(kind, detail) }
    }

    /// The document, as `application/problem+json`.
    pub fn to_json(&self) -> Vec<u8> {
        let Self { kind, detail, errors, errors_omitted, way_out, retry_after } = self;
        let mut out = Vec::with_capacity(256 + 128 * errors.len());
        let mut document = JsonObject::open(&mut out);
        document
            .text("type", &format!("/problems/{}", kind.code()))
            .text("title", kind.title())
            .integer("status", u64::from(kind.status()))
            .text("detail", detail);
        if !errors.is_empty() {
            document.array("errors", errors, write_entry);
        }
        if *errors_omitted > 0 {
            document.integer("errors_omitted", *errors_omitted);
        }
        if let Some(way_out) = way_out {
            document.text("way_out", way_out);
        }
        if let Some(retry_after) = retry_after {
            document.number("retry_after_s", retry_after.as_secs_f64());
        }
        document.close();
        out
    }
}

fn write_entry(out: &mut Vec<u8>, entry: &ProblemEntry) {
    let ProblemEntry { pointer, detail, expected, found, held } = entry;
    let mut object = JsonObject::open(out);
    object.text("pointer", pointer).text("detail", detail);
    if let Some(expected) = expected {
        object.text("expected", expected);
    }
    if let Some(found) = found {
        object.text("found", found);
    }
    if let Some(held) = held {
        object.number("held", *held);
    }
    object.close();
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the body" } else { pointer }
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        let mut problem = Self::new(ProblemKind::MalformedBody, malformed.to_string());
        problem.errors.push(ProblemEntry {
            pointer: malformed.pointer,
            detail: malformed.detail,
            expected: None,
            found: None,
            held: None,
        });
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let (kind, pointer, way_out) = match &refusal {
            Refusal::ZeroDiagonal { instead, .. }
            | Refusal::NotSymmetric { instead, .. }
            | Refusal::NotPositiveDefinite { instead, .. }
            | Refusal::WrongClass { instead, .. } => (
                ProblemKind::UnsuitableMethod,
                "/method".to_owned(),
                Some(format!("use method `{instead}`, or `hybrid`, which chooses for you")),
            ),
            Refusal::StructurallySingular { .. } => (
                ProblemKind::InvalidSystem,
                "/matrix".to_owned(),
                Some(
                    "check for missing rows or columns; no method can solve it as it is".to_owned(),
                ),
            ),
            Refusal::UselessPreconditioner { .. } => (
                ProblemKind::UnsuitableMethod,
                "/options/preconditioner".to_owned(),
                Some(
                    "leave `preconditioner` out: the method chooses one that it can use".to_owned(),
                ),
            ),
            Refusal::GuessLength { .. } => {
                (ProblemKind::InvalidRequest, "/initial_guess".to_owned(), None)
            }
            Refusal::GuessNotFinite { index, .. } => {
                (ProblemKind::InvalidRequest, format!("/initial_guess/{index}"), None)
            }
            Refusal::Option(fault) => {
                (ProblemKind::InvalidRequest, format!("/options/{}", fault.member), None)
            }
        };
        let (expected, found) = match refusal {
            Refusal::Option(fault) => (Some(fault.expected.to_owned()), Some(fault.found)),
            Refusal::GuessLength { expected, found } => {
                (Some(format!("{expected} entries")), Some(format!("{found} entries")))
            }
            _ => (None, None),
        };
        let entry = ProblemEntry { pointer, detail: detail.clone(), expected, found, held: None };
        Self { errors: vec![entry], way_out, ..Self::new(kind, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::options::MethodName;

    #[test]
    fn a_refusal_names_the_member_and_the_way_out() {
        let problem = Problem::from(Refusal::NotPositiveDefinite {
            row: 3,
            value: -1.0,
            instead: MethodName::Gmres,
        });
        let text = String::from_utf8(problem.to_json()).unwrap();
        insta::assert_snapshot!(text, @r#"{"type":"/problems/unsuitable-method","title":"The method cannot work on this system","status":422,"detail":"cg needs a positive definite matrix, but diagonal entry 3 is -1; try gmres","errors":[{"pointer":"/method","detail":"cg needs a positive definite matrix, but diagonal entry 3 is -1; try gmres"}],"way_out":"use method `gmres`, or `hybrid`, which chooses for you"}"#);
    }
}
