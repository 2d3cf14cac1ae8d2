//! Solves that go astray, and those that do not: what is seen of the residual that is kept, and that every
//! correction leads to the solution.

use weir::solver::analysis::Analysis;
use weir::solver::correction::{Corrected, Correction};
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::live::{Change, CostDelta, LiveEnd, LiveEngine};
use weir::solver::memory_fault::{FaultPlace, MemoryFault};
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::outcome::{Outcome, Step, StopReason};
use weir::solver::system::LinearSystem;

use crate::support::{grid, residual_norm};

/// Beyond this a session is told that it drifts.
const DRIFT: f64 = 0.1;

fn engine(system: &LinearSystem, options: SolveOptions) -> Option<Engine> {
    let analysis = Analysis::of(system);
    Engine::new(system.clone(), analysis, None, options).ok()
}

/// Steps to the end, or to the step before which `until` holds.
fn go_on(engine: &mut Engine, mut until: impl FnMut(&mut Engine) -> bool) -> Option<Outcome> {
    while !until(engine) {
        if let Step::Finished(outcome) = engine.step() {
            return Some(outcome);
        }
    }
    None
}

fn systems() -> Vec<(&'static str, LinearSystem)> {
    vec![
        ("poisson_2d", gallery::poisson_2d(40, 3).unwrap()),
        ("poisson_3d", gallery::poisson_3d(14, 3).unwrap()),
        ("wind", gallery::convection_diffusion(40, 1e4, 3).unwrap()),
        ("dominant", gallery::diagonally_dominant(2_000, 10_000, 3).unwrap()),
        ("page_rank", gallery::page_rank(10, 10_000, 3).unwrap()),
        ("resistors", gallery::resistor_grid(40, 3).unwrap()),
        ("ieee118", grid("ieee118")),
        ("case300", grid("case300")),
        ("case1354pegase", grid("case1354pegase")),
        ("case2869pegase", grid("case2869pegase")),
    ]
}

/// Ill-conditioned, asymmetric and indefinite ones among them, down to where rounding is all that is left
/// of the residual.
#[test]
fn a_solve_that_works_as_it_should_is_never_called_adrift() {
    let mut solves = 0;
    for (name, system) in systems() {
        for method in MethodName::ALL {
            for preconditioner in [None, Some(PreconditionerName::None)] {
                let tolerance = 1e-13;
                let iterations_max = 3_000;
                let options = SolveOptions {
                    method,
                    preconditioner,
                    tolerance,
                    iterations_max,
                    ..SolveOptions::default()
                };
                let Some(mut engine) = engine(&system, options) else { continue };
                solves += 1;
                go_on(&mut engine, |engine| {
                    let gap = engine.take_gap();
                    assert!(gap <= DRIFT, "{name} by {method}, {preconditioner:?}: {gap}");
                    false
                });
            }
        }
    }
    assert!(solves > 80, "{solves} solves");
}

fn cg(tolerance: f64) -> SolveOptions {
    let preconditioner = Some(PreconditionerName::None);
    SolveOptions { method: MethodName::Cg, preconditioner, tolerance, ..SolveOptions::default() }
}

fn strike(place: FaultPlace, row: usize, by: f64) -> MemoryFault {
    MemoryFault { place, row, by }
}

#[test]
fn an_x_that_was_altered_is_a_gap_and_a_restart_closes_it() {
    let system = gallery::poisson_2d(60, 1).unwrap();
    for by in [1.0, 1e3, 1e6] {
        let mut engine = engine(&system, cg(1e-10)).unwrap();
        go_on(&mut engine, |engine| engine.iteration() == 70);
        engine.suffer(strike(FaultPlace::Solution, 1_800, by));
        let mut gap = 0.0;
        go_on(&mut engine, |engine| {
            gap = engine.take_gap();
            gap > 0.0
        });
        assert!(gap > DRIFT, "{by}: {gap}");
        let at = engine.iteration();
        let Corrected { believed_norm, residual_norm: norm, .. } =
            engine.correct(Correction::Restart).unwrap();
        assert!(believed_norm >= norm, "{believed_norm:e} {norm:e}");
        let Some(Outcome::Converged { .. }) = go_on(&mut engine, |_| false) else { panic!("{by}") };
        assert!(engine.iteration() - at < 250, "{} iterations more", engine.iteration() - at);
        assert!(residual_norm(&system, engine.solution()) <= 1e-10 * engine.rhs_norm());
    }
}

#[test]
fn an_x_that_is_no_number_any_more_is_left_behind() {
    let system = gallery::poisson_2d(30, 1).unwrap();
    for correction in [Correction::Measure, Correction::Restart] {
        let mut engine = engine(&system, cg(1e-10)).unwrap();
        go_on(&mut engine, |engine| engine.iteration() == 20);
        engine.suffer(strike(FaultPlace::Solution, 400, f64::NAN));
        engine.correct(correction).unwrap();
        let ended = go_on(&mut engine, |_| false);
        assert!(matches!(ended, Some(Outcome::Converged { .. })), "{ended:?}");
        assert!(residual_norm(&system, engine.solution()) <= 1e-10 * engine.rhs_norm());
    }
}

#[test]
fn every_correction_of_an_overrelaxed_solve_that_changes_it_leads_to_the_solution() {
    let system = gallery::poisson_2d(20, 1).unwrap();
    let expected = [
        (Correction::Damp, MethodName::Jacobi, PreconditionerName::None, Some(0.8 * 1.1)),
        (Correction::Precondition, MethodName::Cg, PreconditionerName::Ilu, None),
        (Correction::OtherMethod, MethodName::Direct, PreconditionerName::None, None),
    ];
    for (correction, method, preconditioner, damping) in expected {
        let options =
            SolveOptions { method: MethodName::Jacobi, damping: 1.1, ..SolveOptions::default() };
        let mut engine = engine(&system, options).unwrap();
        go_on(&mut engine, |engine| engine.iteration() == 100);
        assert!(engine.is_judged_by_trend());
        let corrected = engine.correct(correction).unwrap();
        assert_eq!(
            (corrected.method, corrected.preconditioner, corrected.damping),
            (method, preconditioner, damping)
        );
        assert_eq!(engine.selection().method, method);
        let ended = go_on(&mut engine, |_| false);
        assert!(matches!(ended, Some(Outcome::Converged { .. })), "{correction:?}: {ended:?}");
        assert!(residual_norm(&system, engine.solution()) <= 1e-8 * engine.rhs_norm());
    }
}

#[test]
fn a_method_that_is_certain_to_converge_is_not_judged_by_its_trend() {
    let system = gallery::poisson_2d(20, 1).unwrap();
    for (method, damping, judged) in [
        (MethodName::Jacobi, 1.0, false),
        (MethodName::Jacobi, 1.1, true),
        (MethodName::GaussSeidel, 1.9, false),
        (MethodName::Cg, 1.0, false),
    ] {
        let options = SolveOptions { method, damping, ..SolveOptions::default() };
        let engine = engine(&system, options).unwrap();
        assert_eq!(engine.is_judged_by_trend(), judged, "{method} {damping}");
    }
}

#[test]
fn a_method_that_was_asked_for_gives_way_only_where_it_may() {
    let system = gallery::cycle(150).unwrap();
    let options = SolveOptions {
        method: MethodName::Gmres,
        preconditioner: Some(PreconditionerName::None),
        ..SolveOptions::default()
    };
    let mut alone = engine(&system, options.clone()).unwrap();
    let ended = go_on(&mut alone, |_| false);
    assert!(matches!(ended, Some(Outcome::Stopped(StopReason::Stagnated { .. }))), "{ended:?}");
    let mut mended = engine(&system, SolveOptions { auto_correction: true, ..options }).unwrap();
    let mut cause = None;
    let ended = loop {
        match mended.step() {
            Step::Switched(switch) => cause = switch.cause,
            Step::Finished(outcome) => break outcome,
            Step::Prepared(_) | Step::Iterated(_) => {}
        }
    };
    assert!(matches!(cause, Some(StopReason::Stagnated { .. })), "{cause:?}");
    assert!(matches!(ended, Outcome::Converged { .. }), "{ended:?}");
    assert_eq!(residual_norm(&system, mended.solution()), 0.0);
}

#[test]
fn a_system_that_was_altered_is_not_corrected_but_called_so() {
    let system = gallery::poisson_2d(30, 1).unwrap();
    for (place, row) in [(FaultPlace::Matrix, 7), (FaultPlace::Cost, 8)] {
        let mut engine = engine(&system, cg(1e-8)).unwrap();
        go_on(&mut engine, |engine| engine.iteration() == 10);
        assert_eq!(engine.corruption(), None);
        engine.suffer(strike(place, row, 1e-15));
        let expected = StopReason::Corrupted { rows: 1, first_row: row };
        assert_eq!(engine.correct(Correction::Restart), Err(expected));
    }
}

fn live(system: &LinearSystem) -> LiveEngine {
    let mut engine = engine(system, SolveOptions::default()).unwrap();
    go_on(&mut engine, |_| false);
    LiveEngine::of(engine).unwrap()
}

/// By whoever offers to work, until settled.
fn settle(live: &mut LiveEngine) {
    for _ in 0..10_000 {
        if live.is_settled() {
            return;
        }
        let offers = live.offers();
        let least = offers.iter().min_by_key(|offer| (offer.predicted + offer.set_up).nonzeros);
        let engine = least.expect("somebody can work").engine;
        let done = live.work(engine, 1 << 20);
        assert!(!matches!(done.end, LiveEnd::Failed(_)), "{:?}", done.end);
    }
    panic!("not settled");
}

fn change(live: &mut LiveEngine, row: usize, by: f64) {
    let mut delta = CostDelta::default();
    delta.edit_rhs(row, Change::Add(by), None);
    live.apply(&delta).unwrap();
}

#[test]
fn a_live_system_under_change_is_never_called_adrift() {
    let systems = [
        gallery::diagonally_dominant(1_000, 5_000, 3).unwrap(),
        gallery::poisson_2d(30, 3).unwrap(),
        gallery::convection_diffusion(30, 100.0, 3).unwrap(),
        grid("case300"),
    ];
    for system in systems {
        let mut live = live(&system);
        let n = live.order();
        for round in 0..300_usize {
            let size = 10f64.powi((round % 13) as i32 - 6);
            change(&mut live, (7_919 * round) % n, size);
            if round % 3 > 0 {
                settle(&mut live);
            }
            live.measure();
            assert_eq!(live.take_gap(), 0.0, "round {round}");
        }
    }
}

#[test]
fn a_live_state_that_was_altered_is_brought_back_whatever_is_done() {
    let system = gallery::poisson_2d(30, 3).unwrap();
    let all = [
        Correction::Measure,
        Correction::Damp,
        Correction::Precondition,
        Correction::Restart,
        Correction::OtherMethod,
        Correction::Repair,
    ];
    for correction in all {
        let mut live = live(&system);
        change(&mut live, 5, 0.25);
        settle(&mut live);
        live.suffer(strike(FaultPlace::Solution, 400, 1.0));
        live.suffer(strike(FaultPlace::Matrix, 77, 0.5));
        assert!(live.is_settled(), "nobody has looked");
        let corrected = live.correct(correction).unwrap();
        assert_eq!(corrected.repaired_rows, 1);
        assert!(corrected.residual_norm > 1.0 && !live.is_settled());
        settle(&mut live);
        let changed = live.live().to_system();
        assert_eq!(changed.matrix(), system.matrix(), "to the bit");
        let norm = residual_norm(&changed, &live.copy_x());
        assert!(norm <= 1e-8 * live.rhs_norm(), "{correction:?}: {norm:e}");
        // And it goes on.
        change(&mut live, 9, 1.0);
        settle(&mut live);
        live.measure();
        assert_eq!(live.take_gap(), 0.0);
    }
}

#[test]
fn what_pushes_have_gone_by_shows_when_it_is_measured() {
    let system = gallery::diagonally_dominant(20_000, 100_000, 3).unwrap();
    let mut live = live(&system);
    settle(&mut live);
    live.measure();
    live.suffer(strike(FaultPlace::Solution, 400, 1e-3));
    change(&mut live, 9, 1e-6);
    live.measure();
    assert!(live.take_gap() > DRIFT);
    assert_eq!(live.take_gap(), 0.0, "it was told");
}
