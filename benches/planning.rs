//! The governor against every fixed engine: the same changes worked into the same solved systems, by
//! relaxation alone, the path alone, the warm method alone, and as the governor chooses.
//!
//! ```text
//! cargo bench --bench planning                         systems a e g f
//! cargo bench --bench planning -- c d --seconds 20     some of them
//! cargo bench --bench planning -- a --entries          changes of A in place of b
//! ```
//! Times are processor time over all threads, the mean over the second half of the batches, when the
//! governor has learnt; what it took over all batches, with the set-ups that it made, is the last column.
//! Set-ups of fixed engines are not in their times. Every state is measured afresh after its batch.

mod harness;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use cpu_time::ProcessTime;
use harness::{arguments, flag};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::policy::planning::Governor;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::live::{Change, CostDelta, EngineName, LiveEnd, LiveEngine};
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};
use weir::solver::options::SolveOptions;
use weir::solver::outcome::Step;
use weir::solver::system::LinearSystem;

/// The systems, by the letters of the goals.
const SYSTEMS: [(&str, &str); 7] = [
    ("a", "random asymmetric dominant, n = 10,000, nnz = 50,000"),
    ("e", "case9241pegase, indefinite"),
    ("g", "convection-diffusion 500 x 500"),
    ("f", "PageRank, R-MAT, n = 65,536, 600,000 links"),
    ("c", "Poisson 1000 x 1000"),
    ("d", "Poisson 100 x 100 x 100"),
    ("b", "random asymmetric dominant, n = 1,000,000, nnz = 5,000,000"),
];

/// Those that are taken when none is asked for.
const USUAL: [&str; 4] = ["a", "e", "g", "f"];

/// Changes at a time.
const BATCHES: [usize; 3] = [1, 100, 10_000];

/// Batches at least.
const TURNS_MIN: usize = 6;

/// Each change multiplies what it meets by 1 plus or minus this.
const CHANGE: f64 = 1e-3;

fn system(letter: &str) -> LinearSystem {
    const IN_RANGE: &str = "the sizes are in range";
    match letter {
        "a" => gallery::diagonally_dominant(10_000, 50_000, 1).expect(IN_RANGE),
        "b" => gallery::diagonally_dominant(1_000_000, 5_000_000, 2).expect(IN_RANGE),
        "c" => gallery::poisson_2d(1_000, 3).expect(IN_RANGE),
        "d" => gallery::poisson_3d(100, 3).expect(IN_RANGE),
        "e" => grid(),
        "f" => gallery::page_rank(16, 600_000, 3).expect(IN_RANGE),
        "g" => gallery::convection_diffusion(500, 100.0, 3).expect(IN_RANGE),
        other => panic!("there is no system `{other}`"),
    }
}

fn grid() -> LinearSystem {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/systems");
    let open = |name: &str| BufReader::new(File::open(folder.join(name)).expect("a system"));
    let read = read_matrix(open("case9241pegase.mtx"), ReadLimits::default()).expect("a matrix");
    let rhs = read_rhs(open("case9241pegase_b.mtx"), read.rows).expect("a right-hand side");
    LinearSystem::assemble(read.rows, read.cols, read.arrays, rhs).expect("a system")
}

fn solved(system: LinearSystem) -> LiveEngine {
    let analysis = Analysis::of(&system);
    let mut engine = Engine::new(system, analysis, None, SolveOptions::default()).expect("hybrid");
    while !matches!(engine.step(), Step::Finished(_)) {}
    LiveEngine::of(engine).expect("numbers of ordinary size")
}

struct Draws(ChaCha8Rng);

impl Draws {
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    fn factor(&mut self) -> f64 {
        if self.0.next_u64() & 1 == 0 { 1.0 + CHANGE } else { 1.0 - CHANGE }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Target {
    Rhs,
    Entries,
}

/// One change of a value that is held.
fn change(live: &LiveEngine, target: Target, draws: &mut Draws) -> CostDelta {
    let live = live.live();
    let mut delta = CostDelta::default();
    let row = draws.below(live.order());
    match target {
        Target::Rhs => {
            let new = live.rhs()[row] * draws.factor();
            delta.edit_rhs(row, Change::Set(new), None);
        }
        Target::Entries => {
            let at = draws.below(live.matrix().row(row).count());
            let (col, value) = live.matrix().row(row).nth(at).expect("one of its entries");
            delta.edit_entry(row, col as usize, Change::Set(value * draws.factor()), None);
        }
    }
    delta
}

/// Who settles.
enum Contender {
    Fixed(EngineName),
    Governed(Box<Governor>),
}

/// What the batches of a size took.
#[derive(Default)]
struct Run {
    took: Vec<Duration>,
    /// Of it, for set-ups.
    set_ups: Duration,
    /// Set-ups between batches, which are not in `took`.
    idle: Duration,
    calls: [u64; 3],
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

/// Works until settled; false if that takes longer than `limit` or is not possible.
fn settle(
    live: &mut LiveEngine,
    contender: &mut Contender,
    run: &mut Run,
    limit: Duration,
) -> bool {
    let began = ProcessTime::now();
    while !live.is_settled() {
        if began.elapsed() > limit {
            return false;
        }
        let started = ProcessTime::now();
        let (engine, end) = match contender {
            Contender::Fixed(engine) => (*engine, live.work(*engine, 50_000_000).end),
            Contender::Governed(governor) => {
                let Some(plan) = governor.choose(&live.offers()) else { return false };
                let done = live.work(plan.engine, plan.entries_max);
                governor.learn(&plan, &done, started.elapsed());
                (plan.engine, done.end)
            }
        };
        let at = EngineName::ALL.iter().position(|name| *name == engine).expect("one of all");
        run.calls[at] += 1;
        match end {
            LiveEnd::Settled | LiveEnd::Paused => {}
            LiveEnd::Prepared(_) => run.set_ups += started.elapsed(),
            LiveEnd::Failed(_) if matches!(contender, Contender::Fixed(_)) => return false,
            LiveEnd::Failed(_) => {}
        }
    }
    true
}

/// Set-ups before the first change, which a session makes while nothing else is to be done.
fn prepare(live: &mut LiveEngine, contender: &mut Contender) -> bool {
    match contender {
        Contender::Fixed(engine) => loop {
            let Some(offer) = live.offers().into_iter().find(|offer| offer.engine == *engine)
            else {
                return true;
            };
            if offer.set_up.nonzeros == 0 {
                return true;
            }
            if let LiveEnd::Failed(_) = live.work(*engine, u64::MAX).end {
                return false;
            }
        },
        Contender::Governed(governor) => {
            while let Some(plan) = governor.choose(&live.offers()) {
                let started = ProcessTime::now();
                let done = live.work(plan.engine, plan.entries_max);
                governor.learn(&plan, &done, started.elapsed());
            }
            true
        }
    }
}

fn run(
    live: &mut LiveEngine,
    contender: &mut Contender,
    (batch, target, limit): (usize, Target, Duration),
) -> Run {
    let mut draws = Draws(ChaCha8Rng::seed_from_u64(batch as u64));
    let mut run = Run::default();
    let began = ProcessTime::now();
    while run.took.len() < TURNS_MIN || (began.elapsed() < limit && run.took.len() < 2_000) {
        let deltas: Vec<CostDelta> = (0..batch).map(|_| change(live, target, &mut draws)).collect();
        let started = ProcessTime::now();
        for delta in &deltas {
            live.apply(delta).expect("a change of what is held");
        }
        let is_settled = settle(live, contender, &mut run, 4 * limit);
        run.took.push(started.elapsed());
        if !is_settled {
            run.gave_up = true;
            return run;
        }
        // As a session does while nothing else is to be done.
        if let Contender::Governed(_) = contender {
            let started = ProcessTime::now();
            prepare(live, contender);
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
    contenders.push(Contender::Governed(Box::default()));
    let mut runs: Vec<Vec<Option<Run>>> = vec![];
    for contender in &mut contenders {
        let mut live = solved(system(letter));
        let mut is_able = prepare(&mut live, contender);
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
            governed.calls,
            (governed.took.iter().sum::<Duration>() + governed.idle).as_secs_f64() * 1e3,
            governed.took.len(),
            (governed.set_ups + governed.idle).as_secs_f64() * 1e3,
        );
    }
}

fn main() {
    let asked = arguments();
    let seconds = flag(&asked, "--seconds").map_or(3.0, |text| text.parse().expect("seconds"));
    let target = if asked.iter().any(|a| a == "--entries") { Target::Entries } else { Target::Rhs };
    let named: Vec<&str> = SYSTEMS.iter().map(|(letter, _)| *letter).collect();
    let mut letters: Vec<&str> =
        named.into_iter().filter(|letter| asked.iter().any(|a| a == letter)).collect();
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
