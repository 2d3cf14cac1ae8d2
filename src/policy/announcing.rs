//! Decides which iterations are announced. An announced state carries a residual that was measured
//! for it, and measuring costs about one product with the matrix.

use std::num::NonZeroU64;

use crate::solver::outcome::Work;

/// How often a session announces its state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UpdateEvery {
    /// As often as measuring stays below a quarter of the work that it reports on.
    #[default]
    Auto,
    /// At every k-th iteration, whatever it costs.
    Every(NonZeroU64),
}

/// What has happened since the last announcement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinceAnnounced {
    pub iterations: u64,
    pub work: Work,
}

impl SinceAnnounced {
    /// Whether a flight that lands on the solution of a version of its system is announced whatever the
    /// cadence: while changes go on there may be no other solved state. Flights that are shorter than
    /// their announcement share one.
    pub fn is_worth_a_landing(self, announce_work: Work) -> bool {
        announce_work.nonzeros <= self.work.nonzeros
    }
}

const AUTO_SHARE: u64 = 4;

impl UpdateEvery {
    /// Whether to announce now, when measuring the present state would cost `announce_work`.
    pub fn is_due(self, since: SinceAnnounced, announce_work: Work) -> bool {
        match self {
            Self::Auto => announce_work.nonzeros * AUTO_SHARE <= since.work.nonzeros,
            Self::Every(iterations) => since.iterations >= iterations.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(iterations: u64, nonzeros: u64) -> SinceAnnounced {
        SinceAnnounced { iterations, work: Work { nonzeros, flops: 0 } }
    }

    #[test]
    fn a_free_residual_is_announced_every_time() {
        assert!(UpdateEvery::Auto.is_due(since(1, 50), Work::default()));
    }

    #[test]
    fn a_dear_residual_waits_until_it_is_a_quarter_of_the_work() {
        let product = Work { nonzeros: 100, flops: 200 };
        assert!(!UpdateEvery::Auto.is_due(since(3, 399), product));
        assert!(UpdateEvery::Auto.is_due(since(4, 400), product));
    }

    #[test]
    fn a_landing_is_told_unless_its_flight_was_shorter_than_telling() {
        let product = Work { nonzeros: 100, flops: 200 };
        assert!(!since(1, 99).is_worth_a_landing(product));
        assert!(since(1, 100).is_worth_a_landing(product));
    }

    #[test]
    fn a_fixed_cadence_counts_iterations_whatever_they_cost() {
        let every_second = UpdateEvery::Every(NonZeroU64::new(2).unwrap());
        let product = Work { nonzeros: u64::MAX / 8, flops: 0 };
        assert!(!every_second.is_due(since(1, 1), product));
        assert!(every_second.is_due(since(2, 1), product));
    }
}
