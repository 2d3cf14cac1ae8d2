//! Set-ups that leave the engine and come home: which one may go, and that only one is out at a time.

use super::LiveEngine;
use super::path::Path;
use super::proof::Certificate;
use super::report::{EngineName, LiveEnd, LiveWork};
use super::set_up::{Parts, SetUp, SetUpJob, Snapshot, Task};
use crate::solver::outcome::Work;

impl LiveEngine {
    /// Whether the set-up that an engine [offers](Self::offers) can be made apart from it. Not while one
    /// is out, and not where it can only be made on the spot: it is a pass over a vector, or does not fit
    /// into the memory beside a snapshot.
    pub fn can_detach(&self, engine: EngineName) -> bool {
        let snapshot_bytes = Snapshot::bytes_of(&self.live);
        self.out.is_none()
            && match engine {
                EngineName::Relaxation => {
                    self.proof.is_worth_a_search()
                        && self.proof.can_detach(&self.live, snapshot_bytes)
                }
                EngineName::Iteration if self.dominance_is_in_doubt() => {
                    self.proof.has_changed_since_search()
                        && self.proof.can_detach(&self.live, snapshot_bytes)
                }
                EngineName::Path => {
                    let path = self.path.as_ref();
                    path.is_some_and(|path| path.can_detach(&self.live, snapshot_bytes))
                }
                EngineName::Iteration => {
                    let class = self.standing.class();
                    self.iteration.can_analyse_apart(&self.live, class)
                        || self.iteration.can_detach(&self.live, &self.standing, self.aim())
                }
            }
    }

    /// Gives the set-up of an engine out, to be made apart from this one, which goes on: changes are
    /// followed, other engines work, and this one too where it can do without. None where it
    /// [cannot be](Self::can_detach). O(nnz + n).
    pub fn detach(&mut self, engine: EngineName) -> Option<SetUpJob> {
        if !self.can_detach(engine) {
            return None;
        }
        let in_doubt = self.dominance_is_in_doubt();
        let task = match engine {
            EngineName::Path => {
                let task = self.path.as_mut()?.detach()?;
                Task::Path(task, Snapshot::of(&self.live, self.version))
            }
            EngineName::Iteration if !in_doubt => {
                let (live, version) = (&self.live, self.version);
                match self.iteration.detach_analysis(live, &self.standing, version) {
                    Some(task) => Task::Analysis(task),
                    None => Task::Method(self.iteration.detach(live, version)),
                }
            }
            EngineName::Relaxation | EngineName::Iteration => {
                let task = self.proof.detach();
                Task::Witness(task, Snapshot::of(&self.live, self.version))
            }
        };
        self.set_out(Some(engine));
        Some(SetUpJob { engine, task, unwanted: self.unwanted.clone() })
    }

    /// Whether the system is settled and its bound could be proven by a set-up that can be made apart.
    pub fn wants_certificate(&self) -> bool {
        let snapshot_bytes = Snapshot::bytes_of(&self.live);
        self.out.is_none()
            && self.is_settled()
            && self.tolerance.norm() > 0.0
            && self.proof.can_detach_certificate(&self.live, snapshot_bytes)
    }

    /// Gives out what may prove a bound, as [`detach`](Self::detach): a search for a witness, or where that
    /// has found none a factorisation. None unless it is [wanted](Self::wants_certificate).
    pub fn detach_certificate(&mut self) -> Option<SetUpJob> {
        if !self.wants_certificate() {
            return None;
        }
        let snapshot_bytes = Snapshot::bytes_of(&self.live);
        let task = match self.proof.detach_certificate(&self.live, snapshot_bytes)? {
            Certificate::Witness(task) => {
                Task::Witness(task, Snapshot::of(&self.live, self.version))
            }
            Certificate::Coercivity(task) => {
                Task::Coercivity(task, Snapshot::of(&self.live, self.version))
            }
        };
        let engine = EngineName::Relaxation;
        self.set_out(Some(engine));
        Some(SetUpJob { engine, task, unwanted: self.unwanted.clone() })
    }

    fn set_out(&mut self, out: Option<EngineName>) {
        self.out = out;
        self.iteration.hold_on(out.is_some());
    }

    /// Whose set-up is out.
    pub fn set_up_out(&self) -> Option<EngineName> {
        self.out
    }

    /// Takes over what a job has made, for the system as it is now. What has changed since the snapshot is
    /// worked into a witness here (O(1) for each place, or one pass over `A`) and into a factor of the path
    /// when it works; a method's factor or preconditioner is taken as it is. Says what was set up, with
    /// the work of the job.
    ///
    /// # Panics
    /// Unless the job is the one that is out.
    pub fn take_over(&mut self, set_up: SetUp) -> LiveWork {
        assert!(self.out == Some(set_up.engine), "what is taken over was given out");
        self.set_out(None);
        match set_up.parts {
            Parts::Path(built) => {
                let path = self.path.as_mut().expect("a path that was given out is there");
                let done = path.take_over(built);
                if path.is_ready() {
                    self.iteration.abandon();
                    // Two factors of one matrix would be one too many.
                    self.iteration.release_factor();
                }
                done
            }
            Parts::Witness(searched) => {
                let preparation = self.proof.take_over(searched, &mut self.live);
                LiveWork { work: preparation.work, end: LiveEnd::Prepared(preparation) }
            }
            Parts::Coercivity(made) => {
                let preparation = self.proof.take_over_coercivity(made, &self.live);
                LiveWork { work: preparation.work, end: LiveEnd::Prepared(preparation) }
            }
            Parts::Analysis(parts) => {
                let aim = self.aim();
                let (live, standing) = (&mut self.live, &mut self.standing);
                let (done, landing) = self.iteration.take_over_analysis(live, standing, aim, parts);
                landing.iter().for_each(|landing| self.landed(landing));
                done
            }
            Parts::Method(parts) => {
                let aim = self.aim();
                let (done, landing) = self.iteration.take_over(&mut self.live, aim, parts);
                landing.iter().for_each(|landing| self.landed(landing));
                done
            }
        }
    }

    /// The job that is out will not come home, for this reason. Its engine goes on with what it has; it
    /// waits for changes before it asks again, or counts as failed where it has nothing.
    pub fn lose(&mut self, evidence: &str) {
        let out = self.out;
        self.set_out(None);
        match out {
            None => {}
            Some(EngineName::Path) => self.path.iter_mut().for_each(Path::lost),
            Some(EngineName::Iteration) if !self.proof.is_out() => self.iteration.lost(evidence),
            Some(EngineName::Relaxation | EngineName::Iteration) => self.proof.lost(),
        }
    }

    /// The most that an engine's set-up can take on the spot, which may be far more than what is foreseen.
    pub fn set_up_work_max(&self, engine: EngineName, foreseen: Work) -> Work {
        match engine {
            EngineName::Relaxation => {
                self.proof.search_work_max(self.live.matrix().nonzeros() as u64)
            }
            EngineName::Iteration if self.dominance_is_in_doubt() => {
                self.proof.search_work_max(self.live.matrix().nonzeros() as u64)
            }
            EngineName::Path | EngineName::Iteration => foreseen,
        }
    }

    /// Bytes that the next step is predicted to take beyond [`memory_bytes`](Self::memory_bytes): those of
    /// a factorisation or a hierarchy, with the snapshot that it is made of. None of it counts twice: what
    /// is out counts with its job.
    pub fn next_step_bytes(&self) -> u64 {
        if self.out.is_some() {
            return 0;
        }
        let path = self.path.as_ref().map_or(0, Path::next_step_bytes);
        match self.iteration.next_step_bytes(&self.live).max(path) {
            0 => 0,
            bytes => bytes + Snapshot::bytes_of(&self.live),
        }
    }
}
