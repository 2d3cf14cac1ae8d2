//! Everything that an actor may learn from outside, as one value. A server and a simulated world
//! hand the same actors a different one.

use crate::ids::NodeId;
use crate::runtime::clock::Clock;
use crate::runtime::entropy::Entropy;
use crate::runtime::recorder::Recorder;
use crate::runtime::stopwatch::{Stopwatch, WorkCost};

/// A node's view of the world; cheap to clone.
#[derive(Debug, Clone)]
pub struct Environment {
    pub node: NodeId,
    pub clock: Clock,
    pub entropy: Entropy,
    pub recorder: Recorder,
    pub work_cost: WorkCost,
}

impl Environment {
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch::start(&self.clock, self.work_cost)
    }
}
