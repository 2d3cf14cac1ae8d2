//! Single entries of live systems: every bound against the exact solution of the system as it then is, also
//! while changes wait to be worked in.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use weir::policy::planning::Governor;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::live::{Change, CostDelta, EngineName, LiveEngine, PUSH_ENTRIES_MAX};
use weir::solver::options::{MethodName, SolveOptions};
use weir::solver::outcome::Step;
use weir::solver::proof::entry::{
    Accuracy, BoundKind, EntryAnswer, EntryEnd, EntryMethod, InquiryOptions, Patience,
};
use weir::solver::system::LinearSystem;

use super::storm::{below, signed, uniform};
use super::{exact, grid};
use crate::support::{solve, system_of};

fn options(accuracy: Accuracy) -> InquiryOptions {
    InquiryOptions { accuracy, failure: 0.0, seed: 1, entries_max: 1 << 32, memory_bytes_max: 0 }
}

/// A live engine of a system that has been solved to a part of its digits.
fn live(system: LinearSystem, tolerance: f64) -> LiveEngine {
    let analysis = Analysis::of(&system);
    let options = SolveOptions { tolerance, ..SolveOptions::default() };
    let mut engine = Engine::new(system, analysis, None, options).unwrap();
    while !matches!(engine.step(), Step::Finished(_)) {}
    LiveEngine::of(engine).unwrap()
}

/// The same by a method, to 1e-10.
pub fn live_by(system: LinearSystem, method: MethodName) -> LiveEngine {
    let analysis = Analysis::of(&system);
    let options = SolveOptions { method, tolerance: 1e-10, ..SolveOptions::default() };
    let mut engine = Engine::new(system, analysis, None, options).unwrap();
    while !matches!(engine.step(), Step::Finished(_)) {}
    LiveEngine::of(engine).unwrap()
}

/// Works until nothing is left to do, set-ups included.
pub fn settle(live: &mut LiveEngine) {
    let governor = Governor::default();
    for _ in 0..1_000 {
        let Some(plan) = governor.choose(&live.offers()) else { return };
        live.work(plan.engine, plan.entries_max);
    }
}

fn ask(live: &mut LiveEngine, entries: &[usize], options: InquiryOptions) -> Vec<EntryAnswer> {
    let mut inquiry = live.inquire(options, Patience::ENDLESS);
    let left = |at| entries.len() - at;
    entries.iter().enumerate().map(|(at, &i)| inquiry.answer(i, left(at)).unwrap()).collect()
}

/// The system as it stands, without rounding.
fn exactly(live: &LiveEngine) -> Option<Vec<exact::Exact>> {
    let n = live.order();
    let mut dense = vec![0.0; n * n];
    for row in 0..n {
        live.live().matrix().row(row).for_each(|(col, a)| dense[row * n + col as usize] = a);
    }
    exact::solution(&dense, live.live().rhs())
}

/// Few entries, dominant in the measure of ones.
fn drawn(rng: &mut ChaCha8Rng) -> LinearSystem {
    let n = 2 + below(rng, 9);
    let mut dense = vec![vec![0.0; n]; n];
    for (i, row) in dense.iter_mut().enumerate() {
        for _ in 0..2 {
            row[below(rng, n)] = signed(rng);
        }
        row[i] = 0.0;
        let beside: f64 = row.iter().map(|a| a.abs()).sum();
        row[i] = signed(rng).signum() * (beside * (1.01 + uniform(rng)) + 0.1);
    }
    system_of(&dense, (0..n).map(|_| signed(rng)).collect())
}

fn change(rng: &mut ChaCha8Rng, n: usize) -> CostDelta {
    let mut delta = CostDelta::default();
    for _ in 0..1 + below(rng, 3) {
        match below(rng, 3) {
            0 => delta.edit_rhs(below(rng, n), Change::Add(signed(rng)), None),
            // Often a place where nothing is stored; sometimes dominance is lost.
            1 => {
                let (row, col) = (below(rng, n), below(rng, n));
                if row != col {
                    delta.edit_entry(row, col, Change::Set(0.4 * signed(rng)), None);
                }
            }
            _ => {
                let row = below(rng, n);
                delta.edit_entry(row, row, Change::Add(0.3 * signed(rng)), None);
            }
        }
    }
    delta
}

#[test]
fn the_bound_of_an_entry_holds_while_changes_wait() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut proven, mut pushed) = (0, 0);
    for _ in 0..150 {
        let system = drawn(&mut rng);
        let n = system.order();
        let mut live = live(system, [1e-3, 1e-12][below(&mut rng, 2)]);
        for _ in 0..8 {
            live.apply(&change(&mut rng, n)).unwrap();
            if below(&mut rng, 3) == 0 {
                settle(&mut live);
            }
            let Some(x) = exactly(&live) else { break };
            let accuracy = Accuracy::Absolute(10f64.powi(-(below(&mut rng, 15) as i32)));
            let entry = below(&mut rng, n);
            let version = live.version();
            for answer in ask(&mut live, &[entry, 0], options(accuracy)) {
                let value = answer.value.unwrap();
                if answer.kind == BoundKind::Proven {
                    proven += 1;
                    pushed += u32::from(answer.method == EntryMethod::BackwardPush);
                    let error = exact::error(&x[answer.entry], value);
                    exact::assert_within(&error, answer.bound, &answer);
                    let is_close = answer.bound <= accuracy.of(value, answer.bound);
                    assert_eq!(is_close, answer.end == EntryEnd::Reached, "{answer:?}");
                }
            }
            assert_eq!(live.version(), version, "asking changes nothing");
        }
    }
    assert!(proven > 1_000 && pushed > 200, "{proven} proven, {pushed} by pushes");
}

#[test]
fn pushes_read_the_neighbourhood_of_an_entry_and_no_more() {
    let (mut matrix, rhs) = gallery::poisson_2d(200, 5).unwrap().into_parts();
    for (row, mut entries) in matrix.outer_iterator_mut().enumerate() {
        entries.iter_mut().filter(|(col, _)| *col == row).for_each(|(_, value)| *value = 4.4);
    }
    let mut live = live(LinearSystem::new(matrix, rhs).unwrap(), 1e-6);
    let wide = ask(&mut live, &[20_100], options(Accuracy::Absolute(1.0))).remove(0);
    assert_eq!((wide.method, wide.touched_entries), (EntryMethod::Read, 1), "{wide:?}");
    // The residual is small, so a few pushes take a tenth of the bound away.
    let accuracy = Accuracy::Absolute(0.1 * wide.bound);
    let close = ask(&mut live, &[20_100], options(accuracy)).remove(0);
    assert_eq!((close.method, close.end), (EntryMethod::BackwardPush, EntryEnd::Reached));
    assert!(close.touched_entries < 20_000, "{close:?}");
    let (truth, _) = live.read(20_100).unwrap();
    settle_to(&mut live, 1e-13);
    let (settled, _) = live.read(20_100).unwrap();
    assert!((close.value.unwrap() - settled).abs() <= close.bound + 1e-13);
    assert!((settled - truth).abs() <= wide.bound);
}

/// One small change of `b` after the other moves nothing but makes sweeps; the tolerance stays, so the
/// truth is found by relaxing far below it.
fn settle_to(live: &mut LiveEngine, part: f64) {
    let n = live.order();
    let mut x = live.copy_x();
    for _ in 0..200 {
        let mut worst = 0.0_f64;
        for row in 0..n {
            let product: f64 =
                live.live().matrix().row(row).map(|(col, a)| a * x[col as usize]).sum();
            let step = (live.live().rhs()[row] - product) / live.live().matrix().value(row, row);
            x[row] += step;
            worst = worst.max(step.abs());
        }
        if worst < part {
            break;
        }
    }
    // As a guess of a fresh solve, which ends at once.
    let system = live.live().to_system();
    let analysis = Analysis::of(&system);
    let options = SolveOptions { tolerance: 1e-8, ..SolveOptions::default() };
    let mut engine = Engine::new(system, analysis, Some(x), options).unwrap();
    while !matches!(engine.step(), Step::Finished(_)) {}
    *live = LiveEngine::of(engine).unwrap();
}

#[test]
fn an_entry_of_a_grid_with_a_factor_is_exact_up_to_rounding() {
    // With a witness proven, on an indefinite grid an estimate.
    for (name, kind) in
        [("case1354pegase", BoundKind::Proven), ("case9241pegase", BoundKind::Estimated)]
    {
        let system = grid(name);
        let n = system.order();
        let mut live = live(system, 1e-4);
        let mut delta = CostDelta::default();
        delta.edit_rhs(3, Change::Add(2.0), None);
        live.apply(&delta).unwrap();
        settle(&mut live);
        if let Some(plan) = live.offers().into_iter().find(|offer| offer.engine == EngineName::Path)
        {
            live.work(plan.engine, u64::MAX);
            live.work(plan.engine, u64::MAX);
        }
        // Looks for a witness.
        live.work(EngineName::Relaxation, 1);
        // A pair of entries and a cost, not worked in: the factor takes them on its way.
        let mut delta = CostDelta::default();
        let (col, a) = live.live().matrix().row(7).find(|(col, _)| *col != 7).unwrap();
        delta.edit_entry(7, col as usize, Change::Set(0.99 * a), None);
        delta.edit_entry(col as usize, 7, Change::Set(0.99 * a), None);
        delta.edit_rhs(9, Change::Add(-1.0), None);
        live.apply(&delta).unwrap();
        let asked = [0, 7, n - 1];
        let answers = ask(&mut live, &asked, options(Accuracy::Absolute(1e-12)));
        let x = refined(&live);
        for answer in answers {
            assert_eq!((answer.method, answer.kind), (EntryMethod::Path, kind), "{answer:?}");
            let error = (answer.value.unwrap() - x[answer.entry]).abs();
            assert!(error <= answer.bound, "{error:e}: {answer:?}");
            assert!(answer.bound < 1e-8 * (1.0 + x[answer.entry].abs()), "{answer:?}");
        }
    }
}

/// Solved directly and to the last digit.
fn refined(live: &LiveEngine) -> Vec<f64> {
    let system = live.live().to_system();
    let options =
        SolveOptions { method: MethodName::Direct, tolerance: 1e-12, ..SolveOptions::default() };
    solve(system, None, options).unwrap().x
}

#[test]
fn what_is_not_reached_is_said_with_the_bound_that_is() {
    let system = gallery::diagonally_dominant(3_000, 15_000, 2).unwrap();
    let mut live = live(system, 1e-6);
    let asked = [5, 5, 2_999];
    let tight = InquiryOptions { entries_max: 500, ..options(Accuracy::Absolute(1e-15)) };
    for answer in ask(&mut live, &asked, tight) {
        assert_eq!((answer.kind, answer.end), (BoundKind::Proven, EntryEnd::OverBudget));
        assert!(answer.touched_entries <= 501 && answer.bound.is_finite(), "{answer:?}");
    }
    let impatient = {
        let mut inquiry = live.inquire(options(Accuracy::Absolute(1e-15)), Patience(&|| false));
        inquiry.answer(5, 1).unwrap()
    };
    assert_eq!((impatient.kind, impatient.end), (BoundKind::Proven, EntryEnd::OutOfTime));
    let mut inquiry = live.inquire(options(Accuracy::Absolute(1e-20)), Patience::ENDLESS);
    assert_eq!(inquiry.answer(3_000, 1), None);
    assert!(inquiry.answer(1, 1).unwrap().touched_entries <= PUSH_ENTRIES_MAX + 1);
}
