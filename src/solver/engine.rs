//! The numeric state of one session: system, `x`, residual and method, as one owned value that
//! travels between a session and a worker. Nothing in it is shared.
//!
//! Owns when a solve ends and what it may claim. A method reports a tracked residual; convergence is
//! claimed only for a residual measured as `b − A x`, which is also done every
//! [`MEASURE_INTERVAL`] iterations and whenever the tracked norm has fallen by [`MEASURE_FALL`].

mod announced;
mod best;
mod claims;
mod correcting;
mod ending;
mod handover;
mod opening;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::analysis::Analysis;
use crate::solver::digest::RowDigests;
use crate::solver::engine::announced::Announced;
use crate::solver::engine::best::Best;
use crate::solver::engine::claims::{FalseClaims, Stall};
use crate::solver::huge_pages;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel;
use crate::solver::method::Method;
use crate::solver::method::hybrid::{self, Candidate};
use crate::solver::options::{MethodName, PreconditionerName, SolveOptions};
use crate::solver::outcome::{Outcome, Progress, Refusal, Step, StopReason, Work};
use crate::solver::scaling::{ScaledArrays, Scaling};
use crate::solver::system::{LinearSystem, Rows};
use crate::solver::watch::{Outlook, Watch};

pub(crate) use handover::Handover;

/// Iterations between two measurements of the residual.
pub const MEASURE_INTERVAL: u64 = 50;

/// The residual is measured early when its tracked norm has fallen to this fraction of the measured one.
pub const MEASURE_FALL: f64 = 1e-10;

/// What was chosen for a system, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    /// Sentences for people, most important first.
    pub reasons: Vec<String>,
}

/// A solve that can be stopped and taken up again between any two steps.
#[derive(Debug)]
pub struct Engine {
    system: LinearSystem,
    analysis: Analysis,
    options: SolveOptions,
    scaling: Scaling,
    scaled: Option<ScaledArrays>,
    rhs_norm: f64,
    selection: Selection,
    candidate: Candidate,
    /// What `hybrid` tries next.
    candidates: VecDeque<Candidate>,
    method: Method,
    iterate: Iterate,
    /// Best state seen at a measurement, where it is not the present one.
    best: Option<Best>,
    /// What the caller sees, where it is not the iterate itself.
    announced: Option<Announced>,
    watch: Option<Watch>,
    iteration: u64,
    measured_at: u64,
    measured_norm: f64,
    claims: FalseClaims,
    /// How far the tracked norm was off at most, since somebody asked.
    gap: f64,
    /// The largest tracked norm since it was measured.
    peak: f64,
    /// What each row of the system should hold.
    digests: RowDigests,
    /// Why `direct` failed, where `hybrid` went on without it.
    factorisation_failed: Option<StopReason>,
    /// The caller's guess, where zero took its place.
    replaced_guess: Option<Vec<f64>>,
    outcome: Option<Outcome>,
    unwanted: Arc<AtomicBool>,
}

impl Engine {
    /// Checks options and guess against the system and chooses the method. O(nnz) at most; the heavy
    /// set-up is the first step.
    ///
    /// # Errors
    /// A [`Refusal`] when the method cannot work on this system, with the one that would.
    pub fn new(
        system: LinearSystem,
        analysis: Analysis,
        initial_guess: Option<Vec<f64>>,
        options: SolveOptions,
    ) -> Result<Self, Refusal> {
        if let Some(fault) = options.faults().into_iter().next() {
            return Err(fault.into());
        }
        opening::check_guess(&system, initial_guess.as_deref())?;
        let mut candidates =
            VecDeque::from(hybrid::candidates(&analysis, system.rows(), &options)?);
        let candidate = candidates.pop_front().expect("there is always a candidate");
        let scaling = Scaling::of(system.rows(), system.rhs());
        let scaled = scaling.apply(system.rows(), system.rhs());
        let x = initial_guess.unwrap_or_else(|| huge_pages::zeros(system.order()));
        let mut engine = Self {
            rhs_norm: kernel::norm2(system.rhs()),
            selection: Selection {
                method: candidate.method,
                preconditioner: candidate.preconditioner,
                reasons: vec![candidate.reason.clone()],
            },
            method: Method::of(&candidate, &options),
            iterate: Iterate { x, r: vec![], norm: f64::INFINITY, is_true: false },
            best: None,
            announced: None,
            watch: None,
            iteration: 0,
            measured_at: 0,
            measured_norm: f64::INFINITY,
            claims: FalseClaims::default(),
            gap: 0.0,
            peak: 0.0,
            digests: digests_of(&system),
            factorisation_failed: None,
            replaced_guess: None,
            outcome: None,
            unwanted: Arc::default(),
            system,
            analysis,
            options,
            scaling,
            scaled,
            candidate,
            candidates,
        };
        engine.open();
        Ok(engine)
    }

    /// Does the next piece of work: one set-up or one iteration.
    pub fn step(&mut self) -> Step {
        if let Some(outcome) = &self.outcome {
            return Step::Finished(outcome.clone());
        }
        self.announced = None;
        if self.watch.is_none() {
            self.begin();
        }
        if let Some(step) = self.settle_claim() {
            return step;
        }
        let iterations_max = self.options.iterations_max;
        if self.iteration >= iterations_max {
            let residual_norm = self.scaling.unscale_norm(self.iterate.norm);
            return self.stop(StopReason::IterationLimit { iterations_max, residual_norm });
        }
        let (advance, work) = self.advance();
        match advance {
            Advance::Prepared(preparation) => Step::Prepared(preparation),
            Advance::Iterated(_) => self.after_iteration(work),
            Advance::Failed(reason) => {
                let reason = self.in_callers_scale(reason);
                self.give_up(reason)
            }
            Advance::Unaffordable(why) => {
                self.settle();
                match self.candidates.pop_front() {
                    Some(next) => self.switch(next, why, None),
                    None => unreachable!("the last candidate has no limit of operations"),
                }
            }
        }
    }

    /// What the first step does before it works.
    fn begin(&mut self) {
        if self.candidate.method != MethodName::Direct {
            self.settle_in_memory();
        }
        self.begin_watch();
    }

    /// Puts what every iteration streams through onto huge pages.
    fn settle_in_memory(&mut self) {
        let Rows { pointers, indices, values, .. } = self.system.rows();
        huge_pages::gather(pointers);
        huge_pages::gather(indices);
        huge_pages::gather(values);
        huge_pages::gather(self.system.rhs());
    }

    fn begin_watch(&mut self) {
        let patience = self.method.patience(self.system.order());
        let norm = self.iterate.norm;
        self.watch = Some(Watch::new(self.candidate.method, patience, self.iteration, norm));
    }

    /// Checks a tracked norm below the threshold against a measured one.
    fn settle_claim(&mut self) -> Option<Step> {
        if self.iterate.norm > self.threshold() {
            return None;
        }
        self.settle();
        if self.iterate.norm <= self.threshold() {
            return Some(self.finish_converged());
        }
        self.method.restart();
        let found = self.claims.note_false(self.iteration, self.iterate.norm);
        if let Some(Stall { window, expected_fall_percent }) = found {
            let method = self.candidate.method;
            let residual_norm = self.scaling.unscale_norm(self.iterate.norm);
            let reason =
                StopReason::Stagnated { method, residual_norm, window, expected_fall_percent };
            return Some(self.give_up(reason));
        }
        None
    }

    /// Brings `x` up to date and measures its residual, if either lags behind.
    fn settle(&mut self) {
        let (problem, method, iterate) = self.parts();
        method.settle(&problem, iterate);
        if !iterate.is_true {
            let tracked = iterate.norm;
            iterate.measure(&problem);
            self.note_gap(tracked);
        }
        self.measured_at = self.iteration;
        self.measured_norm = self.iterate.norm;
    }

    fn advance(&mut self) -> (Advance, Work) {
        let (problem, method, iterate) = self.parts();
        let advance = method.step(&problem, iterate);
        let work = if let Advance::Iterated(work) = &advance { *work } else { Work::default() };
        (advance, work)
    }

    fn after_iteration(&mut self, mut work: Work) -> Step {
        self.iteration += 1;
        self.peak = self.peak.max(self.iterate.norm);
        if self.measurement_is_due() {
            work += self.system.product_work();
            self.replace_residual();
        }
        let outlook = Outlook {
            iteration: self.iteration,
            iterations_left: self.options.iterations_max.saturating_sub(self.iteration),
            threshold: self.threshold(),
        };
        let norm = self.iterate.norm;
        let alarm = self.watch.as_mut().and_then(|watch| watch.observe(norm, outlook));
        if let Some(reason) = alarm
            && !self.is_only_slow(&reason)
        {
            let reason = self.in_callers_scale(reason);
            return self.give_up(reason);
        }
        Step::Iterated(Progress {
            iteration: self.iteration,
            residual_norm: self.scaling.unscale_norm(norm),
            residual_is_true: self.iterate.is_true && !self.method.holds_back(),
            work,
        })
    }

    /// A method that converges for certain is never given up for being slow, only at the limit of
    /// rounding.
    fn is_only_slow(&self, reason: &StopReason) -> bool {
        hybrid::certain(&self.analysis, &self.candidate, &self.options)
            && self.iterate.norm.is_finite()
            && self.precision_limit(reason).is_none()
    }

    fn measurement_is_due(&self) -> bool {
        let norm = self.iterate.norm;
        if self.method.holds_back() || !norm.is_finite() {
            return false;
        }
        let scheduled = self.iteration >= self.measured_at + MEASURE_INTERVAL;
        scheduled || (!self.iterate.is_true && norm < MEASURE_FALL * self.measured_norm)
    }

    /// Measures `r` in place of the tracked one and remembers the state if it is the best so far.
    fn replace_residual(&mut self) {
        if !self.iterate.is_true {
            let (problem, method, iterate) = self.parts();
            let tracked = iterate.norm;
            iterate.measure(&problem);
            method.residual_replaced();
            self.note_gap(tracked);
        }
        self.measured_at = self.iteration;
        self.measured_norm = self.iterate.norm;
        self.keep_best();
    }

    /// Whether a row of the caller's system holds what the solve was opened with.
    fn is_intact(&self, row: usize, rows: Rows<'_>, rhs: f64) -> bool {
        self.digests.is_intact(row, entries(rows, row), rhs)
    }

    /// The problem in the engine's scale, beside the method and the iterate that work on it.
    fn parts(&mut self) -> (Problem<'_>, &mut Method, &mut Iterate) {
        let threshold = self.threshold();
        let scaled = self.scaled.as_ref();
        let limits = (self.options.memory_bytes_max, &self.unwanted);
        let problem = problem(&self.system, scaled, threshold, self.iteration, limits);
        (problem, &mut self.method, &mut self.iterate)
    }

    fn problem(&self) -> Problem<'_> {
        let (scaled, threshold) = (self.scaled.as_ref(), self.threshold());
        let limits = (self.options.memory_bytes_max, &self.unwanted);
        problem(&self.system, scaled, threshold, self.iteration, limits)
    }

    /// The threshold in the engine's scale.
    fn threshold(&self) -> f64 {
        match &self.scaled {
            None => self.residual_threshold(),
            Some(scaled) => self.options.tolerance * kernel::norm2(&scaled.rhs),
        }
    }

    /// What the next [`step`](Self::step) is expected to cost.
    pub fn next_step_work(&self) -> Work {
        if self.outcome.is_some() {
            return Work::default();
        }
        let problem = self.problem();
        let claim = self.iterate.norm <= problem.threshold;
        if claim {
            return self.announce_work();
        }
        self.method.next_work(&problem)
    }

    /// `‖b‖₂`.
    pub fn rhs_norm(&self) -> f64 {
        self.rhs_norm
    }

    /// The residual norm at or below which the solve has converged: `tolerance · ‖b‖₂`.
    pub fn residual_threshold(&self) -> f64 {
        self.options.tolerance * self.rhs_norm
    }

    /// Iterations done so far, over all methods.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The method and preconditioner in force, with the reasons.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    pub fn system(&self) -> &LinearSystem {
        &self.system
    }

    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    pub fn options(&self) -> &SolveOptions {
        &self.options
    }

    /// Lowers the memory that factors may take to what there is. To be called before the first step.
    pub fn limit_memory(&mut self, bytes_max: u64) {
        self.options.memory_bytes_max = self.options.memory_bytes_max.min(bytes_max.max(1));
        self.method = Method::of(&self.candidate, &self.options);
    }

    /// Leaves a factorisation off as soon as `unwanted` is set. The step that did it reports a set-up;
    /// the next one would begin it anew.
    pub fn heed(&mut self, unwanted: Arc<AtomicBool>) {
        self.unwanted = unwanted;
    }

    /// How the solve ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Bytes that the next [`step`](Self::step) is predicted to take beyond
    /// [`memory_bytes`](Self::memory_bytes) while it runs: those of a factorisation or a hierarchy.
    pub fn next_step_bytes(&self) -> u64 {
        if self.outcome.is_some() { 0 } else { self.method.next_step_bytes(&self.problem()) }
    }

    /// Bytes held by system, `x` and the method's own vectors and factors.
    pub fn memory_bytes(&self) -> u64 {
        let scaled =
            self.scaled.as_ref().map_or(0, |scaled| scaled.values.len() + scaled.rhs.len());
        let kept = self.best.as_ref().map_or(0, |best| best.x.len());
        let announced = self.announced.as_ref().map_or(0, Announced::len);
        let replaced = self.replaced_guess.as_ref().map_or(0, Vec::len);
        let vectors =
            self.iterate.x.len() + self.iterate.r.len() + kept + announced + scaled + replaced;
        let digests = self.digests.memory_bytes() as u64;
        self.system.memory_bytes() + digests + 8 * vectors as u64 + self.method.memory_bytes()
    }
}

fn digests_of(system: &LinearSystem) -> RowDigests {
    let rows = system.rows();
    RowDigests::of(system.rhs(), |row| entries(rows, row))
}

/// Columns and values of a row.
fn entries(rows: Rows<'_>, row: usize) -> impl Iterator<Item = (u32, f64)> {
    let (cols, values) = rows.row(row);
    cols.iter().copied().zip(values.iter().copied())
}

fn problem<'a>(
    system: &'a LinearSystem,
    scaled: Option<&'a ScaledArrays>,
    threshold: f64,
    iteration: u64,
    (memory_bytes_max, unwanted): (u64, &'a Arc<AtomicBool>),
) -> Problem<'a> {
    let (rows, rhs) = match scaled {
        None => (system.rows(), system.rhs()),
        Some(scaled) => (Rows { values: &scaled.values, ..system.rows() }, scaled.rhs.as_slice()),
    };
    Problem { rows, corrections: &[], rhs, threshold, iteration, memory_bytes_max, unwanted }
}
