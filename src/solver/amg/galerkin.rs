//! The matrix of the coarse level, `Qᵀ A P`, with `Q = P` for a symmetric `A`.

use super::blocks::Blocks;
use super::level_matrix::{SparseRows, UnitMatrix};
use super::memory::Ledger;
use super::prolongation::Transfer;
use super::refusal::AmgRefusal;

/// Columns of a short row are sorted by insertion.
const SHORT: usize = 48;

/// `Qᵀ A P` with `coarse_rows` rows, columns ascending; summed in f64. Two products, each row by row with
/// an array that says where a column stands (Gustavson 1978).
///
/// # Errors
/// [`AmgRefusal::OutOfMemoryBudget`]; what `check_entries` says to the entries of the product so far.
pub(super) fn triple_product(
    matrix: &UnitMatrix,
    averaging: &Transfer,
    prolongation: &SparseRows,
    coarse_rows: usize,
    ledger: &mut Ledger,
    check_entries: impl Fn(u64) -> Result<(), AmgRefusal>,
) -> Result<Blocks<f64>, AmgRefusal> {
    let entries_of =
        |row: usize| (prolongation.pointers[row + 1] - prolongation.pointers[row]) as usize;
    let product = Blocks::<f32>::compute(
        matrix.rows(),
        coarse_rows,
        ledger,
        |row| {
            let beside = matrix.beside_diagonal(row);
            entries_of(row) + beside.map(|(col, _)| entries_of(col as usize)).sum::<usize>()
        },
        |row, sum| {
            for (col, value) in matrix.beside_diagonal(row).chain([(row as u32, 1.0)]) {
                let (cols, factors) = prolongation.row(col as usize);
                for (&col, factor) in cols.iter().zip(factors) {
                    sum.add(col, value * factor);
                }
            }
        },
        |_| Ok(()),
    )?;
    let restriction = &averaging.rows;
    let coarse = Blocks::<f64>::compute(
        coarse_rows,
        coarse_rows,
        ledger,
        |row| restriction.row(row).0.iter().map(|&fine| product.row(fine as usize).0.len()).sum(),
        |row, sum| {
            let (fine, factors) = restriction.row(row);
            for (&fine, &factor) in fine.iter().zip(factors) {
                let (cols, values) = product.row(fine as usize);
                for (&col, &value) in cols.iter().zip(values) {
                    sum.add(col, f64::from(factor) * f64::from(value));
                }
            }
            let (cols, values) = sum.present();
            sort_by_column(cols, values);
        },
        check_entries,
    )?;
    ledger.give_back(product.bytes());
    Ok(coarse)
}

fn sort_by_column(cols: &mut [u32], values: &mut [f64]) {
    if cols.len() > SHORT {
        let mut pairs: Vec<(u32, f64)> =
            std::iter::zip(cols.iter().copied(), values.iter().copied()).collect();
        pairs.sort_unstable_by_key(|&(col, _)| col);
        for (at, (col, value)) in pairs.into_iter().enumerate() {
            (cols[at], values[at]) = (col, value);
        }
        return;
    }
    for end in 1..cols.len() {
        let (col, value) = (cols[end], values[end]);
        let mut at = end;
        while at > 0 && cols[at - 1] > col {
            (cols[at], values[at]) = (cols[at - 1], values[at - 1]);
            at -= 1;
        }
        (cols[at], values[at]) = (col, value);
    }
}
