//! G6: c and d from nothing with multigrid, set-up and solve to 1e-8, beside the peers' multigrid.

use std::path::Path;
use std::time::Duration;

use cpu_time::ProcessTime;
use weir::runtime::clock::Clock;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::outcome::{Outcome, Step};
use weir::solver::system::LinearSystem;

use crate::harness::systems::{system, write_raw};
use crate::harness::{median, with_threads};
use crate::peers::{Peer, Peers, name};
use crate::table::{Row, Wanted};

const PEERS: [Peer; 3] = [("petsc", "cg", "hypre"), ("pyamg", "cg", "rs"), ("pyamg", "cg", "sa")];

const TURNS: usize = 5;

pub fn measure(goal: &'static str, folder: &Path, peers: &Peers) -> Vec<Row> {
    let mut rows = vec![];
    for (letter, one, two) in [("c", 2.0, 3.0), ("d", 4.0, 6.0)] {
        let found = system(letter);
        let path = folder.join(format!("{letter}.csr"));
        if let Err(error) = write_raw(&path, &found) {
            let why = format!("files for peers cannot be written: {error}");
            rows.push(Row::not_measured(goal, letter, Wanted::TimesPeer(one), why));
            continue;
        }
        let peers: Vec<_> = PEERS
            .iter()
            .map(|peer| {
                let cold = peers.keep(*peer, &path, 0.0, &[]).map(|kept| kept.cold);
                (name(*peer), cold)
            })
            .collect();
        let analysis = Analysis::of(&found);
        for (threads, times) in [(1, one), (2, two)] {
            let turns: Vec<(Duration, u64)> =
                (0..TURNS).map(|_| with_threads(threads, || cold(&found, &analysis))).collect();
            let took: Vec<Duration> = turns.iter().map(|(took, _)| *took).collect();
            let against = if threads == 1 { "" } else { ", two threads against one" };
            let work = format!("{letter}: cg with amg, set-up and solve{against}");
            let note = format!("{} iterations", turns[0].1);
            rows.push(Row::race(goal, work, (median(&took), note), &peers, times));
        }
    }
    rows
}

/// Set-up and iterations: processor time of one thread, wall time of two.
fn cold(system: &LinearSystem, analysis: &Analysis) -> (Duration, u64) {
    let options = SolveOptions {
        method: MethodName::Cg,
        preconditioner: Some(PreconditionerName::Amg),
        ..SolveOptions::default()
    };
    let (system, analysis) = (system.clone(), analysis.clone());
    let clock = Clock::system();
    let (started, on_wall) = (ProcessTime::now(), clock.now());
    let mut engine = Engine::new(system, analysis, None, options).expect("cg takes Poisson");
    let outcome = loop {
        if let Step::Finished(outcome) = engine.step() {
            break outcome;
        }
    };
    let took = match rayon::current_num_threads() {
        1 => started.elapsed(),
        _ => clock.now().since(on_wall),
    };
    assert!(matches!(outcome, Outcome::Converged { .. }), "{outcome:?}");
    (took, engine.iteration())
}
