//! The travelling part of a live session: the engine that keeps the system solved, who of its engines
//! works and for how long, and which updates were accepted. One owned value beside the announcing
//! (`solve.rs`).

use std::time::Duration;

use crate::actors::messages::{CostVerdict, FinishedSetUp, SourcedDelta};
use crate::ids::SystemVersion;
use crate::policy::holding::Hold;
use crate::policy::idempotence::{AcceptedUpdates, Acquaintance};
use crate::policy::planning::{Governor, Plan};
use crate::policy::scheduling;
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::correction::{Corrected, Correction};
use crate::solver::engine::Engine;
use crate::solver::live::{
    EngineName, LiveEnd, LiveEngine, LiveRefusal, LiveStop, LiveWork, Offer, SetUpJob, StatedBound,
};
use crate::solver::outcome::{Preparation, StopReason, Work};

/// Entries touched between two looks at the clock, about 0.2 ms of work.
const SLICE_ENTRIES: u64 = 1 << 17;

/// A system under change with everything that keeps it solved.
pub struct LiveSolve {
    engine: LiveEngine,
    governor: Governor,
    hold: Hold,
    accepted: AcceptedUpdates,
    /// A copy of `x` as it was announced last.
    x: Vec<f64>,
    drain: Drain,
    /// Why nothing settles the system as it stands.
    stop: Option<LiveStop>,
    /// Why an engine cannot, the methods' own reason before that of the others.
    failure: Option<(EngineName, LiveStop)>,
    /// A flight has landed that was not told of: `x` has moved.
    has_landed: bool,
    /// What was planned of the set-up that is out, where an engine waits for it, and changes accepted until then.
    out: Option<(Option<Plan>, u64)>,
}

/// Who worked since the last announcement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Drain {
    /// The engine that worked last.
    pub engine: Option<EngineName>,
    /// What settling was foreseen to take, and what it took.
    pub predicted: Duration,
    pub took: Duration,
    /// Matrix entries touched.
    pub touched_entries: u64,
}

/// What a batch of updates did to the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    pub updates: u64,
    /// Entries of `b` and of `A` that were named, and those of `A` that were not stored before.
    pub costs: u64,
    pub entries: u64,
    pub new_entries: u64,
}

/// A piece of work that is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    pub work: Work,
    pub is_set_up: bool,
}

/// What one piece of work came to.
pub enum Worked {
    /// Some way towards settled. Whether `x` moved: an iterative method keeps its own until it is done.
    Advanced {
        work: Work,
        has_moved: bool,
    },
    Prepared {
        preparation: Preparation,
        took: Duration,
    },
    /// A set-up is to be made in the background.
    Detached(Box<SetUpJob>),
    /// Every row is settled. Nothing more to do but set-ups.
    Settled(Work),
    /// Nothing that is allowed can settle the system before its next change.
    Stuck(LiveStop),
    /// Nothing is to be done, or nothing can be done before a set-up comes home.
    Idle,
}

impl LiveSolve {
    /// Takes over a solve in any state.
    ///
    /// # Errors
    /// See [`LiveEngine::of`].
    pub fn of(engine: Engine) -> Result<Self, LiveRefusal> {
        let engine = LiveEngine::of(engine)?;
        let x = engine.copy_x();
        Ok(Self {
            engine,
            governor: Governor::default(),
            hold: Hold::default(),
            accepted: AcceptedUpdates::default(),
            x,
            drain: Drain::default(),
            stop: None,
            failure: None,
            has_landed: false,
            out: None,
        })
    }

    pub fn engine(&self) -> &LiveEngine {
        &self.engine
    }

    pub fn engine_mut(&mut self) -> &mut LiveEngine {
        &mut self.engine
    }

    pub fn system_version(&self) -> SystemVersion {
        SystemVersion(self.engine.version())
    }

    /// `x` as it is now. O(n).
    pub fn solution(&mut self) -> &[f64] {
        self.engine.solution_into(&mut self.x);
        &self.x
    }

    /// What is known of the error of `x`, also while changes wait.
    pub fn error_bound(&mut self) -> StatedBound {
        self.engine.error_bound()
    }

    /// Whether a flight has landed since the last call.
    pub fn take_landed(&mut self) -> bool {
        std::mem::take(&mut self.has_landed)
    }

    /// What happened since the last call.
    pub fn take_drain(&mut self) -> Drain {
        std::mem::take(&mut self.drain)
    }

    /// Works one update into the system, unless it was before; `x` follows when engines work.
    pub fn accept(&mut self, update: SourcedDelta, accepted: &mut Accepted) -> CostVerdict {
        let SourcedDelta { delta, source } = update;
        let known =
            source.as_ref().map_or(Acquaintance::New, |source| self.accepted.recall(source));
        match known {
            Acquaintance::New => {}
            Acquaintance::Accepted(system_version) => {
                return CostVerdict::Duplicate { system_version };
            }
            Acquaintance::TooOld { forgotten_sequence } => {
                return CostVerdict::TooOld { forgotten_sequence };
            }
        }
        let applied = match self.engine.apply(&delta) {
            Ok(applied) => applied,
            Err(faults) => return CostVerdict::Refused(faults),
        };
        let system_version = self.system_version();
        if let Some(source) = source {
            self.accepted.remember(source, system_version);
        }
        let new_entries = applied.entries.iter().filter(|change| change.is_new).count();
        accepted.updates += 1;
        accepted.costs += applied.rhs.len() as u64;
        accepted.entries += applied.entries.len() as u64;
        accepted.new_entries += new_entries as u64;
        (self.stop, self.failure) = (None, None);
        CostVerdict::Accepted { system_version }
    }

    /// Brings the engine back to a state that it can go on from; who had given up may try again.
    ///
    /// # Errors
    /// See [`LiveEngine::correct`].
    pub fn correct(&mut self, correction: Correction) -> Result<Corrected, StopReason> {
        let corrected = self.engine.correct(correction)?;
        (self.stop, self.failure) = (None, None);
        Ok(corrected)
    }

    /// What the next piece of work would be; none where there is nothing to do before the next change, or
    /// before a set-up comes home.
    pub fn next(&self) -> Option<Next> {
        if self.stop.is_some() {
            return None;
        }
        let offers = self.offers();
        let Some(plan) = self.governor.choose(&offers) else {
            let work = self.snapshot_work();
            let has_to_say = self.wants_certificate() || self.is_stuck();
            return has_to_say.then_some(Next { work, is_set_up: false });
        };
        let chosen = offers.iter().find(|offer| offer.engine == plan.engine)?;
        Some(match chosen.set_up.nonzeros {
            0 => Next { work: chosen.step, is_set_up: false },
            // Taking the snapshot is all that is done here.
            _ if self.is_background(&plan, chosen) => {
                Next { work: self.snapshot_work(), is_set_up: false }
            }
            _ => Next { work: chosen.set_up, is_set_up: true },
        })
    }

    /// Whether so many edits are to wait until the run under way has settled the system.
    pub fn keeps_waiting(&self, edits: usize) -> bool {
        self.hold.keeps(self.engine.version(), edits)
    }

    /// Who may work. While a set-up is out there is no other long one.
    fn offers(&self) -> Vec<Offer> {
        let mut offers = self.engine.offers();
        if self.out.is_some() {
            let is_short = |offer: &Offer| {
                let at_most = self.engine.set_up_work_max(offer.engine, offer.set_up);
                let foreseen = self.governor.set_up_time(offer);
                offer.set_up.nonzeros == 0 || !scheduling::is_background(foreseen, at_most)
            };
            offers.retain(is_short);
        }
        offers
    }

    /// Whether there is time to prove a bound that is missing.
    fn wants_certificate(&self) -> bool {
        self.out.is_none() && self.engine.wants_certificate()
    }

    fn is_background(&self, plan: &Plan, chosen: &Offer) -> bool {
        let at_most = self.engine.set_up_work_max(chosen.engine, chosen.set_up);
        self.out.is_none()
            && chosen.set_up.nonzeros > 0
            && scheduling::is_background(plan.set_up, at_most)
            && self.engine.can_detach(chosen.engine)
    }

    /// A copy of `A` and `b`.
    fn snapshot_work(&self) -> Work {
        let nonzeros = (self.engine.nonzeros() + self.engine.order()) as u64;
        Work { nonzeros, flops: 0 }
    }

    /// Lets the engine that suits best do a piece of work, or sends its set-up out.
    pub fn work(&mut self, stopwatch: &mut Stopwatch) -> Worked {
        if self.stop.is_some() {
            return Worked::Idle;
        }
        let was_settled = self.engine.is_settled();
        let offers = self.offers();
        let Some(plan) = self.governor.choose(&offers) else {
            if self.wants_certificate()
                && let Some(job) = self.engine.detach_certificate()
            {
                stopwatch.lap(self.snapshot_work());
                self.out = Some((None, self.engine.version()));
                return Worked::Detached(Box::new(job));
            }
            return if self.is_stuck() { self.give_up() } else { Worked::Idle };
        };
        let chosen = offers.iter().find(|offer| offer.engine == plan.engine);
        if chosen.is_some_and(|chosen| self.is_background(&plan, chosen))
            && let Some(job) = self.engine.detach(plan.engine)
        {
            stopwatch.lap(self.snapshot_work());
            self.out = Some((Some(plan), self.engine.version()));
            return Worked::Detached(Box::new(job));
        }
        let landings = self.engine.landings();
        let done = self.engine.work(plan.engine, plan.entries_max.min(SLICE_ENTRIES));
        self.has_landed |= self.engine.landings() > landings;
        let took = stopwatch.lap(done.work);
        self.governor.learn(&plan, &done, took);
        if !was_settled {
            let foreseen = plan.predicted.saturating_sub(plan.set_up);
            let is_settled = done.end == LiveEnd::Settled;
            self.hold.worked(self.engine.version(), foreseen, took, is_settled);
            self.drain.engine = Some(plan.engine);
            self.drain.predicted = self.drain.predicted.max(plan.predicted);
            self.drain.took += took;
            self.drain.touched_entries += done.work.nonzeros;
        }
        let LiveWork { work, end } = done;
        match end {
            LiveEnd::Settled => Worked::Settled(work),
            LiveEnd::Paused => {
                let has_moved = plan.engine != EngineName::Iteration;
                Worked::Advanced { work, has_moved }
            }
            LiveEnd::Prepared(preparation) => Worked::Prepared { preparation, took },
            LiveEnd::Failed(stop) => self.failed(plan.engine, stop, work),
        }
    }

    /// Takes over a set-up that was made in the background, or learns that it is lost.
    pub fn take_over(&mut self, set_up: FinishedSetUp) -> Worked {
        let (plan, version) = self.out.take().expect("a set-up that comes home was out");
        let FinishedSetUp { made, took } = set_up;
        let made = match made {
            Ok(made) => made,
            Err(failure) => {
                self.engine.lose(&failure.message);
                let description = match plan {
                    Some(plan) => {
                        format!("the set-up of {} failed: {}", plan.engine, failure.message)
                    }
                    None => format!("a proof failed: {}", failure.message),
                };
                let preparation = Preparation { description, work: Work::default() };
                return Worked::Prepared { preparation, took };
            }
        };
        let landings = self.engine.landings();
        let engine = made.engine();
        let done = self.engine.take_over(*made);
        self.has_landed |= self.engine.landings() > landings;
        match done.end {
            LiveEnd::Prepared(ref preparation) => {
                plan.iter().for_each(|plan| self.governor.learn_set_up(plan, &done, took));
                let Preparation { description, work } = preparation.clone();
                let since = self.engine.version() - version;
                let description = match since {
                    0 => format!("{description}; in the background"),
                    since => format!("{description}; in the background, {since} changes ago"),
                };
                Worked::Prepared { preparation: Preparation { description, work }, took }
            }
            LiveEnd::Failed(stop) => self.failed(engine, stop, done.work),
            LiveEnd::Settled | LiveEnd::Paused => {
                unreachable!("what is taken over was set up or refused")
            }
        }
    }

    /// An engine cannot go on; whether another can.
    fn failed(&mut self, engine: EngineName, stop: LiveStop, work: Work) -> Worked {
        if !matches!(self.failure, Some((EngineName::Iteration, _))) {
            self.failure = Some((engine, stop));
        }
        match self.governor.choose(&self.offers()) {
            Some(_) => Worked::Advanced { work, has_moved: true },
            None if self.is_stuck() => self.give_up(),
            None => Worked::Idle,
        }
    }

    /// Whether nothing is under way that may settle the system; for when nobody offers to work.
    fn is_stuck(&self) -> bool {
        self.out.is_none() && !self.engine.is_settled()
    }

    /// Nobody offers to work, though the system is not settled.
    fn give_up(&mut self) -> Worked {
        let evidence = "no engine can work on the changed matrix".to_owned();
        let stop = match self.failure.take() {
            Some((_, stop)) => stop,
            None => LiveStop::NoLicence { evidence },
        };
        self.stop = Some(stop.clone());
        Worked::Stuck(stop)
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        self.engine.memory_bytes() + self.accepted.memory_bytes() + 8 * self.x.len() as u64
    }
}
