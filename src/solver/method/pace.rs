//! How fast a method that was tried for its speed converges, and when its speed is not worth waiting for.

use crate::solver::iterate::Problem;
use crate::solver::outcome::Work;

/// Iterations over which the pace is taken.
const WINDOW: u64 = 20;

/// The pace of an iteration that may take a limited number of operations.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    flops_max: f64,
    /// Iteration and residual norm at the start of the present window.
    since: Option<(u64, f64)>,
}

impl Pace {
    /// Infinite: whatever the pace, it will do.
    pub fn within(flops_max: f64) -> Self {
        Self { flops_max, since: None }
    }

    /// Forgets what it has seen.
    pub fn restart(&mut self) {
        self.since = None;
    }

    /// Takes in the norm before an iteration, and says why it is not worth doing, if so.
    pub fn objection(&mut self, problem: &Problem, norm: f64, step: Work) -> Option<String> {
        let (iteration, before) = *self.since.get_or_insert((problem.iteration, norm));
        let window = problem.iteration.saturating_sub(iteration);
        if !self.flops_max.is_finite() || window < WINDOW {
            return None;
        }
        self.since = Some((problem.iteration, norm));
        let fall = (norm / before).ln() / window as f64;
        let left = match fall < 0.0 {
            true => ((problem.threshold / norm).ln() / fall).max(0.0),
            false => f64::INFINITY,
        };
        (left * step.flops as f64 > self.flops_max).then(|| {
            let factor = (norm / before).max(0.0);
            format!("the residual fell to {factor:.2} of itself in {window} iterations, which is not worth their time")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::solver::gallery;

    /// The iteration before which a fall by `factor` each is objected to, of at most 200.
    fn objected(factor: f64, flops_max: f64) -> Option<u64> {
        let system = gallery::poisson_2d(4, 1).unwrap();
        let mut pace = Pace::within(flops_max);
        (0..200).find(|&iteration| {
            let problem = Problem {
                corrections: &[],
                rows: system.rows(),
                rhs: system.rhs(),
                threshold: 1e-8,
                iteration,
                memory_bytes_max: u64::MAX,
                unwanted: &Arc::default(),
            };
            let norm = factor.powi(iteration as i32);
            pace.objection(&problem, norm, Work { nonzeros: 1, flops: 1 }).is_some()
        })
    }

    #[test]
    fn only_a_pace_that_takes_too_many_operations_is_objected_to() {
        assert_eq!(objected(0.5, 100.0), None);
        assert_eq!(objected(0.95, 100.0), Some(20));
        assert_eq!(objected(1.0, 100.0), Some(20));
        assert_eq!(objected(1.5, 100.0), Some(20));
        assert_eq!(objected(1.5, f64::INFINITY), None);
    }
}
