//! What a quantum tells its session.

use std::time::Duration;

use crate::actors::messages::{Answer, CostVerdict, ProbedState};
use crate::actors::solve::live::{Accepted, Drain};
use crate::solver::change_tracker::Changes;
use crate::solver::correction::{Corrected, Correction};
use crate::solver::live::{LiveStop, Settlement, StatedBound};
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::{MethodSwitch, Outcome};

/// The last state that was announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub iteration: u64,
    pub residual_norm: f64,
}

/// Something worth announcing that happened in a quantum.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Prepared {
        method: MethodName,
        preconditioner: PreconditionerName,
        description: String,
        took: Duration,
    },
    State(StateReport),
    Switched {
        switch: MethodSwitch,
        preconditioner: PreconditionerName,
        iteration: u64,
    },
    /// The state that the solve came to was looked at in full.
    Checked(ProbedState),
    /// The solve had gone astray, or its memory was altered, and was brought back.
    Corrected {
        correction: Correction,
        corrected: Corrected,
        iteration: u64,
    },
    /// Nothing settles the changed system before its next change.
    Stuck(LiveStop),
}

/// A state of the iteration with the residual measured for it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateReport {
    pub iteration: u64,
    /// `‖b − A x‖₂`, true.
    pub residual_norm: f64,
    pub changes: Changes,
    /// Mean over the iterations since the last announced state.
    pub iteration_time: Duration,
    /// Operations since the session opened.
    pub flops: u64,
    /// What a live session says beside it.
    pub live: Option<LiveReport>,
}

/// What was worked in since the last state of a live session, and what is known of this one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveReport {
    pub drain: Drain,
    pub error_bound: StatedBound,
    pub is_settled: bool,
    /// The latest version that the state is known to solve.
    pub settlement: Option<Settlement>,
}

/// What a quantum did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuantumReport {
    /// What became of the changes that it was given, in their order.
    pub verdicts: Vec<CostVerdict>,
    pub accepted: Accepted,
    /// To the questions that it was given, in their order.
    pub answers: Vec<Answer>,
    pub reports: Vec<Report>,
    /// How the solve ended. One that stays ends with the first state that meets its tolerance, and
    /// goes on.
    pub outcome: Option<Outcome>,
    /// How far the residual kept was off at most, in parts of what it should be.
    pub gap: f64,
    pub took: Duration,
}
