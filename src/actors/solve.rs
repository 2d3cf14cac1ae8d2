//! The travelling part of a session: its engine, and what decides which of the engine's states are
//! announced. One owned value that moves between a session and a worker.

pub mod live;
mod questions;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::actors::messages::{CostVerdict, EntriesQuestion, EntriesState, SourcedDelta};
use crate::actors::solve::live::{Accepted, Drain, LiveSolve, Next, Worked};
use crate::ids::SystemVersion;
use crate::policy::announcing::{SinceAnnounced, UpdateEvery};
use crate::policy::scheduling::{self, Lane};
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::change_tracker::{ChangeTracker, Changes, XPartialMax};
use crate::solver::engine::{Engine, Selection};
use crate::solver::live::{LiveStop, StatedBound};
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::{MethodSwitch, Outcome, Preparation, Progress, Step, Work};

/// An engine and what its listeners were told of it.
pub struct Solve {
    solver: Solver,
    /// Whether it stays when it has converged.
    is_live: bool,
    changes: ChangeTracker,
    update_every: UpdateEvery,
    since: SinceAnnounced,
    time_since: Duration,
    flops: u64,
    measured: Option<Measured>,
    stage: Stage,
    /// What the engine of a live session does next.
    next: Option<Next>,
    /// Whether a live session has a state that it has not announced.
    is_owed: bool,
}

/// Who keeps `x`: the engine of the solve, until it has converged or its system changes.
enum Solver {
    Solving(Box<Engine>),
    Live(Box<LiveSolve>),
    /// Between the two.
    Moving,
}

/// What the next step will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A set-up, whose length only the system bounds.
    Preparing,
    Iterating,
}

/// The last state that was announced.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    iteration: u64,
    residual_norm: f64,
}

/// Something worth announcing that happened in a quantum.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Prepared {
        method: MethodName,
        preconditioner: PreconditionerName,
        description: String,
        took: Duration,
    },
    State(StateReport),
    Switched {
        switch: MethodSwitch,
        preconditioner: PreconditionerName,
        iteration: u64,
    },
    /// Nothing settles the changed system before its next change.
    Stuck(LiveStop),
}

/// A state of the iteration with the residual measured for it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateReport {
    pub iteration: u64,
    /// `‖b − A x‖₂`, true.
    pub residual_norm: f64,
    pub changes: Changes,
    /// Mean over the iterations since the last announced state.
    pub iteration_time: Duration,
    /// Operations since the session opened.
    pub flops: u64,
    /// What a live session says beside it.
    pub live: Option<LiveReport>,
}

/// What was worked in since the last state of a live session, and what is known of this one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveReport {
    pub drain: Drain,
    pub error_bound: StatedBound,
    pub is_settled: bool,
}

/// What a quantum did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuantumReport {
    /// What became of the changes that it was given, in their order.
    pub verdicts: Vec<CostVerdict>,
    pub accepted: Accepted,
    /// To the questions that it was given, in their order.
    pub answers: Vec<EntriesState>,
    pub reports: Vec<Report>,
    /// How the solve ended. One that stays ends with the first state that meets its tolerance, and
    /// goes on.
    pub outcome: Option<Outcome>,
    pub took: Duration,
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq)]
enum Stepped {
    On,
    /// A live session is settled and has not said so.
    Settled,
    Ended(Outcome),
}

const MOVING: &str = "nobody looks while a solve is handed over";

/// A quantum ends when it has this much to announce, so that a listener's queue can hold it.
const REPORTS_MAX: usize = 128;

impl Solve {
    /// Starts from the opening `x` that every listener knows: zero, or the guess, even where the engine
    /// replaced it.
    pub fn new(mut engine: Engine, x_partial: XPartialMax, update_every: UpdateEvery) -> Self {
        let replaced = engine.take_replaced_guess();
        let known = replaced.as_deref().unwrap_or_else(|| engine.solution());
        let changes = ChangeTracker::new(known, x_partial);
        Self {
            solver: Solver::Solving(Box::new(engine)),
            is_live: false,
            changes,
            update_every,
            since: SinceAnnounced::default(),
            time_since: Duration::ZERO,
            flops: 0,
            measured: None,
            stage: Stage::Preparing,
            next: None,
            is_owed: false,
        }
    }

    /// The same, but it stays when it has converged and takes changes.
    pub fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    /// The method and preconditioner in force.
    pub fn selection(&self) -> &Selection {
        match &self.solver {
            Solver::Solving(engine) => engine.selection(),
            Solver::Live(live) => live.engine().selection(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Iterations of all methods.
    pub fn iteration(&self) -> u64 {
        match &self.solver {
            Solver::Solving(engine) => engine.iteration(),
            Solver::Live(live) => live.engine().iteration(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    pub fn system_version(&self) -> SystemVersion {
        match &self.solver {
            Solver::Solving(_) => SystemVersion::default(),
            Solver::Live(live) => live.system_version(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// `‖b‖₂`.
    pub fn rhs_norm(&self) -> f64 {
        match &self.solver {
            Solver::Solving(engine) => engine.rhs_norm(),
            Solver::Live(live) => live.engine().rhs_norm(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// The residual norm at or below which the system is solved.
    pub fn residual_threshold(&self) -> f64 {
        match &self.solver {
            Solver::Solving(engine) => engine.residual_threshold(),
            Solver::Live(live) => live.engine().residual_threshold(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// n and the stored entries of `A`.
    pub fn size(&self) -> (usize, usize) {
        match &self.solver {
            Solver::Solving(engine) => (engine.system().order(), engine.system().nonzeros()),
            Solver::Live(live) => (live.engine().order(), live.engine().nonzeros()),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Whether the present state meets its tolerance.
    pub fn is_converged(&self) -> bool {
        match &self.solver {
            Solver::Solving(engine) => {
                matches!(engine.outcome(), Some(Outcome::Converged { .. }))
            }
            Solver::Live(live) => live.engine().is_settled(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// The present `x`, its true `‖b − A x‖₂`, measured now where nobody knows it, and what is known of
    /// its error.
    pub fn state(&mut self) -> (&[f64], f64, Option<StatedBound>) {
        match &mut self.solver {
            Solver::Solving(engine) => {
                let residual_norm = engine.true_residual_norm();
                (engine.solution(), residual_norm, None)
            }
            Solver::Live(live) => {
                let residual_norm = live.engine_mut().measure();
                let bound = live.error_bound();
                (live.solution(), residual_norm, Some(bound))
            }
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Whether the next step sets something up or iterates.
    pub fn stage(&self) -> Stage {
        match (&self.solver, self.next) {
            (Solver::Live(_), Some(next)) if next.is_set_up => Stage::Preparing,
            (Solver::Live(_), _) => Stage::Iterating,
            (Solver::Solving(_) | Solver::Moving, _) => self.stage,
        }
    }

    /// Whether there is something to do before the next change.
    pub fn wants_work(&self) -> bool {
        match &self.solver {
            Solver::Solving(engine) => engine.outcome().is_none(),
            Solver::Live(_) => self.is_owed || self.next.is_some(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Operations since the session opened.
    pub fn flops(&self) -> u64 {
        self.flops
    }

    pub fn memory_bytes(&self) -> u64 {
        let solver = match &self.solver {
            Solver::Solving(engine) => engine.memory_bytes(),
            Solver::Live(live) => live.memory_bytes(),
            Solver::Moving => unreachable!("{MOVING}"),
        };
        solver + self.changes.memory_bytes()
    }

    /// Bytes that the next step is predicted to take beyond [`memory_bytes`](Self::memory_bytes).
    pub fn next_step_bytes(&self) -> u64 {
        match &self.solver {
            Solver::Solving(engine) => engine.next_step_bytes(),
            Solver::Live(live) => live.engine().next_step_bytes(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// The queue for the next quantum.
    pub fn lane(&self) -> Lane {
        match &self.solver {
            Solver::Solving(engine) => scheduling::lane(engine.next_step_work()),
            Solver::Live(_) => self.next.map_or(Lane::Short, |next| scheduling::lane(next.work)),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Works `changes` into the system and answers `questions`, then steps until the budget is spent, the engine has nothing
    /// more to do, the next step belongs into another lane, there is enough to announce, or nobody
    /// wants it any more. Does at least one step, if there is one and it is no long
    /// one that the changes have brought into the short lane.
    pub fn run(
        &mut self,
        changes: Vec<SourcedDelta>,
        questions: Vec<EntriesQuestion>,
        budget: Duration,
        stopwatch: &mut Stopwatch,
        unwanted: &AtomicBool,
    ) -> QuantumReport {
        let mut reports = Vec::new();
        if self.measured.is_none() {
            self.announce(None, stopwatch, &mut reports);
        }
        let lane = self.lane();
        let (verdicts, accepted) = self.accept(changes, stopwatch);
        let answers = self.answer_all(questions, stopwatch, unwanted);
        if (lane, self.lane()) == (Lane::Short, Lane::Heavy) {
            // The changes ask for a long step, with which this worker must not be kept.
            let took = stopwatch.elapsed();
            return QuantumReport { verdicts, accepted, answers, reports, outcome: None, took };
        }
        let outcome = loop {
            let stepped = self.step(stopwatch, &mut reports);
            if let Stepped::Ended(outcome) = stepped {
                break Some(outcome);
            }
            let spent = stopwatch.elapsed() >= budget || reports.len() >= REPORTS_MAX;
            let is_done = stepped == Stepped::Settled || !self.wants_work();
            if spent || is_done || self.lane() != lane || unwanted.load(Ordering::Relaxed) {
                break None;
            }
        };
        let took = stopwatch.elapsed();
        QuantumReport { verdicts, accepted, answers, reports, outcome, took }
    }

    fn accept(
        &mut self,
        changes: Vec<SourcedDelta>,
        stopwatch: &mut Stopwatch,
    ) -> (Vec<CostVerdict>, Accepted) {
        let mut accepted = Accepted::default();
        if changes.is_empty() {
            return (vec![], accepted);
        }
        self.become_live();
        let Solver::Live(live) = &mut self.solver else { unreachable!("{MOVING}") };
        let edits: usize = changes.iter().map(|change| change.delta.len()).sum();
        let verdicts =
            changes.into_iter().map(|change| live.accept(change, &mut accepted)).collect();
        self.next = live.next();
        self.is_owed |= accepted.updates > 0;
        stopwatch.lap(Work { nonzeros: edits as u64, flops: 2 * edits as u64 });
        (verdicts, accepted)
    }

    /// Hands the solve over to an engine that keeps it solved. O(nnz), once.
    fn become_live(&mut self) {
        self.solver = match std::mem::replace(&mut self.solver, Solver::Moving) {
            Solver::Solving(engine) => {
                let live = LiveSolve::of(*engine).expect("a live session is admitted as such");
                self.next = live.next();
                Solver::Live(Box::new(live))
            }
            live => live,
        };
    }

    fn step(&mut self, stopwatch: &mut Stopwatch, reports: &mut Vec<Report>) -> Stepped {
        match &mut self.solver {
            Solver::Solving(_) => match self.step_solve(stopwatch, reports) {
                Some(outcome) => Stepped::Ended(outcome),
                None => Stepped::On,
            },
            Solver::Live(_) => self.step_live(stopwatch, reports),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    fn step_solve(
        &mut self,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) -> Option<Outcome> {
        let Solver::Solving(engine) = &mut self.solver else { return None };
        match engine.step() {
            Step::Prepared(preparation) => {
                self.stage = Stage::Preparing;
                let took = stopwatch.lap(preparation.work);
                self.note_preparation(preparation, took, reports);
                None
            }
            Step::Iterated(progress) => {
                self.stage = Stage::Iterating;
                self.note_iteration(progress, stopwatch);
                let announce_work = self.announce_work(Some(progress));
                if self.update_every.is_due(self.since, announce_work) {
                    self.announce(Some(progress), stopwatch, reports);
                }
                None
            }
            Step::Switched(switch) => {
                self.stage = Stage::Preparing;
                let preconditioner = self.selection().preconditioner;
                let iteration = self.iteration();
                reports.push(Report::Switched { switch, preconditioner, iteration });
                None
            }
            Step::Finished(outcome) => {
                self.announce_final(stopwatch, reports);
                if self.is_live && matches!(outcome, Outcome::Converged { .. }) {
                    self.become_live();
                }
                Some(outcome)
            }
        }
    }

    /// One piece of work of a live session. A settled state that is not worth its announcement yet is
    /// left for the next quantum: changes that wait for it join it, otherwise it is told then.
    fn step_live(&mut self, stopwatch: &mut Stopwatch, reports: &mut Vec<Report>) -> Stepped {
        let Solver::Live(live) = &mut self.solver else { return Stepped::On };
        if self.is_owed && live.engine().is_settled() {
            self.announce(None, stopwatch, reports);
            return Stepped::On;
        }
        let worked = live.work(stopwatch);
        self.next = live.next();
        match worked {
            Worked::Advanced { work, has_moved: false } => {
                self.note_work(work);
                return Stepped::On;
            }
            Worked::Advanced { work, has_moved: true } | Worked::Settled(work) => {
                self.note_work(work);
                self.is_owed = true;
            }
            Worked::Prepared { preparation, took } => {
                self.note_preparation(preparation, took, reports);
                return Stepped::On;
            }
            Worked::Stuck(stop) => {
                self.announce(None, stopwatch, reports);
                reports.push(Report::Stuck(stop));
                return Stepped::On;
            }
            Worked::Idle => {
                if self.is_owed {
                    self.announce(None, stopwatch, reports);
                }
                return Stepped::On;
            }
        }
        if self.update_every.is_due(self.since, self.announce_work(None)) {
            self.announce(None, stopwatch, reports);
            return Stepped::On;
        }
        match &self.solver {
            Solver::Live(live) if live.engine().is_settled() => Stepped::Settled,
            _ => Stepped::On,
        }
    }

    fn note_preparation(
        &mut self,
        preparation: Preparation,
        took: Duration,
        reports: &mut Vec<Report>,
    ) {
        let Preparation { description, work } = preparation;
        self.flops += work.flops;
        let Selection { method, preconditioner, .. } = *self.selection();
        reports.push(Report::Prepared { method, preconditioner, description, took });
    }

    fn note_work(&mut self, work: Work) {
        self.flops += work.flops;
        self.since.iterations += 1;
        self.since.work += work;
    }

    /// Announces the state that is left behind, unless it is the one announced last. An engine that
    /// stops may go back to its best state, so the iteration alone does not tell.
    fn announce_final(&mut self, stopwatch: &mut Stopwatch, reports: &mut Vec<Report>) {
        let (_, residual_norm, _) = self.state();
        let present = Measured { iteration: self.iteration(), residual_norm };
        if self.measured != Some(present) {
            self.announce(None, stopwatch, reports);
        }
    }

    fn note_iteration(&mut self, progress: Progress, stopwatch: &mut Stopwatch) {
        self.flops += progress.work.flops;
        self.time_since += stopwatch.lap(progress.work);
        self.since.iterations += 1;
        self.since.work += progress.work;
    }

    /// Measuring the residual, where the method does not know it, and one pass over `x` for the
    /// entries that changed.
    fn announce_work(&self, progress: Option<Progress>) -> Work {
        let is_measured = progress.is_some_and(|progress| progress.residual_is_true);
        let (order, nonzeros) = self.size();
        let pass = Work { nonzeros: order as u64, flops: 0 };
        match &self.solver {
            _ if is_measured => pass,
            Solver::Solving(engine) => pass + engine.announce_work(),
            Solver::Live(_) | Solver::Moving => {
                let nonzeros = nonzeros as u64;
                // The residual, and two products for its rounding in the bound of the error.
                pass + Work { nonzeros: 3 * nonzeros, flops: 6 * nonzeros }
            }
        }
    }

    fn announce(
        &mut self,
        progress: Option<Progress>,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) {
        let measured = progress.filter(|progress| progress.residual_is_true);
        let work = self.announce_work(progress);
        let (residual_norm, changes, live) = match &mut self.solver {
            Solver::Solving(engine) => {
                let residual_norm = match measured {
                    Some(progress) => progress.residual_norm,
                    None => engine.true_residual_norm(),
                };
                (residual_norm, self.changes.take(engine.solution()), None)
            }
            Solver::Live(live) => {
                let residual_norm = live.engine_mut().measure();
                let error_bound = live.error_bound();
                let is_settled = live.engine().is_settled();
                let report = LiveReport { drain: live.take_drain(), error_bound, is_settled };
                (residual_norm, self.changes.take(live.solution()), Some(report))
            }
            Solver::Moving => unreachable!("{MOVING}"),
        };
        self.flops += work.flops;
        stopwatch.lap(work);
        let iterations = u32::try_from(self.since.iterations).unwrap_or(u32::MAX).max(1);
        let time_since = live.map_or(self.time_since, |live| live.drain.took);
        reports.push(Report::State(StateReport {
            iteration: self.iteration(),
            residual_norm,
            changes,
            iteration_time: time_since / iterations,
            flops: self.flops,
            live,
        }));
        self.measured = Some(Measured { iteration: self.iteration(), residual_norm });
        self.since = SinceAnnounced::default();
        self.time_since = Duration::ZERO;
        self.is_owed = false;
        if let Solver::Live(live) = &self.solver {
            self.next = live.next();
        }
    }
}
