//! The closed set of things that happen inside a node. Traces, metrics and invariant checkers are
//! readers of this one stream; there is no second logging path.

use std::fmt;
use std::time::Duration;

use crate::ids::{SessionId, SubscriptionId, SystemVersion, WorkerId};
use crate::policy::correcting::DriftKind;
use crate::protocol::frame::EndReason;
use crate::solver::correction::Correction;
use crate::solver::live::EngineName;
use crate::solver::options::MethodName;

/// Something that an actor did or saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    SessionOpened {
        session: SessionId,
        unknowns: usize,
        nonzeros: usize,
        method: MethodName,
    },
    SessionRefused {
        reason: &'static str,
    },
    ListenerJoined {
        session: SessionId,
        subscription: SubscriptionId,
    },
    ListenerLeft {
        session: SessionId,
        subscription: SubscriptionId,
        cause: ListenerLeft,
    },
    QuantumStarted {
        session: SessionId,
        worker: WorkerId,
        waited: Duration,
    },
    QuantumDone {
        session: SessionId,
        worker: WorkerId,
        iteration: u64,
        updates: u64,
        took: Duration,
    },
    QuantumFailed {
        session: SessionId,
        worker: WorkerId,
        message: String,
    },
    /// A set-up of a live session was begun in the background.
    SetUpStarted {
        session: SessionId,
        worker: WorkerId,
        engine: EngineName,
        waited: Duration,
    },
    /// It is on its way home.
    SetUpDone {
        session: SessionId,
        worker: WorkerId,
        engine: EngineName,
        took: Duration,
    },
    Prepared {
        session: SessionId,
        description: String,
        took: Duration,
    },
    MethodSwitched {
        session: SessionId,
        from: MethodName,
        to: MethodName,
    },
    /// A session's residual is not what it should be, or rows of its state are not.
    DriftFound {
        session: SessionId,
        kind: DriftKind,
        /// In parts of what it should be.
        severity: f64,
    },
    Corrected {
        session: SessionId,
        correction: Correction,
    },
    CostsAccepted {
        session: SessionId,
        /// That of the last one.
        system_version: SystemVersion,
        updates: u64,
    },
    FramesConflated {
        session: SessionId,
        subscription: SubscriptionId,
        count: u64,
    },
    HeartbeatSent {
        session: SessionId,
    },
    SessionEnded {
        session: SessionId,
        reason: EndReason,
        iteration: u64,
        residual_norm: Option<f64>,
    },
    SessionRemoved {
        session: SessionId,
        cause: SessionRemoved,
    },
    DrainStarted {
        sessions: usize,
    },
}

/// Why a listener is no longer served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerLeft {
    /// It got its end frame.
    Served,
    /// It closed the connection before the end.
    WentAway,
    /// It took nothing for longer than the stall limit.
    Stalled,
}

/// Why a session is no longer in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRemoved {
    Deleted,
    /// Ended long enough ago.
    Expired,
    /// Made room for a newer one.
    Evicted,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SessionOpened { session, unknowns, nonzeros, method } => {
                write!(f, "session_opened {session} n={unknowns} nnz={nonzeros} {method}")
            }
            Self::SessionRefused { reason } => write!(f, "session_refused {reason}"),
            Self::ListenerJoined { session, subscription } => {
                write!(f, "listener_joined {session} #{}", subscription.0)
            }
            Self::ListenerLeft { session, subscription, cause } => {
                write!(f, "listener_left {session} #{} {cause:?}", subscription.0)
            }
            Self::QuantumStarted { session, worker, waited } => {
                write!(f, "quantum_started {session} {worker} waited {waited:?}")
            }
            Self::QuantumDone { session, worker, iteration, updates, took } => write!(
                f,
                "quantum_done {session} {worker} iteration {iteration} updates {updates} took {took:?}"
            ),
            Self::QuantumFailed { session, worker, message } => {
                write!(f, "quantum_failed {session} {worker} {message}")
            }
            Self::SetUpStarted { session, worker, engine, waited } => {
                write!(f, "set_up_started {session} {worker} {engine} waited {waited:?}")
            }
            Self::SetUpDone { session, worker, engine, took } => {
                write!(f, "set_up_done {session} {worker} {engine} took {took:?}")
            }
            Self::Prepared { session, description, took } => {
                write!(f, "prepared {session} {description} took {took:?}")
            }
            Self::MethodSwitched { session, from, to } => {
                write!(f, "method_switched {session} {from} to {to}")
            }
            Self::DriftFound { session, kind, severity } => {
                write!(f, "drift_found {session} {} of {severity:.3}", kind.as_str())
            }
            Self::Corrected { session, correction } => {
                write!(f, "corrected {session} {}", correction.as_str())
            }
            Self::CostsAccepted { session, system_version, updates } => {
                write!(f, "costs_accepted {session} {updates} up to version {}", system_version.0)
            }
            Self::FramesConflated { session, subscription, count } => {
                write!(f, "frames_conflated {session} #{} {count}", subscription.0)
            }
            Self::HeartbeatSent { session } => write!(f, "heartbeat_sent {session}"),
            Self::SessionEnded { session, reason, iteration, residual_norm } => {
                write!(f, "session_ended {session} {} iteration {iteration}", reason.as_str())?;
                match residual_norm {
                    Some(norm) => write!(f, " residual {norm:.2e}"),
                    None => Ok(()),
                }
            }
            Self::SessionRemoved { session, cause } => {
                write!(f, "session_removed {session} {cause:?}")
            }
            Self::DrainStarted { sessions } => write!(f, "drain_started {sessions} sessions"),
        }
    }
}
