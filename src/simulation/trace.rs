//! What happened in a simulated world, in order: the events of its actors and what its clients saw,
//! as lines with session names in place of ids.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::SessionId;
use crate::runtime::clock::Moment;
use crate::runtime::recorder::{EventSink, Record};

/// The trace of one world; clones share it. The lock is never contended: a world has one thread.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    inner: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Line>,
    names: BTreeMap<SessionId, String>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    at: Moment,
    who: String,
    what: String,
}

impl Trace {
    /// Lets a session appear under its scenario's name.
    pub fn name(&self, session: SessionId, name: &str) {
        self.with(|lines| lines.names.insert(session, name.to_owned()));
    }

    /// Notes what a client did or saw.
    pub fn note(&self, at: Moment, who: &str, what: impl Into<String>) {
        let line = Line { at, who: who.to_owned(), what: what.into() };
        self.with(|lines| lines.lines.push(line));
    }

    /// The whole trace as text, one line each: microseconds, who, what.
    pub fn render(&self) -> String {
        self.with(|lines| {
            let mut text = String::new();
            for line in &lines.lines {
                let microseconds = line.at.nanoseconds() as f64 / 1e3;
                let what = lines.named(&line.what);
                writeln!(text, "{microseconds:>12.1} µs  {:<10} {what}", line.who)
                    .expect("writing to a string cannot fail");
            }
            text
        })
    }

    fn with<T>(&self, read: impl FnOnce(&mut Lines) -> T) -> T {
        // A panic elsewhere leaves whole lines behind; the trace stays readable.
        read(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lines {
    fn named(&self, what: &str) -> String {
        let words = what.split(' ').map(|word| {
            let name = word.parse().ok().and_then(|session| self.names.get(&session));
            name.map_or(word, String::as_str)
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

impl EventSink for Trace {
    fn accept(&self, record: Record) {
        self.note(record.at, &record.node.to_string(), record.event.to_string());
    }
}
