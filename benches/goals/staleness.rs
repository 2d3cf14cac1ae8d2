//! G13: 50,000 changes a second through HTTP; how long after it was due to be sent a listener has read a
//! state that is converged for a version of the system that holds the change. Server, sender and listener on this machine's cores.

use std::net::SocketAddr;
use std::time::Duration;

use weir::runtime::clock::Clock;

use crate::harness::http::{Storm, exchange, listen, norm_infinity, open_session, send_storm};
use crate::harness::quantile;
use crate::harness::systems::{system, title};
use crate::table::{Row, Wanted, duration};

/// Changes a second of a storm, and of single changes that each find the system settled.
pub const STORM: u64 = 50_000;
pub const SINGLE: u64 = 1_000;

/// Systems with the staleness that is wanted, in milliseconds.
pub const SYSTEMS: [(&str, f64); 6] =
    [("e", 5.0), ("a", 5.0), ("g", 50.0), ("c", 200.0), ("d", 400.0), ("b", 1_000.0)];

/// The same for single changes.
pub const SINGLES: [(&str, f64); 2] = [("e", 2.0), ("a", 2.0)];

pub fn measure(
    goal: &'static str,
    address: SocketAddr,
    (letter, limit): (&str, f64),
    rate: u64,
    seconds: u64,
) -> Row {
    let clock = Clock::system();
    let work = format!("{letter}: staleness at {rate} changes of b a second, p99");
    let found = system(letter);
    let storm = Storm {
        order: found.order(),
        scale: norm_infinity(found.rhs()),
        rate: Some(rate),
        lines: (rate * seconds) as usize,
    };
    let id = open_session(address, &found);
    drop(found);
    let listener = listen(&clock, address, &id, storm.lines as u64);
    let sent = send_storm(&clock, address, &id, &storm);
    let announced = listener.join().expect("the listener ends");
    exchange(address, &format!("DELETE /api/v1/sessions/{id}"), b"");
    let wanted = Wanted::AtMost(limit, " ms");
    let Some(announced) = announced else {
        let why = format!("the stream of {} ended before the last change", title(letter));
        return Row::not_measured(goal, &work, wanted, why);
    };
    if sent.acknowledged.accepted != storm.lines as u64 {
        let why = format!("{} of {} changes accepted", sent.acknowledged.accepted, storm.lines);
        return Row::not_measured(goal, &work, wanted, why);
    }
    let mut stale = Vec::with_capacity(sent.due.len());
    let mut states = announced.iter().peekable();
    for (at, due) in sent.due.iter().enumerate() {
        // Change k counts from version k + 1 on.
        while states.next_if(|(_, version)| *version < at as u64 + 1).is_some() {}
        let (seen, _) = states.peek().expect("the last state holds every change");
        stale.push(seen.saturating_sub(*due));
    }
    // What the session learns at the start is not the rule.
    let stale = &stale[stale.len() / 4..];
    let slow = quantile(stale, 0.99);
    let taken = storm.lines as f64 / sent.took.as_secs_f64();
    let note = format!(
        "median {}, worst {}, {} states, {taken:.0} changes a second taken",
        duration(quantile(stale, 0.5)),
        duration(stale.iter().copied().max().unwrap_or(Duration::ZERO)),
        announced.len(),
    );
    Row::figure(goal, work, duration(slow), (slow.as_secs_f64() * 1e3, limit, " ms"), note)
}
