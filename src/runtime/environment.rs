//! Everything that an actor may learn from outside, as one value. A server and a simulated world
//! hand the same actors a different one.

use std::fmt;
use std::sync::Arc;

use crate::ids::{NodeId, SessionId};
use crate::runtime::clock::{Clock, Moment};
use crate::runtime::entropy::Entropy;
use crate::runtime::recorder::Recorder;
use crate::runtime::stopwatch::{Stopwatch, WorkCost};
use crate::solver::memory_fault::MemoryFault;

/// What makes numbers in memory become others, in a simulated world.
pub trait MemoryFaults: fmt::Debug + Send + Sync {
    /// What strikes a session by `now` and has not struck before.
    fn take_due(&self, session: SessionId, now: Moment) -> Vec<MemoryFault>;
}

/// A node's view of the world; cheap to clone.
#[derive(Debug, Clone)]
pub struct Environment {
    pub node: NodeId,
    pub clock: Clock,
    pub entropy: Entropy,
    pub recorder: Recorder,
    pub work_cost: WorkCost,
    /// None where memory is what it is.
    pub faults: Option<Arc<dyn MemoryFaults>>,
}

impl Environment {
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch::start(&self.clock, self.work_cost)
    }

    /// What is to become of a session's memory now.
    pub fn memory_faults(&self, session: SessionId) -> Vec<MemoryFault> {
        let faults = self.faults.as_ref();
        faults.map_or_else(Vec::new, |faults| faults.take_due(session, self.clock.now()))
    }
}
