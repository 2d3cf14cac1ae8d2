//! The warm method of a live system: the one that the solve ended with, its preconditioner or factor
//! kept. Owns flights (a method on its way from one kept state to the next), when a preconditioner has
//! worn out, and which method follows one that fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::analysis::Analysis;
use crate::solver::engine::{Handover, Selection};
use crate::solver::iterate::{Advance, Problem};
use crate::solver::live::engine::flight::{Flight, Landing};
use crate::solver::live::engine::report::{LiveEnd, LiveStop, LiveWork};
use crate::solver::live::engine::standing::{Class, Standing};
use crate::solver::live::engine::wear::Wear;
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::method::Method;
use crate::solver::method::hybrid::{self, Candidate};
use crate::solver::options::{MethodName, SolveOptions};
use crate::solver::outcome::{StopReason, Work};

/// How small the residual norm must become, and how small it should.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    /// `tolerance · ‖b‖₂`.
    pub threshold: f64,
    /// Below the threshold, so that few rows stay above theirs and small changes need no work.
    pub target: f64,
}

/// The method in force, and what stands ready behind it.
#[derive(Debug)]
pub(super) struct Iteration {
    options: SolveOptions,
    /// What the candidates were chosen for.
    class: Class,
    /// Entries of `A` that have changed since then.
    changed_since_analysis: u64,
    candidate: Candidate,
    candidates: VecDeque<Candidate>,
    method: Method,
    selection: Selection,
    wear: Wear,
    flight: Option<Flight>,
    /// Over all methods, the solve included.
    iteration: u64,
    /// Since the last change or arrival.
    iterations_since: u64,
    /// Nothing is left to try before the next change.
    stop: Option<LiveStop>,
    unwanted: Arc<AtomicBool>,
}

/// The parts of a solve that are not the method's.
pub(super) struct Rest {
    pub system: crate::solver::system::LinearSystem,
    pub analysis: Analysis,
    pub x: Vec<f64>,
}

impl Iteration {
    pub fn of(handover: Handover) -> (Self, Rest) {
        let Handover {
            system,
            analysis,
            options,
            selection,
            candidate,
            candidates,
            method,
            x,
            iteration,
            unwanted,
        } = handover;
        let iteration = Self {
            class: Standing::of(&analysis).class(),
            changed_since_analysis: 0,
            wear: Wear::after(&candidate, iteration, options.tolerance),
            flight: None,
            iterations_since: 0,
            stop: None,
            options,
            candidate,
            candidates,
            method,
            selection,
            iteration,
            unwanted,
        };
        (iteration, Rest { system, analysis, x })
    }

    pub fn options(&self) -> &SolveOptions {
        &self.options
    }

    pub fn is_direct(&self) -> bool {
        self.candidate.method == MethodName::Direct
    }

    /// Frees the factor of `direct`, where another engine has one.
    pub fn release_factor(&mut self) {
        if self.is_direct() {
            self.method = Method::of(&self.candidate, &self.options);
        }
    }

    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// Is not to be offered before the next change.
    pub fn stop_with(&mut self, stop: LiveStop) {
        self.stop = Some(stop);
    }

    /// Why it is not offered, where nothing is left to try.
    pub fn stop(&self) -> Option<&LiveStop> {
        self.stop.as_ref()
    }

    pub fn limit_memory(&mut self, bytes_max: u64) {
        self.options.memory_bytes_max = self.options.memory_bytes_max.min(bytes_max.max(1));
    }

    pub fn heed(&mut self, unwanted: Arc<AtomicBool>) {
        self.unwanted = unwanted;
    }

    /// `A` or `b` changed: what failed may work now.
    pub fn system_changed(&mut self) {
        self.stop = None;
        self.iterations_since = 0;
        if let Some(flight) = &mut self.flight {
            flight.note_change();
        }
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        self.changed_since_analysis += 1;
        self.wear.entry_changed(change);
    }

    /// Gives a flight up; what it has reached is lost.
    pub fn abandon(&mut self) {
        if self.flight.take().is_some() {
            self.method.restart();
        }
    }

    /// Until settled from a residual of norm `norm`, the set-up of what has worn out beside.
    pub fn predicted(&self, live: &LiveSystem, norm: f64, aim: Aim) -> (Work, Work) {
        let problem = problem(live, live.rhs(), aim.target, (&self.options, &self.unwanted), 0);
        let norm = self.flight.as_ref().map_or(norm, |flight| flight.norm().min(norm));
        let iterations = self.wear.iterations(norm / aim.target);
        let step = self.method.next_work(&problem);
        let product = problem.product_work();
        let vectors = problem.vector_work(4);
        match self.method.is_set_up() && !self.wear.is_out(&self.candidate) {
            true => (times(step, iterations) + product + vectors, Work::default()),
            false => {
                // What an iteration will take is not known before the set-up.
                let fresh = Method::of(&self.candidate, &self.options);
                let set_up = fresh.next_work(&problem) + self.wear.set_up();
                (times(product, 4 * iterations) + vectors, set_up)
            }
        }
    }

    /// One iteration.
    pub fn step_work(&self, live: &LiveSystem) -> Work {
        let limits = (&self.options, &self.unwanted);
        self.method.next_work(&problem(live, live.rhs(), 1.0, limits, 0))
    }

    pub fn next_step_bytes(&self, live: &LiveSystem) -> u64 {
        let limits = (&self.options, &self.unwanted);
        self.method.next_step_bytes(&problem(live, live.rhs(), 1.0, limits, 0))
    }

    pub fn memory_bytes(&self) -> u64 {
        self.method.memory_bytes() + self.flight.as_ref().map_or(0, Flight::memory_bytes)
    }

    /// Iterates until settled, or until `entries_max` is used up. `live` keeps its state until a flight
    /// lands on a better one.
    pub fn work(
        &mut self,
        live: &mut LiveSystem,
        standing: &mut Standing,
        aim: Aim,
        entries_max: u64,
    ) -> (LiveWork, Option<f64>) {
        let mut work = Work::default();
        let mut landed = None;
        let end = loop {
            if let Some(stop) = &self.stop {
                break LiveEnd::Failed(stop.clone());
            }
            if work.nonzeros >= entries_max && work.nonzeros > 0 {
                break LiveEnd::Paused;
            }
            if self.flight.is_none()
                && let Some(end) = self.depart(live, standing, &mut work)
            {
                break end;
            }
            if let Some(end) = self.step(live, aim, &mut work, &mut landed) {
                break end;
            }
        };
        (LiveWork { work, end }, landed)
    }

    /// Makes ready for a flight: the matrix in one piece, the method suited to it.
    fn depart(
        &mut self,
        live: &mut LiveSystem,
        standing: &mut Standing,
        work: &mut Work,
    ) -> Option<LiveEnd> {
        if live.matrix().overlaid() > 0 {
            live.merge();
            work.nonzeros += 4 * live.matrix().nonzeros() as u64;
        }
        if standing.class() != self.class
            && let Err(stop) = self.choose_anew(live, standing, work)
        {
            self.stop = Some(stop.clone());
            return Some(LiveEnd::Failed(stop));
        }
        if self.wear.is_out(&self.candidate) && self.method.is_set_up() {
            self.rebuild();
        }
        self.method.restart();
        let patience = self.method.patience(live.order());
        self.flight = Some(Flight::depart(live, self.candidate.method, patience));
        work.nonzeros += 2 * live.order() as u64;
        None
    }

    fn rebuild(&mut self) {
        self.method = Method::of(&self.candidate, &self.options);
        self.wear.rebuilt();
    }

    /// Analyses the matrix as it is and takes the first of the methods that suit it. O(nnz).
    fn choose_anew(
        &mut self,
        live: &LiveSystem,
        standing: &mut Standing,
        work: &mut Work,
    ) -> Result<(), LiveStop> {
        let rows = live.matrix().stored_rows();
        let analysis = Analysis::of_rows(rows);
        work.nonzeros += 10 * rows.values.len() as u64;
        *standing = Standing::of(&analysis);
        self.class = standing.class();
        self.changed_since_analysis = 0;
        let found = hybrid::candidates(&analysis, rows, &self.options);
        self.candidates = found.inspect_err(|_| self.class = Class::UNSUITED)?.into();
        let next = self.candidates.pop_front().expect("there is always a candidate");
        let is_same = |a: &Candidate, b: &Candidate| {
            (a.method, a.preconditioner, a.shape) == (b.method, b.preconditioner, b.shape)
        };
        if !is_same(&next, &self.candidate) {
            self.take(next);
        }
        Ok(())
    }

    fn take(&mut self, next: Candidate) {
        self.method = Method::of(&next, &self.options);
        self.wear = Wear::unknown(&next);
        self.selection.method = next.method;
        self.selection.preconditioner = next.preconditioner;
        self.selection.reasons = vec![next.reason.clone()];
        self.candidate = next;
    }

    /// One set-up, one iteration, or a landing.
    fn step(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        work: &mut Work,
        landed: &mut Option<f64>,
    ) -> Option<LiveEnd> {
        let flight = self.flight.as_mut().expect("departed before");
        if flight.norm() <= aim.target {
            return self.arrive(live, aim, work, landed);
        }
        if self.iterations_since >= self.options.iterations_max {
            let iterations_max = self.options.iterations_max;
            let residual_norm = flight.norm();
            let reason = StopReason::IterationLimit { iterations_max, residual_norm };
            return self.fail(live, aim, work, landed, reason);
        }
        let limits = (&self.options, &self.unwanted);
        let (rhs, course) = flight.parts();
        let problem = problem(live, rhs, aim.target, limits, self.iteration);
        match self.method.step(&problem, &mut course.iterate) {
            Advance::Prepared(preparation) => {
                *work += preparation.work;
                self.wear.set_up_took(preparation.work);
                Some(LiveEnd::Prepared(preparation))
            }
            Advance::Iterated(step) => {
                *work += step;
                self.iteration += 1;
                self.iterations_since += 1;
                self.wear.iterated(step);
                let left = self.options.iterations_max.saturating_sub(self.iterations_since);
                let measured = course.after_iteration(&problem, &mut self.method, left);
                match measured {
                    Ok(product) => {
                        *work += product;
                        None
                    }
                    Err(reason) => self.fail(live, aim, work, landed, reason),
                }
            }
            Advance::Failed(reason) => self.fail(live, aim, work, landed, reason),
            Advance::Unaffordable(why) => {
                self.flight = None;
                let next = self.candidates.pop_front();
                let next = next.expect("the last candidate has no limit of operations");
                let reason = next.reason.clone();
                self.take(next);
                self.selection.reasons = vec![reason, why];
                None
            }
        }
    }

    /// Takes `x` over and measures it against the system as it is now.
    fn arrive(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        work: &mut Work,
        landed: &mut Option<f64>,
    ) -> Option<LiveEnd> {
        let landing = self.land(live, aim, work);
        *landed = Some(landing.norm);
        if landing.norm <= aim.threshold {
            self.wear.arrived(&landing);
            self.iterations_since = 0;
            return Some(LiveEnd::Settled);
        }
        if landing.has_changed {
            // What came on the way is left: the next flight takes it up.
            self.wear.arrived(&landing);
            return None;
        }
        let reason = StopReason::Stagnated {
            method: self.candidate.method,
            residual_norm: landing.norm,
            window: landing.iterations,
            expected_fall_percent: 50,
        };
        match landing.norm <= 0.5 * landing.norm_before {
            true => None,
            false => self.give_up(live, aim, reason),
        }
    }

    fn land(&mut self, live: &mut LiveSystem, aim: Aim, work: &mut Work) -> Landing {
        let mut flight = self.flight.take().expect("a flight that lands has departed");
        let limits = (&self.options, &self.unwanted);
        let (rhs, course) = flight.parts();
        let problem = problem(live, rhs, aim.target, limits, self.iteration);
        self.method.settle(&problem, &mut course.iterate);
        let product = problem.product_work() + problem.vector_work(4);
        self.method.restart();
        let landing = flight.land(live);
        *work += product;
        if !landing.is_better {
            *work += product;
        }
        landing
    }

    /// A method failed: keep what it has reached, and find out who goes on.
    fn fail(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        work: &mut Work,
        landed: &mut Option<f64>,
        reason: StopReason,
    ) -> Option<LiveEnd> {
        let landing = self.land(live, aim, work);
        *landed = Some(landing.norm);
        if landing.norm <= aim.threshold {
            self.iterations_since = 0;
            return Some(LiveEnd::Settled);
        }
        self.give_up(live, aim, reason)
    }

    /// A worn preconditioner is renewed, then `hybrid` goes on with the next method; a matrix that has
    /// changed since it was analysed gets another analysis.
    fn give_up(&mut self, live: &LiveSystem, aim: Aim, reason: StopReason) -> Option<LiveEnd> {
        let is_limit = matches!(reason, StopReason::IterationLimit { .. });
        if !is_limit && self.wear.is_worn() {
            self.rebuild();
            return None;
        }
        let limit = self.precision_limit(live, aim);
        let may_go_on = !is_limit && limit.is_none() && self.options.method == MethodName::Hybrid;
        if may_go_on && let Some(next) = self.next_candidate() {
            self.take(next);
            return None;
        }
        if may_go_on && self.changed_since_analysis > 0 {
            self.class = Class::UNSUITED;
            return None;
        }
        // The next change starts from the first method again.
        self.class = Class::UNSUITED;
        let stop = LiveStop::Method(limit.unwrap_or(reason));
        self.stop = Some(stop.clone());
        Some(LiveEnd::Failed(stop))
    }

    fn next_candidate(&mut self) -> Option<Candidate> {
        let failed = (self.candidate.method, self.candidate.preconditioner);
        std::iter::from_fn(|| self.candidates.pop_front())
            .find(|next| (next.method, next.preconditioner) != failed)
    }

    /// Whether rounding explains why the state kept is not settled. One product.
    fn precision_limit(&self, live: &LiveSystem, aim: Aim) -> Option<StopReason> {
        let limits = (&self.options, &self.unwanted);
        let problem = problem(live, live.rhs(), aim.target, limits, self.iteration);
        let x = live.copy_x();
        let residual_norm = live.residual_norm();
        let rounding_limit = crate::solver::residual::rounding_limit(&problem, &x);
        let is_reached = residual_norm <= rounding_limit
            && rounding_limit <= crate::solver::kernel::norm2(live.rhs());
        is_reached.then_some(StopReason::PrecisionLimit { residual_norm, rounding_limit })
    }
}

/// The system as a method sees it: entries that wait in the overlay are left out.
fn problem<'a>(
    live: &'a LiveSystem,
    rhs: &'a [f64],
    threshold: f64,
    (options, unwanted): (&SolveOptions, &'a Arc<AtomicBool>),
    iteration: u64,
) -> Problem<'a> {
    let memory_bytes_max = options.memory_bytes_max;
    let rows = live.matrix().stored_rows();
    Problem { rows, rhs, threshold, iteration, memory_bytes_max, unwanted }
}

fn times(work: Work, count: u64) -> Work {
    Work { nonzeros: work.nonzeros.saturating_mul(count), flops: work.flops.saturating_mul(count) }
}
