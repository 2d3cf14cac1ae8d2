//! Changes of `b` and of `A` worked into a solved system, until every residual is below 1e-8 ‖b‖∞ again:
//! relaxation of a live system, beside a warm restart of our own BiCGStab.
//!
//! ```text
//! cargo bench --bench live                 systems a and b
//! cargo bench --bench live -- a            one of them
//! cargo bench --bench live -- f --seconds 20
//! cargo bench --bench live -- drift        10,000,000 mixed changes, r against a fresh b − A x
//! cargo bench --bench live -- drift --changes 100000
//! ```
//! Times are processor time over all threads. Every figure's state is measured afresh afterwards.

mod harness;

use std::time::Duration;

use cpu_time::ProcessTime;
use harness::changes::{Draws, Target, change};
use harness::systems::{system, title};
use harness::{arguments, flag, median, quantile};
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::live::{
    Change, CostDelta, Ground, Licence, LiveSystem, RelaxationEnd, Thresholds,
};
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::outcome::Step;

/// The systems, by the letters of the goals.
const SYSTEMS: [&str; 3] = ["a", "b", "f"];

/// `‖r‖∞ ≤ RESIDUAL ‖b‖∞` is to hold after every batch.
const RESIDUAL: f64 = 1e-8;

/// When relaxation runs.
#[derive(Clone, Copy, PartialEq)]
enum Drain {
    /// After each change.
    EachChange,
    /// After the batch.
    Batch,
}

/// What the batches of a run took.
#[derive(Default)]
struct Run {
    apply: Vec<Duration>,
    relax: Vec<Duration>,
    steps: u64,
    entries: u64,
}

fn run(live: &mut LiveSystem, batch: usize, target: Target, drain: Drain, limit: Duration) -> Run {
    let mut draws = Draws::seeded(batch as u64);
    let mut run = Run::default();
    let began = ProcessTime::now();
    while run.relax.len() < 3 || (began.elapsed() < limit && run.relax.len() < 20_000) {
        let deltas: Vec<CostDelta> = (0..batch).map(|_| change(live, target, &mut draws)).collect();
        let (mut apply, mut relax) = (Duration::ZERO, Duration::ZERO);
        let parts = if drain == Drain::Batch { batch } else { 1 };
        for part in deltas.chunks(parts) {
            let started = ProcessTime::now();
            for delta in part {
                live.apply(delta).expect("a change of what is held");
            }
            let applied = ProcessTime::now();
            let ground = Ground::HMatrix { margin: 1e-3 };
            let licence = Licence::new(ground, live.matrix().version()).expect("a margin");
            let done = live.relax(&licence, u64::MAX).expect("the version is this one");
            relax += applied.elapsed();
            apply += applied.duration_since(started);
            assert_eq!(done.end, RelaxationEnd::Settled);
            run.steps += done.steps;
            run.entries += done.entries;
        }
        run.apply.push(apply);
        run.relax.push(relax);
    }
    run
}

fn microseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

fn print_run(label: &str, batch: usize, run: &Run, measured: f64) {
    let changes = (batch * run.relax.len()) as f64;
    let whole: Vec<Duration> = run.apply.iter().zip(&run.relax).map(|(a, r)| *a + *r).collect();
    let mean = whole.iter().sum::<Duration>().as_secs_f64() / whole.len() as f64;
    println!(
        "{label:<34} {batch:>6} {:>12.0}/s {:>11.1} us {:>10.1} {:>10.1} {:>8.2} us {:>9.1} {:>9.1}  {measured:.2e}",
        batch as f64 / mean,
        mean * 1e6,
        microseconds(median(&whole)),
        microseconds(quantile(&whole, 0.99)),
        microseconds(run.apply.iter().sum()) / changes,
        run.steps as f64 / changes,
        run.entries as f64 / changes,
    );
}

/// Iterations of a warm BiCGStab until `‖r‖∞` meets the goal, with the loosest of these tolerances that
/// does it; preparation is not counted.
fn warm(
    before: &LiveSystem,
    after: &LiveSystem,
    preconditioner: PreconditionerName,
    goal: f64,
) -> (Duration, u64) {
    for tolerance in [3e-8, 1e-8, 3e-9, 1e-9, 3e-10, 1e-10, 1e-11] {
        let system = after.to_system();
        let analysis = Analysis::of(&system);
        let options = SolveOptions {
            method: MethodName::Bicgstab,
            preconditioner: Some(preconditioner),
            tolerance,
            ..SolveOptions::default()
        };
        let mut engine = Engine::new(system, analysis, Some(before.copy_x()), options)
            .expect("a system that BiCGStab takes");
        let mut took = Duration::ZERO;
        let mut is_first = true;
        loop {
            let started = ProcessTime::now();
            let step = engine.step();
            let part = started.elapsed();
            // The first step moves the matrix onto huge pages and prepares.
            if !std::mem::take(&mut is_first) && !matches!(step, Step::Prepared(_)) {
                took += part;
            }
            if let Step::Finished(_) = step {
                break;
            }
        }
        let mut state = after.clone();
        state.replace_x(engine.solution()).expect("a finite solution");
        if state.residual_max() <= goal {
            return (took, engine.iteration());
        }
    }
    panic!("BiCGStab does not reach the goal");
}

fn race(letter: &str, limit: Duration) {
    println!("\n{letter}: {}", title(letter));
    let system = system(letter);
    let goal = RESIDUAL * system.rhs().iter().fold(0.0_f64, |largest, b| largest.max(b.abs()));
    let zero = vec![0.0; system.order()];
    let started = ProcessTime::now();
    let mut live = LiveSystem::new(system, &zero, Thresholds::Uniform(goal), usize::MAX)
        .expect("a system that can be held");
    let built = started.elapsed();
    let licence = Licence::new(Ground::HMatrix { margin: 1e-3 }, 0).expect("a margin");
    let started = ProcessTime::now();
    let done = live.relax(&licence, u64::MAX).expect("the first version");
    println!(
        "built in {:.1} ms, {:.1} MB; settled from zero in {:.1} ms, {done:?}",
        built.as_secs_f64() * 1e3,
        live.memory_bytes() as f64 / 1e6,
        started.elapsed().as_secs_f64() * 1e3
    );
    let (n, nnz) = (live.order(), live.matrix().nonzeros());
    println!("{:.1} bytes for each of {nnz} entries, rows at 64", {
        (live.memory_bytes() as f64 - 64.0 * n as f64) / nnz as f64
    });
    println!(
        "{:<34} {:>6} {:>14} {:>14} {:>10} {:>10} {:>11} {:>9} {:>9}  residual",
        "", "batch", "changes", "mean", "p50", "p99", "apply each", "steps", "entries"
    );
    for (target, name) in [(Target::Rhs, "b"), (Target::Entries, "A")] {
        for batch in [1, 100, 10_000] {
            let drains = [(Drain::Batch, "after the batch"), (Drain::EachChange, "one by one")];
            for (drain, when) in drains {
                if drain == Drain::EachChange && batch != 100 {
                    continue;
                }
                let figures = run(&mut live, batch, target, drain, limit);
                let measured = live.measure();
                assert!(measured.residual_max <= goal, "{measured:?}");
                let label = format!("changes of {name}, {when}");
                print_run(&label, batch, &figures, measured.residual_max / goal);
            }
        }
    }
    for batch in [1, 100, 10_000] {
        let mut changed = live.clone();
        let mut draws = Draws::seeded(77);
        for _ in 0..batch {
            let delta = change(&changed, Target::Rhs, &mut draws);
            changed.apply(&delta).expect("a change of what is held");
        }
        for preconditioner in [PreconditionerName::Jacobi, PreconditionerName::Ilu] {
            let (took, iterations) = warm(&live, &changed, preconditioner, goal);
            let label = format!("warm bicgstab {preconditioner}");
            println!(
                "{label:<34} {batch:>6} {:>12.0}/s {:>11.1} us  {iterations} iterations",
                batch as f64 / took.as_secs_f64(),
                microseconds(took)
            );
        }
    }
}

/// One of a mixture: of b, of an entry that is stored, or an entry that was not, too small to cost the
/// matrix its dominance.
fn mixed(live: &LiveSystem, draws: &mut Draws) -> CostDelta {
    const NEW_OF: usize = 100;
    const NEW_SIZE: f64 = 1e-3;
    match draws.below(NEW_OF) {
        0 => {
            let (row, col) = (draws.below(live.order()), draws.below(live.order()));
            let diagonal = live.matrix().value(row, row).abs();
            let mut delta = CostDelta::default();
            delta.edit_entry(row, col, Change::Add(NEW_SIZE * diagonal * draws.signed()), None);
            delta
        }
        1..50 => change(live, Target::Entries, draws),
        _ => change(live, Target::Rhs, draws),
    }
}

/// The largest `|rᵢ kept − rᵢ| / (|bᵢ| + Σ |aᵢⱼ xⱼ|)`, with `rᵢ` summed in twice the digits.
fn drift(live: &LiveSystem) -> f64 {
    let of_row = |row: usize| {
        let (mut sum, mut rest, mut size) = (live.rhs()[row], 0.0, live.rhs()[row].abs());
        for (col, value) in live.matrix().row(row) {
            let (value, x) = (-value, live.x(col as usize));
            let product = value * x;
            let next = sum + product;
            let back = next - sum;
            rest += (sum - (next - back)) + (product - back) + value.mul_add(x, -product);
            size += product.abs();
            sum = next;
        }
        let far = ((live.residual(row) - sum) - rest).abs();
        if far == 0.0 { 0.0 } else { far / size }
    };
    (0..live.order()).map(of_row).fold(0.0, f64::max)
}

/// Changes in drains of a hundred; the residual kept is never measured on the way.
fn keep_residual(changes: usize) {
    const DRAIN: usize = 100;
    const DRIFT_MAX: f64 = 1e-12;
    let system = system("a");
    let goal = RESIDUAL * system.rhs().iter().fold(0.0_f64, |largest, b| largest.max(b.abs()));
    let zero = vec![0.0; system.order()];
    let mut live = LiveSystem::new(system, &zero, Thresholds::Uniform(goal), usize::MAX)
        .expect("a system that can be held");
    let mut draws = Draws::seeded(13);
    let (stored, measured) = (live.matrix().nonzeros(), live.measurements());
    let began = ProcessTime::now();
    for done in (0..=changes).step_by(DRAIN) {
        let ground = Ground::HMatrix { margin: 1e-3 };
        let licence = Licence::new(ground, live.matrix().version()).expect("a margin");
        let relaxed = live.push(&licence, u64::MAX).expect("the version is this one");
        assert_eq!(relaxed.end, RelaxationEnd::Settled);
        if done % (changes / 10).max(DRAIN) == 0 || done + DRAIN > changes {
            let drift = drift(&live);
            println!(
                "{done:>9} changes, {} entries more: r kept is off by {drift:.1e} of its terms, {:.1} s",
                live.matrix().nonzeros() - stored,
                began.elapsed().as_secs_f64()
            );
            assert!(drift <= DRIFT_MAX, "{drift:e}");
        }
        for _ in 0..DRAIN.min(changes - done) {
            let delta = mixed(&live, &mut draws);
            live.apply(&delta).expect("a change within the limits");
        }
    }
    // Sweeps would have measured; push never does.
    assert_eq!(live.measurements(), measured);
}

fn main() {
    let arguments = arguments();
    if arguments.iter().any(|argument| argument == "drift") {
        let changes = flag(&arguments, "--changes").unwrap_or("10000000");
        return keep_residual(changes.parse().expect("a count"));
    }
    let seconds: f64 =
        flag(&arguments, "--seconds").map_or(2.0, |text| text.parse().expect("a number"));
    let chosen = |letter: &str| {
        let is_letter = |text: &&String| SYSTEMS.iter().any(|letter| letter == text);
        match arguments.iter().filter(is_letter).count() {
            0 => letter != "f",
            _ => arguments.iter().any(|text| text == letter),
        }
    };
    for letter in SYSTEMS.into_iter().filter(|letter| chosen(letter)) {
        race(letter, Duration::from_secs_f64(seconds));
    }
}
