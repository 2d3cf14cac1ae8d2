//! What a mathematician expects of every method: the right answer, or a typed reason why not.

use crate::support::{Dense, dense_solution, residual_norm, solve, system_of};
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions, Sweep};
use weir::solver::outcome::{Outcome, Refusal, Step, StopReason};

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
        assert_eq!(stop_code(&indefinite, &[1.0, -2.0, 0.5], options), "indefinite", "{name}");
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
fn gmres_with_one_vector_stagnates_on_a_cyclic_shift_and_with_n_solves_it() {
    let mut rhs = vec![0.0; 12];
    rhs[0] = 1.0;
    let none = Some(PreconditionerName::None);
    let short = SolveOptions { restart: 1, preconditioner: none, ..with(Gmres) };
    assert_eq!(stop_code(&cyclic_shift(12), &rhs, short), "stagnated");
    let whole = SolveOptions { restart: 12, preconditioner: none, ..with(Gmres) };
    assert_solves(&cyclic_shift(12), &rhs, whole);
}
