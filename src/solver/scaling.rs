//! Powers of two that bring a system of extreme magnitude into the range in which squares neither
//! overflow nor vanish. Exact: multiplying by a power of two rounds nothing.

use crate::solver::kernel;
use crate::solver::system::Rows;

/// Magnitudes up to here and down to its inverse are left alone; the square of a product of both
/// stays far from the ends of f64.
const ORDINARY_EXPONENT_MAX: i32 = 100;

/// `Â = A 2⁻ᵃ` and `b̂ = b 2⁻ᵇ`, so that `Â x̂ = b̂` has `x = x̂ 2ᵇ⁻ᵃ` and `r = r̂ 2ᵇ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scaling {
    matrix_exponent: i32,
    rhs_exponent: i32,
}

/// `Â` and `b̂`, where they differ from `A` and `b`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScaledArrays {
    pub values: Vec<f64>,
    pub rhs: Vec<f64>,
}

impl Scaling {
    /// The scaling a system needs. O(nnz).
    pub fn of(rows: Rows, rhs: &[f64]) -> Self {
        Self { matrix_exponent: exponent(rows.values), rhs_exponent: exponent(rhs) }
    }

    /// The scaled arrays, none for a system of ordinary magnitude.
    pub fn apply(self, rows: Rows, rhs: &[f64]) -> Option<ScaledArrays> {
        if self.matrix_exponent == 0 && self.rhs_exponent == 0 {
            return None;
        }
        let scaled =
            |values: &[f64], exponent| values.iter().map(|v| times_power(*v, exponent)).collect();
        Some(ScaledArrays {
            values: scaled(rows.values, -self.matrix_exponent),
            rhs: scaled(rhs, -self.rhs_exponent),
        })
    }

    /// `x̂` from `x`. The true entry may lie outside f64: the result is then infinite or zero.
    pub fn scale_x(self, x: f64) -> f64 {
        times_power(x, self.matrix_exponent - self.rhs_exponent)
    }

    /// `x` from `x̂`, infinite when it exceeds f64.
    pub fn unscale_x(self, x: f64) -> f64 {
        times_power(x, self.rhs_exponent - self.matrix_exponent)
    }

    /// `‖r‖` from `‖r̂‖`, saturating at the largest f64.
    pub fn unscale_norm(self, norm: f64) -> f64 {
        times_power(norm, self.rhs_exponent).min(f64::MAX)
    }
}

/// The binary exponent of the largest entry where it is extreme, otherwise 0.
fn exponent(values: &[f64]) -> i32 {
    let largest = kernel::max_abs(values);
    if largest == 0.0 {
        return 0;
    }
    let exponent = largest.log2() as i32;
    if exponent.abs() > ORDINARY_EXPONENT_MAX { exponent } else { 0 }
}

/// `value · 2^exponent` without overflow on the way.
fn times_power(value: f64, exponent: i32) -> f64 {
    let half = exponent / 2;
    let rest = exponent - half;
    value
        * 2.0_f64.powi(half / 2)
        * 2.0_f64.powi(half - half / 2)
        * 2.0_f64.powi(rest / 2)
        * 2.0_f64.powi(rest - rest / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact_to_the_ends_of_the_range() {
        for exponent in [-2_000, -1_000, -333, 0, 1, 333, 1_000] {
            let back = times_power(times_power(1.5, exponent / 2), -(exponent / 2));
            assert_eq!(back, 1.5, "{exponent}");
        }
        assert_eq!(times_power(1.0, 1_023), 2.0_f64.powi(1_023));
        assert_eq!(times_power(1.0, 2_000), f64::INFINITY);
        assert_eq!(times_power(1.0, -3_000), 0.0);
    }
}
