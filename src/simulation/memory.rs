//! Memory that does not keep what was written: what strikes which session, and when.

use std::sync::Mutex;

use crate::ids::SessionId;
use crate::runtime::clock::Moment;
use crate::runtime::environment::MemoryFaults;
use crate::simulation::scenario::FaultPlan;
use crate::simulation::trace::Trace;
use crate::solver::memory_fault::MemoryFault;

/// The faults of a world that have not struck yet.
#[derive(Debug)]
pub struct PlannedFaults {
    trace: Trace,
    pending: Mutex<Vec<(SessionId, FaultPlan)>>,
}

impl PlannedFaults {
    pub fn new(trace: Trace) -> Self {
        Self { trace, pending: Mutex::default() }
    }

    /// Plans what strikes a session.
    pub fn plan(&self, session: SessionId, faults: &[FaultPlan]) {
        let mut pending = self.pending.lock().expect("nobody panics while they plan");
        pending.extend(faults.iter().map(|fault| (session, *fault)));
    }
}

impl MemoryFaults for PlannedFaults {
    fn take_due(&self, session: SessionId, now: Moment) -> Vec<MemoryFault> {
        let mut pending = self.pending.lock().expect("nobody panics while they strike");
        let since = now.since(Moment::default());
        let is_due = |(struck, fault): &mut (SessionId, FaultPlan)| {
            *struck == session && fault.at.0 <= since
        };
        let due: Vec<FaultPlan> = pending.extract_if(.., is_due).map(|(_, fault)| fault).collect();
        for fault in &due {
            let FaultPlan { place, row, by, .. } = fault;
            let what = format!("strikes the {place:?} of row {row} by {by:e}").to_lowercase();
            self.trace.note(now, "memory", what);
        }
        due.into_iter().map(Into::into).collect()
    }
}
