//! A live system stays true under change: whatever deltas come, `A` is what an independent model holds,
//! `r` is `b − A x`, and relaxation reaches what a dense solver finds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::solver::gallery;
use weir::solver::live::{
    Change, CostDelta, DeltaMember, EditFault, Ground, Licence, LiveFault, LiveSystem,
    RelaxationEnd, RelaxationRefusal, Thresholds,
};
use weir::solver::system::{LinearSystem, MatrixArrays};

const NO_LIMIT: u64 = u64::MAX;

/// What is held, in the plainest form.
#[derive(Debug, Clone)]
struct Model {
    n: usize,
    entries: BTreeMap<(usize, usize), f64>,
    b: Vec<f64>,
}

impl Model {
    fn of(system: &LinearSystem) -> Self {
        let mut entries = BTreeMap::new();
        for row in 0..system.order() {
            let (cols, values) = system.rows().row(row);
            for (&col, &value) in cols.iter().zip(values) {
                entries.insert((row, col as usize), value);
            }
        }
        Self { n: system.order(), entries, b: system.rhs().to_vec() }
    }

    fn value(&self, row: usize, col: usize) -> f64 {
        self.entries.get(&(row, col)).copied().unwrap_or(0.0)
    }

    /// `b − A x` and `|b| + |A| |x|`, row by row, in twice the precision of f64.
    fn residual(&self, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut exact: Vec<(f64, f64)> = self.b.iter().map(|b| (*b, 0.0)).collect();
        let mut size: Vec<f64> = self.b.iter().map(|b| b.abs()).collect();
        for (&(row, col), value) in &self.entries {
            let product = -value * x[col];
            // What the product lost, by splitting both factors (Dekker 1971).
            let split = |a: f64| {
                let c = 134_217_729.0 * a;
                (c - (c - a), a - (c - (c - a)))
            };
            let ((h, l), (g, k)) = (split(-value), split(x[col]));
            let lost = ((h * g - product) + h * k + l * g) + l * k;
            let (sum, rest) = exact[row];
            let total = sum + product;
            let back = total - sum;
            exact[row] = (total, rest + ((sum - (total - back)) + (product - back)) + lost);
            size[row] += product.abs();
        }
        (exact.into_iter().map(|(sum, rest)| sum + rest).collect(), size)
    }

    /// Takes over every value that is held; returns the largest difference.
    fn catch_up(&mut self, live: &LiveSystem) -> f64 {
        let mut largest = 0.0_f64;
        let mut take = |value: &mut f64, held: f64| {
            largest = largest.max((*value - held).abs());
            *value = held;
        };
        self.b.iter_mut().zip(live.rhs()).for_each(|(value, held)| take(value, *held));
        for (&(row, col), value) in &mut self.entries {
            take(value, live.matrix().value(row, col));
        }
        largest
    }

    /// Gaussian elimination with partial pivoting on a dense copy.
    fn solution(&self) -> Vec<f64> {
        let n = self.n;
        let mut a = vec![vec![0.0; n + 1]; n];
        for (&(row, col), value) in &self.entries {
            a[row][col] = *value;
        }
        (0..n).for_each(|row| a[row][n] = self.b[row]);
        for step in 0..n {
            let pivot = (step..n).max_by(|i, j| a[*i][step].abs().total_cmp(&a[*j][step].abs()));
            a.swap(step, pivot.unwrap());
            for row in step + 1..n {
                let (above, below) = a.split_at_mut(row);
                let factor = below[0][step] / above[step][step];
                for (value, pivot) in below[0].iter_mut().zip(&above[step]).skip(step) {
                    *value -= factor * pivot;
                }
            }
        }
        let mut x = vec![0.0; n];
        for row in (0..n).rev() {
            let known: f64 = (row + 1..n).map(|col| a[row][col] * x[col]).sum();
            x[row] = (a[row][n] - known) / a[row][row];
        }
        x
    }
}

/// The delta without the comparisons of values that an edit before it has touched.
fn comparing_only_once(delta: &CostDelta, touched: &mut BTreeSet<(usize, usize)>) -> CostDelta {
    const RHS: usize = usize::MAX;
    let mut once = CostDelta::default();
    for edit in delta.rhs() {
        let is_first = touched.insert((edit.place.row, RHS));
        once.edit_rhs(edit.place.row, edit.change, edit.old_value.filter(|_| is_first));
    }
    for edit in delta.entries() {
        let (row, col) = (edit.place.row, edit.place.col);
        let is_first = touched.insert((row, col));
        once.edit_entry(row, col, edit.change, edit.old_value.filter(|_| is_first));
    }
    once
}

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

    /// A delta of a few edits of every kind, and its effect on the model.
    fn mixed_delta(&mut self, model: &mut Model) -> CostDelta {
        let mut delta = CostDelta::default();
        for _ in 0..1 + self.below(6) {
            let row = self.below(model.n);
            if self.below(3) == 0 {
                let held = model.b[row];
                let (change, new) = self.change(held);
                let old_value = (self.below(2) == 0).then_some(held);
                delta.edit_rhs(row, change, old_value);
                model.b[row] = new;
            } else {
                let col = self.below(model.n);
                let held = model.value(row, col);
                let (change, new) = self.change(held);
                let old_value = (self.below(2) == 0).then_some(held);
                delta.edit_entry(row, col, change, old_value);
                model.entries.insert((row, col), new);
            }
        }
        delta
    }

    /// A new value, a sum, another sign, or zero; and what that makes of the value held.
    fn change(&mut self, held: f64) -> (Change, f64) {
        let number = self.number();
        match self.below(4) {
            0 => (Change::Set(number), number),
            1 => (Change::Add(number), held + number),
            2 => (Change::Set(-held), -held),
            _ => (Change::Set(0.0), 0.0),
        }
    }
}

fn live(system: LinearSystem, x: &[f64], threshold: f64) -> LiveSystem {
    LiveSystem::new(system, x, Thresholds::Uniform(threshold), 1 << 24).unwrap()
}

/// Dominance is the tests' own claim about the systems that they relax.
fn licence(live: &LiveSystem) -> Licence {
    Licence::new(Ground::HMatrix { margin: 1e-3 }, live.matrix().version()).unwrap()
}

fn assert_true_residual(live: &LiveSystem, model: &Model) {
    let (expected, size) = model.residual(&live.copy_x());
    for row in 0..model.n {
        let far = (live.residual(row) - expected[row]).abs();
        assert!(far <= 1e-12 * size[row], "row {row}: off by {far:e} of {:e}", size[row]);
    }
}

fn assert_same_matrix(live: &LiveSystem, model: &Model) {
    let matrix = live.matrix();
    let (mut by_rows, mut by_columns) = (BTreeMap::new(), BTreeMap::new());
    for line in 0..model.n {
        for (col, value) in matrix.row(line) {
            assert_eq!(by_rows.insert((line, col as usize), value), None, "stored twice");
        }
        for (row, value) in matrix.column(line) {
            assert_eq!(by_columns.insert((row as usize, line), value), None, "stored twice");
        }
    }
    assert_eq!(by_rows, by_columns, "rows and columns hold the same");
    assert_eq!(by_rows.len(), matrix.nonzeros());
    by_rows.retain(|_, value| *value != 0.0);
    let mut expected = model.entries.clone();
    expected.retain(|_, value| *value != 0.0);
    assert_eq!(by_rows, expected);
    for (&(row, col), value) in &model.entries {
        assert_eq!(matrix.value(row, col), *value);
    }
    assert_eq!(live.rhs(), model.b);
    let x = live.copy_x();
    let (mut found, mut expected) = (vec![0.0; model.n], vec![0.0; model.n]);
    matrix.product(&x, &mut found);
    model.entries.iter().for_each(|(&(row, col), value)| expected[row] += value * x[col]);
    let (_, size) = model.residual(&x);
    assert!((0..model.n).all(|row| (found[row] - expected[row]).abs() <= 1e-13 * size[row]));
    let copy = live.to_system();
    let mut copied = Model::of(&copy).entries;
    copied.retain(|_, value| *value != 0.0);
    assert_eq!(copied, by_rows);
}

#[test]
fn thousands_of_mixed_deltas_leave_a_true_residual_and_the_matrix_of_the_model() {
    for (n, entries, deltas) in [(1, 1, 300), (7, 20, 2_000), (300, 1_500, 6_000)] {
        let mut draws = Draws::seeded(n as u64);
        let system = gallery::diagonally_dominant(n, entries, 3).unwrap();
        let x: Vec<f64> = (0..n).map(|_| draws.number()).collect();
        let mut model = Model::of(&system);
        let mut live = live(system, &x, 1e-9);
        for turn in 0..deltas {
            let delta = draws.mixed_delta(&mut model);
            live.apply(&delta).unwrap();
            if turn % 997 == 0 {
                live.merge();
            }
            if turn % 499 == 0 {
                assert_true_residual(&live, &model);
            }
        }
        assert_same_matrix(&live, &model);
        assert_true_residual(&live, &model);
        live.merge();
        assert_eq!(live.matrix().overlaid(), 0);
        assert_same_matrix(&live, &model);
        let measured = live.measure();
        assert!(measured.drift_max <= 1e-12 * measured.residual_max, "{measured:?}");
        assert_true_residual(&live, &model);
    }
}

#[test]
fn the_overlay_is_merged_by_itself_and_memory_stays_below_its_bound() {
    let n = 2_000;
    let system = gallery::diagonally_dominant(n, 10_000, 5).unwrap();
    let mut model = Model::of(&system);
    let mut live = live(system, &vec![1.0; n], 1e-6);
    let mut draws = Draws::seeded(8);
    let (mut merges, mut overlaid) = (0, 0);
    for _ in 0..6_000 {
        let (row, col) = (draws.below(n), draws.below(n));
        let mut delta = CostDelta::default();
        delta.edit_entry(row, col, Change::Set(1e-3), None);
        live.apply(&delta).unwrap();
        model.entries.insert((row, col), 1e-3);
        merges += usize::from(live.matrix().overlaid() < overlaid);
        overlaid = live.matrix().overlaid();
        assert!(overlaid <= 256.max(live.matrix().nonzeros() / 16) + 1);
        let bound = 40 * live.matrix().nonzeros() + 64 * n;
        assert!(live.memory_bytes() <= bound as u64, "{} of {bound}", live.memory_bytes());
    }
    assert!(merges >= 5, "{merges} merges");
    assert_same_matrix(&live, &model);
    assert_true_residual(&live, &model);
}

#[test]
fn a_delta_with_any_fault_changes_nothing() {
    let system = gallery::diagonally_dominant(50, 250, 5).unwrap();
    let held = system.rows().diagonal(4).unwrap();
    let mut live = live(system, &[0.5; 50], 1e-9);
    let before = format!("{live:?}");
    let mut delta = CostDelta::default();
    delta.edit_rhs(3, Change::Add(1.0), None);
    delta.edit_entry(4, 4, Change::Set(9.0), Some(held));
    delta.edit_entry(7, 9, Change::Set(2.0), None);
    type Spoil = fn(&mut CostDelta);
    let cases: [(Spoil, DeltaMember, usize, EditFault); 6] = [
        (
            |delta| delta.edit_rhs(50, Change::Set(0.0), None),
            DeltaMember::Rhs,
            1,
            EditFault::RowOutOfRange { row: 50, order: 50 },
        ),
        (
            |delta| delta.edit_entry(0, usize::MAX, Change::Set(0.0), None),
            DeltaMember::Entries,
            2,
            EditFault::ColOutOfRange { col: usize::MAX, order: 50 },
        ),
        (
            |delta| delta.edit_entry(0, 0, Change::Add(f64::INFINITY), None),
            DeltaMember::Entries,
            2,
            EditFault::NotFinite { value: f64::INFINITY },
        ),
        (
            // The first edit of the entry has changed what the second one meets.
            |delta| delta.edit_entry(4, 4, Change::Set(1.0), Some(5.0)),
            DeltaMember::Entries,
            2,
            EditFault::Stale { held: 9.0, expected: 5.0 },
        ),
        (
            |delta| {
                delta.edit_rhs(8, Change::Set(f64::MAX), None);
                delta.edit_rhs(8, Change::Add(f64::MAX), None);
            },
            DeltaMember::Rhs,
            2,
            EditFault::Overflow { held: f64::MAX, added: f64::MAX },
        ),
        (
            |delta| delta.edit_entry(7, 9, Change::Set(1.0), Some(f64::NEG_INFINITY)),
            DeltaMember::Entries,
            2,
            EditFault::OldValueNotFinite { value: f64::NEG_INFINITY },
        ),
    ];
    for (spoil, member, index, fault) in cases {
        let mut spoilt = delta.clone();
        spoil(&mut spoilt);
        let faults = live.apply(&spoilt).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].member, faults[0].index, faults[0].fault), (member, index, fault));
        assert_eq!(format!("{live:?}"), before, "{fault}");
    }
    let applied = live.apply(&delta).unwrap();
    assert_eq!((applied.rhs.len(), applied.entries.len()), (1, 2));
    assert_eq!((applied.entries[0].old, applied.entries[0].new), (held, 9.0));
    assert!(applied.entries[1].is_new && !applied.entries[0].is_new);
}

#[test]
fn a_matrix_takes_as_many_new_entries_as_it_may_and_not_one_more() {
    let system = gallery::diagonally_dominant(20, 20, 5).unwrap();
    let mut live = LiveSystem::new(system, &[0.0; 20], Thresholds::Uniform(1e-9), 22).unwrap();
    let mut delta = CostDelta::default();
    delta.edit_entry(0, 3, Change::Set(1.0), None);
    delta.edit_entry(0, 2, Change::Set(1.0), None);
    delta.edit_entry(0, 1, Change::Set(1.0), None);
    delta.edit_entry(0, 4, Change::Set(0.0), None);
    let faults = live.apply(&delta).unwrap_err();
    assert_eq!(faults[0].fault, EditFault::TooManyEntries { entries_max: 22 });
    assert_eq!((faults[0].index, live.matrix().nonzeros()), (0, 20));
    delta.edit_entry(0, 3, Change::Set(0.0), None);
    live.apply(&delta).unwrap();
    assert_eq!(live.matrix().nonzeros(), 22, "zeros make no entries");
}

#[test]
fn parts_that_make_no_live_system_are_refused() {
    let system = || gallery::diagonally_dominant(5, 9, 5).unwrap();
    let fault = |x: &[f64], thresholds, entries| {
        LiveSystem::new(system(), x, thresholds, entries).unwrap_err()
    };
    let uniform = Thresholds::Uniform(1e-8);
    assert!(matches!(fault(&[0.0; 4], uniform, 99), LiveFault::Length { found: 4, .. }));
    let infinite = [0.0, 0.0, f64::INFINITY, 0.0, 0.0];
    assert!(matches!(fault(&infinite, uniform, 99), LiveFault::NotFinite { row: 2, .. }));
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-320] {
        let thresholds = Thresholds::Uniform(value);
        assert!(matches!(fault(&[0.0; 5], thresholds, 99), LiveFault::Threshold { .. }));
    }
    let too_few = Thresholds::PerRow(&[1.0; 3]);
    assert!(matches!(fault(&[0.0; 5], too_few, 99), LiveFault::Length { found: 3, .. }));
    assert!(matches!(fault(&[0.0; 5], uniform, 6), LiveFault::TooManyEntries { .. }));
}

/// Relaxes after every delta of a storm that keeps dominance, and compares with dense LU.
fn check_storm(n: usize, entries: usize, seed: u64, by_push: bool) {
    let system = gallery::diagonally_dominant(n, entries, seed).unwrap();
    let mut model = Model::of(&system);
    let threshold = 1e-10;
    let mut live = live(system, &vec![0.0; n], threshold);
    let mut draws = Draws::seeded(seed);
    for _ in 0..40 {
        let mut delta = CostDelta::default();
        for _ in 0..draws.below(5) {
            let (row, number) = (draws.below(n), draws.number());
            delta.edit_rhs(row, Change::Add(number), None);
            model.b[row] += number;
            let (col, weight) = (draws.below(n), draws.number());
            if row != col {
                // The diagonal follows, so that the row stays dominant.
                let rise = weight.abs() - model.value(row, col).abs();
                delta.edit_entry(row, col, Change::Set(weight), None);
                delta.edit_entry(row, row, Change::Add(rise), None);
                model.entries.insert((row, col), weight);
                *model.entries.get_mut(&(row, row)).unwrap() += rise;
            }
        }
        live.apply(&delta).unwrap();
        let licence = licence(&live);
        let done = match by_push {
            true => live.push(&licence, NO_LIMIT).unwrap(),
            false => live.relax(&licence, NO_LIMIT).unwrap(),
        };
        assert_eq!(done.end, RelaxationEnd::Settled);
        assert!(live.is_settled() && live.residual_max() < threshold);
    }
    assert_true_residual(&live, &model);
    let (residual, _) = model.residual(&live.copy_x());
    assert!(residual.iter().all(|r| r.abs() < threshold * 1.001));
    let solution = model.solution();
    let gap = |row: usize| {
        let beside: f64 = (0..n).filter(|c| *c != row).map(|c| model.value(row, c).abs()).sum();
        model.value(row, row).abs() - beside
    };
    let gap_min = (0..n).map(gap).fold(f64::INFINITY, f64::min);
    assert!(gap_min > 0.0);
    for (row, solution) in solution.iter().enumerate() {
        let error = (live.x(row) - solution).abs();
        assert!(error <= 1.01 * threshold / gap_min, "row {row}: {error:e}, gap {gap_min:e}");
    }
}

#[test]
fn push_reaches_its_thresholds_on_dominant_systems_and_agrees_with_dense_lu() {
    for (n, entries, seed) in [(1, 1, 1), (2, 4, 2), (30, 30, 3), (120, 700, 4)] {
        check_storm(n, entries, seed, true);
        check_storm(n, entries, seed + 10, false);
    }
}

/// Thresholds, the crowd that calls for sweeps, and a system that is looked at ahead.
#[test]
fn relaxation_of_everything_settles_a_large_system_with_and_without_an_overlay() {
    let n = 40_000;
    let system = gallery::diagonally_dominant(n, 200_000, 6).unwrap();
    let thresholds: Vec<f64> = (0..n).map(|row| 1e-9 * (1 + row % 7) as f64).collect();
    let per_row = Thresholds::PerRow(&thresholds);
    let mut live = LiveSystem::new(system, &vec![0.0; n], per_row, 1 << 20).unwrap();
    let mut steps = vec![];
    for turn in 0..2 {
        let mut delta = CostDelta::default();
        for row in 0..n / 10 {
            delta.edit_rhs(row * 7 % n, Change::Add(1.0), None);
            let beside = (row * 7 + 13) % n;
            if turn == 1 && beside != row {
                delta.edit_entry(row, beside, Change::Add(0.25), None);
                delta.edit_entry(row, row, Change::Add(0.25), None);
            }
        }
        live.apply(&delta).unwrap();
        assert_eq!(live.matrix().overlaid() > 0, turn == 1);
        let licence = licence(&live);
        let mut pushed = live.clone();
        let by_push = pushed.push(&licence, NO_LIMIT).unwrap();
        let relaxed = live.relax(&licence, NO_LIMIT).unwrap();
        assert_eq!((by_push.end, relaxed.end), (RelaxationEnd::Settled, RelaxationEnd::Settled));
        for state in [&mut pushed, &mut live] {
            let measured = state.measure();
            assert_eq!(measured.active_rows, 0);
            assert!(measured.drift_max < 1e-3 * 1e-9, "{measured:?}");
            assert!((0..n).all(|row| state.residual(row).abs() < thresholds[row]));
        }
        steps.push((by_push.steps, relaxed.steps));
    }
    assert!(steps.iter().all(|(push, relax)| push != relax), "sweeps took part: {steps:?}");
}

#[test]
fn a_hub_that_blows_the_budget_leaves_a_valid_state() {
    // Column 0 reaches every row.
    let n = 5_000;
    let mut arrays = (vec![], vec![], vec![]);
    for row in 0..n as u32 {
        let entries = [(row, 0, -0.4), (row, row, 2.0), (row, (row + 1) % n as u32, -0.5)];
        for (row, col, value) in entries {
            arrays.0.push(row);
            arrays.1.push(col);
            arrays.2.push(value);
        }
    }
    let (row_indices, col_indices, values) = arrays;
    let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
    let system = LinearSystem::assemble(n, n, arrays, vec![0.0; n]).unwrap();
    let mut model = Model::of(&system);
    let mut live = live(system, &vec![0.0; n], 1e-9);
    let mut delta = CostDelta::default();
    delta.edit_rhs(0, Change::Add(1.0), None);
    delta.edit_rhs(1, Change::Add(1.0), None);
    model.b[0] = 1.0;
    model.b[1] = 1.0;
    live.apply(&delta).unwrap();
    let licence = licence(&live);
    for budget in [0, 1, 2, 4_999, 5_000, 7_777, 20_000] {
        let done = live.push(&licence, budget).unwrap();
        assert_eq!(done.end, RelaxationEnd::OverBudget, "at {budget}");
        assert!(done.entries <= budget && !live.is_settled());
        assert_true_residual(&live, &model);
    }
    let done = live.relax(&licence, 1_000).unwrap();
    assert_eq!(done.end, RelaxationEnd::OverBudget);
    assert!(done.entries <= 1_000);
    assert_true_residual(&live, &model);
    assert_eq!(live.relax(&licence, NO_LIMIT).unwrap().end, RelaxationEnd::Settled);
    assert_true_residual(&live, &model);
    assert!(live.residual_max() < 1e-9);
}

#[test]
fn nothing_is_relaxed_on_a_licence_for_another_version_of_the_matrix() {
    let system = gallery::diagonally_dominant(30, 100, 5).unwrap();
    let mut live = live(system, &[0.0; 30], 1e-9);
    let licence = licence(&live);
    let mut delta = CostDelta::default();
    delta.edit_rhs(0, Change::Set(4.0), None);
    live.apply(&delta).unwrap();
    assert!(live.push(&licence, 10).is_ok(), "b is not what the licence is about");
    let mut delta = CostDelta::default();
    delta.edit_entry(0, 0, Change::Set(1e-3), None);
    live.apply(&delta).unwrap();
    let refusal = RelaxationRefusal::Stale { licensed: 0, held: 1 };
    let before = format!("{live:?}");
    assert_eq!(live.push(&licence, NO_LIMIT), Err(refusal));
    assert_eq!(live.relax(&licence, NO_LIMIT), Err(refusal));
    assert_eq!(format!("{live:?}"), before);
}

fn dense(n: usize, values: &[f64], b: &[f64]) -> LinearSystem {
    let arrays = MatrixArrays::Dense { values: values.to_vec() };
    LinearSystem::assemble(n, n, arrays, b.to_vec()).unwrap()
}

/// A licence that is not true must not lead to a wrong answer: relaxation ends with the reason.
#[test]
fn a_false_licence_ends_in_a_typed_failure_with_a_valid_state() {
    let diverging = dense(2, &[1.0, 3.0, 3.0, 1.0], &[1.0, 0.0]);
    let no_diagonal = dense(2, &[0.0, 1.0, 1.0, 0.0], &[1.0, 0.0]);
    let vanishing = dense(2, &[1e-310, 1.0, 1.0, 4.0], &[1.0, 0.0]);
    type Expected = fn(RelaxationEnd) -> bool;
    let cases: [(LinearSystem, Expected); 3] = [
        (diverging, |end| matches!(end, RelaxationEnd::Diverging { .. })),
        (no_diagonal, |end| end == RelaxationEnd::ZeroDiagonal { row: 0 }),
        (vanishing, |end| end == RelaxationEnd::NotFinite { row: 0 }),
    ];
    for (system, expected) in cases {
        let model = Model::of(&system);
        let mut live = live(system, &[0.0; 2], 1e-9);
        let licence = licence(&live);
        for _ in 0..2 {
            let done = live.push(&licence, NO_LIMIT).unwrap();
            assert!(expected(done.end), "{done:?}");
            assert!(!live.is_settled());
            assert_true_residual(&live, &model);
        }
    }
    let n = 200;
    let values: Vec<f64> = (0..n * n).map(|k| if k / n == k % n { 1.0 } else { -0.1 }).collect();
    let system = dense(n, &values, &vec![1.0; n]);
    let model = Model::of(&system);
    let mut live = live(system, &vec![0.0; n], 1e-9);
    let licence = licence(&live);
    let done = live.relax(&licence, NO_LIMIT).unwrap();
    assert!(matches!(done.end, RelaxationEnd::Diverging { .. }), "{done:?}");
    assert_true_residual(&live, &model);
}

#[test]
fn thresholds_below_the_spacing_of_x_end_at_the_rounding_limit() {
    let system = dense(2, &[3.0, 1.0, 1.0, 7.0], &[1.0, 1.0]);
    let model = Model::of(&system);
    let mut live = live(system, &[0.0; 2], 1e-300);
    let licence = licence(&live);
    for _ in 0..2 {
        let done = live.push(&licence, 10_000).unwrap();
        match done.end {
            RelaxationEnd::RoundingLimit { rows } => assert_eq!(rows, live.active_rows()),
            // Rounding may as well leave nothing at all.
            end => assert!(matches!(end, RelaxationEnd::Doubtful) && live.is_settled(), "{end:?}"),
        }
        assert!(live.residual_max() < 1e-15);
        assert_true_residual(&live, &model);
    }
}

#[test]
fn a_giant_that_comes_and_goes_is_measured_before_the_state_is_called_settled() {
    let system = gallery::diagonally_dominant(100, 500, 5).unwrap();
    let mut model = Model::of(&system);
    let mut live = live(system, &[0.0; 100], 1e-9);
    let licence = licence(&live);
    for value in [1e12, 0.25] {
        let mut delta = CostDelta::default();
        delta.edit_rhs(17, Change::Set(value), None);
        live.apply(&delta).unwrap();
        model.b[17] = value;
        let mut done = live.push(&licence, 10_000_000).unwrap();
        if value == 0.25 {
            assert_eq!(done.end, RelaxationEnd::Doubtful);
            live.measure();
            done = live.push(&licence, 10_000_000).unwrap();
            assert_eq!(done.end, RelaxationEnd::Settled);
        }
    }
    assert_true_residual(&live, &model);
    let (residual, _) = model.residual(&live.copy_x());
    assert!(residual.iter().all(|r| r.abs() < 1.1e-9));
}

#[test]
fn an_entry_that_was_a_giant_for_a_while_takes_no_digits_along() {
    let system = gallery::diagonally_dominant(60, 300, 5).unwrap();
    let mut model = Model::of(&system);
    let x: Vec<f64> = (0..60).map(|row| 1.0 / (1.0 + row as f64)).collect();
    let mut live = live(system, &x, 1e-9);
    for value in [1e200, -3e150, 0.5, f64::MAX, 0.0, 1e-300] {
        let mut delta = CostDelta::default();
        delta.edit_entry(3, 9, Change::Set(value), None);
        delta.edit_rhs(5, Change::Set(value), None);
        live.apply(&delta).unwrap();
        model.entries.insert((3, 9), value);
        model.b[5] = value;
        if value.abs() < 1e100 {
            assert_true_residual(&live, &model);
        }
    }
}

/// Entries whose products with `x` leave the range of f64 are held and undone without a trace.
#[test]
fn a_residual_beyond_all_numbers_is_said_and_healed() {
    let system = dense(2, &[4.0, 1.0, 1.0, 4.0], &[1.0, 1.0]);
    let mut model = Model::of(&system);
    let mut live = live(system, &[1e200, 1.0], 1e-9);
    let mut set = |live: &mut LiveSystem, value| {
        let mut delta = CostDelta::default();
        delta.edit_entry(1, 0, Change::Set(value), None);
        live.apply(&delta).unwrap();
        model.entries.insert((1, 0), value);
    };
    set(&mut live, 1e200);
    assert!(!live.residual(1).is_finite() && !live.is_settled());
    assert!(!live.measure().residual_max.is_finite());
    let done = live.push(&licence(&live), 100).unwrap();
    assert!(!matches!(done.end, RelaxationEnd::Settled), "{done:?}");
    live.replace_x(&[1e200, 1.0]).unwrap();
    set(&mut live, 1.0);
    assert_true_residual(&live, &model);
}

#[test]
fn what_a_measurement_finds_is_the_drift_that_was_put_in() {
    let system = gallery::poisson_2d(9, 3).unwrap();
    let mut live = live(system, &[0.0; 81], 1e-9);
    assert_eq!(live.measure().drift_max, 0.0);
    assert_eq!(live.measure_row(7), 0.0);
    let x = vec![0.5; 81];
    live.replace_x(&x).unwrap();
    assert_eq!(live.copy_x(), x);
    assert!(live.replace_x(&[f64::NAN; 81]).is_err() && live.replace_x(&[0.0; 3]).is_err());
    assert_eq!(live.copy_x(), x);
    let licence = Licence::new(Ground::SymmetricPositiveDefinite, 0).unwrap();
    assert_eq!(live.push(&licence, NO_LIMIT).unwrap().end, RelaxationEnd::Settled);
    let measured = live.measure();
    assert!(measured.drift_max < 1e-15 && measured.residual_max < 1e-9, "{measured:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random systems of every shape, indefinite and singular ones too; permuted, disconnected, with
    /// hubs; and scales that differ by 300 orders of magnitude.
    #[test]
    fn any_system_follows_any_deltas(
        n in 1..24usize,
        places in proptest::collection::vec((any::<u16>(), any::<u16>(), -3..4i32), 0..80),
        scale in -150..150i32,
        seed in any::<u64>(),
    ) {
        let scale = 2f64.powi(scale);
        let mut values = vec![0.0; n * n];
        for (row, col, value) in places {
            values[row as usize % n * n + col as usize % n] = f64::from(value) * scale;
        }
        let mut draws = Draws::seeded(seed);
        let b: Vec<f64> = (0..n).map(|_| draws.number() * scale).collect();
        let x: Vec<f64> = (0..n).map(|_| draws.number()).collect();
        let system = dense(n, &values, &b);
        let mut model = Model::of(&system);
        let mut live = LiveSystem::new(system, &x, Thresholds::Uniform(1e-9), 1 << 20).unwrap();
        let (mut pending, mut touched) = (vec![], BTreeSet::new());
        for _ in 0..60 {
            let delta = draws.mixed_delta(&mut model);
            pending.push(comparing_only_once(&delta, &mut touched));
            // Merged sums are rounded otherwise than one by one: a sender learns what is held now.
            if draws.below(3) > 0 {
                live.apply(&CostDelta::merged(pending.drain(..))).unwrap();
                prop_assert!(model.catch_up(&live) <= 1e-14 * scale.max(8.0));
                touched.clear();
            }
        }
        live.apply(&CostDelta::merged(pending)).unwrap();
        prop_assert!(model.catch_up(&live) <= 1e-14 * scale.max(8.0));
        let (expected, size) = model.residual(&x);
        for row in 0..n {
            let off = (live.residual(row) - expected[row]).abs();
            prop_assert!(off <= 1e-12 * size[row], "row {row}: {off:e} of {:e}, drift {:e}", size[row], live.drift());
            for col in 0..n {
                let (found, held) = (live.matrix().value(row, col), model.value(row, col));
                prop_assert!((found - held).abs() <= 1e-14 * scale.max(8.0));
            }
        }
    }
}
