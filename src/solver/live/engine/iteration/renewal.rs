//! Set-ups of a method in the background: a factor, ILU or multigrid of a snapshot of the matrix. The
//! method in force goes on meanwhile, worn as it is; a fresh one takes its place when it is whole.
//!
//! However much has changed since the snapshot, what was set up is nearer to the matrix than what it
//! replaces, and residuals are measured: it is always taken. Its wear is counted from the snapshot on, so
//! another set-up has to pay for itself again before it is made, also in a storm that never ends.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Aim, Iteration, problem};
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::live::engine::flight::Landing;
use crate::solver::live::engine::report::{LiveEnd, LiveStop, LiveWork};
use crate::solver::live::engine::set_up::Snapshot;
use crate::solver::live::engine::standing::Standing;
use crate::solver::live::state::LiveSystem;
use crate::solver::method::Method;
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::{Preparation, StopReason, Work};

/// What is to take the place of the method in force.
#[derive(Debug)]
pub(super) enum Renewal {
    None,
    /// In the background.
    Out,
    /// Set up in part. The rest is of the same snapshot: an ordering is of one pattern.
    Begun(Box<Method>, Box<Snapshot>),
}

/// The next step of a method's set-up.
#[derive(Debug)]
pub(in crate::solver::live::engine) struct MethodTask {
    method: Box<Method>,
    snapshot: Box<Snapshot>,
    memory_bytes_max: u64,
    generation: u64,
}

/// What a step of a set-up came to.
#[derive(Debug)]
pub(in crate::solver::live::engine) struct MethodParts {
    method: Box<Method>,
    /// Kept while a further step is needed.
    snapshot: Option<Box<Snapshot>>,
    outcome: Result<Preparation, Objection>,
    generation: u64,
}

/// Why a method is not set up.
#[derive(Debug)]
enum Objection {
    Failed(StopReason),
    /// Another method is foreseen to be faster.
    Unaffordable(String),
}

impl Renewal {
    /// Forgets what was begun. What is out is known by its generation when it comes home.
    pub fn discard(&mut self) {
        if matches!(self, Self::Begun(..)) {
            *self = Self::None;
        }
    }

    pub fn is_begun(&self) -> bool {
        matches!(self, Self::Begun(..))
    }

    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::None | Self::Out => 0,
            Self::Begun(method, snapshot) => method.memory_bytes() + snapshot.memory_bytes(),
        }
    }
}

impl MethodTask {
    pub fn run(self, unwanted: &Arc<AtomicBool>) -> MethodParts {
        let Self { mut method, snapshot, memory_bytes_max, generation } = self;
        let problem = of_snapshot(&snapshot, memory_bytes_max, unwanted);
        let mut iterate = Iterate { x: vec![], r: vec![], norm: 1.0, is_true: false };
        let outcome = match method.step(&problem, &mut iterate) {
            Advance::Prepared(preparation) => Ok(preparation),
            Advance::Failed(reason) => Err(Objection::Failed(reason)),
            Advance::Unaffordable(why) => Err(Objection::Unaffordable(why)),
            Advance::Iterated(_) => unreachable!("a method that is set up is not set up again"),
        };
        let snapshot = (outcome.is_ok() && !method.is_set_up()).then_some(snapshot);
        MethodParts { method, snapshot, outcome, generation }
    }

    fn problem<'a>(&'a self, unwanted: &'a Arc<AtomicBool>) -> Problem<'a> {
        of_snapshot(&self.snapshot, self.memory_bytes_max, unwanted)
    }

    /// Of the snapshot.
    pub fn version(&self) -> u64 {
        self.snapshot.version()
    }

    /// What it is foreseen to take.
    pub fn work(&self, unwanted: &Arc<AtomicBool>) -> Work {
        self.method.next_work(&self.problem(unwanted))
    }

    /// Bytes held at the peak, snapshot included.
    pub fn peak_bytes(&self, unwanted: &Arc<AtomicBool>) -> u64 {
        let step = self.method.next_step_bytes(&self.problem(unwanted));
        self.snapshot.memory_bytes() + self.method.memory_bytes() + step
    }
}

/// A set-up looks at the matrix alone.
fn of_snapshot<'a>(
    snapshot: &'a Snapshot,
    memory_bytes_max: u64,
    unwanted: &'a Arc<AtomicBool>,
) -> Problem<'a> {
    Problem {
        rows: snapshot.rows(),
        corrections: &[],
        rhs: snapshot.rhs(),
        threshold: 1.0,
        iteration: 0,
        memory_bytes_max,
        unwanted,
    }
}

impl MethodParts {
    pub fn memory_bytes(&self) -> u64 {
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.memory_bytes());
        self.method.memory_bytes() + snapshot
    }

    /// What it took.
    pub fn work(&self) -> Work {
        self.outcome.as_ref().map_or(Work::default(), |preparation| preparation.work)
    }
}

impl Iteration {
    /// Whether a set-up is due that can be made on a snapshot: it is none where it is short, where nothing
    /// is known of the changed matrix yet, or where it does not fit into the memory beside the method in
    /// force.
    pub fn can_detach(&self, live: &LiveSystem, standing: &Standing, aim: Aim) -> bool {
        let limits = (&self.options, &self.unwanted);
        let problem = problem(live, live.rhs(), aim.target, limits, 0);
        let is_known = standing.class() == self.class;
        // On the spot the old one is freed first.
        let fits = || self.bytes_in_background(live, &problem) <= self.options.memory_bytes_max;
        is_known && self.is_long() && self.is_due(&problem, aim) && fits()
    }

    /// The next step of the set-up that is due, on a snapshot; only where it
    /// [can be](Self::can_detach).
    pub fn detach(&mut self, live: &LiveSystem, version: u64) -> MethodTask {
        let (method, snapshot) = match std::mem::replace(&mut self.renewal, Renewal::Out) {
            Renewal::Begun(method, snapshot) => (method, snapshot),
            Renewal::None | Renewal::Out => {
                let mut method = Method::of(&self.candidate, &self.options);
                if !self.method.is_set_up() {
                    std::mem::swap(&mut method, &mut self.method);
                }
                self.wear.snapshot_taken();
                (Box::new(method), Box::new(Snapshot::of(live, version)))
            }
        };
        let (memory_bytes_max, generation) = (self.options.memory_bytes_max, self.generation);
        MethodTask { method, snapshot, memory_bytes_max, generation }
    }

    /// At the peak of the next step of a set-up in the background, the method in force included.
    fn bytes_in_background(&self, live: &LiveSystem, problem: &Problem) -> u64 {
        let in_force = self.method.memory_bytes();
        match &self.renewal {
            Renewal::Begun(method, snapshot) => {
                let method = method.memory_bytes() + method.next_step_bytes(problem);
                in_force + snapshot.memory_bytes() + method
            }
            Renewal::None | Renewal::Out if self.method.is_set_up() => {
                let fresh = Method::of(&self.candidate, &self.options);
                in_force + Snapshot::bytes_of(live) + fresh.next_step_bytes(problem)
            }
            Renewal::None | Renewal::Out => {
                in_force + Snapshot::bytes_of(live) + self.method.next_step_bytes(problem)
            }
        }
    }

    /// The next step of a set-up that was begun in the background, on the spot.
    pub(super) fn go_on_renewing(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
    ) -> (LiveWork, Option<Landing>) {
        let task = self.detach(live, 0);
        let unwanted = Arc::clone(&self.unwanted);
        self.take_over(live, aim, task.run(&unwanted))
    }

    /// Whether its set-up is more than a pass over the diagonal.
    pub(super) fn is_long(&self) -> bool {
        match (self.candidate.method, self.candidate.preconditioner) {
            (MethodName::Direct | MethodName::Hybrid, _) => true,
            (_, PreconditionerName::Ilu | PreconditionerName::Amg) => true,
            (_, PreconditionerName::None | PreconditionerName::Jacobi) => false,
        }
    }

    /// Takes over what was set up in the background; a flight of the method before
    /// lands.
    pub fn take_over(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        parts: MethodParts,
    ) -> (LiveWork, Option<Landing>) {
        let MethodParts { method, snapshot, outcome, generation } = parts;
        self.renewal = Renewal::None;
        if generation != self.generation {
            let work = outcome.map_or(Work::default(), |preparation| preparation.work);
            let description = "a set-up for a method that has given way meanwhile".to_owned();
            return (prepared(Preparation { description, work }), None);
        }
        let preparation = match outcome {
            Ok(preparation) => preparation,
            Err(objection) => return self.object(live, aim, objection),
        };
        self.wear.set_up_took(preparation.work);
        if let Some(snapshot) = snapshot {
            self.renewal = Renewal::Begun(method, snapshot);
            return (prepared(preparation), None);
        }
        let mut work = preparation.work;
        let landing = self.flight.is_some().then(|| self.land(live, aim, &mut work));
        self.method = *method;
        self.wear.rebuilt_in_background();
        let done = LiveWork { work, end: LiveEnd::Prepared(preparation) };
        (done, landing)
    }

    /// A set-up that will not come home. What is in force goes on; where nothing is, the method counts as
    /// failed.
    pub fn lost(&mut self, evidence: &str) {
        if self.has_lost_analysis() {
            return;
        }
        self.renewal = Renewal::None;
        self.wear.put_off();
        if self.method.is_set_up() {
            return;
        }
        match self.next_candidate() {
            Some(next) => self.take(next),
            None => {
                let (method, evidence) = (self.candidate.method, evidence.to_owned());
                self.stop_with(LiveStop::SetUpLost { method, evidence });
            }
        }
    }

    fn object(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        objection: Objection,
    ) -> (LiveWork, Option<Landing>) {
        let work = Work::default();
        if self.method.is_set_up() {
            self.wear.put_off();
            let description = match objection {
                Objection::Failed(reason) => format!("no fresh set-up: {reason}"),
                Objection::Unaffordable(why) => format!("no fresh set-up: {why}"),
            };
            return (prepared(Preparation { description, work }), None);
        }
        let end = match objection {
            Objection::Failed(reason) => {
                // It was set up afresh, so wear explains nothing.
                self.wear.rebuilt();
                self.give_up(live, aim, reason)
            }
            Objection::Unaffordable(why) => {
                self.take_cheaper(why);
                None
            }
        };
        let end = end.unwrap_or_else(|| {
            let description = format!("{} is next", self.candidate.method);
            LiveEnd::Prepared(Preparation { description, work })
        });
        (LiveWork { work, end }, None)
    }
}

fn prepared(preparation: Preparation) -> LiveWork {
    LiveWork { work: preparation.work, end: LiveEnd::Prepared(preparation) }
}
