//! The loops that a solve spends its time in: products with `A` and fused vector updates on raw
//! slices. Owns chunking and parallelism; what the numbers mean is decided by the methods.
//!
//! Every sum is taken over fixed chunks of [`CHUNK`] rows that are added in order, so the number of
//! threads never changes a bit.

mod vectors;

use std::ops::Range;

use rayon::prelude::*;

use crate::solver::stencils::Stencils;
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

/// How many values ahead a pass over runs of equal stencils asks for, into the second-level cache. On a
/// Poisson matrix of 10⁶ rows one product took 1.01 times as long as a triad of as many bytes (256 values
/// 1.70, 512 1.14, 2,048 1.05 times; into the first level never below 1.20).
const RUN_AHEAD: usize = 1_024;

/// Values of a cache line.
const LINE_VALUES: usize = 8;

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

/// As [`prefetch`], but no nearer than the second-level cache: so many lines may be under way to it that
/// memory is kept busy, which the few buffers of the first level do not allow.
#[inline(always)]
fn prefetch_far<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(slice.as_ptr().wrapping_add(at).cast()) };
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
        if let Some(stencils) = self.stencils {
            let chunk =
                |start: usize, part: &mut [f64]| self.runs_of_chunk(stencils, start, part, x, &row);
            return fold_chunks(y, self.values.len(), chunk);
        }
        let reach = self.reach();
        let chunk = |start: usize, part: &mut [f64]| match reach {
            Reach::Cached => self.rows_of_chunk::<{ Reach::CACHED }, K>(start, part, x, &row),
            Reach::Streamed => self.rows_of_chunk::<{ Reach::STREAMED }, K>(start, part, x, &row),
            Reach::Scattered => self.rows_of_chunk::<{ Reach::SCATTERED }, K>(start, part, x, &row),
        };
        fold_chunks(y, self.values.len(), chunk)
    }

    /// As [`rows_of_chunk`](Self::rows_of_chunk), with the columns taken from stencils.
    #[inline(always)]
    fn runs_of_chunk<const K: usize>(
        &self,
        stencils: &Stencils,
        start: usize,
        part: &mut [f64],
        x: &[f64],
        row: impl Fn(usize, f64, &mut f64) -> [f64; K],
    ) -> [f64; K] {
        let mut sums = [0.0; K];
        let mut at = self.pointers[start] as usize;
        for (rows, distances) in stencils.over(start..start + part.len()) {
            let out = &mut part[rows.start - start..rows.end - start];
            let run = Run { rows, values: &self.values[at..], distances, x };
            at += out.len() * distances.len();
            match distances.len() {
                2 => run.rows_of_length::<2, K>(out, &mut sums, &row),
                3 => run.rows_of_length::<3, K>(out, &mut sums, &row),
                4 => run.rows_of_length::<4, K>(out, &mut sums, &row),
                5 => run.rows_of_length::<5, K>(out, &mut sums, &row),
                6 => run.rows_of_length::<6, K>(out, &mut sums, &row),
                7 => run.rows_of_length::<7, K>(out, &mut sums, &row),
                9 => run.rows_of_length::<9, K>(out, &mut sums, &row),
                _ => run.rows_of_any_length(out, &mut sums, &row),
            }
        }
        sums
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

/// Rows with the same stencil.
struct Run<'a> {
    rows: Range<usize>,
    /// From the first row's on.
    values: &'a [f64],
    distances: &'a [isize],
    x: &'a [f64],
}

impl Run<'_> {
    /// The entries of `x` that meet the entries `k` of the rows, one for each row.
    #[inline(always)]
    fn met(&self, k: usize) -> &[f64] {
        let first = self.rows.start.wrapping_add_signed(self.distances[k]);
        &self.x[first..first + self.rows.len()]
    }

    /// Calls `row(i, aᵢ · x, out)` for every row, each of `L` entries.
    #[inline(always)]
    fn rows_of_length<const L: usize, const K: usize>(
        &self,
        out: &mut [f64],
        sums: &mut [f64; K],
        row: impl Fn(usize, f64, &mut f64) -> [f64; K],
    ) {
        let met: [&[f64]; L] = std::array::from_fn(|k| self.met(k));
        let values = self.values[..out.len() * L].chunks_exact(L);
        for (offset, (values, out)) in values.zip(out).enumerate() {
            for line in 0..L.div_ceil(LINE_VALUES) {
                prefetch_far(values, RUN_AHEAD + line * LINE_VALUES);
            }
            let mut sum = 0.0;
            for k in 0..L {
                // SAFETY: there is one value met for each row.
                sum += values[k] * unsafe { met[k].get_unchecked(offset) };
            }
            let terms = row(self.rows.start + offset, sum, out);
            for k in 0..K {
                sums[k] += terms[k];
            }
        }
    }

    /// As [`rows_of_length`](Self::rows_of_length) where that is not known before.
    #[inline(always)]
    fn rows_of_any_length<const K: usize>(
        &self,
        out: &mut [f64],
        sums: &mut [f64; K],
        row: impl Fn(usize, f64, &mut f64) -> [f64; K],
    ) {
        let length = self.distances.len();
        for (offset, out) in out.iter_mut().enumerate() {
            let i = self.rows.start + offset;
            let values = &self.values[offset * length..(offset + 1) * length];
            for line in 0..length.div_ceil(LINE_VALUES) {
                prefetch_far(values, RUN_AHEAD + line * LINE_VALUES);
            }
            let mut sum = 0.0;
            for (value, distance) in values.iter().zip(self.distances) {
                sum += value * self.x[i.wrapping_add_signed(*distance)];
            }
            let terms = row(i, sum, out);
            for k in 0..K {
                sums[k] += terms[k];
            }
        }
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
    use crate::solver::system::{LinearSystem, MatrixArrays};

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

    /// A band of `width` entries on each side of the diagonal, values all different.
    fn band(n: usize, width: usize) -> LinearSystem {
        let (mut row_indices, mut col_indices, mut values) = (vec![], vec![], vec![]);
        for row in 0..n {
            for col in row.saturating_sub(width)..(row + width + 1).min(n) {
                row_indices.push(row as u32);
                col_indices.push(col as u32);
                values.push(((row * 31 + col * 17) as f64).cos());
            }
        }
        let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
        LinearSystem::assemble(n, n, arrays, vec![1.0; n]).unwrap()
    }

    #[test]
    fn stencils_change_no_bit_of_a_product_nor_of_its_sums() {
        let grids = [
            gallery::poisson_2d(300, 3).unwrap(),
            gallery::poisson_3d(30, 3).unwrap(),
            gallery::convection_diffusion(100, 5.0, 3).unwrap(),
        ];
        let bands = (0..10).map(|width| band(5_000 + width, width));
        for system in grids.into_iter().chain(bands) {
            let with = system.rows();
            assert!(with.stencils.is_some());
            let without = Rows { stencils: None, ..with };
            let n = with.count();
            let x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let [mut y, mut expected] = [vec![f64::NAN; n], vec![f64::NAN; n]];
            let sums = with.product_two_dots(&x, &x, &mut y);
            assert_eq!(sums, without.product_two_dots(&x, &x, &mut expected));
            assert_eq!(y, expected);
            let norm = with.residual(&x, system.rhs(), &mut y);
            assert_eq!(norm, without.residual(&x, system.rhs(), &mut expected));
            assert_eq!(y, expected);
        }
    }
}
