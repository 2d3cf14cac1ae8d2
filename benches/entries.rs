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

use cpu_time::ProcessTime;
use harness::{arguments, median, timed};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::runtime::clock::Clock;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::options::{MethodName, SolveOptions};
use weir::solver::proof::entry::{
    Accuracy, EntryEstimate, EntryQuery, Known, Patience, PushSpace, Stored, bidirectional, push,
    walks,
};
use weir::solver::proof::{ErrorBound, SearchLimits, Witness, find};
use weir::solver::system::LinearSystem;

const ENTRIES: usize = 15;

struct Prepared {
    system: LinearSystem,
    witness: Witness,
    quotient: f64,
    entries: Vec<usize>,
}

impl Prepared {
    fn of(system: LinearSystem) -> Self {
        let witness = find(system.rows(), SearchLimits::default()).expect("an H-matrix");
        let zero = vec![0.0; system.order()];
        let quotient =
            ErrorBound::new(witness.clone(), system.rows(), system.rhs(), &zero).quotient_max();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let draw = |_| (rng.next_u64() % system.order() as u64) as usize;
        let entries = (0..ENTRIES).map(draw).collect();
        Self { system, witness, quotient, entries }
    }

    fn query(&self, entry: usize, accuracy: f64, relaxation: f64) -> EntryQuery<'_> {
        EntryQuery {
            source: Stored {
                rows: self.system.rows(),
                known: Known::Nothing { rhs: self.system.rhs() },
            },
            witness: &self.witness,
            quotient: self.quotient,
            entry,
            accuracy: Accuracy::Absolute(accuracy),
            entries_max: 2_000_000_000,
            relaxation,
            patience: Patience::ENDLESS,
        }
    }
}

fn dominant_grid(n: usize) -> LinearSystem {
    let side = (n as f64).sqrt().round() as usize;
    let (mut matrix, rhs) = gallery::poisson_2d(side, 5).expect("in range").into_parts();
    for (row, mut entries) in matrix.outer_iterator_mut().enumerate() {
        entries.iter_mut().filter(|(col, _)| *col == row).for_each(|(_, value)| *value = 4.4);
    }
    LinearSystem::new(matrix, rhs).expect("finite")
}

/// Processor time, which holds on a busy machine.
fn charged<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = ProcessTime::now();
    let result = work();
    (started.elapsed(), result)
}

/// The sweeps after which the certificate first holds, what they take with one certificate, and `x`.
fn gauss_seidel(prepared: &Prepared, accuracy: f64) -> (Duration, usize, Vec<f64>) {
    let engine = || {
        let system = prepared.system.clone();
        let analysis = Analysis::of(&system);
        let options = SolveOptions {
            method: MethodName::GaussSeidel,
            tolerance: 1e-14,
            ..SolveOptions::default()
        };
        Engine::new(system, analysis, None, options).expect("Gauss–Seidel works here")
    };
    let certified = |x: &[f64]| {
        let system = &prepared.system;
        let witness = prepared.witness.clone();
        let (took, bound) = charged(|| {
            let norm = x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
            let mut bound = ErrorBound::new(witness, system.rows(), system.rhs(), x);
            bound.overall(norm).expect("a witness").absolute / norm
        });
        (took, bound <= accuracy)
    };
    let mut probe = engine();
    let mut steps = 0;
    let proof = loop {
        probe.step();
        steps += 1;
        let (took, is_certified) = certified(probe.solution());
        if is_certified {
            break took;
        }
    };
    let x = probe.solution().to_vec();
    let mut again = engine();
    let (took, ()) = charged(|| (0..steps).for_each(|_| drop(again.step())));
    (took + proof, steps, x)
}

fn report(
    prepared: &Prepared,
    what: &str,
    full: Duration,
    estimate: impl Fn(usize, &mut PushSpace) -> EntryEstimate,
) {
    let mut space = PushSpace::new(prepared.system.order());
    // Once for the pages of the scratch.
    prepared.entries.iter().for_each(|&entry| {
        std::hint::black_box(estimate(entry, &mut space));
    });
    let mut took = vec![];
    let mut touched = vec![];
    let mut last = None;
    for &entry in &prepared.entries {
        let (time, found) = charged(|| estimate(entry, &mut space));
        took.push(time);
        touched.push(found.touched_entries);
        last = Some(found);
    }
    touched.sort_unstable();
    let (time, last) = (median(&took), last.expect("entries were asked for"));
    println!(
        "  {what:<34} {:>9.3} ms {:>10} entries {:>7.0}x  bound {:.1e}, {} pushes, {} walks, {:?}",
        time.as_secs_f64() * 1e3,
        touched[touched.len() / 2],
        full.as_secs_f64() / time.as_secs_f64(),
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
            let ask = |entry, space: &mut PushSpace| {
                let query = prepared.query(entry, accuracy * norm, relaxation);
                push(&query, space).expect("a query")
            };
            report(&prepared, &format!("push, relaxation {relaxation}"), full, ask);
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

/// What a change of the bound costs.
fn keeping(clock: &Clock) {
    const CHANGES: usize = 1_000_000;
    let prepared = Prepared::of(gallery::diagonally_dominant(10_000, 50_000, 1).expect("in range"));
    let (system, x) = (&prepared.system, vec![0.5; 10_000]);
    let mut bound = ErrorBound::new(prepared.witness.clone(), system.rows(), system.rhs(), &x);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let places: Vec<(usize, usize, f64)> = (0..CHANGES)
        .map(|_| {
            let row = (rng.next_u64() % 10_000) as usize;
            let (cols, values) = system.rows().row(row);
            let at = (rng.next_u64() % cols.len() as u64) as usize;
            (row, cols[at] as usize, values[at])
        })
        .collect();
    let (took, worst) = timed(clock, || {
        let mut worst = 0.0_f64;
        for &(row, col, value) in &places {
            bound.entry_changed((row, col), value, 1.001 * value, x[col]);
            bound.set_residual(row, 1e-9);
            bound.entry_changed((row, col), 1.001 * value, value, x[col]);
            worst = worst.max(bound.quotient_at_most());
        }
        worst
    });
    println!(
        "keeping the bound: {:.0} ns a change of an entry (q up to {worst:.1e})",
        took.as_nanos() as f64 / (2 * CHANGES) as f64
    );
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
        keeping(&clock);
    }
    for n in [10_000, 100_000, 1_000_000, 10_000_000] {
        let is_asked = asked.iter().any(|what| *what == n.to_string());
        if is_asked || (asked.is_empty() && n != 100_000) {
            grid(n);
            expander(n);
        }
    }
}
