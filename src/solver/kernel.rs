//! The loops that a solve spends its time in: products with `A` and fused vector updates on raw
//! slices. Owns chunking and parallelism; what the numbers mean is decided by the methods.
//!
//! Every sum is taken over fixed chunks of [`CHUNK`] rows that are added in order, so the number of
//! threads never changes a bit.

use rayon::prelude::*;

use crate::solver::system::Rows;

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
        if 2 * far > all { Reach::Scattered } else { Reach::Streamed }
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

/// Sum over `part` of `term(offset)`, in eight interleaved lanes that the compiler can vectorise. The
/// order depends on the length only.
#[inline(always)]
fn lane_sum(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; 8];
    let whole = len - len % 8;
    for start in (0..whole).step_by(8) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    let mut rest = 0.0;
    for offset in whole..len {
        rest += term(offset);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest
}

/// `x · y`.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    assert!(x.len() == y.len());
    let part = |(a, b): (&[f64], &[f64])| {
        let b = &b[..a.len()];
        [lane_sum(a.len(), |i| a[i] * b[i])]
    };
    let [sum] = if !is_parallel(x.len()) {
        add_in_order(x.chunks(CHUNK).zip(y.chunks(CHUNK)).map(part))
    } else {
        let sums: Vec<[f64; 1]> = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).map(part).collect();
        add_in_order(sums.into_iter())
    };
    sum
}

/// `‖x‖₂`, finite for every finite `x` (saturating at the largest f64), never zero for `x ≠ 0`.
pub(crate) fn norm2(x: &[f64]) -> f64 {
    norm_from_square(dot(x, x), x)
}

/// `‖x‖₂` from `x · x` where that is usable, from a scaled second pass where it over- or underflowed.
/// NaN when `x` holds a NaN, infinite when it holds an infinity.
pub(crate) fn norm_from_square(square: f64, x: &[f64]) -> f64 {
    // Below 1e-280 some squares may have been lost to underflow.
    if (1e-280..=f64::MAX).contains(&square) {
        return square.sqrt();
    }
    let largest = max_abs(x);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let scaled: f64 = x.chunks(CHUNK).map(|part| scaled_square(part, largest)).sum();
    (largest * scaled.sqrt()).min(f64::MAX)
}

fn scaled_square(part: &[f64], scale: f64) -> f64 {
    part.iter().map(|value| (value / scale) * (value / scale)).sum()
}

/// `maxᵢ |xᵢ|`; NaN when any entry is.
pub(crate) fn max_abs(x: &[f64]) -> f64 {
    // Without the sign, bit patterns are ordered as the numbers are, with NaN above infinity.
    let bits = |value: &f64| value.to_bits() & !(1 << 63);
    let mut lanes = [0_u64; 4];
    let (whole, rest) = x.as_chunks::<4>();
    for group in whole {
        for (lane, value) in lanes.iter_mut().zip(group) {
            *lane = bits(value).max(*lane);
        }
    }
    let largest = lanes.into_iter().chain(rest.iter().map(bits)).max();
    f64::from_bits(largest.unwrap_or(0))
}

/// `y += a x`.
pub(crate) fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    assert!(x.len() == y.len());
    let entries = y.len();
    fold_chunks(y, entries, |start, part| {
        let x = &x[start..start + part.len()];
        for (value, x) in part.iter_mut().zip(x) {
            *value += a * x;
        }
        []
    });
}

/// `y += a x`; returns `y · y` after the addition.
pub(crate) fn add_scaled_square(y: &mut [f64], a: f64, x: &[f64]) -> f64 {
    assert!(x.len() == y.len());
    let entries = y.len();
    let [square] = fold_chunks(y, entries, |start, part| {
        let x = &x[start..start + part.len()];
        for (value, x) in part.iter_mut().zip(x) {
            *value += a * x;
        }
        let part = &*part;
        [lane_sum(part.len(), |i| part[i] * part[i])]
    });
    square
}

/// `vₖ · w` for every `k`, and `w · w`. Reads each `vₖ` once and `w` once for four of them.
pub(crate) fn dots_and_square(vectors: &[Vec<f64>], w: &[f64]) -> (Vec<f64>, f64) {
    assert!(vectors.iter().all(|v| v.len() == w.len()));
    let chunk = |(number, w): (usize, &[f64])| {
        let start = number * CHUNK;
        let mut sums = Vec::with_capacity(vectors.len() + 1);
        for group in vectors.chunks(4) {
            match group {
                [a, b, c, d] => sums.extend(group_dots([a, b, c, d], start, w)),
                [a, b, c] => sums.extend(group_dots([a, b, c], start, w)),
                [a, b] => sums.extend(group_dots([a, b], start, w)),
                few => few.iter().for_each(|v| sums.extend(group_dots([v], start, w))),
            }
        }
        sums.push(lane_sum(w.len(), |i| w[i] * w[i]));
        sums
    };
    let parts: Vec<Vec<f64>> = if !is_parallel(vectors.len() * w.len()) {
        w.chunks(CHUNK).enumerate().map(chunk).collect()
    } else {
        w.par_chunks(CHUNK).enumerate().map(chunk).collect()
    };
    let mut sums = vec![0.0; vectors.len() + 1];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let square = sums.pop().expect("one sum more than vectors");
    (sums, square)
}

/// The dot products of one chunk, in four lanes each.
#[inline(always)]
fn group_dots<const K: usize>(vectors: [&Vec<f64>; K], start: usize, w: &[f64]) -> [f64; K] {
    let parts = vectors.map(|v| &v[start..start + w.len()]);
    let mut lanes = [[0.0; 4]; K];
    let whole = w.len() - w.len() % 4;
    for first in (0..whole).step_by(4) {
        for (lanes, part) in lanes.iter_mut().zip(&parts) {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                *sum += part[first + lane] * w[first + lane];
            }
        }
    }
    std::array::from_fn(|k| {
        let rest: f64 = (whole..w.len()).map(|i| parts[k][i] * w[i]).sum();
        let [a, b, c, d] = lanes[k];
        ((a + b) + (c + d)) + rest
    })
}

/// `w −= Σ cₖ vₖ`; returns `w · w` after it. Reads each `vₖ` once and `w` once for four of them.
pub(crate) fn subtract_combination(w: &mut [f64], vectors: &[Vec<f64>], factors: &[f64]) -> f64 {
    assert!(vectors.iter().all(|v| v.len() == w.len()) && factors.len() == vectors.len());
    let entries = vectors.len() * w.len();
    let [square] = fold_chunks(w, entries, |start, w| {
        for (group, c) in vectors.chunks(4).zip(factors.chunks(4)) {
            match (group, c) {
                ([a, b, c, d], [e, f, g, h]) => {
                    subtract_group(w, start, [a, b, c, d], [e, f, g, h]);
                }
                ([a, b, c], [e, f, g]) => subtract_group(w, start, [a, b, c], [e, f, g]),
                ([a, b], [e, f]) => subtract_group(w, start, [a, b], [e, f]),
                (few, c) => few.iter().zip(c).for_each(|(v, c)| subtract_group(w, start, [v], [c])),
            }
        }
        let w = &*w;
        [lane_sum(w.len(), |i| w[i] * w[i])]
    });
    square
}

#[inline(always)]
fn subtract_group<const K: usize>(
    w: &mut [f64],
    start: usize,
    vectors: [&Vec<f64>; K],
    factors: [&f64; K],
) {
    let parts = vectors.map(|v| &v[start..start + w.len()]);
    for (i, value) in w.iter_mut().enumerate() {
        for k in 0..K {
            *value -= factors[k] * parts[k][i];
        }
    }
}

/// The eight-lane sum of `term` over one chunk, for fused updates outside this file.
#[inline(always)]
pub(crate) fn chunk_sum(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    lane_sum(len, term)
}
