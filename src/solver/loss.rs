//! How far a tracked residual may be from the true one by rounding alone, so that what is further off is
//! known for something else.

/// A method may lose this part of the largest norm that it meets on its way.
const OF_PEAK: f64 = 1e-10;

/// With each iteration so many times what rounding can do to one measurement: `x` may have been larger on
/// the way than it is.
const ROUNDINGS: f64 = 8.0;

/// A norm that is off by less, in parts of what it was said to be, is not looked into.
const NOTED: f64 = 0.05;

/// The way from one measurement of a residual to the next, over which a method only tracked it.
///
/// Recurrences lose about one rounding of the largest `x` and `r` with each iteration.
/// Source: van der Vorst and Ye, *Residual replacement strategies for Krylov subspace iterative methods*,
/// 2000, §3.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    /// The largest norm that was tracked.
    pub peak: f64,
    pub iterations: u64,
}

impl Loss {
    /// How far a norm is off beyond what the method may have lost: it was `tracked`, and is `measured`.
    /// `rounding_limit` is what rounding can do to a measurement, worked out only where it counts. 0 for
    /// what is less than a twentieth of `scale`; infinite for what is no number.
    pub fn excess(
        self,
        (tracked, measured): (f64, f64),
        scale: f64,
        rounding_limit: impl FnOnce() -> f64,
    ) -> f64 {
        let off = (measured - tracked).abs() - OF_PEAK * self.peak;
        // Not so where one of them is no number.
        if off <= NOTED * scale {
            return 0.0;
        }
        let excess = off - ROUNDINGS * self.iterations.max(1) as f64 * rounding_limit();
        if excess.is_nan() { f64::INFINITY } else { excess.max(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Loss = Loss { peak: 1.0, iterations: 50 };

    #[test]
    fn what_rounding_explains_is_no_excess() {
        assert_eq!(WAY.excess((1e-9, 1.1e-9), 1e-9, || unreachable!("it is lost on the way")), 0.0);
        assert_eq!(WAY.excess((1e-3, 1.04e-3), 1e-3, || unreachable!("it is little")), 0.0);
        assert_eq!(WAY.excess((1e-6, 2e-6), 1e-6, || 1e-8), 0.0);
    }

    #[test]
    fn what_it_does_not_explain_is() {
        let excess = WAY.excess((1e-6, 2e-6), 1e-6, || 1e-10);
        assert!((excess - 9.6e-7).abs() < 2e-10, "{excess}");
        assert!(WAY.excess((1e-6, f64::NAN), 1e-6, || 1.0).is_infinite());
        assert!(WAY.excess((f64::INFINITY, 1.0), 1.0, || 1.0).is_infinite());
    }
}
