//! Decides which kind of worker a piece of work goes to, so that one long step starves nobody, and which
//! set-ups leave their session so that it goes on meanwhile.

use std::time::Duration;

use crate::solver::outcome::Work;

/// The two queues of a node's workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Quanta of about half a millisecond, first come first served.
    Short,
    /// Set-ups and single steps that take long. The operating system shares the cores between the
    /// lanes, so these delay short quanta by a share and not by their length.
    Heavy,
}

/// Steps that touch more entries than this take longer than about 5 ms on one core.
const SHORT_STEP_NONZEROS: u64 = 2_000_000;

/// The lane for a step of this predicted size.
pub fn lane(next_step: Work) -> Lane {
    if next_step.nonzeros <= SHORT_STEP_NONZEROS { Lane::Short } else { Lane::Heavy }
}

/// A set-up of a live session that is foreseen to take longer is made in the background. Changes wait for
/// a shorter one, which is less than leaving and coming home would add to it.
const ON_THE_SPOT_MAX: Duration = Duration::from_millis(1);

/// Whether a set-up is made in the background: it is foreseen to take long, or may come to.
pub fn is_background(foreseen: Duration, at_most: Work) -> bool {
    foreseen > ON_THE_SPOT_MAX || lane(at_most) == Lane::Heavy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_up_is_made_in_the_background_when_it_is_long_or_may_become_so() {
        let short = Duration::from_micros(300);
        let few = Work { nonzeros: 10_000, flops: 20_000 };
        let many = Work { nonzeros: 40_000_000, flops: 0 };
        assert!(!is_background(short, few));
        assert!(is_background(short, many));
        assert!(is_background(Duration::from_millis(3), few));
    }

    #[test]
    fn a_product_of_a_small_system_is_short_and_a_factorisation_is_heavy() {
        assert_eq!(lane(Work { nonzeros: 50_000, flops: 100_000 }), Lane::Short);
        assert_eq!(lane(Work { nonzeros: 40_000_000, flops: 0 }), Lane::Heavy);
    }
}
