//! `weir bench live`: keeps a system of the gallery solved while a storm of changes comes in, and draws
//! what a listener of the session was told: residual, bound and engine over time. Exit code 0, 1 where the
//! session failed, 2 when an argument is at fault.

mod chart;
mod storm;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::bench::chart::Chart;
use crate::cli::bench::storm::{State, Storm, StormError, Told};
use crate::cli::generate::Kind;
use crate::cli::text::{grouped, seconds};
use crate::solver::gallery::GalleryError;

const EXAMPLES: &str = "\
Examples:
  weir bench live -o storm.svg
  weir bench live --rate 20000 --seconds 10 page-rank --scale 14
  weir bench live --seed 7 poisson-2d --side 300";

/// Measure what this machine makes of a task, and draw it
#[derive(Debug, Args)]
pub struct BenchArguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Live(LiveArguments),
}

/// Keep a system solved through a storm of changes, and draw residual, bound and engine over time
///
/// A session in this process takes changes of random entries of b and of A, each by a thousandth of itself:
/// a few at first, then as many a second as --rate says, then of A as well, then a few again. The picture
/// shows what a listener of its stream was told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = false)]
struct LiveArguments {
    #[command(subcommand)]
    kind: Option<Kind>,
    /// Where chance comes from: the system and its changes
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Changes a second in the storm
    #[arg(long, value_name = "COUNT", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    rate: u32,
    /// How long changes come
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// The picture; - writes it to standard output
    #[arg(short, long, value_name = "NAME.svg", default_value = "storm.svg")]
    output: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error(transparent)]
    Size(#[from] GalleryError),
    #[error("cannot write {}: {source}", path.display())]
    Output { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Storm(#[from] StormError),
}

/// Runs `weir bench`.
pub fn run(arguments: &BenchArguments) -> ExitCode {
    let Task::Live(arguments) = &arguments.task;
    match live(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                BenchError::Size(_) | BenchError::Output { .. } => ExitCode::from(2),
                BenchError::Storm(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn live(arguments: &LiveArguments) -> Result<(), BenchError> {
    let kind = arguments.kind.unwrap_or(Kind::ConvectionDiffusion { side: 150, peclet: 50.0 });
    let system = kind.system(arguments.seed)?;
    let storm = Storm {
        rate: f64::from(arguments.rate),
        seconds: f64::from(arguments.seconds),
        seed: arguments.seed,
    };
    let told = actix::System::new().block_on(storm::run(system, &storm))?;
    let title = format!("weir bench live {} --seed {}", kind.recipe(), arguments.seed);
    let chart = Chart::of(&title, &told);
    write(&arguments.output, &chart.to_svg())?;
    if arguments.output != Path::new("-") {
        report(&told, &arguments.output);
    }
    Ok(())
}

fn write(path: &Path, svg: &str) -> Result<(), BenchError> {
    let failed = |source| BenchError::Output { path: path.to_owned(), source };
    if path == Path::new("-") {
        // A reader that has seen enough is no error.
        let _ = std::io::stdout().lock().write_all(svg.as_bytes());
        return Ok(());
    }
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(svg.as_bytes()).map_err(failed)
}

fn report(told: &Told, path: &Path) {
    let converged = told.states.iter().filter(|state| state.converged).count();
    let earlier = |state: &&State| !state.converged && state.settled_version.is_some();
    let earlier = told.states.iter().filter(earlier).count();
    println!(
        "{} changes accepted in {}, {} states announced, {} of them converged, {} for a version before",
        grouped(told.changes() as usize),
        seconds(told.took),
        grouped(told.states.len()),
        grouped(converged),
        grouped(earlier)
    );
    println!("a change is in a converged state after {}", told.staleness_in_words());
    println!("drawn into {}", path.display());
}
