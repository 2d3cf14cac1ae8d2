//! `weir simulate`: runs a scenario under virtual time and prints what happened. Exit code 0 when
//! every client came to its planned end, 1 when not, 2 when the scenario is at fault.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cli::text::seconds;
use crate::simulation::scenario::Scenario;
use crate::simulation::world::{self, WorldOutcome};

const EXAMPLES: &str = "\
Exit codes:
  0  every client got its end frame or left as planned
  1  the time limit came first, or a stream broke off
  2  the scenario cannot be read or built

Examples:
  weir simulate scenarios/client_leaves.yaml --seed 1
  weir simulate scenarios/client_leaves.yaml --seed 1 --trace once.txt
  weir simulate scenarios/client_leaves.yaml --seed 1 | cmp - once.txt && echo the same bytes";

/// Run a scenario under virtual time
///
/// The actors that serve real clients run on one thread and a clock that moves only when all of them
/// wait. The same scenario and seed give the same trace, to the byte.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SimulateArguments {
    /// The scenario, YAML
    #[arg(value_name = "FILE")]
    scenario: PathBuf,
    /// Where all chance in the world comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the trace to this file instead of standard output
    #[arg(long, value_name = "OUT")]
    trace: Option<PathBuf>,
}

/// Runs the scenario and reports.
pub fn run(arguments: &SimulateArguments) -> ExitCode {
    match simulate(arguments) {
        Ok(outcome) if outcome.clients_done == outcome.clients => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn simulate(arguments: &SimulateArguments) -> Result<WorldOutcome, String> {
    let path = &arguments.scenario;
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| at(&error))?;
    let scenario = Scenario::from_yaml(&text).map_err(|error| at(&error))?;
    let outcome = world::run(&scenario, arguments.seed).map_err(|error| at(&error))?;
    write_trace(&outcome.trace, arguments.trace.as_deref())?;
    eprintln!(
        "{}: seed {}, {} of {} clients came to their end in {} of simulated time, trace {}",
        scenario.name,
        arguments.seed,
        outcome.clients_done,
        outcome.clients,
        seconds(outcome.elapsed),
        &blake3::hash(outcome.trace.as_bytes()).to_hex()[..16],
    );
    Ok(outcome)
}

fn write_trace(trace: &str, path: Option<&Path>) -> Result<(), String> {
    match path {
        Some(path) => {
            fs::write(path, trace).map_err(|error| format!("{}: {error}", path.display()))
        }
        None => match std::io::stdout().write_all(trace.as_bytes()) {
            // A reader such as `head` that has seen enough is no error.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(format!("standard output: {error}"))
            }
            _ => Ok(()),
        },
    }
}
