//! Why a system gets no path engine, and why an engine does not take a change.

/// A plan or a factorisation that was not made. An engine that was asked to factorise anew keeps the
/// factor it had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PathRefusal {
    #[error("a path engine would need {needed_bytes} bytes, the limit is {limit_bytes}")]
    OutOfMemoryBudget { needed_bytes: u64, limit_bytes: u64 },
    #[error("the factorisation would take {flops:.1e} operations, the limit is {limit:.1e}")]
    OutOfWorkBudget { flops: f64, limit: f64 },
    /// Positions are kept in 32 bits.
    #[error("the factor would have {entries} entries, more than 32-bit positions can count")]
    TooManyEntries { entries: u64 },
    /// Without exchanging rows the pivot of this row is zero, or what is left of it is rounding.
    #[error("the pivot of row {row} vanishes: {pivot:e} is left of terms of size {magnitude:e}")]
    VanishingPivot { row: usize, pivot: f64, magnitude: f64 },
    /// Entries of the factors grew so much that they do not represent `A`.
    #[error(
        "the factors solve with a backward error of {backward_error:e}, the limit is {limit:e}"
    )]
    Inaccurate { backward_error: f64, limit: f64 },
    /// `A` holds an entry where the plan has no room.
    #[error("entry ({row}, {col}) lies outside the planned fill: a new plan is needed")]
    OutsideFill { row: usize, col: usize },
    #[error("the factorisation was left off, nobody wants it any more")]
    Unwanted,
    #[error("the system has {found} rows, the plan was made for {expected}")]
    OtherOrder { expected: usize, found: usize },
}

/// A change or read that was refused. The state is the one before it, to the bit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChangeRefusal {
    #[error("({row}, {col}) lies outside the {order} by {order} matrix")]
    OutOfBounds { row: usize, col: usize, order: usize },
    #[error("expected a finite number, found {found}")]
    NotFinite { found: f64 },
    /// The factor has no room for this entry: plan and factorise the changed matrix.
    #[error("entry ({row}, {col}) lies outside the fill of the factor: refactorisation needed")]
    OutsideFill { row: usize, col: usize },
    /// Working the change in would leave a pivot that is rounding: factorise the changed matrix.
    #[error("the pivot of row {row} would shrink to {share:e} of itself: refactorisation needed")]
    VanishingPivot { row: usize, share: f64 },
    /// The result exceeds the range of numbers.
    #[error("the result of row {row} is not a finite number")]
    Overflow { row: usize },
}
