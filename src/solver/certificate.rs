//! Bounds on the error of `x` that are proven, not estimated.

use crate::solver::analysis::dominance::LineSum;
use crate::solver::system::LinearSystem;

/// A proven bound on `‖x* − x‖∞`, where `A` is strictly diagonally dominant by rows.
///
/// `max_i |r_i| / g_i` with `r = b − A x` and the row gap `g_i = |a_ii| − Σ_{j≠i} |a_ij|`: in the row
/// where `|x*_k − x_k|` is largest, `|r_k| ≥ g_k |x*_k − x_k|` (Ahlberg and Nilson 1963; Varah 1975).
/// Rounding is included: `|r_i|` is raised by `γ_{k+2} (|b_i| + Σ |a_ij| |x_j|)` for a row of `k` entries
/// (Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1) and by the smallest normal number
/// for each operation that may underflow, `g_i` is rounded down.
///
/// `x` has length n. One product with `A` and one with `|A|`. `None` where a row is not strictly
/// dominant, or where any row's part of the bound is not finite.
pub fn error_bound_infinity(system: &LinearSystem, x: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), system.order(), "x has one entry for each unknown");
    let rows = system.rows();
    let mut bound = 0.0_f64;
    for (row, &rhs) in (0..).zip(system.rhs()) {
        let (cols, values) = rows.row(row as usize);
        let gap = LineSum::of(row, cols, values).gap_proven();
        if gap <= 0.0 {
            return None;
        }
        let (mut residual, mut magnitude) = (rhs, rhs.abs());
        for (&col, &value) in cols.iter().zip(values) {
            let term = value * x[col as usize];
            residual -= term;
            magnitude += term.abs();
        }
        // Two more than γ asks for: the sums above and the quotient below round as well.
        let operations = (cols.len() + 4) as f64;
        let slack = operations * (f64::EPSILON * magnitude + f64::MIN_POSITIVE);
        let row_bound = (residual.abs() + slack) / gap + f64::MIN_POSITIVE;
        // `max` would drop a NaN, and with it the row.
        if !row_bound.is_finite() {
            return None;
        }
        bound = bound.max(row_bound);
    }
    Some(bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::system::MatrixArrays;

    #[test]
    fn the_bound_holds_for_a_known_error_and_is_not_idle() {
        let system = gallery::diagonally_dominant(200, 1_000, 5).unwrap();
        let (system, solution) = gallery::with_known_solution(system, 9);
        for error in [1e-3, 1e-9] {
            let mut x = solution.clone();
            x[17] += error;
            let bound = error_bound_infinity(&system, &x).expect("strictly dominant");
            assert!(bound >= error, "{bound:e} is below the error {error:e}");
            assert!(bound <= 100.0 * error, "{bound:e} says nothing about {error:e}");
        }
    }

    fn diagonal_and_bound(diagonal: [f64; 2], rhs: [f64; 2], x: [f64; 2]) -> Option<f64> {
        let arrays = MatrixArrays::Dense { values: vec![diagonal[0], 0.0, 0.0, diagonal[1]] };
        let system = LinearSystem::assemble(2, 2, arrays, rhs.to_vec()).unwrap();
        error_bound_infinity(&system, &x)
    }

    #[test]
    fn a_row_that_overflows_is_not_skipped() {
        let values = vec![4.0, 1.0, 1.0, 1e300, 4e300, 1e300, 1.0, 1.0, 4.0];
        let arrays = MatrixArrays::Dense { values };
        let system = LinearSystem::assemble(3, 3, arrays, vec![5.0; 3]).unwrap();
        assert_eq!(error_bound_infinity(&system, &[1e10, 1e10, -1e10]), None);
        assert_eq!(diagonal_and_bound([1.0, 1.0], [1.0, 1.0], [f64::NAN, 1.0]), None);
        assert_eq!(diagonal_and_bound([1.0, 1.0], [1.0, 1.0], [1.0, f64::INFINITY]), None);
    }

    #[test]
    fn products_that_underflow_are_in_the_bound() {
        // A x underflows to 0, so the residual looks like 0 while x is wrong by 1e-30.
        let bound = diagonal_and_bound([1e-300, 1.0], [0.0, 0.0], [1e-30, 0.0]).unwrap();
        assert!(bound >= 1e-30, "{bound:e}");
        let bound = diagonal_and_bound([1e300, 1.0], [1e-320, 0.0], [0.0, 0.0]).unwrap();
        assert!(bound > 0.0);
    }

    #[test]
    fn a_row_that_is_only_weakly_dominant_proves_nothing() {
        let arrays = MatrixArrays::Dense { values: vec![2.0, -1.0, -1.0, 1.0] };
        let system = LinearSystem::assemble(2, 2, arrays, vec![1.0, 0.0]).unwrap();
        assert_eq!(error_bound_infinity(&system, &[1.0, 1.0]), None);
    }

    #[test]
    fn an_exact_solution_still_carries_the_rounding_of_the_check() {
        let arrays = MatrixArrays::Dense { values: vec![4.0, 1.0, 1.0, 4.0] };
        let system = LinearSystem::assemble(2, 2, arrays, vec![5.0, 5.0]).unwrap();
        let bound = error_bound_infinity(&system, &[1.0, 1.0]).unwrap();
        assert!(bound > 0.0 && bound < 1e-13, "{bound:e}");
    }
}
