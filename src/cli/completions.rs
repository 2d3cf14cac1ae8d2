//! `weir completions`: what a shell needs to complete weir's commands and flags.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  weir completions bash > ~/.local/share/bash-completion/completions/weir
  weir completions zsh  > ~/.zfunc/_weir        (with ~/.zfunc in fpath)
  weir completions fish > ~/.config/fish/completions/weir.fish";

/// Print shell completions
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArguments {
    /// The shell to print for
    shell: Shell,
}

/// Prints the completions of `command`.
pub fn run(arguments: &CompletionsArguments, mut command: Command) -> ExitCode {
    clap_complete::generate(arguments.shell, &mut command, "weir", &mut std::io::stdout());
    ExitCode::SUCCESS
}
