//! Watches the announced states of one session: the rate at which residuals fall, how many states in a
//! row are below the threshold (plan 3.3), and of which version of the system convergence is news.

use crate::ids::SystemVersion;

/// One state whose residual was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Iterations before it.
    pub iteration: u64,
    /// `‖b − A x‖₂` of the present system, true.
    pub residual_norm: f64,
    /// The latest version of the system that it is known to solve, in a session whose system changes.
    pub settled: Option<SystemVersion>,
}

impl Measured {
    /// A state of a system that does not change.
    pub fn of(iteration: u64, residual_norm: f64) -> Self {
        Self { iteration, residual_norm, settled: None }
    }
}

/// The memory of one session's convergence.
#[derive(Debug, Clone, PartialEq)]
pub struct Convergence {
    residual_threshold: f64,
    last: Option<Measured>,
    states_below_threshold: u64,
    /// The version of which convergence was last signalled.
    signalled: Option<SystemVersion>,
}

/// What an observation adds to what was known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Factor per iteration since the state before; `None` at the first state, where no iteration
    /// lies between, or where the state before was exact.
    pub rate: Option<f64>,
    /// In a row, this one included: below the threshold of the present system, or of a version that they
    /// are known to solve.
    pub states_below_threshold: u64,
}

impl Convergence {
    pub fn new(residual_threshold: f64) -> Self {
        Self { residual_threshold, last: None, states_below_threshold: 0, signalled: None }
    }

    /// The threshold from now on: that of a changed `b`.
    pub fn set_threshold(&mut self, residual_threshold: f64) {
        self.residual_threshold = residual_threshold;
    }

    /// Takes in the next state.
    pub fn observe(&mut self, state: Measured) -> Observation {
        let Measured { iteration, residual_norm, settled } = state;
        let rate = self.last.and_then(|last| {
            let iterations = iteration.checked_sub(last.iteration).filter(|&count| count > 0)?;
            (last.residual_norm > 0.0)
                .then(|| residual_norm / last.residual_norm)
                .map(|fall| fall.powf(1.0 / iterations as f64).min(f64::MAX))
        });
        let is_below = residual_norm <= self.residual_threshold || settled.is_some();
        self.states_below_threshold = if is_below { self.states_below_threshold + 1 } else { 0 };
        self.last = Some(state);
        Observation { rate, states_below_threshold: self.states_below_threshold }
    }

    /// Whether convergence of this version is to be signalled, which it is then: once for each version,
    /// and never for one before that which was signalled last.
    pub fn is_news(&mut self, version: SystemVersion) -> bool {
        let is_news = self.signalled < Some(version);
        self.signalled = self.signalled.max(Some(version));
        is_news
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
    fn a_state_that_solves_an_earlier_version_counts_although_its_residual_is_large() {
        let mut convergence = Convergence::new(1e-3);
        let settled = Some(SystemVersion(7));
        convergence.observe(Measured::of(1, 1e-4));
        let observed = convergence.observe(Measured { settled, ..Measured::of(2, 1.0) });
        assert_eq!(observed.states_below_threshold, 2);
        assert_eq!(convergence.observe(Measured::of(3, 1.0)).states_below_threshold, 0);
    }

    #[test]
    fn convergence_of_a_version_is_news_once_and_never_after_a_later_one() {
        let mut convergence = Convergence::new(1e-3);
        let versions = [0, 3, 3, 2, 5, 4].map(SystemVersion);
        let news = versions.map(|version| convergence.is_news(version));
        assert_eq!(news, [true, true, false, false, true, false]);
    }

    #[test]
    fn the_rate_is_per_iteration_over_the_stretch_between_two_states() {
        let mut convergence = Convergence::new(1e-3);
        assert_eq!(convergence.observe(Measured::of(0, 16.0)).rate, None);
        assert_eq!(convergence.observe(Measured::of(4, 1.0)).rate, Some(0.5));
        assert_eq!(convergence.observe(Measured::of(4, 1.0)).rate, None);
    }

    #[test]
    fn only_states_in_a_row_count_as_below_the_threshold() {
        let mut convergence = Convergence::new(1e-3);
        let counts: Vec<u64> = [1e-4, 1e-3, 2e-3, 1e-5]
            .iter()
            .zip(0..)
            .map(|(&norm, iteration)| {
                convergence.observe(Measured::of(iteration, norm)).states_below_threshold
            })
            .collect();
        assert_eq!(counts, [1, 2, 0, 1]);
    }

    #[test]
    fn a_rate_stays_within_the_range_of_numbers() {
        let mut convergence = Convergence::new(0.0);
        convergence.observe(Measured::of(0, f64::MIN_POSITIVE));
        assert_eq!(convergence.observe(Measured::of(1, f64::MAX)).rate, Some(f64::MAX));
    }

    #[test]
    fn an_exact_state_has_no_rate_after_it() {
        let mut convergence = Convergence::new(0.0);
        convergence.observe(Measured::of(0, 0.0));
        let after = convergence.observe(Measured::of(1, 0.0));
        assert_eq!(after, Observation { rate: None, states_below_threshold: 2 });
    }
}
