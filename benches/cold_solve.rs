//! Cold solves to a relative residual of 1e-8, and the product with `A` against the machine's memory.
//!
//! ```text
//! cargo bench --bench cold_solve                 all systems
//! cargo bench --bench cold_solve -- a e          some of them
//! cargo bench --bench cold_solve -- a analysis   only the analysis, in products with A
//! cargo bench --bench cold_solve -- --write DIR  writes the systems as files, for benches/peers.sh
//! cargo bench --bench cold_solve -- --file A.mtx --method cg --preconditioner jacobi --repeats 3
//! ```
//! The last form prints one JSON line. `RAYON_NUM_THREADS=1` measures one thread.

mod harness;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use cpu_time::ProcessTime;
use harness::product::race_product;
use harness::systems::{read_system, system, title};
use harness::{Contender, Timed, flag, median, print_race, race, timed};
use weir::runtime::clock::Clock;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::matrix_market::{write_matrix, write_vector};
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::outcome::{Outcome, Step};
use weir::solver::system::LinearSystem;

/// The systems, by the letters of the goals.
const SYSTEMS: [&str; 6] = ["a", "b", "c", "d", "e", "g"];

/// What is raced on a system; the bench's own `textbook` method comes last, as the alternative.
fn methods(letter: &str) -> Vec<(MethodName, Option<PreconditionerName>)> {
    use MethodName as M;
    use PreconditionerName as P;
    match letter {
        "a" => vec![
            (M::Hybrid, None),
            (M::Jacobi, None),
            (M::GaussSeidel, None),
            (M::Bicgstab, Some(P::Ilu)),
            (M::Gmres, Some(P::Jacobi)),
            (M::Bicgstab, Some(P::Jacobi)),
        ],
        "b" => vec![
            (M::Hybrid, None),
            (M::GaussSeidel, None),
            (M::Bicgstab, Some(P::Ilu)),
            (M::Bicgstab, Some(P::Jacobi)),
        ],
        "c" => vec![
            (M::Hybrid, None),
            (M::Cg, Some(P::Amg)),
            (M::Direct, None),
            (M::Cg, Some(P::Ilu)),
            (M::Cg, Some(P::Jacobi)),
        ],
        "d" => vec![
            (M::Hybrid, None),
            (M::Cg, Some(P::Amg)),
            (M::Cg, Some(P::Ilu)),
            (M::Cg, Some(P::Jacobi)),
        ],
        "g" => vec![
            (M::Hybrid, None),
            (M::Bicgstab, Some(P::Amg)),
            (M::Gmres, Some(P::Amg)),
            (M::Direct, None),
            (M::Bicgstab, Some(P::Ilu)),
            (M::Bicgstab, Some(P::Jacobi)),
        ],
        "e" => vec![(M::Hybrid, None), (M::Direct, None)],
        other => panic!("there is no system `{other}`"),
    }
}

/// A solve's times, from a system that is already in memory.
struct Solved {
    set_up: Duration,
    iterate: Duration,
    /// Processor time of set-up and iterations, over all threads.
    processor: Duration,
    iterations: u64,
    relative_residual: f64,
    ended: &'static str,
}

fn solve(
    clock: &Clock,
    system: &LinearSystem,
    analysis: &Analysis,
    method: MethodName,
    preconditioner: Option<PreconditionerName>,
) -> Solved {
    let (system, analysis) = (system.clone(), analysis.clone());
    let options = SolveOptions {
        method,
        preconditioner,
        iterations_max: 1_000_000,
        ..SolveOptions::default()
    };
    let started = ProcessTime::now();
    let (mut set_up, engine) = timed(clock, || Engine::new(system, analysis, None, options));
    let mut engine = match engine {
        Ok(engine) => engine,
        Err(refusal) => panic!("{method}: {refusal}"),
    };
    let mut iterate = Duration::ZERO;
    let outcome = loop {
        let (took, step) = timed(clock, || engine.step());
        match step {
            Step::Prepared(_) => set_up += took,
            Step::Iterated(_) | Step::Switched(_) => iterate += took,
            Step::Finished(outcome) => {
                iterate += took;
                break outcome;
            }
        }
    };
    let processor = started.elapsed();
    Solved {
        processor,
        set_up,
        iterate,
        iterations: engine.iteration(),
        relative_residual: engine.true_residual_norm() / engine.rhs_norm(),
        ended: match &outcome {
            Outcome::Converged { .. } => "converged",
            Outcome::Stopped(reason) => reason.code(),
        },
    }
}

impl Solved {
    fn timed(&self) -> Timed {
        Timed {
            took: self.set_up + self.iterate,
            note: format!(
                "{} iterations, relative residual {:.1e}, {} (set-up {:.1} ms)",
                self.iterations,
                self.relative_residual,
                self.ended,
                self.set_up.as_secs_f64() * 1e3
            ),
        }
    }
}

/// The alternative that needs no library: BiCGSTAB (CG where `A` is symmetric) with a Jacobi
/// preconditioner on `sprs`, as the textbook has it (Saad, Algorithms 7.7 and 9.1).
mod textbook {
    use weir::solver::system::{CsrMatrix, LinearSystem};

    fn product(a: &CsrMatrix, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        sprs::prod::mul_acc_mat_vec_csr(a.view(), x, &mut y);
        y
    }

    fn dot(x: &[f64], y: &[f64]) -> f64 {
        x.iter().zip(y).map(|(x, y)| x * y).sum()
    }

    fn inverse_diagonal(a: &CsrMatrix) -> Vec<f64> {
        a.diag().to_dense().iter().map(|value| 1.0 / value).collect()
    }

    fn scaled(inverse: &[f64], r: &[f64]) -> Vec<f64> {
        inverse.iter().zip(r).map(|(inverse, r)| inverse * r).collect()
    }

    /// Iterations until `‖r‖ ≤ tolerance ‖b‖`.
    pub fn cg(system: &LinearSystem, tolerance: f64) -> u64 {
        let (a, b) = (system.matrix(), system.rhs());
        let inverse = inverse_diagonal(a);
        let mut x = vec![0.0; b.len()];
        let mut r = b.to_vec();
        let mut z = scaled(&inverse, &r);
        let mut p = z.clone();
        let mut rz = dot(&r, &z);
        let goal = tolerance * dot(b, b).sqrt();
        let mut iterations = 0;
        while dot(&r, &r).sqrt() > goal {
            let ap = product(a, &p);
            let alpha = rz / dot(&p, &ap);
            x.iter_mut().zip(&p).for_each(|(x, p)| *x += alpha * p);
            r.iter_mut().zip(&ap).for_each(|(r, ap)| *r -= alpha * ap);
            z = scaled(&inverse, &r);
            let next = dot(&r, &z);
            let beta = next / std::mem::replace(&mut rz, next);
            p.iter_mut().zip(&z).for_each(|(p, z)| *p = z + beta * *p);
            iterations += 1;
        }
        iterations
    }

    /// Iterations until `‖r‖ ≤ tolerance ‖b‖`.
    pub fn bicgstab(system: &LinearSystem, tolerance: f64) -> u64 {
        let (a, b) = (system.matrix(), system.rhs());
        let inverse = inverse_diagonal(a);
        let mut x = vec![0.0; b.len()];
        let mut r = b.to_vec();
        let shadow = b.to_vec();
        let mut p = r.clone();
        let mut rho = dot(&r, &shadow);
        let goal = tolerance * dot(b, b).sqrt();
        let mut iterations = 0;
        while dot(&r, &r).sqrt() > goal {
            let p_hat = scaled(&inverse, &p);
            let v = product(a, &p_hat);
            let alpha = rho / dot(&v, &shadow);
            let s: Vec<f64> = r.iter().zip(&v).map(|(r, v)| r - alpha * v).collect();
            let s_hat = scaled(&inverse, &s);
            let t = product(a, &s_hat);
            let omega = dot(&t, &s) / dot(&t, &t);
            for i in 0..x.len() {
                x[i] += alpha * p_hat[i] + omega * s_hat[i];
                r[i] = s[i] - omega * t[i];
            }
            let next = dot(&r, &shadow);
            let beta = next / std::mem::replace(&mut rho, next) * (alpha / omega);
            for i in 0..p.len() {
                p[i] = r[i] + beta * (p[i] - omega * v[i]);
            }
            iterations += 1;
        }
        iterations
    }
}

fn textbook<'a>(clock: &'a Clock, letter: &str, system: &'a LinearSystem) -> Option<Contender<'a>> {
    let (name, run): (&str, fn(&LinearSystem, f64) -> u64) = match letter {
        "a" | "b" => ("textbook bicgstab jacobi on sprs, one thread", textbook::bicgstab),
        "c" | "d" => ("textbook cg jacobi on sprs, one thread", textbook::cg),
        _ => return None,
    };
    Some(Contender::new(name, move || {
        let (took, iterations) = timed(clock, || run(system, 1e-8));
        Timed { took, note: format!("{iterations} iterations") }
    }))
}

fn race_methods(clock: &Clock, letter: &str, title: &str, turns: usize) {
    let system = system(letter);
    let (took, analysis) = timed(clock, || Analysis::of(&system));
    println!("({letter}) {title}: analysis, once per system, {:.1} ms", took.as_secs_f64() * 1e3);
    let mut contenders: Vec<Contender> = methods(letter)
        .into_iter()
        .map(|(method, preconditioner)| {
            let name = match preconditioner {
                Some(preconditioner) => format!("weir {method} {preconditioner}"),
                None => format!("weir {method}"),
            };
            let (system, analysis) = (&system, &analysis);
            let run = move || solve(clock, system, analysis, method, preconditioner).timed();
            Contender::new(name, run)
        })
        .collect();
    contenders.extend(textbook(clock, letter, &system));
    let measured = race(turns, turns > 1, contenders);
    print_race(&format!("({letter}) {title}: set-up and iterations to 1e-8"), &measured);
}

fn print_product(clock: &Clock, letter: &str, title: &str) {
    let measured = race_product(clock, system(letter));
    let threads = rayon::current_num_threads();
    print_race(&format!("({letter}) {title}: one product with A, {threads} threads"), &measured);
}

/// The analysis, counted in products with `A` of the same run.
fn race_analysis(clock: &Clock, letter: &str, title: &str) {
    /// Products in a turn, so that the shortest are longer than the clock's grain.
    const PRODUCTS: u32 = 10;
    let system = system(letter);
    let x: Vec<f64> = (0..system.order()).map(|i| 1.0 + i as f64).collect();
    let mut y = vec![0.0; system.order()];
    let turns = if system.order() > 100_000 { 15 } else { 101 };
    let contenders = vec![
        Contender::new("product with A", || {
            let products = || (0..PRODUCTS).for_each(|_| system.rows().product(&x, &mut y));
            Timed { took: timed(clock, products).0 / PRODUCTS, note: String::new() }
        }),
        Contender::new("analysis", || {
            let (took, analysis) = timed(clock, || Analysis::of(&system));
            let dominance = analysis.row_dominance.kind;
            Timed { took, note: format!("rows: {dominance:?}") }
        }),
    ];
    let measured = race(turns, true, contenders);
    let products = measured[1].median.as_secs_f64() / measured[0].median.as_secs_f64();
    let threads = rayon::current_num_threads();
    let heading =
        format!("({letter}) {title}: analysis, {products:.1} products, {threads} threads");
    print_race(&heading, &measured);
}

fn write_systems(directory: &Path) {
    std::fs::create_dir_all(directory).expect("the directory can be made");
    for letter in SYSTEMS {
        let title = title(letter);
        let system = system(letter);
        let path = |suffix: &str| directory.join(format!("{letter}{suffix}.mtx"));
        let create = |path| BufWriter::new(File::create(path).expect("a file can be made"));
        write_matrix(&mut create(path("")), system.matrix(), &[title.to_owned()]).expect("written");
        write_vector(&mut create(path("_b")), system.rhs(), &[]).expect("written");
    }
}

/// One file, one method, several times over: a JSON line for `benches/peers`.
fn solve_file(clock: &Clock, file: &str, arguments: &[String]) {
    let system = read_system(Path::new(file));
    let method = flag(arguments, "--method").unwrap_or("hybrid").parse().expect("a method");
    let preconditioner = flag(arguments, "--preconditioner")
        .map(|name| name.parse::<PreconditionerName>().expect("a preconditioner"));
    let repeats: usize = flag(arguments, "--repeats").unwrap_or("3").parse().expect("a number");
    let (analyse, analysis) = timed(clock, || Analysis::of(&system));
    let runs: Vec<Solved> = (0..repeats.max(1))
        .map(|_| solve(clock, &system, &analysis, method, preconditioner))
        .collect();
    let seconds = |part: fn(&Solved) -> Duration| {
        median(&runs.iter().map(part).collect::<Vec<_>>()).as_secs_f64()
    };
    let last = runs.last().expect("at least one run");
    println!(
        "{}",
        serde_json::json!({
            "solve": seconds(|run| run.set_up + run.iterate),
            "solve_processor": seconds(|run| run.processor),
            "set_up": seconds(|run| run.set_up),
            "analyse": analyse.as_secs_f64(),
            "iterations": last.iterations,
            "relative_residual": last.relative_residual,
            "ended": last.ended,
        })
    );
}

fn main() {
    let clock = Clock::system();
    let arguments = harness::arguments();
    if let Some(directory) = flag(&arguments, "--write") {
        return write_systems(Path::new(directory));
    }
    if let Some(file) = flag(&arguments, "--file") {
        return solve_file(&clock, file, &arguments);
    }
    for letter in SYSTEMS {
        let title = title(letter);
        let letters = arguments.iter().any(|argument| argument.len() == 1);
        if letters && !arguments.iter().any(|argument| argument == letter) {
            continue;
        }
        race_analysis(&clock, letter, title);
        if arguments.iter().any(|argument| argument == "analysis") {
            continue;
        }
        if matches!(letter, "c" | "d") {
            print_product(&clock, letter, title);
        }
        let turns = match letter {
            "a" | "e" => 11,
            "b" => 3,
            _ => 1,
        };
        race_methods(&clock, letter, title, turns);
    }
}
