//! Decides which kind of worker a piece of work goes to, so that one long step starves nobody.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_a_small_system_is_short_and_a_factorisation_is_heavy() {
        assert_eq!(lane(Work { nonzeros: 50_000, flops: 100_000 }), Lane::Short);
        assert_eq!(lane(Work { nonzeros: 40_000_000, flops: 0 }), Lane::Heavy);
    }
}
