//! Watches the announced residuals of one session: the rate at which they fall and how many in a row
//! are below the threshold (plan 3.3).

/// One state whose residual was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    iteration: u64,
    residual_norm: f64,
}

/// The memory of one session's convergence.
#[derive(Debug, Clone, PartialEq)]
pub struct Convergence {
    residual_threshold: f64,
    last: Option<Measured>,
    states_below_threshold: u64,
}

/// What an observation adds to what was known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Factor per iteration since the state before; `None` at the first state, where no iteration
    /// lies between, or where the state before was exact.
    pub rate: Option<f64>,
    pub states_below_threshold: u64,
}

impl Convergence {
    pub fn new(residual_threshold: f64) -> Self {
        Self { residual_threshold, last: None, states_below_threshold: 0 }
    }

    /// The threshold from now on: that of a changed `b`.
    pub fn set_threshold(&mut self, residual_threshold: f64) {
        self.residual_threshold = residual_threshold;
    }

    /// Takes in the true residual norm of the state after `iteration` iterations.
    pub fn observe(&mut self, iteration: u64, residual_norm: f64) -> Observation {
        let rate = self.last.and_then(|last| {
            let iterations = iteration.checked_sub(last.iteration).filter(|&count| count > 0)?;
            (last.residual_norm > 0.0)
                .then(|| residual_norm / last.residual_norm)
                .map(|fall| fall.powf(1.0 / iterations as f64).min(f64::MAX))
        });
        self.states_below_threshold = if residual_norm <= self.residual_threshold {
            self.states_below_threshold + 1
        } else {
            0
        };
        self.last = Some(Measured { iteration, residual_norm });
        Observation { rate, states_below_threshold: self.states_below_threshold }
    }

    /// The last residual norm observed.
    pub fn residual_norm(&self) -> Option<f64> {
        self.last.map(|last| last.residual_norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_per_iteration_over_the_stretch_between_two_states() {
        let mut convergence = Convergence::new(1e-3);
        assert_eq!(convergence.observe(0, 16.0).rate, None);
        assert_eq!(convergence.observe(4, 1.0).rate, Some(0.5));
        assert_eq!(convergence.observe(4, 1.0).rate, None);
    }

    #[test]
    fn only_states_in_a_row_count_as_below_the_threshold() {
        let mut convergence = Convergence::new(1e-3);
        let counts: Vec<u64> = [1e-4, 1e-3, 2e-3, 1e-5]
            .iter()
            .zip(0..)
            .map(|(&norm, iteration)| convergence.observe(iteration, norm).states_below_threshold)
            .collect();
        assert_eq!(counts, [1, 2, 0, 1]);
    }

    #[test]
    fn a_rate_stays_within_the_range_of_numbers() {
        let mut convergence = Convergence::new(0.0);
        convergence.observe(0, f64::MIN_POSITIVE);
        assert_eq!(convergence.observe(1, f64::MAX).rate, Some(f64::MAX));
    }

    #[test]
    fn an_exact_state_has_no_rate_after_it() {
        let mut convergence = Convergence::new(0.0);
        convergence.observe(0, 0.0);
        let after = convergence.observe(1, 0.0);
        assert_eq!(after, Observation { rate: None, states_below_threshold: 2 });
    }
}
