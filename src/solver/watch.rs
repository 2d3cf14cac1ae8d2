//! Watches the residual norm of one method: does it still fall, and fast enough? Owns the definitions
//! of stagnation and divergence; what follows from them is the engine's.

use crate::solver::options::MethodName;
use crate::solver::outcome::StopReason;

/// Growth over the best residual that counts as divergence once the patience is used up.
const GROWTH_MAX: f64 = 1e3;

/// Growth over the first residual that counts as divergence at once.
const GROWTH_CERTAIN: f64 = 1e12;

/// A window in which the best residual fell by less than this many percent is stagnation, unless the
/// same pace reaches the threshold within the iterations left.
const FALL_PERCENT_MIN: u32 = 1;

/// Windows in a row in which coming down from a hump counts as progress.
const DESCENTS_MAX: u32 = 3;

/// The course of one method's residual norm.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    method: MethodName,
    patience: u64,
    first: f64,
    best: f64,
    /// Iteration and best norm at the start of the present window.
    window: (u64, f64),
    /// Largest norm in the present window.
    peak: f64,
    /// Windows in a row that ended below half their peak without a new best.
    descents: u32,
}

/// What the engine knows beside the norm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlook {
    pub iteration: u64,
    pub iterations_left: u64,
    pub threshold: f64,
}

impl Watch {
    /// Starts with a method at `norm`; `patience` is the window's length in iterations.
    pub fn new(method: MethodName, patience: u64, iteration: u64, norm: f64) -> Self {
        Self {
            method,
            patience,
            first: norm,
            best: norm,
            window: (iteration, norm),
            peak: norm,
            descents: 0,
        }
    }

    /// Takes in the norm after an iteration; says so when the method should be given up.
    pub fn observe(&mut self, norm: f64, outlook: Outlook) -> Option<StopReason> {
        let diverged = |from| {
            let to = if norm.is_finite() { norm } else { f64::MAX };
            StopReason::Diverged { method: self.method, iteration: outlook.iteration, from, to }
        };
        // NaN must land here, too.
        if !norm.is_finite() || norm > GROWTH_CERTAIN * self.first {
            return Some(diverged(self.first));
        }
        self.best = self.best.min(norm);
        self.peak = self.peak.max(norm);
        let (start, best_at_start) = self.window;
        let window = outlook.iteration - start;
        if window < self.patience {
            return None;
        }
        let peak = std::mem::replace(&mut self.peak, norm);
        self.window = (outlook.iteration, self.best);
        let fall = self.best / best_at_start;
        if arrives(fall, self.best, window, outlook) {
            self.descents = 0;
            return None;
        }
        if norm > GROWTH_MAX * self.best {
            return Some(diverged(self.best));
        }
        let idle = fall > 1.0 - f64::from(FALL_PERCENT_MIN) / 100.0;
        if !idle {
            self.descents = 0;
        }
        if idle && norm < 0.5 * peak && self.descents < DESCENTS_MAX {
            self.descents += 1;
            return None;
        }
        idle.then_some(StopReason::Stagnated {
            method: self.method,
            residual_norm: norm,
            window,
            expected_fall_percent: FALL_PERCENT_MIN,
        })
    }
}

/// Whether falling by `fall` per window reaches the threshold in the iterations left.
fn arrives(fall: f64, best: f64, window: u64, outlook: Outlook) -> bool {
    let windows_left = outlook.iterations_left as f64 / window as f64;
    fall < 1.0 && best.ln() + windows_left * fall.ln() <= outlook.threshold.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(norms: impl Iterator<Item = f64>, iterations_max: u64, code: Option<&str>) {
        let mut watch = Watch::new(MethodName::Jacobi, 50, 0, 1.0);
        let found = norms.enumerate().find_map(|(index, norm)| {
            let iteration = index as u64 + 1;
            let iterations_left = iterations_max.saturating_sub(iteration);
            let outlook = Outlook { iteration, iterations_left, threshold: 1e-8 };
            watch.observe(norm, outlook)
        });
        assert_eq!(found.as_ref().map(StopReason::code), code, "{found:?}");
    }

    #[test]
    fn a_constant_residual_is_stagnation() {
        check(std::iter::repeat_n(1.0, 200), 10_000, Some("stagnated"));
    }

    #[test]
    fn a_small_constant_residual_is_stagnation_like_a_large_one() {
        check(
            std::iter::once(1e-7).chain(std::iter::repeat_n(1e-7, 200)),
            10_000,
            Some("stagnated"),
        );
    }

    #[test]
    fn a_slow_fall_that_arrives_in_time_is_not_stagnation() {
        check((0..5_000).map(|k| 0.9999_f64.powi(k)), 1_000_000, None);
    }

    #[test]
    fn a_slow_fall_that_cannot_arrive_in_time_is_stagnation() {
        check((0..5_000).map(|k| 0.9999_f64.powi(k)), 10_000, Some("stagnated"));
    }

    #[test]
    fn steady_growth_is_divergence() {
        check((0..5_000).map(|k| 1.2_f64.powi(k)), 10_000, Some("diverged"));
    }

    #[test]
    fn a_hump_that_comes_down_again_is_neither() {
        let hump =
            (0..40).map(|k| 1.0 + f64::from(k)).chain((0..400).map(|k| 40.0 * 0.9_f64.powi(k)));
        check(hump, 10_000, None);
    }

    #[test]
    fn humps_with_progress_between_them_are_neither() {
        // A window of progress, then one that climbs and comes down again without a new best.
        let norm = |k: u32| {
            let (round, at) = (k / 100, k % 100);
            let best = 0.5_f64.powi(round as i32 + 1);
            match at {
                0..50 => best,
                50..80 => 100.0 * best,
                _ => 2.0 * best,
            }
        };
        check((0..900).map(norm), 1_000, None);
    }

    #[test]
    fn a_norm_that_is_not_a_number_is_divergence() {
        check([1.0, f64::NAN].into_iter(), 10_000, Some("diverged"));
    }
}
