//! The loops that a solve spends its time in: products with `A` and fused vector updates on raw
//! slices. Owns chunking and parallelism; what the numbers mean is decided by the methods.
//!
//! Every sum is taken over fixed chunks of [`CHUNK`] rows that are added in order, so the number of
//! threads never changes a bit.

mod vectors;

use rayon::prelude::*;

use crate::solver::system::Rows;

pub(crate) use vectors::{
    add_scaled, add_scaled_square, chunk_sum, dot, dots_and_square, max_abs, norm_from_square,
    norm2, subtract_combination,
};

/// Rows per partial sum.
pub(crate) const CHUNK: usize = 4_096;

/// Below this many touched entries one thread is faster than waking a second one (measured: a
/// parallel pass costs about 10 µs to start, which is what 16,000 entries take in cache).
const PARALLEL_ENTRIES_MIN: usize = 1 << 16;

/// Matrices with fewer entries stay in the second-level cache from one product to the next.
const STREAMED_ENTRIES_MIN: usize = 1 << 15;

/// How many entries ahead a streamed matrix is asked for. The processor's own prefetching stops at page
/// ends and is busy with `x`: asking made a product with a Poisson matrix of 10⁶ rows 1.5 times as fast
/// (64 entries 1.25, 128 1.39, 256 1.51, 512 1.43, 1,024 1.29 times).
const PREFETCH_AHEAD: usize = 256;

/// Asks for the cache line of `slice[at]`, which may lie beyond the end.
#[inline(always)]
pub(crate) fn prefetch<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}

/// Two numbers that are read and written together.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Pair(pub [f64; 2]);

impl Pair {
    /// Writes both numbers in one go: a read of the pair cannot be served from a write of its half
    /// and would wait until that has reached the cache.
    #[inline(always)]
    pub fn write(&mut self, [first, second]: [f64; 2]) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_set_pd, _mm_store_pd};
            // SAFETY: the target is 16 bytes aligned to 16; SSE2 is part of x86-64.
            unsafe { _mm_store_pd(self.0.as_mut_ptr(), _mm_set_pd(second, first)) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self.0 = [first, second];
        }
    }
}

/// Vectors with fewer entries stay in the second-level cache while a matrix streams by.
const FAR_ORDER_MIN: usize = 1 << 17;

/// Columns farther than this from the diagonal are not in a near cache because of the rows before.
const FAR_COLUMNS: usize = 1 << 15;

/// How many entries ahead a scattered matrix asks for the entries of `x`: the product with a random matrix
/// of 10⁶ rows became 1.25 times as fast, 1.6 times beside a busy neighbour (32 entries 1.15, 128 0.95
/// times). A matrix with near columns would lose 15 % by it.
const GATHER_AHEAD: usize = 64;

/// Where a pass over the rows finds what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everything in a near cache.
    Cached,
    /// The matrix comes from memory in order, `x` mostly from a near cache.
    Streamed,
    /// The matrix comes from memory in order, the entries of `x` from anywhere.
    Scattered,
}

impl Reach {
    /// As constants for the loops that are compiled for each.
    pub const CACHED: u8 = Self::Cached as u8;
    pub const STREAMED: u8 = Self::Streamed as u8;
    pub const SCATTERED: u8 = Self::Scattered as u8;
}

/// Whether a pass over this many matrix entries comes from memory, not from a near cache.
pub(crate) fn is_streamed(entries: usize) -> bool {
    entries >= STREAMED_ENTRIES_MIN
}

/// Asks for the entries that a pass in `DIRECTION` (1 or −1), now at `at`, comes to later.
#[inline(always)]
pub(crate) fn prefetch_entries<const DIRECTION: isize>(indices: &[u32], values: &[f64], at: usize) {
    let ahead = at.wrapping_add_signed(DIRECTION * PREFETCH_AHEAD as isize);
    prefetch(values, ahead);
    prefetch(indices, ahead);
}

/// Products with `A`, n by n. Every vector has length n.
impl Rows<'_> {
    /// `aᵢ · x`.
    ///
    /// # Safety
    /// `i` is below n and `x` has length n.
    #[inline(always)]
    pub(crate) unsafe fn row_dot<const REACH: u8>(&self, i: usize, x: &[f64]) -> f64 {
        // SAFETY: `i < n`, row pointers ascend up to the length of both entry arrays, and every
        // column index is below n: sprs checks that structure when a matrix is built.
        unsafe {
            let (start, end) = self.row_range::<REACH, f64>(i, x);
            let mut sum = 0.0;
            for k in start..end {
                let col = *self.indices.get_unchecked(k) as usize;
                sum += self.values.get_unchecked(k) * x.get_unchecked(col);
            }
            sum
        }
    }

    /// The products of row `i` with two vectors whose entries lie side by side.
    ///
    /// # Safety
    /// `i` is below n and `pairs` has length n.
    #[inline(always)]
    pub(crate) unsafe fn row_dot_pair<const REACH: u8>(
        &self,
        i: usize,
        pairs: &[Pair],
    ) -> [f64; 2] {
        // SAFETY: as in `row_dot`.
        unsafe {
            let (start, end) = self.row_range::<REACH, Pair>(i, pairs);
            let mut sums = [0.0; 2];
            for k in start..end {
                let col = *self.indices.get_unchecked(k) as usize;
                let value = self.values.get_unchecked(k);
                let Pair(pair) = pairs.get_unchecked(col);
                sums = [sums[0] + value * pair[0], sums[1] + value * pair[1]];
            }
            sums
        }
    }

    /// Where row `i` lies in the entry arrays. Asks for what the pass comes to later.
    ///
    /// # Safety
    /// `i` is below n and `x` has length n.
    #[inline(always)]
    unsafe fn row_range<const REACH: u8, T>(&self, i: usize, x: &[T]) -> (usize, usize) {
        // SAFETY: there are n + 1 row pointers.
        let start = unsafe { *self.pointers.get_unchecked(i) } as usize;
        let end = unsafe { *self.pointers.get_unchecked(i + 1) } as usize;
        if REACH != Reach::CACHED {
            prefetch_entries::<1>(self.indices, self.values, start);
        }
        if REACH == Reach::SCATTERED && end + GATHER_AHEAD <= self.indices.len() {
            for k in start..end {
                // SAFETY: the row ends that far before the last entry.
                let col = unsafe { *self.indices.get_unchecked(k + GATHER_AHEAD) };
                prefetch(x, col as usize);
            }
        }
        (start, end)
    }

    /// From where a pass over the rows is served. O(1): looks at a sample of the rows.
    pub(crate) fn reach(&self) -> Reach {
        const SAMPLE: usize = 64;
        let n = self.count();
        if !is_streamed(self.values.len()) {
            return Reach::Cached;
        }
        if n < FAR_ORDER_MIN {
            return Reach::Streamed;
        }
        let (mut far, mut all) = (0, 0);
        for row in (0..n).step_by(n / SAMPLE) {
            let cols = self.cols(row);
            let is_far = |&&col: &&u32| (col as usize).abs_diff(row) > FAR_COLUMNS;
            far += cols.iter().take(SAMPLE).filter(is_far).count();
            all += cols.len().min(SAMPLE);
        }
        if 4 * far > all { Reach::Scattered } else { Reach::Streamed }
    }

    /// `y = A x`.
    pub fn product(&self, x: &[f64], y: &mut [f64]) {
        self.each_row(x, y, |_, product, out| {
            *out = product;
            []
        });
    }

    /// `y = A x`; returns `w · y`. One pass over `A`.
    pub(crate) fn product_dot(&self, x: &[f64], w: &[f64], y: &mut [f64]) -> f64 {
        assert!(w.len() == self.count());
        let [sum] = self.each_row(x, y, |i, product, out| {
            *out = product;
            [w[i] * product]
        });
        sum
    }

    /// `y = A x`; returns `w · y` and `y · y`. One pass over `A`.
    pub(crate) fn product_two_dots(&self, x: &[f64], w: &[f64], y: &mut [f64]) -> [f64; 2] {
        assert!(w.len() == self.count());
        self.each_row(x, y, |i, product, out| {
            *out = product;
            [w[i] * product, product * product]
        })
    }

    /// `r = b − A x`; returns `‖r‖₂`. One pass over `A`.
    pub(crate) fn residual(&self, x: &[f64], b: &[f64], r: &mut [f64]) -> f64 {
        assert!(b.len() == self.count());
        let [square] = self.each_row(x, r, |i, product, out| {
            let value = b[i] - product;
            *out = value;
            [value * value]
        });
        norm_from_square(square, r)
    }

    /// Calls `row(i, aᵢ · x, &mut y[i])` for every row and returns the ordered sums of what it yields.
    #[inline(always)]
    fn each_row<const K: usize>(
        &self,
        x: &[f64],
        y: &mut [f64],
        row: impl Fn(usize, f64, &mut f64) -> [f64; K] + Sync,
    ) -> [f64; K] {
        assert!(x.len() == self.count() && y.len() == self.count());
        let reach = self.reach();
        let chunk = |start: usize, part: &mut [f64]| match reach {
            Reach::Cached => self.rows_of_chunk::<{ Reach::CACHED }, K>(start, part, x, &row),
            Reach::Streamed => self.rows_of_chunk::<{ Reach::STREAMED }, K>(start, part, x, &row),
            Reach::Scattered => self.rows_of_chunk::<{ Reach::SCATTERED }, K>(start, part, x, &row),
        };
        fold_chunks(y, self.values.len(), chunk)
    }

    #[inline(always)]
    fn rows_of_chunk<const REACH: u8, const K: usize>(
        &self,
        start: usize,
        part: &mut [f64],
        x: &[f64],
        row: impl Fn(usize, f64, &mut f64) -> [f64; K],
    ) -> [f64; K] {
        let mut sums = [0.0; K];
        for (offset, out) in part.iter_mut().enumerate() {
            let i = start + offset;
            // SAFETY: `i` is a position of the result, which has length n as `x` has.
            let product = unsafe { self.row_dot::<REACH>(i, x) };
            let terms = row(i, product, out);
            for k in 0..K {
                sums[k] += terms[k];
            }
        }
        sums
    }
}

/// Runs `chunk(start, part)` over fixed chunks of `y`, in parallel when `entries` of work make that
/// pay, and adds the sums in the order of the chunks.
#[inline(always)]
pub(crate) fn fold_chunks<const K: usize>(
    y: &mut [f64],
    entries: usize,
    chunk: impl Fn(usize, &mut [f64]) -> [f64; K] + Sync,
) -> [f64; K] {
    if y.len() <= CHUNK || !is_parallel(entries) {
        let parts = y.chunks_mut(CHUNK).enumerate();
        return add_in_order(parts.map(|(number, part)| chunk(number * CHUNK, part)));
    }
    let sums: Vec<[f64; K]> = y
        .par_chunks_mut(CHUNK)
        .enumerate()
        .map(|(number, part)| chunk(number * CHUNK, part))
        .collect();
    add_in_order(sums.into_iter())
}

/// As [`fold_chunks`] over two vectors of equal length.
#[inline(always)]
pub(crate) fn fold_chunks_pair<const K: usize>(
    y: &mut [f64],
    z: &mut [f64],
    entries: usize,
    chunk: impl Fn(usize, &mut [f64], &mut [f64]) -> [f64; K] + Sync,
) -> [f64; K] {
    assert!(y.len() == z.len());
    if y.len() <= CHUNK || !is_parallel(entries) {
        let parts = y.chunks_mut(CHUNK).zip(z.chunks_mut(CHUNK)).enumerate();
        return add_in_order(parts.map(|(number, (a, b))| chunk(number * CHUNK, a, b)));
    }
    let sums: Vec<[f64; K]> = y
        .par_chunks_mut(CHUNK)
        .zip(z.par_chunks_mut(CHUNK))
        .enumerate()
        .map(|(number, (a, b))| chunk(number * CHUNK, a, b))
        .collect();
    add_in_order(sums.into_iter())
}

/// Whether `entries` of work are worth waking other threads for, where there are any.
fn is_parallel(entries: usize) -> bool {
    entries >= PARALLEL_ENTRIES_MIN && rayon::current_num_threads() > 1
}

fn add_in_order<const K: usize>(sums: impl Iterator<Item = [f64; K]>) -> [f64; K] {
    let mut total = [0.0; K];
    for sum in sums {
        for k in 0..K {
            total[k] += sum[k];
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;

    fn check_product(rows: Rows, expected: Reach) {
        assert_eq!(rows.reach(), expected);
        let x: Vec<f64> = (0..rows.count()).map(|i| (i as f64).sin()).collect();
        let pairs: Vec<Pair> = x.iter().map(|x| Pair([*x, 2.0 * x])).collect();
        let mut y = vec![f64::NAN; x.len()];
        rows.product(&x, &mut y);
        for (i, y) in y.iter().enumerate() {
            let (cols, values) = rows.row(i);
            let mut sum = 0.0;
            cols.iter().zip(values).for_each(|(&col, value)| sum += value * x[col as usize]);
            assert_eq!(*y, sum, "row {i}");
            // SAFETY: `i` is below n, the length of `pairs`.
            let both = unsafe { rows.row_dot_pair::<{ Reach::SCATTERED }>(i, &pairs) };
            assert_eq!(both, [sum, 2.0 * sum], "row {i}");
        }
    }

    #[test]
    fn a_product_is_the_same_from_wherever_its_numbers_come() {
        let small = gallery::diagonally_dominant(500, 2_500, 1).unwrap();
        check_product(small.rows(), Reach::Cached);
        let grid = gallery::poisson_2d(370, 1).unwrap();
        check_product(grid.rows(), Reach::Streamed);
        let scattered = gallery::diagonally_dominant(140_000, 420_000, 1).unwrap();
        check_product(scattered.rows(), Reach::Scattered);
    }
}
