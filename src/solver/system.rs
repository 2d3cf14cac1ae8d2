//! The system `A x = b`: assembled from arrays, validated once, well formed ever after.

use crate::solver::assembly::{self, check_values, matrix_faults};
use crate::solver::memory_fault::FaultPlace;
use crate::solver::outcome::Work;
use crate::solver::stencils::Stencils;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
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
#[error("{}: expected {expected}, found {found}", self.place())]
pub struct SystemFault {
    pub member: SystemMember,
    /// Position inside the member, where the fault is about one entry.
    pub index: Option<usize>,
    pub expected: String,
    pub found: String,
}

impl SystemFault {
    /// A fault of a whole member.
    pub(crate) fn of(member: SystemMember, expected: String, found: String) -> Self {
        Self { member, index: None, expected, found }
    }

    /// A fault of one entry of a member.
    pub(crate) fn at(member: SystemMember, index: usize, expected: String, found: String) -> Self {
        Self { member, index: Some(index), expected, found }
    }

    fn place(&self) -> String {
        match self.index {
            Some(index) => format!("{}[{index}]", self.member.as_str()),
            None => self.member.as_str().to_owned(),
        }
    }
}

impl SystemMember {
    /// The member's name in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Cols => "cols",
            Self::Values => "values",
            Self::RowIndices => "row_indices",
            Self::ColIndices => "col_indices",
            Self::RowPointers => "row_pointers",
            Self::ColPointers => "col_pointers",
            Self::Rhs => "rhs",
        }
    }
}

/// `A x = b` with square, finite, non-empty `A` (n by n, columns ascending within a row) and finite `b`
/// of length n. A structurally singular `A` is a system, too: the analysis reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearSystem {
    matrix: CsrMatrix,
    /// Where the rows of `matrix` repeat their shape.
    stencils: Option<Stencils>,
    rhs: Vec<f64>,
}

impl LinearSystem {
    /// Assembles a `rows` by `cols` matrix and joins it with `rhs`. Faults of all members are reported
    /// together; nothing is allocated for a system that has any.
    ///
    /// # Errors
    /// The faults found, never an empty list: see [`assembly::assemble`].
    pub fn assemble(
        rows: usize,
        cols: usize,
        arrays: MatrixArrays,
        rhs: Vec<f64>,
    ) -> Result<Self, Vec<SystemFault>> {
        let mut faults = rhs_faults(rows, &rhs);
        if !faults.is_empty() {
            let mut all = matrix_faults(rows, cols, &arrays);
            all.append(&mut faults);
            return Err(all);
        }
        Ok(Self::joined(assembly::assemble(rows, cols, arrays)?, rhs))
    }

    /// Joins a matrix with a right-hand side. Checks everything that the rest of the code relies on; a
    /// matrix stored by columns is converted.
    ///
    /// # Errors
    /// The faults found, never an empty list.
    pub fn new(matrix: CsrMatrix, rhs: Vec<f64>) -> Result<Self, Vec<SystemFault>> {
        let mut faults = assembly::size_faults(matrix.rows(), matrix.cols());
        check_values(SystemMember::Values, matrix.data(), &mut faults);
        faults.append(&mut rhs_faults(matrix.rows(), &rhs));
        if !faults.is_empty() {
            return Err(faults);
        }
        let matrix = if matrix.is_csr() { matrix } else { matrix.to_csr() };
        Ok(Self::joined(matrix, rhs))
    }

    fn joined(matrix: CsrMatrix, rhs: Vec<f64>) -> Self {
        let stencils = Stencils::of(matrix.indptr().into_raw_storage(), matrix.indices());
        Self { matrix, stencils, rhs }
    }

    /// `A`, n by n.
    pub fn matrix(&self) -> &CsrMatrix {
        &self.matrix
    }

    /// Lets a number in memory become another one. O(1).
    pub(in crate::solver) fn suffer(&mut self, place: FaultPlace, row: usize, by: f64) {
        let first = self.matrix.indptr().into_raw_storage()[row] as usize;
        match (place, self.matrix.data_mut().get_mut(first)) {
            (FaultPlace::Matrix, Some(value)) => *value += by,
            (FaultPlace::Cost, _) => self.rhs[row] += by,
            (FaultPlace::Matrix, None) | (FaultPlace::Solution, _) => {}
        }
    }

    /// `A` taken apart and back: the matrix and `b`.
    pub fn into_parts(self) -> (CsrMatrix, Vec<f64>) {
        (self.matrix, self.rhs)
    }

    /// `A` as plain slices.
    pub fn rows(&self) -> Rows<'_> {
        Rows { stencils: self.stencils.as_ref(), ..Rows::of(&self.matrix) }
    }

    /// `Aᵀ` in compressed rows, which is `A` in compressed columns. O(nnz).
    pub fn transposed(&self) -> CsrMatrix {
        let rows = self.rows();
        let n = self.order();
        assembly::transposed(n, rows.pointers, rows.indices, rows.values).into_matrix(n, n)
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
        let stencils = self.stencils.as_ref().map_or(0, Stencils::memory_bytes);
        (self.nonzeros() * 12 + self.order() * 12 + 4) as u64 + stencils
    }
}

/// Compressed rows as plain slices, for passes that read every entry.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// n + 1 of them; row `i` holds `pointers[i]..pointers[i + 1]`.
    pub pointers: &'a [u32],
    pub indices: &'a [u32],
    pub values: &'a [f64],
    /// Where the rows repeat their shape; products then need no indices.
    pub(in crate::solver) stencils: Option<&'a Stencils>,
}

impl<'a> Rows<'a> {
    /// Rows of which nothing more is known than their arrays.
    pub(in crate::solver) fn plain(
        pointers: &'a [u32],
        indices: &'a [u32],
        values: &'a [f64],
    ) -> Self {
        Self { pointers, indices, values, stencils: None }
    }

    /// The slices of a matrix stored by rows.
    pub fn of(matrix: &'a CsrMatrix) -> Self {
        assert!(matrix.is_csr(), "a matrix of a system is stored by rows");
        Self::plain(matrix.indptr().into_raw_storage(), matrix.indices(), matrix.data())
    }

    pub fn count(&self) -> usize {
        self.pointers.len() - 1
    }

    /// Columns and values of one row.
    #[inline]
    pub fn row(&self, row: usize) -> (&'a [u32], &'a [f64]) {
        let range = self.pointers[row] as usize..self.pointers[row + 1] as usize;
        (&self.indices[range.clone()], &self.values[range])
    }

    /// `aᵢᵢ`, none where it is not stored. O(entries of the row) for a short row, O(log) for a long one.
    #[inline]
    pub fn diagonal(&self, row: usize) -> Option<f64> {
        const SHORT: usize = 32;
        let (cols, values) = self.row(row);
        let at = match cols.len() <= SHORT {
            // Taken without a jump that depends on the columns.
            true => cols.iter().map(|&col| usize::from((col as usize) < row)).sum(),
            false => cols.partition_point(|&col| (col as usize) < row),
        };
        (cols.get(at) == Some(&(row as u32))).then(|| values[at])
    }

    /// The value at `(row, col)`, 0 where nothing is stored. O(log of the row's entries).
    pub fn value_at(&self, row: usize, col: u32) -> f64 {
        let (cols, values) = self.row(row);
        cols.binary_search(&col).map_or(0.0, |at| values[at])
    }

    /// Columns of one row.
    #[inline]
    pub fn cols(&self, row: usize) -> &'a [u32] {
        &self.indices[self.pointers[row] as usize..self.pointers[row + 1] as usize]
    }
}

fn rhs_faults(rows: usize, rhs: &[f64]) -> Vec<SystemFault> {
    let mut faults = vec![];
    if rhs.len() != rows {
        let expected = format!("{rows} entries, one for each row");
        faults.push(SystemFault::of(SystemMember::Rhs, expected, format!("{} entries", rhs.len())));
    }
    check_values(SystemMember::Rhs, rhs, &mut faults);
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_by_two(values: &[f64]) -> MatrixArrays {
        MatrixArrays::Dense { values: values.to_vec() }
    }

    #[test]
    fn faults_of_matrix_and_right_hand_side_arrive_together() {
        let arrays = two_by_two(&[1.0, f64::INFINITY, 0.0, 1.0]);
        let faults = LinearSystem::assemble(2, 2, arrays, vec![1.0, 2.0, f64::NAN]).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| (fault.member, fault.index)).collect();
        assert_eq!(
            places,
            [
                (SystemMember::Values, Some(1)),
                (SystemMember::Rhs, None),
                (SystemMember::Rhs, Some(2))
            ]
        );
        assert_eq!(faults[0].to_string(), "values[1]: expected a finite number, found inf");
    }

    #[test]
    fn a_matrix_stored_by_columns_is_turned_into_rows() {
        let by_columns =
            CsrMatrix::new_csc((2, 2), vec![0, 2, 3], vec![0, 1, 1], vec![1.0, 2.0, 3.0]);
        let system = LinearSystem::new(by_columns, vec![0.0; 2]).unwrap();
        assert_eq!(system.rows().pointers, [0, 1, 3]);
        assert_eq!(system.rows().row(1), (&[0, 1][..], &[2.0, 3.0][..]));
        assert_eq!(system.transposed(), system.matrix().transpose_view().to_csr());
    }

    #[test]
    fn a_rectangular_an_empty_and_a_non_finite_matrix_are_refused() {
        let wide = CsrMatrix::zero((2, 3));
        assert_eq!(
            LinearSystem::new(wide, vec![0.0; 2]).unwrap_err()[0].member,
            SystemMember::Cols
        );
        let empty = CsrMatrix::zero((0, 0));
        assert_eq!(LinearSystem::new(empty, vec![]).unwrap_err()[0].member, SystemMember::Rows);
        let infinite = CsrMatrix::new((1, 1), vec![0, 1], vec![0], vec![f64::INFINITY]);
        assert_eq!(LinearSystem::new(infinite, vec![0.0]).unwrap_err()[0].index, Some(0));
    }
}
