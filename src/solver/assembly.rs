//! From arriving arrays to compressed rows: finds every fault (`faults`) before it allocates, then
//! converts with at most one extra copy. What makes a square matrix a system is checked in `system`.
//!
//! Stored zeros stay: an entry that is zero today may be changed tomorrow, and the pattern is what
//! later changes of the matrix refer to. Zeros of a dense array are not entries.

mod faults;

pub use faults::{ROWS_WITHOUT_ENTRY_MAX, matrix_faults};
pub(crate) use faults::{check_values, size_faults};

use crate::solver::system::{CsrMatrix, MatrixArrays, SystemFault, SystemMember};

/// Checks the arrays of a `rows` by `cols` matrix and converts them into compressed rows.
///
/// O(nnz + rows) time; compressed rows move without a copy. Nothing is allocated for a matrix that is
/// refused. Duplicate coordinates are summed in order of arrival.
///
/// # Errors
/// Every fault found, the first of each kind and member, in the order rows, cols, pointers, indices,
/// values.
pub fn assemble(
    rows: usize,
    cols: usize,
    arrays: MatrixArrays,
) -> Result<CsrMatrix, Vec<SystemFault>> {
    let faults = matrix_faults(rows, cols, &arrays);
    if !faults.is_empty() {
        return Err(faults);
    }
    let compressed = match arrays {
        MatrixArrays::CompressedRows { row_pointers, col_indices, values } => {
            Compressed { pointers: row_pointers, indices: col_indices, values }
        }
        MatrixArrays::CompressedColumns { col_pointers, row_indices, values } => {
            transposed(rows, &col_pointers, &row_indices, &values)
        }
        MatrixArrays::Coordinates { row_indices, col_indices, values } => {
            summed(gathered(rows, row_indices, col_indices, values))?
        }
        MatrixArrays::Dense { values } => sparse_of_dense(rows, cols, values),
    };
    Ok(compressed.into_matrix(rows, cols))
}

/// Compressed lines whose arrays agree: `indices[pointers[i]..pointers[i + 1]]` belong to line `i`.
pub(crate) struct Compressed {
    pub pointers: Vec<u32>,
    pub indices: Vec<u32>,
    pub values: Vec<f64>,
}

impl Compressed {
    /// The arrays were checked or made here, so sprs finds nothing; it looks all the same.
    pub fn into_matrix(self, rows: usize, cols: usize) -> CsrMatrix {
        CsrMatrix::new((rows, cols), self.pointers, self.indices, self.values)
    }
}

/// Turns compressed lines around: what was index becomes line. Stable, so indices ascend afterwards.
///
/// O(nnz + `across`) time; `across` is the bound of the indices.
pub(crate) fn transposed(
    across: usize,
    pointers: &[u32],
    indices: &[u32],
    values: &[f64],
) -> Compressed {
    let mut next = line_starts(across, indices);
    let mut turned_indices = vec![0; indices.len()];
    let mut turned_values = vec![0.0; values.len()];
    for (line, pair) in (0..).zip(pointers.windows(2)) {
        for entry in pair[0] as usize..pair[1] as usize {
            let slot = &mut next[indices[entry] as usize];
            turned_indices[*slot as usize] = line;
            turned_values[*slot as usize] = values[entry];
            *slot += 1;
        }
    }
    Compressed { pointers: closed(next), indices: turned_indices, values: turned_values }
}

/// Sorts coordinates into rows, each row in order of arrival.
fn gathered(
    rows: usize,
    row_indices: Vec<u32>,
    col_indices: Vec<u32>,
    values: Vec<f64>,
) -> Compressed {
    let mut next = line_starts(rows, &row_indices);
    let mut indices = vec![0; values.len()];
    let mut held = vec![0.0; values.len()];
    for ((row, col), value) in row_indices.into_iter().zip(col_indices).zip(values) {
        let slot = &mut next[row as usize];
        indices[*slot as usize] = col;
        held[*slot as usize] = value;
        *slot += 1;
    }
    Compressed { pointers: closed(next), indices, values: held }
}

/// Where each line starts, by counting.
fn line_starts(lines: usize, line_of_entry: &[u32]) -> Vec<u32> {
    let mut starts = vec![0u32; lines];
    for &line in line_of_entry {
        starts[line as usize] += 1;
    }
    let mut total = 0;
    for start in &mut starts {
        total += std::mem::replace(start, total);
    }
    starts
}

/// After scattering, each start has moved to its line's end: shifted by one they are the pointers.
fn closed(mut ends: Vec<u32>) -> Vec<u32> {
    ends.insert(0, 0);
    ends
}

/// Sorts each row by column and adds up duplicates, in place.
fn summed(mut rows: Compressed) -> Result<Compressed, Vec<SystemFault>> {
    let mut scratch = vec![];
    let mut kept = 0;
    for row in 0..rows.pointers.len() - 1 {
        let range = rows.pointers[row] as usize..rows.pointers[row + 1] as usize;
        sort_row(&mut rows.indices[range.clone()], &mut rows.values[range.clone()], &mut scratch);
        let row_start = kept;
        for entry in range {
            let (col, value) = (rows.indices[entry], rows.values[entry]);
            if kept > row_start && rows.indices[kept - 1] == col {
                rows.values[kept - 1] += value;
                finite_sum(row, col, rows.values[kept - 1])?;
            } else {
                rows.indices[kept] = col;
                rows.values[kept] = value;
                kept += 1;
            }
        }
        // Kept entries never outnumber those read, so the row's own range has been read by now.
        rows.pointers[row] = row_start as u32;
    }
    *rows.pointers.last_mut().expect("pointers hold at least the closing one") = kept as u32;
    rows.indices.truncate(kept);
    rows.values.truncate(kept);
    if kept < rows.indices.capacity() / 2 {
        rows.indices.shrink_to_fit();
        rows.values.shrink_to_fit();
    }
    Ok(rows)
}

fn finite_sum(row: usize, col: u32, sum: f64) -> Result<(), Vec<SystemFault>> {
    if sum.is_finite() {
        return Ok(());
    }
    let expected = format!("a finite sum of the duplicates at ({row}, {col})");
    Err(vec![SystemFault::of(SystemMember::Values, expected, sum.to_string())])
}

/// Stable: equal columns keep their order of arrival, so that their sum does not depend on the sort.
fn sort_row(indices: &mut [u32], values: &mut [f64], scratch: &mut Vec<(u32, f64)>) {
    if indices.is_sorted() {
        return;
    }
    scratch.clear();
    scratch.extend(indices.iter().copied().zip(values.iter().copied()));
    scratch.sort_by_key(|&(col, _)| col);
    for (entry, &(col, value)) in scratch.iter().enumerate() {
        indices[entry] = col;
        values[entry] = value;
    }
}

fn sparse_of_dense(rows: usize, cols: usize, mut values: Vec<f64>) -> Compressed {
    let entries = values.iter().filter(|&&value| value != 0.0).count();
    let mut pointers = Vec::with_capacity(rows + 1);
    let mut indices = Vec::with_capacity(entries);
    pointers.push(0);
    for row in values.chunks_exact(cols) {
        indices.extend((0..).zip(row).filter(|&(_, &value)| value != 0.0).map(|(col, _)| col));
        pointers.push(indices.len() as u32);
    }
    // In place: a dense matrix is large, and a second copy of its values would double it.
    values.retain(|&value| value != 0.0);
    values.shrink_to_fit();
    Compressed { pointers, indices, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SystemMember as M;

    fn csr(row_pointers: &[u32], col_indices: &[u32], values: &[f64]) -> MatrixArrays {
        MatrixArrays::CompressedRows {
            row_pointers: row_pointers.to_vec(),
            col_indices: col_indices.to_vec(),
            values: values.to_vec(),
        }
    }

    fn csc(col_pointers: &[u32], row_indices: &[u32], values: &[f64]) -> MatrixArrays {
        MatrixArrays::CompressedColumns {
            col_pointers: col_pointers.to_vec(),
            row_indices: row_indices.to_vec(),
            values: values.to_vec(),
        }
    }

    fn coo(row_indices: &[u32], col_indices: &[u32], values: &[f64]) -> MatrixArrays {
        MatrixArrays::Coordinates {
            row_indices: row_indices.to_vec(),
            col_indices: col_indices.to_vec(),
            values: values.to_vec(),
        }
    }

    fn places(rows: usize, cols: usize, arrays: MatrixArrays) -> Vec<(M, Option<usize>)> {
        let faults = assemble(rows, cols, arrays).expect_err("faults");
        faults.iter().map(|fault| (fault.member, fault.index)).collect()
    }

    fn check(rows: usize, arrays: MatrixArrays, expected: &[(M, Option<usize>)]) {
        assert_eq!(places(rows, rows, arrays), expected);
    }

    fn dense_of(matrix: &CsrMatrix) -> Vec<Vec<f64>> {
        matrix.to_dense().rows().into_iter().map(|row| row.to_vec()).collect()
    }

    #[test]
    fn every_form_of_one_matrix_gives_the_same_rows() {
        // [[4, 1], [2, 3]]
        let expected = vec![vec![4.0, 1.0], vec![2.0, 3.0]];
        for arrays in [
            csr(&[0, 2, 4], &[0, 1, 0, 1], &[4.0, 1.0, 2.0, 3.0]),
            csc(&[0, 2, 4], &[0, 1, 0, 1], &[4.0, 2.0, 1.0, 3.0]),
            coo(&[1, 0, 1, 0, 0], &[1, 1, 0, 0, 0], &[3.0, 1.0, 2.0, 1.0, 3.0]),
            MatrixArrays::Dense { values: vec![4.0, 1.0, 2.0, 3.0] },
        ] {
            let matrix = assemble(2, 2, arrays).unwrap();
            assert_eq!(dense_of(&matrix), expected);
            assert_eq!(matrix.nnz(), 4);
        }
    }

    #[test]
    fn stored_zeros_stay_and_dense_zeros_do_not() {
        assert_eq!(assemble(2, 2, coo(&[0, 1], &[0, 1], &[0.0, 1.0])).unwrap().nnz(), 2);
        let dense = MatrixArrays::Dense { values: vec![0.0, 1.0, -0.0, 1.0] };
        assert_eq!(assemble(2, 2, dense).unwrap().nnz(), 2);
    }

    #[test]
    fn pointers_are_checked_for_length_start_order_and_end() {
        check(2, csr(&[0, 2], &[0, 1], &[1.0, 1.0]), &[(M::RowPointers, None)]);
        check(2, csr(&[1, 1, 2], &[0, 1], &[1.0, 1.0]), &[(M::RowPointers, Some(0))]);
        check(2, csr(&[0, 3, 2], &[0, 1], &[1.0, 1.0]), &[(M::RowPointers, Some(2))]);
        check(2, csc(&[0, 1, 3], &[0, 1], &[1.0, 1.0]), &[(M::ColPointers, Some(2))]);
        check(2, csr(&[], &[], &[]), &[(M::RowPointers, None)]);
    }

    #[test]
    fn indices_are_checked_for_range_order_and_repetition() {
        check(2, csr(&[0, 1, 2], &[0, 2], &[1.0, 1.0]), &[(M::ColIndices, Some(1))]);
        check(2, csr(&[0, 0, 2], &[1, 0], &[1.0, 1.0]), &[(M::ColIndices, Some(1))]);
        check(2, csc(&[0, 0, 2], &[1, 1], &[1.0, 1.0]), &[(M::RowIndices, Some(1))]);
        check(
            2,
            coo(&[0, 5], &[7, 0], &[1.0; 2]),
            &[(M::RowIndices, Some(1)), (M::ColIndices, Some(0))],
        );
    }

    #[test]
    fn lengths_must_agree() {
        check(2, csr(&[0, 1, 2], &[0, 1], &[1.0]), &[(M::ColIndices, None)]);
        check(2, coo(&[0], &[0, 1], &[1.0; 3]), &[(M::RowIndices, None), (M::ColIndices, None)]);
        check(2, MatrixArrays::Dense { values: vec![1.0; 3] }, &[(M::Values, None)]);
    }

    #[test]
    fn values_must_be_finite_also_after_summing() {
        check(2, csr(&[0, 1, 2], &[0, 1], &[1.0, f64::NAN]), &[(M::Values, Some(1))]);
        check(1, coo(&[0, 0], &[0, 0], &[f64::MAX, f64::MAX]), &[(M::Values, None)]);
    }

    #[test]
    fn sizes_must_be_square_positive_and_countable() {
        assert_eq!(places(0, 0, coo(&[], &[], &[])), [(M::Rows, None), (M::Cols, None)]);
        assert_eq!(places(2, 3, coo(&[0], &[0], &[1.0])), [(M::Cols, None)]);
        let huge = u32::MAX as usize + 1;
        assert_eq!(places(huge, huge, coo(&[0], &[0], &[1.0])), [(M::Rows, None), (M::Cols, None)]);
        assert_eq!(
            places(usize::MAX, usize::MAX, MatrixArrays::Dense { values: vec![] }),
            [(M::Rows, None), (M::Cols, None), (M::Values, None)]
        );
    }

    #[test]
    fn a_claimed_billion_of_rows_is_not_allocated() {
        check(1_000_000_000, coo(&[0], &[0], &[1.0]), &[(M::Rows, None)]);
        check(1_000_000_000, csr(&[0, 1], &[0], &[1.0]), &[(M::RowPointers, None)]);
    }

    #[test]
    fn the_plans_example_has_all_its_faults_reported_at_once() {
        // Section 9.1: 1000 by 1000 with four column pointers, row 1 twice in column 1.
        let arrays = csc(&[0, 2, 4, 5], &[0, 1, 1, 1, 2], &[2.0, -1.0, -1.0, 2.0, 2.0]);
        check(1000, arrays, &[(M::ColPointers, None), (M::RowIndices, Some(3))]);
    }
}
