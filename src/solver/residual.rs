//! How small a residual rounding allows, and how far a matrix is from a singular one.

use crate::solver::iterate::{Iterate, Problem};
use crate::solver::kernel;
use crate::solver::system::Rows;

/// The size of `‖b − A x‖₂` that rounding alone can cause: `γ ‖|A| |x| + |b|‖₂` with
/// `γ = (k + 2) u`, `k` the longest row and `u = 2⁻⁵³`. Below it a measured residual says nothing.
///
/// One pass over `A`. Source: Higham, *Accuracy and Stability of Numerical Algorithms*, §3.5.
pub(crate) fn rounding_limit(problem: &Problem, x: &[f64]) -> f64 {
    let rows = problem.rows;
    let mut longest = 0;
    let sizes: Vec<f64> = (0..rows.count())
        .map(|i| {
            let (cols, values) = rows.row(i);
            longest = longest.max(cols.len());
            let products =
                cols.iter().zip(values).map(|(&col, value)| (value * x[col as usize]).abs());
            products.sum::<f64>() + problem.rhs[i].abs()
        })
        .collect();
    let unit = f64::EPSILON / 2.0;
    (longest as f64 + 2.0) * unit * kernel::norm2(&sizes)
}

/// The rounding limit at a measured iterate that has reached it. A limit above `‖b‖₂` is none: such an
/// `x` has no digits, and zero is no worse.
pub(crate) fn limit_reached(problem: &Problem, iterate: &Iterate) -> Option<f64> {
    let limit = rounding_limit(problem, &iterate.x);
    (iterate.norm <= limit && limit <= kernel::norm2(problem.rhs)).then_some(limit)
}

/// `maxᵢ ‖aᵢ‖₂`, a lower bound of `‖A‖₂`.
pub(crate) fn row_norm_max(rows: Rows) -> f64 {
    (0..rows.count()).map(|i| kernel::norm2(rows.row(i).1)).fold(0.0, f64::max)
}

/// Entries of a direction below this part of the largest are taken for the rounding of a solve.
const NOISE: f64 = 1e-12;

/// The smallest `ω` for which some `E` with `|E| ≤ ω |A|` makes `(A + E) z = 0`:
/// `maxᵢ |A z|ᵢ / (|A| |z|)ᵢ`. Taken for `z` and for `z` without its noise, whichever is smaller; at
/// most 1. Two passes over `A`.
///
/// Source: Oettli and Prager 1964 with `b = 0`.
pub(crate) fn change_to_singular(rows: Rows, z: &[f64]) -> f64 {
    let largest = kernel::max_abs(z);
    let cleaned: Vec<f64> =
        z.iter().map(|z| if z.abs() > NOISE * largest { *z } else { 0.0 }).collect();
    relative_product(rows, z).min(relative_product(rows, &cleaned))
}

fn relative_product(rows: Rows, z: &[f64]) -> f64 {
    let ratio = |i| {
        let (cols, values) = rows.row(i);
        let terms = || cols.iter().zip(values).map(|(&col, value)| value * z[col as usize]);
        let size: f64 = terms().map(f64::abs).sum();
        match size {
            0.0 => 0.0,
            // A row that overflows tells nothing; as NaN it would be dropped from the maximum.
            _ if !size.is_finite() => 1.0,
            _ => terms().sum::<f64>().abs() / size,
        }
    };
    (0..rows.count()).map(ratio).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    fn check(n: usize, entry: impl Fn(usize, usize) -> f64, z: &[f64], expected: f64) {
        let values = (0..n * n).map(|k| entry(k / n, k % n)).collect();
        let system = LinearSystem::assemble(n, n, MatrixArrays::Dense { values }, vec![1.0; n]);
        let found = change_to_singular(system.unwrap().rows(), z);
        assert!((found - expected).abs() <= 1e-15, "{found:e} is not {expected:e}");
    }

    #[test]
    fn a_singular_matrix_needs_no_change() {
        check(2, |i, j| [[1.0, 2.0], [2.0, 4.0]][i][j], &[-2.0, 1.0], 0.0);
        // A third unknown that the singular pair does not touch carries only noise.
        let block = |i: usize, j: usize| [[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 1.0]][i][j];
        check(3, block, &[-2e17, 1e17, 1.0], 0.0);
    }

    #[test]
    fn rows_that_overflow_do_not_speak_for_singularity() {
        check(2, |i, j| [[1e200, 1e200], [1e200, -1e200]][i][j], &[1e200, 1e200], 1.0);
    }

    #[test]
    fn a_graded_triangle_is_far_from_singular_however_ill_conditioned() {
        let entry = |i: usize, j: usize| match i.wrapping_sub(j) {
            0 => 1.0,
            1 => 10.0,
            _ => 0.0,
        };
        let powers: Vec<f64> = (0..60).map(|k| (-10.0_f64).powi(k)).collect();
        check(60, entry, &powers, 1.0);
    }
}
