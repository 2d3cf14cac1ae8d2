//! `weir solve --entries`: some entries of `x`, each with its bound and the way it was found.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::solve::{BadInput, SolveArguments};
use crate::cli::system_files::{RhsSource, read_system};
use crate::cli::text::{grouped, seconds};
use crate::protocol::entries::{
    AnswerGround, ENTRIES_MAX, EntriesAnswer, EntriesOptions, ask, to_json,
};
use crate::protocol::frame::Warning;
use crate::runtime::clock::Clock;
use crate::solver::proof::entry::{Accuracy, BoundKind, EntryAnswer, EntryEnd, InquiryOptions};

/// A part of an entry.
pub fn part(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and below 1", |value| value > 0.0 && value < 1.0)
}

/// An absolute accuracy.
pub fn size(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |value| value > 0.0 && value.is_finite())
}

/// A probability.
pub fn confidence(text: &str) -> Result<f64, String> {
    number(text, "a number from 0.5 to below 1", |value| (0.5..1.0).contains(&value))
}

fn number(text: &str, expected: &str, is_good: impl Fn(f64) -> bool) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| is_good(*value));
    value.ok_or_else(|| format!("expected {expected}"))
}

/// Exit code 0 when every entry is as close as was asked, 1 when not.
pub fn run(arguments: &SolveArguments) -> ExitCode {
    match answer(arguments) {
        Ok(answer) => {
            let text = match arguments.json {
                true => String::from_utf8(to_json(&answer)).expect("JSON is UTF-8"),
                false => to_text(&answer),
            };
            // A reader that has gone away needs no summary.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::from(u8::from(!answer.is_reached()))
        }
        Err(fault @ BadInput::Unanswerable(_)) => {
            eprintln!("error: {fault}");
            ExitCode::from(1)
        }
        Err(bad_input) => {
            eprintln!("error: {bad_input}");
            ExitCode::from(2)
        }
    }
}

fn answer(arguments: &SolveArguments) -> Result<EntriesAnswer, BadInput> {
    let entries = &arguments.entries.entries;
    if entries.len() > ENTRIES_MAX {
        return Err(BadInput::TooManyEntries { most: ENTRIES_MAX, found: entries.len() });
    }
    let clock = Clock::system();
    let (system, rhs) = read_system(&arguments.matrix, arguments.rhs.as_deref())?;
    let order = system.order();
    if let Some(&entry) = entries.iter().find(|entry| **entry >= order) {
        return Err(BadInput::NoSuchEntry { entry, order });
    }
    let started = clock.now();
    let elapsed = || clock.now().since(started);
    let options = options(arguments);
    let mut answer =
        ask(system, entries, &options, &elapsed, &|| true).map_err(BadInput::Unanswerable)?;
    if let RhsSource::Ones = rhs {
        let detail = "no right-hand side was given, and none lies beside the matrix: b is all ones";
        answer.warnings.push(Warning { pointer: String::new(), detail: detail.to_owned() });
    }
    Ok(answer)
}

fn options(arguments: &SolveArguments) -> EntriesOptions {
    let asked = &arguments.entries;
    let inquiry = InquiryOptions {
        accuracy: match asked.absolute_accuracy {
            Some(accuracy) => Accuracy::Absolute(accuracy),
            None => Accuracy::Relative(asked.accuracy),
        },
        failure: asked.confidence.map_or(0.0, |confidence| 1.0 - confidence),
        seed: asked.seed,
        entries_max: asked.touched_max.unwrap_or(u64::MAX),
        memory_bytes_max: arguments.options.memory_limit.saturating_mul(1 << 20),
    };
    EntriesOptions { inquiry, time_budget: arguments.options.time_budget.unwrap_or(Duration::MAX) }
}

/// The lines for people, without a closing line break.
fn to_text(answer: &EntriesAnswer) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        writeln!(text, "{label:<17}{value}").expect("writing to a string does not fail");
    };
    line(
        "system",
        &format!("{} unknowns, {} entries", grouped(answer.unknowns), grouped(answer.nonzeros)),
    );
    if let AnswerGround::System { set_up, .. } = &answer.ground {
        line("", &set_up.finding);
    }
    for (entry, took) in &answer.entries {
        line(&format!("x[{}]", entry.entry), &value_line(entry));
        line("", &work_line(entry, *took));
        entry.reasons.iter().for_each(|reason| line("", reason));
    }
    for warning in &answer.warnings {
        line("note", &warning.detail);
    }
    line("time", &seconds(answer.took));
    text.truncate(text.trim_end().len());
    text
}

fn work_line(entry: &EntryAnswer, took: Duration) -> String {
    let counted = |count: u64| grouped(usize::try_from(count).unwrap_or(usize::MAX));
    let touched = counted(entry.touched_entries);
    let mut pieces = vec![format!("{}: {touched} entries touched", entry.method.as_str())];
    for (count, what) in [(entry.pushes, "pushes"), (entry.walks, "walks")] {
        if count > 0 {
            pieces.push(format!("{} {what}", counted(count)));
        }
    }
    pieces.push(seconds(took));
    pieces.join(" · ")
}

fn value_line(entry: &EntryAnswer) -> String {
    let Some(value) = entry.value else {
        return format!("unknown: {}", ended(entry.end));
    };
    let bound = match entry.kind {
        BoundKind::None => "nothing is known of its error".to_owned(),
        BoundKind::Proven => format!("within {:.1e}, proven", entry.bound),
        BoundKind::Estimated => format!("within about {:.1e}, estimated", entry.bound),
        BoundKind::Probabilistic => {
            let percent = 100.0 * (1.0 - entry.failure);
            format!("within {:.1e} with a probability of {percent} %", entry.bound)
        }
    };
    match entry.end {
        EntryEnd::Reached => format!("{value:.15e}  {bound}"),
        end => format!("{value:.15e}  {bound}; NOT as close as asked: {}", ended(end)),
    }
}

fn ended(end: EntryEnd) -> &'static str {
    match end {
        EntryEnd::Reached => "as close as asked",
        EntryEnd::OverBudget => "the budget of touched entries is spent",
        EntryEnd::OutOfTime => "the time budget is spent",
        EntryEnd::PrecisionLimit => "rounding stands against it",
        EntryEnd::Unknown => "nothing bounds the error",
    }
}
