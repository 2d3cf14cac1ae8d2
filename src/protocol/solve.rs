//! A request to solve, from its bytes to an engine that is ready to step. Everything here is pure and
//! may take hundreds of milliseconds for large systems: run it on a thread that serves nobody else.

use crate::ids::SessionId;
use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, JsonReader, Malformed};
use crate::protocol::matrix::{MatrixPlaces, MatrixRequest, read_matrix, unknown_member};
use crate::protocol::options::{RequestOptions, located, not_acted_on};
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::stream_options::StreamOptions;
use crate::solver::analysis::Analysis;
use crate::solver::engine::Engine;
use crate::solver::live::LiveEngine;
use crate::solver::options::SolveOptions;
use crate::solver::system::{LinearSystem, MatrixArrays, SystemFault};

/// Members of the request that are read; `type` and those not acted on are known, too.
const MEMBERS: [&str; 8] =
    ["type", "session_id", "matrix", "vector", "method", "options", "initial_guess", "flow_nexus"];

/// A request whose members have the right types; whether they are a system is checked by
/// [`prepare`](Self::prepare).
#[derive(Debug, Clone, PartialEq)]
pub struct SolveRequest {
    pub rows: usize,
    pub cols: usize,
    pub arrays: MatrixArrays,
    pub vector: Vec<f64>,
    pub initial_guess: Option<Vec<f64>>,
    pub options: SolveOptions,
    pub stream: StreamOptions,
    pub warnings: Vec<Warning>,
    pub places: MatrixPlaces,
}

/// A session that only needs to be opened.
pub struct PreparedSession {
    pub engine: Box<Engine>,
    pub stream: StreamOptions,
    pub warnings: Vec<Warning>,
}

impl SolveRequest {
    /// Reads the plan's JSON body (2.1). Linear in the body; the arrays are read straight into their
    /// vectors.
    ///
    /// # Errors
    /// A problem that names every fault found, by JSON pointer.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        let text = text_of(body)?;
        let mut reader = JsonReader::new(text, "");
        let mut members = Members::default();
        let is_object = reader.object("an object with `matrix` and `vector`", |reader, name| {
            members.read(reader, name)
        })?;
        reader.finish()?;
        if is_object {
            members.check_presence(&mut reader);
        }
        let faults = &mut reader.faults;
        let option_faults = members.options.solve.faults();
        option_faults.into_iter().for_each(|fault| faults.push(located("/options/", fault)));
        let Members { matrix: Some(matrix), vector, .. } = members else {
            return Err(Problem::of_faults(ProblemKind::InvalidRequest, faults));
        };
        let vector = vector.unwrap_or_default();
        if !faults.is_empty() {
            return Err(Problem::of_faults(ProblemKind::InvalidRequest, faults));
        }
        let MatrixRequest { rows, cols, arrays, places } = matrix;
        let RequestOptions { solve, stream, warnings } = members.options;
        let initial_guess = members.initial_guess;
        Ok(Self {
            rows,
            cols,
            arrays,
            vector,
            initial_guess,
            options: solve,
            stream,
            warnings,
            places,
        })
    }

    /// Assembles, analyses and chooses a method: O(nnz).
    ///
    /// # Errors
    /// A problem that names every fault of the system, or why the method cannot work on it.
    pub fn prepare(self) -> Result<PreparedSession, Problem> {
        let Self { rows, cols, arrays, vector, initial_guess, options, stream, warnings, places } =
            self;
        let system = LinearSystem::assemble(rows, cols, arrays, vector)
            .map_err(|faults| invalid_system(&places, faults))?;
        let analysis = Analysis::of(&system);
        let engine = Engine::new(system, analysis, initial_guess, options)?;
        if stream.live {
            LiveEngine::admits(&engine).map_err(|refusal| {
                Problem::new(ProblemKind::InvalidSystem, refusal.to_string())
                    .with_way_out("leave `live` out: the system is then solved once")
            })?;
        }
        Ok(PreparedSession { engine: Box::new(engine), stream, warnings })
    }
}

/// The text of a JSON body.
pub(super) fn text_of(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|error| {
        let detail = format!("the body is not UTF-8 from byte {} on", error.valid_up_to());
        Problem::new(ProblemKind::MalformedBody, detail)
    })
}

/// The id of a session; none, and a fault, where it is something else.
pub(super) fn read_session(reader: &mut JsonReader<'_>) -> Result<Option<SessionId>, Malformed> {
    const EXPECTED: &str = "the id of a session, a UUID";
    let found = reader.describe()?;
    let Some(text) = reader.string(EXPECTED)? else { return Ok(None) };
    let session = text.parse().ok();
    if session.is_none() {
        reader.fault(EXPECTED, found);
    }
    Ok(session)
}

/// What `vector` is expected to be.
pub(super) const VECTOR_EXPECTED: &str = "the right-hand side, an array of numbers";

/// The fault that a member is missing.
pub(super) fn absent(place: &str, name: &str, expected: &str) -> Fault {
    let (expected, found) = (expected.to_owned(), "nothing".to_owned());
    Fault { pointer: format!("{place}/{name}"), expected, found }
}

/// The problem of arrays that are not a system.
pub fn invalid_system(places: &MatrixPlaces, faults: Vec<SystemFault>) -> Problem {
    let mut located = crate::protocol::json::Faults::default();
    faults.into_iter().for_each(|fault| located.push(places.locate(fault)));
    Problem::of_faults(ProblemKind::InvalidSystem, &located)
}

#[derive(Default)]
struct Members {
    matrix: Option<MatrixRequest>,
    vector: Option<Vec<f64>>,
    initial_guess: Option<Vec<f64>>,
    options: RequestOptions,
    matrix_seen: bool,
    vector_seen: bool,
}

impl Members {
    fn read(&mut self, reader: &mut JsonReader<'_>, name: &str) -> Result<(), Malformed> {
        match name {
            "matrix" => {
                self.matrix_seen = true;
                self.matrix = read_matrix(reader, &mut self.options.warnings)?;
            }
            "vector" => {
                self.vector_seen = true;
                self.vector = reader.numbers()?;
            }
            "initial_guess" if reader.null()? => {}
            "initial_guess" => self.initial_guess = reader.numbers()?,
            "method" => self.options.read(reader, name)?,
            "options" => self.options.read_all(reader)?,
            "type" => {
                let found = reader.describe()?;
                if reader.string("\"solve_request\"")?.is_some_and(|text| text != "solve_request") {
                    reader.fault("the string \"solve_request\"", found);
                }
            }
            "session_id" => {
                self.options.warnings.push(Warning {
                    pointer: reader.pointer().to_owned(),
                    detail: "ignored: the server names the session, in every frame".to_owned(),
                });
                reader.skip()?;
            }
            "flow_nexus" => {
                self.options.warnings.push(not_acted_on(reader));
                reader.skip()?;
            }
            _ => {
                self.options.warnings.push(unknown_member(reader, name, &MEMBERS));
                reader.skip()?;
            }
        }
        Ok(())
    }

    fn check_presence(&self, reader: &mut JsonReader<'_>) {
        let members = [
            ("matrix", self.matrix_seen, "a matrix"),
            ("vector", self.vector_seen, VECTOR_EXPECTED),
        ];
        for (name, seen, expected) in members {
            if !seen {
                reader.faults.push(absent("", name, expected));
            }
        }
    }
}
