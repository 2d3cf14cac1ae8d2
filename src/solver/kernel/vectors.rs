//! Passes over whole vectors, each fused with the sums that fall out of it.

use rayon::prelude::*;

use crate::solver::kernel::{CHUNK, add_in_order, fold_chunks, is_parallel};

/// Sum over `part` of `term(offset)`, in eight interleaved lanes that the compiler can vectorise. The
/// order depends on the length only.
#[inline(always)]
pub(crate) fn chunk_sum(len: usize, term: impl Fn(usize) -> f64) -> f64 {
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
        [chunk_sum(a.len(), |i| a[i] * b[i])]
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
        [chunk_sum(part.len(), |i| part[i] * part[i])]
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
        sums.push(chunk_sum(w.len(), |i| w[i] * w[i]));
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
        [chunk_sum(w.len(), |i| w[i] * w[i])]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_projections_agree_with_one_vector_at_a_time() {
        for (len, count) in [(1, 1), (7, 3), (4_099, 4), (9_001, 9), (30_000, 5), (5, 0)] {
            let vector = |k: usize| (0..len).map(|i| ((i * (k + 2)) as f64).sin()).collect();
            let vectors: Vec<Vec<f64>> = (0..count).map(vector).collect();
            let mut w: Vec<f64> = vector(count + 1);
            let (dots, square) = dots_and_square(&vectors, &w);
            let expected: Vec<f64> = vectors.iter().map(|v| dot(v, &w)).collect();
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-11 * len as f64;
            assert!(dots.iter().zip(&expected).all(|(a, b)| near(*a, *b)), "{len}, {count}");
            assert_eq!(square, dot(&w, &w));
            let mut one_by_one = w.clone();
            vectors.iter().zip(&dots).for_each(|(v, c)| add_scaled(&mut one_by_one, -c, v));
            let left = subtract_combination(&mut w, &vectors, &dots);
            assert_eq!(w, one_by_one, "{len}, {count}");
            assert_eq!(left, dot(&w, &w));
        }
    }

    #[test]
    fn the_largest_entry_is_found_and_nan_counts_as_larger() {
        assert_eq!(max_abs(&[]), 0.0);
        assert_eq!(max_abs(&[1.0, -7.0, 3.0, 0.0, -0.5]), 7.0);
        assert_eq!(max_abs(&[f64::NEG_INFINITY, 1.0]), f64::INFINITY);
        assert!(max_abs(&[1.0, 2.0, 3.0, 4.0, -f64::NAN, f64::INFINITY]).is_nan());
    }
}
