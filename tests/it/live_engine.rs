//! A live engine keeps a solve solved while its costs change: whatever comes, every settled state
//! solves the system as it stands, within the bound that is announced for it, and what cannot be
//! solved ends by type.

mod analysis;
mod background;
mod diagonal;
mod storm;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::policy::planning::Governor;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::live::{
    BoundKind, Change, CostDelta, EditFault, EngineName, LiveEnd, LiveEngine, LiveStop, StatedBound,
};
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::outcome::{Refusal, Step, StopReason};
use weir::solver::system::LinearSystem;

use crate::support::{Dense, dense_solution, system_of};

/// Calls until an engine must have settled a small system.
const CALLS_MAX: usize = 3_000;

struct Draws(ChaCha8Rng);

impl Draws {
    fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    /// Uniform in [−1, 1).
    fn number(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// What is held, in the plainest form.
struct Model {
    a: Dense,
    b: Vec<f64>,
}

impl Model {
    fn of(system: &LinearSystem) -> Self {
        let n = system.order();
        let mut a = vec![vec![0.0; n]; n];
        for (row, entries) in a.iter_mut().enumerate() {
            let (cols, values) = system.rows().row(row);
            cols.iter().zip(values).for_each(|(col, value)| entries[*col as usize] = *value);
        }
        Self { a, b: system.rhs().to_vec() }
    }

    fn set_entry(&mut self, delta: &mut CostDelta, row: usize, col: usize, value: f64) {
        delta.edit_entry(row, col, Change::Set(value), Some(self.a[row][col]));
        self.a[row][col] = value;
    }

    fn set_rhs(&mut self, delta: &mut CostDelta, row: usize, value: f64) {
        delta.edit_rhs(row, Change::Set(value), Some(self.b[row]));
        self.b[row] = value;
    }

    /// `‖b − A x‖₂`.
    fn residual_norm(&self, x: &[f64]) -> f64 {
        let rows = self.a.iter().zip(&self.b);
        let square = |(row, b): (&Vec<f64>, &f64)| {
            let product: f64 = row.iter().zip(x).map(|(a, x)| a * x).sum();
            (b - product).powi(2)
        };
        rows.map(square).sum::<f64>().sqrt()
    }

    fn rhs_norm(&self) -> f64 {
        self.b.iter().map(|b| b * b).sum::<f64>().sqrt()
    }

    /// `‖A‖∞ ‖A⁻¹‖∞`, infinite where elimination meets a zero.
    fn condition(&self) -> f64 {
        let n = self.b.len();
        let norm = |rows: &Dense| {
            rows.iter().map(|row| row.iter().map(|a| a.abs()).sum()).fold(0.0, f64::max)
        };
        let mut inverse = vec![vec![0.0; n]; n];
        for col in 0..n {
            let mut unit = vec![0.0; n];
            unit[col] = 1.0;
            let Some(x) = dense_solution(&self.a, &unit) else { return f64::INFINITY };
            (0..n).for_each(|row| inverse[row][col] = x[row]);
        }
        norm(&self.a) * norm(&inverse)
    }
}

fn solved(system: LinearSystem, options: SolveOptions) -> LiveEngine {
    let analysis = Analysis::of(&system);
    let mut engine = Engine::new(system, analysis, None, options).expect("a method that fits");
    while !matches!(engine.step(), Step::Finished(_)) {}
    LiveEngine::of(engine).expect("numbers of ordinary size")
}

fn of_method(system: LinearSystem, method: MethodName) -> LiveEngine {
    solved(system, SolveOptions { method, ..SolveOptions::default() })
}

/// Works as the governor says, with a clock that charges a nanosecond an entry; returns why nobody
/// could settle the system, if so.
fn settle(live: &mut LiveEngine, governor: &mut Governor) -> Option<LiveStop> {
    let mut last_stop = None;
    for _ in 0..CALLS_MAX {
        let Some(plan) = governor.choose(&live.offers()) else {
            return if live.is_settled() { None } else { Some(last_stop.expect("a reason")) };
        };
        let done = live.work(plan.engine, plan.entries_max);
        if let LiveEnd::Failed(stop) = &done.end {
            last_stop = Some(stop.clone());
        }
        governor.learn(&plan, &done, Duration::from_nanos(done.work.nonzeros));
    }
    panic!("not settled after {CALLS_MAX} calls, residual {:e}", live.residual_norm());
}

fn settle_by(live: &mut LiveEngine, engine: EngineName, entries_max: u64) -> LiveEnd {
    for _ in 0..CALLS_MAX {
        match live.work(engine, entries_max).end {
            LiveEnd::Paused | LiveEnd::Prepared(_) => {}
            end @ (LiveEnd::Settled | LiveEnd::Failed(_)) => return end,
        }
    }
    panic!("not settled after {CALLS_MAX} calls");
}

/// A settled state solves what the model holds, and its bounds are true.
fn check_settled(live: &mut LiveEngine, model: &Model, tolerance: f64, what: &str) {
    let x = live.copy_x();
    let (found, allowed) = (model.residual_norm(&x), tolerance * model.rhs_norm());
    assert!(found <= allowed * (1.0 + 1e-6), "{what}: {found:e} > {allowed:e}");
    check_bound(live, model, what);
}

/// The bound that is proven covers the distance to what a dense solver finds.
fn check_bound(live: &mut LiveEngine, model: &Model, what: &str) {
    let stated = live.error_bound();
    if stated.kind != BoundKind::Proven {
        // What an estimate is worth is counted elsewhere.
        return;
    }
    let x = live.copy_x();
    let exact = dense_solution(&model.a, &model.b).expect("an H-matrix is not singular");
    let size = exact.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    let error = x.iter().zip(&exact).map(|(x, e)| (x - e).abs()).fold(0.0, f64::max);
    // The dense solver rounds, too.
    let allowed = stated.absolute + 1e-12 * size;
    assert!(error <= allowed, "{what}: error {error:e}, bound {:e}", stated.absolute);
    for row in [0, x.len() / 2] {
        let (value, bound) = live.read(row).expect("a row");
        assert_eq!(value, x[row]);
        assert!((value - exact[row]).abs() <= bound.absolute + 1e-12 * size, "{what}: row {row}");
    }
}

fn dominant(n: usize, draws: &mut Draws) -> LinearSystem {
    let mut a = vec![vec![0.0; n]; n];
    for row in 0..n {
        for _ in 0..3 {
            let col = draws.below(n);
            a[row][col] = draws.number();
        }
        a[row][row] = 0.0;
        a[row][row] = 0.2 + a[row].iter().map(|a| a.abs()).sum::<f64>();
    }
    system_of(&a, (0..n).map(|_| draws.number()).collect())
}

/// One delta of a few edits of every kind, and its effect on the model.
fn mixed_delta(draws: &mut Draws, model: &mut Model) -> CostDelta {
    let n = model.b.len();
    let mut delta = CostDelta::default();
    for _ in 0..1 + draws.below(3) {
        let (row, col) = (draws.below(n), draws.below(n));
        let held = model.a[row][col];
        match draws.below(9) {
            0..=3 => model.set_rhs(&mut delta, row, 4.0 * draws.number()),
            4 => model.set_entry(&mut delta, row, col, 0.3 * draws.number()),
            5 => model.set_entry(&mut delta, row, col, -held),
            6 => model.set_entry(&mut delta, row, col, 0.0),
            // Dominance goes, and comes back.
            7 => model.set_entry(&mut delta, row, row, 0.1 * draws.number()),
            _ => {
                for row in 0..n {
                    let rest: f64 = model.a[row].iter().map(|a| a.abs()).sum::<f64>();
                    let sum = rest - model.a[row][row].abs();
                    if model.a[row][row].abs() <= sum {
                        model.set_entry(&mut delta, row, row, 0.3 + sum);
                    }
                }
            }
        }
    }
    delta
}

#[test]
fn thousands_of_mixed_changes_are_solved_or_end_by_type() {
    let (mut settled, mut proven, mut stopped) = (0, 0, 0);
    for seed in 0..6 {
        let mut draws = Draws::seeded(seed);
        let system = dominant(20 + 4 * seed as usize, &mut draws);
        let mut model = Model::of(&system);
        let mut live = of_method(system, MethodName::Hybrid);
        let mut governor = Governor::default();
        for step in 0..400 {
            let what = format!("seed {seed}, step {step}");
            let delta = mixed_delta(&mut draws, &mut model);
            live.apply(&delta).expect("what the model holds is held");
            // Also while the change waits.
            check_bound(&mut live, &model, &what);
            match settle(&mut live, &mut governor) {
                None => {
                    check_settled(&mut live, &model, 1e-8, &what);
                    settled += 1;
                    proven += usize::from(live.error_bound().kind == BoundKind::Proven);
                }
                Some(stop) => {
                    let condition = model.condition();
                    assert!(condition > 1e7, "{what}: {stop}, condition {condition:e}");
                    stopped += 1;
                }
            }
        }
    }
    assert!(settled > 2_000 && proven > 500 && stopped < 300, "{settled} {proven} {stopped}");
}

#[test]
fn every_engine_alone_settles_what_it_offers() {
    for engine in EngineName::ALL {
        let mut draws = Draws::seeded(7);
        let system = dominant(60, &mut draws);
        let mut model = Model::of(&system);
        let mut live = of_method(system, MethodName::Hybrid);
        for step in 0..50 {
            let mut delta = CostDelta::default();
            let row = draws.below(60);
            model.set_rhs(&mut delta, row, draws.number());
            let (row, value) = (draws.below(60), 0.01 * draws.number());
            model.set_entry(&mut delta, row, draws.below(60), value);
            live.apply(&delta).expect("what the model holds is held");
            assert!(live.offers().iter().any(|offer| offer.engine == engine), "{engine}");
            let end = settle_by(&mut live, engine, 10_000);
            assert_eq!(end, LiveEnd::Settled, "{engine}, step {step}");
            check_settled(&mut live, &model, 1e-8, &format!("{engine}, step {step}"));
        }
    }
}

#[test]
fn crowds_are_settled_by_their_norm_and_what_they_leave_is_served_with_the_next_change() {
    const N: usize = 300;
    let mut draws = Draws::seeded(41);
    let system = gallery::diagonally_dominant(N, 5 * N, 9).unwrap();
    let mut model = Model::of(&system);
    let mut live = of_method(system, MethodName::GaussSeidel);
    let (mut pauses, mut left, mut ends) = (0, 0, 0);
    for round in 0..40 {
        let mut delta = CostDelta::default();
        // Everything, a third, and one row beside what was left.
        let count = [N, N / 3, 1][round % 3];
        for row in 0..count {
            model.set_rhs(&mut delta, row, draws.number());
        }
        live.apply(&delta).unwrap();
        assert!(!live.is_settled(), "round {round}");
        loop {
            let end = live.work(EngineName::Relaxation, 1).end;
            // Whatever the end, the residual kept is that of the x kept.
            let (kept, found) = (live.residual_norm(), model.residual_norm(&live.copy_x()));
            let slack = 1e-12 * model.rhs_norm();
            assert!((kept - found).abs() <= slack, "round {round}: {kept:e}, {found:e}");
            match end {
                LiveEnd::Paused => pauses += 1,
                LiveEnd::Settled => break,
                end => panic!("round {round}: {end:?}"),
            }
        }
        assert!(live.is_settled(), "round {round}");
        let (found, allowed) = (model.residual_norm(&live.copy_x()), 1e-8 * model.rhs_norm());
        assert!(found <= allowed * (1.0 + 1e-9), "round {round}: {found:e} > {allowed:e}");
        left += live.live().active_rows();
        ends += usize::from(live.live().active_rows() > 0);
    }
    check_settled(&mut live, &model, 1e-8, "after all");
    assert!(pauses > 20 && left > 0 && ends < 40, "{pauses} pauses, {left} rows left {ends} times");
}

#[test]
fn a_right_hand_side_that_vanishes_has_the_solution_zero_and_comes_back() {
    let mut draws = Draws::seeded(3);
    let system = dominant(30, &mut draws);
    let mut model = Model::of(&system);
    let mut live = of_method(system, MethodName::Hybrid);
    let mut governor = Governor::default();
    let mut delta = CostDelta::default();
    (0..30).for_each(|row| model.set_rhs(&mut delta, row, 0.0));
    live.apply(&delta).unwrap();
    assert!(!live.is_settled());
    assert_eq!(settle(&mut live, &mut governor), None);
    assert_eq!((live.rhs_norm(), live.residual_threshold()), (0.0, 0.0));
    assert_eq!(live.copy_x(), vec![0.0; 30]);
    let exact = StatedBound { kind: BoundKind::Proven, absolute: 0.0, relative: Some(0.0) };
    assert_eq!(live.error_bound(), exact);
    let mut delta = CostDelta::default();
    model.set_rhs(&mut delta, 4, 1e-3);
    live.apply(&delta).unwrap();
    assert!(!live.is_settled());
    assert_eq!(settle(&mut live, &mut governor), None);
    check_settled(&mut live, &model, 1e-8, "after zero");
}

#[test]
fn a_state_that_was_settled_for_a_large_right_hand_side_is_not_for_a_small_one() {
    let mut draws = Draws::seeded(4);
    let system = dominant(40, &mut draws);
    let mut model = Model::of(&system);
    let mut live = of_method(system, MethodName::Hybrid);
    let mut governor = Governor::default();
    for factor in [1e3, 1e-6, 0.97, 1e5, 1e-3] {
        let mut delta = CostDelta::default();
        for row in 0..40 {
            let value = model.b[row] * factor;
            model.set_rhs(&mut delta, row, value);
        }
        live.apply(&delta).unwrap();
        let is_true = model.residual_norm(&live.copy_x()) <= 1e-8 * model.rhs_norm();
        assert!(is_true || !live.is_settled(), "{factor}");
        assert_eq!(settle(&mut live, &mut governor), None);
        check_settled(&mut live, &model, 1e-8, "scaled");
    }
}

fn forced(method: MethodName, edits: &[(usize, usize, f64)]) -> LiveEnd {
    let mut live = of_method(gallery::poisson_2d(8, 1).unwrap(), method);
    let mut delta = CostDelta::default();
    for &(row, col, value) in edits {
        delta.edit_entry(row, col, Change::Set(value), None);
    }
    live.apply(&delta).unwrap();
    let end = settle_by(&mut live, EngineName::Iteration, 1_000_000);
    assert!(live.offers().iter().all(|offer| offer.engine != EngineName::Iteration));
    // What is mended is taken up again.
    let mut mended = CostDelta::default();
    for &(row, col, _) in edits {
        let value = if row == col { 4.0 } else { -1.0 };
        mended.edit_entry(row, col, Change::Set(value), None);
    }
    live.apply(&mended).unwrap();
    assert_eq!(settle_by(&mut live, EngineName::Iteration, 1_000_000), LiveEnd::Settled);
    end
}

#[test]
fn a_method_that_was_asked_for_by_name_says_what_it_has_lost() {
    let LiveEnd::Failed(LiveStop::Refused(refusal)) = forced(MethodName::Cg, &[(3, 4, 0.5)]) else {
        panic!("cg takes an asymmetric matrix")
    };
    assert!(matches!(refusal, Refusal::NotSymmetric { row: 3, col: 4, .. }), "{refusal}");
    let end = forced(MethodName::Cg, &[(9, 9, -4.0)]);
    let is_negative = matches!(
        end,
        LiveEnd::Failed(LiveStop::Refused(Refusal::NotPositiveDefinite { row: 9, .. }))
    );
    assert!(is_negative, "{end:?}");
    for method in [MethodName::Jacobi, MethodName::GaussSeidel] {
        let end = forced(method, &[(9, 9, 0.5)]);
        let LiveEnd::Failed(LiveStop::DominanceLost { method: found, evidence, .. }) = end else {
            panic!("{method} goes on: {end:?}")
        };
        assert_eq!(found, method);
        assert!(!evidence.is_empty());
    }
    let end = forced(MethodName::Jacobi, &[(9, 9, 0.0)]);
    let is_typed = matches!(
        end,
        LiveEnd::Failed(
            LiveStop::DominanceLost { .. } | LiveStop::Refused(Refusal::ZeroDiagonal { .. })
        )
    );
    assert!(is_typed, "{end:?}");
}

/// A power grid of the repository.
fn grid(name: &str) -> LinearSystem {
    let read = |suffix: &str| {
        let place = format!("{}/scenarios/systems/{name}{suffix}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(place).expect("a file of the repository")
    };
    let read_in = read_matrix(&read(".mtx")[..], ReadLimits::default()).unwrap();
    let rhs = read_rhs(&read("_b.mtx")[..], read_in.rows).unwrap();
    LinearSystem::assemble(read_in.rows, read_in.cols, read_in.arrays, rhs).unwrap()
}

#[test]
fn the_grid_of_9241_buses_is_kept_true_by_its_path() {
    check_indefinite_grid("case9241pegase", 300);
}

#[test]
fn other_indefinite_grids_are_kept_true_by_their_paths() {
    for name in ["case300", "case6470rte", "case6515rte"] {
        check_indefinite_grid(name, 100);
    }
}

/// Symmetric and indefinite: everything that relaxes may diverge on it.
fn check_indefinite_grid(name: &str, steps: usize) {
    let system = grid(name);
    let n = system.order();
    let mut live = of_method(system, MethodName::Hybrid);
    let mut governor = Governor::default();
    let mut draws = Draws::seeded(11);
    let (mut by_path, mut by_others) = (0, 0);
    for step in 0..steps {
        let mut delta = CostDelta::default();
        let row = draws.below(n);
        let held = live.live().rhs()[row];
        delta.edit_rhs(row, Change::Set(held + 0.1 * draws.number()), None);
        // A line's susceptance changes: both ends and the entry between them, on both sides.
        let entry = live.live().matrix().row(row).find(|(col, _)| *col as usize != row);
        if let Some((col, value)) = entry {
            let change = 0.05 * value * draws.number();
            for (row, col, change) in [
                (row, col as usize, change),
                (col as usize, row, change),
                (row, row, -change),
                (col as usize, col as usize, -change),
            ] {
                delta.edit_entry(row, col, Change::Add(change), None);
            }
        }
        live.apply(&delta).unwrap();
        for _ in 0..20 {
            let Some(plan) = governor.choose(&live.offers()) else { break };
            let done = live.work(plan.engine, plan.entries_max);
            match plan.engine {
                EngineName::Path => by_path += 1,
                EngineName::Relaxation | EngineName::Iteration => by_others += 1,
            }
            governor.learn(&plan, &done, Duration::from_nanos(done.work.nonzeros));
        }
        let (found, threshold) = (live.measure(), live.residual_threshold());
        assert!(found <= threshold, "{name}, step {step}: {found:e} > {threshold:e}");
        assert_ne!(live.error_bound().kind, BoundKind::Proven, "it is indefinite");
    }
    assert!(by_path > 5 * by_others, "{name}: {by_path} {by_others}");
}

#[test]
fn a_hub_that_blows_the_budget_of_a_push_falls_through() {
    let system = gallery::page_rank(12, 40_000, 3).unwrap();
    let n = system.order();
    let hub = (0..n)
        .max_by_key(|&col| system.transposed().outer_view(col).map_or(0, |column| column.nnz()));
    let hub = hub.unwrap();
    let mut live = of_method(system, MethodName::Hybrid);
    let mut governor = Governor::default();
    while let Some(plan) = governor.choose(&live.offers()) {
        let done = live.work(plan.engine, plan.entries_max);
        governor.learn(&plan, &done, Duration::from_nanos(done.work.nonzeros));
    }
    let mut spent = vec![];
    for step in 0..60 {
        let mut delta = CostDelta::default();
        delta.edit_rhs(hub, Change::Add(if step % 2 == 0 { 1e-2 } else { -1e-2 }), None);
        live.apply(&delta).unwrap();
        let mut entries = 0;
        while let Some(plan) = governor.choose(&live.offers()) {
            let done = live.work(plan.engine, plan.entries_max);
            entries += done.work.nonzeros;
            // Pushes wait for memory: ten times what a streamed entry takes.
            let slowness = if plan.engine == EngineName::Relaxation { 10 } else { 1 };
            governor.learn(&plan, &done, Duration::from_nanos(slowness * done.work.nonzeros));
        }
        assert!(live.is_settled(), "step {step}");
        assert!(live.measure() <= live.residual_threshold());
        spent.push(entries);
    }
    // What comes after is learnt from: no push is begun, but for a rare try.
    let late: u64 = spent[20..].iter().sum();
    let nonzeros = live.nonzeros() as u64;
    assert!(late < 40 * 40 * nonzeros, "{late} entries of {nonzeros}");
}

#[test]
fn a_matrix_that_turns_singular_ends_by_type_and_is_solved_when_it_is_mended() {
    let mut draws = Draws::seeded(8);
    for n in [12, 260] {
        let system = dominant(n, &mut draws);
        let mut model = Model::of(&system);
        let (third, fourth) = (model.a[3].clone(), model.a[4].clone());
        let mut live = of_method(system, MethodName::Hybrid);
        let mut governor = Governor::default();
        // Two equal rows with different right-hand sides, then a row of zeros.
        for row in [third.clone(), vec![0.0; n]] {
            let mut delta = CostDelta::default();
            (0..n).for_each(|col| model.set_entry(&mut delta, 4, col, row[col]));
            model.set_rhs(&mut delta, 3, 1.0);
            model.set_rhs(&mut delta, 4, -1.0);
            live.apply(&delta).unwrap();
            let stop = settle(&mut live, &mut governor).expect("nothing solves it");
            assert!(!stop.to_string().is_empty() && live.offers().is_empty());
            assert!(live.copy_x().iter().all(|x| x.is_finite()));
            assert_eq!(live.error_bound().kind, BoundKind::None);
        }
        let mut delta = CostDelta::default();
        (0..n).for_each(|col| model.set_entry(&mut delta, 4, col, fourth[col]));
        live.apply(&delta).unwrap();
        assert_eq!(settle(&mut live, &mut governor), None, "n = {n}");
        check_settled(&mut live, &model, 1e-8, "mended");
    }
}

#[test]
fn a_tolerance_below_rounding_ends_at_the_precision_limit() {
    let mut draws = Draws::seeded(9);
    let system = dominant(300, &mut draws);
    let mut model = Model::of(&system);
    let options = SolveOptions { tolerance: 1e-17, ..SolveOptions::default() };
    let mut live = solved(system, options);
    let mut governor = Governor::default();
    let mut delta = CostDelta::default();
    model.set_rhs(&mut delta, 7, 0.25);
    live.apply(&delta).unwrap();
    let stop = settle(&mut live, &mut governor).expect("no state is so exact");
    let is_limit = matches!(stop, LiveStop::Method(StopReason::PrecisionLimit { .. }));
    assert!(is_limit || matches!(stop, LiveStop::Relaxation(_)), "{stop}");
    assert!(live.measure() <= 1e-13 * live.rhs_norm(), "what can be reached is reached");
    check_bound(&mut live, &model, "at the limit");
}

#[test]
fn factors_and_preconditioners_that_wear_out_change_no_answer() {
    for (method, preconditioner) in [
        (MethodName::Direct, None),
        (MethodName::Bicgstab, Some(PreconditionerName::Ilu)),
        (MethodName::Gmres, Some(PreconditionerName::Jacobi)),
        (MethodName::GaussSeidel, None),
    ] {
        let mut draws = Draws::seeded(10);
        let system = dominant(150, &mut draws);
        let mut model = Model::of(&system);
        let mut live =
            solved(system, SolveOptions { method, preconditioner, ..Default::default() });
        for step in 0..120 {
            let mut delta = CostDelta::default();
            for _ in 0..8 {
                // Rows grow with their diagonals, until nothing is left of what was factorised.
                let (row, col) = (draws.below(150), draws.below(150));
                let value = model.a[row][col] + if row == col { 0.0 } else { draws.number() };
                let grown = model.a[row][row] + value.abs() + 0.1;
                model.set_entry(&mut delta, row, col, if row == col { grown } else { value });
                if row != col {
                    model.set_entry(&mut delta, row, row, grown);
                }
            }
            live.apply(&delta).unwrap();
            let end = settle_by(&mut live, EngineName::Iteration, 20_000);
            assert_eq!(end, LiveEnd::Settled, "{method}, step {step}");
            check_settled(&mut live, &model, 1e-8, &format!("{method}, step {step}"));
        }
    }
}

#[test]
fn growth_of_the_matrix_is_bounded() {
    let mut draws = Draws::seeded(12);
    let mut live = of_method(dominant(100, &mut draws), MethodName::Hybrid);
    let entries_before = live.nonzeros();
    let mut refused = None;
    'all: for row in 0..100 {
        for col in 0..100 {
            let mut delta = CostDelta::default();
            delta.edit_entry(row, col, Change::Add(1e-6), None);
            if let Err(faults) = live.apply(&delta) {
                refused = Some(faults[0].fault);
                break 'all;
            }
        }
    }
    let most = 4 * entries_before + 64 * 100;
    assert!(live.nonzeros() <= most);
    assert_eq!(refused, Some(EditFault::TooManyEntries { entries_max: most }));
}

#[test]
fn changes_on_the_way_of_a_method_are_worked_in_by_its_next_flight() {
    let system = gallery::convection_diffusion(24, 20.0, 3).unwrap();
    let mut model = Model::of(&system);
    let mut draws = Draws::seeded(5);
    let mut live = of_method(system, MethodName::Bicgstab);
    let mut is_settled = false;
    for step in 0..600 {
        if step < 200 {
            let mut delta = CostDelta::default();
            let row = draws.below(model.b.len());
            let value = model.b[row] + draws.number();
            model.set_rhs(&mut delta, row, value);
            live.apply(&delta).unwrap();
        }
        // One iteration at a time.
        is_settled = live.work(EngineName::Iteration, 1).end == LiveEnd::Settled;
        if is_settled {
            check_settled(&mut live, &model, 1e-8, &format!("step {step}"));
            if step >= 200 {
                break;
            }
        }
    }
    assert!(is_settled);
}

#[test]
fn a_live_engine_takes_over_a_solve_that_is_still_iterating() {
    let system = gallery::poisson_2d(20, 1).unwrap();
    let model = Model::of(&system);
    for (method, steps) in [(MethodName::Cg, 5), (MethodName::Gmres, 7), (MethodName::Hybrid, 1)] {
        let analysis = Analysis::of(&system);
        let options = SolveOptions { method, ..SolveOptions::default() };
        let mut engine = Engine::new(system.clone(), analysis, None, options).unwrap();
        (0..steps).for_each(|_| drop(engine.step()));
        let mut live = LiveEngine::of(engine).unwrap();
        let mut governor = Governor::default();
        assert!(!live.is_settled(), "{method}");
        assert_eq!(settle(&mut live, &mut governor), None, "{method}");
        check_settled(&mut live, &model, 1e-8, method.as_str());
    }
}

/// Runs what the governor chooses until nothing is left to do.
fn run_out(live: &mut LiveEngine, governor: &mut Governor) {
    while let Some(plan) = governor.choose(&live.offers()) {
        let done = live.work(plan.engine, plan.entries_max);
        governor.learn(&plan, &done, Duration::from_nanos(done.work.nonzeros));
    }
}

#[test]
fn a_relaxed_live_system_of_five_entries_a_row_holds_40_bytes_an_entry_and_64_a_row() {
    for system in [
        gallery::diagonally_dominant(20_000, 100_000, 5).unwrap(),
        gallery::diagonally_dominant(20_000, 140_000, 6).unwrap(),
    ] {
        let (n, mut nonzeros) = (system.order(), system.nonzeros());
        let mut live = of_method(system, MethodName::GaussSeidel);
        let mut governor = Governor::default();
        run_out(&mut live, &mut governor);
        let mut draws = Draws::seeded(3);
        for _ in 0..40 {
            let mut delta = CostDelta::default();
            for _ in 0..50 {
                let (row, col) = (draws.below(n), draws.below(n));
                delta.edit_entry(row, col, Change::Add(1e-4), None);
                delta.edit_rhs(row, Change::Add(draws.number()), None);
            }
            let applied = live.apply(&delta).unwrap();
            nonzeros += applied.entries.iter().filter(|change| change.is_new).count();
            run_out(&mut live, &mut governor);
        }
        assert!(live.is_settled());
        let held = live.memory_bytes();
        let most = (40 * nonzeros + 64 * n) as u64;
        assert!(held <= most, "{held} bytes, more than {most}, for {n} rows, {nonzeros} entries");
    }
}
