//! Arithmetic that errs to one side. Rounding to nearest is off by at most half a step, so one step
//! further bounds the exact result, also where it underflows or overflows. NaN stays NaN. A sum or
//! product that is exactly 0 stays 0.

/// At least `a + b`.
#[inline(always)]
pub(super) fn add_up(a: f64, b: f64) -> f64 {
    let sum = a + b;
    // A sum never underflows: rounded, 0 is exact.
    if sum == 0.0 || a == 0.0 || b == 0.0 { sum } else { sum.next_up() }
}

/// At most `a − b`.
#[inline(always)]
pub(super) fn sub_down(a: f64, b: f64) -> f64 {
    let difference = a - b;
    if difference == 0.0 || b == 0.0 { difference } else { difference.next_down() }
}

/// At least `a b`.
#[inline(always)]
pub(super) fn mul_up(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { (a * b).next_up() }
}

/// At least `a / b`, for `b > 0`.
#[inline(always)]
pub(super) fn div_up(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { (a / b).next_up() }
}

/// At least what rounding can have made of a sum of `terms` products with absolute values summing up to
/// `magnitude` (as computed), and of one more operation or three: `γ` with twice the unit, and the
/// smallest normal number for each operation that may underflow. 0 for no terms.
///
/// Source: Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1.
#[inline(always)]
pub(super) fn sum_slack(terms: usize, magnitude: f64) -> f64 {
    if terms == 0 {
        return 0.0;
    }
    let operations = (terms + 4) as f64;
    operations * (f64::EPSILON * magnitude + f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_rounding_lowers_or_raises_is_bounded() {
        // 1/3 is rounded down, 2/3 up; 0.1 + 0.2 up.
        assert!(div_up(1.0, 3.0) * 3.0 > 1.0 - f64::EPSILON && div_up(1.0, 3.0) > 1.0 / 3.0);
        assert!(add_up(1.0, 1e-30) > 1.0 && sub_down(1.0, 1e-30) < 1.0);
        assert!(sub_down(1.0, -1e-30) <= 1.0);
    }

    #[test]
    fn what_underflows_or_overflows_stays_on_its_side() {
        assert!(mul_up(1e-200, 1e-200) > 0.0);
        assert_eq!(mul_up(0.0, 1e300), 0.0);
        assert_eq!(add_up(f64::MAX, f64::MAX), f64::INFINITY);
        assert!(sub_down(-f64::MAX, f64::MAX) == f64::NEG_INFINITY);
        assert!(sub_down(f64::MAX, -f64::MAX) <= f64::MAX);
        assert!(mul_up(f64::NAN, 1.0).is_nan() && add_up(f64::NAN, 1.0).is_nan());
    }

    #[test]
    fn nothing_plus_nothing_is_exact() {
        assert_eq!([add_up(0.0, 0.0), sub_down(1.5, 1.5), div_up(0.0, 2.0)], [0.0; 3]);
        assert_eq!(sum_slack(0, 0.0), 0.0);
        assert!(sum_slack(1, 0.0) > 0.0);
    }
}
