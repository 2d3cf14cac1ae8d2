//! The path engine of a live system: planned and factorised when asked, then kept true by working each
//! change into the factor along its path, just before `x` is wanted. Owns where it stands, when a set-up
//! is next and when no further one is tried; the factor itself is `solver::path`'s.

mod build;
mod dual;
mod ready;
mod waiting;

use std::sync::atomic::AtomicBool;

use crate::solver::live::engine::report::{LiveEnd, LiveStop, LiveWork};
use crate::solver::live::state::{EntryChange, LiveSystem, RhsChange};
use crate::solver::outcome::{Preparation, Work};
use crate::solver::path::{ChangeRefusal, PathForecast, PathLimits, PathPlan, PathRefusal};

pub(super) use build::{PathParts, PathTask};
use ready::{Caught, Ready};
use waiting::Waiting;

/// Operations of a factorisation that a live system may ask for: some ten seconds.
const FLOPS_MAX: f64 = 3e10;

/// After a set-up that was refused or served nothing, entries that must change before another attempt;
/// twice as many after each, up to as many as `A` has, and this many again when a path has served.
const RETRY_MIN: u64 = 64;

/// The upper limit is at least this.
const RETRY_MAX_LEAST: u64 = 1_024;

/// New places that are looked up in a plan that was made meanwhile.
const NEW_PLACES_MAX: usize = 4_096;

/// Where the path engine stands.
#[derive(Debug)]
enum Stage {
    Unplanned,
    Planned(Box<PathPlan>),
    Ready(Box<Ready>),
    /// Not to be tried again before so many entries have changed.
    Refused {
        changed: u64,
    },
    /// Being set up in the background.
    Out(Followed),
}

/// What has changed since the snapshot that a set-up works on.
#[derive(Debug)]
enum Followed {
    /// For a plan only new places count; none where they are too many.
    Plan(Option<Vec<(u32, u32)>>),
    Factor(Waiting, PathForecast),
}

/// The path engine of a live system, or what became of it.
#[derive(Debug)]
pub(super) struct Path {
    stage: Stage,
    limits: PathLimits,
    retry_after: u64,
    retry_max: u64,
}

impl Path {
    /// For a matrix of so many entries.
    pub fn new(memory_bytes_max: u64, nonzeros: usize) -> Self {
        let limits = PathLimits { memory_bytes_max, flops_max: FLOPS_MAX };
        let retry_max = RETRY_MAX_LEAST.max(nonzeros as u64);
        Self { stage: Stage::Unplanned, limits, retry_after: RETRY_MIN, retry_max }
    }

    pub fn limit_memory(&mut self, bytes_max: u64) {
        self.limits.memory_bytes_max = self.limits.memory_bytes_max.min(bytes_max.max(1));
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    pub fn rhs_changed(&mut self, change: &RhsChange) {
        match &mut self.stage {
            Stage::Ready(ready) => ready.waiting.rhs_changed(change, &ready.forecast),
            Stage::Out(Followed::Factor(waiting, forecast)) => {
                waiting.rhs_changed(change, forecast);
            }
            Stage::Out(Followed::Plan(_))
            | Stage::Unplanned
            | Stage::Planned(_)
            | Stage::Refused { .. } => {}
        }
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        let is_futile = match &mut self.stage {
            Stage::Ready(ready) => {
                ready.waiting.entry_changed(change, &ready.forecast);
                ready.waiting.is_outdated && !ready.has_served
            }
            Stage::Planned(plan) => change.is_new && !plan.has_room(change.row, change.col),
            Stage::Out(followed) => {
                followed.entry_changed(change);
                false
            }
            Stage::Refused { changed } => {
                *changed += 1;
                if *changed >= self.retry_after {
                    self.stage = Stage::Unplanned;
                }
                false
            }
            Stage::Unplanned => false,
        };
        if is_futile {
            self.refuse();
        }
    }

    /// A set-up came to nothing. Each doubles what must change before the next, so that a storm which
    /// outruns them all pays for one as often as it has changed all of `A`.
    fn refuse(&mut self) {
        self.stage = Stage::Refused { changed: 0 };
        self.retry_after = self.retry_after.saturating_mul(2).min(self.retry_max);
    }

    /// Foreseen work and set-up; none where a path is refused or is being set up.
    pub fn predicted(&self, live: &LiveSystem) -> Option<(Work, Work)> {
        let (n, nonzeros) = (live.order() as u64, live.matrix().nonzeros() as u64);
        let measured = nonzeros + 4 * n;
        match &self.stage {
            Stage::Refused { .. } | Stage::Out(_) => None,
            Stage::Unplanned => {
                // About what nested dissection leaves of a plane.
                let entries = n * (2 + 2 * u64::from(n.max(2).ilog2()));
                let set_up = touching(build::PLAN_PASSES * nonzeros);
                Some((touching(entries + measured), set_up))
            }
            Stage::Planned(plan) => {
                let forecast = plan.forecast();
                Some((touching(forecast.entries + measured), build::factorising(&forecast)))
            }
            Stage::Ready(ready) => {
                let set_up = match ready.wants_factor() {
                    true => build::factorising(&ready.forecast),
                    false => Work::default(),
                };
                Some((touching(ready.work() + measured), set_up))
            }
        }
    }

    /// What a set-up takes at its peak beyond what is held.
    pub fn next_step_bytes(&self) -> u64 {
        match &self.stage {
            Stage::Planned(plan) => plan.forecast().peak_bytes,
            Stage::Ready(ready) if ready.wants_factor() => {
                ready.forecast.peak_bytes - ready.forecast.memory_bytes
            }
            Stage::Ready(_) | Stage::Unplanned | Stage::Refused { .. } | Stage::Out(_) => 0,
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        match &self.stage {
            Stage::Ready(ready) => ready.memory_bytes(),
            Stage::Planned(plan) => build::plan_bytes(&plan.forecast()),
            Stage::Out(followed) => followed.memory_bytes(),
            Stage::Unplanned | Stage::Refused { .. } => 0,
        }
    }

    /// Sets up what is missing, or works in what waits and solves; returns the residual norm where `x`
    /// moved.
    pub fn work(
        &mut self,
        live: &mut LiveSystem,
        threshold: f64,
        entries_max: u64,
        unwanted: &AtomicBool,
    ) -> (LiveWork, Option<f64>) {
        if let Some(task) = self.take_task() {
            live.merge();
            let built = task.run(live.matrix().stored_rows(), live.rhs(), unwanted);
            return (self.install(built, Waiting::default()), None);
        }
        let solved = match &mut self.stage {
            Stage::Ready(ready) => Self::solve(ready, live, threshold, entries_max),
            Stage::Refused { .. } | Stage::Out(_) | Stage::Planned(_) | Stage::Unplanned => {
                let evidence = "an attempt was refused".to_owned();
                let end = LiveEnd::Failed(LiveStop::NoPath { evidence });
                return (LiveWork { work: Work::default(), end }, None);
            }
        };
        let (done, norm) = match solved {
            Ok(Solved::Kept(done, norm)) => {
                self.has_worked(&done);
                return (done, norm);
            }
            Ok(Solved::Lost(work)) => {
                let has_served = matches!(&self.stage, Stage::Ready(ready) if ready.has_served);
                let description = "an entry outside the fill: the path is to be planned anew";
                match has_served {
                    true => self.stage = Stage::Unplanned,
                    false => self.refuse(),
                }
                (prepared(description.to_owned(), work), None)
            }
            Err(stop) => {
                self.refuse();
                (LiveWork { work: Work::default(), end: LiveEnd::Failed(stop) }, None)
            }
        };
        (done, norm)
    }

    fn has_worked(&mut self, done: &LiveWork) {
        if done.end == LiveEnd::Settled {
            self.retry_after = RETRY_MIN;
        }
        if matches!(&self.stage, Stage::Ready(ready) if ready.wants_factor() && !ready.has_served) {
            self.refuse();
        }
    }

    fn solve(
        ready: &mut Ready,
        live: &mut LiveSystem,
        threshold: f64,
        entries_max: u64,
    ) -> Result<Solved, LiveStop> {
        match ready.catch_up(live, entries_max) {
            Caught::All(work) => {
                let (done, norm) = ready.settle(live, threshold, work)?;
                Ok(Solved::Kept(done, norm))
            }
            Caught::Some(work) => Ok(Solved::Kept(LiveWork { work, end: LiveEnd::Paused }, None)),
            Caught::Refused(ChangeRefusal::OutsideFill { .. }, work) => Ok(Solved::Lost(work)),
            Caught::Refused(_, work) => {
                ready.waiting.outdate();
                let description = "a change was refused: the path is to be factorised anew";
                Ok(Solved::Kept(prepared(description.to_owned(), work), None))
            }
        }
    }

    /// Whether something is to be set up that fits into the memory beside a snapshot.
    pub fn can_detach(&self, live: &LiveSystem, snapshot_bytes: u64) -> bool {
        let needed_bytes = match &self.stage {
            Stage::Unplanned => build::ordering_bytes(live.order(), live.matrix().nonzeros()),
            Stage::Planned(plan) => plan.forecast().peak_bytes,
            Stage::Ready(ready) if ready.wants_factor() => ready.forecast.peak_bytes,
            Stage::Ready(_) | Stage::Refused { .. } | Stage::Out(_) => return false,
        };
        needed_bytes.saturating_add(snapshot_bytes) <= self.limits.memory_bytes_max
    }

    /// The set-up that is next, to be made on a snapshot; the path follows what changes meanwhile. None
    /// where nothing is to be set up.
    pub fn detach(&mut self) -> Option<PathTask> {
        let task = self.take_task()?;
        self.stage = Stage::Out(match &task {
            PathTask::Plan(_) => Followed::Plan(Some(vec![])),
            PathTask::Factor(plan) => Followed::Factor(Waiting::default(), plan.forecast()),
            PathTask::Renewal(_, forecast) => Followed::Factor(Waiting::default(), *forecast),
        });
        Some(task)
    }

    /// Takes over what was set up in the background. A factor that is behind catches up when it works;
    /// one that so much has outrun that a new factor is shorter is dropped.
    pub fn take_over(&mut self, built: Result<(PathParts, Preparation), PathRefusal>) -> LiveWork {
        let followed = match std::mem::replace(&mut self.stage, Stage::Unplanned) {
            Stage::Out(followed) => followed,
            Stage::Unplanned | Stage::Planned(_) | Stage::Ready(_) | Stage::Refused { .. } => {
                unreachable!("a set-up that comes home was out")
            }
        };
        let outrun = |work: Work| {
            let description = "path: more has changed meanwhile than its set-up can take in";
            prepared(description.to_owned(), work)
        };
        match (followed, built) {
            (Followed::Plan(places), Ok((PathParts::Plan(plan), preparation))) => {
                let has_room = |&(row, col): &(u32, u32)| plan.has_room(row as usize, col as usize);
                if !places.is_some_and(|places| places.iter().all(has_room)) {
                    self.refuse();
                    return outrun(preparation.work);
                }
                self.install(Ok((PathParts::Plan(plan), preparation)), Waiting::default())
            }
            (Followed::Factor(waiting, _), Ok((_, preparation))) if waiting.is_outdated => {
                self.refuse();
                outrun(preparation.work)
            }
            (Followed::Factor(waiting, _), built) => self.install(built, waiting),
            (Followed::Plan(_), built) => self.install(built, Waiting::default()),
        }
    }

    /// A set-up will not come home.
    pub fn lost(&mut self) {
        self.refuse();
    }

    fn take_task(&mut self) -> Option<PathTask> {
        match std::mem::replace(&mut self.stage, Stage::Unplanned) {
            Stage::Unplanned => Some(PathTask::Plan(self.limits)),
            Stage::Planned(plan) => Some(PathTask::Factor(plan)),
            Stage::Ready(ready) if ready.wants_factor() => {
                Some(PathTask::Renewal(ready.engine, ready.forecast))
            }
            other @ (Stage::Ready(_) | Stage::Refused { .. } | Stage::Out(_)) => {
                self.stage = other;
                None
            }
        }
    }

    fn install(
        &mut self,
        built: Result<(PathParts, Preparation), PathRefusal>,
        waiting: Waiting,
    ) -> LiveWork {
        let (parts, preparation) = match built {
            Ok(built) => built,
            Err(refusal) => {
                self.refuse();
                let end = LiveEnd::Failed(refusal.into());
                return LiveWork { work: Work::default(), end };
            }
        };
        self.stage = match parts {
            PathParts::Plan(plan) => Stage::Planned(plan),
            PathParts::Factor(engine, forecast) => {
                Stage::Ready(Box::new(Ready { engine, forecast, waiting, has_served: false }))
            }
        };
        LiveWork { work: preparation.work, end: LiveEnd::Prepared(preparation) }
    }
}

/// What became of a path that was to solve.
enum Solved {
    Kept(LiveWork, Option<f64>),
    /// An entry does not fit into the fill.
    Lost(Work),
}

impl Followed {
    fn entry_changed(&mut self, change: &EntryChange) {
        match self {
            Self::Plan(places) if change.is_new => {
                let place = (change.row as u32, change.col as u32);
                places.iter_mut().for_each(|places| places.push(place));
                if places.as_ref().is_some_and(|places| places.len() > NEW_PLACES_MAX) {
                    *places = None;
                }
            }
            Self::Plan(_) => {}
            Self::Factor(waiting, forecast) => waiting.entry_changed(change, forecast),
        }
    }

    fn memory_bytes(&self) -> u64 {
        match self {
            Self::Plan(places) => 8 * places.as_ref().map_or(0, Vec::capacity) as u64,
            Self::Factor(waiting, _) => waiting.memory_bytes(),
        }
    }
}

fn prepared(description: String, work: Work) -> LiveWork {
    LiveWork { work, end: LiveEnd::Prepared(Preparation { description, work }) }
}

fn touching(nonzeros: u64) -> Work {
    Work { nonzeros, flops: 2 * nonzeros }
}
