//! Why no hierarchy is built for a matrix.

/// What stands in the way of a hierarchy. Found during set-up; nothing is kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AmgRefusal {
    /// A missing diagonal entry counts as 0.
    #[error(
        "amg needs a positive diagonal, but diagonal entry {row} is {value}; try bicgstab or direct"
    )]
    Diagonal { row: usize, value: f64 },
    /// `ratio` is `|aᵢⱼ| / √(aᵢᵢ aⱼⱼ)`. In a symmetric matrix above 1 it proves that it is not definite.
    #[error(
        "entry ({row}, {col}) is {ratio:.3e} times the geometric mean of its diagonal entries, more than {limit:e}; try direct"
    )]
    OffDiagonal { row: usize, col: usize, ratio: f64, limit: f64 },
    /// Aggregation takes a constant for the slowest error, which positive entries make wrong.
    #[error(
        "positive entries are {share:.2} of the weight off the diagonal, more than {limit}; try bicgstab with ilu or direct"
    )]
    PositiveOffDiagonals { share: f64, limit: f64 },
    /// Level 0 is `A`.
    #[error(
        "level {level} is not positive definite: its diagonal entry or pivot {row} is {pivot:.3e}; try direct"
    )]
    Indefinite { level: usize, row: usize, pivot: f64 },
    #[error("level {level} is singular: no pivot for column {row}; try ilu or direct")]
    Singular { level: usize, row: usize },
    #[error(
        "coarsening fills in: {entries} entries down to level {level}, more than {limit} times those of the matrix; try ilu"
    )]
    Densified { level: usize, entries: u64, limit: u64 },
    #[error("{needed_bytes} bytes would be needed, more than memory_bytes_max = {limit_bytes}")]
    OutOfMemoryBudget { needed_bytes: u64, limit_bytes: u64 },
    /// Left off on request.
    #[error("the set-up was left off, nobody wants it any more")]
    Unwanted,
}
