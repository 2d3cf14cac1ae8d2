//! What `weir solve` says at the end: to people in lines, to programs as one JSON document with the same
//! facts.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use owo_colors::{AnsiColors, OwoColorize, Stream};
use serde::Serialize;

use crate::cli::solve::drive::{Driven, Ending};
use crate::cli::system_files::RhsSource;
use crate::cli::text::{grouped, seconds};
use crate::policy::remedy::way_out;
use crate::runtime::clock::{Clock, Moment};
use crate::solver::analysis::{Analysis, Definiteness, DominanceKind};
use crate::solver::certificate::error_bound_infinity;
use crate::solver::engine::Engine;
use crate::solver::options::SolveOptions;
use crate::solver::outcome::Refusal;
use crate::solver::system::LinearSystem;

/// Where the time went.
#[derive(Debug, Clone)]
pub struct Timing {
    clock: Clock,
    started: Moment,
    lap: Moment,
    pub read: Duration,
    pub analyse: Duration,
    pub set_up: Duration,
    pub iterate: Duration,
}

impl Timing {
    pub fn start(clock: &Clock) -> Self {
        let now = clock.now();
        Self {
            clock: clock.clone(),
            started: now,
            lap: now,
            read: Duration::ZERO,
            analyse: Duration::ZERO,
            set_up: Duration::ZERO,
            iterate: Duration::ZERO,
        }
    }

    /// Time since the lap before.
    pub fn lap(&mut self) -> Duration {
        let now = self.clock.now();
        now.since(std::mem::replace(&mut self.lap, now))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Seconds {
    read: f64,
    analyse: f64,
    set_up: f64,
    iterate: f64,
    /// From the start of the program to the end of the solve, checks included.
    total: f64,
}

/// The facts of one `weir solve`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    matrix: String,
    /// `given`, `beside` the matrix, or `ones`.
    rhs_source: &'static str,
    rhs: Option<String>,
    unknowns: usize,
    nonzeros: usize,
    properties: Vec<String>,
    method_requested: &'static str,
    /// In force at the end.
    method: &'static str,
    preconditioner: Option<&'static str>,
    reasons: Vec<String>,
    preparations: Vec<String>,
    /// Changes of method on the way, with the reason.
    changes: Vec<String>,
    pub converged: bool,
    /// `converged`, or why not.
    ended: &'static str,
    detail: String,
    way_out: Option<String>,
    iterations: u64,
    tolerance: f64,
    /// `‖b − A x‖₂`, computed from the `x` that was written.
    residual_norm: Option<f64>,
    relative_residual: Option<f64>,
    /// Proven bound on `‖x* − x‖∞`, where the matrix is strictly dominant by rows.
    error_bound_infinity: Option<f64>,
    memory_bytes: Option<u64>,
    seconds: Option<Seconds>,
    pub output: Option<String>,
}

impl Report {
    /// What is known before the solve.
    pub fn of_input(
        matrix: &Path,
        rhs: &RhsSource,
        system: &LinearSystem,
        analysis: &Analysis,
        options: &SolveOptions,
    ) -> Self {
        let (rhs_source, rhs) = match rhs {
            RhsSource::Given(path) => ("given", Some(path.display().to_string())),
            RhsSource::Beside(path) => ("beside", Some(path.display().to_string())),
            RhsSource::Ones => ("ones", None),
        };
        Self {
            matrix: matrix.display().to_string(),
            rhs_source,
            rhs,
            unknowns: system.order(),
            nonzeros: system.nonzeros(),
            properties: properties(analysis),
            method_requested: options.method.as_str(),
            method: options.method.as_str(),
            preconditioner: None,
            reasons: vec![],
            preparations: vec![],
            changes: vec![],
            converged: false,
            ended: "refused",
            detail: String::new(),
            way_out: None,
            iterations: 0,
            tolerance: options.tolerance,
            residual_norm: None,
            relative_residual: None,
            error_bound_infinity: None,
            memory_bytes: None,
            seconds: None,
            output: None,
        }
    }

    /// Adds what the run did, and measures its result.
    pub fn note_run(&mut self, driven: &Driven, engine: &mut Engine) {
        let residual_norm = engine.true_residual_norm();
        let rhs_norm = engine.rhs_norm();
        let x = engine.solution().to_vec();
        self.method = engine.selection().method.as_str();
        self.preconditioner = Some(engine.selection().preconditioner.as_str());
        self.reasons.clone_from(&engine.selection().reasons);
        self.preparations.clone_from(&driven.preparations);
        self.changes = driven
            .switches
            .iter()
            .map(|switch| format!("{} gave way to {}: {}", switch.from, switch.to, switch.reason))
            .collect();
        self.iterations = engine.iteration();
        self.residual_norm = Some(residual_norm);
        self.relative_residual =
            Some(if rhs_norm > 0.0 { residual_norm / rhs_norm } else { residual_norm });
        self.error_bound_infinity = error_bound_infinity(engine.system(), &x);
        self.memory_bytes = Some(engine.memory_bytes());
        self.note_ending(&driven.ending);
    }

    fn note_ending(&mut self, ending: &Ending) {
        match ending {
            Ending::Converged => {
                self.converged = true;
                self.ended = "converged";
            }
            Ending::Stopped(reason) => {
                self.ended = reason.code();
                self.detail = reason.to_string();
                self.way_out = way_out(reason).map(str::to_owned);
            }
            Ending::TimeBudget(budget) => {
                self.ended = "time_budget";
                self.detail = format!("the time budget of {} is spent", seconds(*budget));
            }
        }
    }

    /// The method would not start; the refusal itself names what would.
    pub fn note_refusal(&mut self, refusal: &Refusal) {
        self.detail = refusal.to_string();
    }

    pub fn finish(&mut self, mut timing: Timing) {
        timing.lap();
        self.seconds = Some(Seconds {
            read: timing.read.as_secs_f64(),
            analyse: timing.analyse.as_secs_f64(),
            set_up: timing.set_up.as_secs_f64(),
            iterate: timing.iterate.as_secs_f64(),
            total: timing.lap.since(timing.started).as_secs_f64(),
        });
    }

    /// One line for the head of a solution file.
    pub fn solution_comment(&self) -> String {
        format!(
            "x of A x = b for {}: {}, relative residual {:.3e}, {} after {} iterations",
            self.matrix,
            self.ended,
            self.relative_residual.unwrap_or(f64::NAN),
            self.method,
            self.iterations
        )
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report holds numbers and strings only")
    }

    /// The lines for people, without a closing line break.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            writeln!(text, "{label:<17}{value}").expect("writing to a string does not fail");
        };
        line("matrix", &self.matrix);
        let size =
            format!("{} unknowns, {} entries", grouped(self.unknowns), grouped(self.nonzeros));
        line("", &format!("{size}, {}", self.properties.join(", ")));
        line("right-hand side", &self.rhs_line());
        line("method", &self.method_line());
        self.reasons.iter().for_each(|reason| line("", reason));
        self.preparations.iter().for_each(|preparation| line("set-up", preparation));
        self.changes.iter().for_each(|change| line("changed", change));
        line(&self.verdict(), &self.result_line());
        if let Some(way_out) = &self.way_out {
            line("way out", way_out);
        }
        if let Some(bound) = self.error_bound_infinity {
            line(
                "error bound",
                &format!("every entry of x is within {bound:.2e} of the solution: proven"),
            );
        }
        if let Some(seconds) = &self.seconds {
            line("time", &seconds.to_line());
        }
        if let Some(output) = &self.output {
            line("solution", output);
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Padded like every label; the colour must not count as width.
    fn verdict(&self) -> String {
        let (verdict, colour) = match self.converged {
            true => ("converged", AnsiColors::Green),
            false => ("NOT CONVERGED", AnsiColors::Red),
        };
        let padded = format!("{verdict:<17}");
        padded.if_supports_color(Stream::Stdout, |text| text.color(colour)).to_string()
    }

    fn rhs_line(&self) -> String {
        match (self.rhs_source, &self.rhs) {
            ("beside", Some(path)) => format!("{path}, found beside the matrix"),
            (_, Some(path)) => path.clone(),
            (_, None) => {
                "all ones, because none was given and none lies beside the matrix".to_owned()
            }
        }
    }

    fn method_line(&self) -> String {
        let preconditioner = match self.preconditioner {
            None | Some("none") => String::new(),
            Some(name) => format!(" with preconditioner {name}"),
        };
        let chosen = match self.method == self.method_requested {
            true => String::new(),
            false => format!(" (chosen by {})", self.method_requested),
        };
        format!("{}{preconditioner}{chosen}", self.method)
    }

    fn result_line(&self) -> String {
        let Some(relative_residual) = self.relative_residual else {
            return self.detail.clone();
        };
        let iterations = match self.iterations {
            1 => "1 iteration".to_owned(),
            many => format!("{} iterations", grouped(many as usize)),
        };
        let state = format!(
            "{iterations}, relative residual {relative_residual:.2e} (tolerance {:e})",
            self.tolerance
        );
        match self.converged {
            true => state,
            false => format!("{}; {state}", self.detail),
        }
    }
}

impl Seconds {
    fn to_line(&self) -> String {
        let part =
            |name: &str, value: f64| format!("{name} {}", seconds(Duration::from_secs_f64(value)));
        [
            part("read", self.read),
            part("analyse", self.analyse),
            part("set up", self.set_up),
            part("iterate", self.iterate),
            part("in all", self.total),
        ]
        .join(" · ")
    }
}

/// What the analysis proved that decides about methods, in a few words each.
fn properties(analysis: &Analysis) -> Vec<String> {
    let symmetry = match (&analysis.definiteness, analysis.symmetry.values) {
        (Definiteness::NotSymmetric, _) => "not symmetric",
        (Definiteness::Positive, _) => "symmetric positive definite",
        (Definiteness::Negative, _) => "symmetric negative definite",
        (Definiteness::RefutedByDiagonal { .. } | Definiteness::RefutedByMinor { .. }, _) => {
            "symmetric, NOT positive definite"
        }
        (Definiteness::Unknown, true) => "symmetric",
        (Definiteness::Unknown, false) => "symmetric up to rounding",
    };
    let dominance = match analysis.row_dominance.kind {
        DominanceKind::Strict => "strictly diagonally dominant".to_owned(),
        DominanceKind::Irreducible | DominanceKind::WeaklyChained | DominanceKind::Weak => {
            "weakly diagonally dominant".to_owned()
        }
        DominanceKind::None if analysis.h_matrix_up_to_rounding.is_some() => {
            "diagonally dominant up to rounding".to_owned()
        }
        DominanceKind::None => {
            format!(
                "{} rows not diagonally dominant",
                grouped(
                    analysis.row_dominance.violated_lines - analysis.row_dominance.rounding_lines
                )
            )
        }
    };
    let mut properties = vec![symmetry.to_owned(), dominance];
    if analysis.m_matrix {
        properties.push("M-matrix".to_owned());
    }
    if analysis.components.count > 1 {
        properties.push(format!("{} components", grouped(analysis.components.count)));
    }
    properties
}
