//! The governor against every fixed engine: the same changes worked into the same solved systems, by
//! relaxation alone, the path alone, the warm method alone, and as the governor chooses, in turns.
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

/// Batches at least and at most.
const TURNS_MIN: usize = 6;
const TURNS_MAX: usize = 2_000;

/// Batches in a row, where they are so short (in seconds) that what a turn finds in the caches counts.
const BLOCK: usize = 16;
const SHORT: f64 = 5e-3;

/// A fixed engine that takes so many times what the best does is out, as soon as it has had this part of its
/// time.
const BEHIND: f64 = 4.0;
const KNOWN_PART: u32 = 10;

/// `p` is a PageRank of 65,536 pages.
fn system(letter: &str) -> LinearSystem {
    match letter {
        "p" => gallery::page_rank(16, 600_000, 3).expect("the size is in range"),
        letter => systems::system(letter),
    }
}

/// A contender with its own copy of the system.
struct Racer {
    live: LiveEngine,
    contender: Contender,
    /// Failed, or took too long for a batch.
    gave_up: bool,
}

/// What the batches of a size took one racer.
#[derive(Default)]
struct Run {
    took: Vec<Duration>,
    /// Set-ups between batches, which are not in `took`.
    idle: Duration,
    tally: Tally,
}

impl Run {
    fn mean(&self) -> f64 {
        let counted = &self.took[self.took.len() / 2..];
        counted.iter().sum::<Duration>().as_secs_f64() / counted.len() as f64
    }
}

impl Racer {
    fn of(letter: &str, mut contender: Contender) -> Self {
        let mut live = solved(system(letter));
        let gave_up = !contender.prepare(&mut live);
        Self { live, contender, gave_up }
    }

    fn is_governed(&self) -> bool {
        matches!(self.contender, Contender::Governed(_))
    }

    /// One batch, drawn from `seed`: the same for every racer.
    fn take(
        &mut self,
        run: &mut Run,
        (batch, target, seed): (usize, Target, u64),
        limit: Duration,
    ) {
        let mut draws = Draws::seeded(seed);
        let live = &mut self.live;
        let deltas: Vec<CostDelta> =
            (0..batch).map(|_| change(live.live(), target, &mut draws)).collect();
        let started = ProcessTime::now();
        for delta in &deltas {
            live.apply(delta).expect("a change of what is held");
        }
        self.gave_up = !self.contender.settle(live, &mut run.tally, limit);
        run.took.push(started.elapsed());
        if self.gave_up {
            return;
        }
        // As a session does while nothing else is to be done.
        if let Contender::Governed(_) = self.contender {
            let started = ProcessTime::now();
            self.contender.prepare(live);
            run.idle += started.elapsed();
        }
        let (found, threshold) = (live.measure(), live.residual_threshold());
        assert!(found <= threshold, "{found:e} > {threshold:e}");
    }
}

/// All racers in turns, batch by batch, until each has had `limit` on average. Who is hopelessly behind
/// takes no more turns.
fn run(
    racers: &mut [Racer],
    (batch, target): (usize, Target),
    limit: Duration,
) -> Vec<Option<Run>> {
    let mut runs: Vec<Option<Run>> =
        racers.iter().map(|racer| (!racer.gave_up).then(Run::default)).collect();
    let began = ProcessTime::now();
    let limit_of_all = limit * runs.iter().flatten().count() as u32;
    let mut turn = 0;
    while turn < TURNS_MIN || turn < TURNS_MAX && began.elapsed() <= limit_of_all {
        let best = best_of(racers, &runs);
        let block = if best < SHORT { BLOCK } else { 1 };
        for (racer, run) in racers.iter_mut().zip(&mut runs) {
            let Some(run) = run else { continue };
            let is_known = run.took.iter().sum::<Duration>() > limit / KNOWN_PART;
            let is_behind = is_known && run.mean() > BEHIND * best;
            if racer.gave_up || is_behind && !racer.is_governed() {
                continue;
            }
            for seed in (0..block).map(|at| (batch * TURNS_MAX + turn + at) as u64) {
                if !racer.gave_up {
                    racer.take(run, (batch, target, seed), 4 * limit);
                }
            }
        }
        turn += block;
    }
    for (racer, run) in racers.iter().zip(&mut runs) {
        run.take_if(|_| racer.gave_up);
    }
    runs
}

/// Seconds for a batch by the best racer that can; infinite before the first turn.
fn best_of(racers: &[Racer], runs: &[Option<Run>]) -> f64 {
    let able = racers.iter().zip(runs).filter(|(racer, _)| !racer.gave_up);
    let runs = able.filter_map(|(_, run)| run.as_ref()).filter(|run| !run.took.is_empty());
    runs.map(Run::mean).fold(f64::INFINITY, f64::min)
}

fn cell(run: Option<&Run>) -> String {
    run.map_or("–".to_owned(), |run| format!("{:.4}", run.mean() * 1e3))
}

fn race(letter: &str, target: Target, limit: Duration) {
    let mut contenders: Vec<Contender> = EngineName::ALL.map(Contender::Fixed).into();
    contenders.push(Contender::governor());
    let mut racers: Vec<Racer> =
        contenders.into_iter().map(|contender| Racer::of(letter, contender)).collect();
    for batch in BATCHES {
        let runs = run(&mut racers, (batch, target), limit);
        let (fixed, governed) = runs.split_at(3);
        let best = fixed.iter().flatten().map(Run::mean).fold(f64::INFINITY, f64::min);
        let governed = governed[0].as_ref().expect("the governor always settles");
        println!(
            "| {letter} | {} | {batch} | {} | {} | {} | {} | {:.2} | {:?} | {:.1} of {} batches, {:.1} for set-ups |",
            if target == Target::Rhs { "b" } else { "A" },
            cell(fixed[0].as_ref()),
            cell(fixed[1].as_ref()),
            cell(fixed[2].as_ref()),
            cell(Some(governed)),
            governed.mean() / best,
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
