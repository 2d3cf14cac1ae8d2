//! A system that changes while its solution is kept: deltas, the matrix under change, the state
//! `(x, r = b − A x)` that follows them, and relaxation of what they leave. Pure: which engine works, and
//! what is proven of the state, is decided elsewhere.

mod active;
mod delta;
mod engine;
mod healing;
mod licence;
mod matrix;
mod node;
mod overlay;
mod probe;
mod push;
mod slack;
mod state;
mod sweep;

pub use delta::{
    Change, CostDelta, DeltaFault, DeltaMember, Edit, EditFault, EntryPlace, FAULTS_MAX, RhsPlace,
};
pub use engine::{
    BoundKind, EngineName, LiveEnd, LiveEngine, LiveInquiry, LiveRefusal, LiveStop, LiveWork,
    Offer, PUSH_ENTRIES_MAX, RelaxationFailure, SetUp, SetUpJob, Settlement, StatedBound,
};
pub use healing::Repaired;
pub use licence::{Ground, Licence, RelaxationRefusal};
pub use matrix::{ENTRIES_MAX, LiveMatrix};
pub use push::{RelaxationEnd, Relaxed};
pub use state::{Applied, EntryChange, LiveFault, LiveSystem, Measurement, RhsChange, Thresholds};
