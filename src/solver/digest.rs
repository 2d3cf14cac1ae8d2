//! What each row of `A` and `b` should hold, as a sum of hashes that follows every accepted change: so
//! that a value that was altered behind the back of the changes, or a change that was told but not stored,
//! is seen from the row alone. Against accidents, not against forgers.

/// Takes the place of a column for an entry of `b`, which no column has.
const RHS: u32 = u32::MAX;

/// One sum for each row, of length n.
///
/// 4 bytes a row: an altered row goes unseen with a chance of 2⁻³².
#[derive(Debug, Clone)]
pub(crate) struct RowDigests(Vec<u32>);

impl RowDigests {
    /// Of `order` rows as they are: `row` gives the columns and values of one. O(nnz).
    pub fn of<R>(rhs: &[f64], row: impl Fn(usize) -> R) -> Self
    where
        R: Iterator<Item = (u32, f64)>,
    {
        Self(rhs.iter().enumerate().map(|(at, &rhs)| of_row(row(at), rhs)).collect())
    }

    /// `A[row, col]` was `old` and is `new`.
    pub fn entry_changed(&mut self, row: usize, col: usize, old: f64, new: f64) {
        self.changed(row, col as u32, old, new);
    }

    /// `b[row]` was `old` and is `new`.
    pub fn rhs_changed(&mut self, row: usize, old: f64, new: f64) {
        self.changed(row, RHS, old, new);
    }

    /// Whether row `row` holds what it should. O(its entries).
    pub fn is_intact(
        &self,
        row: usize,
        entries: impl Iterator<Item = (u32, f64)>,
        rhs: f64,
    ) -> bool {
        self.0[row] == of_row(entries, rhs)
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }

    fn changed(&mut self, row: usize, col: u32, old: f64, new: f64) {
        let change = hash(col, new).wrapping_sub(hash(col, old));
        self.0[row] = self.0[row].wrapping_add(change);
    }
}

fn of_row(entries: impl Iterator<Item = (u32, f64)>, rhs: f64) -> u32 {
    entries.map(|(col, value)| hash(col, value)).fold(hash(RHS, rhs), u32::wrapping_add)
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
