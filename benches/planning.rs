//! The governor against every fixed engine: the same changes worked into the same solved systems, by
//! relaxation alone, the path alone, the warm method alone, and as the governor chooses.
//!
//! ```text
//! cargo bench --bench planning                         systems a e g p, p a PageRank of 65,536 pages
//! cargo bench --bench planning -- c d --seconds 20     some of them
//! cargo bench --bench planning -- a --entries          changes of A in place of b
//! ```
//! Times are processor time over all threads, the mean over the second half of the batches, when the
//! governor has learnt; what it took over all batches, with the set-ups that it made, is the last column.
//! Set-ups of fixed engines are not in their times. Every state is measured afresh after its batch.

mod harness;

use std::time::Duration;

use cpu_time::ProcessTime;
use harness::changes::{Draws, Target, change};
use harness::session::{Contender, Tally, solved};
use harness::{arguments, flag, systems};
use weir::solver::gallery;
use weir::solver::live::{CostDelta, EngineName, LiveEngine};
use weir::solver::system::LinearSystem;

/// In the order in which they are taken.
const SYSTEMS: [&str; 8] = ["a", "e", "g", "p", "f", "c", "d", "b"];

/// Those that are taken when none is asked for.
const USUAL: [&str; 4] = ["a", "e", "g", "p"];

/// Changes at a time.
const BATCHES: [usize; 3] = [1, 100, 10_000];

/// Batches at least.
const TURNS_MIN: usize = 6;

/// `p` is a PageRank of 65,536 pages.
fn system(letter: &str) -> LinearSystem {
    match letter {
        "p" => gallery::page_rank(16, 600_000, 3).expect("the size is in range"),
        letter => systems::system(letter),
    }
}

/// What the batches of a size took.
#[derive(Default)]
struct Run {
    took: Vec<Duration>,
    /// Set-ups between batches, which are not in `took`.
    idle: Duration,
    tally: Tally,
    /// The engine failed, or a batch took longer than the limit.
    gave_up: bool,
}

impl Run {
    fn mean(&self) -> Option<f64> {
        let counted = &self.took[self.took.len() / 2..];
        let sum: Duration = counted.iter().sum();
        (!self.gave_up).then(|| sum.as_secs_f64() / counted.len() as f64)
    }
}

fn run(
    live: &mut LiveEngine,
    contender: &mut Contender,
    (batch, target, limit): (usize, Target, Duration),
) -> Run {
    let mut draws = Draws::seeded(batch as u64);
    let mut run = Run::default();
    let began = ProcessTime::now();
    while run.took.len() < TURNS_MIN || (began.elapsed() < limit && run.took.len() < 2_000) {
        let deltas: Vec<CostDelta> =
            (0..batch).map(|_| change(live.live(), target, &mut draws)).collect();
        let started = ProcessTime::now();
        for delta in &deltas {
            live.apply(delta).expect("a change of what is held");
        }
        let is_settled = contender.settle(live, &mut run.tally, 4 * limit);
        run.took.push(started.elapsed());
        if !is_settled {
            run.gave_up = true;
            return run;
        }
        // As a session does while nothing else is to be done.
        if let Contender::Governed(_) = contender {
            let started = ProcessTime::now();
            contender.prepare(live);
            run.idle += started.elapsed();
        }
        let (found, threshold) = (live.measure(), live.residual_threshold());
        assert!(found <= threshold, "{found:e} > {threshold:e}");
    }
    run
}

fn cell(run: Option<&Run>) -> String {
    match run {
        Some(run) if !run.gave_up => format!("{:.4}", run.mean().unwrap_or(0.0) * 1e3),
        Some(_) | None => "–".to_owned(),
    }
}

fn race(letter: &str, target: Target, limit: Duration) {
    let mut contenders: Vec<Contender> = EngineName::ALL.map(Contender::Fixed).into();
    contenders.push(Contender::governor());
    let mut runs: Vec<Vec<Option<Run>>> = vec![];
    for contender in &mut contenders {
        let mut live = solved(system(letter));
        let mut is_able = contender.prepare(&mut live);
        let of_sizes = BATCHES.map(|batch| {
            let run = is_able.then(|| run(&mut live, contender, (batch, target, limit)));
            is_able &= run.as_ref().is_some_and(|run| !run.gave_up);
            run
        });
        runs.push(of_sizes.into());
    }
    for (at, batch) in BATCHES.iter().enumerate() {
        let row: Vec<Option<&Run>> = runs.iter().map(|of_sizes| of_sizes[at].as_ref()).collect();
        let best = row[..3].iter().flatten().filter_map(|run| run.mean());
        let best = best.fold(f64::INFINITY, f64::min);
        let governed = row[3].expect("the governor always runs");
        let ratio = governed.mean().map_or(f64::NAN, |mean| mean / best);
        println!(
            "| {letter} | {} | {batch} | {} | {} | {} | {} | {ratio:.2} | {:?} | {:.1} of {} batches, {:.1} for set-ups |",
            if target == Target::Rhs { "b" } else { "A" },
            cell(row[0]),
            cell(row[1]),
            cell(row[2]),
            cell(row[3]),
            governed.tally.calls,
            (governed.took.iter().sum::<Duration>() + governed.idle).as_secs_f64() * 1e3,
            governed.took.len(),
            (governed.tally.set_ups + governed.idle).as_secs_f64() * 1e3,
        );
    }
}

fn main() {
    let asked = arguments();
    let seconds = flag(&asked, "--seconds").map_or(3.0, |text| text.parse().expect("seconds"));
    let target = if asked.iter().any(|a| a == "--entries") { Target::Entries } else { Target::Rhs };
    let mut letters: Vec<&str> =
        SYSTEMS.into_iter().filter(|letter| asked.iter().any(|a| a == letter)).collect();
    if letters.is_empty() {
        letters = USUAL.to_vec();
    }
    println!(
        "| system | of | changes | relaxation ms | path ms | iteration ms | governor ms | governor / best | calls |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for letter in letters {
        race(letter, target, Duration::from_secs_f64(seconds));
    }
}
