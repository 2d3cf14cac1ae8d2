//! What a live engine says of itself: who can work, what was done, why it ended, what is proven.

use std::fmt;

use crate::solver::live::delta::EditFault;
use crate::solver::live::push::RelaxationEnd;
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, Refusal, StopReason, Work};
use crate::solver::path::PathRefusal;

/// Who works changes into `x`. All share `(x, r)`, so changing costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineName {
    /// Residual push, and ordered sweeps where many rows are to be relaxed.
    Relaxation,
    /// The factors on the elimination tree.
    Path,
    /// The method of the solve with its preconditioner, warm.
    Iteration,
}

impl EngineName {
    pub const ALL: [Self; 3] = [Self::Relaxation, Self::Path, Self::Iteration];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relaxation => "relaxation",
            Self::Path => "path",
            Self::Iteration => "iteration",
        }
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an engine would take, in matrix entries, as foreseen from the residual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub engine: EngineName,
    /// Until settled, beside the set-up. Zero while the system is settled.
    pub predicted: Work,
    /// What has to be set up before; zero when the engine is ready.
    pub set_up: Work,
    /// The least that is worth asking for at a time.
    pub step: Work,
    /// Of the system that it is for: [`LiveEngine::version`](super::LiveEngine::version).
    pub version: u64,
}

/// What one call of [`LiveEngine::work`](super::LiveEngine::work) did.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveWork {
    pub work: Work,
    pub end: LiveEnd,
}

/// Why a call of [`LiveEngine::work`](super::LiveEngine::work) ended.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveEnd {
    /// `‖b − A x‖₂ ≤ tolerance · ‖b‖₂`.
    Settled,
    /// The entries allowed are used up; what was reached stays.
    Paused,
    /// Something was set up: a preconditioner, a factor, a witness.
    Prepared(Preparation),
    /// This engine cannot go on, another may. It is not offered again before the next change.
    Failed(LiveStop),
}

/// Why an engine cannot settle the system as it stands.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LiveStop {
    /// The last method there was ended so.
    #[error(transparent)]
    Method(#[from] StopReason),
    /// The changed matrix is none for the method that was asked for.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The method that was asked for converges where the diagonal dominates, which it does no longer.
    #[error("{method} needs an H-matrix, but {evidence}; try {instead}")]
    DominanceLost { method: MethodName, evidence: String, instead: MethodName },
    #[error("relaxation needs the proof that the matrix is an H-matrix: {evidence}")]
    NoLicence { evidence: String },
    #[error("relaxation cannot go on: {0}")]
    Relaxation(RelaxationFailure),
    #[error(transparent)]
    Path(#[from] PathRefusal),
    #[error("no path is worth its factor here: {evidence}")]
    NoPath { evidence: String },
    /// What was set up in the background did not come home.
    #[error("the set-up of {method} was lost: {evidence}")]
    SetUpLost { method: MethodName, evidence: String },
}

/// An end of relaxation that is none of its licence's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelaxationFailure(pub RelaxationEnd);

impl fmt::Display for RelaxationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RelaxationEnd::Settled => write!(f, "every row is below its threshold"),
            RelaxationEnd::Near { norm } => write!(f, "the residual norm is {norm:e}"),
            RelaxationEnd::OverBudget => write!(f, "the entries allowed are used up"),
            RelaxationEnd::RoundingLimit { rows } => {
                write!(f, "{rows} rows are at the rounding limit")
            }
            RelaxationEnd::Doubtful => write!(f, "rounding may outweigh the thresholds"),
            RelaxationEnd::ZeroDiagonal { row } => write!(f, "row {row} has no diagonal"),
            RelaxationEnd::NotFinite { row } => write!(f, "row {row} leaves the range of numbers"),
            RelaxationEnd::Diverging { row, residual } => {
                write!(f, "the residual of row {row} has grown to {residual:e}")
            }
        }
    }
}

/// Why a solve cannot become live.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LiveRefusal {
    /// Squares of such numbers leave the range of numbers.
    #[error("values lie outside 1e-30 to 1e30, which a live system does not scale")]
    Magnitude,
    #[error(transparent)]
    TooManyEntries(#[from] EditFault),
}

/// A version of the system that `x` is known to solve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settlement {
    /// [`LiveEngine::version`](super::LiveEngine::version) at that time.
    pub version: u64,
    /// At least `‖b − A x‖₂` of that version; where it is not the present one, rounding is included.
    pub residual_norm: f64,
    /// `tolerance · ‖b‖₂` of that version, up to what its own rounding may come to.
    pub residual_threshold: f64,
}

/// How much a bound is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BoundKind {
    /// A theorem, rounding included.
    Proven,
    /// What experience says.
    Estimated,
    None,
}

impl BoundKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Estimated => "estimated",
            Self::None => "none",
        }
    }
}

/// A bound of `‖x* − x‖∞`, or of one entry of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StatedBound {
    pub kind: BoundKind,
    /// Infinite where the kind is `None`.
    pub absolute: f64,
    /// Against `‖x*‖∞` or the entry of `x*`; none where that may be 0.
    pub relative: Option<f64>,
}

impl StatedBound {
    pub const NONE: Self = Self { kind: BoundKind::None, absolute: f64::INFINITY, relative: None };

    /// A bound of something that is now `size`.
    pub(super) fn stated(kind: BoundKind, absolute: f64, size: f64) -> Self {
        let least = (size.abs() - absolute).next_down();
        let relative = match () {
            () if absolute == 0.0 => Some(0.0),
            () if least > 0.0 => Some((absolute / least).next_up()),
            () => None,
        };
        Self { kind, absolute, relative }
    }
}
