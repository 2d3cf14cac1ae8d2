//! The numeric state of one session: system, `x`, residual and method, as one owned value that
//! travels between a session and a worker. Nothing in it is shared.
//!
//! Owns when a solve ends and what it may claim. A method reports a tracked residual; convergence is
//! claimed only for a residual measured as `b − A x`, which is also done every
//! [`MEASURE_INTERVAL`] iterations and whenever the tracked norm has fallen by [`MEASURE_FALL`].

use std::collections::VecDeque;

use crate::solver::analysis::Analysis;
use crate::solver::huge_pages;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel;
use crate::solver::method::Method;
use crate::solver::method::hybrid::{self, Candidate};
use crate::solver::options::{MethodName, PreconditionerName, SolveOptions};
use crate::solver::outcome::{MethodSwitch, Outcome, Progress, Refusal, Step, StopReason, Work};
use crate::solver::residual;
use crate::solver::scaling::{ScaledArrays, Scaling};
use crate::solver::system::{LinearSystem, Rows};
use crate::solver::watch::{Outlook, Watch};

/// Iterations between two measurements of the residual.
pub const MEASURE_INTERVAL: u64 = 50;

/// The residual is measured early when its tracked norm has fallen to this fraction of the measured one.
pub const MEASURE_FALL: f64 = 1e-10;

/// Claims of convergence that may turn out false before the solve counts as limited by rounding.
const FALSE_CLAIMS_MAX: u32 = 3;

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
    best: Option<Kept>,
    /// `x` in the caller's scale, where the iterate is not in it.
    announced: Option<Vec<f64>>,
    watch: Option<Watch>,
    iteration: u64,
    measured_at: u64,
    measured_norm: f64,
    false_claims: u32,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct Kept {
    x: Vec<f64>,
    norm: f64,
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
        check_guess(&system, initial_guess.as_deref())?;
        let mut candidates =
            VecDeque::from(hybrid::candidates(&analysis, system.rows(), &options)?);
        let candidate = candidates.pop_front().expect("there is always a candidate");
        let scaling = Scaling::of(system.rows(), system.rhs());
        let scaled = scaling.apply(system.rows(), system.rhs());
        let n = system.order();
        let mut x = initial_guess.unwrap_or_else(|| huge_pages::zeros(n));
        if scaled.is_some() {
            x.iter_mut().for_each(|x| *x = scaling.scale_x(*x));
            if x.iter().any(|x| !x.is_finite()) {
                x = vec![0.0; n];
            }
        }
        Ok(Self {
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
            false_claims: 0,
            outcome: None,
            system,
            analysis,
            options,
            scaling,
            scaled,
            candidate,
            candidates,
        })
    }

    /// Does the next piece of work: one set-up or one iteration.
    pub fn step(&mut self) -> Step {
        if let Some(outcome) = &self.outcome {
            return Step::Finished(outcome.clone());
        }
        self.announced = None;
        if self.iterate.r.is_empty() {
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
            Advance::Failed(reason) => self.give_up(reason),
            Advance::Unaffordable(why) => match self.candidates.pop_front() {
                Some(next) => self.switch(next, why),
                None => unreachable!("the last candidate has no limit of operations"),
            },
        }
    }

    /// Measures the residual of the initial guess. For `b = 0` the answer is `x = 0` at once.
    fn begin(&mut self) {
        let n = self.system.order();
        if self.rhs_norm == 0.0 {
            self.iterate = Iterate { x: vec![0.0; n], r: vec![0.0; n], norm: 0.0, is_true: true };
            return;
        }
        self.iterate.r = huge_pages::zeros(n);
        if self.candidate.method != MethodName::Direct {
            self.settle_in_memory();
        }
        let (problem, _, iterate) = self.parts();
        if iterate.x.iter().all(|x| *x == 0.0) {
            iterate.r.copy_from_slice(problem.rhs);
            iterate.norm = kernel::norm2(problem.rhs);
            iterate.is_true = true;
        } else {
            iterate.measure(&problem);
        }
        if !self.iterate.norm.is_finite() {
            self.reset_to_zero();
        }
        self.measured_norm = self.iterate.norm;
        self.keep_best();
        self.begin_watch();
    }

    /// Puts what every iteration streams through onto huge pages.
    fn settle_in_memory(&mut self) {
        let Rows { pointers, indices, values } = self.system.rows();
        huge_pages::gather(pointers);
        huge_pages::gather(indices);
        huge_pages::gather(values);
        huge_pages::gather(self.system.rhs());
    }

    /// A guess so large that its residual overflows is worth less than none.
    fn reset_to_zero(&mut self) {
        let (problem, _, iterate) = self.parts();
        iterate.x.fill(0.0);
        iterate.r.copy_from_slice(problem.rhs);
        iterate.norm = kernel::norm2(problem.rhs);
        iterate.is_true = true;
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
        self.false_claims += 1;
        self.method.restart();
        if self.false_claims >= FALSE_CLAIMS_MAX {
            let residual_norm = self.scaling.unscale_norm(self.iterate.norm);
            return Some(self.give_up(StopReason::Stagnated {
                method: self.candidate.method,
                residual_norm,
                window: 1,
                expected_fall_percent: 1,
            }));
        }
        None
    }

    /// Brings `x` up to date and measures its residual, if either lags behind.
    fn settle(&mut self) {
        let (problem, method, iterate) = self.parts();
        method.settle(&problem, iterate);
        if !iterate.is_true {
            iterate.measure(&problem);
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
    fn is_only_slow(&mut self, reason: &StopReason) -> bool {
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
            iterate.measure(&problem);
            method.residual_replaced();
        }
        self.measured_at = self.iteration;
        self.measured_norm = self.iterate.norm;
        self.keep_best();
    }

    fn keep_best(&mut self) {
        let norm = self.iterate.norm;
        if !norm.is_finite() || self.best.as_ref().is_some_and(|best| best.norm <= norm) {
            return;
        }
        match &mut self.best {
            Some(best) => {
                best.x.copy_from_slice(&self.iterate.x);
                best.norm = norm;
            }
            None => self.best = Some(Kept { x: self.iterate.x.clone(), norm }),
        }
    }

    /// Ends a method that failed: with the answer, if it is one; with the next candidate of `hybrid`;
    /// or for good.
    fn give_up(&mut self, reason: StopReason) -> Step {
        self.settle();
        self.restore_best();
        if self.iterate.norm <= self.threshold() {
            return self.finish_converged();
        }
        if let Some(limit) = self.precision_limit(&reason) {
            return self.stop(limit);
        }
        match self.next_candidate() {
            Some(next) => self.switch(next, reason.to_string()),
            None => self.stop(reason),
        }
    }

    /// The next candidate that is not the one that failed.
    fn next_candidate(&mut self) -> Option<Candidate> {
        let failed = self.candidate.clone();
        std::iter::from_fn(|| self.candidates.pop_front()).find(|next| {
            next.method != failed.method
                || next.preconditioner != failed.preconditioner
                || (next.method == MethodName::Direct && failed.flops_max < next.flops_max)
        })
    }

    /// Takes back the best state if the present one is worse or not finite.
    fn restore_best(&mut self) {
        let Some(best) = self.best.take() else { return };
        let worse = self.iterate.norm.is_nan() || self.iterate.norm > best.norm;
        if worse || self.iterate.x.iter().any(|x| !x.is_finite()) {
            self.iterate.x = best.x;
            let (problem, _, iterate) = self.parts();
            iterate.measure(&problem);
        }
        self.measured_norm = self.iterate.norm;
    }

    /// Whether rounding explains why the residual does not fall.
    fn precision_limit(&mut self, reason: &StopReason) -> Option<StopReason> {
        match reason {
            StopReason::Stagnated { .. }
            | StopReason::Breakdown { .. }
            | StopReason::Indefinite { .. }
            | StopReason::Diverged { .. } => {}
            StopReason::IterationLimit { .. }
            | StopReason::Singular { .. }
            | StopReason::PrecisionLimit { .. }
            | StopReason::OutOfMemoryBudget { .. } => return None,
        }
        let (problem, _, iterate) = self.parts();
        let limit = residual::rounding_limit(&problem, &iterate.x);
        (iterate.norm <= limit).then(|| StopReason::PrecisionLimit {
            residual_norm: self.scaling.unscale_norm(self.iterate.norm),
            rounding_limit: self.scaling.unscale_norm(limit),
        })
    }

    fn switch(&mut self, next: Candidate, reason: String) -> Step {
        let from = self.candidate.method;
        self.method = Method::of(&next, &self.options);
        self.selection.method = next.method;
        self.selection.preconditioner = next.preconditioner;
        self.selection.reasons.insert(0, next.reason.clone());
        let to = next.method;
        self.candidate = next;
        self.false_claims = 0;
        self.keep_best();
        self.begin_watch();
        Step::Switched(MethodSwitch { from, to, reason })
    }

    /// Ends for a reason that no other method can mend. `x` becomes the best state.
    fn stop(&mut self, reason: StopReason) -> Step {
        self.settle();
        self.restore_best();
        if self.iterate.norm <= self.threshold() {
            return self.finish_converged();
        }
        let residual_norm = self.scaling.unscale_norm(self.iterate.norm);
        let reason = match reason {
            StopReason::IterationLimit { iterations_max, .. } => {
                StopReason::IterationLimit { iterations_max, residual_norm }
            }
            other => other,
        };
        self.finish(Outcome::Stopped(reason))
    }

    fn finish_converged(&mut self) -> Step {
        let residual_norm = self.scaling.unscale_norm(self.iterate.norm);
        match self.out_of_range() {
            Some(reason) => self.finish(Outcome::Stopped(reason)),
            None => self.finish(Outcome::Converged { residual_norm }),
        }
    }

    /// A scaled solution may lie outside the range of f64 when it is brought back to the caller's scale.
    fn out_of_range(&mut self) -> Option<StopReason> {
        self.scaled.as_ref()?;
        let scaling = self.scaling;
        let outward: Vec<f64> = self.iterate.x.iter().map(|x| scaling.unscale_x(*x)).collect();
        if outward.iter().any(|x| !x.is_finite()) {
            let evidence = "the solution exceeds the largest f64".to_owned();
            return Some(StopReason::Singular { evidence });
        }
        let (problem, _, iterate) = self.parts();
        for (x, outward) in iterate.x.iter_mut().zip(outward) {
            *x = scaling.scale_x(outward);
        }
        iterate.measure(&problem);
        let norm = iterate.norm;
        (norm > problem.threshold).then(|| StopReason::PrecisionLimit {
            residual_norm: scaling.unscale_norm(norm),
            rounding_limit: scaling.unscale_norm(norm),
        })
    }

    fn finish(&mut self, outcome: Outcome) -> Step {
        self.best = None;
        self.outcome = Some(outcome.clone());
        Step::Finished(outcome)
    }

    /// The problem in the engine's scale, beside the method and the iterate that work on it.
    fn parts(&mut self) -> (Problem<'_>, &mut Method, &mut Iterate) {
        let threshold = self.threshold();
        let problem = problem(&self.system, self.scaled.as_ref(), threshold, self.iteration);
        (problem, &mut self.method, &mut self.iterate)
    }

    fn problem(&self) -> Problem<'_> {
        problem(&self.system, self.scaled.as_ref(), self.threshold(), self.iteration)
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
        let next = self.method.next_work(&problem);
        if self.iterate.r.is_empty() { next + problem.product_work() } else { next }
    }

    /// What [`solution`](Self::solution) and [`true_residual_norm`](Self::true_residual_norm) cost
    /// together in the present state. Zero where the method knows both anyway.
    pub fn announce_work(&self) -> Work {
        let problem = self.problem();
        if self.method.holds_back() {
            return self.method.form_work(&problem) + problem.product_work();
        }
        if self.iterate.is_true { Work::default() } else { problem.product_work() }
    }

    /// The current `x`, length n, always finite. Forms it where the method keeps it implicit (GMRES inside
    /// a cycle). Entries beyond the largest f64 are cut off there; such a solve never claims convergence.
    pub fn solution(&mut self) -> &[f64] {
        if self.scaled.is_none() && !self.method.holds_back() {
            return &self.iterate.x;
        }
        if self.announced.is_none() {
            let mut x = self.method.form_solution(&self.iterate);
            if self.scaled.is_some() {
                x.iter_mut()
                    .for_each(|x| *x = self.scaling.unscale_x(*x).clamp(f64::MIN, f64::MAX));
            }
            self.announced = Some(x);
        }
        self.announced.as_deref().expect("formed just now")
    }

    /// `‖b − A x‖₂`, measured now for the `x` that [`solution`](Self::solution) returns.
    pub fn true_residual_norm(&mut self) -> f64 {
        if self.iterate.is_true && !self.method.holds_back() {
            return self.scaling.unscale_norm(self.iterate.norm);
        }
        let x = self.method.form_solution(&self.iterate);
        let mut r = vec![0.0; x.len()];
        let problem = self.problem();
        let norm = problem.rows.residual(&x, problem.rhs, &mut r);
        self.scaling.unscale_norm(norm)
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

    /// How the solve ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Bytes held by system, `x` and the method's own vectors and factors.
    pub fn memory_bytes(&self) -> u64 {
        let scaled =
            self.scaled.as_ref().map_or(0, |scaled| scaled.values.len() + scaled.rhs.len());
        let kept = self.best.as_ref().map_or(0, |best| best.x.len());
        let announced = self.announced.as_ref().map_or(0, Vec::len);
        let vectors = self.iterate.x.len() + self.iterate.r.len() + kept + announced + scaled;
        self.system.memory_bytes() + 8 * vectors as u64 + self.method.memory_bytes()
    }
}

fn problem<'a>(
    system: &'a LinearSystem,
    scaled: Option<&'a ScaledArrays>,
    threshold: f64,
    iteration: u64,
) -> Problem<'a> {
    let rows = system.rows();
    match scaled {
        None => Problem { rows, rhs: system.rhs(), threshold, iteration },
        Some(scaled) => Problem {
            rows: Rows { values: &scaled.values, ..rows },
            rhs: &scaled.rhs,
            threshold,
            iteration,
        },
    }
}

fn check_guess(system: &LinearSystem, guess: Option<&[f64]>) -> Result<(), Refusal> {
    let Some(guess) = guess else { return Ok(()) };
    let (expected, found) = (system.order(), guess.len());
    if expected != found {
        return Err(Refusal::GuessLength { expected, found });
    }
    match guess.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Refusal::GuessNotFinite { index, value: guess[index] }),
        None => Ok(()),
    }
}
