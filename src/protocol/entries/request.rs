//! Reads a request for entries: a system as everywhere or the id of a live session, `entries`, and how
//! close and how dear they may be, either beside them or under `options`.

use std::time::Duration;

use crate::ids::SessionId;
use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, Faults, JsonReader, Kind, Malformed};
use crate::protocol::matrix::{MatrixPlaces, MatrixRequest, read_matrix, unknown_member};
use crate::protocol::options::RequestOptions;
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::solve::{
    SolveRequest, VECTOR_EXPECTED, absent, invalid_system, read_session, text_of,
};
use crate::solver::proof::entry::{Accuracy, InquiryOptions};
use crate::solver::system::{LinearSystem, MatrixArrays};

/// Most entries that one request may ask for: whoever wants more wants a solve.
pub const ENTRIES_MAX: usize = 1_000;

/// Longest time that a request may take.
pub const TIME_BUDGET_MAX: Duration = Duration::from_secs(60);

const MEMBERS: [&str; 11] = [
    "session_id",
    "matrix",
    "vector",
    "entries",
    "accuracy",
    "confidence",
    "seed",
    "touched_entries_max",
    "time_budget_ms",
    "memory_bytes_max",
    "options",
];

/// How entries are to be found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntriesOptions {
    pub inquiry: InquiryOptions,
    /// Looked at between steps and every few thousand entries; a factorisation is not broken off.
    pub time_budget: Duration,
}

impl Default for EntriesOptions {
    fn default() -> Self {
        let inquiry = InquiryOptions {
            accuracy: Accuracy::Relative(1e-3),
            failure: 0.0,
            seed: 0,
            entries_max: 1 << 34,
            memory_bytes_max: 1 << 30,
        };
        Self { inquiry, time_budget: Duration::from_secs(10) }
    }
}

/// A request whose members have the right types.
#[derive(Debug, Clone, PartialEq)]
pub enum EntriesRequest {
    OfSystem(Box<EntriesOfSystem>),
    OfSession(EntriesOfSession),
}

/// A question about a system of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct EntriesOfSystem {
    rows: usize,
    cols: usize,
    arrays: MatrixArrays,
    vector: Vec<f64>,
    places: MatrixPlaces,
    asked: Asked,
}

/// A question to a live session.
#[derive(Debug, Clone, PartialEq)]
pub struct EntriesOfSession {
    pub session: SessionId,
    pub asked: Asked,
}

/// Which entries, and how they are to be found.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub entries: Vec<usize>,
    /// Where `entries` stood.
    at: String,
    pub options: EntriesOptions,
    pub warnings: Vec<Warning>,
}

/// A system and which of its unknowns are wanted, all in range.
#[derive(Debug)]
pub struct PreparedEntries {
    pub system: LinearSystem,
    pub entries: Vec<usize>,
    pub options: EntriesOptions,
    pub warnings: Vec<Warning>,
}

impl EntriesRequest {
    /// Reads a JSON body. Linear in it.
    ///
    /// # Errors
    /// A problem that names every fault found, by JSON pointer.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        let text = text_of(body)?;
        let mut reader = JsonReader::new(text, "");
        let mut members = Members::default();
        let expected = "an object with `entries`, and `matrix` and `vector` or `session_id`";
        let is_object = reader.object(expected, |reader, name| members.read(reader, name))?;
        reader.finish()?;
        if is_object {
            members.check_presence(&mut reader.faults, "", members.needed());
        }
        members.check_subject(&mut reader.faults);
        if !reader.faults.is_empty() {
            return Err(Problem::of_faults(ProblemKind::InvalidRequest, &reader.faults));
        }
        let Members { session, matrix, vector, entries, options, warnings, .. } = members;
        let (entries, at) = entries.unwrap_or_default();
        let asked = Asked { entries, at, options, warnings };
        match (session, matrix) {
            (Some(session), _) => Ok(Self::OfSession(EntriesOfSession { session, asked })),
            (None, Some(MatrixRequest { rows, cols, arrays, places })) => {
                let vector = vector.unwrap_or_default();
                let system = EntriesOfSystem { rows, cols, arrays, vector, places, asked };
                Ok(Self::OfSystem(Box::new(system)))
            }
            (None, None) => Err(Problem::of_faults(ProblemKind::InvalidRequest, &reader.faults)),
        }
    }
}

impl EntriesOfSystem {
    /// Reads an uploaded form: the matrix and right-hand side as files, `entries` and all else in the
    /// part `options`, a JSON object.
    ///
    /// # Errors
    /// A problem that names the part.
    pub fn from_files(
        matrix: &[u8],
        vector: Option<&[u8]>,
        options: Option<&[u8]>,
    ) -> Result<Self, Problem> {
        let place = "options";
        let text = std::str::from_utf8(options.unwrap_or(b"{}")).map_err(|_| {
            Problem::new(ProblemKind::MalformedBody, format!("`{place}` is not UTF-8"))
        })?;
        let mut reader = JsonReader::new(text, place);
        let mut members = Members::default();
        reader
            .object("an object with `entries`", |reader, name| members.read_option(reader, name))?;
        reader.finish()?;
        members.check_presence(&mut reader.faults, place, &["entries"]);
        if !reader.faults.is_empty() {
            return Err(Problem::of_faults(ProblemKind::InvalidRequest, &reader.faults));
        }
        let files = SolveRequest::from_files(matrix, vector, RequestOptions::default())?;
        let (entries, at) = members.entries.unwrap_or_default();
        let SolveRequest { rows, cols, arrays, vector, places, warnings, .. } = files;
        let warnings = [members.warnings, warnings].concat();
        let asked = Asked { entries, at, options: members.options, warnings };
        Ok(Self { rows, cols, arrays, vector, places, asked })
    }

    /// Assembles the system and checks that it has the entries asked for: O(nnz).
    ///
    /// # Errors
    /// A problem that names every fault of the system, or each entry that is out of range.
    pub fn prepare(self) -> Result<PreparedEntries, Problem> {
        let Self { rows, cols, arrays, vector, places, asked } = self;
        let system = LinearSystem::assemble(rows, cols, arrays, vector)
            .map_err(|faults| invalid_system(&places, faults))?;
        asked.check(rows)?;
        let Asked { entries, at: _, options, warnings } = asked;
        Ok(PreparedEntries { system, entries, options, warnings })
    }
}

impl Asked {
    /// Whether there are such entries among `unknowns`.
    ///
    /// # Errors
    /// Each that is beyond the last, by its place.
    pub fn check(&self, unknowns: usize) -> Result<(), Problem> {
        let mut faults = Faults::default();
        let beyond = self.entries.iter().enumerate().filter(|(_, entry)| **entry >= unknowns);
        for (place, entry) in beyond {
            faults.push(Fault {
                pointer: format!("{}/{place}", self.at),
                expected: format!("an index below {unknowns}, the number of unknowns"),
                found: entry.to_string(),
            });
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Problem::of_faults(ProblemKind::InvalidRequest, &faults)),
        }
    }
}

#[derive(Default)]
struct Members {
    session: Option<SessionId>,
    matrix: Option<MatrixRequest>,
    vector: Option<Vec<f64>>,
    /// With where they stood.
    entries: Option<(Vec<usize>, String)>,
    options: EntriesOptions,
    warnings: Vec<Warning>,
    seen: Vec<&'static str>,
}

impl Members {
    fn read(&mut self, reader: &mut JsonReader<'_>, name: &str) -> Result<(), Malformed> {
        match name {
            "session_id" if reader.null()? => {}
            "session_id" => {
                self.seen.push("session_id");
                self.session = read_session(reader)?;
            }
            "matrix" => {
                self.seen.push("matrix");
                self.matrix = read_matrix(reader, &mut self.warnings)?;
            }
            "vector" => {
                self.seen.push("vector");
                self.vector = reader.numbers()?;
            }
            "options" if reader.null()? => {}
            "options" => {
                reader.object("an object of options", |reader, name| {
                    self.read_option(reader, name)
                })?;
            }
            _ => self.read_option(reader, name)?,
        }
        Ok(())
    }

    fn read_option(&mut self, reader: &mut JsonReader<'_>, name: &str) -> Result<(), Malformed> {
        if name == "entries" {
            self.seen.push("entries");
            return self.read_entries(reader);
        }
        if reader.null()? {
            return Ok(());
        }
        let EntriesOptions { inquiry, time_budget } = &mut self.options;
        match name {
            "accuracy" => set(&mut inquiry.accuracy, accuracy(reader)?),
            "confidence" => set(&mut inquiry.failure, failure(reader)?),
            "seed" => set(&mut inquiry.seed, reader.integer(0..=u64::MAX)?),
            "touched_entries_max" => {
                set(&mut inquiry.entries_max, reader.integer(1..=u64::MAX)?);
            }
            "memory_bytes_max" => {
                set(&mut inquiry.memory_bytes_max, reader.integer(1..=u64::MAX)?);
            }
            "time_budget_ms" => {
                let longest = TIME_BUDGET_MAX.as_millis() as u64;
                set(time_budget, reader.integer(1..=longest)?.map(Duration::from_millis));
            }
            _ => {
                self.warnings.push(unknown_member(reader, name, &MEMBERS));
                reader.skip()?;
            }
        }
        Ok(())
    }

    fn read_entries(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Malformed> {
        let mut entries = vec![];
        let mut count = 0;
        let is_array = reader.array("an array of indices", |reader, _| {
            count += 1;
            // Bounded before they are kept.
            if count > ENTRIES_MAX {
                return reader.skip();
            }
            if let Some(entry) = reader.integer(0..=u64::from(u32::MAX))? {
                entries.push(entry as usize);
            }
            Ok(())
        })?;
        if is_array && !(1..=ENTRIES_MAX).contains(&count) {
            let expected = format!("1 to {ENTRIES_MAX} indices; for more, solve the system");
            reader.fault(expected, format!("{count}"));
        }
        self.entries = Some((entries, reader.pointer().to_owned()));
        Ok(())
    }

    /// A session has its system.
    fn check_subject(&self, faults: &mut Faults) {
        let is_beside = |name: &&&str| self.seen.contains(*name);
        for name in ["matrix", "vector"].iter().filter(is_beside) {
            if self.seen.contains(&"session_id") {
                let expected = "nothing beside `session_id`: the session has its system".to_owned();
                let found = "another system".to_owned();
                faults.push(Fault { pointer: format!("/{name}"), expected, found });
            }
        }
    }

    fn needed(&self) -> &'static [&'static str] {
        match self.seen.contains(&"session_id") {
            true => &["entries"],
            false => &["matrix", "vector", "entries"],
        }
    }

    fn check_presence(&self, faults: &mut Faults, place: &str, names: &[&'static str]) {
        for name in names.iter().filter(|name| !self.seen.contains(name)) {
            let expected = match *name {
                "matrix" => "a matrix, or `session_id`",
                "vector" => VECTOR_EXPECTED,
                _ => "the indices wanted, an array that counts from 0",
            };
            faults.push(absent(place, name, expected));
        }
    }
}

/// A number, relative to the entry, or an object that says `relative` or `absolute`.
fn accuracy(reader: &mut JsonReader<'_>) -> Result<Option<Accuracy>, Malformed> {
    const EXPECTED: &str = "a number, {\"relative\": number} or {\"absolute\": number}";
    match reader.peek()? {
        Kind::Number => Ok(part(reader)?.map(Accuracy::Relative)),
        Kind::Object => {
            let mut found = vec![];
            let mut others = 0;
            reader.object(EXPECTED, |reader, name| {
                match name {
                    "relative" => found.push(part(reader)?.map(Accuracy::Relative)),
                    "absolute" => found.push(size(reader)?.map(Accuracy::Absolute)),
                    _ => {
                        others += 1;
                        reader.skip()?;
                    }
                }
                Ok(())
            })?;
            match (found.as_slice(), others) {
                ([accuracy], 0) => Ok(*accuracy),
                _ => {
                    reader.fault(EXPECTED, "another object");
                    Ok(None)
                }
            }
        }
        Kind::Array | Kind::String | Kind::Boolean | Kind::Null => {
            reader.wrong(EXPECTED)?;
            Ok(None)
        }
    }
}

fn part(reader: &mut JsonReader<'_>) -> Result<Option<f64>, Malformed> {
    within(reader, "a number above 0 and below 1", |value| value > 0.0 && value < 1.0)
}

fn size(reader: &mut JsonReader<'_>) -> Result<Option<f64>, Malformed> {
    within(reader, "a number above 0", |value| value > 0.0)
}

/// `1 − confidence`; 0, a proof, for `"proven"`.
fn failure(reader: &mut JsonReader<'_>) -> Result<Option<f64>, Malformed> {
    let expected = "a number from 0.5 to below 1, or nothing for a proof";
    let confidence = within(reader, expected, |value| (0.5..1.0).contains(&value))?;
    Ok(confidence.map(|confidence| 1.0 - confidence))
}

fn within(
    reader: &mut JsonReader<'_>,
    expected: &str,
    is_good: impl Fn(f64) -> bool,
) -> Result<Option<f64>, Malformed> {
    if reader.peek()? != Kind::Number {
        reader.wrong(expected)?;
        return Ok(None);
    }
    let found = reader.describe()?;
    let value = reader.number()?;
    if value.is_some_and(|value| !is_good(value)) {
        reader.fault(expected, found);
        return Ok(None);
    }
    Ok(value)
}

/// Keeps the default where the value was a fault.
fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = r#""matrix": [[4, 1], [1, 3]], "vector": [1, 2]"#;

    fn request(members: &str) -> Result<EntriesOfSystem, Problem> {
        let body = format!("{{{SYSTEM}, {members}}}");
        match EntriesRequest::from_json(body.as_bytes())? {
            EntriesRequest::OfSystem(request) => Ok(*request),
            EntriesRequest::OfSession(question) => panic!("no session was named: {question:?}"),
        }
    }

    fn read(members: &str) -> Result<Asked, Problem> {
        request(members).map(|request| request.asked)
    }

    fn pointers(problem: &Problem) -> Vec<&str> {
        problem.errors.iter().map(|entry| entry.pointer.as_str()).collect()
    }

    #[test]
    fn options_stand_beside_the_system_or_under_options() {
        let members = r#""entries": [1, 0], "accuracy": 1e-5, "confidence": 0.99, "seed": 7"#;
        let beside = read(members).unwrap();
        assert_eq!((beside.entries.as_slice(), beside.warnings.len()), (&[1, 0][..], 0));
        assert_eq!(beside.options.inquiry.accuracy, Accuracy::Relative(1e-5));
        assert!((beside.options.inquiry.failure - 0.01).abs() < 1e-15);
        let under = read(&format!(r#""options": {{{members}}}"#)).unwrap();
        assert_eq!((under.options, under.entries), (beside.options, beside.entries));
        assert_eq!(under.at, "/options/entries");
    }

    #[test]
    fn accuracy_is_relative_unless_it_says_absolute() {
        let accuracy = |text: &str| {
            read(&format!(r#""entries": [0], "accuracy": {text}"#))
                .map(|request| request.options.inquiry.accuracy)
        };
        assert_eq!(accuracy("0.5").unwrap(), Accuracy::Relative(0.5));
        assert_eq!(accuracy(r#"{"absolute": 2}"#).unwrap(), Accuracy::Absolute(2.0));
        assert_eq!(accuracy("null").unwrap(), Accuracy::Relative(1e-3));
        for bad in ["0", "1", "\"high\"", "{}", r#"{"absolute": 1, "relative": 0.1}"#] {
            assert_eq!(pointers(&accuracy(bad).unwrap_err()), ["/accuracy"], "{bad}");
        }
        let bad = accuracy(r#"{"absolute": -1}"#).unwrap_err();
        assert_eq!(pointers(&bad), ["/accuracy/absolute"]);
    }

    #[test]
    fn bad_members_are_all_named() {
        let problem = read(r#""entries": [0, -1, 1.5, "x"], "confidence": 1, "time_budget_ms": 0"#);
        assert_eq!(
            pointers(&problem.unwrap_err()),
            ["/entries/1", "/entries/2", "/entries/3", "/confidence", "/time_budget_ms"]
        );
        assert_eq!(
            pointers(&EntriesRequest::from_json(b"{}").unwrap_err()),
            ["/matrix", "/vector", "/entries"]
        );
        let many = format!(r#""entries": [{}0]"#, "0,".repeat(ENTRIES_MAX));
        for none in [r#""entries": []"#, r#""entries": 3"#, many.as_str()] {
            assert_eq!(pointers(&read(none).unwrap_err()), ["/entries"], "{none}");
        }
        let warned = read(r#""entries": [0], "acuracy": 1e-3"#).unwrap();
        assert!(warned.warnings[0].detail.contains("accuracy"), "{:?}", warned.warnings);
    }

    #[test]
    fn entries_out_of_range_are_named_by_their_place() {
        let problem = request(r#""entries": [0, 2, 1, 9]"#).unwrap().prepare().unwrap_err();
        assert_eq!(pointers(&problem), ["/entries/1", "/entries/3"]);
        assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    }
}
