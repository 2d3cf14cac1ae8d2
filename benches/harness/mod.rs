//! Measuring: contenders take turns in one run, so that a busy neighbour slows all of them, and the
//! median of their turns counts. Tables go to standard output.
#![allow(dead_code, reason = "each bench uses its part")]

pub mod changes;
pub mod http;
pub mod kept;
pub mod places;
pub mod product;
pub mod session;
pub mod single;
pub mod systems;

use std::time::Duration;

use weir::runtime::clock::Clock;

/// Something to be timed.
pub struct Contender<'a> {
    pub name: String,
    run: Box<dyn FnMut() -> Timed + 'a>,
}

/// What one turn took and found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    pub took: Duration,
    /// For the table: iterations, residual, why it ended.
    pub note: String,
}

/// The outcome of a contender's turns.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub name: String,
    pub median: Duration,
    pub fastest: Duration,
    pub note: String,
}

impl<'a> Contender<'a> {
    pub fn new(name: impl Into<String>, run: impl FnMut() -> Timed + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Times one call.
pub fn timed<T>(clock: &Clock, work: impl FnOnce() -> T) -> (Duration, T) {
    let started = clock.now();
    let result = work();
    (clock.now().since(started), result)
}

/// Lets the contenders take turns, `turns` times each, after one turn that does not count if
/// `warm_up`.
pub fn race(turns: usize, warm_up: bool, mut contenders: Vec<Contender<'_>>) -> Vec<Measured> {
    let mut took: Vec<Vec<Duration>> = vec![vec![]; contenders.len()];
    let mut notes = vec![String::new(); contenders.len()];
    for turn in 0..turns + usize::from(warm_up) {
        for (at, contender) in contenders.iter_mut().enumerate() {
            let timed = (contender.run)();
            notes[at] = timed.note;
            if turn > 0 || !warm_up {
                took[at].push(timed.took);
            }
        }
    }
    let names = contenders.into_iter().map(|contender| contender.name);
    names
        .zip(took)
        .zip(notes)
        .map(|((name, took), note)| Measured {
            name,
            median: median(&took),
            fastest: took.into_iter().min().expect("at least one turn"),
            note,
        })
        .collect()
}

/// The middle one of an odd number, the lower middle of an even one.
pub fn median(took: &[Duration]) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort();
    sorted[(sorted.len() - 1) / 2]
}

/// The share `fraction` (0 to 1) of the sorted durations lies at or below this one.
pub fn quantile(took: &[Duration], fraction: f64) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort();
    sorted[((sorted.len() - 1) as f64 * fraction).round() as usize]
}

/// Prints the outcome, each with its ratio to the last contender, which is the named alternative.
pub fn print_race(title: &str, measured: &[Measured]) {
    println!("\n{title}");
    let reference = measured.last().expect("a race has contenders");
    println!("{:<44} {:>11} {:>11} {:>8}  note", "", "median", "fastest", "ratio");
    for row in measured {
        let ratio = row.median.as_secs_f64() / reference.median.as_secs_f64();
        println!(
            "{:<44} {:>11} {:>11} {ratio:>7.2}x  {}",
            row.name,
            milliseconds(row.median),
            milliseconds(row.fastest),
            row.note
        );
    }
}

pub fn milliseconds(took: Duration) -> String {
    format!("{:.3} ms", took.as_secs_f64() * 1e3)
}

/// What was asked on the command line after `--`; cargo's own `--bench` is left out.
pub fn arguments() -> Vec<String> {
    std::env::args().skip(1).filter(|argument| argument != "--bench").collect()
}

/// The value that follows `flag`.
pub fn flag<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == flag)?;
    arguments.get(at + 1).map(String::as_str)
}

/// Runs on a pool of so many threads.
pub fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("threads can be started").install(work)
}
