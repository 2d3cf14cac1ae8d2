//! One entry without a solve: matrix entries touched and processor time, against Gauss–Seidel over the
//! whole system to the same certificate. Accuracies are relative to `‖x‖∞`.
//!
//! ```text
//! cargo bench --bench entries                  n = 10,000, 1,000,000 and 10,000,000
//! cargo bench --bench entries -- 10000         one of them
//! cargo bench --bench entries -- keeping       what keeping the bound costs a change
//! cargo bench --bench entries -- storm         eight times a million changes: no bound may fail
//! ```

#[path = "../tests/it/proof/exact.rs"]
mod exact;
mod harness;
#[path = "../tests/it/proof/storm.rs"]
mod storm;

use std::time::Duration;

use harness::single::{Asked, Prepared, ask, dominant_grid, gauss_seidel, keeping};
use harness::{arguments, kept, timed};
use weir::runtime::clock::Clock;
use weir::solver::gallery;
use weir::solver::proof::entry::{
    EntryEstimate, EntryQuery, PushSpace, bidirectional, push, walks,
};

fn report(
    prepared: &Prepared,
    what: &str,
    full: Duration,
    estimate: impl Fn(usize, &mut PushSpace) -> EntryEstimate,
) {
    let Asked { took, touched, last } = ask(prepared, estimate);
    println!(
        "  {what:<34} {:>9.3} ms {touched:>10} entries {:>7.0}x  bound {:.1e}, {} pushes, {} walks, {:?}",
        took.as_secs_f64() * 1e3,
        full.as_secs_f64() / took.as_secs_f64(),
        last.bound,
        last.pushes,
        last.walks,
        last.end
    );
}

fn grid(n: usize) {
    let prepared = Prepared::of(dominant_grid(n));
    for accuracy in [1e-2, 1e-3, 1e-6] {
        let (full, sweeps, x) = gauss_seidel(&prepared, accuracy);
        let norm = x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        println!(
            "dominant grid, n = {}, {accuracy:.0e} certified: {sweeps} sweeps and a proof {:.2} ms",
            prepared.system.order(),
            full.as_secs_f64() * 1e3
        );
        for relaxation in [1.0, 1.2, 1.3, 1.4] {
            let estimate = |entry, space: &mut PushSpace| {
                let query = prepared.query(entry, accuracy * norm, relaxation);
                push(&query, space).expect("a query")
            };
            report(&prepared, &format!("push, relaxation {relaxation}"), full, estimate);
        }
    }
}

fn expander(n: usize) {
    let prepared = Prepared::of(gallery::diagonally_dominant(n, 5 * n, 1).expect("in range"));
    for accuracy in [1e-2, 1e-3] {
        let (full, sweeps, x) = gauss_seidel(&prepared, accuracy);
        let norm = x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        println!(
            "expander, n = {n}, {accuracy:.0e}: {sweeps} sweeps and a proof {:.2} ms",
            full.as_secs_f64() * 1e3
        );
        let query = |entry| prepared.query(entry, accuracy * norm, 1.0);
        report(&prepared, "push, proven", full, |entry, space| {
            let bounded = EntryQuery { entries_max: 20_000_000, ..query(entry) };
            push(&bounded, space).expect("a query")
        });
        report(&prepared, "bidirectional, 99 %", full, |entry, space| {
            bidirectional(&query(entry), 0.01, 3, space).expect("a query")
        });
        if accuracy >= 1e-2 {
            report(&prepared, "walks, 99 %", full, |entry, space| {
                walks(&query(entry), 0.01, 3, space).expect("a query")
            });
        }
    }
}

/// The test's storm, ten times as long and from several seeds; it panics where a bound fails.
fn storms_of_a_million(clock: &Clock) {
    for seed in 1..=8 {
        let (took, seen) = timed(clock, || storm::storm(1_000_000, seed));
        println!("storm {seed}, no bound failed: {seen:?}, {:.1} s", took.as_secs_f64());
    }
}

fn main() {
    let clock = Clock::system();
    let asked = arguments();
    if asked.is_empty() || asked.iter().any(|what| what == "storm") {
        storms_of_a_million(&clock);
    }
    if asked.is_empty() || asked.iter().any(|what| what == "keeping") {
        let (took, worst) = keeping(&clock);
        println!("keeping the bound: {took:?} a change of an entry (q up to {worst:.1e})");
        kept::report(&clock);
    }
    for n in [10_000, 100_000, 1_000_000, 10_000_000] {
        let is_asked = asked.iter().any(|what| *what == n.to_string());
        if is_asked || (asked.is_empty() && n != 100_000) {
            grid(n);
            expander(n);
        }
    }
}
