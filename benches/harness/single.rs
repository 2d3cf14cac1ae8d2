//! Single entries without a solve, Gauss–Seidel to the same certificate, and what keeping a bound costs.

use std::time::Duration;

use cpu_time::ProcessTime;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::runtime::clock::Clock;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::options::{MethodName, SolveOptions};
use weir::solver::proof::entry::{
    Accuracy, EntryEstimate, EntryQuery, Known, Patience, PushSpace, Stored,
};
use weir::solver::proof::{ErrorBound, SearchLimits, Witness, find};
use weir::solver::system::LinearSystem;

use super::{median, timed};

const ENTRIES: usize = 15;

pub struct Prepared {
    pub system: LinearSystem,
    witness: Witness,
    quotient: f64,
    entries: Vec<usize>,
}

impl Prepared {
    pub fn of(system: LinearSystem) -> Self {
        let witness = find(system.rows(), SearchLimits::default()).expect("an H-matrix");
        let zero = vec![0.0; system.order()];
        let quotient =
            ErrorBound::new(witness.clone(), system.rows(), system.rhs(), &zero).quotient_max();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let draw = |_| (rng.next_u64() % system.order() as u64) as usize;
        let entries = (0..ENTRIES).map(draw).collect();
        Self { system, witness, quotient, entries }
    }

    pub fn query(&self, entry: usize, accuracy: f64, relaxation: f64) -> EntryQuery<'_> {
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

pub fn dominant_grid(n: usize) -> LinearSystem {
    let side = (n as f64).sqrt().round() as usize;
    let (mut matrix, rhs) = gallery::poisson_2d(side, 5).expect("in range").into_parts();
    for (row, mut entries) in matrix.outer_iterator_mut().enumerate() {
        entries.iter_mut().filter(|(col, _)| *col == row).for_each(|(_, value)| *value = 4.4);
    }
    LinearSystem::new(matrix, rhs).expect("finite")
}

/// Processor time, which holds on a busy machine.
pub fn charged<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = ProcessTime::now();
    let result = work();
    (started.elapsed(), result)
}

/// The sweeps after which the certificate first holds, what they take with one certificate, and `x`.
pub fn gauss_seidel(prepared: &Prepared, accuracy: f64) -> (Duration, usize, Vec<f64>) {
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

/// What single entries took: medians over the entries asked for.
pub struct Asked {
    pub took: Duration,
    pub touched: u64,
    pub last: EntryEstimate,
}

pub fn ask(
    prepared: &Prepared,
    estimate: impl Fn(usize, &mut PushSpace) -> EntryEstimate,
) -> Asked {
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
    let last = last.expect("entries were asked for");
    Asked { took: median(&took), touched: touched[touched.len() / 2], last }
}

/// What a change of the bound costs.
pub fn keeping(clock: &Clock) -> (Duration, f64) {
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
    (took / (2 * CHANGES) as u32, worst)
}
