//! The travelling part of a session: its engine, and what decides which of the engine's states are
//! announced. One owned value that moves between a session and a worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::policy::announcing::{SinceAnnounced, UpdateEvery};
use crate::policy::scheduling::{self, Lane};
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::change_tracker::{ChangeTracker, Changes, XPartialMax};
use crate::solver::engine::{Engine, Selection};
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::{MethodSwitch, Outcome, Progress, Step, Work};

/// An engine and what its listeners were told of it.
pub struct Solve {
    engine: Engine,
    changes: ChangeTracker,
    update_every: UpdateEvery,
    since: SinceAnnounced,
    time_since: Duration,
    flops: u64,
    measured: Option<Measured>,
    stage: Stage,
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
}

/// What a quantum did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuantumReport {
    pub reports: Vec<Report>,
    pub outcome: Option<Outcome>,
    pub took: Duration,
}

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
            engine,
            changes,
            update_every,
            since: SinceAnnounced::default(),
            time_since: Duration::ZERO,
            flops: 0,
            measured: None,
            stage: Stage::Preparing,
        }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The present `x` and its true `‖b − A x‖₂`, measured now where the method does not know it.
    pub fn state(&mut self) -> (&[f64], f64) {
        let residual_norm = self.engine.true_residual_norm();
        (self.engine.solution(), residual_norm)
    }

    /// Whether the next step sets something up or iterates.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Operations since the session opened.
    pub fn flops(&self) -> u64 {
        self.flops
    }

    pub fn memory_bytes(&self) -> u64 {
        self.engine.memory_bytes() + self.changes.memory_bytes()
    }

    /// Bytes that the next step is predicted to take beyond [`memory_bytes`](Self::memory_bytes).
    pub fn next_step_bytes(&self) -> u64 {
        self.engine.next_step_bytes()
    }

    /// The queue for the next quantum.
    pub fn lane(&self) -> Lane {
        scheduling::lane(self.engine.next_step_work())
    }

    /// Steps until the budget is spent, the engine has finished, the next step belongs into another
    /// lane, there is enough to announce, or nobody wants it any more. Always does at least one step.
    pub fn run(
        &mut self,
        budget: Duration,
        stopwatch: &mut Stopwatch,
        unwanted: &AtomicBool,
    ) -> QuantumReport {
        let mut reports = Vec::new();
        let lane = self.lane();
        if self.measured.is_none() {
            self.announce(None, stopwatch, &mut reports);
        }
        let outcome = loop {
            if let Some(outcome) = self.step(stopwatch, &mut reports) {
                break Some(outcome);
            }
            let spent = stopwatch.elapsed() >= budget || reports.len() >= REPORTS_MAX;
            if spent || self.lane() != lane || unwanted.load(Ordering::Relaxed) {
                break None;
            }
        };
        QuantumReport { reports, outcome, took: stopwatch.elapsed() }
    }

    fn step(&mut self, stopwatch: &mut Stopwatch, reports: &mut Vec<Report>) -> Option<Outcome> {
        match self.engine.step() {
            Step::Prepared(preparation) => {
                self.stage = Stage::Preparing;
                self.flops += preparation.work.flops;
                let took = stopwatch.lap(preparation.work);
                let Selection { method, preconditioner, .. } = *self.engine.selection();
                let description = preparation.description;
                reports.push(Report::Prepared { method, preconditioner, description, took });
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
                let preconditioner = self.engine.selection().preconditioner;
                let iteration = self.engine.iteration();
                reports.push(Report::Switched { switch, preconditioner, iteration });
                None
            }
            Step::Finished(outcome) => {
                self.announce_final(stopwatch, reports);
                Some(outcome)
            }
        }
    }

    /// Announces the state that is left behind, unless it is the one announced last. An engine that
    /// stops may go back to its best state, so the iteration alone does not tell.
    fn announce_final(&mut self, stopwatch: &mut Stopwatch, reports: &mut Vec<Report>) {
        let present = Measured {
            iteration: self.engine.iteration(),
            residual_norm: self.engine.true_residual_norm(),
        };
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
        let measuring = if is_measured { Work::default() } else { self.engine.announce_work() };
        measuring + Work { nonzeros: self.engine.system().order() as u64, flops: 0 }
    }

    fn announce(
        &mut self,
        progress: Option<Progress>,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) {
        let measured = progress.filter(|progress| progress.residual_is_true);
        let work = self.announce_work(progress);
        let residual_norm = match measured {
            Some(progress) => progress.residual_norm,
            None => self.engine.true_residual_norm(),
        };
        let changes = self.changes.take(self.engine.solution());
        self.flops += work.flops;
        stopwatch.lap(work);
        let iterations = u32::try_from(self.since.iterations).unwrap_or(u32::MAX).max(1);
        reports.push(Report::State(StateReport {
            iteration: self.engine.iteration(),
            residual_norm,
            changes,
            iteration_time: self.time_since / iterations,
            flops: self.flops,
        }));
        self.measured = Some(Measured { iteration: self.engine.iteration(), residual_norm });
        self.since = SinceAnnounced::default();
        self.time_since = Duration::ZERO;
    }
}
