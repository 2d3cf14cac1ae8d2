//! Incomplete LU without fill: `A ≈ (I + L) D (I + U)` on the pattern of `A`.
//!
//! Source: Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., Algorithm 10.4 (IKJ order).

use std::ops::Range;

use crate::solver::iterate::Problem;
use crate::solver::kernel::{self, Reach};
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, StopReason, Work};
use crate::solver::system::Rows;

/// A pivot below this fraction of its row's largest entry counts as vanished.
const PIVOT_MIN: f64 = 1e-14;

/// Entries of a row of a triangle that are added without a jump.
const MASKED: usize = 4;

/// Keeps the first of [`MASKED`] numbers, and drops the others, from wherever it is entered.
static MASKS: [u64; 2 * MASKED] = [!0, !0, !0, !0, 0, 0, 0, 0];

/// Strict triangle in compressed rows.
#[derive(Debug, Default)]
struct Triangle {
    pointers: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

/// `M = (I + L) D (I + U)` with strict triangles `L`, `U` and diagonal `D`. Scaling `U` by the pivots
/// keeps the division out of the chain of dependent operations of the backward solve.
#[derive(Debug)]
pub(crate) struct IncompleteFactor {
    lower: Triangle,
    upper: Triangle,
    /// `1 / dᵢᵢ`.
    inverse_pivots: Vec<f64>,
}

/// Why a factorisation stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BadPivot {
    pub row: usize,
    pub value: f64,
}

/// Which pivots are acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pivots {
    NonZero,
    Positive,
}

/// ILU(0) of a general matrix.
///
/// # Errors
/// [`StopReason::Breakdown`] when a pivot vanishes.
pub(super) fn factor(
    method: MethodName,
    problem: &Problem,
) -> Result<(IncompleteFactor, Preparation), StopReason> {
    let factor = IncompleteFactor::compute(problem.rows, 0.0, Pivots::NonZero).map_err(|_| {
        StopReason::Breakdown {
            method,
            iteration: problem.iteration,
            quantity: "a pivot of ILU(0)",
        }
    })?;
    let description = format!("ILU(0), {} entries", factor.entries());
    Ok((factor, Preparation { description, work: build_work(problem.rows) }))
}

/// What computing ILU(0) costs: each entry left of the diagonal adds a row of `U` to its row.
pub(super) fn build_work(rows: Rows) -> Work {
    let entries = rows.values.len() as u64;
    let per_row = entries / rows.count().max(1) as u64;
    Work { nonzeros: entries * (2 + per_row / 2), flops: entries * (1 + per_row) }
}

/// Bytes of the factor of a matrix with a full diagonal. O(nnz).
pub(super) fn predicted_bytes(rows: Rows) -> u64 {
    let n = rows.count() as u64;
    let (lower, upper) = triangle_entries(rows);
    12 * (lower + upper + 2 * MASKED) as u64 + 2 * 4 * (n + 1) + 8 * n
}

/// Entries left and right of a full diagonal.
fn triangle_entries(rows: Rows) -> (usize, usize) {
    let left = |row| rows.cols(row).iter().filter(|&&col| (col as usize) < row).count();
    let lower = (0..rows.count()).map(left).sum();
    (lower, rows.values.len().saturating_sub(rows.count() + lower))
}

impl IncompleteFactor {
    /// Factorises `A + shift · diag(A)` on the pattern of `A`.
    pub(super) fn compute(rows: Rows, shift: f64, pivots: Pivots) -> Result<Self, BadPivot> {
        let n = rows.count();
        let mut factor = Self::with_room(rows);
        let is_scattered = rows.reach() == Reach::Scattered;
        // Row being eliminated: value by column, and the stamp of the row that put it there.
        let mut row_values = vec![0.0; n];
        let mut stamps = vec![u32::MAX; n];
        for i in 0..n {
            if is_scattered {
                factor.ask_ahead(rows, i);
            }
            let (cols, values) = rows.row(i);
            let mut largest = 0.0_f64;
            for (&col, &value) in cols.iter().zip(values) {
                row_values[col as usize] = value;
                stamps[col as usize] = i as u32;
                largest = largest.max(value.abs());
            }
            if stamps[i] != i as u32 {
                return Err(BadPivot { row: i, value: 0.0 });
            }
            row_values[i] += shift * row_values[i];
            factor.eliminate(i, cols, &mut row_values, &stamps);
            let pivot = row_values[i];
            let acceptable = match pivots {
                Pivots::NonZero => pivot.abs() > PIVOT_MIN * largest,
                Pivots::Positive => pivot > PIVOT_MIN * largest,
            };
            if !acceptable || !pivot.is_finite() {
                return Err(BadPivot { row: i, value: pivot });
            }
            factor.store(i, cols, &row_values, pivot);
        }
        factor.lower.close();
        factor.upper.close();
        Ok(factor)
    }

    /// Asks for the rows of `U` that the next rows of `A` will need. Where columns are scattered, waiting
    /// for them is most of the factorisation.
    #[inline]
    fn ask_ahead(&self, rows: Rows, i: usize) {
        const POINTERS_AHEAD: usize = 16;
        const ENTRIES_AHEAD: usize = 8;
        let known = |ahead: usize| {
            let row = (i + ahead).min(rows.count() - 1);
            rows.cols(row).iter().map(|&k| k as usize).take_while(move |&k| k < i)
        };
        for k in known(POINTERS_AHEAD) {
            kernel::prefetch(&self.upper.pointers, k);
            kernel::prefetch(&self.inverse_pivots, k);
        }
        for k in known(ENTRIES_AHEAD) {
            let first = self.upper.pointers[k] as usize;
            kernel::prefetch(&self.upper.cols, first);
            kernel::prefetch(&self.upper.values, first);
        }
    }

    fn with_room(rows: Rows) -> Self {
        let n = rows.count();
        let triangle = |room| {
            let mut pointers = Vec::with_capacity(n + 1);
            pointers.push(0);
            Triangle { pointers, cols: Vec::with_capacity(room), values: Vec::with_capacity(room) }
        };
        let (lower, upper) = triangle_entries(rows);
        let (lower, upper) = (triangle(lower + MASKED), triangle(upper + MASKED));
        Self { lower, upper, inverse_pivots: Vec::with_capacity(n) }
    }

    /// Subtracts `l_ik · (row k of D (I + U))` for every `k < i` in the pattern of row `i`.
    fn eliminate(&self, i: usize, cols: &[u32], row_values: &mut [f64], stamps: &[u32]) {
        for &k in cols.iter().take_while(|&&col| (col as usize) < i) {
            let k = k as usize;
            // `row_values[k]` is l_ik · d_kk, and U is stored divided by d_kk.
            let multiplier = row_values[k];
            row_values[k] = multiplier * self.inverse_pivots[k];
            let range = self.upper.pointers[k] as usize..self.upper.pointers[k + 1] as usize;
            for (&col, &value) in
                self.upper.cols[range.clone()].iter().zip(&self.upper.values[range])
            {
                if stamps[col as usize] == i as u32 {
                    row_values[col as usize] -= multiplier * value;
                }
            }
        }
    }

    fn store(&mut self, i: usize, cols: &[u32], row_values: &[f64], pivot: f64) {
        let inverse = 1.0 / pivot;
        for &col in cols {
            let value = row_values[col as usize];
            match (col as usize).cmp(&i) {
                std::cmp::Ordering::Less => {
                    self.lower.cols.push(col);
                    self.lower.values.push(value);
                }
                std::cmp::Ordering::Equal => self.inverse_pivots.push(inverse),
                std::cmp::Ordering::Greater => {
                    self.upper.cols.push(col);
                    self.upper.values.push(value * inverse);
                }
            }
        }
        self.lower.pointers.push(self.lower.cols.len() as u32);
        self.upper.pointers.push(self.upper.cols.len() as u32);
    }

    /// `z = M⁻¹ r`, one pass over the factor.
    pub fn solve(&self, r: &[f64], z: &mut [f64]) {
        let n = self.inverse_pivots.len();
        assert!(r.len() == n && z.len() == n);
        // SAFETY: rows and columns of both triangles are below n, the length of all vectors.
        unsafe {
            match kernel::is_streamed(self.entries()) {
                true => self.substitute::<true>(r, z),
                false => self.substitute::<false>(r, z),
            }
        }
    }

    /// Forward and backward substitution. The unknown just found is handed on in a register: on a grid
    /// every row needs its neighbour, and the way through memory was a third of the whole chain.
    ///
    /// # Safety
    /// `r` and `z` have the length n of the factor.
    unsafe fn substitute<const STREAMED: bool>(&self, r: &[f64], z: &mut [f64]) {
        let n = r.len();
        let mut last = 0.0;
        // SAFETY: the caller's promise; rows and columns of both triangles are below n.
        unsafe {
            for i in 0..n {
                let range = self.lower.range::<STREAMED, 1>(i);
                let (far, near) = self.lower.split_last(range, i.wrapping_sub(1));
                let mut value = *r.get_unchecked(i) - self.lower.sum(far, z);
                if let Some(k) = near {
                    value -= self.lower.values.get_unchecked(k) * last;
                }
                *z.get_unchecked_mut(i) = value;
                last = value;
            }
            for i in (0..n).rev() {
                let range = self.upper.range::<STREAMED, -1>(i);
                let (near, far) = self.upper.split_first(range, i + 1);
                let scaled = *z.get_unchecked(i) * self.inverse_pivots.get_unchecked(i);
                let mut value = scaled - self.upper.sum(far, z);
                if let Some(k) = near {
                    value -= self.upper.values.get_unchecked(k) * last;
                }
                *z.get_unchecked_mut(i) = value;
                last = value;
            }
        }
    }

    /// Stored entries.
    pub fn entries(&self) -> usize {
        let stored = |triangle: &Triangle| triangle.pointers.last().map_or(0, |&end| end as usize);
        stored(&self.lower) + stored(&self.upper) + self.inverse_pivots.len()
    }

    /// The work of one [`solve`](Self::solve).
    pub fn solve_work(&self) -> Work {
        let entries = self.entries() as u64;
        Work { nonzeros: entries, flops: 2 * entries }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        let triangle = |t: &Triangle| {
            4 * t.pointers.capacity() + 4 * t.cols.capacity() + 8 * t.values.capacity()
        };
        (triangle(&self.lower) + triangle(&self.upper) + 8 * self.inverse_pivots.capacity()) as u64
    }
}

impl Triangle {
    /// Where row `i` lies; asks for the entries that a pass in `DIRECTION` comes to later.
    ///
    /// # Safety
    /// Row `i` exists.
    #[inline(always)]
    unsafe fn range<const STREAMED: bool, const DIRECTION: isize>(&self, i: usize) -> Range<usize> {
        // SAFETY: the caller's promise.
        unsafe {
            let first = *self.pointers.get_unchecked(i) as usize;
            let end = *self.pointers.get_unchecked(i + 1) as usize;
            if STREAMED {
                kernel::prefetch_entries::<DIRECTION>(&self.cols, &self.values, first);
            }
            first..end
        }
    }

    /// Takes off the last entry of a row, if it stands in column `col`.
    ///
    /// # Safety
    /// `range` lies inside the entry arrays.
    #[inline(always)]
    unsafe fn split_last(&self, range: Range<usize>, col: usize) -> (Range<usize>, Option<usize>) {
        let Range { start, end } = range;
        // SAFETY: the caller's promise.
        if end > start && unsafe { *self.cols.get_unchecked(end - 1) } as usize == col {
            (start..end - 1, Some(end - 1))
        } else {
            (start..end, None)
        }
    }

    /// Takes off the first entry of a row, if it stands in column `col`.
    ///
    /// # Safety
    /// `range` lies inside the entry arrays.
    #[inline(always)]
    unsafe fn split_first(&self, range: Range<usize>, col: usize) -> (Option<usize>, Range<usize>) {
        let Range { start, end } = range;
        // SAFETY: the caller's promise.
        if end > start && unsafe { *self.cols.get_unchecked(start) } as usize == col {
            (Some(start), start + 1..end)
        } else {
            (None, start..end)
        }
    }

    /// `Σ tᵢⱼ zⱼ` over the entries at `range`. The first [`MASKED`] are taken without a jump, however few
    /// there are: the lengths of the rows of a triangle follow no pattern, and a jump that is guessed
    /// wrongly costs as much as ten entries.
    ///
    /// # Safety
    /// `range` lies inside the entry arrays, [`close`](Self::close) was called, and every column is below
    /// `z.len()`.
    #[inline(always)]
    unsafe fn sum(&self, range: Range<usize>, z: &[f64]) -> f64 {
        let Range { start, end } = range;
        let masks = &MASKS[MASKED - (end - start).min(MASKED)..][..MASKED];
        let mut sums = [0.0; 2];
        // SAFETY: the caller's promise; `close` put MASKED entries behind the last row.
        unsafe {
            for (offset, mask) in masks.iter().enumerate() {
                let term = self.term(start + offset, z);
                sums[offset % 2] += f64::from_bits(term.to_bits() & mask);
            }
            for k in start + MASKED..end {
                sums[k % 2] += self.term(k, z);
            }
        }
        sums[0] + sums[1]
    }

    /// Puts as many zeros behind the last row as [`sum`](Self::sum) may read beyond a row.
    fn close(&mut self) {
        self.cols.extend([0; MASKED]);
        self.values.extend([0.0; MASKED]);
    }

    /// `tᵢⱼ zⱼ` of the entry at `k`.
    ///
    /// # Safety
    /// `k` lies inside the entry arrays and every column is below `z.len()`.
    #[inline(always)]
    unsafe fn term(&self, k: usize, z: &[f64]) -> f64 {
        // SAFETY: the caller's promise.
        unsafe {
            let col = *self.cols.get_unchecked(k) as usize;
            self.values.get_unchecked(k) * z.get_unchecked(col)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::kernel::norm2;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    /// A pattern on which nothing is left out makes the incomplete factors exact.
    fn check_exact(n: usize, has_entry: impl Fn(usize, usize) -> bool) {
        let entry = |i: usize, j: usize| match i == j {
            true => 4.0 * n as f64,
            false if has_entry(i, j) => 1.0 + ((3 * i + 5 * j) % 7) as f64 / 3.0,
            false => 0.0,
        };
        let values = (0..n * n).map(|k| entry(k / n, k % n)).collect();
        let rhs: Vec<f64> = (0..n).map(|i| 1.0 + i as f64).collect();
        let system = LinearSystem::assemble(n, n, MatrixArrays::Dense { values }, rhs).unwrap();
        let factor = IncompleteFactor::compute(system.rows(), 0.0, Pivots::NonZero).unwrap();
        let (mut x, mut r) = (vec![f64::NAN; n], vec![0.0; n]);
        factor.solve(system.rhs(), &mut x);
        system.rows().residual(&x, system.rhs(), &mut r);
        assert!(norm2(&r) <= 1e-13 * norm2(system.rhs()), "n = {n}: {:e}", norm2(&r));
        assert_eq!(factor.memory_bytes(), predicted_bytes(system.rows()), "n = {n}");
    }

    #[test]
    fn factors_without_fill_are_exact_whatever_the_length_of_a_row() {
        for n in 1..=13 {
            check_exact(n, |_, _| true);
            check_exact(n, |i, j| i.abs_diff(j) == 1);
            check_exact(n, |i, j| i == n - 1 || j == n - 1);
            check_exact(n, |i, j| i < j);
        }
    }

    #[test]
    fn entries_count_what_is_stored_of_the_matrix() {
        let system = gallery::poisson_2d(20, 1).unwrap();
        let factor = IncompleteFactor::compute(system.rows(), 0.0, Pivots::Positive).unwrap();
        assert_eq!(factor.entries(), system.nonzeros());
    }
}
