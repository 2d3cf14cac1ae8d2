//! What a session and a node say about themselves when asked.

use serde::Serialize;

use crate::ids::{FrameSequence, SessionId, SystemVersion};
use crate::policy::residuals::{ResidualHistory, Trend};
use crate::protocol::timestamp::Timestamp;

/// `GET /api/v1/status/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionStatus {
    pub session_id: SessionId,
    pub state: SessionState,
    /// Why it ended, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<&'static str>,
    pub system_version: SystemVersion,
    pub sequence: FrameSequence,
    pub opened_at: Timestamp,
    pub elapsed_ms: f64,
    pub unknowns: usize,
    pub nonzeros: usize,
    pub method: &'static str,
    pub preconditioner: &'static str,
    pub iteration: u64,
    /// True `‖b − A x‖₂` of the last announced state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual_norm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_residual: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub convergence_rate: Option<f64>,
    /// Where the residual norm went over the last states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual_trend: Option<ResidualTrend>,
    pub tolerance: f64,
    pub flops: u64,
    pub listeners: usize,
    pub memory_usage_mb: f64,
}

/// `GET /api/v1/sessions/{id}/residuals`: the states that a session has announced last, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResidualCourse {
    /// Iterations of all methods, of each state.
    pub iterations: Vec<u64>,
    /// True `‖b − A x‖₂` of each state.
    pub residual_norms: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend: Option<ResidualTrend>,
}

impl From<&ResidualHistory> for ResidualCourse {
    fn from(history: &ResidualHistory) -> Self {
        Self {
            iterations: history.iter().map(|state| state.iteration).collect(),
            residual_norms: history.iter().map(|state| state.residual_norm).collect(),
            trend: history.trend().map(Into::into),
        }
    }
}

/// Where a residual norm went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ResidualTrend {
    /// `falling`, `flat` or `rising`.
    pub course: &'static str,
    /// The factor from one announced state to the next.
    pub factor: f64,
    /// States that it is read from.
    pub states: usize,
}

impl From<Trend> for ResidualTrend {
    fn from(trend: Trend) -> Self {
        let Trend { course, factor, states } = trend;
        Self { course: course.as_str(), factor, states }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    Running,
    /// Its system is solved, and it takes changes.
    Live,
    Ended,
}

/// What a node holds and has done since it started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeStatus {
    pub draining: bool,
    pub uptime_ms: u64,
    pub running_sessions: usize,
    pub running_sessions_max: usize,
    pub ended_sessions: usize,
    pub memory_usage_mb: f64,
    pub memory_limit_mb: f64,
    pub opened_sessions_total: u64,
    pub refused_sessions_total: u64,
    /// What the recorder counted; absent in a simulated world, where the trace has it all.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub totals: Option<NodeTotals>,
}

/// Counts since the node started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NodeTotals {
    pub quanta_total: u64,
    pub updates_total: u64,
    /// Updates of costs.
    pub costs_accepted_total: u64,
    pub worker_failures_total: u64,
    /// Sessions that had gone astray and were brought back.
    pub corrections_total: u64,
    pub frames_conflated_total: u64,
    pub listeners_stalled_total: u64,
    pub records_dropped_total: u64,
}
