//! What keeping a proof costs the changes of a live session (goal G12): beside a witness, and beside a
//! factorisation where there is none.

use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::policy::planning::Governor;
use weir::runtime::clock::Clock;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::live::{BoundKind, Change, CostDelta, LiveEnd, LiveEngine};
use weir::solver::options::SolveOptions;
use weir::solver::outcome::Step;
use weir::solver::proof::{CholeskyLimits, Coercivity, SearchLimits, find};
use weir::solver::system::LinearSystem;

use super::timed;

/// Changes of one entry each, every one settled before the next.
const CHANGES: usize = 2_000;

/// An entry that changes: its row, its column, its value at first.
type Place = (usize, usize, f64);

/// A live system under changes of its entries.
pub fn report(clock: &Clock) {
    let dominant = gallery::diagonally_dominant(10_000, 50_000, 1).expect("in range");
    keeping("dominant, 10,000 rows", dominant, clock);
    keeping("plate, 10,000 rows", plate(100), clock);
}

/// Poisson's matrix squared: positive definite, and no H-matrix.
fn plate(side: usize) -> LinearSystem {
    let (matrix, rhs) = gallery::poisson_2d(side, 1).expect("in range").into_parts();
    LinearSystem::new(&matrix * &matrix, rhs).expect("finite")
}

fn keeping(name: &str, system: LinearSystem, clock: &Clock) {
    let places = places(&system);
    let kept = following(&system, &places, clock);
    let mut live = certified(name, system);
    settle(&mut live);
    let (took, ()) = timed(clock, || {
        for &(row, col, value) in &places {
            let mut delta = CostDelta::default();
            let part = if row == col { 1.0 + 1e-6 } else { 1.0 - 1e-6 };
            delta.edit_entry(row, col, Change::Set(part * value), None);
            live.apply(&delta).expect("in range");
            settle(&mut live);
        }
    });
    const STATES: u32 = 50;
    let (measuring, _) = timed(clock, || (0..STATES).map(|_| live.measure()).sum::<f64>());
    let (stating, is_proven) = timed(clock, || {
        let state = |_| {
            live.measure();
            live.error_bound().kind == BoundKind::Proven
        };
        (0..STATES).map(state).filter(|is_proven| *is_proven).count()
    });
    let change = took.as_secs_f64() / CHANGES as f64;
    println!(
        "{name}: {:.1} us a change until it is settled, of which following it in the proof {:.0} ns \
         ({:.2} %); {:.0} us to measure a state, {:.0} us with its bound ({is_proven} of {STATES} proven)",
        1e6 * change,
        1e9 * kept,
        100.0 * kept / change,
        1e6 * measuring.as_secs_f64() / f64::from(STATES),
        1e6 * stating.as_secs_f64() / f64::from(STATES),
    );
}

fn places(system: &LinearSystem) -> Vec<Place> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut below = |count: usize| (rng.next_u64() % count as u64) as usize;
    let mut drawn = || {
        let row = below(system.order());
        let (cols, values) = system.rows().row(row);
        let at = below(cols.len());
        (row, cols[at] as usize, values[at])
    };
    (0..CHANGES).map(|_| drawn()).collect()
}

/// A live session that has everything proven.
fn certified(name: &str, system: LinearSystem) -> LiveEngine {
    let analysis = Analysis::of(&system);
    let mut engine =
        Engine::new(system, analysis, None, SolveOptions::default()).expect("solvable");
    while !matches!(engine.step(), Step::Finished(_)) {}
    let mut live = LiveEngine::of(engine).expect("admitted");
    while let Some(job) = live.detach_certificate() {
        if let LiveEnd::Prepared(preparation) = live.take_over(job.run()).end {
            println!("{name}: {}", preparation.description);
        }
    }
    live
}

fn settle(live: &mut LiveEngine) {
    let governor = Governor::default();
    while let Some(plan) = governor.choose(&live.offers()) {
        live.work(plan.engine, plan.entries_max);
    }
}

/// Seconds that following a change costs the proof of a system.
fn following(system: &LinearSystem, places: &[Place], clock: &Clock) -> f64 {
    if let Ok(mut witness) = find(system.rows(), SearchLimits::default()) {
        return repeated(places, clock, |(row, col, _), old, new| {
            witness.entry_changed(row, col, old, new);
        });
    }
    let limits = CholeskyLimits { memory_bytes_max: 1 << 30, flops_max: 1e10 };
    let (proof, _) = Coercivity::prove(system.rows(), limits, &Arc::default());
    let mut proof = proof.expect("positive definite");
    repeated(places, clock, |(row, col, _), old, new| proof.entry_changed(row, col, old, new))
}

/// Every place there and back, many times; seconds for one of it.
fn repeated(places: &[Place], clock: &Clock, mut follow: impl FnMut(Place, f64, f64)) -> f64 {
    const TIMES: usize = 50;
    let (took, ()): (Duration, ()) = timed(clock, || {
        for _ in 0..TIMES {
            places.iter().for_each(|&place| follow(place, place.2, 1.001 * place.2));
            places.iter().for_each(|&place| follow(place, 1.001 * place.2, place.2));
        }
    });
    took.as_secs_f64() / (2 * TIMES * places.len()) as f64
}
