//! The loops that a solve spends its time in: products with `A` and fused vector updates on raw
//! slices. Owns chunking and parallelism; what the numbers mean is decided by the methods.
//!
//! Every sum is taken over fixed chunks of [`CHUNK`] rows that are added in order, so the number of
//! threads never changes a bit.

use std::ops::Range;

use rayon::prelude::*;

use crate::solver::system::Rows;

/// Rows per partial sum.
pub(crate) const CHUNK: usize = 4_096;

/// Below this many touched entries one thread is faster than waking a second one (measured: a
/// parallel pass costs about 10 µs to start, which is what 16,000 entries take in cache).
const PARALLEL_ENTRIES_MIN: usize = 1 << 16;

/// Matrices with fewer entries stay in cache from one product to the next.
const STREAMED_ENTRIES_MIN: usize = 1 << 18;

/// How many entries ahead a streamed matrix is asked for. The processor's own prefetching stops at page
/// ends and is busy with `x`: asking made a product with a Poisson matrix of 10⁶ rows 1.5 times as fast
/// (64 entries 1.25, 128 1.39, 256 1.51, 512 1.43, 1,024 1.29 times).
const PREFETCH_AHEAD: usize = 256;

/// Asks for the cache line of `slice[at]`, which may lie beyond the end.
#[inline(always)]
fn prefetch<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}

/// Products with `A`, n by n. Every vector has length n.
impl Rows<'_> {
    /// `aᵢ · x`.
    ///
    /// # Safety
    /// `i` is below n and `x` has length n.
    #[inline(always)]
    unsafe fn row_dot<const STREAMED: bool>(&self, i: usize, x: &[f64]) -> f64 {
        // SAFETY: `i < n`, row pointers ascend up to the length of both entry arrays, and every
        // column index is below n: sprs checks that structure when a matrix is built.
        unsafe {
            let start = *self.pointers.get_unchecked(i) as usize;
            let end = *self.pointers.get_unchecked(i + 1) as usize;
            if STREAMED {
                prefetch(self.values, start + PREFETCH_AHEAD);
                prefetch(self.indices, start + PREFETCH_AHEAD);
            }
            let mut sum = 0.0;
            for k in start..end {
                let col = *self.indices.get_unchecked(k) as usize;
                sum += self.values.get_unchecked(k) * x.get_unchecked(col);
            }
            sum
        }
    }

    /// `Σ aᵢⱼ xⱼ` over the entries at positions `range`, which must lie inside the entry arrays.
    #[inline(always)]
    pub(crate) fn range_dot(&self, range: Range<usize>, x: &[f64]) -> f64 {
        let (cols, values) = (&self.indices[range.clone()], &self.values[range]);
        assert!(x.len() == self.count());
        let mut sum = 0.0;
        for (&col, value) in cols.iter().zip(values) {
            // SAFETY: column indices are below n, the length of `x`.
            sum += value * unsafe { x.get_unchecked(col as usize) };
        }
        sum
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
        let is_streamed = self.values.len() >= STREAMED_ENTRIES_MIN;
        let chunk = |start: usize, part: &mut [f64]| match is_streamed {
            true => self.rows_of_chunk::<true, K>(start, part, x, &row),
            false => self.rows_of_chunk::<false, K>(start, part, x, &row),
        };
        fold_chunks(y, self.values.len(), chunk)
    }

    #[inline(always)]
    fn rows_of_chunk<const STREAMED: bool, const K: usize>(
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
            let product = unsafe { self.row_dot::<STREAMED>(i, x) };
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
    if entries < PARALLEL_ENTRIES_MIN || y.len() <= CHUNK {
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
    if entries < PARALLEL_ENTRIES_MIN || y.len() <= CHUNK {
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
    let [sum] = if x.len() < PARALLEL_ENTRIES_MIN {
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
    x.iter().fold(0.0, |largest: f64, value| {
        if value.is_nan() || largest.is_nan() { f64::NAN } else { largest.max(value.abs()) }
    })
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

/// `y += a x`; returns `y · z` after the addition.
pub(crate) fn add_scaled_dot(y: &mut [f64], a: f64, x: &[f64], z: &[f64]) -> f64 {
    assert!(x.len() == y.len() && z.len() == y.len());
    let entries = 2 * y.len();
    let [sum] = fold_chunks(y, entries, |start, part| {
        let range = start..start + part.len();
        let (x, z) = (&x[range.clone()], &z[range]);
        for (value, x) in part.iter_mut().zip(x) {
            *value += a * x;
        }
        let part = &*part;
        [lane_sum(part.len(), |i| part[i] * z[i])]
    });
    sum
}

/// The eight-lane sum of `term` over one chunk, for fused updates outside this file.
#[inline(always)]
pub(crate) fn chunk_sum(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    lane_sum(len, term)
}
