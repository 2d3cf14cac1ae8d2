//! What each row of `A` and `b` should hold, as a sum of hashes that follows every accepted change: so
//! that a value that was altered behind the back of the changes, or a change that was told but not stored,
//! is seen from the row alone. Against accidents, not against forgers.

use crate::solver::live::matrix::LiveMatrix;

/// Takes the place of a column for an entry of `b`, which no column has.
const RHS: u32 = u32::MAX;

/// One sum for each row, of length n.
///
/// 4 bytes a row: an altered row goes unseen with a chance of 2⁻³².
#[derive(Debug, Clone)]
pub(super) struct RowDigests(Vec<u32>);

impl RowDigests {
    /// Of a system as it is. O(nnz).
    pub fn of(matrix: &LiveMatrix, rhs: &[f64]) -> Self {
        Self((0..rhs.len()).map(|row| Self::of_row(matrix, rhs[row], row)).collect())
    }

    /// `A[row, col]` was `old` and is `new`.
    pub fn entry_changed(&mut self, row: usize, col: usize, old: f64, new: f64) {
        self.changed(row, col as u32, old, new);
    }

    /// `b[row]` was `old` and is `new`.
    pub fn rhs_changed(&mut self, row: usize, old: f64, new: f64) {
        self.changed(row, RHS, old, new);
    }

    /// Whether the row holds what it should. O(entries of the row).
    pub fn is_intact(&self, matrix: &LiveMatrix, rhs: f64, row: usize) -> bool {
        self.0[row] == Self::of_row(matrix, rhs, row)
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }

    fn changed(&mut self, row: usize, col: u32, old: f64, new: f64) {
        let change = hash(col, new).wrapping_sub(hash(col, old));
        self.0[row] = self.0[row].wrapping_add(change);
    }

    fn of_row(matrix: &LiveMatrix, rhs: f64, row: usize) -> u32 {
        let entries = matrix.row(row).map(|(col, value)| hash(col, value));
        entries.fold(hash(RHS, rhs), u32::wrapping_add)
    }
}

/// Of a value at its place; 0 for a zero, which may or may not be stored.
///
/// Source: D. Stafford 2011, a finalizer of 64 bits (mix 13).
fn hash(col: u32, value: f64) -> u32 {
    if value == 0.0 {
        return 0;
    }
    let mut bits = value.to_bits() ^ u64::from(col).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 32) as u32
}
