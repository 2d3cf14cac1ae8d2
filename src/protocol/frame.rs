//! The closed set of frames that a session sends to those who listen. One frame is one line of
//! NDJSON, one server-sent event, or one WebSocket message.

use std::sync::Arc;

use crate::ids::{FrameSequence, SessionId, SystemVersion};
use crate::policy::correcting::Cause;
use crate::protocol::problem::ProblemKind;
use crate::protocol::timestamp::Timestamp;
use crate::protocol::verification::VerificationResult;
use crate::solver::analysis::Analysis;
use crate::solver::correction::Correction;
use crate::solver::live::{EngineName, StatedBound};
use crate::solver::options::{MethodName, PreconditionerName};

/// One announcement of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub session_id: SessionId,
    /// Counts up by one within a session, so that a client sees a gap.
    pub sequence: FrameSequence,
    pub timestamp: Timestamp,
    /// How many accepted changes the announced state contains.
    pub system_version: SystemVersion,
    pub body: FrameBody,
}

/// What a frame announces; `type` on the wire is the variant in snake case.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameBody {
    SessionOpened(Box<SessionOpened>),
    /// A preconditioner or factorisation was set up.
    Prepared(Prepared),
    IterationUpdate(IterationUpdate),
    /// Changes of costs that count from this `system_version` on.
    CostsAccepted(CostsAccepted),
    MethodChanged(MethodChanged),
    /// A session that had gone astray was brought back.
    Correction(Box<CorrectionMade>),
    ConvergenceSignal(ConvergenceSignal),
    /// Rows of a state were looked at afresh.
    VerificationResult(Box<VerificationResult>),
    Solution(Solution),
    /// The present `x`, for a lossless listener that came late; carries the number of the last frame.
    Snapshot(Solution),
    /// Nothing else was sent for a while; the session is alive.
    Heartbeat(Heartbeat),
    Error(StreamError),
    /// The last frame of a stream.
    End(End),
}

impl FrameBody {
    /// States, acceptances and signals of convergence may be conflated for a slow reader: the newest
    /// state and signal stand for those before, acceptances are added up. Everything else states a fact
    /// and is never dropped.
    pub fn is_conflatable(&self) -> bool {
        matches!(
            self,
            Self::IterationUpdate(_) | Self::CostsAccepted(_) | Self::ConvergenceSignal(_)
        )
    }

    /// The value of `type` on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::SessionOpened(_) => "session_opened",
            Self::Prepared(_) => "prepared",
            Self::IterationUpdate(_) => "iteration_update",
            Self::CostsAccepted(_) => "costs_accepted",
            Self::MethodChanged(_) => "method_changed",
            Self::Correction(_) => "correction",
            Self::ConvergenceSignal(_) => "convergence_signal",
            Self::VerificationResult(_) => "verification_result",
            Self::Solution(_) => "solution",
            Self::Snapshot(_) => "snapshot",
            Self::Heartbeat(_) => "heartbeat",
            Self::Error(_) => "error",
            Self::End(_) => "end",
        }
    }
}

impl CostsAccepted {
    /// Itself as a part of a later one.
    pub fn replaced(self) -> Self {
        Self { skipped: self.skipped + 1, ..self }
    }

    /// Both together.
    pub fn and(self, later: Self) -> Self {
        Self {
            updates: self.updates + later.updates,
            costs: self.costs + later.costs,
            entries: self.entries + later.entries,
            new_entries: self.new_entries + later.new_entries,
            skipped: self.skipped + later.skipped,
        }
    }
}

/// The first frame: what was found out about the system, what was chosen, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionOpened {
    pub analysis: Arc<Analysis>,
    pub method_requested: MethodName,
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    /// Why this method, most important first.
    pub reasons: Vec<String>,
    pub tolerance: f64,
    /// `tolerance · ‖b‖₂`: converged at or below it.
    pub residual_threshold: f64,
    pub rhs_norm: f64,
    pub max_iterations: u64,
    pub time_budget_ms: Option<u64>,
    pub memory_usage_mb: f64,
    pub warnings: Vec<Warning>,
}

/// Something accepted that the sender may not have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// JSON pointer into the request, or empty where none applies.
    pub pointer: String,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    pub description: String,
    pub preparation_time_ms: f64,
    pub memory_usage_mb: f64,
}

/// A state of the iteration. Its residual was measured for the `x` that it announces.
#[derive(Debug, Clone, PartialEq)]
pub struct IterationUpdate {
    pub iteration: u64,
    /// The entries that differ most from what the listener was last sent.
    pub x_partial: XPartial,
    /// `‖b − A x‖₂`, true.
    pub residual_norm: f64,
    /// `residual_norm / ‖b‖₂` (the norm itself where `b = 0`).
    pub relative_residual: f64,
    /// Factor by which the residual norm changes per iteration, over the last announced stretch;
    /// absent at the first state.
    pub convergence_rate: Option<f64>,
    /// Earlier updates that this one replaces, because the reader was slow.
    pub skipped: u64,
    /// Entries that replaced updates had carried, that had no room in this one or in one before it:
    /// they come with later updates, largest change first. Above 0 only where the reader was slow.
    pub withheld: u64,
    pub performance: Performance,
    /// What a live session adds.
    pub live: Option<LiveUpdate>,
    /// What the last check found, once there was one.
    pub verification: Option<LastCheck>,
}

/// What an update says of the last check before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastCheck {
    /// It verified its state, and the state of this update meets its tolerance too.
    pub verified: bool,
    pub score: f64,
    /// The version and the iteration of the state that was looked at.
    pub checked_version: SystemVersion,
    pub checked_iteration: u64,
}

/// What a state of a live session says of the work that led to it and of its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveUpdate {
    /// Whether the state meets its tolerance at its `system_version`.
    pub converged: bool,
    /// The latest version of the system that the state is known to solve; none where that is unknown.
    pub settled: Option<SettledVersion>,
    pub engine: Option<EngineUpdate>,
    pub error_bound: StatedBound,
}

/// A version of the system at which a state meets its tolerance. It is the frame's `system_version` where
/// the state has converged, and may be an earlier one while changes go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SettledVersion {
    pub version: SystemVersion,
    /// At least `‖b − A x‖₂` of that version.
    pub residual_norm: f64,
}

/// Who worked since the last update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineUpdate {
    pub name: EngineName,
    /// What the work was foreseen to take, and what it took.
    pub predicted_ms: f64,
    pub took_ms: f64,
    /// Matrix entries read or written.
    pub touched_entries: u64,
}

/// Updates that were accepted one after the other; the frame's `system_version` is that of the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostsAccepted {
    pub updates: u64,
    /// Entries of `b` and of `A` that the updates named, and those of `A` that were not stored before.
    pub costs: u64,
    pub entries: u64,
    pub new_entries: u64,
    /// Earlier frames of this kind that are added up in this one, because the reader was slow.
    pub skipped: u64,
}

/// Chosen entries of `x`, indices ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct XPartial {
    pub indices: Vec<u32>,
    pub values: Vec<f64>,
    /// What these entries were when last announced, to choose among them for a slow reader; empty in
    /// a lossless stream. Not on the wire.
    pub before: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Performance {
    /// Mean time of an iteration since the last update.
    pub iteration_time_ms: f64,
    pub memory_usage_mb: f64,
    /// Floating-point operations since the session opened.
    pub flops: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MethodChanged {
    pub iteration: u64,
    pub from: MethodName,
    pub to: MethodName,
    pub preconditioner: PreconditionerName,
    pub reason: String,
    /// Of the last announced state.
    pub residual_norm: Option<f64>,
}

/// What was done about a session that had gone astray, why, and what it came to.
#[derive(Debug, Clone, PartialEq)]
pub struct CorrectionMade {
    pub iteration: u64,
    pub cause: Cause,
    /// How far it was off, in parts of what it should have been; of altered rows, their part of those looked at.
    /// Absent where that is no number.
    pub severity: Option<f64>,
    pub action: Correction,
    /// In force from now on.
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    /// The weight of a relaxation's steps.
    pub damping: Option<f64>,
    /// `‖b − A x‖₂` as it was believed to be before, and as it was measured after.
    pub believed_norm: Option<f64>,
    pub residual_norm: Option<f64>,
    /// Rows of `A` that were mended.
    pub repaired_rows: u64,
}

/// Plan 3.3, without a swarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvergenceSignal {
    pub residual_threshold: f64,
    pub consecutive_iterations: u64,
    pub residual_norm: f64,
    pub iterations_below_threshold: u64,
    pub converged: bool,
    /// The version of the system that this is said of, in a live session: criteria and state are those
    /// of that version.
    pub settled_version: Option<SystemVersion>,
    /// Earlier signals that this one replaces, because the reader was slow.
    pub skipped: u64,
}

/// The whole of `x`, shared so that announcing it copies nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    pub iteration: u64,
    pub residual_norm: f64,
    pub relative_residual: f64,
    pub converged: bool,
    /// What is known of `x* − x`, in a live session.
    pub error_bound: Option<StatedBound>,
    pub x: Arc<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heartbeat {
    pub iteration: u64,
    /// Time since the session opened.
    pub uptime_ms: u64,
}

/// Something went wrong inside the stream: an RFC 9457 problem as one member of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamError {
    pub kind: ProblemKind,
    /// What is wrong this time, in one sentence.
    pub detail: String,
    /// What would work instead, where there is something.
    pub way_out: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub reason: EndReason,
    /// For people: the reason in a sentence.
    pub detail: String,
    pub iterations: u64,
    /// Of the last known state; absent when none was reached.
    pub residual_norm: Option<f64>,
    pub relative_residual: Option<f64>,
    pub elapsed_ms: f64,
    pub flops: u64,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndReason {
    Converged,
    MaxIterations,
    TimeBudget,
    Breakdown,
    Indefinite,
    Diverged,
    Stagnated,
    Singular,
    PrecisionLimit,
    UnsuitedPreconditioner,
    MemoryBudget,
    /// Numbers in memory are not those that were accepted.
    Corrupted,
    /// The session reached its longest duration.
    Expired,
    /// A client asked with DELETE.
    Deleted,
    /// Nobody listened any more.
    ListenerGone,
    /// The node is shutting down.
    Draining,
    /// A worker failed on this session: a defect of weir.
    InternalError,
}

impl EndReason {
    /// The reason on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::MaxIterations => "max_iterations",
            Self::TimeBudget => "time_budget",
            Self::Breakdown => "breakdown",
            Self::Indefinite => "indefinite",
            Self::Diverged => "diverged",
            Self::Stagnated => "stagnated",
            Self::Singular => "singular",
            Self::PrecisionLimit => "precision_limit",
            Self::UnsuitedPreconditioner => "unsuited_preconditioner",
            Self::MemoryBudget => "memory_budget",
            Self::Corrupted => "corrupted",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::ListenerGone => "listener_gone",
            Self::Draining => "draining",
            Self::InternalError => "internal_error",
        }
    }
}
