//! What one step of an engine reports, and the ways in which a solve can end. Every end has a type:
//! there is no silent wrong answer and no endless loop.

use crate::solver::options::{MethodName, PreconditionerName};

/// How much a step did, or is predicted to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Stored entries read or written, the unit in which simulated time is charged.
    pub nonzeros: u64,
    /// Floating-point additions and multiplications.
    pub flops: u64,
}

impl std::ops::Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { nonzeros: self.nonzeros + other.nonzeros, flops: self.flops + other.flops }
    }
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What one call of [`Engine::step`](crate::solver::engine::Engine::step) did.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A preconditioner or factorisation was set up; no iteration was counted.
    Prepared(Preparation),
    Iterated(Progress),
    /// `hybrid` gave up on a method; `x` and its residual stay, the next step prepares the new one.
    Switched(MethodSwitch),
    /// Nothing more will happen; further steps return the same outcome.
    Finished(Outcome),
}

/// A set-up that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// For people, such as "ILU(0), 49,988 entries".
    pub description: String,
    pub work: Work,
}

/// One iteration, as the method itself sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Iterations done so far, over all methods of this engine.
    pub iteration: u64,
    /// `‖b − A x‖₂` as tracked by the method. Only true when `residual_is_true`.
    pub residual_norm: f64,
    pub residual_is_true: bool,
    pub work: Work,
}

/// `hybrid` changed its mind.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodSwitch {
    pub from: MethodName,
    pub to: MethodName,
    /// What the first one ended with; none where it was foreseen to be too dear.
    pub cause: Option<StopReason>,
    /// For people: what was seen, such as "no progress over 50 iterations".
    pub reason: String,
}

/// How a solve ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The true residual, recomputed from `b − A x` at the end, meets the tolerance.
    Converged {
        residual_norm: f64,
    },
    Stopped(StopReason),
}

/// Why a solve ended without meeting its tolerance. `x` keeps the best finite state.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StopReason {
    #[error("reached max_iterations = {iterations_max} at residual norm {residual_norm:.3e}")]
    IterationLimit { iterations_max: u64, residual_norm: f64 },
    /// A quantity that the method divides by vanished.
    #[error("{method} broke down at iteration {iteration}: {quantity} vanished")]
    Breakdown { method: MethodName, iteration: u64, quantity: &'static str },
    /// `pᵀ A p ≤ 0`, or a pivot of IC(0)/LLᵀ was not positive: `A` is not positive definite.
    #[error("{method} needs a positive definite matrix: {evidence} at iteration {iteration}")]
    Indefinite { method: MethodName, iteration: u64, evidence: String },
    #[error(
        "{method} diverges: residual norm grew from {from:.3e} to {to:.3e} by iteration {iteration}"
    )]
    Diverged { method: MethodName, iteration: u64, from: f64, to: f64 },
    #[error(
        "{method} stagnates: residual norm {residual_norm:.3e} fell by less than {expected_fall_percent} % over the last {window} iterations"
    )]
    Stagnated { method: MethodName, residual_norm: f64, window: u64, expected_fall_percent: u32 },
    /// No solution was found because `A` is singular, or too close to it for this tolerance.
    #[error("the matrix is numerically singular: {evidence}")]
    Singular { evidence: String },
    /// Rounding alone keeps the residual above the tolerance; `x` is as good as f64 gets.
    #[error(
        "residual norm {residual_norm:.3e} is at the rounding limit {rounding_limit:.3e}, above the tolerance"
    )]
    PrecisionLimit { residual_norm: f64, rounding_limit: f64 },
    /// The preconditioner cannot be set up for this matrix.
    #[error("{preconditioner} does not suit the matrix: {evidence}")]
    Unsuited { preconditioner: PreconditionerName, evidence: String },
    #[error("{needed_bytes} bytes would be needed, more than memory_bytes_max = {limit_bytes}")]
    OutOfMemoryBudget { needed_bytes: u64, limit_bytes: u64 },
    /// Numbers in memory are not those that were accepted, and there is no second copy.
    #[error(
        "{rows} rows of the system, row {first_row} the first, do not hold what was accepted: memory was altered"
    )]
    Corrupted { rows: usize, first_row: usize },
}

impl StopReason {
    /// The reason's name on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IterationLimit { .. } => "max_iterations",
            Self::Breakdown { .. } => "breakdown",
            Self::Indefinite { .. } => "indefinite",
            Self::Diverged { .. } => "diverged",
            Self::Stagnated { .. } => "stagnated",
            Self::Singular { .. } => "singular",
            Self::PrecisionLimit { .. } => "precision_limit",
            Self::Unsuited { .. } => "unsuited_preconditioner",
            Self::OutOfMemoryBudget { .. } => "memory_budget",
            Self::Corrupted { .. } => "corrupted",
        }
    }
}

/// Why a method will not even start on a system. Says what would work instead.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("{method} divides by the diagonal, but row {row} has none (or a zero); try {instead}")]
    ZeroDiagonal { method: String, row: usize, instead: MethodName },
    #[error(
        "cg needs a symmetric matrix, but entry ({row}, {col}) is {value} and entry ({col}, {row}) is {mirrored}; try {instead}"
    )]
    NotSymmetric { row: usize, col: usize, value: f64, mirrored: f64, instead: MethodName },
    /// A negative or zero diagonal entry alone proves that `A` is not positive definite.
    #[error(
        "cg needs a positive definite matrix, but diagonal entry {row} is {value}; try {instead}"
    )]
    NotPositiveDefinite { row: usize, value: f64, instead: MethodName },
    /// A symmetric indefinite matrix whose splitting by the diagonal is known not to contract.
    #[error("{method} is not for this class of matrix: {evidence}; try {instead}")]
    WrongClass { method: MethodName, evidence: String, instead: MethodName },
    #[error("the matrix is structurally singular: {evidence}")]
    StructurallySingular { evidence: String },
    #[error("{method} takes no preconditioner `{preconditioner}`; leave it out")]
    UselessPreconditioner { method: MethodName, preconditioner: PreconditionerName },
    #[error("initial guess has {found} entries, the system has {expected} unknowns")]
    GuessLength { expected: usize, found: usize },
    #[error("initial guess entry {index} is {value}; entries must be finite")]
    GuessNotFinite { index: usize, value: f64 },
    #[error(transparent)]
    Option(#[from] crate::solver::options::OptionFault),
}
