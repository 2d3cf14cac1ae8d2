//! Algebraic multigrid, cold: set-up and solve to a relative residual of 1e-8, beside our own methods
//! without it, in turns of one run.
//!
//! ```text
//! cargo bench --bench amg               all systems
//! cargo bench --bench amg -- c d        some of them
//! cargo bench --bench amg -- d alone    without the slow alternatives
//! ```
//! `RAYON_NUM_THREADS=1` measures one thread.

mod harness;

use std::time::Duration;

use cpu_time::ProcessTime;
use harness::systems::{system, title};
use harness::{Contender, Timed, milliseconds, print_race, race, timed};
use weir::runtime::clock::Clock;
use weir::solver::amg::{Goal, Hierarchy, Symmetry, bicgstab, conjugate_gradients};
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::outcome::{Outcome, Step};
use weir::solver::system::LinearSystem;

/// The systems, by the letters of the goals.
const SYSTEMS: [(&str, Symmetry); 3] =
    [("c", Symmetry::Symmetric), ("d", Symmetry::Symmetric), ("g", Symmetry::General)];

const GOAL: Goal = Goal { tolerance: 1e-8, iterations_max: 1_000 };

fn build(system: &LinearSystem, symmetry: Symmetry) -> Hierarchy {
    match Hierarchy::build(system.rows(), symmetry, 8 << 30) {
        Ok(hierarchy) => hierarchy,
        Err(refusal) => panic!("{refusal}"),
    }
}

/// Set-up and solve with multigrid.
fn multigrid(clock: &Clock, system: &LinearSystem, symmetry: Symmetry) -> Timed {
    let started = ProcessTime::now();
    let (set_up, mut hierarchy) = timed(clock, || build(system, symmetry));
    let x = vec![0.0; system.order()];
    let (solve, solved) = timed(clock, || match symmetry {
        Symmetry::Symmetric => conjugate_gradients(system, &mut hierarchy, x, GOAL),
        Symmetry::General => bicgstab(system, &mut hierarchy, x, GOAL),
    });
    let processor = started.elapsed();
    let rhs_norm = system.rhs().iter().map(|b| b * b).sum::<f64>().sqrt();
    Timed {
        took: set_up + solve,
        note: format!(
            "set-up {}, solve {}, processor {}, {} iterations, relative residual {:.1e}, {:?}, complexity {:.2} in {} levels, {} MB (peak {})",
            milliseconds(set_up),
            milliseconds(solve),
            milliseconds(processor),
            solved.iterations,
            solved.residual_norm / rhs_norm,
            solved.ended,
            hierarchy.operator_complexity(),
            hierarchy.sizes().len(),
            hierarchy.memory_bytes() >> 20,
            hierarchy.peak_bytes() >> 20,
        ),
    }
}

/// Set-up and solve with a method that the engine has.
fn engine(
    clock: &Clock,
    system: &LinearSystem,
    analysis: &Analysis,
    method: MethodName,
    preconditioner: Option<PreconditionerName>,
) -> Timed {
    let (system, analysis) = (system.clone(), analysis.clone());
    let options =
        SolveOptions { method, preconditioner, iterations_max: 100_000, ..Default::default() };
    let mut took = Duration::ZERO;
    let (opening, engine) = timed(clock, || Engine::new(system, analysis, None, options));
    let mut engine = engine.expect("the method takes the system");
    took += opening;
    let outcome = loop {
        let (step_took, step) = timed(clock, || engine.step());
        took += step_took;
        if let Step::Finished(outcome) = step {
            break outcome;
        }
    };
    let ended = match &outcome {
        Outcome::Converged { .. } => "converged",
        Outcome::Stopped(reason) => reason.code(),
    };
    Timed { took, note: format!("{} iterations, {ended}", engine.iteration()) }
}

/// One cycle of multigrid against one product with `A`.
fn race_cycle(clock: &Clock, title: &str, system: &LinearSystem, symmetry: Symmetry) {
    let mut hierarchy = build(system, symmetry);
    let n = system.order();
    let r: Vec<f64> = system.rhs().to_vec();
    let (mut z, mut y) = (vec![0.0; n], vec![0.0; n]);
    let timed_only = |took| Timed { took, note: String::new() };
    let measured = race(
        15,
        true,
        vec![
            Contender::new("set-up", || timed_only(timed(clock, || build(system, symmetry)).0)),
            Contender::new("cycle", || timed_only(timed(clock, || hierarchy.apply(&r, &mut z)).0)),
            Contender::new("product with A", || {
                timed_only(timed(clock, || system.rows().product(&r, &mut y)).0)
            }),
        ],
    );
    print_race(&format!("{title}: in products with A"), &measured);
}

fn main() {
    let clock = Clock::system();
    let mut wanted = harness::arguments();
    let is_alone = wanted.iter().any(|argument| argument == "alone");
    wanted.retain(|argument| argument != "alone");
    let threads = rayon::current_num_threads();
    for (letter, symmetry) in SYSTEMS {
        let title = title(letter);
        if !wanted.is_empty() && !wanted.iter().any(|argument| argument == letter) {
            continue;
        }
        let system = system(letter);
        race_cycle(&clock, &format!("({letter}) {title}, {threads} threads"), &system, symmetry);
        let analysis = Analysis::of(&system);
        let alternatives: Vec<(MethodName, Option<PreconditionerName>)> = match symmetry {
            _ if is_alone => vec![],
            Symmetry::Symmetric => {
                vec![(MethodName::Direct, None), (MethodName::Cg, Some(PreconditionerName::Ilu))]
            }
            Symmetry::General => vec![
                (MethodName::Direct, None),
                (MethodName::Bicgstab, Some(PreconditionerName::Ilu)),
            ],
        };
        let mut contenders = vec![Contender::new("amg", || multigrid(&clock, &system, symmetry))];
        for (method, preconditioner) in alternatives {
            // A factorisation of a cube of a million cells takes minutes and tens of gigabytes.
            if letter == "d" && method == MethodName::Direct {
                continue;
            }
            let name = match preconditioner {
                Some(preconditioner) => format!("{method} {preconditioner}"),
                None => method.to_string(),
            };
            let (clock, system, analysis) = (&clock, &system, &analysis);
            contenders.push(Contender::new(name, move || {
                engine(clock, system, analysis, method, preconditioner)
            }));
        }
        let turns = if is_alone { 7 } else { 1 };
        let measured = race(turns, false, contenders);
        print_race(
            &format!("({letter}) {title}: set-up and solve to 1e-8, {threads} threads"),
            &measured,
        );
    }
}
