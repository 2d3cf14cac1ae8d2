//! Single entries: proven bounds against the exact solution, probable ones against their confidence.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use weir::solver::gallery;
use weir::solver::options::SolveOptions;
use weir::solver::proof::entry::{
    Accuracy, EntryEnd, EntryEstimate, EntryFault, EntryQuery, Known, Patience, PushSpace, Stored,
    bidirectional, push, walks,
};
use weir::solver::proof::{ErrorBound, SearchLimits, Witness, find};
use weir::solver::system::{LinearSystem, MatrixArrays};

use super::exact;
use super::storm::{below, signed, uniform};
use crate::support::solve;

struct Prepared {
    system: LinearSystem,
    witness: Witness,
    quotient: f64,
    zero: Vec<f64>,
}

impl Prepared {
    fn of(system: LinearSystem) -> Self {
        let witness = find(system.rows(), SearchLimits::default()).expect("an H-matrix");
        let zero = vec![0.0; system.order()];
        let quotient = quotient(&system, &witness, &zero);
        Self { system, witness, quotient, zero }
    }

    fn query(&self, entry: usize, accuracy: f64) -> EntryQuery<'_> {
        EntryQuery {
            source: self.known(Known::Nothing { rhs: self.system.rhs() }),
            witness: &self.witness,
            quotient: self.quotient,
            entry,
            accuracy: Accuracy::Absolute(accuracy),
            entries_max: 50_000_000,
            relaxation: 1.0,
            patience: Patience::ENDLESS,
        }
    }

    fn known<'a>(&'a self, known: Known<'a>) -> Stored<'a> {
        Stored { rows: self.system.rows(), known }
    }

    fn exact(&self) -> Vec<exact::Exact> {
        let n = self.system.order();
        let mut dense = vec![0.0; n * n];
        for row in 0..n {
            let (cols, values) = self.system.rows().row(row);
            for (&col, &value) in cols.iter().zip(values) {
                dense[row * n + col as usize] = value;
            }
        }
        exact::solution(&dense, self.system.rhs()).expect("not singular")
    }
}

fn quotient(system: &LinearSystem, witness: &Witness, x: &[f64]) -> f64 {
    ErrorBound::new(witness.clone(), system.rows(), system.rhs(), x).quotient_max()
}

/// A small H-matrix, not dominant, scaled.
fn drawn(rng: &mut ChaCha8Rng) -> LinearSystem {
    let n = 1 + below(rng, 9);
    let v: Vec<f64> = (0..n).map(|_| 0.1 + uniform(rng)).collect();
    let scale = 10f64.powi([0, 5, -5, 130, -130][below(rng, 5)]);
    let mut values = vec![0.0; n * n];
    for i in 0..n {
        for j in (0..n).filter(|j| *j != i) {
            let is_stored = uniform(rng) < 0.4;
            values[i * n + j] = if is_stored { scale * signed(rng) } else { 0.0 };
        }
        let beside: f64 = (0..n).map(|j| values[i * n + j].abs() * v[j]).sum();
        let gap = 0.02 + uniform(rng);
        values[i * n + i] = signed(rng).signum() * (beside / v[i] * (1.0 + gap) + 0.1 * scale);
    }
    let rhs = match below(rng, 5) {
        0 => vec![0.0; n],
        _ => (0..n).map(|_| signed(rng)).collect(),
    };
    LinearSystem::assemble(n, n, MatrixArrays::Dense { values }, rhs).unwrap()
}

fn check_proven(estimate: &EntryEstimate, exact: &exact::Exact, accuracy: f64) {
    exact::assert_within(&exact::error(exact, estimate.value), estimate.bound, estimate);
    assert_eq!(estimate.end == EntryEnd::Reached, estimate.bound <= accuracy, "{estimate:?}");
}

#[test]
fn the_bound_of_a_push_is_never_violated() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut space = PushSpace::default();
    let mut reached = 0;
    for _ in 0..3_000 {
        let prepared = Prepared::of(drawn(&mut rng));
        let exact = prepared.exact();
        let entry = below(&mut rng, exact.len());
        let known = prepared.witness.v()[entry] * prepared.quotient;
        let accuracy = known * 10f64.powi(-(below(&mut rng, 17) as i32));
        let relaxation = [0.6, 1.0, 1.3][below(&mut rng, 3)];
        let entries_max = [50, 2_000, 1_000_000][below(&mut rng, 3)];
        let query = EntryQuery { relaxation, entries_max, ..prepared.query(entry, accuracy) };
        let estimate = push(&query, &mut space).unwrap();
        check_proven(&estimate, &exact[entry], accuracy);
        assert!(estimate.touched_entries <= entries_max);
        reached += u32::from(estimate.end == EntryEnd::Reached);
        // The same again, for an x that is known to a few digits.
        let x: Vec<f64> =
            exact.iter().map(|x| x.to_f64() * (1.0 + 1e-5 * signed(&mut rng))).collect();
        let source = prepared.known(Known::Solution { rhs: prepared.system.rhs(), x: &x });
        let quotient = quotient(&prepared.system, &prepared.witness, &x);
        let tightened = push(&EntryQuery { source, quotient, ..query }, &mut space).unwrap();
        check_proven(&tightened, &exact[entry], accuracy);
    }
    assert!(reached > 1_500, "{reached}");
}

#[test]
fn a_few_pushes_tighten_one_entry_of_a_known_solution() {
    let (system, solution) =
        gallery::with_known_solution(gallery::diagonally_dominant(5_000, 15_000, 3).unwrap(), 4);
    let prepared = Prepared::of(system);
    let x: Vec<f64> = solution.iter().map(|x| x + 1e-6 * (1e3 * x).sin()).collect();
    let source = prepared.known(Known::Solution { rhs: prepared.system.rhs(), x: &x });
    let quotient = quotient(&prepared.system, &prepared.witness, &x);
    let wide = prepared.witness.v()[42] * quotient;
    let accuracy = wide / 100.0;
    let query = EntryQuery { source, quotient, ..prepared.query(42, accuracy) };
    let estimate = push(&query, &mut PushSpace::default()).unwrap();
    assert!(estimate.end == EntryEnd::Reached && estimate.pushes < 5_000, "{estimate:?}");
    assert!((estimate.value - solution[42]).abs() <= estimate.bound);
    assert!((estimate.value - solution[42]).abs() < 0.1 * (x[42] - solution[42]).abs());
}

/// A grid with a relative gap of 10 %.
fn dominant_grid(side: usize) -> LinearSystem {
    let (mut matrix, rhs) = gallery::poisson_2d(side, 5).unwrap().into_parts();
    for (row, mut entries) in matrix.outer_iterator_mut().enumerate() {
        entries.iter_mut().filter(|(col, _)| *col == row).for_each(|(_, value)| *value = 4.4);
    }
    LinearSystem::new(matrix, rhs).unwrap()
}

#[test]
fn what_a_push_touches_does_not_grow_with_the_system() {
    let mut space = PushSpace::default();
    let touched = [60, 200].map(|side| {
        let prepared = Prepared::of(dominant_grid(side));
        let query = prepared.query(side * side / 2 + side / 2, 1e-3);
        let estimate = push(&query, &mut space).unwrap();
        assert_eq!(estimate.end, EntryEnd::Reached);
        estimate.touched_entries
    });
    assert!(touched[1] < 150_000 && touched[1] <= touched[0] * 5 / 4, "{touched:?}");
}

/// How often the bound failed over `seeds`, which may be `failure` of them and chance.
fn check_coverage(
    estimate: impl Fn(u64, &mut PushSpace) -> EntryEstimate,
    exact: &exact::Exact,
    seeds: u64,
    failure: f64,
) {
    let mut space = PushSpace::default();
    let (mut failed, mut squares, mut expected_squares) = (0, 0.0, 0.0);
    for seed in 0..seeds {
        let estimate = estimate(seed, &mut space);
        let error = exact::error(exact, estimate.value).to_f64();
        assert!(estimate.failure == failure && estimate.walks > 0, "{estimate:?}");
        failed += u64::from(error > estimate.bound);
        squares += error * error;
        expected_squares += estimate.standard_error.powi(2);
    }
    // Four standard deviations of a binomial.
    let mean = seeds as f64 * failure;
    assert!(failed as f64 <= mean + 4.0 * mean.sqrt(), "{failed} of {seeds}");
    // The standard error is the spread that is seen, so the walks are unbiased as well.
    let ratio = (squares / expected_squares).sqrt();
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}

#[test]
fn walks_keep_their_confidence_and_have_no_bias() {
    let prepared = Prepared::of(gallery::diagonally_dominant(60, 300, 2).unwrap());
    let exact = prepared.exact();
    for failure in [0.3, 0.01] {
        let known = prepared.witness.v()[7] * prepared.quotient;
        let query = EntryQuery { entries_max: 40_000, ..prepared.query(7, 0.1 * known) };
        let run = |seed, space: &mut PushSpace| walks(&query, failure, seed, space).unwrap();
        check_coverage(run, &exact[7], 300, failure);
    }
}

#[test]
fn pushes_and_walks_joined_keep_their_confidence_and_have_no_bias() {
    // Large enough that pushes alone would reach far; two signs, rows that are not dominant, v far from 1.
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let system = gallery::page_rank(12, 60_000, 2).unwrap();
    let rhs = (0..system.order()).map(|_| signed(&mut rng)).collect();
    let prepared = Prepared::of(LinearSystem::new(system.into_parts().0, rhs).unwrap());
    let options = SolveOptions { tolerance: 1e-13, ..SolveOptions::default() };
    let x = solve(prepared.system.clone(), None, options).unwrap().x;
    let known = prepared.witness.v()[3] * prepared.quotient;
    let query = prepared.query(3, 0.05 * known);
    let run = |seed, space: &mut PushSpace| bidirectional(&query, 0.05, seed, space).unwrap();
    check_coverage(run, &exact::Exact::of(x[3]), 300, 0.05);
}

#[test]
fn equal_seeds_give_equal_answers() {
    let prepared = Prepared::of(gallery::diagonally_dominant(400, 2_000, 2).unwrap());
    let query = prepared.query(9, 0.02);
    let mut space = PushSpace::default();
    let first = bidirectional(&query, 0.05, 8, &mut space).unwrap();
    push(&prepared.query(200, 1e-3), &mut space).unwrap();
    assert_eq!(first, bidirectional(&query, 0.05, 8, &mut space).unwrap());
    assert_ne!(first.value, bidirectional(&query, 0.05, 9, &mut space).unwrap().value);
}

#[test]
fn a_budget_is_hard_and_the_bound_reached_is_told() {
    let prepared = Prepared::of(gallery::diagonally_dominant(2_000, 10_000, 2).unwrap());
    let mut space = PushSpace::default();
    for entries_max in [0, 1, 100, 3_000] {
        let query = EntryQuery { entries_max, ..prepared.query(9, 1e-9) };
        for estimate in [
            push(&query, &mut space).unwrap(),
            walks(&query, 0.1, 1, &mut space).unwrap(),
            bidirectional(&query, 0.1, 1, &mut space).unwrap(),
        ] {
            assert_eq!(estimate.end, EntryEnd::OverBudget);
            assert!(estimate.touched_entries <= entries_max && estimate.bound.is_finite());
            assert!(estimate.bound <= 1.001 * prepared.witness.v()[9] * prepared.quotient);
        }
    }
}

#[test]
fn one_unknown_a_row_alone_and_a_zero_right_hand_side_are_answered() {
    let system = |n: usize, values: Vec<f64>, rhs: Vec<f64>| {
        LinearSystem::assemble(n, n, MatrixArrays::Dense { values }, rhs).unwrap()
    };
    let mut space = PushSpace::default();
    let one = Prepared::of(system(1, vec![-4.0], vec![2.0]));
    for estimate in [
        push(&one.query(0, 1e-12), &mut space).unwrap(),
        walks(&one.query(0, 0.01), 0.1, 1, &mut space).unwrap(),
    ] {
        assert!((estimate.value + 0.5).abs() <= estimate.bound);
    }
    let alone = Prepared::of(system(2, vec![3.0, 0.0, 1.0, 3.0], vec![6.0, 0.0]));
    let estimate = push(&alone.query(0, 1e-12), &mut space).unwrap();
    assert!((estimate.value - 2.0).abs() <= 1e-12 && estimate.touched_entries <= 4);
    let zero = Prepared::of(system(2, vec![3.0, 1.0, 1.0, 3.0], vec![0.0, 0.0]));
    let estimate = push(&zero.query(1, 0.0), &mut space).unwrap();
    assert_eq!((estimate.value, estimate.bound, estimate.pushes), (0.0, 0.0, 0));
    assert_eq!(zero.zero.len(), 2);
}

#[test]
fn queries_that_make_no_sense_are_refused() {
    let prepared = Prepared::of(gallery::diagonally_dominant(10, 30, 2).unwrap());
    let mut space = PushSpace::default();
    let mut refused = |query: &EntryQuery| push(query, &mut space).unwrap_err();
    let query = prepared.query(10, 0.1);
    assert_eq!(refused(&query), EntryFault::OutOfRange { entry: 10, order: 10 });
    let query = prepared.query(1, f64::NAN);
    assert!(matches!(refused(&query), EntryFault::Option { member: "accuracy", .. }));
    let query = EntryQuery { relaxation: 2.0, ..prepared.query(1, 0.1) };
    assert!(matches!(refused(&query), EntryFault::Option { member: "relaxation", .. }));
    let query = EntryQuery { quotient: f64::INFINITY, ..prepared.query(1, 0.1) };
    assert!(matches!(refused(&query), EntryFault::Option { member: "quotient", .. }));
    let source = prepared.known(Known::Nothing { rhs: &prepared.system.rhs()[1..] });
    let query = EntryQuery { source, ..prepared.query(1, 0.1) };
    assert_eq!(refused(&query), EntryFault::Length { member: "rhs", expected: 10, found: 9 });
    let mut sunk = prepared.witness.clone();
    let diagonal = prepared.system.rows().diagonal(4).unwrap();
    sunk.entry_changed(4, 4, diagonal, 0.0);
    let query = EntryQuery { witness: &sunk, ..prepared.query(1, 0.1) };
    assert_eq!(refused(&query), EntryFault::NoWitness { rows: 1 });
    let failed = walks(&prepared.query(1, 0.1), 1.0, 1, &mut space).unwrap_err();
    assert!(matches!(failed, EntryFault::Option { member: "failure", .. }));
}
