//! The table of the goals: one row for each figure that a goal asks for.

use std::time::Duration;

/// What a goal wants of a row.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// At least so many times as fast as the best peer.
    TimesPeer(f64),
    AtMost(f64, &'static str),
}

/// One figure of a goal.
pub struct Row {
    pub goal: &'static str,
    pub work: String,
    pub ours: String,
    pub peer: String,
    pub wanted: Wanted,
    /// What is wanted, as found: times the peer's speed, or the figure. None where it cannot be measured.
    pub found: Option<f64>,
    pub note: String,
}

pub fn print_head() {
    println!("| goal | system and work | ours | best peer | found | wanted | | |");
    println!("|---|---|---|---|---|---|---|---|");
}

impl Row {
    /// Ours against the fastest of the peers that did the work.
    pub fn race(
        goal: &'static str,
        work: impl Into<String>,
        (ours, note): (Duration, String),
        peers: &[(String, Result<Duration, String>)],
        times: f64,
    ) -> Self {
        let fastest = peers
            .iter()
            .filter_map(|(name, took)| took.as_ref().ok().map(|took| (name, *took)))
            .min_by_key(|(_, took)| *took);
        let failed: Vec<String> = peers
            .iter()
            .filter_map(|(name, took)| took.as_ref().err().map(|why| format!("{name}: {why}")))
            .collect();
        let note = [note].into_iter().chain(failed).filter(|part| !part.is_empty());
        let note = note.collect::<Vec<_>>().join("; ");
        Self {
            goal,
            work: work.into(),
            ours: duration(ours),
            peer: fastest
                .map_or("–".to_owned(), |(name, took)| format!("{name} {}", duration(took))),
            wanted: Wanted::TimesPeer(times),
            found: fastest.map(|(_, took)| took.as_secs_f64() / ours.as_secs_f64()),
            note,
        }
    }

    /// A figure that must not exceed its limit.
    pub fn figure(
        goal: &'static str,
        work: impl Into<String>,
        ours: String,
        (found, limit, unit): (f64, f64, &'static str),
        note: impl Into<String>,
    ) -> Self {
        Self {
            goal,
            work: work.into(),
            ours,
            peer: "–".to_owned(),
            wanted: Wanted::AtMost(limit, unit),
            found: Some(found),
            note: note.into(),
        }
    }

    pub fn not_measured(goal: &'static str, work: &str, wanted: Wanted, why: String) -> Self {
        let dash = || "–".to_owned();
        Self {
            goal,
            work: work.to_owned(),
            ours: dash(),
            peer: dash(),
            wanted,
            found: None,
            note: why,
        }
    }

    pub fn print(&self) {
        let Self { goal, work, ours, peer, wanted, found, note } = self;
        let (wanted, found, is_met) = match *wanted {
            Wanted::TimesPeer(times) => (
                format!("{times}x"),
                found.map_or("–".to_owned(), |found| format!("{}x", significant(found))),
                found.map(|found| found >= times),
            ),
            Wanted::AtMost(limit, unit) => (
                format!("at most {limit}{unit}"),
                found.map_or("–".to_owned(), |found| format!("{}{unit}", significant(found))),
                found.map(|found| found <= limit),
            ),
        };
        let verdict = match is_met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        println!("| {goal} | {work} | {ours} | {peer} | {found} | {wanted} | {verdict} | {note} |");
    }
}

/// Two or three digits that matter.
pub fn significant(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 || value == 0.0 => format!("{value:.2}"),
        value => format!("{value:.1e}"),
    }
}

pub fn duration(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 1e-3 => format!("{} ms", significant(seconds * 1e3)),
        seconds => format!("{} µs", significant(seconds * 1e6)),
    }
}
