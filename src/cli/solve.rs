//! `weir solve`: reads a system from files, drives an engine over it and reports. Exit code 0 when
//! converged, 1 when not, 2 when the input or an option is at fault.

mod drive;
mod entries;
mod progress;
mod report;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::duration::parse_duration;
use crate::cli::system_files::{FileError, read_system, read_vector};
use crate::runtime::clock::Clock;
use crate::solver::analysis::Analysis;
use crate::solver::engine::Engine;
use crate::solver::matrix_market::write_vector;
use crate::solver::options::{MethodName, OptionFault, PreconditionerName, SolveOptions, Sweep};
use crate::solver::outcome::Refusal;
use crate::solver::proof::entry::InquiryFault;
use drive::drive;
use progress::ProgressDisplay;
use report::{Report, Timing};

const EXIT_CODES: &str = "\
Exit codes:
  0  converged: the true residual, recomputed at the end, meets the tolerance
  1  not converged; the summary says why and what would work instead
  2  a file, an option or the output path is at fault

Examples:
  weir solve scenarios/systems/case9241pegase.mtx
  weir solve A.mtx b.mtx --method gmres --preconditioner ilu --restart 80 -o x.mtx
  weir solve A.mtx --time-budget 500ms --json | jq .relative_residual
  weir solve A.mtx --entries 3,70 --accuracy 1e-4 --confidence 0.99";

/// Solve A x = b from files
///
/// Reads A and b in Matrix Market form, finds out what the matrix is like, chooses a method (or uses
/// the one you name), solves, and checks the residual b − A x of what it returns. On a terminal a bar
/// shows the decades of residual that are done; piped, only the summary is printed.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SolveArguments {
    /// The matrix A, square, in Matrix Market form
    #[arg(value_name = "A.mtx")]
    matrix: PathBuf,
    /// The right-hand side: Matrix Market or one number a line [default: A_b.mtx beside A.mtx, else ones]
    #[arg(value_name = "b.mtx")]
    rhs: Option<PathBuf>,
    /// Write the solution as a Matrix Market array; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Report as one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    entries: EntriesArguments,
    #[command(flatten)]
    options: OptionArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Solve options")]
struct OptionArguments {
    /// How to solve; hybrid chooses from the analysis, says why, and changes its mind when stuck
    #[arg(short, long, value_name = "NAME", default_value = "hybrid", value_parser = names(MethodName::ALL.map(MethodName::as_str)).try_map(|name| name.parse::<MethodName>()))]
    method: MethodName,
    /// Preconditioner [default: what suits the method and the system]
    #[arg(short, long, value_name = "NAME", value_parser = names(PreconditionerName::ALL.map(PreconditionerName::as_str)).try_map(|name| name.parse::<PreconditionerName>()))]
    preconditioner: Option<PreconditionerName>,
    /// Relative: done when ‖b − A x‖ ≤ tolerance · ‖b‖
    #[arg(short, long, value_name = "NUMBER", default_value = "1e-8")]
    tolerance: f64,
    /// Stop after this many iterations
    #[arg(long, value_name = "COUNT", default_value_t = SolveOptions::default().iterations_max)]
    max_iterations: u64,
    /// Stop after this long, such as 500ms, 2s, 1m; looked at between steps [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    time_budget: Option<Duration>,
    /// Weight of a jacobi or gauss_seidel correction, between 0 and 2
    #[arg(long, value_name = "NUMBER", default_value_t = SolveOptions::default().damping)]
    damping: f64,
    /// Order in which gauss_seidel visits the rows
    #[arg(long, value_name = "NAME", default_value = "forward", value_parser = names(Sweep::ALL.map(Sweep::as_str)).try_map(|name| name.parse::<Sweep>()))]
    sweep: Sweep,
    /// Basis length of gmres between restarts, 1 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = SolveOptions::default().restart)]
    restart: usize,
    /// Refuse a method whose factors, basis and vectors would need more memory than this, in MiB
    #[arg(long, value_name = "MIB", default_value_t = SolveOptions::default().memory_bytes_max >> 20)]
    memory_limit: u64,
    /// Start from this vector instead of zero
    #[arg(long, value_name = "x0.mtx")]
    initial_guess: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Single entries, without a solve where that is cheaper")]
struct EntriesArguments {
    /// Tell only these entries of x, counted from 0: by pushes, walks, a path read or a solve, with a bound
    #[arg(long, value_name = "I,J,…", value_delimiter = ',', conflicts_with_all = ["method", "preconditioner", "tolerance", "max_iterations", "damping", "sweep", "restart", "output", "initial_guess"])]
    entries: Vec<usize>,
    /// Each entry's bound shall be at most this part of the entry
    #[arg(long, value_name = "NUMBER", default_value = "1e-3", requires = "entries", value_parser = entries::part)]
    accuracy: f64,
    /// Each entry's bound shall be at most this, whatever the entry is
    #[arg(long, value_name = "NUMBER", requires = "entries", conflicts_with = "accuracy", value_parser = entries::size)]
    absolute_accuracy: Option<f64>,
    /// Let bounds hold with this probability, such as 0.99, where that is cheaper [default: proven]
    #[arg(long, value_name = "NUMBER", requires = "entries", value_parser = entries::confidence)]
    confidence: Option<f64>,
    /// Of the draws behind a confidence
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "entries")]
    seed: u64,
    /// Stop after this many matrix and factor entries were read or written
    #[arg(long, value_name = "COUNT", requires = "entries")]
    touched_max: Option<u64>,
}

fn names<const N: usize>(all: [&'static str; N]) -> PossibleValuesParser {
    PossibleValuesParser::new(all)
}

impl OptionArguments {
    fn solve_options(&self) -> SolveOptions {
        SolveOptions {
            // Who names a method here wants to see what becomes of it.
            auto_correction: false,
            method: self.method,
            preconditioner: self.preconditioner,
            tolerance: self.tolerance,
            iterations_max: self.max_iterations,
            damping: self.damping,
            sweep: self.sweep,
            restart: self.restart,
            memory_bytes_max: self.memory_limit.saturating_mul(1 << 20),
        }
    }
}

/// What the person who started weir has to mend.
#[derive(Debug, thiserror::Error)]
enum BadInput {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}", flags(.0))]
    Options(Vec<OptionFault>),
    #[error("{0}")]
    Guess(Refusal),
    #[error("cannot write {}: {source}", path.display())]
    Output { path: PathBuf, source: std::io::Error },
    #[error("--entries {entry}: the system has {order} unknowns, counted from 0")]
    NoSuchEntry { entry: usize, order: usize },
    #[error("--entries takes at most {most} entries, found {found}; solve the system instead")]
    TooManyEntries { most: usize, found: usize },
    #[error("{0}")]
    Unanswerable(InquiryFault),
    #[error("--json and --output - both want standard output; give --output a file")]
    TwoDocuments,
}

/// The members' names as flags.
fn flags(faults: &[OptionFault]) -> String {
    let named = faults.iter().map(|fault| {
        let flag = match fault.member {
            "memory_bytes_max" => "memory-limit".to_owned(),
            member => member.replace('_', "-"),
        };
        format!("--{flag} must be {}, found {}", fault.expected, fault.found)
    });
    named.collect::<Vec<_>>().join("; ")
}

/// Runs `weir solve`.
pub fn run(arguments: &SolveArguments) -> ExitCode {
    if !arguments.entries.entries.is_empty() {
        return entries::run(arguments);
    }
    match solve(arguments) {
        Ok(report) if report.converged => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(bad_input) => {
            eprintln!("error: {bad_input}");
            ExitCode::from(2)
        }
    }
}

fn solve(arguments: &SolveArguments) -> Result<Report, BadInput> {
    let options = arguments.options.solve_options();
    let faults = options.faults();
    if !faults.is_empty() {
        return Err(BadInput::Options(faults));
    }
    let to_stdout = arguments.output.as_deref() == Some(Path::new("-"));
    if to_stdout && arguments.json {
        return Err(BadInput::TwoDocuments);
    }
    if let Some(path) = arguments.output.as_deref().filter(|_| !to_stdout) {
        check_writable(path)?;
    }
    let clock = Clock::system();
    let mut timing = Timing::start(&clock);
    let (system, rhs) = read_system(&arguments.matrix, arguments.rhs.as_deref())?;
    let guess = arguments.options.initial_guess.as_deref();
    let guess = guess.map(|path| read_vector(path, system.order())).transpose()?;
    timing.read = timing.lap();
    let analysis = Analysis::of(&system);
    timing.analyse = timing.lap();
    let mut report = Report::of_input(&arguments.matrix, &rhs, &system, &analysis, &options);
    match Engine::new(system, analysis, guess, options) {
        Ok(mut engine) => {
            timing.set_up = timing.lap();
            let mut display = ProgressDisplay::start(&mut engine, &clock);
            let driven = drive(&mut engine, arguments.options.time_budget, &clock, &mut display);
            display.finish();
            timing.set_up += driven.set_up;
            timing.iterate = driven.iterate;
            report.note_run(&driven, &mut engine);
            report.finish(timing);
            if let Some(path) = &arguments.output {
                write_solution(path, &report, engine.solution())?;
                report.output = (!to_stdout).then(|| path.display().to_string());
            }
        }
        Err(refusal @ (Refusal::GuessLength { .. } | Refusal::GuessNotFinite { .. })) => {
            return Err(BadInput::Guess(refusal));
        }
        Err(Refusal::Option(fault)) => return Err(BadInput::Options(vec![fault])),
        Err(refusal) => {
            report.note_refusal(&refusal);
            report.finish(timing);
        }
    }
    show(&report, arguments.json, to_stdout);
    Ok(report)
}

/// The report goes to standard output unless the solution does.
fn show(report: &Report, json: bool, solution_on_stdout: bool) {
    let text = if json { report.to_json() } else { report.to_text() };
    // A reader that has gone away needs no summary.
    let _ = match solution_on_stdout {
        true => writeln!(std::io::stderr(), "{text}"),
        false => writeln!(std::io::stdout(), "{text}"),
    };
}

/// Found out before the work rather than after it.
fn check_writable(path: &Path) -> Result<(), BadInput> {
    let failed = |source: std::io::Error| BadInput::Output { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent.unwrap_or(Path::new(".")).metadata().map_err(failed)?.is_dir() {
        true => Ok(()),
        false => Err(failed(std::io::ErrorKind::NotADirectory.into())),
    }
}

fn write_solution(path: &Path, report: &Report, x: &[f64]) -> Result<(), BadInput> {
    let write = |output: &mut dyn Write| {
        let mut buffered = BufWriter::with_capacity(1 << 16, output);
        write_vector(&mut buffered, x, &[report.solution_comment()])?;
        buffered.flush()
    };
    let written = match path == Path::new("-") {
        true => write(&mut std::io::stdout().lock()),
        false => std::fs::File::create(path).and_then(|mut file| write(&mut file)),
    };
    written.map_err(|source| BadInput::Output { path: path.to_owned(), source })
}
