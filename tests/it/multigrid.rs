//! Multigrid as a preconditioner of a solve: the right answer or a typed reason, from every method that
//! takes it, on matrices it is made for and on those it is not.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::support::{Dense, Solved, dense_solution, residual_norm, solve, system_of};
use proptest::prelude::*;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::outcome::{Outcome, Refusal, Step, StopReason};
use weir::solver::system::LinearSystem;

use MethodName::{Bicgstab, Cg, Gmres, Hybrid};

fn multigrid(method: MethodName) -> SolveOptions {
    SolveOptions { method, preconditioner: Some(PreconditionerName::Amg), ..Default::default() }
}

/// Solves, and holds the engine to what it claims: residual, finiteness and a message.
fn judged(system: &LinearSystem, options: SolveOptions) -> Result<Solved, Refusal> {
    let solved = solve(system.clone(), None, options.clone())?;
    assert!(solved.x.iter().all(|x| x.is_finite()));
    let rhs_norm = system.rhs().iter().map(|b| b * b).sum::<f64>().sqrt();
    let measured = residual_norm(system, &solved.x);
    match &solved.outcome {
        Outcome::Converged { .. } => {
            assert!(measured <= options.tolerance * rhs_norm * (1.0 + 1e-6), "{measured:e}");
        }
        Outcome::Stopped(reason) => assert!(!reason.to_string().is_empty()),
    }
    Ok(solved)
}

fn code(solved: &Solved) -> &'static str {
    match &solved.outcome {
        Outcome::Converged { .. } => "converged",
        Outcome::Stopped(reason) => reason.code(),
    }
}

fn noise(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7_919 + 13) % 1_009) as f64 / 504.5 - 1.0).collect()
}

#[test]
fn iterations_stay_few_whatever_the_size() {
    for side in [40, 120, 240] {
        let (plain, wind) =
            (gallery::poisson_2d(side, 1).unwrap(), gallery::convection_diffusion(side, 50.0, 1));
        let wind = wind.unwrap();
        let all = [(&plain, Cg, 14), (&plain, Bicgstab, 9), (&plain, Gmres, 16)];
        for (system, method, iterations_max) in
            all.into_iter().chain([(&wind, Bicgstab, 11), (&wind, Gmres, 20)])
        {
            let solved = judged(system, multigrid(method)).unwrap();
            let found = (code(&solved), solved.iterations);
            assert_eq!(found.0, "converged", "{method}, {side}");
            assert!(found.1 <= iterations_max, "{method}, {side}: {} iterations", found.1);
        }
    }
}

#[test]
fn a_cycle_of_gmres_may_be_short() {
    let system = gallery::convection_diffusion(60, 50.0, 1).unwrap();
    let solved = judged(&system, SolveOptions { restart: 3, ..multigrid(Gmres) }).unwrap();
    assert_eq!(code(&solved), "converged");
    assert!(solved.iterations <= 40, "{}", solved.iterations);
}

#[test]
fn tight_tolerances_are_met_although_the_cycle_rounds_to_f32() {
    let system = gallery::poisson_2d(60, 1).unwrap();
    for method in [Cg, Bicgstab, Gmres] {
        let options = SolveOptions { tolerance: 1e-12, ..multigrid(method) };
        let solved = judged(&system, options).unwrap();
        assert_eq!(code(&solved), "converged", "{method}");
        assert!(solved.iterations <= 40, "{method}: {}", solved.iterations);
    }
}

#[test]
fn set_up_and_vectors_count_against_the_memory() {
    let system = gallery::poisson_2d(100, 1).unwrap();
    for method in [Cg, Bicgstab, Gmres] {
        let tight = SolveOptions { memory_bytes_max: 1_000_000, ..multigrid(method) };
        let solved = judged(&system, tight).unwrap();
        let Outcome::Stopped(StopReason::OutOfMemoryBudget { needed_bytes, limit_bytes }) =
            solved.outcome
        else {
            panic!("{method}: {:?}", solved.outcome)
        };
        assert!(limit_bytes == 1_000_000 && needed_bytes > limit_bytes);
    }
    // What is held stays within what was allowed, and a shorter basis makes room.
    let limit = 12_000_000;
    let options = SolveOptions { memory_bytes_max: limit, restart: 300, ..multigrid(Gmres) };
    let mut engine = Engine::new(system.clone(), Analysis::of(&system), None, options).unwrap();
    let before = engine.memory_bytes();
    let foreseen = engine.next_step_bytes();
    assert!(foreseen > 0 && foreseen <= limit);
    let Step::Prepared(preparation) = engine.step() else { panic!("the set-up comes first") };
    assert!(preparation.description.contains("restart shortened"), "{}", preparation.description);
    assert!(engine.memory_bytes() - before <= limit);
    assert_eq!(engine.next_step_bytes(), 0);
}

#[test]
fn a_set_up_that_nobody_wants_any_more_is_left_off() {
    let system = gallery::poisson_2d(100, 1).unwrap();
    let mut engine =
        Engine::new(system.clone(), Analysis::of(&system), None, multigrid(Cg)).unwrap();
    engine.heed(Arc::new(AtomicBool::new(true)));
    let Step::Prepared(preparation) = engine.step() else { panic!("it reports a set-up") };
    assert!(preparation.description.contains("left off"), "{}", preparation.description);
    assert!(engine.outcome().is_none());
    engine.heed(Arc::default());
    let Step::Prepared(preparation) = engine.step() else { panic!("it begins anew") };
    assert!(preparation.description.contains("levels"), "{}", preparation.description);
}

#[test]
fn what_it_is_not_for_ends_by_type_and_hybrid_goes_on() {
    // A shifted grid has negative eigenvalues; a chain with positive entries no slow constants.
    let shifted = shifted_grid(30, 0.04);
    let positive = system_of(&tridiagonal(400, 2.5, 1.0), noise(400));
    for (system, in_cg, elsewhere) in [
        (&shifted, "indefinite", "unsuited_preconditioner"),
        (&positive, "unsuited_preconditioner", "unsuited_preconditioner"),
    ] {
        assert_eq!(code(&judged(system, multigrid(Cg)).unwrap()), in_cg);
        for method in [Bicgstab, Gmres] {
            assert_eq!(code(&judged(system, multigrid(method)).unwrap()), elsewhere, "{method}");
        }
        let solved = judged(system, multigrid(Hybrid)).unwrap();
        assert_eq!(code(&solved), "converged");
        assert!(solved.steps.iter().any(|step| matches!(step, Step::Switched(_))));
    }
    let mut holed = tridiagonal(400, 2.5, -1.0);
    holed[77][77] = 0.0;
    let holed = system_of(&holed, noise(400));
    for method in [Bicgstab, Gmres] {
        let refusal = judged(&holed, multigrid(method)).unwrap_err();
        assert!(matches!(refusal, Refusal::ZeroDiagonal { row: 77, .. }), "{refusal}");
    }
    assert_eq!(code(&judged(&holed, multigrid(Hybrid)).unwrap()), "converged");
}

fn tridiagonal(n: usize, diagonal: f64, beside: f64) -> Dense {
    let entry = |i: usize, j: usize| match i.abs_diff(j) {
        0 => diagonal,
        1 => beside,
        _ => 0.0,
    };
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

/// The five-point matrix less `shift` on its diagonal.
fn shifted_grid(side: usize, shift: f64) -> LinearSystem {
    let n = side * side;
    let are_neighbours =
        |i: usize, j: usize| i.abs_diff(j) == side || (i / side == j / side && i.abs_diff(j) == 1);
    let entry = |i: usize, j: usize| match () {
        () if i == j => 4.0 - shift,
        () if are_neighbours(i, j) => -1.0,
        () => 0.0,
    };
    let dense: Dense = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
    system_of(&dense, noise(n))
}

#[test]
fn hybrid_takes_it_for_a_cube_and_says_why() {
    let system = gallery::poisson_3d(20, 1).unwrap();
    let engine = Engine::new(system.clone(), Analysis::of(&system), None, SolveOptions::default());
    let engine = engine.unwrap();
    let selection = engine.selection();
    assert_eq!((selection.method, selection.preconditioner), (Cg, PreconditionerName::Amg));
    assert!(selection.reasons[0].contains("multigrid"), "{:?}", selection.reasons);
    let solved = judged(&system, SolveOptions::default()).unwrap();
    assert_eq!(code(&solved), "converged");
    assert!(solved.iterations <= 14);
}

#[test]
fn hybrid_goes_on_where_coarsening_fills_in() {
    // An expander, hardly grounded: weakly dominant, wide, and nearly full when coarsened.
    let n = 20_000_usize;
    let (mut rows, mut cols, mut values) = (vec![], vec![], vec![]);
    let mut push = |row: usize, col: usize, value: f64| {
        rows.push(row as u32);
        cols.push(col as u32);
        values.push(value);
    };
    let mut state = 1_u64;
    for node in 0..n {
        push(node, node, 1e-3);
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let other = (state >> 33) as usize % n;
            if other == node {
                continue;
            }
            for (near, far) in [(node, other), (other, node)] {
                push(near, near, 1.0);
                push(near, far, -1.0);
            }
        }
    }
    let arrays = weir::solver::system::MatrixArrays::Coordinates {
        row_indices: rows,
        col_indices: cols,
        values,
    };
    let system = LinearSystem::assemble(n, n, arrays, noise(n)).unwrap();
    let solved = judged(&system, SolveOptions::default()).unwrap();
    assert_eq!(code(&solved), "converged");
    let switch = solved.steps.iter().find_map(|step| match step {
        Step::Switched(switch) => Some(switch.reason.clone()),
        _ => None,
    });
    assert!(switch.unwrap().contains("coarsening fills in"));
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_solve() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let cube = gallery::poisson_3d(30, 3).unwrap();
            let wind = gallery::convection_diffusion(150, 30.0, 3).unwrap();
            [(&cube, Cg), (&wind, Bicgstab), (&wind, Gmres)].map(|(system, method)| {
                let x = judged(system, multigrid(method)).unwrap().x;
                x.into_iter().map(f64::to_bits).collect::<Vec<_>>()
            })
        })
    };
    let alone = run(1);
    assert!(alone == run(2) && alone == run(5));
}

/// What is drawn: a graph, what its edges weigh, and what becomes of its diagonal.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Weights over three decades, leaks here and there.
    MMatrix,
    /// Conductivities of 1 and up to 10⁷ times as much, by block.
    Jumps,
    /// Other weights there than back: a wind.
    Wind,
    /// No leak: singular, with constants as its kernel.
    Neumann,
    /// A shift makes it indefinite.
    Indefinite,
    /// Everything hangs on a few nodes as well.
    Hubs,
}

fn largest(dense: &Dense) -> f64 {
    dense.iter().flatten().fold(0.0, |largest, entry| entry.abs().max(largest))
}

/// The matrix and whether its solution is one that f64 can find.
fn drawn() -> impl Strategy<Value = (Kind, Dense)> {
    use Kind::{Hubs, Indefinite, Jumps, MMatrix, Neumann, Wind};
    let kind = proptest::sample::select(vec![MMatrix, Jumps, Wind, Neumann, Indefinite, Hubs]);
    (kind, 2..22_usize, proptest::collection::vec(-1.5..1.5f64, 64), 0..8_u32).prop_map(
        |(kind, side, draws, decades)| {
            let n = side * side;
            let mut dense = vec![vec![0.0; n]; n];
            let mut at = 0;
            let mut draw = || {
                at += 1;
                draws[at % draws.len()]
            };
            let join = |dense: &mut Dense, one: usize, other: usize, there: f64, back: f64| {
                dense[one][other] -= there;
                dense[one][one] += there;
                dense[other][one] -= back;
                dense[other][other] += back;
            };
            let block = |node: usize| (node % side / 4 + node / side / 4) % 2;
            for node in 0..n {
                let right = (node % side + 1 < side).then_some(node + 1);
                let down = (node + side < n).then_some(node + side);
                for other in right.into_iter().chain(down) {
                    let (there, back) = match kind {
                        MMatrix | Neumann | Indefinite | Hubs => {
                            let weight = 10_f64.powf(draw());
                            (weight, weight)
                        }
                        Jumps => {
                            let jump = 10_f64.powi(decades as i32);
                            let weight =
                                if block(node) == 1 && block(other) == 1 { jump } else { 1.0 };
                            (weight, weight)
                        }
                        Wind => (10_f64.powf(draw()), 10_f64.powf(draw())),
                    };
                    join(&mut dense, node, other, there, back);
                }
                if let Hubs = kind {
                    join(&mut dense, node, node % 3, 0.1, 0.1);
                }
            }
            for node in (0..n).step_by(7) {
                dense[node][node] += match kind {
                    MMatrix | Jumps | Wind | Hubs => 1.0,
                    Neumann => 0.0,
                    Indefinite => -1.0,
                };
            }
            (kind, dense)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_drawn_is_solved_or_reported_by_type((kind, dense) in drawn()) {
        let n = dense.len();
        let system = system_of(&dense, noise(n));
        for method in [Cg, Bicgstab, Gmres, Hybrid] {
            let options = SolveOptions { tolerance: 1e-9, iterations_max: 400, ..multigrid(method) };
            let solved = match judged(&system, options) {
                Ok(solved) => solved,
                Err(refusal) => {
                    let not_symmetric = matches!(refusal, Refusal::NotSymmetric { .. });
                    let not_positive = matches!(
                        refusal,
                        Refusal::NotPositiveDefinite { .. } | Refusal::ZeroDiagonal { .. }
                    );
                    let expected = (matches!(kind, Kind::Wind) && not_symmetric && method == Cg)
                        || (matches!(kind, Kind::Indefinite) && not_positive);
                    prop_assert!(expected, "{kind:?}, {method}: {refusal}");
                    continue;
                }
            };
            match (kind, code(&solved)) {
                // What f64 leaves of a residual beside entries of 10⁷ may exceed the tolerance.
                (Kind::Jumps, "precision_limit") => continue,
                // A hierarchy in f32 does not see what is a millionth: a method may not get there,
                // and says so; `hybrid` takes another.
                (Kind::Jumps, found) if found != "converged" && largest(&dense) >= 1e6 => {
                    prop_assert!(method != Hybrid, "{}", found);
                    continue;
                }
                // Where coarsening would fill in, a method that was asked for says so.
                (_, "unsuited_preconditioner") if method != Hybrid => continue,
                (Kind::MMatrix | Kind::Jumps | Kind::Wind | Kind::Hubs, found) => {
                    prop_assert_eq!(found, "converged", "{:?}, {}", kind, method);
                }
                // The residual was measured by `judged` where convergence is claimed; a singular system
                // has none or many solutions.
                (Kind::Neumann | Kind::Indefinite, _) => continue,
            }
            let expected = dense_solution(&dense, system.rhs()).unwrap();
            let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
            for (found, expected) in solved.x.iter().zip(&expected) {
                prop_assert!(
                    (found - expected).abs() <= 1e-4 * scale,
                    "{kind:?}, {method}: {found} is not {expected}"
                );
            }
        }
    }
}
