//! The path engine against independent answers: dense elimination with pivoting, and its own
//! factorisation made anew.

use std::path::Path;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::solver::gallery;
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};
use weir::solver::path::{ChangeRefusal, PathEngine, PathLimits, PathPlan, PathRefusal};
use weir::solver::system::{CsrMatrix, LinearSystem};

use crate::support::{Dense, dense_solution, system_of};

const ROOMY: PathLimits = PathLimits { memory_bytes_max: 1 << 32, flops_max: 1e12 };

fn plan(system: &LinearSystem) -> PathPlan {
    PathPlan::of(system.rows(), ROOMY).expect("a plan")
}

fn factored(system: &LinearSystem) -> Result<PathEngine, PathRefusal> {
    PathEngine::factor(plan(system), system.rows(), system.rhs())
}

fn solution(engine: &mut PathEngine) -> Vec<f64> {
    let mut x = vec![0.0; engine.order()];
    engine.solution(&mut x).expect("a finite solution");
    x
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Uniform in [−1, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    rng.next_u32() as f64 / 2.0_f64.powi(31) - 1.0
}

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    rng.next_u32() as usize % bound
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        let gap = (found - expected).abs();
        assert!(gap <= tolerance * scale, "{what}: x[{row}] = {found}, expected {expected}");
    }
}

/// Shapes of graphs that elimination treats differently.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Random,
    Chain,
    Tree,
    Grid,
    /// A hub that everything is joined to, in the middle of the numbering.
    Arrow,
    /// Several small pieces and rows with nothing but a diagonal.
    Scattered,
    Full,
}

fn edges(shape: Shape, n: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let side = n.isqrt().max(1);
    match shape {
        Shape::Random => (0..2 * n).map(|_| (below(rng, n), below(rng, n))).collect(),
        Shape::Chain => (1..n).map(|i| (i - 1, i)).collect(),
        Shape::Tree => (1..n).map(|i| (below(rng, i), i)).collect(),
        Shape::Grid => {
            let right = (0..n).filter(|i| (i + 1) % side != 0).map(|i| (i, i + 1));
            right.chain((0..n).map(|i| (i, i + side))).filter(|&(_, to)| to < n).collect()
        }
        Shape::Arrow => (0..n).map(|i| (i, n / 2)).collect(),
        Shape::Scattered => (1..n).filter(|i| i % 5 > 1).map(|i| (i - 1, i)).collect(),
        Shape::Full => (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).collect(),
    }
}

/// A matrix whose elimination needs no pivoting in any order: dominant by rows, with diagonals of both
/// signs where `indefinite`. Renumbered at random.
fn dominant(shape: Shape, n: usize, symmetric: bool, indefinite: bool, seed: u64) -> Dense {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut names: Vec<usize> = (0..n).collect();
    (1..n).for_each(|i| names.swap(i, below(&mut rng, i + 1)));
    let mut dense = vec![vec![0.0; n]; n];
    for (a, b) in edges(shape, n, &mut rng) {
        let (a, b) = (names[a], names[b]);
        if a == b {
            continue;
        }
        let value = uniform(&mut rng);
        dense[a][b] = value;
        if symmetric {
            dense[b][a] = value;
        } else if below(&mut rng, 3) > 0 {
            dense[b][a] = uniform(&mut rng);
        }
    }
    for (row, entries) in dense.iter_mut().enumerate() {
        let beside: f64 = entries.iter().map(|value| value.abs()).sum();
        let sign = if indefinite && below(&mut rng, 3) == 0 { -1.0 } else { 1.0 };
        entries[row] = sign * (beside * (1.0 + 0.2 * uniform(&mut rng).abs()) + 0.1);
    }
    dense
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Random),
        Just(Shape::Chain),
        Just(Shape::Tree),
        Just(Shape::Grid),
        Just(Shape::Arrow),
        Just(Shape::Scattered),
        Just(Shape::Full),
    ]
}

fn rhs_of(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    (0..n).map(|_| uniform(&mut rng)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_solution_and_every_read_agree_with_dense_elimination(
        shape in shapes(),
        n in 1_usize..40,
        symmetric: bool,
        indefinite: bool,
        seed: u64,
    ) {
        let dense = dominant(shape, n, symmetric, indefinite, seed);
        let rhs = rhs_of(n, seed);
        let mut engine = factored(&system_of(&dense, rhs.clone())).expect("dominant");
        let expected = dense_solution(&dense, &rhs).expect("regular");
        let found = solution(&mut engine);
        assert_close(&found, &expected, 1e-11, "solution");
        // Reads one by one, in an engine that has not solved for all, give the same bits.
        let mut other = factored(&system_of(&dense, rhs)).expect("dominant");
        for row in (0..n).rev() {
            prop_assert_eq!(other.read(row).unwrap().value.to_bits(), found[row].to_bits());
        }
    }

    #[test]
    fn changes_of_both_sides_agree_with_dense_elimination(
        shape in shapes(),
        n in 1_usize..30,
        symmetric: bool,
        indefinite: bool,
        seed: u64,
    ) {
        let mut dense = dominant(shape, n, symmetric, indefinite, seed);
        let mut rhs = rhs_of(n, seed);
        let system = system_of(&dense, rhs.clone());
        let mut engine = factored(&system).expect("dominant");
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xc4a);
        for _ in 0..40 {
            let (row, col) = (below(&mut rng, n), below(&mut rng, n));
            let delta = 0.05 * uniform(&mut rng);
            if below(&mut rng, 2) == 0 {
                rhs[row] += delta;
                engine.change_rhs(row, delta).unwrap();
            } else if dense[row][col] != 0.0 {
                // Dominance is kept, so that no pivot may vanish.
                let widen = if dense[row][row] < 0.0 { -0.05 } else { 0.05 };
                dense[row][row] += widen;
                dense[row][col] += delta;
                engine.change_entry(row, row, widen).unwrap();
                engine.change_entry(row, col, delta).unwrap();
            }
            let expected = dense_solution(&dense, &rhs).expect("regular");
            let read = engine.read(row).unwrap().value;
            assert_close(&solution(&mut engine), &expected, 1e-10, "after a change");
            prop_assert_eq!(engine.read(row).unwrap().value.to_bits(), read.to_bits());
        }
        prop_assert!(engine.wear() < 1e-12);
    }
}

/// The stored entries of a matrix, changed in place beside an engine.
struct Changing {
    matrix: CsrMatrix,
    rhs: Vec<f64>,
}

impl Changing {
    fn of(system: &LinearSystem) -> Self {
        Self { matrix: system.matrix().clone(), rhs: system.rhs().to_vec() }
    }

    fn system(&self) -> LinearSystem {
        LinearSystem::new(self.matrix.clone(), self.rhs.clone()).unwrap()
    }

    /// A stored place, uniform.
    fn place(&self, rng: &mut ChaCha8Rng) -> (usize, usize, usize) {
        let entry = below(rng, self.matrix.nnz());
        let pointers = self.matrix.indptr();
        let row = pointers.raw_storage().partition_point(|&start| start as usize <= entry) - 1;
        (row, self.matrix.indices()[entry] as usize, entry)
    }
}

fn pegase() -> LinearSystem {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/systems");
    let open = |name: &str| {
        std::io::BufReader::new(std::fs::File::open(folder.join(name)).expect("a shipped system"))
    };
    let read = read_matrix(open("case9241pegase.mtx"), ReadLimits::default()).unwrap();
    let rhs = read_rhs(open("case9241pegase_b.mtx"), read.rows).unwrap();
    LinearSystem::assemble(read.rows, read.cols, read.arrays, rhs).unwrap()
}

/// Works `changes` random relative changes of stored entries in; those refused must not count.
fn storm(changing: &mut Changing, engine: &mut PathEngine, changes: usize, size: f64, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..changes {
        let (row, col, entry) = changing.place(&mut rng);
        let before = changing.matrix.data()[entry];
        let after = before * (1.0 + size * uniform(&mut rng));
        if engine.change_entry(row, col, after - before).is_ok() {
            changing.matrix.data_mut()[entry] = before + (after - before);
        }
    }
}

#[test]
fn ten_thousand_changes_of_the_indefinite_grid_match_a_factorisation_made_anew() {
    let system = pegase();
    let mut changing = Changing::of(&system);
    let mut engine = factored(&system).unwrap();
    storm(&mut changing, &mut engine, 10_000, 1e-3, 1);
    let changed = changing.system();
    let accuracy = engine.measure(changed.rows(), changed.rhs()).unwrap();
    assert!(accuracy.backward_error < 1e-10, "{accuracy:?}");
    let found = solution(&mut engine);
    engine.refactorise(changed.rows(), changed.rhs()).unwrap();
    assert_eq!(engine.wear(), 0.0);
    assert_close(&found, &solution(&mut engine), 1e-7, "worked in against made anew");
}

#[test]
fn ten_thousand_changes_of_an_asymmetric_grid_match_a_factorisation_made_anew() {
    let system = gallery::convection_diffusion(24, 30.0, 3).unwrap();
    let mut changing = Changing::of(&system);
    // Away from singular, so that a storm of changes leaves it regular.
    for row in 0..changing.rhs.len() {
        *changing.matrix.get_mut(row, row).unwrap() += 1.0;
    }
    let mut engine = factored(&changing.system()).unwrap();
    storm(&mut changing, &mut engine, 10_000, 0.02, 2);
    let changed = changing.system();
    let found = solution(&mut engine);
    engine.refactorise(changed.rows(), changed.rhs()).unwrap();
    assert_close(&found, &solution(&mut engine), 1e-9, "worked in against made anew");
    let accuracy = engine.measure(changed.rows(), changed.rhs()).unwrap();
    assert!(accuracy.backward_error < 1e-14, "{accuracy:?}");
}

#[test]
fn the_grid_of_9241_buses_has_sixteen_negative_pivots_and_short_paths() {
    let system = pegase();
    let plan = plan(&system);
    let forecast = plan.forecast();
    assert_eq!(forecast.order, 9_240);
    assert!(forecast.entries < 40_000, "{forecast:?}");
    assert!(forecast.path_entries_mean < 2_500.0, "{forecast:?}");
    let mut engine = PathEngine::factor(plan, system.rows(), system.rhs()).unwrap();
    assert_eq!(engine.negative_pivots(), 16);
    assert!(engine.memory_bytes() <= forecast.memory_bytes, "{forecast:?}");
    let accuracy = engine.measure(system.rows(), system.rhs()).unwrap();
    assert!(accuracy.backward_error < 1e-9 && accuracy.relative_residual < 1e-9, "{accuracy:?}");
    let touched = engine.change_rhs(17, 0.5).unwrap();
    assert!(touched > 0 && touched <= forecast.path_entries_max);
    let first = engine.read(17).unwrap();
    assert_eq!(first.touched_entries, touched);
    assert_eq!(engine.read(17).unwrap().touched_entries, 0, "nothing has changed since");
}

#[test]
fn graphs_without_cycles_get_no_fill() {
    for shape in [Shape::Chain, Shape::Tree, Shape::Arrow] {
        let dense = dominant(shape, 60, true, false, 4);
        let forecast = plan(&system_of(&dense, vec![1.0; 60])).forecast();
        // Columns that share rows store a few zeros.
        assert!((59..120).contains(&forecast.entries), "{shape:?}: {forecast:?}");
    }
    let alone = plan(&system_of(&vec![vec![2.0]], vec![1.0])).forecast();
    assert_eq!((alone.entries, alone.path_columns_max), (0, 1));
}

#[test]
fn a_refused_change_leaves_every_bit_as_it_was() {
    let system = gallery::resistor_grid(12, 5).unwrap();
    let mut engine = factored(&system).unwrap();
    let before = solution(&mut engine);
    let order = engine.order();
    // The change of a_ii that makes A singular is −1 / (A⁻¹)_ii.
    for row in [0, 7, order / 2, order - 1] {
        let mut unit = vec![0.0; order];
        unit[row] = 1.0;
        let mut probe =
            factored(&LinearSystem::new(system.matrix().clone(), unit).unwrap()).unwrap();
        let fatal = -1.0 / probe.read(row).unwrap().value;
        let refusal = engine.change_entry(row, row, fatal).unwrap_err();
        assert!(matches!(refusal, ChangeRefusal::VanishingPivot { .. }), "{refusal:?}");
        assert_eq!(bits(&solution(&mut engine)), bits(&before));
    }
    let far = (0..order)
        .flat_map(|row| (0..order).map(move |col| (row, col)))
        .find(|&(row, col)| {
            matches!(engine.change_entry(row, col, 0.0), Err(ChangeRefusal::OutsideFill { .. }))
        })
        .expect("a sparse factor has entries outside its fill");
    for refusal in [
        engine.change_entry(far.0, far.1, 0.5),
        engine.change_entry(order, 0, 1.0),
        engine.change_entry(0, order, 1.0),
        engine.change_entry(0, 0, f64::NAN),
        engine.change_entry(0, 0, f64::INFINITY),
        engine.change_entry(0, 0, 1e200),
    ] {
        refusal.unwrap_err();
    }
    for refusal in [
        engine.change_rhs(order, 1.0),
        engine.change_rhs(0, f64::NAN),
        engine.change_rhs(0, f64::NEG_INFINITY),
    ] {
        refusal.unwrap_err();
    }
    engine.read(order).unwrap_err();
    assert_eq!(bits(&solution(&mut engine)), bits(&before));
    // It still takes changes, and rightly.
    let mut changing = Changing::of(&system);
    storm(&mut changing, &mut engine, 200, 0.1, 6);
    let changed = changing.system();
    let accuracy = engine.measure(changed.rows(), changed.rhs()).unwrap();
    assert!(accuracy.backward_error < 1e-12, "{accuracy:?}");
}

#[test]
fn a_right_hand_side_that_overflows_is_taken_back() {
    let system = system_of(&vec![vec![1.0, 0.0], vec![-2.0, 1.0]], vec![0.0, 1e308]);
    let mut engine = factored(&system).unwrap();
    let before = solution(&mut engine);
    let refusal = engine.change_rhs(0, 1.5e308).unwrap_err();
    assert_eq!(refusal, ChangeRefusal::Overflow { row: 0 });
    assert_eq!(bits(&solution(&mut engine)), bits(&before));
}

#[test]
fn entries_that_only_the_fill_has_room_for_can_be_made() {
    // A ring: eliminating a node joins its neighbours.
    let n = 12;
    let mut dense = dominant(Shape::Chain, n, true, false, 9);
    let ends: Vec<usize> =
        (0..n).filter(|&i| dense[i].iter().filter(|value| **value != 0.0).count() == 2).collect();
    dense[ends[0]][ends[1]] = 0.1;
    let rhs = rhs_of(n, 9);
    let mut engine = factored(&system_of(&dense, rhs.clone())).unwrap();
    let mut made = 0;
    for (row, entries) in dense.iter_mut().enumerate() {
        for (col, entry) in entries.iter_mut().enumerate() {
            if *entry == 0.0 && engine.change_entry(row, col, 0.02).is_ok() {
                *entry = 0.02;
                made += 1;
            }
        }
    }
    assert!(made > n, "{made} entries were made");
    let expected = dense_solution(&dense, &rhs).unwrap();
    assert_close(&solution(&mut engine), &expected, 1e-12, "with new entries");
}

#[test]
fn matrices_that_need_pivoting_are_refused_with_the_reason() {
    let refusal = |dense: &Dense| factored(&system_of(dense, vec![1.0; dense.len()])).unwrap_err();
    let swap = vec![vec![0.0, 1.0], vec![1.0, 0.0]];
    assert!(matches!(refusal(&swap), PathRefusal::VanishingPivot { pivot: 0.0, .. }));
    let singular = vec![vec![1.0, 2.0], vec![2.0, 4.0]];
    assert!(matches!(refusal(&singular), PathRefusal::VanishingPivot { .. }));
    let empty_row = vec![vec![1.0, 1.0], vec![0.0, 0.0]];
    assert!(matches!(refusal(&empty_row), PathRefusal::VanishingPivot { .. }));
    // Every pivot is there, but the first is so small that the rest drowns in rounding.
    let growing = vec![vec![1e-13, 1.0, 0.3], vec![1.0, 1e-13, 0.7], vec![0.3, 0.7, 1e-13]];
    assert!(matches!(refusal(&growing), PathRefusal::Inaccurate { .. }), "{:?}", refusal(&growing));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_built() {
    let system = gallery::poisson_2d(40, 1).unwrap();
    let forecast = plan(&system).forecast();
    let tight = PathLimits { memory_bytes_max: forecast.peak_bytes - 1, ..ROOMY };
    let refusal = PathPlan::of(system.rows(), tight).unwrap_err();
    let needed_bytes = forecast.peak_bytes;
    let limit_bytes = needed_bytes - 1;
    assert_eq!(refusal, PathRefusal::OutOfMemoryBudget { needed_bytes, limit_bytes });
    let slow = PathLimits { flops_max: forecast.flops / 2.0, ..ROOMY };
    let refusal = PathPlan::of(system.rows(), slow).unwrap_err();
    assert!(matches!(refusal, PathRefusal::OutOfWorkBudget { .. }));
    // A wide random graph is given up before it is ordered, which would take minutes.
    let wide = gallery::diagonally_dominant(60_000, 300_000, 1).unwrap();
    let small = PathLimits { memory_bytes_max: 64 << 20, ..ROOMY };
    let refusal = PathPlan::of(wide.rows(), small).unwrap_err();
    assert!(matches!(refusal, PathRefusal::OutOfMemoryBudget { .. }));
}

#[test]
fn a_factorisation_made_anew_that_is_refused_leaves_the_old_one() {
    let system = gallery::poisson_2d(9, 1).unwrap();
    let mut engine = factored(&system).unwrap();
    let before = solution(&mut engine);
    let n = engine.order();
    let other = gallery::poisson_2d(8, 1).unwrap();
    let refusal = engine.refactorise(other.rows(), other.rhs()).unwrap_err();
    assert_eq!(refusal, PathRefusal::OtherOrder { expected: 81, found: 64 });
    let dense = dominant(Shape::Full, n, true, false, 1);
    let full = system_of(&dense, vec![1.0; n]);
    let refusal = engine.refactorise(full.rows(), full.rhs()).unwrap_err();
    assert!(matches!(refusal, PathRefusal::OutsideFill { .. }), "{refusal:?}");
    let mut without = Changing::of(&system);
    without.matrix.data_mut().fill(0.0);
    let without = without.system();
    let refusal = engine.refactorise(without.rows(), without.rhs()).unwrap_err();
    assert!(matches!(refusal, PathRefusal::VanishingPivot { .. }), "{refusal:?}");
    assert_eq!(bits(&solution(&mut engine)), bits(&before));
}

#[test]
fn corrections_mend_what_growth_has_spoilt() {
    // The small diagonal costs about seven digits.
    let mut dense = dominant(Shape::Grid, 36, false, true, 11);
    for row in (0..36).step_by(7) {
        dense[row][row] = 1e-7;
    }
    let rhs = rhs_of(36, 11);
    let system = system_of(&dense, rhs.clone());
    let mut engine = factored(&system).expect("accurate enough to be mended");
    let before = engine.measure(system.rows(), system.rhs()).unwrap();
    assert!(before.backward_error > 1e-12, "nothing to mend: {before:?}");
    let own = solution(&mut engine);
    let mut x = own.clone();
    for _ in 0..3 {
        let mut residual: Vec<f64> = dense
            .iter()
            .zip(&rhs)
            .map(|(row, b)| b - row.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>())
            .collect();
        engine.correct(&mut residual).unwrap();
        x.iter_mut().zip(&residual).for_each(|(x, correction)| *x += correction);
    }
    let expected = dense_solution(&dense, &rhs).unwrap();
    assert_close(&x, &expected, 1e-13, "corrected");
    assert_eq!(bits(&solution(&mut engine)), bits(&own), "the engine's own x stays");
}

#[test]
fn refinement_mends_a_factor_that_is_slightly_of_another_matrix() {
    let system = gallery::convection_diffusion(9, 20.0, 3).unwrap();
    let mut engine = factored(&system).unwrap();
    let mut changing = Changing::of(&system);
    changing.matrix.data_mut().iter_mut().enumerate().for_each(|(at, value)| {
        *value *= 1.0 + 1e-5 * (at as f64).sin();
    });
    let changed = changing.system();
    let before = engine.refine(changed.rows(), changed.rhs()).unwrap();
    assert!(before.backward_error > 1e-8, "nothing to mend: {before:?}");
    engine.refine(changed.rows(), changed.rhs()).unwrap();
    engine.refine(changed.rows(), changed.rhs()).unwrap();
    let mut exact = factored(&changed).unwrap();
    let expected = solution(&mut exact);
    for row in [40, 0, 17, 80] {
        let (read, expected) = (engine.read(row).unwrap().value, expected[row]);
        assert!((read - expected).abs() <= 1e-12 * expected.abs(), "{read} is not {expected}");
    }
    // Later changes keep the correction, up to their own size times what is wrong with the factor.
    let mut rhs = changed.rhs().to_vec();
    rhs[30] += 1e-3;
    engine.change_rhs(30, 1e-3).unwrap();
    let after = engine.measure(changed.rows(), &rhs).unwrap();
    assert!(after.backward_error < 1e-3 * before.backward_error.max(1e-5), "{after:?}");
}

#[test]
fn symmetric_matrices_keep_their_symmetry_and_equal_calls_give_equal_bits() {
    let system = gallery::resistor_graph(300, 500, 2).unwrap();
    let (mut one, mut two) = (factored(&system).unwrap(), factored(&system).unwrap());
    for step in 0..100 {
        let row = step * 37 % one.order();
        one.change_rhs(row, 0.5).unwrap();
        two.change_rhs(row, 0.5).unwrap();
        one.change_entry(row, row, 0.25).unwrap();
        two.change_entry(row, row, 0.25).unwrap();
        // Only one of them is read in between.
        one.read(step).unwrap();
    }
    assert_eq!(bits(&solution(&mut one)), bits(&solution(&mut two)));
}
