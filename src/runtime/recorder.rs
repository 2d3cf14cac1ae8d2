//! Where events go. Every actor records through the `Recorder` that it was given; traces, metrics and
//! checkers read what arrives. Nothing flows back.

use std::sync::Arc;

use crate::ids::NodeId;
use crate::runtime::clock::{Clock, Moment};
use crate::runtime::event::Event;

/// An event, when and where it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub at: Moment,
    pub node: NodeId,
    pub event: Event,
}

/// Takes records. Must not block: it is called from actors.
pub trait EventSink: Send + Sync {
    fn accept(&self, record: Record);
}

/// A node's handle to its sink; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    node: NodeId,
    clock: Clock,
    sink: Arc<dyn EventSink>,
}

impl Recorder {
    pub fn new(node: NodeId, clock: Clock, sink: Arc<dyn EventSink>) -> Self {
        Self { node, clock, sink }
    }

    pub fn record(&self, event: Event) {
        self.sink.accept(Record { at: self.clock.now(), node: self.node, event });
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("node", &self.node).finish_non_exhaustive()
    }
}
