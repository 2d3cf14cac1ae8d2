//! The loops of a cycle on one level: sweeps of Gauss-Seidel and transfers, each one pass over f32.

use crate::solver::kernel::prefetch;

use super::level_matrix::{SparseRows, UnitMatrix};
use super::prolongation::Transfer;

/// How many entries ahead a pass asks for its matrix; see `kernel::prefetch_entries`.
const AHEAD: usize = 256;

/// Smaller values become 0. An error that has decayed that far is worth nothing, and numbers below the
/// normal range of f32 cost a hundred cycles each.
const NEGLIGIBLE: f32 = 1e-30;

/// `x = (I + L)⁻¹ b`, a forward sweep that starts from zero; `b(i)` is asked for in ascending order. One
/// pass over `L`.
pub(super) fn sweep_forward(matrix: &UnitMatrix, mut b: impl FnMut(usize) -> f32, x: &mut [f32]) {
    let n = matrix.rows();
    assert!(x.len() == n);
    let lower = &matrix.lower;
    let mut last = 0.0;
    for i in 0..n {
        // SAFETY: `i < n`, and the columns of a level's matrix are below n, the length of `x`.
        unsafe {
            let (start, end) = lower.range::<1>(i);
            // What was just found is handed on in a register: the way through memory takes longer.
            let (end, near) = match end > start && lower.col(end - 1) + 1 == i {
                true => (end - 1, lower.value(end - 1)),
                false => (end, 0.0),
            };
            let value = b(i) - lower.sum(start, end, x) - near * last;
            last = settled(value);
            *x.get_unchecked_mut(i) = last;
        }
    }
}

/// `r = b − A x` after [`sweep_forward`], which is `−U x`. One pass over `U`.
pub(super) fn residual(matrix: &UnitMatrix, x: &[f32], r: &mut [f32]) {
    let n = matrix.rows();
    assert!(x.len() == n && r.len() == n);
    let upper = &matrix.upper;
    for (i, r) in r.iter_mut().enumerate() {
        // SAFETY: `i < n`, columns are below n.
        *r = unsafe {
            let (start, end) = upper.range::<1>(i);
            -upper.sum(start, end, x)
        };
    }
}

/// `coarse = Qᵀ r`.
pub(super) fn restrict(averaging: &Transfer, r: &[f32], coarse: &mut [f32]) {
    assert!(r.len() == averaging.fine_rows && coarse.len() == averaging.rows.count());
    for (row, coarse) in coarse.iter_mut().enumerate() {
        // SAFETY: the row exists, and its columns are below the number of fine rows, the length of `r`.
        *coarse = unsafe {
            let (start, end) = averaging.rows.range::<1>(row);
            averaging.rows.sum(start, end, r)
        };
    }
}

/// `x += P e`.
pub(super) fn prolong(prolongation: &Transfer, e: &[f32], x: &mut [f32]) {
    assert!(x.len() == prolongation.fine_rows && e.len() == prolongation.rows.count());
    let rows = &prolongation.rows;
    for (row, e) in e.iter().enumerate() {
        // SAFETY: as in `restrict`.
        unsafe {
            let (start, end) = rows.range::<1>(row);
            for at in start..end {
                *x.get_unchecked_mut(rows.col(at)) += rows.value(at) * e;
            }
        }
    }
}

/// A backward sweep `x = (I + U)⁻¹ (b − L x)`; `store(i, xᵢ)` is told each new value in descending order.
/// One pass over `A`.
pub(super) fn sweep_backward(
    matrix: &UnitMatrix,
    b: &[f32],
    x: &mut [f32],
    mut store: impl FnMut(usize, f32),
) {
    let n = matrix.rows();
    assert!(b.len() == n && x.len() == n);
    let (lower, upper) = (&matrix.lower, &matrix.upper);
    let mut last = 0.0;
    for i in (0..n).rev() {
        // SAFETY: `i < n`, and columns are below n, the length of both vectors.
        unsafe {
            let (start, end) = lower.range::<-1>(i);
            let known = *b.get_unchecked(i) - lower.sum(start, end, x);
            let (start, end) = upper.range::<-1>(i);
            let (start, near) = match end > start && upper.col(start) == i + 1 {
                true => (start + 1, upper.value(start)),
                false => (start, 0.0),
            };
            let value = known - upper.sum(start, end, x) - near * last;
            last = settled(value);
            *x.get_unchecked_mut(i) = last;
        }
        store(i, last);
    }
}

/// `value`, or 0 where it is [`NEGLIGIBLE`].
#[inline(always)]
fn settled(value: f32) -> f32 {
    // A jump, which is nearly always guessed right; a selection would lengthen the chain from row to row.
    if value.abs() < NEGLIGIBLE { nothing() } else { value }
}

#[cold]
#[inline(never)]
fn nothing() -> f32 {
    0.0
}

impl SparseRows {
    /// Where row `i` lies; asks for the entries that a pass in `DIRECTION` comes to later.
    ///
    /// # Safety
    /// Row `i` exists.
    #[inline(always)]
    unsafe fn range<const DIRECTION: isize>(&self, i: usize) -> (usize, usize) {
        // SAFETY: the caller's promise; there is one pointer more than rows.
        let start = unsafe { *self.pointers.get_unchecked(i) } as usize;
        let end = unsafe { *self.pointers.get_unchecked(i + 1) } as usize;
        let ahead = start.wrapping_add_signed(DIRECTION * AHEAD as isize);
        prefetch(&self.cols, ahead);
        prefetch(&self.values, ahead);
        (start, end)
    }

    /// # Safety
    /// Entry `at` exists.
    #[inline(always)]
    unsafe fn col(&self, at: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { *self.cols.get_unchecked(at) as usize }
    }

    /// # Safety
    /// Entry `at` exists.
    #[inline(always)]
    unsafe fn value(&self, at: usize) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { *self.values.get_unchecked(at) }
    }

    /// `Σ tᵢⱼ xⱼ` over the entries from `start` to `end`, in two lanes.
    ///
    /// # Safety
    /// The entries exist and their columns are below the length of `x`.
    #[inline(always)]
    unsafe fn sum(&self, start: usize, end: usize, x: &[f32]) -> f32 {
        let mut sums = [0.0_f32; 2];
        let mut at = start;
        // SAFETY: the caller's promise.
        unsafe {
            while at + 1 < end {
                sums[0] += self.value(at) * *x.get_unchecked(self.col(at));
                sums[1] += self.value(at + 1) * *x.get_unchecked(self.col(at + 1));
                at += 2;
            }
            if at < end {
                sums[0] += self.value(at) * *x.get_unchecked(self.col(at));
            }
        }
        sums[0] + sums[1]
    }
}
