//! The warm method of a live system: the one that the solve ended with, its preconditioner or factor
//! kept. Owns which method that is, what it is foreseen to take, and its flights (from one kept state to
//! the next); how a flight ends is `arrival`'s, set-ups in the background are `renewal`'s.

mod arrival;
mod choosing;
mod renewal;

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
use crate::solver::method::hybrid::Candidate;
use crate::solver::options::{MethodName, SolveOptions};
use crate::solver::outcome::{StopReason, Work};
use crate::solver::preconditioner::Diagonals;

use choosing::Analysing;
pub(super) use choosing::{AnalysisParts, AnalysisTask};
use renewal::Renewal;
pub(super) use renewal::{MethodParts, MethodTask};

/// How small the residual norm must become, and how small it should.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    /// `tolerance · ‖b‖₂`.
    pub threshold: f64,
    /// Below the threshold, so that few rows stay above theirs and small changes need no work.
    pub target: f64,
    /// The version of the system that it is for.
    pub version: u64,
}

/// The method in force, and what stands ready behind it.
#[derive(Debug)]
pub(super) struct Iteration {
    options: SolveOptions,
    /// What the candidates were chosen for.
    class: Class,
    analysing: Analysing,
    /// Entries of `A` that have changed since then.
    changed_since_analysis: u64,
    candidate: Candidate,
    candidates: VecDeque<Candidate>,
    method: Method,
    /// What is to take its place when it is set up.
    renewal: Renewal,
    /// Another engine's set-up is out: what is worn goes on as it is.
    holds_on: bool,
    /// Counts candidates taken, so that what was set up for another one is known.
    generation: u64,
    selection: Selection,
    wear: Wear,
    /// What a set-up that is no more than a diagonal has to follow.
    diagonals: Diagonals,
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
            analysing: Analysing::Apart,
            changed_since_analysis: 0,
            wear: Wear::after(&candidate, iteration, options.tolerance),
            diagonals: Diagonals::none(),
            renewal: Renewal::None,
            holds_on: false,
            generation: 0,
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
            self.renewal.discard();
            self.method = Method::of(&self.candidate, &self.options);
        }
    }

    /// Frees the vectors of a method that is set up by one pass over the rows, while another engine does its
    /// work.
    pub fn release_vectors(&mut self) {
        match self.candidate.method {
            MethodName::Jacobi | MethodName::GaussSeidel => {
                self.method = Method::of(&self.candidate, &self.options);
            }
            MethodName::Cg
            | MethodName::Bicgstab
            | MethodName::Gmres
            | MethodName::Direct
            | MethodName::Hybrid => {}
        }
    }

    /// Frees all that was set up, for good.
    pub fn retire(&mut self) {
        self.abandon();
        self.renewal.discard();
        self.method = Method::of(&self.candidate, &self.options);
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
        self.analysing.entry_changed(change);
        self.wear.entry_changed();
        if change.row == change.col && !self.is_long() {
            self.diagonals.note(change.row);
        }
        self.flight.iter_mut().for_each(|flight| flight.entry_changed(change));
        if change.is_new && !self.method.is_set_up() {
            // What was ordered so far is of another pattern.
            self.method = Method::of(&self.candidate, &self.options);
        }
    }

    /// Gives a flight up; what it has reached is lost.
    pub fn abandon(&mut self) {
        if self.flight.take().is_some() {
            self.method.restart();
        }
    }

    /// Until settled from a residual of norm `norm`, the set-up of what has worn out beside. None while
    /// what it cannot do without is being set up.
    pub fn predicted(
        &self,
        live: &LiveSystem,
        class: Class,
        norm: f64,
        aim: Aim,
    ) -> Option<(Work, Work)> {
        if self.waits_for_analysis(class) {
            return None;
        }
        let analysis = match self.wants_analysis(class) {
            true => Self::analysis_work(live),
            false => Work::default(),
        };
        let problem = problem(live, live.rhs(), aim.target, (&self.options, &self.unwanted), 0);
        let norm = self.flight.as_ref().map_or(norm, |flight| flight.norm().min(norm));
        let step = self.method.next_work(&problem);
        let product = problem.product_work();
        let vectors = problem.vector_work(4);
        if !self.is_due(&problem, aim) {
            let iterations = self.wear.iterations(norm / aim.target);
            let work = times(step, iterations) + product + vectors;
            return self.method.is_set_up().then_some((work, analysis));
        }
        let iterations = self.wear.fresh_iterations(norm / aim.target);
        let work = match self.method.is_set_up() {
            true => times(step, iterations),
            // What an iteration will take is not known before the first set-up.
            false => match self.wear.step() {
                Work { nonzeros: 0, .. } => times(product, 4 * iterations),
                step => times(step, iterations),
            },
        };
        Some((work + product + vectors, self.set_up_work(&problem) + analysis))
    }

    /// Whether a set-up is to be made before the method goes on.
    fn is_due(&self, problem: &Problem, aim: Aim) -> bool {
        match &self.renewal {
            Renewal::Out => false,
            Renewal::None | Renewal::Begun(..) if !self.method.is_set_up() => true,
            Renewal::None | Renewal::Begun(..) if self.holds_on && self.is_long() => false,
            Renewal::Begun(..) => true,
            Renewal::None => self.is_long() && self.has_worn_out(problem, aim),
        }
    }

    /// A set-up that is no more than a diagonal is made true again, O(changes).
    fn follow_diagonal(&mut self, live: &LiveSystem, work: &mut Work) {
        let changed = std::mem::replace(&mut self.diagonals, Diagonals::none());
        if changed.is_empty() || self.is_long() {
            return;
        }
        self.method.follow_diagonal(live.matrix().stored_rows(), &changed);
        self.wear.rebuilt();
        work.nonzeros += changed.count(live.order()) as u64;
    }

    /// Whether what has worn out is to go on as it is, because another engine's set-up is out.
    pub fn hold_on(&mut self, holds_on: bool) {
        self.holds_on = holds_on;
    }

    /// Whether going on with what is worn takes longer than setting it up anew, by what was wasted so far
    /// and by what the present flight will waste at its pace.
    fn has_worn_out(&self, problem: &Problem, aim: Aim) -> bool {
        let foreseen = self.flight.as_ref().map_or(0, |flight| {
            let (iterations, fall) = flight.progress();
            self.wear.foreseen_waste(&self.candidate, iterations, fall, flight.norm() / aim.target)
        });
        self.wear.is_out(self.renewal_work(problem), foreseen)
    }

    /// What is left of the set-up.
    fn set_up_work(&self, problem: &Problem) -> Work {
        match &self.renewal {
            Renewal::Begun(method, _) => method.next_work(problem),
            Renewal::None | Renewal::Out if self.method.is_set_up() => self.renewal_work(problem),
            Renewal::None | Renewal::Out => self.method.next_work(problem) + self.wear.set_up(),
        }
    }

    /// A whole set-up like the one in force.
    fn renewal_work(&self, problem: &Problem) -> Work {
        match &self.method {
            Method::Direct(direct) => direct.renewal_work(problem),
            Method::Jacobi(_)
            | Method::GaussSeidel(_)
            | Method::Cg(_)
            | Method::Bicgstab(_)
            | Method::Gmres(_) => Method::of(&self.candidate, &self.options).next_work(problem),
        }
    }

    /// One iteration.
    pub fn step_work(&self, live: &LiveSystem) -> Work {
        let limits = (&self.options, &self.unwanted);
        self.method.next_work(&problem(live, live.rhs(), 1.0, limits, 0))
    }

    /// Beyond what is held, of the set-up that is next.
    pub fn next_step_bytes(&self, live: &LiveSystem) -> u64 {
        let limits = (&self.options, &self.unwanted);
        let problem = problem(live, live.rhs(), 1.0, limits, 0);
        match &self.renewal {
            Renewal::Out => 0,
            Renewal::Begun(method, _) => method.next_step_bytes(&problem),
            Renewal::None => self.method.next_step_bytes(&problem),
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let flight = self.flight.as_ref().map_or(0, Flight::memory_bytes);
        let followed = self.analysing.memory_bytes();
        self.method.memory_bytes() + self.renewal.memory_bytes() + flight + followed
    }

    /// Iterates until settled, until a flight lands that changes have left behind, or until `entries_max`
    /// is used up. `live` keeps its state until a flight lands on a better one.
    pub fn work(
        &mut self,
        live: &mut LiveSystem,
        standing: &mut Standing,
        aim: Aim,
        entries_max: u64,
    ) -> (LiveWork, Option<Landing>) {
        let mut work = Work::default();
        let mut landed = None;
        if self.candidate.method == MethodName::GaussSeidel {
            // Its sweeps go by the rows as they are now, and not by those of the departure.
            self.follow_diagonal(live, &mut work);
        }
        if self.is_worn_on_the_way(live, aim) {
            let landing = self.land(live, aim, &mut work);
            landed = Some(landing);
            if self.renewal.is_begun() {
                let (done, _) = self.go_on_renewing(live, aim);
                return (LiveWork { work: done.work + work, ..done }, landed);
            }
            self.rebuild();
        }
        let end = loop {
            if let Some(stop) = &self.stop {
                break LiveEnd::Failed(stop.clone());
            }
            let has_begun = work.nonzeros > 0;
            // A set-up is decided upon anew: it may be long.
            if has_begun && (work.nonzeros >= entries_max || !self.method.is_set_up()) {
                break LiveEnd::Paused;
            }
            if self.flight.is_none()
                && let Some(end) = self.depart(live, standing, aim, &mut work)
            {
                break end;
            }
            if let Some(end) = self.step(live, aim, &mut work, &mut landed) {
                break end;
            }
        };
        (LiveWork { work, end }, landed)
    }

    /// Whether a flight is under way that is to land for a set-up.
    fn is_worn_on_the_way(&self, live: &LiveSystem, aim: Aim) -> bool {
        let limits = (&self.options, &self.unwanted);
        let problem = problem(live, live.rhs(), aim.target, limits, self.iteration);
        self.flight.is_some() && self.method.is_set_up() && self.is_due(&problem, aim)
    }

    /// Makes ready for a flight: the matrix in one piece, the method suited to it.
    fn depart(
        &mut self,
        live: &mut LiveSystem,
        standing: &mut Standing,
        aim: Aim,
        work: &mut Work,
    ) -> Option<LiveEnd> {
        if live.matrix().overlaid() > 0 {
            live.merge();
            work.nonzeros += 4 * live.matrix().nonzeros() as u64;
        }
        let class = standing.class();
        if self.wants_analysis(class) || self.waits_for_analysis(class) {
            return Some(self.choose_anew(live, standing, work));
        }
        let limits = (&self.options, &self.unwanted);
        let problem = problem(live, live.rhs(), aim.target, limits, self.iteration);
        let is_due = self.method.is_set_up() && self.is_due(&problem, aim);
        if self.renewal.is_begun() {
            let (done, _) = self.go_on_renewing(live, aim);
            *work += done.work;
            return Some(done.end);
        }
        if is_due {
            self.rebuild();
        }
        self.follow_diagonal(live, work);
        self.method.restart();
        let patience = self.method.patience(live.order());
        self.flight = Some(Flight::depart(live, aim, self.candidate.method, patience));
        work.nonzeros += 2 * live.order() as u64;
        None
    }

    /// The next step sets up anew, on the spot.
    fn rebuild(&mut self) {
        self.renewal.discard();
        self.method = Method::of(&self.candidate, &self.options);
        self.wear.rebuilt();
    }

    /// Gives up what is under way and sets up anew before it goes on.
    pub fn renew(&mut self) {
        self.abandon();
        self.rebuild();
        self.stop = None;
        self.iterations_since = 0;
    }

    /// One set-up, one iteration, or a landing.
    fn step(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        work: &mut Work,
        landed: &mut Option<Landing>,
    ) -> Option<LiveEnd> {
        let flight = self.flight.as_mut().expect("departed before");
        let target = flight.target(aim);
        if flight.norm() <= target {
            return self.arrive(live, aim, work, landed);
        }
        if self.iterations_since >= self.options.iterations_max {
            let iterations_max = self.options.iterations_max;
            let residual_norm = flight.norm();
            let reason = StopReason::IterationLimit { iterations_max, residual_norm };
            return self.fail(live, aim, work, landed, reason);
        }
        let limits = (&self.options, &self.unwanted);
        let (departure, course) = flight.parts(live);
        let problem = problem(live, departure.rhs(), target, limits, self.iteration);
        let problem = Problem { corrections: departure.corrections(), ..problem };
        let was_set_up = self.method.is_set_up();
        match self.method.step(&problem, &mut course.iterate) {
            Advance::Prepared(preparation) => {
                *work += preparation.work;
                if was_set_up && self.wear.is_worn() {
                    // A factor of another matrix gave up: that says nothing of its kind.
                    self.rebuild();
                } else {
                    self.wear.set_up_took(preparation.work);
                }
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
                self.take_cheaper(why);
                None
            }
        }
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
    Problem { rows, corrections: &[], rhs, threshold, iteration, memory_bytes_max, unwanted }
}

fn times(work: Work, count: u64) -> Work {
    Work { nonzeros: work.nonzeros.saturating_mul(count), flops: work.flops.saturating_mul(count) }
}
