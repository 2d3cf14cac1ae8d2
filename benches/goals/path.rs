//! G1 and G2: the path engine on e, beside CHOLMOD and KLU; and what a session makes of it.

use std::path::Path;
use std::time::Duration;

use weir::runtime::clock::Clock;
use weir::solver::live::{Change, CostDelta};
use weir::solver::path::{PathEngine, PathLimits, PathPlan};

use crate::harness::places::{BATCH, places, typical};
use crate::harness::session::{Contender, Tally, solved};
use crate::harness::systems::{system, write_raw};
use crate::harness::with_threads;
use crate::peers::Peers;
use crate::table::{Row, Wanted, duration};

const OPERATIONS: usize = 4_000 * BATCH;

pub fn measure(goal: &'static str, folder: &Path, peers: &Peers) -> Vec<Row> {
    let path = folder.join("e.csr");
    if let Err(error) = write_raw(&path, &system("e")) {
        let why = format!("files for peers cannot be written: {error}");
        return vec![Row::not_measured(goal, "e", Wanted::TimesPeer(2.0), why)];
    }
    let peer =
        |name: &str, operation: &str| vec![(name.to_owned(), peers.factors(&path, operation))];
    match goal {
        "G1" => {
            let solve2 = peer("CHOLMOD solve2", "solve2");
            let updown = peer("CHOLMOD updown_solve", "updown_solve");
            let work = "e: change of b and one entry read";
            let own_path = "the peer works out x on the changed entry's own path alone";
            let session = "e: the same as a session does it";
            let branch = "the peer changes a branch";
            vec![
                row(goal, work, with_threads(1, rhs_and_read), &solve2, (2.0, own_path)),
                row(goal, session, with_threads(1, in_session), &solve2, (2.0, own_path)),
                row(goal, ENTRY, with_threads(1, entry), &updown, (2.0, branch)),
            ]
        }
        _ => {
            let solve = peer("KLU solve", "klu_solve");
            let again = peer("KLU refactor and solve", "klu_refactor");
            vec![
                row(goal, "e: change of b", with_threads(1, rhs), &solve, (80.0, "")),
                row(goal, ENTRY, with_threads(1, entry), &again, (150.0, "")),
            ]
        }
    }
}

const ENTRY: &str = "e: change of an entry of A";

type PeerTimes = Vec<(String, Result<Duration, String>)>;

fn row(
    goal: &'static str,
    work: &str,
    (typical, slow): (Duration, Duration),
    peers: &PeerTimes,
    (times, remark): (f64, &str),
) -> Row {
    let remark = if remark.is_empty() { String::new() } else { format!("; {remark}") };
    Row::race(goal, work, (typical, format!("p99 {}{remark}", duration(slow))), peers, times)
}

fn engine() -> PathEngine {
    let system = system("e");
    let limits = PathLimits { memory_bytes_max: 4 << 30, flops_max: 1e12 };
    let plan = PathPlan::of(system.rows(), limits).expect("a plan");
    PathEngine::factor(plan, system.rows(), system.rhs()).expect("regular")
}

fn rhs() -> (Duration, Duration) {
    let mut engine = engine();
    typical(&Clock::system(), &places(&system("e"), OPERATIONS), |(row, _, _, _)| {
        engine.change_rhs(row, 1e-6).expect("finite");
    })
}

fn rhs_and_read() -> (Duration, Duration) {
    let mut engine = engine();
    let order = engine.order();
    typical(&Clock::system(), &places(&system("e"), OPERATIONS), |(row, _, _, other)| {
        engine.change_rhs(row, 1e-6).expect("finite");
        std::hint::black_box(engine.read(other as usize % order).expect("finite"));
    })
}

fn entry() -> (Duration, Duration) {
    let mut engine = engine();
    let mut turn = 0.0;
    typical(&Clock::system(), &places(&system("e"), OPERATIONS), |(row, col, value, _)| {
        // There and back, so that the matrix stays where it is.
        turn = if turn == 1e-3 { -1e-3 } else { 1e-3 };
        std::hint::black_box(engine.change_entry(row, col, turn * value)).expect("regular");
    })
}

/// A change, the work of whom the governor chooses, and a read.
fn in_session() -> (Duration, Duration) {
    let mut live = solved(system("e"));
    let mut governor = Contender::governor();
    governor.prepare(&mut live);
    let order = live.order();
    typical(&Clock::system(), &places(&system("e"), OPERATIONS / 8), |(row, _, _, other)| {
        let mut delta = CostDelta::default();
        delta.edit_rhs(row, Change::Add(1e-3 * live.live().rhs()[row].max(1e-3)), None);
        live.apply(&delta).expect("a change of what is held");
        governor.settle(&mut live, &mut Tally::default(), Duration::MAX);
        std::hint::black_box(live.read(other as usize % order));
    })
}
