//! What a mathematician expects of every method: the right answer, or a typed reason why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Dense, dense_solution, residual_norm, solve, system_of};
use proptest::prelude::*;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions, Sweep};
use weir::solver::outcome::{Outcome, Refusal, Step, StopReason};
use weir::solver::system::{LinearSystem, MatrixArrays};

use MethodName::{Bicgstab, Cg, Direct, GaussSeidel, Gmres, Hybrid, Jacobi};

fn with(method: MethodName) -> SolveOptions {
    SolveOptions { method, ..Default::default() }
}

/// Solves and, when the engine claims convergence, holds it to its word.
fn outcome_of(dense: &Dense, rhs: &[f64], options: SolveOptions) -> Result<Outcome, Refusal> {
    let system = system_of(dense, rhs.to_vec());
    let solved = solve(system.clone(), None, options.clone())?;
    assert!(solved.x.iter().all(|x| x.is_finite()), "x must stay finite: {:?}", solved.outcome);
    if let Outcome::Converged { residual_norm: claimed } = solved.outcome {
        let norm = rhs.iter().map(|b| b * b).sum::<f64>().sqrt();
        let measured = residual_norm(&system, &solved.x);
        assert!(measured <= options.tolerance * norm * (1.0 + 1e-6), "{measured} {claimed}");
    }
    Ok(solved.outcome)
}

fn assert_solves(dense: &Dense, rhs: &[f64], options: SolveOptions) {
    let name = format!("{:?} {:?}", options.method, options.preconditioner);
    let outcome = outcome_of(dense, rhs, options.clone()).expect(&name);
    assert!(matches!(outcome, Outcome::Converged { .. }), "{name}: {outcome:?}");
    let solved = solve(system_of(dense, rhs.to_vec()), None, options).expect(&name);
    let expected = dense_solution(dense, rhs).expect("regular");
    let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
    for (found, expected) in solved.x.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-5 * scale, "{name}: {found} is not {expected}");
    }
}

fn stop_code(dense: &Dense, rhs: &[f64], options: SolveOptions) -> &'static str {
    match outcome_of(dense, rhs, options).expect("no refusal") {
        Outcome::Converged { .. } => "converged",
        Outcome::Stopped(reason) => reason.code(),
    }
}

/// Tridiagonal `(−1, 2 + gap, −1)`.
fn chain(n: usize, gap: f64) -> Dense {
    let entry = |i: usize, j: usize| match i.abs_diff(j) {
        0 => 2.0 + gap,
        1 => -1.0,
        _ => 0.0,
    };
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

/// `x_i ← x_{i+1}`, around.
fn cyclic_shift(n: usize) -> Dense {
    (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(j == (i + 1) % n))).collect()).collect()
}

#[test]
fn every_method_solves_a_dominant_chain() {
    for method in MethodName::ALL {
        assert_solves(&chain(40, 0.5), &[1.0; 40], with(method));
    }
    let symmetric = SolveOptions { sweep: Sweep::Symmetric, damping: 1.3, ..with(GaussSeidel) };
    assert_solves(&chain(40, 0.5), &[1.0; 40], symmetric);
    for method in [Cg, Bicgstab, Gmres] {
        for name in PreconditionerName::ALL {
            let options = SolveOptions { preconditioner: Some(name), ..with(method) };
            assert_solves(&chain(40, 0.0), &[1.0; 40], options);
        }
    }
}

#[test]
fn direct_hybrid_and_gmres_solve_a_swap() {
    let swap = vec![vec![0.0, 1.0], vec![1.0, 0.0]];
    for method in [Direct, Hybrid, Gmres] {
        assert_solves(&swap, &[1.0, 2.0], with(method));
    }
    assert_eq!(stop_code(&swap, &[1.0, 0.0], with(Bicgstab)), "breakdown");
}

#[test]
fn one_unknown_is_solved_by_every_method() {
    for method in MethodName::ALL {
        assert_solves(&vec![vec![4.0]], &[2.0], with(method));
    }
}

#[test]
fn a_zero_right_hand_side_is_answered_by_zero_whatever_the_guess() {
    for method in MethodName::ALL {
        let system = system_of(&chain(5, 1.0), vec![0.0; 5]);
        let solved = solve(system, Some(vec![3.0; 5]), with(method)).unwrap();
        assert_eq!(solved.outcome, Outcome::Converged { residual_norm: 0.0 }, "{method}");
        assert_eq!((solved.iterations, solved.x), (0, vec![0.0; 5]), "{method}");
    }
}

#[test]
fn an_exact_guess_needs_no_iteration() {
    let dense = chain(30, 0.1);
    let exact: Vec<f64> = (0..30).map(|i| f64::from(i) - 7.5).collect();
    let rhs: Vec<f64> =
        dense.iter().map(|row| row.iter().zip(&exact).map(|(a, x)| a * x).sum()).collect();
    for method in MethodName::ALL {
        let solved = solve(system_of(&dense, rhs.clone()), Some(exact.clone()), with(method));
        let solved = solved.unwrap();
        assert_eq!(solved.iterations, 0, "{method}");
        assert!(matches!(solved.outcome, Outcome::Converged { .. }), "{method}");
        assert_eq!(solved.x, exact, "{method}");
    }
}

#[test]
fn five_iterations_are_five_and_end_typed() {
    for method in [Jacobi, GaussSeidel, Cg, Bicgstab, Gmres] {
        let options = SolveOptions {
            iterations_max: 5,
            preconditioner: match method {
                Cg | Bicgstab | Gmres => Some(PreconditionerName::Jacobi),
                _ => None,
            },
            ..with(method)
        };
        let system = system_of(&chain(200, 0.0), vec![1.0; 200]);
        let solved = solve(system.clone(), None, options).unwrap();
        let Outcome::Stopped(StopReason::IterationLimit { iterations_max: 5, residual_norm: said }) =
            solved.outcome
        else {
            panic!("{method}: {:?}", solved.outcome)
        };
        assert_eq!(solved.iterations, 5);
        let iterated = solved.steps.iter().filter(|step| matches!(step, Step::Iterated(_)));
        assert_eq!(iterated.count(), 5);
        let measured = residual_norm(&system, &solved.x);
        assert!((measured - said).abs() <= 1e-9 * said, "{method}: {said} is not {measured}");
    }
}

#[test]
fn cg_refuses_an_asymmetric_matrix_and_names_the_entry() {
    let mut dense = chain(4, 1.0);
    dense[0][2] = 0.5;
    let refusal = outcome_of(&dense, &[1.0; 4], with(Cg)).unwrap_err();
    let expected =
        Refusal::NotSymmetric { row: 0, col: 2, value: 0.5, mirrored: 0.0, instead: Hybrid };
    assert_eq!(refusal, expected);
}

#[test]
fn methods_that_divide_by_the_diagonal_refuse_a_zero_there() {
    let mut dense = chain(4, 1.0);
    dense[2][2] = 0.0;
    for method in [Jacobi, GaussSeidel] {
        let refusal = outcome_of(&dense, &[1.0; 4], with(method)).unwrap_err();
        assert!(matches!(refusal, Refusal::ZeroDiagonal { row: 2, .. }), "{refusal:?}");
    }
}

#[test]
fn cg_meets_negative_curvature_on_an_indefinite_matrix() {
    let indefinite = vec![vec![2.0, 1.9, 1.9], vec![1.9, 2.0, -1.9], vec![1.9, -1.9, 2.0]];
    for name in PreconditionerName::ALL {
        let options = SolveOptions { preconditioner: Some(name), ..with(Cg) };
        // Multigrid refuses entries that are mostly positive before it knows.
        let is_multigrid = name == PreconditionerName::Amg;
        let expected = if is_multigrid { "unsuited_preconditioner" } else { "indefinite" };
        assert_eq!(stop_code(&indefinite, &[1.0, -2.0, 0.5], options), expected, "{name}");
    }
    for method in [Direct, Hybrid] {
        assert_solves(&indefinite, &[1.0, -2.0, 0.5], with(method));
    }
}

#[test]
fn jacobi_on_a_matrix_without_dominance_is_reported_as_diverging() {
    let dense = vec![vec![1.0, 2.0], vec![-3.0, 1.0]];
    assert_eq!(stop_code(&dense, &[1.0, 1.0], with(Jacobi)), "diverged");
}

#[test]
fn methods_that_relax_refuse_an_indefinite_matrix_and_take_a_dominant_one_of_both_signs() {
    let mut minor = chain(6, 1.0);
    (minor[2][3], minor[3][2]) = (-4.0, -4.0);
    let mut signs = minor.clone();
    signs[0][0] = -3.0;
    let mut dominant = chain(6, 1.0);
    dominant[4][4] = -9.0;
    for method in [Jacobi, GaussSeidel] {
        for (dense, evidence) in [(&minor, "(2, 3) is -4"), (&signs, "not an H-matrix")] {
            let refusal = outcome_of(dense, &[1.0; 6], with(method)).unwrap_err();
            let Refusal::WrongClass { evidence: found, instead: Hybrid, .. } = &refusal else {
                panic!("{refusal:?}")
            };
            assert!(found.contains(evidence), "{found}");
        }
        assert_solves(&dominant, &[1.0; 6], with(method));
    }
    for dense in [&minor, &signs] {
        assert_solves(dense, &[1.0; 6], with(Hybrid));
    }
}

#[test]
fn gmres_with_one_vector_stagnates_on_a_cyclic_shift_and_with_n_solves_it() {
    let mut rhs = vec![0.0; 12];
    rhs[0] = 1.0;
    let none = Some(PreconditionerName::None);
    let short = SolveOptions { restart: 1, preconditioner: none, ..with(Gmres) };
    assert_eq!(stop_code(&cyclic_shift(12), &rhs, short), "stagnated");
    let whole = SolveOptions { restart: 12, preconditioner: none, ..with(Gmres) };
    assert_solves(&cyclic_shift(12), &rhs, whole);
}

#[test]
fn a_singular_system_ends_typed_whether_it_has_solutions_or_not() {
    let singular = vec![vec![1.0, 2.0], vec![2.0, 4.0]];
    for rhs in [[1.0, 2.0], [1.0, 0.0]] {
        for method in MethodName::ALL {
            let code = stop_code(&singular, &rhs, with(method));
            let consistent = rhs[1] == 2.0;
            assert!(code != "converged" || consistent, "{method} cannot solve {rhs:?}");
        }
    }
    assert_eq!(stop_code(&singular, &[1.0, 0.0], with(Direct)), "singular");
    assert_eq!(stop_code(&singular, &[1.0, 0.0], with(Hybrid)), "singular");
    let refusal = outcome_of(&vec![vec![1.0, 0.0], vec![1.0, 0.0]], &[1.0, 1.0], with(Hybrid));
    assert!(matches!(refusal, Err(Refusal::StructurallySingular { .. })), "{refusal:?}");
}

#[test]
fn a_nearly_singular_system_is_solved_to_its_residual_or_ends_typed() {
    for n in [4, 8, 12, 16] {
        let entry = |i: usize, j: usize| 1.0 / (i + j + 1) as f64;
        let hilbert: Dense = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
        let ones: Vec<f64> = hilbert.iter().map(|row| row.iter().sum()).collect();
        for method in [Cg, Gmres, Direct, Hybrid] {
            outcome_of(&hilbert, &ones, with(method)).unwrap();
        }
        // A right-hand side along the smallest singular direction asks for entries of 1e16 and more.
        let mut rough = vec![1.0; n];
        rough.iter_mut().step_by(2).for_each(|b| *b = -1.0);
        for method in [Direct, Hybrid] {
            let code = stop_code(&hilbert, &rough, with(method));
            assert!(["converged", "singular", "precision_limit"].contains(&code), "{n}: {code}");
        }
    }
}

#[test]
fn a_tolerance_below_rounding_ends_at_the_precision_limit() {
    let rhs: Vec<f64> = (0..60).map(|i| f64::from(i * i % 17) - 8.0).collect();
    for method in [Jacobi, GaussSeidel, Cg, Gmres, Direct, Hybrid] {
        let dense =
            if matches!(method, Jacobi | GaussSeidel) { chain(60, 0.2) } else { chain(60, 0.0) };
        let options = SolveOptions { tolerance: 1e-19, ..with(method) };
        let outcome = outcome_of(&dense, &rhs, options).unwrap();
        let Outcome::Stopped(StopReason::PrecisionLimit { residual_norm, rounding_limit }) =
            outcome
        else {
            panic!("{method}: {outcome:?}")
        };
        assert!(residual_norm <= rounding_limit && rounding_limit < 1e-10, "{method}");
    }
}

#[test]
fn systems_of_extreme_magnitude_are_solved_as_ordinary_ones_are() {
    let dense = chain(30, 0.3);
    let rhs: Vec<f64> = (0..30).map(|i| f64::from(i % 7) - 2.5).collect();
    let expected = dense_solution(&dense, &rhs).unwrap();
    for (of_matrix, of_rhs) in [(1e150, 1e150), (1e-150, 1e-150), (1e200, 1.0), (1.0, 1e-250)] {
        let scaled: Dense =
            dense.iter().map(|row| row.iter().map(|a| a * of_matrix).collect()).collect();
        let scaled_rhs: Vec<f64> = rhs.iter().map(|b| b * of_rhs).collect();
        for method in MethodName::ALL {
            let system = system_of(&scaled, scaled_rhs.clone());
            let solved = solve(system, None, with(method)).unwrap();
            let Outcome::Converged { residual_norm } = solved.outcome else {
                panic!("{method} {of_matrix:e} {of_rhs:e}: {:?}", solved.outcome)
            };
            assert!(residual_norm <= 1e-6 * of_rhs);
            for (found, expected) in solved.x.iter().zip(&expected) {
                let found = found * of_matrix / of_rhs;
                assert!((found - expected).abs() <= 1e-5, "{method}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn a_solution_beyond_the_range_of_numbers_never_reaches_the_caller() {
    let system = vec![vec![1e-200, 0.0], vec![1e-201, 1e-200]];
    for method in [Jacobi, GaussSeidel, Bicgstab, Gmres, Direct, Hybrid] {
        let code = stop_code(&system, &[1e200, 1e200], with(method));
        assert_eq!(code, "singular", "{method}");
        let code = stop_code(&chain(3, 1e200), &[1e-200; 3], with(method));
        assert_eq!(code, "precision_limit", "{method}");
    }
}

#[test]
fn a_wide_spread_of_row_sizes_is_survived() {
    let dense = vec![vec![1e150, 0.0, 1.0], vec![0.0, 1e-150, 0.0], vec![1.0, 0.0, 3.0]];
    for method in MethodName::ALL.into_iter().filter(|method| *method != Cg) {
        outcome_of(&dense, &[1.0, 1.0, 1.0], with(method)).unwrap();
    }
    assert_eq!(stop_code(&dense, &[1.0, 1.0, 1.0], with(Direct)), "converged");
}

#[test]
fn a_useless_preconditioner_is_refused() {
    for method in [Jacobi, GaussSeidel, Direct] {
        let ilu = Some(PreconditionerName::Ilu);
        let refusal = outcome_of(
            &chain(3, 1.0),
            &[1.0; 3],
            SolveOptions { preconditioner: ilu, ..with(method) },
        );
        let preconditioner = PreconditionerName::Ilu;
        assert_eq!(refusal, Err(Refusal::UselessPreconditioner { method, preconditioner }));
        let none = Some(PreconditionerName::None);
        assert_solves(
            &chain(3, 1.0),
            &[1.0; 3],
            SolveOptions { preconditioner: none, ..with(method) },
        );
    }
}

#[test]
fn a_wrong_guess_is_refused() {
    let system = || system_of(&chain(3, 1.0), vec![1.0; 3]);
    let short = solve(system(), Some(vec![0.0; 2]), with(Cg)).unwrap_err();
    assert_eq!(short, Refusal::GuessLength { expected: 3, found: 2 });
    let infinite = solve(system(), Some(vec![0.0, f64::INFINITY, 0.0]), with(Cg)).unwrap_err();
    assert_eq!(infinite, Refusal::GuessNotFinite { index: 1, value: f64::INFINITY });
}

#[test]
fn a_factorisation_over_the_memory_budget_is_refused_before_it_starts() {
    let system = gallery::poisson_2d(60, 1).unwrap();
    let tight = SolveOptions { memory_bytes_max: 200_000, ..with(Direct) };
    let solved = solve(system.clone(), None, tight.clone()).unwrap();
    let Outcome::Stopped(StopReason::OutOfMemoryBudget { needed_bytes, limit_bytes: 200_000 }) =
        solved.outcome
    else {
        panic!("{:?}", solved.outcome)
    };
    assert!(needed_bytes > 200_000 && solved.iterations == 0);
    let hybrid = solve(system, None, SolveOptions { method: Hybrid, ..tight }).unwrap();
    assert!(matches!(hybrid.outcome, Outcome::Converged { .. }));
    let switched = hybrid.steps.iter().any(|step| matches!(step, Step::Switched(_)));
    assert!(switched, "hybrid must say that it gave up on the factorisation");
}

/// What `direct` says that it needs.
fn predicted_bytes(system: &LinearSystem) -> u64 {
    // Enough for the quick look at a large graph, too little for any factor.
    let tight = SolveOptions { memory_bytes_max: 1_000_000, ..with(Direct) };
    let mut engine = Engine::new(system.clone(), Analysis::of(system), None, tight).unwrap();
    match engine.step() {
        Step::Finished(Outcome::Stopped(StopReason::OutOfMemoryBudget {
            needed_bytes, ..
        })) => needed_bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_memory_predicted_for_lu_covers_its_measured_peak_and_little_more() {
    // VmHWM of a process that factorised, less VmRSS before it, in MB, on Linux with
    // mimalloc, which holds on to freed pages for a while.
    let cases = [
        (87.2, gallery::convection_diffusion(200, 50.0, 1)),
        (68.6, gallery::diagonally_dominant(4_000, 20_000, 1)),
        (9.1, gallery::diagonally_dominant(1_000, 5_000, 1)),
        (25.7, gallery::diagonally_dominant(2_000, 10_000, 1)),
    ];
    for (measured_mb, system) in cases {
        let predicted_mb = predicted_bytes(&system.unwrap()) as f64 / 1e6;
        let range = measured_mb..1.7 * measured_mb + 4.0;
        assert!(range.contains(&predicted_mb), "{predicted_mb} outside {range:?}");
    }
}

#[test]
fn the_number_of_threads_never_changes_a_bit() {
    let methods = [Jacobi, GaussSeidel, Cg, Bicgstab, Gmres, Direct];
    for method in methods {
        let bits = [1, 2, 4].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let options = SolveOptions {
                iterations_max: 15,
                preconditioner: match method {
                    Cg | Bicgstab | Gmres => Some(PreconditionerName::Jacobi),
                    _ => None,
                },
                ..with(method)
            };
            let solved =
                pool.install(|| solve(gallery::poisson_2d(130, 3).unwrap(), None, options));
            solved.unwrap().x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        });
        assert_eq!(bits[0], bits[1], "{method}: one thread and two differ");
        assert_eq!(bits[0], bits[2], "{method}: one thread and four differ");
    }
}

#[test]
fn every_announced_state_carries_the_residual_it_claims() {
    let system = gallery::poisson_2d(12, 5).unwrap();
    for method in MethodName::ALL {
        let mut engine =
            Engine::new(system.clone(), Analysis::of(&system), None, with(method)).unwrap();
        loop {
            let step = engine.step();
            let x = engine.solution().to_vec();
            let measured = residual_norm(&system, &x);
            let announced = engine.true_residual_norm();
            let slack = 1e-12 * engine.rhs_norm();
            assert!((announced - measured).abs() <= slack, "{method}: {announced} {measured}");
            match step {
                Step::Iterated(progress) => {
                    let tolerance =
                        if progress.residual_is_true { slack } else { 1e-9 * measured + slack };
                    let gap = (progress.residual_norm - measured).abs();
                    assert!(gap <= tolerance, "{method}: {progress:?} {measured}");
                }
                Step::Finished(_) => break,
                Step::Prepared(_) | Step::Switched(_) => {}
            }
        }
    }
}

/// Holds every state that an engine can be asked for to its word, before the first step and after each.
fn assert_honest(system: &LinearSystem, guess: Option<Vec<f64>>, options: SolveOptions) {
    let name = format!("{options:?} {guess:?}");
    let mut engine = match Engine::new(system.clone(), Analysis::of(system), guess, options) {
        Ok(engine) => engine,
        Err(_) => return,
    };
    let mut step = None;
    loop {
        let norm = engine.true_residual_norm();
        let x = engine.solution().to_vec();
        assert!(x.iter().all(|x| x.is_finite()) && norm.is_finite(), "{name}: {norm} {step:?}");
        let relative = if engine.rhs_norm() > 0.0 { norm / engine.rhs_norm() } else { norm };
        assert!(relative.is_finite(), "{name}: {norm} of {} {step:?}", engine.rhs_norm());
        let (measured, size) = measured(system, &x);
        let slack = 1e-9 * measured + 1e-12 * size;
        assert!((norm - measured).abs() <= slack, "{name}: {norm:e} {measured:e} {step:?}");
        match step {
            Some(Step::Finished(Outcome::Converged { residual_norm })) => {
                assert_eq!(residual_norm, norm, "{name}");
                return;
            }
            Some(Step::Finished(Outcome::Stopped(StopReason::IterationLimit {
                residual_norm,
                ..
            }))) => {
                assert_eq!(residual_norm, norm, "{name}");
                return;
            }
            Some(Step::Finished(_)) => return,
            Some(Step::Prepared(_) | Step::Iterated(_) | Step::Switched(_)) | None => {}
        }
        step = Some(engine.step());
    }
}

/// `‖b − A x‖₂` and the size of its terms, summed in units of the largest term so that nothing
/// overflows on the way.
fn measured(system: &LinearSystem, x: &[f64]) -> (f64, f64) {
    let (matrix, rhs) = system.clone().into_parts();
    let terms: Vec<Vec<f64>> = matrix
        .outer_iterator()
        .zip(&rhs)
        .map(|(row, b)| row.iter().map(|(col, value)| -value * x[col]).chain([*b]).collect())
        .collect();
    let unit = terms.iter().flatten().fold(0.0_f64, |unit, term| unit.max(term.abs()));
    if unit == 0.0 {
        return (0.0, 0.0);
    }
    let length = |sum: fn(&[f64], f64) -> f64| {
        unit * terms.iter().map(|row| sum(row, unit).powi(2)).sum::<f64>().sqrt()
    };
    let residual = length(|row, unit| row.iter().map(|term| term / unit).sum());
    (residual, length(|row, unit| row.iter().map(|term| (term / unit).abs()).sum()))
}

#[test]
fn a_guess_whose_residual_overflows_is_replaced_by_zero_and_says_so() {
    let huge = [
        (vec![vec![1e10]], vec![0.5], vec![1e300]),
        (vec![vec![1.0]], vec![1e-5], vec![1e305]),
        (vec![vec![1e-300]], vec![1e-300], vec![1e300]),
        (vec![vec![1e200, 0.0], vec![1e200, 1e200]], vec![1.0, 1.0], vec![1e300, 0.0]),
    ];
    for (dense, rhs, guess) in huge {
        let system = system_of(&dense, rhs);
        for method in [Jacobi, Gmres, Direct, Hybrid] {
            let analysis = Analysis::of(&system);
            let mut engine =
                Engine::new(system.clone(), analysis, Some(guess.clone()), with(method)).unwrap();
            assert_eq!(engine.solution(), vec![0.0; guess.len()], "{method}");
            assert_eq!(engine.true_residual_norm(), engine.rhs_norm(), "{method}");
            let reasons = &engine.selection().reasons;
            let said = reasons.iter().any(|reason| reason.contains("guess is replaced by zero"));
            assert!(said, "{method}: {reasons:?}");
            assert_eq!(engine.take_replaced_guess(), Some(guess.clone()), "{method}");
            assert_honest(&system, Some(guess.clone()), with(method));
        }
    }
    let system = system_of(&chain(3, 1.0), vec![1.0; 3]);
    let fair = Some(vec![1e9; 3]);
    let engine = Engine::new(system.clone(), Analysis::of(&system), fair, with(Cg)).unwrap();
    assert_eq!(engine.selection().reasons.len(), 1, "{:?}", engine.selection());
}

#[test]
fn the_residual_of_a_solution_beyond_the_range_is_that_of_what_is_announced() {
    let outside = [
        (vec![vec![1e-300]], vec![1e300]),
        (vec![vec![1e-200, 0.0], vec![1e-201, 1e-200]], vec![1e200, 1e200]),
        (chain(3, 1e200), vec![1e-200; 3]),
        (vec![vec![1e160, 0.0], vec![0.0, 1.0]], vec![1e-160, 1e-3]),
    ];
    for (dense, rhs) in outside {
        let system = system_of(&dense, rhs);
        for method in MethodName::ALL {
            assert_honest(&system, None, with(method));
            assert_honest(&system, None, SolveOptions { iterations_max: 1, ..with(method) });
        }
    }
    let system = system_of(&vec![vec![1e-300]], vec![1e300]);
    let mut engine =
        Engine::new(system.clone(), Analysis::of(&system), None, with(Direct)).unwrap();
    while !matches!(engine.step(), Step::Finished(_)) {}
    assert_eq!(engine.solution(), [f64::MAX]);
    assert!((engine.true_residual_norm() / engine.rhs_norm() - 1.0).abs() < 1e-12);
}

#[test]
fn an_ill_conditioned_triangle_ends_at_the_precision_limit_and_is_not_called_singular() {
    let n = 60;
    let entry = |i: usize, j: usize| match i.wrapping_sub(j) {
        0 => 1.0,
        1 => 10.0,
        _ => 0.0,
    };
    let dense: Dense = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
    let rhs: Vec<f64> = (0..n).map(|i| 1.0 / (i + 1) as f64).collect();
    assert_eq!(stop_code(&dense, &rhs, with(Direct)), "precision_limit");
    assert_ne!(stop_code(&dense, &rhs, with(Hybrid)), "singular");
}

#[test]
fn hybrid_factorises_a_singular_matrix_once() {
    // A ring of resistors without ground, charged at one node.
    let n = 30;
    let entry = |i: usize, j: usize| match (i + n - j) % n {
        0 => 2.0,
        1 | 29 => -1.0,
        _ => 0.0,
    };
    let ring: Dense = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
    let mut rhs = vec![0.0; n];
    rhs[3] = 1.0;
    let solved = solve(system_of(&ring, rhs), None, with(Hybrid)).unwrap();
    let Outcome::Stopped(StopReason::Singular { .. }) = solved.outcome else {
        panic!("{:?}", solved.outcome)
    };
    let lu = solved
        .steps
        .iter()
        .filter(|step| matches!(step, Step::Prepared(done) if done.description.starts_with("LU,")));
    assert_eq!(lu.count(), 1, "{:?}", solved.steps);
}

#[test]
fn gmres_shortens_its_cycle_to_the_memory_it_may_use_and_says_so() {
    let system = gallery::poisson_2d(30, 1).unwrap();
    let vector_bytes = 8 * system.order() as u64;
    let none = Some(PreconditionerName::None);
    let options = |vectors: u64| SolveOptions {
        preconditioner: none,
        restart: 50,
        memory_bytes_max: vectors * vector_bytes,
        ..with(Gmres)
    };
    let opened = |options| Engine::new(system.clone(), Analysis::of(&system), None, options);
    let mut engine = opened(options(22)).unwrap();
    let before = engine.memory_bytes();
    let Step::Prepared(preparation) = engine.step() else { panic!("the set-up comes first") };
    assert!(preparation.description.contains("from 50 to 20"), "{preparation:?}");
    assert_eq!(engine.memory_bytes() - before, 22 * vector_bytes);
    while !matches!(engine.step(), Step::Finished(_)) {}
    let small = 8 * 20 * 21;
    assert!(engine.memory_bytes() <= before + 22 * vector_bytes + small);
    let solved = solve(system.clone(), None, options(6)).unwrap();
    let limit_bytes = 6 * vector_bytes;
    let needed_bytes = 7 * vector_bytes;
    let expected = StopReason::OutOfMemoryBudget { needed_bytes, limit_bytes };
    assert_eq!(solved.outcome, Outcome::Stopped(expected));
}

#[test]
fn no_method_sets_up_more_than_its_budget_and_the_prediction_is_what_it_then_holds() {
    let triangular = {
        let side = 400_u32;
        let entries = (0..side).flat_map(|i| (i.saturating_sub(9)..=i).map(move |j| (i, j)));
        let (row_indices, col_indices): (Vec<u32>, Vec<u32>) = entries.unzip();
        let ones = row_indices.iter().zip(&col_indices);
        let values = ones.map(|(i, j)| if i == j { 20.0 } else { -1.0 }).collect();
        let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
        LinearSystem::assemble(400, 400, arrays, vec![1.0; 400]).unwrap()
    };
    let grid = gallery::poisson_2d(20, 1).unwrap();
    let cases = [(Cg, &grid), (Bicgstab, &grid), (Gmres, &grid), (Bicgstab, &triangular)];
    for ((method, system), preconditioner) in cases
        .into_iter()
        .flat_map(|case| PreconditionerName::ALL.map(move |preconditioner| (case, preconditioner)))
        // Multigrid asks for its memory piece by piece as it coarsens.
        .filter(|(_, preconditioner)| *preconditioner != PreconditionerName::Amg)
    {
        let options = |memory_bytes_max| SolveOptions {
            preconditioner: Some(preconditioner),
            restart: 5,
            memory_bytes_max,
            ..with(method)
        };
        let open = |bytes| {
            Engine::new(system.clone(), Analysis::of(system), None, options(bytes)).unwrap()
        };
        let name = format!("{method} with {preconditioner}");
        let mut refused = open(1);
        let held = refused.memory_bytes();
        let Step::Finished(Outcome::Stopped(StopReason::OutOfMemoryBudget {
            needed_bytes, ..
        })) = refused.step()
        else {
            panic!("{name} must be refused before it is set up")
        };
        assert!(refused.memory_bytes() <= held, "{name} allocated something");
        let mut allowed = open(needed_bytes);
        assert!(matches!(allowed.step(), Step::Prepared(_)), "{name}");
        assert_eq!(allowed.memory_bytes() - held, needed_bytes, "{name}");
        let refused = open(needed_bytes - 1).step();
        assert!(matches!(refused, Step::Finished(Outcome::Stopped(_))), "{name}: {refused:?}");
    }
}

#[test]
fn a_factorisation_that_nobody_wants_is_left_off_and_can_be_begun_anew() {
    let negated = |system: LinearSystem| {
        let (matrix, rhs) = system.into_parts();
        LinearSystem::new(matrix.map(|value| -value), rhs).unwrap()
    };
    let cases = [
        // With dense blocks and without.
        ("LLᵀ", gallery::poisson_3d(20, 1).unwrap()),
        ("LLᵀ", gallery::poisson_2d(50, 1).unwrap()),
        ("LDLᵀ", negated(gallery::poisson_3d(20, 1).unwrap())),
        ("LDLᵀ", negated(gallery::poisson_2d(50, 1).unwrap())),
        ("LU", gallery::convection_diffusion(120, 50.0, 1).unwrap()),
        ("LU", gallery::page_rank(8, 3, 1).unwrap()),
    ];
    for (name, system) in cases {
        let mut engine =
            Engine::new(system.clone(), Analysis::of(&system), None, with(Direct)).unwrap();
        let unwanted = Arc::new(AtomicBool::new(false));
        engine.heed(Arc::clone(&unwanted));
        let held = engine.memory_bytes();
        let Step::Prepared(ordering) = engine.step() else {
            panic!("{name}: the ordering is first")
        };
        assert!(ordering.description.contains(name), "{ordering:?}");
        unwanted.store(true, Ordering::Relaxed);
        let Step::Prepared(left_off) = engine.step() else {
            panic!("{name}: a set-up is left off")
        };
        assert!(left_off.description.contains("left off"), "{left_off:?}");
        assert_eq!(engine.memory_bytes(), held, "{name}: nothing is left of it");
        unwanted.store(false, Ordering::Relaxed);
        let outcome = std::iter::repeat_with(|| engine.step()).find_map(|step| match step {
            Step::Finished(outcome) => Some(outcome),
            Step::Prepared(_) | Step::Iterated(_) | Step::Switched(_) => None,
        });
        assert!(matches!(outcome, Some(Outcome::Converged { .. })), "{name}: {outcome:?}");
    }
}

#[test]
fn hybrid_says_what_it_chose_and_why() {
    let chosen = |system: LinearSystem| {
        let engine =
            Engine::new(system.clone(), Analysis::of(&system), None, with(Hybrid)).unwrap();
        let selection = engine.selection().clone();
        assert!(selection.reasons.iter().all(|reason| reason.len() > 20), "{selection:?}");
        (selection.method, selection.preconditioner)
    };
    let dominant = gallery::diagonally_dominant(2_000, 10_000, 1).unwrap();
    assert_eq!(chosen(dominant), (Bicgstab, PreconditionerName::Jacobi));
    assert_eq!(chosen(gallery::poisson_2d(40, 1).unwrap()), (Direct, PreconditionerName::None));
}

#[test]
fn direct_refuses_a_large_graph_without_separators_before_it_orders_it() {
    let system = gallery::page_rank(16, 400_000, 1).unwrap();
    let tight = SolveOptions { memory_bytes_max: 200_000_000, ..with(Direct) };
    let mut engine = Engine::new(system.clone(), Analysis::of(&system), None, tight).unwrap();
    let Step::Finished(Outcome::Stopped(StopReason::OutOfMemoryBudget { needed_bytes, .. })) =
        engine.step()
    else {
        panic!("no ordering takes less than a minimum degree one, which predicts 6.3e9 bytes")
    };
    assert!((200_000_000..4_000_000_000).contains(&needed_bytes), "{needed_bytes}");
}

#[test]
fn hybrid_factorises_a_large_graph_that_is_wide_only_because_it_branches() {
    // A resistor network of 600 grids of 10 by 10 around one node, with so strong a contrast that an
    // incomplete factor is of little use, and a negative resistor that takes definiteness away.
    let (count, side) = (600_usize, 10_usize);
    let n = 1 + count * side * side;
    let at = |grid: usize, i: usize, j: usize| 1 + (grid * side + i) * side + j;
    let mut pairs = vec![];
    for (grid, i, j) in (0..n - 1).map(|cell| (cell / 100, cell / 10 % 10, cell % 10)) {
        let weight = if (grid + i * j) % 3 == 0 { 1e-4 } else { 1.0 };
        if i + 1 < side {
            pairs.push((at(grid, i, j), at(grid, i + 1, j), weight));
        }
        if j + 1 < side {
            pairs.push((at(grid, i, j), at(grid, i, j + 1), 1.0));
        }
        if i + j == 0 {
            pairs.push((at(grid, 0, 0), 0, 1.0));
        }
    }
    let mut diagonal = vec![1e-6; n];
    let mut entries = vec![];
    for &(i, j, weight) in &pairs {
        diagonal[i] += weight;
        diagonal[j] += weight;
        entries.extend([(i, j, -weight), (j, i, -weight)]);
    }
    diagonal[5] -= 4.0;
    entries.extend(diagonal.iter().enumerate().map(|(i, &value)| (i, i, value)));
    let col_indices = entries.iter().map(|&(_, j, _)| j as u32).collect();
    let values = entries.iter().map(|&(.., value)| value).collect();
    let row_indices = entries.into_iter().map(|(i, ..)| i as u32).collect();
    let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
    let rhs = (0..n).map(|i| f64::from((i % 7) as u32) - 3.0).collect();
    let system = LinearSystem::assemble(n, n, arrays, rhs).unwrap();
    let solved = solve(system, None, with(Hybrid)).unwrap();
    assert!(matches!(solved.outcome, Outcome::Converged { .. }), "{:?}", solved.outcome);
    let switched = solved.steps.iter().any(|step| matches!(step, Step::Switched(_)));
    assert!(
        !switched && solved.iterations <= 4,
        "the factorisation comes first: {:?}",
        solved.steps
    );
}

#[test]
fn hybrid_does_not_order_a_large_graph_that_has_no_separators() {
    let wide = gallery::page_rank(16, 400_000, 1).unwrap();
    let n = wide.order();
    // Widening the diagonal by less than a hundredth leaves too little dominance to rely on.
    let (matrix, rhs) = wide.into_parts();
    let loose = matrix.map(|value| if *value == 1.0 { 0.86 } else { *value });
    let system = LinearSystem::new(loose, rhs).unwrap();
    let engine = Engine::new(system.clone(), Analysis::of(&system), None, with(Hybrid)).unwrap();
    assert_ne!(engine.selection().method, Direct, "{n} unknowns: {:?}", engine.selection());
}

/// A weighted 20-wide grid with one leak of 0.001 to ground per node, plus `shift` on the diagonal, plus
/// `along[k].1` at distance `along[k].0` above (below, if negative) the diagonal.
fn recorded(shift: f64, along: &[(isize, f64)]) -> (Dense, Vec<f64>) {
    let n = 400;
    let mut dense = vec![vec![0.0; n]; n];
    for i in 0..n {
        for (distance, weight) in
            [(20, 1.0 + (i % 3) as f64 / 4.0), (1, 1.0 + (i % 5) as f64 / 8.0)]
        {
            if i + distance < n {
                dense[i][i + distance] = -weight;
                dense[i + distance][i] = -weight;
            }
        }
    }
    for (i, row) in dense.iter_mut().enumerate() {
        row[i] = 0.001 - row.iter().sum::<f64>() + shift;
    }
    for &(distance, value) in along {
        for (i, row) in dense.iter_mut().enumerate() {
            if let Some(entry) = i.checked_add_signed(distance).and_then(|j| row.get_mut(j)) {
                *entry += value;
            }
        }
    }
    let rhs = (0..n).map(|i| ((37 * i) % 101) as f64 / 10.0 - 5.0).collect();
    (dense, rhs)
}

/// Compares entries 0, 199, 399 and the norm of `x` with those that SciPy 1.17.1 finds:
/// ```python
/// import numpy as np, scipy.sparse as sp, scipy.sparse.linalg as sla
/// n = 400; i = np.arange(n); b = ((37 * i) % 101 - 50) / 10
/// S = sp.diags([-1.0 - (i[:-20] % 3) / 4, -1.0 - (i[:-1] % 5) / 8], [20, 1]); S = S + S.T
/// A = (S + sp.diags(0.001 - np.asarray(S.sum(axis=1)).ravel())).tocsc()
/// for M in [A, A + sp.diags([0.9, -0.7], [7, -3], (n, n)) + 0.5 * sp.identity(n), A - 3 * sp.identity(n)]:
///     x = sla.spsolve(M.tocsc(), b); print(x[[0, 199, 399]], np.linalg.norm(x))
/// ```
fn assert_as_recorded(system: &(Dense, Vec<f64>), methods: &[MethodName], expected: [f64; 4]) {
    for &method in methods {
        let options = SolveOptions { tolerance: 1e-12, ..with(method) };
        let system = system_of(&system.0, system.1.clone());
        let solved = solve(system, None, options).unwrap();
        assert!(
            matches!(solved.outcome, Outcome::Converged { .. }),
            "{method} {:?}",
            solved.outcome
        );
        let norm = solved.x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let found = [solved.x[0], solved.x[199], solved.x[399], norm];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-7 * norm, "{method}: {found} is not {expected}");
        }
    }
}

#[test]
fn a_grounded_grid_has_the_solution_that_scipy_finds() {
    let methods = [Cg, Bicgstab, Gmres, Direct, Hybrid];
    assert_as_recorded(
        &recorded(0.0, &[]),
        &methods,
        [-15.071247306838693, -6.836625289265339, -10.232655627564643, 184.02199316945735],
    );
}

#[test]
fn an_asymmetric_system_has_the_solution_that_scipy_finds() {
    let system = recorded(0.5, &[(7, 0.9), (-3, -0.7)]);
    assert_as_recorded(
        &system,
        &[Bicgstab, Gmres, Direct, Hybrid],
        [-3.4779133900793324, 1.5973319314678855, -0.9587505398870196, 20.559520620672252],
    );
}

#[test]
fn a_grid_with_a_hundred_negative_eigenvalues_has_the_solution_that_scipy_finds() {
    let system = recorded(-3.0, &[]);
    assert_as_recorded(
        &system,
        &[Direct, Hybrid],
        [-0.25384624524059474, -1.4331533528873295, 6.504640653182524, 74.98281495293173],
    );
    let solved = solve(system_of(&system.0, system.1.clone()), None, with(Direct)).unwrap();
    let counted = solved.steps.iter().any(|step| {
        matches!(step, Step::Prepared(done) if done.description.contains("100 negative eigenvalues"))
    });
    assert!(counted, "{:?}", solved.steps);
    let refusal = outcome_of(&system.0, &system.1, with(Cg)).unwrap_err();
    assert!(matches!(refusal, Refusal::NotPositiveDefinite { .. }), "{refusal:?}");
}

/// Entries in [−1, 1] on a random pattern, about four in a row.
fn sparse_entries(n: usize) -> impl Strategy<Value = Dense> {
    let density = (4.0 / n as f64).min(0.8);
    let entry = (proptest::bool::weighted(density), -1.0..1.0_f64);
    let entry = entry.prop_map(|(kept, value)| if kept { value } else { 0.0 });
    proptest::collection::vec(proptest::collection::vec(entry, n), n)
}

fn with_rhs(
    sizes: std::ops::Range<usize>,
    matrix: impl Fn(Dense) -> Dense + Clone + 'static,
) -> impl Strategy<Value = (Dense, Vec<f64>)> {
    sizes.prop_flat_map(move |n| {
        let rhs = proptest::collection::vec(-1.0..1.0_f64, n).prop_map(|mut rhs| {
            rhs[0] += 2.0;
            rhs
        });
        (sparse_entries(n).prop_map(matrix.clone()), rhs)
    })
}

/// Makes every row strictly dominant with a relative margin of a tenth, signs alternating.
fn dominant(mut dense: Dense) -> Dense {
    for (i, row) in dense.iter_mut().enumerate() {
        row[i] = 0.0;
        let sum: f64 = row.iter().map(|a| a.abs()).sum();
        row[i] = (1.1 * sum + 0.1) * if i % 3 == 0 { -1.0 } else { 1.0 };
    }
    dense
}

/// `Bᵀ B + I/4`.
fn definite(dense: Dense) -> Dense {
    let n = dense.len();
    let product = |i: usize, j: usize| (0..n).map(|k| dense[k][i] * dense[k][j]).sum::<f64>();
    let entry = |i: usize, j: usize| product(i, j) + if i == j { 0.25 } else { 0.0 };
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

/// `B + Bᵀ`, with eigenvalues of both signs.
fn symmetric(dense: Dense) -> Dense {
    let n = dense.len();
    (0..n).map(|i| (0..n).map(|j| dense[i][j] + dense[j][i]).collect()).collect()
}

fn well_conditioned(dense: &Dense) -> bool {
    let n = dense.len();
    let columns = (0..n).map(|j| {
        let mut unit = vec![0.0; n];
        unit[j] = 1.0;
        dense_solution(dense, &unit)
    });
    let inverse: Option<Vec<Vec<f64>>> = columns.collect();
    inverse.is_some_and(|inverse| inverse.iter().flatten().all(|entry| entry.abs() < 1e6))
}

fn options() -> impl Strategy<Value = SolveOptions> {
    let method = proptest::sample::select(MethodName::ALL.to_vec());
    let preconditioner =
        proptest::option::of(proptest::sample::select(PreconditionerName::ALL.to_vec()));
    let damping = proptest::sample::select(vec![0.7, 1.0, 1.6]);
    let sizes = (1..6_usize, proptest::sample::select(vec![0_u64, 3, 60, 400]));
    let tolerance = proptest::sample::select(vec![1e-4, 1e-9, 1e-19]);
    (method, preconditioner, damping, sizes, tolerance).prop_map(
        |(method, preconditioner, damping, (restart, iterations_max), tolerance)| SolveOptions {
            method,
            preconditioner,
            damping,
            restart,
            iterations_max,
            tolerance,
            ..Default::default()
        },
    )
}

/// Powers of ten by which matrix, right-hand side and guess are multiplied; 0 stands for none at all.
fn sizes() -> impl Strategy<Value = [f64; 3]> {
    let matrix = proptest::sample::select(vec![1.0, 1e-160, 1e160, 1e-290]);
    let rhs = proptest::sample::select(vec![1.0, 0.0, 1e-160, 1e200]);
    let guess = proptest::sample::select(vec![0.0, 1.0, 1e-300, 1e150, 1e300]);
    (matrix, rhs, guess).prop_map(|(matrix, rhs, guess)| [matrix, rhs, guess])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_state_carries_the_residual_of_its_own_x(
        (dense, rhs) in with_rhs(1..20, |dense| dense),
        make_dominant: bool,
        all in proptest::collection::vec(options(), 4),
        [of_matrix, of_rhs, of_guess] in sizes(),
    ) {
        let dense = if make_dominant { dominant(dense) } else { dense };
        let dense: Dense =
            dense.iter().map(|row| row.iter().map(|a| a * of_matrix).collect()).collect();
        let guess = (of_guess > 0.0).then(|| rhs.iter().map(|b| b * of_guess).collect::<Vec<_>>());
        let system = system_of(&dense, rhs.iter().map(|b| b * of_rhs).collect());
        for options in all {
            assert_honest(&system, guess.clone(), options);
        }
    }

    #[test]
    fn dominant_systems_are_solved_by_all_methods_that_take_them((dense, rhs) in with_rhs(1..40, dominant)) {
        for method in [Jacobi, GaussSeidel, Bicgstab, Gmres, Direct, Hybrid] {
            let options = SolveOptions { iterations_max: 2_000, ..with(method) };
            let outcome = outcome_of(&dense, &rhs, options.clone()).unwrap();
            // BiCGStab alone may break down on an unlucky residual.
            if method == Bicgstab && !matches!(outcome, Outcome::Converged { .. }) {
                continue;
            }
            assert_solves(&dense, &rhs, options);
        }
        if let Ok(outcome) = outcome_of(&dense, &rhs, with(Cg)) {
            let symmetric = (0..rhs.len()).all(|i| (0..i).all(|j| dense[i][j] == dense[j][i]));
            prop_assert!(symmetric, "{:?}", outcome);
        }
    }

    #[test]
    fn definite_systems_are_solved_by_all_methods((dense, rhs) in with_rhs(1..30, definite)) {
        for method in [GaussSeidel, Cg, Gmres, Direct, Hybrid] {
            assert_solves(&dense, &rhs, with(method));
        }
        for name in PreconditionerName::ALL {
            let options = SolveOptions { preconditioner: Some(name), ..with(Cg) };
            // Multigrid does not take mostly positive entries, however definite they are.
            let is_unsuited = name == PreconditionerName::Amg
                && stop_code(&dense, &rhs, options.clone()) == "unsuited_preconditioner";
            if !is_unsuited {
                assert_solves(&dense, &rhs, options);
            }
        }
    }

    #[test]
    fn symmetric_systems_are_solved_or_reported((dense, rhs) in with_rhs(2..30, symmetric)) {
        check_any(&dense, &rhs);
    }

    #[test]
    fn general_systems_are_solved_or_reported((dense, rhs) in with_rhs(2..30, |dense| dense)) {
        check_any(&dense, &rhs);
    }
}

/// No method may claim what is not so, or fail to end; where the inverse is moderate, `direct` and
/// `hybrid` must find the solution.
fn check_any(dense: &Dense, rhs: &[f64]) {
    for method in MethodName::ALL {
        let options = SolveOptions { iterations_max: 500, ..with(method) };
        if let Err(refusal) = outcome_of(dense, rhs, options) {
            let solvable_anyway = matches!(method, Direct | Hybrid) && well_conditioned(dense);
            assert!(!solvable_anyway, "{method}: {refusal}");
        }
    }
    if well_conditioned(dense) {
        for method in [Direct, Hybrid] {
            assert_solves(dense, rhs, with(method));
        }
    }
}

#[test]
fn hybrid_takes_multigrid_for_a_large_square_and_a_large_cube_and_factorises_a_small_one() {
    let chosen = |system: LinearSystem| {
        let analysis = Analysis::of(&system);
        let engine = Engine::new(system, analysis, None, SolveOptions::default()).unwrap();
        (engine.selection().method, engine.selection().preconditioner)
    };
    let multigrid = (Cg, PreconditionerName::Amg);
    assert_eq!(chosen(gallery::poisson_2d(300, 1).unwrap()), multigrid);
    assert_eq!(chosen(gallery::poisson_3d(60, 1).unwrap()), multigrid);
    assert_eq!(chosen(gallery::poisson_3d(10, 1).unwrap()), (Direct, PreconditionerName::None));
}
