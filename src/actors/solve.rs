//! The travelling part of a session: its engine, and what decides which of the engine's states are
//! announced. One owned value that moves between a session and a worker. Owns what is stepped and when a
//! quantum ends; what is said of it is `announcing`'s.

mod announcing;
mod correcting;
pub mod live;
mod questions;
mod report;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::actors::messages::{CostVerdict, FinishedSetUp, Question, SourcedDelta};
use crate::actors::solve::live::{Accepted, LiveSolve, Next, Worked};
use crate::ids::SystemVersion;
use crate::policy::announcing::{SinceAnnounced, UpdateEvery};
use crate::policy::scheduling::{self, Lane, QuantumBudget};
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::change_tracker::{ChangeTracker, XPartialMax};
use crate::solver::correction::Correction;
use crate::solver::engine::{Engine, Selection};
use crate::solver::live::{SetUpJob, StatedBound};
use crate::solver::outcome::{Outcome, Step, Work};

use report::Measured;
pub use report::{LiveReport, QuantumReport, Report, StateReport};

/// An engine and what its listeners were told of it.
pub struct Solve {
    solver: Solver,
    /// Whether it stays when it has converged.
    is_live: bool,
    /// Whether the state that it comes to is looked at in full before it is announced.
    is_checked: bool,
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
    /// A set-up that is to be made in the background, until the session sends it out.
    job: Option<Box<SetUpJob>>,
    /// Does no more than answer what is asked of its state.
    is_retired: bool,
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

/// What a quantum is to do before it goes on.
#[derive(Default)]
pub struct Errand {
    pub changes: Vec<SourcedDelta>,
    pub questions: Vec<Question>,
    /// A set-up that has come home.
    pub set_up: Option<FinishedSetUp>,
    pub correction: Option<Correction>,
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
            is_checked: false,
            changes,
            update_every,
            since: SinceAnnounced::default(),
            time_since: Duration::ZERO,
            flops: 0,
            measured: None,
            stage: Stage::Preparing,
            next: None,
            is_owed: false,
            job: None,
            is_retired: false,
        }
    }

    /// Frees all that only further work would need: from now on questions about rows are answered and
    /// nothing else is done.
    pub fn retire(&mut self) {
        match &mut self.solver {
            Solver::Solving(engine) => engine.retire(),
            Solver::Live(live) => live.engine_mut().retire(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
        self.changes = ChangeTracker::new(&[], XPartialMax::AtMost(0));
        (self.job, self.next, self.is_owed, self.is_retired) = (None, None, false, true);
    }

    pub fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// The same, but it stays when it has converged and takes changes.
    pub fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    /// The same, but it looks at the state that it comes to in full. O(nnz), once.
    pub fn checked(self) -> Self {
        Self { is_checked: true, ..self }
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

    /// Whether so many edits that wait are to wait on: a run is under way that will soon have settled the
    /// system as it is.
    pub fn keeps_waiting(&self, edits: usize) -> bool {
        let next_is_a_step = self.next.is_some_and(|next| !next.is_set_up);
        match &self.solver {
            Solver::Live(live) => next_is_a_step && live.keeps_waiting(edits),
            Solver::Solving(_) | Solver::Moving => false,
        }
    }

    /// A set-up that has left its engine, to be sent out.
    pub fn take_job(&mut self) -> Option<Box<SetUpJob>> {
        self.job.take()
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

    /// Works changes into the system, takes over what was set up for it, corrects what has gone astray and
    /// answers questions, then steps until the `budget` is spent, the engine has nothing more to do, the next step belongs into
    /// another lane, there is enough to announce, a set-up is to be sent out, or nobody wants it any more.
    /// Does at least one step, if there is one and it is no long one that the changes have brought into
    /// the short lane.
    pub fn run(
        &mut self,
        errand: Errand,
        budget: &QuantumBudget,
        stopwatch: &mut Stopwatch,
        unwanted: &AtomicBool,
    ) -> QuantumReport {
        let Errand { changes, questions, set_up, correction } = errand;
        if self.is_retired {
            let answers = self.answer_all(questions, stopwatch, unwanted);
            return QuantumReport { answers, took: stopwatch.elapsed(), ..Default::default() };
        }
        let mut reports = Vec::new();
        if self.measured.is_none() {
            self.announce(None, stopwatch, &mut reports);
        }
        let lane = self.lane();
        let (verdicts, accepted) = self.accept(changes, stopwatch);
        if let Some(set_up) = set_up {
            self.take_over(set_up, stopwatch, &mut reports);
        }
        let corrected = correction.and_then(|it| self.correct(it, stopwatch, &mut reports));
        let answers = self.answer_all(questions, stopwatch, unwanted);
        if let Some(reason) = corrected {
            let outcome = Some(Outcome::Stopped(reason));
            let took = stopwatch.elapsed();
            return QuantumReport { verdicts, accepted, answers, reports, outcome, gap: 0.0, took };
        }
        if (lane, self.lane()) == (Lane::Short, Lane::Heavy) {
            // The changes ask for a long step, with which this worker must not be kept.
            let took = stopwatch.elapsed();
            let (outcome, gap) = (None, self.take_gap());
            return QuantumReport { verdicts, accepted, answers, reports, outcome, gap, took };
        }
        let outcome = loop {
            let mut stepped = self.step(stopwatch, &mut reports);
            if stepped == Stepped::Settled && budget.edits.count() == 0 {
                // Nobody waits who would join it.
                self.announce(None, stopwatch, &mut reports);
                stepped = Stepped::On;
            }
            if let Stepped::Ended(outcome) = stepped {
                break Some(outcome);
            }
            let has_to_tell = !(reports.is_empty() && verdicts.is_empty() && answers.is_empty());
            let keeps_waiting = |edits| self.keeps_waiting(edits);
            let spent = budget.is_spent(stopwatch.elapsed(), has_to_tell, keeps_waiting)
                || reports.len() >= REPORTS_MAX;
            let is_done = stepped == Stepped::Settled || !self.wants_work() || self.job.is_some();
            if spent || is_done || self.lane() != lane || unwanted.load(Ordering::Relaxed) {
                break None;
            }
        };
        let (gap, took) = (self.take_gap(), stopwatch.elapsed());
        QuantumReport { verdicts, accepted, answers, reports, outcome, gap, took }
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

    /// Takes over what was set up in the background.
    fn take_over(
        &mut self,
        set_up: FinishedSetUp,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) {
        let Solver::Live(live) = &mut self.solver else { unreachable!("only a live solve sends") };
        let worked = live.take_over(set_up);
        self.next = live.next();
        self.note(worked, stopwatch, reports);
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
                let outcome = self.checked_outcome(outcome, stopwatch, reports);
                self.announce_final(stopwatch, reports);
                if self.is_live && matches!(outcome, Outcome::Converged { .. }) {
                    self.become_live();
                }
                Some(outcome)
            }
        }
    }

    /// One piece of work of a live session. A settled state that is not worth its announcement yet is
    /// left for the next quantum where changes wait that join it, and told otherwise.
    fn step_live(&mut self, stopwatch: &mut Stopwatch, reports: &mut Vec<Report>) -> Stepped {
        let Solver::Live(live) = &mut self.solver else { return Stepped::On };
        if self.is_owed && live.engine().is_settled() {
            self.announce(None, stopwatch, reports);
            return Stepped::On;
        }
        let worked = live.work(stopwatch);
        let has_landed = live.take_landed();
        let is_solved = live.engine().settlement().is_some();
        self.next = live.next();
        self.is_owed |= has_landed;
        let has_moved = self.note(worked, stopwatch, reports) || has_landed && self.is_owed;
        if !has_moved {
            return Stepped::On;
        }
        let announce_work = self.announce_work(None);
        let is_arrival = has_landed && is_solved && self.since.is_worth_a_landing(announce_work);
        if is_arrival || self.update_every.is_due(self.since, announce_work) {
            self.announce(None, stopwatch, reports);
            return Stepped::On;
        }
        match &self.solver {
            Solver::Live(live) if live.engine().is_settled() => Stepped::Settled,
            _ => Stepped::On,
        }
    }

    /// Whether `x` moved, which may be worth announcing.
    fn note(
        &mut self,
        worked: Worked,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) -> bool {
        match worked {
            Worked::Advanced { work, has_moved: false } => self.note_work(work),
            Worked::Advanced { work, has_moved: true } | Worked::Settled(work) => {
                self.note_work(work);
                self.is_owed = true;
                return true;
            }
            Worked::Prepared { preparation, took } => {
                self.note_preparation(preparation, took, reports);
            }
            Worked::Detached(job) => self.job = Some(job),
            Worked::Stuck(stop) => {
                self.announce(None, stopwatch, reports);
                reports.push(Report::Stuck(stop));
            }
            Worked::Idle if self.is_owed => self.announce(None, stopwatch, reports),
            Worked::Idle => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::scheduling::Waiting;
    use crate::protocol::timestamp::Timestamp;
    use crate::runtime::clock::Clock;
    use crate::runtime::stopwatch::WorkCost;
    use crate::solver::analysis::Analysis;
    use crate::solver::gallery;
    use crate::solver::live::{Change, CostDelta};
    use crate::solver::options::{MethodName, SolveOptions};
    use crate::solver::system::LinearSystem;

    #[tokio::test]
    async fn a_step_that_changes_have_made_long_is_left_to_the_heavy_lane() {
        // One product touches 2.4 million entries; few sweeps solve it from a guess near `x = 1`.
        let (matrix, _) = gallery::poisson_2d(700, 1).unwrap().into_parts();
        let n = matrix.rows();
        let mut rhs = vec![0.0; n];
        crate::solver::system::Rows::of(&matrix).product(&vec![1.0; n], &mut rhs);
        let system = LinearSystem::new(matrix, rhs).unwrap();
        let analysis = Analysis::of(&system);
        let options = SolveOptions { method: MethodName::Jacobi, ..SolveOptions::default() };
        let mut guess = vec![1.0; n];
        guess[n / 2] += 1e-6;
        let engine = Engine::new(system, analysis, Some(guess), options).unwrap();
        let every = UpdateEvery::Auto;
        let mut solve = Solve::new(engine, XPartialMax::AtMost(4), every).live();
        let clock = Clock::system();
        let charged = WorkCost::Charged { picoseconds_per_nonzero: 1_000 };
        let unwanted = AtomicBool::new(false);
        let run = |solve: &mut Solve, changes| {
            let mut stopwatch = Stopwatch::start(&clock, charged);
            let (queue, edits) = (Waiting::default(), Waiting::default());
            let budget = QuantumBudget { fair: Duration::from_millis(1), queue, edits };
            let errand = Errand { changes, ..Errand::default() };
            solve.run(errand, &budget, &mut stopwatch, &unwanted)
        };
        run(&mut solve, vec![]);
        while solve.wants_work() {
            run(&mut solve, vec![]);
        }
        assert_eq!((solve.lane(), solve.is_converged()), (Lane::Short, true));
        let mut delta = CostDelta::default();
        delta.edit_rhs(0, Change::Add(5.0), None);
        let before = solve.iteration();
        let report = run(&mut solve, vec![SourcedDelta { delta, source: None }]);
        assert_eq!((report.verdicts.len(), report.accepted.updates), (1, 1));
        assert_eq!((solve.iteration(), &report.reports), (before, &vec![]), "nothing was stepped");
        assert_eq!((solve.lane(), solve.is_converged()), (Lane::Heavy, false));
        run(&mut solve, vec![]);
        assert!(solve.iteration() > before, "the heavy lane steps");
    }

    #[tokio::test(start_paused = true)]
    async fn many_edits_wait_for_a_run_that_is_under_way_and_go_when_it_has_settled() {
        let n = 50_000;
        let system = gallery::diagonally_dominant(n, 250_000, 1).unwrap();
        let analysis = Analysis::of(&system);
        let engine = Engine::new(system, analysis, None, SolveOptions::default()).unwrap();
        let mut solve = Solve::new(engine, XPartialMax::AtMost(4), UpdateEvery::Auto).live();
        let clock = Clock::scenario(Timestamp { unix_microseconds: 0 });
        let charged = WorkCost::Charged { picoseconds_per_nonzero: 1_000 };
        let unwanted = AtomicBool::new(false);
        // A quantum is one piece of work: less than a whole run.
        let (queue, edits) = (Waiting::default(), Waiting::default());
        queue.tell(1);
        let budget = QuantumBudget { fair: Duration::from_nanos(1), queue, edits };
        let run = |solve: &mut Solve, changes| {
            let mut stopwatch = Stopwatch::start(&clock, charged);
            let errand = Errand { changes, ..Errand::default() };
            solve.run(errand, &budget, &mut stopwatch, &unwanted)
        };
        while solve.wants_work() {
            run(&mut solve, vec![]);
        }
        assert!(!solve.keeps_waiting(1_000), "nothing is under way");
        let mut delta = CostDelta::default();
        (0..n).for_each(|row| delta.edit_rhs(row, Change::Add(1e-3), None));
        run(&mut solve, vec![SourcedDelta { delta, source: None }]);
        assert!(!solve.is_converged(), "one piece of work does not settle it");
        assert!(solve.keeps_waiting(8) && !solve.keeps_waiting(7));
        while !solve.is_converged() {
            run(&mut solve, vec![]);
        }
        assert!(!solve.keeps_waiting(1_000), "it is settled");
    }
}
