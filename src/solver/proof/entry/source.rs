//! What an entry is put together from: the right-hand side, or the residual of a known `x`.

use crate::solver::proof::bound::Residual;
use crate::solver::system::Rows;

/// What is known of the solution.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// Nothing: entries are put together from `b`.
    Nothing { rhs: &'a [f64] },
    /// An `x`, whose error is put together from `b − A x`, computed row by row where it is needed.
    Solution { rhs: &'a [f64], x: &'a [f64] },
}

impl Known<'_> {
    pub(super) fn lengths(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Nothing { rhs } => vec![("rhs", rhs.len())],
            Self::Solution { rhs, x } => vec![("rhs", rhs.len()), ("x", x.len())],
        }
    }

    /// The right-hand side of the system that is solved, `b` or `b − A x`, in one row.
    #[inline(always)]
    pub(super) fn at(&self, rows: Rows, row: usize) -> Residual {
        match self {
            Self::Nothing { rhs } => Residual { value: rhs[row], slack: 0.0 },
            Self::Solution { rhs, x } => Residual::of(rows, row, rhs, x),
        }
    }

    /// What the solution of that system is added to.
    pub(super) fn base(&self, entry: usize) -> f64 {
        match self {
            Self::Nothing { .. } => 0.0,
            Self::Solution { x, .. } => x[entry],
        }
    }
}
