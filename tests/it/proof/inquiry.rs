//! Entries of whole systems, whichever way they are found: every bound against an independent solution.

use std::cell::Cell;

use weir::solver::gallery;
use weir::solver::options::{MethodName, SolveOptions};
use weir::solver::proof::entry::{
    Accuracy, BoundKind, EntryAnswer, EntryEnd, EntryFault, EntryMethod, Inquiry, InquiryFault,
    InquiryOptions, Patience,
};
use weir::solver::system::{LinearSystem, MatrixArrays};

use super::{exact, grid};
use crate::support::{Dense, dense_solution, solve, system_of};

fn options(accuracy: Accuracy) -> InquiryOptions {
    InquiryOptions {
        accuracy,
        failure: 0.0,
        seed: 5,
        entries_max: 1 << 32,
        memory_bytes_max: 1 << 30,
    }
}

fn dense_of(system: &LinearSystem) -> Dense {
    let n = system.order();
    let mut dense = vec![vec![0.0; n]; n];
    for (row, entries) in dense.iter_mut().enumerate() {
        let (cols, values) = system.rows().row(row);
        cols.iter().zip(values).for_each(|(&col, value)| entries[col as usize] = *value);
    }
    dense
}

fn oracle(system: &LinearSystem) -> Vec<f64> {
    dense_solution(&dense_of(system), system.rhs()).expect("not singular")
}

fn solve_directly(system: &LinearSystem) -> Vec<f64> {
    let method = MethodName::Direct;
    let options = SolveOptions { method, tolerance: 1e-12, ..SolveOptions::default() };
    solve(system.clone(), None, options).unwrap().x
}

fn ask(system: &LinearSystem, entries: &[usize], options: InquiryOptions) -> Vec<EntryAnswer> {
    let mut inquiry = Inquiry::open(system.clone(), options, Patience::ENDLESS).unwrap();
    let left = |at| entries.len() - at;
    entries.iter().enumerate().map(|(at, &i)| inquiry.answer(i, left(at)).unwrap()).collect()
}

/// Every bound holds, `rounding` of the oracle's own aside, and suffices.
fn check(system: &LinearSystem, answers: &[EntryAnswer], accuracy: Accuracy, rounding: f64) {
    let x = oracle(system);
    for answer in answers {
        let value = answer.value.expect("a value");
        let error = (value - x[answer.entry]).abs();
        assert!(error <= answer.bound + rounding, "{error:e}: {answer:?}");
        assert_eq!(answer.end, EntryEnd::Reached, "{answer:?}");
        assert!(answer.bound <= accuracy.of(value, answer.bound), "{answer:?}");
        assert!(answer.touched_entries > 0 && !answer.reasons.is_empty(), "{answer:?}");
    }
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
fn entries_of_a_dominant_grid_are_pushed_and_proven_without_a_solve() {
    let system = dominant_grid(24);
    for accuracy in [Accuracy::Absolute(1e-2), Accuracy::Relative(1e-3)] {
        let answers = ask(&system, &[300, 0, 575], options(accuracy));
        check(&system, &answers, accuracy, 1e-13);
        for answer in &answers {
            assert_eq!(answer.kind, BoundKind::Proven, "{answer:?}");
        }
    }
    let large = dominant_grid(300);
    let answers = ask(&large, &[45_150], options(Accuracy::Relative(1e-3)));
    assert_eq!((answers[0].method, answers[0].end), (EntryMethod::BackwardPush, EntryEnd::Reached));
    assert!(answers[0].touched_entries < large.nonzeros() as u64, "{:?}", answers[0]);
}

#[test]
fn a_confidence_lets_walks_help_and_holds_at_its_rate() {
    let (matrix, _) = gallery::diagonally_dominant(20_000, 100_000, 4).unwrap().into_parts();
    let rhs = matrix.diag().to_dense().iter().map(|d| d * (3.0 * d).sin()).collect();
    let system = LinearSystem::new(matrix, rhs).unwrap();
    let truth = ask(&system, &[77], options(Accuracy::Relative(1e-9)))[0].value.unwrap();
    let (mut failed, mut sampled) = (0, 0);
    for seed in 0..100 {
        let options = InquiryOptions { failure: 0.1, seed, ..options(Accuracy::Relative(0.05)) };
        let answer = ask(&system, &[77], options).remove(0);
        assert_eq!(answer.end, EntryEnd::Reached, "{answer:?}");
        sampled += u32::from(answer.kind == BoundKind::Probabilistic && answer.walks > 0);
        assert!(answer.kind == BoundKind::Proven || answer.failure == 0.1);
        failed += u32::from((answer.value.unwrap() - truth).abs() > answer.bound);
    }
    // The rate allows 10; four standard deviations above it 22.
    assert!(sampled == 100 && failed <= 22, "{failed} of {sampled}");
}

#[test]
fn indefinite_grids_are_read_along_a_path_with_an_estimate() {
    let accuracy = Accuracy::Relative(1e-9);
    let system = grid("ieee118");
    let last = system.order() - 1;
    check(&system, &ask(&system, &[0, 60, last], options(accuracy)), accuracy, 1e-10);

    let system = grid("case9241pegase");
    let x = solve_directly(&system);
    for answer in &ask(&system, &[9_000, 17], options(Accuracy::Relative(1e-7))) {
        let error = (answer.value.unwrap() - x[answer.entry]).abs();
        assert!(error <= answer.bound, "{error:e}: {answer:?}");
        assert_eq!((answer.kind, answer.method), (BoundKind::Estimated, EntryMethod::Path));
        assert_eq!(answer.end, EntryEnd::Reached, "{answer:?}");
    }
}

/// Asymmetric, no H-matrix, a few hundred rows; the judge is exact.
#[test]
fn an_estimate_is_above_the_true_error_although_nothing_proves_it() {
    let n = 40;
    let mut dense = vec![vec![0.0; n]; n];
    for i in 0..n {
        dense[i][i] = if i % 3 == 0 { -1.5 } else { 2.0 };
        dense[i][(i + 1) % n] = 1.7;
        dense[i][(i + 7) % n] = -0.9;
        dense[i][(i + 3 * n - 5) % n] = 1.1 + 1e-6 * i as f64;
    }
    let rhs: Vec<f64> = (0..n).map(|i| (i as f64 * 1.7).sin()).collect();
    let system = system_of(&dense, rhs);
    let flat: Vec<f64> = dense.concat();
    let x = exact::solution(&flat, system.rhs()).unwrap();
    let entries: Vec<usize> = (0..n).collect();
    for answer in ask(&system, &entries, options(Accuracy::Absolute(1e-12))) {
        assert_eq!(answer.kind, BoundKind::Estimated, "{answer:?}");
        let error = exact::error(&x[answer.entry], answer.value.unwrap());
        exact::assert_within(&error, answer.bound, &answer);
        assert!(answer.bound < 1e-11, "{answer:?}");
    }
}

#[test]
fn without_room_for_a_factor_the_system_is_solved_and_the_error_still_estimated() {
    let system = grid("case1354pegase");
    let (mut matrix, rhs) = system.into_parts();
    // One negative diagonal entry, and far below what stands beside it.
    *matrix.get_mut(5, 5).unwrap() *= -0.01;
    let system = LinearSystem::new(matrix, rhs).unwrap();
    let few = InquiryOptions { memory_bytes_max: 300_000, ..options(Accuracy::Relative(1e-4)) };
    let answer = ask(&system, &[700], few).remove(0);
    assert_eq!((answer.method, answer.kind), (EntryMethod::Solve, BoundKind::Estimated));
    assert!(answer.reasons.iter().any(|reason| reason.contains("bytes")), "{answer:?}");
    let error = (answer.value.unwrap() - solve_directly(&system)[700]).abs();
    assert!(error <= answer.bound && answer.end == EntryEnd::Reached, "{error:e}: {answer:?}");
}

#[test]
fn weakly_dominant_grids_are_solved_once_and_proven() {
    let system = gallery::poisson_2d(30, 3).unwrap();
    let accuracy = Accuracy::Relative(1e-6);
    let answers = ask(&system, &[465, 466, 0], options(accuracy));
    check(&system, &answers, accuracy, 1e-12);
    assert!(answers.iter().all(|answer| answer.kind == BoundKind::Proven), "{answers:?}");
    assert!(answers[1].touched_entries * 20 < answers[0].touched_entries, "{answers:?}");
}

/// Every row meets one row in two steps, so that a push reaches all of them at once.
fn hub(n: usize) -> LinearSystem {
    let (mut rows, mut cols, mut values) = (vec![], vec![], vec![]);
    let mut put = |row: usize, col: usize, value: f64| {
        rows.push(row as u32);
        cols.push(col as u32);
        values.push(value);
    };
    for i in 1..n {
        put(0, i, -1.0);
        put(i, 0, -1.0);
        put(i, i, 1.02);
    }
    put(0, 0, 1.02 * n as f64);
    let arrays = MatrixArrays::Coordinates { row_indices: rows, col_indices: cols, values };
    let rhs = (0..n).map(|i| (i as f64).cos()).collect();
    LinearSystem::assemble(n, n, arrays, rhs).unwrap()
}

#[test]
fn a_hub_that_blows_the_budget_of_pushes_falls_to_another_method() {
    let system = hub(500);
    let accuracy = Accuracy::Absolute(1e-9);
    let entries: Vec<usize> = (0..60).collect();
    let answers = ask(&system, &entries, options(accuracy));
    check(&system, &answers, accuracy, 1e-11);
    let first = &answers[0];
    assert!(matches!(first.method, EntryMethod::Solve | EntryMethod::Path), "{first:?}");
    assert!(first.reasons[0].contains("its share"), "{first:?}");
    assert!(answers.iter().all(|answer| answer.kind == BoundKind::Proven), "{answers:?}");
}

#[test]
fn a_budget_is_kept_and_what_is_known_by_then_is_told() {
    let system = dominant_grid(60);
    let truth = ask(&system, &[1_830], options(Accuracy::Relative(1e-10)))[0].value.unwrap();
    for entries_max in [60_000, 200_000] {
        let few = InquiryOptions { entries_max, ..options(Accuracy::Absolute(1e-12)) };
        let answer = ask(&system, &[1_830], few).remove(0);
        assert_eq!((answer.end, answer.kind), (EntryEnd::OverBudget, BoundKind::Proven));
        assert!(answer.touched_entries <= entries_max, "{answer:?}");
        assert!((answer.value.unwrap() - truth).abs() <= answer.bound, "{answer:?}");
    }
}

#[test]
fn patience_that_ends_is_heeded() {
    let system = gallery::poisson_2d(200, 3).unwrap();
    let looks = Cell::new(0);
    let is_patient = || looks.replace(looks.get() + 1) < 10;
    let few = InquiryOptions { memory_bytes_max: 1 << 20, ..options(Accuracy::Relative(1e-9)) };
    let mut inquiry = Inquiry::open(system, few, Patience(&is_patient)).unwrap();
    let answer = inquiry.answer(20_100, 1).unwrap();
    assert_eq!(answer.end, EntryEnd::OutOfTime, "{answer:?}");
    assert!(looks.get() < 60);
}

#[test]
fn zeros_one_row_and_singular_systems_are_told_apart() {
    let dense = |n: usize, values: Vec<f64>, rhs: Vec<f64>| {
        LinearSystem::assemble(n, n, MatrixArrays::Dense { values }, rhs).unwrap()
    };
    let accuracy = Accuracy::Relative(1e-6);
    let zero = dense(2, vec![3.0, 1.0, 1.0, 3.0], vec![0.0; 2]);
    let answer = ask(&zero, &[1], options(accuracy)).remove(0);
    assert_eq!((answer.value, answer.bound, answer.kind), (Some(0.0), 0.0, BoundKind::Proven));
    let one = dense(1, vec![-4.0], vec![2.0]);
    check(&one, &ask(&one, &[0], options(accuracy)), accuracy, 0.0);
    let singular = dense(2, vec![1.0, -1.0, -1.0, 1.0], vec![1.0, 0.0]);
    let mut inquiry = Inquiry::open(singular, options(accuracy), Patience::ENDLESS).unwrap();
    let fault = inquiry.answer(0, 1).unwrap_err();
    assert!(matches!(fault, InquiryFault::Refused(_) | InquiryFault::Stopped(_)), "{fault}");
    assert_eq!(
        inquiry.answer(2, 1).unwrap_err(),
        InquiryFault::Entry(EntryFault::OutOfRange { entry: 2, order: 2 })
    );
    let bad = InquiryOptions { failure: 1.0, ..options(accuracy) };
    assert!(Inquiry::open(one, bad, Patience::ENDLESS).is_err());
}

#[test]
fn a_large_grid_without_a_small_factor_is_solved_and_proven_all_the_same() {
    let system = gallery::poisson_2d(150, 3).unwrap();
    let x = solve_directly(&system);
    // Too little for a factor's path, enough for an iteration.
    let few = InquiryOptions { memory_bytes_max: 6 << 20, ..options(Accuracy::Relative(1e-6)) };
    let answer = ask(&system, &[11_175], few).remove(0);
    assert_eq!((answer.method, answer.kind), (EntryMethod::Solve, BoundKind::Proven), "{answer:?}");
    assert_eq!(answer.end, EntryEnd::Reached, "{answer:?}");
    let error = (answer.value.unwrap() - x[11_175]).abs();
    assert!(error <= answer.bound + 1e-9 * x[11_175].abs(), "{error:e}: {answer:?}");
}
