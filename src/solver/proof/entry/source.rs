//! What pushes and walks read: `A` by rows, and what an entry is put together from, the right-hand side or
//! the residual of a known `x`.

use crate::solver::proof::bound::Residual;
use crate::solver::system::Rows;

/// A system of which an entry is asked, n by n.
pub trait EntrySource: Copy {
    /// n.
    fn order(self) -> usize;

    /// Stored entries of a row.
    fn entries_of(self, row: usize) -> usize;

    /// `A[row, row]`; none where it is not stored.
    fn diagonal(self, row: usize) -> Option<f64>;

    /// Columns and values of a row, each column once.
    fn row(self, row: usize) -> impl Iterator<Item = (u32, f64)>;

    /// The right-hand side of the system that is solved, `b` or `b − A x`, in one row.
    fn rhs(self, row: usize) -> Residual;

    /// What the solution of that system is added to.
    fn base(self, entry: usize) -> f64;

    /// The vectors that must have length n, by name.
    fn lengths(self) -> Vec<(&'static str, usize)>;
}

/// A system in compressed rows and what is known of its solution.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub rows: Rows<'a>,
    pub known: Known<'a>,
}

/// What is known of the solution.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// Nothing: entries are put together from `b`.
    Nothing { rhs: &'a [f64] },
    /// An `x`, whose error is put together from `b − A x`, computed row by row where it is needed.
    Solution { rhs: &'a [f64], x: &'a [f64] },
}

impl EntrySource for Stored<'_> {
    fn order(self) -> usize {
        self.rows.count()
    }

    #[inline(always)]
    fn entries_of(self, row: usize) -> usize {
        self.rows.cols(row).len()
    }

    #[inline(always)]
    fn diagonal(self, row: usize) -> Option<f64> {
        self.rows.diagonal(row)
    }

    #[inline(always)]
    fn row(self, row: usize) -> impl Iterator<Item = (u32, f64)> {
        let (cols, values) = self.rows.row(row);
        cols.iter().copied().zip(values.iter().copied())
    }

    #[inline(always)]
    fn rhs(self, row: usize) -> Residual {
        match self.known {
            Known::Nothing { rhs } => Residual { value: rhs[row], slack: 0.0 },
            Known::Solution { rhs, x } => Residual::of(self.rows, row, rhs, x),
        }
    }

    fn base(self, entry: usize) -> f64 {
        match self.known {
            Known::Nothing { .. } => 0.0,
            Known::Solution { x, .. } => x[entry],
        }
    }

    fn lengths(self) -> Vec<(&'static str, usize)> {
        match self.known {
            Known::Nothing { rhs } => vec![("rhs", rhs.len())],
            Known::Solution { rhs, x } => vec![("rhs", rhs.len()), ("x", x.len())],
        }
    }
}
