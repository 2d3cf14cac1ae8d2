//! The options of a request: how to solve and how to announce it, from the JSON member `options`, from
//! an uploaded part, or from the address.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use crate::policy::announcing::UpdateEvery;
use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, JsonReader, Kind, Malformed, write_string};
use crate::protocol::matrix::unknown_member;
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::stream_options::{FLUSH_INTERVAL_MAX, StreamOptions, TIME_BUDGET_MAX};
use crate::solver::change_tracker::XPartialMax;
use crate::solver::options::{OptionFault, SolveOptions, UnknownName};

/// Every option there is.
const OPTIONS: [&str; 18] = [
    "method",
    "tolerance",
    "max_iterations",
    "preconditioner",
    "damping",
    "sweep",
    "restart",
    "auto_correction",
    "memory_bytes_max",
    "time_budget_ms",
    "x_partial_max",
    "update_every",
    "include_solution",
    "flush_interval_ms",
    "live",
    "swarm_enabled",
    "verification_enabled",
    "verification_interval",
];

/// What a request says about solving and announcing.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestOptions {
    pub solve: SolveOptions,
    pub stream: StreamOptions,
    pub warnings: Vec<Warning>,
}

impl Default for RequestOptions {
    /// Who asks a server wants an answer: it mends its methods unless it is told not to.
    fn default() -> Self {
        Self {
            solve: SolveOptions { auto_correction: true, ..SolveOptions::default() },
            stream: StreamOptions::default(),
            warnings: vec![],
        }
    }
}

impl RequestOptions {
    /// Reads the object of options that is next.
    pub fn read_all(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Malformed> {
        if reader.null()? {
            return Ok(());
        }
        reader.object("an object of options", |reader, name| self.read(reader, name)).map(drop)
    }

    /// Reads the option `name`, whose value is next; `null` leaves the default.
    pub fn read(&mut self, reader: &mut JsonReader<'_>, name: &str) -> Result<(), Malformed> {
        if reader.null()? {
            return Ok(());
        }
        let Self { solve, stream, warnings } = self;
        match name {
            "method" => set(&mut solve.method, named(reader)?),
            "preconditioner" => solve.preconditioner = named(reader)?,
            "sweep" => set(&mut solve.sweep, named(reader)?),
            "tolerance" => set(&mut solve.tolerance, reader.number()?),
            "damping" => set(&mut solve.damping, reader.number()?),
            "max_iterations" => set(&mut solve.iterations_max, reader.integer(1..=u64::MAX)?),
            "restart" => {
                set(&mut solve.restart, reader.integer(1..=1_000)?.map(|restart| restart as usize));
            }
            "memory_bytes_max" => {
                set(&mut solve.memory_bytes_max, reader.integer(1..=u64::MAX)?);
            }
            "time_budget_ms" => stream.time_budget = milliseconds(reader, TIME_BUDGET_MAX)?,
            "flush_interval_ms" => {
                stream.flush_interval = milliseconds(reader, FLUSH_INTERVAL_MAX)?
            }
            "auto_correction" => set(&mut solve.auto_correction, reader.boolean()?),
            "include_solution" => set(&mut stream.include_solution, reader.boolean()?),
            "x_partial_max" => set(&mut stream.x_partial_max, x_partial_max(reader)?),
            "update_every" => set(&mut stream.update_every, update_every(reader)?),
            // Either makes the session live: a swarm sends its costs to sessions that stay.
            "live" | "swarm_enabled" => stream.live |= reader.boolean()?.unwrap_or(false),
            "verification_enabled" => set(&mut stream.verification_enabled, reader.boolean()?),
            "verification_interval" => {
                let interval = reader.integer(1..=u64::MAX)?.and_then(NonZeroU64::new);
                set(&mut stream.verification_interval, interval);
            }
            _ => {
                warnings.push(unknown_member(reader, name, &OPTIONS));
                reader.skip()?;
            }
        }
        Ok(())
    }

    /// The options in the query string of an address, named as in JSON.
    ///
    /// # Errors
    /// A problem that names each unknown parameter and each value out of place.
    pub fn of_query<'q>(
        pairs: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Self, Problem> {
        let mut options = Self::default();
        let mut faults = crate::protocol::json::Faults::default();
        for (name, value) in pairs {
            let mut text = value.to_owned();
            let mut reader = JsonReader::new(&text, &format!("?{name}"));
            // `cg` needs no quotes in an address; numbers, `true` and `false` are read as they stand.
            if reader.peek().is_err() || reader.skip().is_err() || reader.finish().is_err() {
                let mut quoted = Vec::new();
                write_string(&mut quoted, value);
                text = String::from_utf8(quoted).expect("a quoted string is UTF-8");
            }
            let mut reader = JsonReader::new(&text, &format!("?{name}"));
            options.read(&mut reader, name)?;
            reader.faults.list().iter().for_each(|fault| faults.push(fault.clone()));
        }
        for warning in std::mem::take(&mut options.warnings) {
            let Warning { pointer, detail } = warning;
            faults.push(Fault { pointer, expected: "an option".into(), found: detail });
        }
        options.solve.faults().into_iter().for_each(|fault| faults.push(located("?", fault)));
        if faults.is_empty() {
            return Ok(options);
        }
        Err(Problem::of_faults(ProblemKind::InvalidQuery, &faults))
    }
}

/// The fault of an option, as a fault of the member `prefix` + name.
pub fn located(prefix: &str, fault: OptionFault) -> Fault {
    let OptionFault { member, expected, found } = fault;
    Fault { pointer: format!("{prefix}{member}"), expected: expected.to_owned(), found }
}

/// The warning about a member of the plan that is accepted, but that nothing acts on yet.
pub fn not_acted_on(reader: &JsonReader<'_>) -> Warning {
    Warning {
        pointer: reader.pointer().to_owned(),
        detail: "accepted, but nothing acts on it yet".to_owned(),
    }
}

/// Keeps the default where the value was a fault.
fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn named<T: FromStr<Err = UnknownName>>(
    reader: &mut JsonReader<'_>,
) -> Result<Option<T>, Malformed> {
    let Some(text) = reader.string("a name")? else { return Ok(None) };
    match text.parse() {
        Ok(value) => Ok(Some(value)),
        Err(UnknownName { found, expected }) => {
            let found: String = found.chars().take(40).collect();
            reader.fault(format!("one of {}", expected.join(", ")), format!("`{found}`"));
            Ok(None)
        }
    }
}

fn milliseconds(
    reader: &mut JsonReader<'_>,
    longest: Duration,
) -> Result<Option<Duration>, Malformed> {
    Ok(reader.integer(1..=longest.as_millis() as u64)?.map(Duration::from_millis))
}

fn x_partial_max(reader: &mut JsonReader<'_>) -> Result<Option<XPartialMax>, Malformed> {
    if word(reader, "all")? {
        return Ok(Some(XPartialMax::All));
    }
    if reader.peek()? == Kind::Number {
        let limit = reader.integer(0..=u64::from(u32::MAX))?;
        return Ok(limit.map(|limit| XPartialMax::AtMost(limit as u32)));
    }
    reader.wrong("a number of entries, or \"all\"")?;
    Ok(None)
}

fn update_every(reader: &mut JsonReader<'_>) -> Result<Option<UpdateEvery>, Malformed> {
    if word(reader, "auto")? {
        return Ok(Some(UpdateEvery::Auto));
    }
    if reader.peek()? == Kind::Number {
        let every = reader.integer(1..=u64::MAX)?.and_then(NonZeroU64::new);
        return Ok(every.map(UpdateEvery::Every));
    }
    reader.wrong("a number of iterations, or \"auto\"")?;
    Ok(None)
}

/// Reads the string `expected` if it is next, and tells whether it was.
fn word(reader: &mut JsonReader<'_>, expected: &str) -> Result<bool, Malformed> {
    if reader.peek()? != Kind::String || !reader.describe()?.ends_with(&format!(" \"{expected}\""))
    {
        return Ok(false);
    }
    reader.skip()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::options::MethodName;

    #[test]
    fn a_query_reads_like_json_without_quotes() {
        let pairs = [("method", "cg"), ("tolerance", "1e-6"), ("x_partial_max", "all")];
        let options = RequestOptions::of_query(pairs).unwrap();
        assert_eq!(options.solve.method, MethodName::Cg);
        assert_eq!(options.solve.tolerance, 1e-6);
        assert_eq!(options.stream.x_partial_max, XPartialMax::All);
    }

    #[test]
    fn a_session_is_live_when_either_option_says_so() {
        let live = |pairs: &[(&'static str, &'static str)]| {
            RequestOptions::of_query(pairs.iter().copied()).unwrap().stream.live
        };
        assert!(live(&[("live", "true")]) && live(&[("swarm_enabled", "true")]));
        assert!(live(&[("live", "true"), ("swarm_enabled", "false")]));
        assert!(live(&[("swarm_enabled", "true"), ("live", "false")]));
        assert!(!live(&[("live", "false")]) && !live(&[]));
        let problem = RequestOptions::of_query([("live", "2")]).unwrap_err();
        assert_eq!(problem.errors[0].pointer, "?live");
    }

    #[test]
    fn each_bad_parameter_is_named() {
        let pairs = [("method", "cq"), ("tolerance", "2"), ("colour", "red"), ("restart", "[")];
        let problem = RequestOptions::of_query(pairs).unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|entry| entry.pointer.as_str()).collect();
        assert_eq!(pointers, ["?method", "?restart", "?colour", "?tolerance"]);
    }
}
