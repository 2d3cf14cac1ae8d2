//! G3, G4, G5, G7, G8, G9: systems kept solved under changes of `b`, as a session does it, beside peers
//! that start from the `x` they have. The same changes for all, to `‖b − A x‖₂ ≤ 1e-8 ‖b‖₂` after each
//! round, one thread, processor time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cpu_time::ProcessTime;
use weir::solver::live::{Change, CostDelta, EngineName};

use crate::harness::changes::Rounds;
use crate::harness::session::{Contender, Tally, solved};
use crate::harness::systems::{system, write_raw};
use crate::harness::{median, with_threads};
use crate::peers::{Kept, Peer, Peers, name};
use crate::table::{Row, Wanted, duration};

/// A goal: changes at a time, and how many times as fast as the best peer.
pub struct KeptGoal {
    pub goal: &'static str,
    pub letter: &'static str,
    pub wanted: &'static [(usize, f64)],
    /// Wanted of two threads, for the largest batch.
    pub two_threads: Option<f64>,
    pub peers: &'static [Peer],
}

pub const GOALS: [KeptGoal; 6] = [
    KeptGoal {
        goal: "G3",
        letter: "a",
        wanted: &[(1, 40.0), (100, 3.0), (10_000, 2.0)],
        two_threads: None,
        peers: &[
            ("eigen", "bicgstab jacobi", ""),
            ("petsc", "bcgs", "jacobi"),
            ("petsc", "bcgs", "ilu"),
            ("petsc", "gmres", "ilu"),
            ("scipy", "bicgstab", "jacobi"),
        ],
    },
    KeptGoal {
        goal: "G4",
        letter: "b",
        wanted: &[(1, 800.0), (100, 20.0), (10_000, 2.0)],
        two_threads: Some(3.0),
        peers: &[
            ("petsc", "bcgs", "ilu"),
            ("petsc", "bcgs", "jacobi"),
            ("eigen", "bicgstab jacobi", ""),
        ],
    },
    KeptGoal {
        goal: "G5",
        letter: "c",
        wanted: &[(1, 80.0), (10_000, 2.5)],
        two_threads: None,
        peers: &[("petsc", "cg", "hypre"), ("petsc", "cg", "gamg"), ("pyamg", "cg", "rs")],
    },
    KeptGoal {
        goal: "G7",
        letter: "d",
        wanted: &[(1, 6.0), (10_000, 2.2)],
        two_threads: None,
        peers: &[("petsc", "cg", "gamg"), ("petsc", "cg", "hypre")],
    },
    KeptGoal {
        goal: "G8",
        letter: "g",
        wanted: &[(1, 150.0), (10_000, 2.5)],
        two_threads: None,
        peers: &[("pardiso", "lu", ""), ("petsc", "bcgs", "hypre")],
    },
    KeptGoal {
        goal: "G9",
        letter: "f",
        wanted: &[(1, 2.0), (100, 1.0), (10_000, 1.0)],
        two_threads: None,
        peers: &[("petsc", "bcgs", "jacobi"), ("scipy", "bicgstab", "jacobi")],
    },
];

/// Rounds that are drawn for a batch size; fewer are played where the time is up.
fn rounds_of(letter: &str, batch: usize) -> usize {
    match (letter, batch) {
        ("a", 1) => 2_000,
        ("a", 100) => 1_000,
        (_, 1 | 100) => 400,
        _ => 100,
    }
}

/// What rounds took, after the first half, in which the governor learns.
struct Ours {
    mean: Duration,
    note: String,
}

pub fn measure(goal: &KeptGoal, folder: &Path, peers: &Peers, seconds: f64) -> Vec<Row> {
    let KeptGoal { letter, wanted, .. } = goal;
    let found = system(letter);
    let path = folder.join(format!("{letter}.csr"));
    let written = write_raw(&path, &found);
    let rounds: Vec<Rounds> = wanted
        .iter()
        .map(|(batch, _)| Rounds::of(found.rhs(), *batch, rounds_of(letter, *batch)))
        .collect();
    let files: Vec<PathBuf> =
        wanted.iter().map(|(batch, _)| folder.join(format!("{letter}_{batch}.changes"))).collect();
    let written = written
        .and_then(|()| rounds.iter().zip(&files).try_for_each(|(rounds, path)| rounds.write(path)));
    if let Err(error) = written {
        let why = format!("files for peers cannot be written: {error}");
        return vec![Row::not_measured(goal.goal, letter, Wanted::TimesPeer(wanted[0].1), why)];
    }
    drop(found);
    let kept: Vec<(String, Result<Kept, String>)> = goal
        .peers
        .iter()
        .map(|peer| (name(*peer), peers.keep(*peer, &path, seconds, &files)))
        .collect();
    let ours = with_threads(1, || keep(letter, &rounds, seconds));
    let mut rows: Vec<Row> = wanted
        .iter()
        .zip(ours)
        .enumerate()
        .map(|(at, ((batch, times), ours))| race_row(goal, (*batch, *times), ours, &kept, at, 1))
        .collect();
    if let (Some(times), Some((batch, _))) = (goal.two_threads, wanted.last()) {
        let at = wanted.len() - 1;
        let ours = with_threads(2, || keep(letter, &rounds[at..], seconds));
        let ours = ours.into_iter().next().expect("one batch size was asked for");
        rows.push(race_row(goal, (*batch, times), ours, &kept, at, 2));
    }
    rows
}

fn race_row(
    goal: &KeptGoal,
    (batch, times): (usize, f64),
    ours: Option<Ours>,
    kept: &[(String, Result<Kept, String>)],
    at: usize,
    threads: usize,
) -> Row {
    let changes = if batch == 1 { "change" } else { "changes" };
    let threads = if threads == 1 { "" } else { ", two threads against one" };
    let work = format!("{}: {batch} {changes} of b{threads}", goal.letter);
    let Some(ours) = ours else {
        let why = "no engine settles it in time".to_owned();
        return Row::not_measured(goal.goal, &work, Wanted::TimesPeer(times), why);
    };
    let peers: Vec<(String, Result<Duration, String>)> =
        kept.iter()
            .map(|(name, kept)| {
                let mean = kept.as_ref().map_err(Clone::clone).and_then(|kept| {
                    kept.means.get(at).copied().ok_or_else(|| "no answer".to_owned())
                });
                (name.clone(), mean)
            })
            .collect();
    Row::race(goal.goal, work, (ours.mean, ours.note), &peers, times)
}

/// Plays the rounds of each batch size through; none where they are not settled in time. Two threads
/// are timed by the clock on the wall.
fn keep(letter: &str, batches: &[Rounds], seconds: f64) -> Vec<Option<Ours>> {
    let mut live = solved(system(letter));
    let mut governor = Contender::governor();
    let limit = Duration::from_secs_f64(60.0 + 4.0 * seconds);
    let is_alone = rayon::current_num_threads() == 1;
    let wall = weir::runtime::clock::Clock::system();
    governor.prepare(&mut live);
    let mut of_batch = |rounds: &Rounds| {
        let (mut took, mut tally, mut idle) = (vec![], Tally::default(), Duration::ZERO);
        let began = ProcessTime::now();
        let first = live.live().rhs().to_vec();
        for round in &rounds.rounds {
            if took.len() >= 8 && began.elapsed().as_secs_f64() > 2.0 * seconds {
                break;
            }
            let deltas: Vec<CostDelta> = round.iter().map(|(row, new)| set(*row, *new)).collect();
            let (started, on_wall) = (ProcessTime::now(), wall.now());
            deltas.iter().for_each(|delta| {
                live.apply(delta).expect("a change of what is held");
            });
            if !governor.settle(&mut live, &mut tally, limit) {
                return None;
            }
            std::hint::black_box(live.read(round[0].0 as usize));
            let spent = if is_alone { started.elapsed() } else { wall.now().since(on_wall) };
            took.push(spent);
            let started = ProcessTime::now();
            governor.prepare(&mut live);
            idle += started.elapsed();
            if took.len() % 16 == 0 {
                let (found, threshold) = (live.measure(), live.residual_threshold());
                assert!(found <= threshold, "{found:e} > {threshold:e}");
            }
        }
        // Every batch size begins with the same b, as for the peers.
        let back: Vec<CostDelta> = rounds
            .rounds
            .iter()
            .flatten()
            .map(|(row, _)| set(*row, first[*row as usize]))
            .collect();
        back.iter().for_each(|delta| {
            live.apply(delta).expect("a change of what is held");
        });
        governor.settle(&mut live, &mut Tally::default(), limit);
        Some(ours(&took, &tally, idle))
    };
    batches.iter().map(&mut of_batch).collect()
}

fn set(row: u32, value: f64) -> CostDelta {
    let mut delta = CostDelta::default();
    delta.edit_rhs(row as usize, Change::Set(value), None);
    delta
}

fn ours(took: &[Duration], tally: &Tally, idle: Duration) -> Ours {
    let counted = &took[took.len() / 2..];
    let mean = counted.iter().sum::<Duration>() / counted.len() as u32;
    let worked: Vec<String> = EngineName::ALL
        .iter()
        .zip(tally.calls)
        .filter(|(_, calls)| *calls > 0)
        .map(|(engine, calls)| format!("{} {calls}", engine.as_str()))
        .collect();
    let set_ups = tally.set_ups + idle;
    let set_ups = match set_ups.as_millis() {
        0 => String::new(),
        _ => format!(", set-ups {}", duration(set_ups)),
    };
    let note =
        format!("median {}, calls: {}{set_ups}", duration(median(counted)), worked.join(", "));
    Ours { mean, note }
}
