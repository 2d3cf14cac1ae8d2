//! The command line: the only reader of flags and environment. One file for each command.

mod analyze;
mod bench;
mod bytes;
mod completions;
mod demo;
mod duration;
mod generate;
mod picture;
mod serve;
mod simulate;
mod solve;
mod system_files;
mod text;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Keeps the solution of a large sparse linear system true while its costs change
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArguments>),
    Solve(Box<solve::SolveArguments>),
    Simulate(simulate::SimulateArguments),
    Analyze(analyze::AnalyzeArguments),
    Generate(generate::GenerateArguments),
    Demo(demo::DemoArguments),
    Bench(bench::BenchArguments),
    Completions(completions::CompletionsArguments),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Solve(arguments) => solve::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Analyze(arguments) => analyze::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
    }
}
