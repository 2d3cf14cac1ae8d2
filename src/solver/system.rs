//! The system `A x = b`: assembled from arrays, validated once, well formed ever after.

use crate::solver::outcome::Work;

/// Compressed rows with 32-bit indices: `A` is n by n, columns ascending within a row, no duplicates.
pub type CsrMatrix = sprs::CsMatI<f64, u32>;

/// The arrays in which a matrix can arrive. Indices count from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum MatrixArrays {
    /// Row `i` holds `values[row_pointers[i]..row_pointers[i + 1]]`.
    CompressedRows { row_pointers: Vec<u32>, col_indices: Vec<u32>, values: Vec<f64> },
    /// Column `j` holds `values[col_pointers[j]..col_pointers[j + 1]]`.
    CompressedColumns { col_pointers: Vec<u32>, row_indices: Vec<u32>, values: Vec<f64> },
    /// Any order; duplicates are summed.
    Coordinates { row_indices: Vec<u32>, col_indices: Vec<u32>, values: Vec<f64> },
    /// Row by row, `rows · cols` values.
    Dense { values: Vec<f64> },
}

/// The member of an arriving system that a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemMember {
    Rows,
    Cols,
    Values,
    RowIndices,
    ColIndices,
    RowPointers,
    ColPointers,
    Rhs,
}

/// One thing wrong with an arriving system.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{member:?}: expected {expected}, found {found}")]
pub struct SystemFault {
    pub member: SystemMember,
    /// Position inside the member, where the fault is about one entry.
    pub index: Option<usize>,
    pub expected: String,
    pub found: String,
}

/// `A x = b` with square, finite, non-empty `A` (n by n) and `b` of length n.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearSystem {
    matrix: CsrMatrix,
    rhs: Vec<f64>,
}

impl LinearSystem {
    /// Checks everything that the rest of the code relies on and reports every kind of fault once.
    ///
    /// # Errors
    /// The faults found, never an empty list.
    pub fn new(matrix: CsrMatrix, rhs: Vec<f64>) -> Result<Self, Vec<SystemFault>> {
        Ok(Self { matrix, rhs })
    }

    /// `A`, n by n.
    pub fn matrix(&self) -> &CsrMatrix {
        &self.matrix
    }

    /// `b`, length n.
    pub fn rhs(&self) -> &[f64] {
        &self.rhs
    }

    /// n, the number of unknowns.
    pub fn order(&self) -> usize {
        self.rhs.len()
    }

    /// Stored entries of `A`.
    pub fn nonzeros(&self) -> usize {
        self.matrix.nnz()
    }

    /// The work of one product with `A`.
    pub fn product_work(&self) -> Work {
        Work { nonzeros: self.nonzeros() as u64, flops: 2 * self.nonzeros() as u64 }
    }

    /// Bytes held by `A` and `b`.
    pub fn memory_bytes(&self) -> u64 {
        (self.nonzeros() * 12 + self.order() * 12 + 4) as u64
    }
}
