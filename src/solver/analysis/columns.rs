//! Sums over columns of a matrix that is stored by rows, without a transpose.

use super::dominance::LineSum;
use crate::solver::kernel::prefetch;
use crate::solver::system::Rows;

/// Matrices with fewer columns keep their sums in cache.
const PREFETCHED_COLUMNS_MIN: usize = 1 << 15;
/// How many entries ahead the sum of a column is asked for.
const PREFETCH_AHEAD: usize = 32;

/// What stands in one column, gathered from the first row to the last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ColumnSum {
    /// Of the absolute values beside the diagonal.
    off_diagonal: f64,
    /// Stored entries, the diagonal included.
    entries: u32,
    /// Not 0 when an addition rounded.
    rounded: u32,
}

impl ColumnSum {
    pub fn entries(&self) -> usize {
        self.entries as usize
    }

    pub fn line(&self, diagonal: f64) -> LineSum {
        LineSum::of_parts(diagonal, self.off_diagonal, self.rounded == 0, self.entries())
    }

    #[inline(always)]
    fn add(&mut self, is_diagonal: bool, value: f64) {
        let lost = super::dominance::add_beside(&mut self.off_diagonal, is_diagonal, value);
        self.rounded |= u32::from(lost != 0.0);
        self.entries += 1;
    }
}

/// One for each column. One pass over the entries with 16 bytes of random access for each; 16 n bytes.
pub(crate) fn sums(rows: Rows<'_>) -> Vec<ColumnSum> {
    let mut sums = vec![ColumnSum::default(); rows.count()];
    match rows.count() >= PREFETCHED_COLUMNS_MIN {
        true => gather::<true>(rows, &mut sums),
        false => gather::<false>(rows, &mut sums),
    }
    sums
}

#[inline(always)]
fn gather<const PREFETCHED: bool>(rows: Rows<'_>, sums: &mut [ColumnSum]) {
    for row in 0..rows.count() {
        for at in rows.pointers[row] as usize..rows.pointers[row + 1] as usize {
            if PREFETCHED && let Some(&ahead) = rows.indices.get(at + PREFETCH_AHEAD) {
                prefetch(sums, ahead as usize);
            }
            let col = rows.indices[at] as usize;
            sums[col].add(col == row, rows.values[at]);
        }
    }
}
