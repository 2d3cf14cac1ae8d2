//! Decides which kind of worker a piece of work goes to, so that one long step starves nobody, and which
//! set-ups leave their session so that it goes on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// A quantum that keeps nobody waiting goes on for this many times its fair length: coming home would only
/// cost the time of two messages and what is cached.
const ALONE_TIMES: u32 = 4;

/// How long a quantum may be.
#[derive(Debug, Clone)]
pub struct QuantumBudget {
    /// What everyone gets.
    pub fair: Duration,
    /// Work of others that waits in the quantum's lane.
    pub queue: Waiting,
    /// Edits that wait for the session.
    pub edits: Waiting,
}

impl QuantumBudget {
    /// Whether a quantum that has taken `elapsed` is to end. `keeps_waiting` tells whether so many edits that
    /// wait are to wait on.
    pub fn is_spent(
        &self,
        elapsed: Duration,
        has_to_tell: bool,
        keeps_waiting: impl FnOnce(usize) -> bool,
    ) -> bool {
        if elapsed < self.fair {
            return false;
        }
        let edits = self.edits.count();
        let keeps_nobody_waiting =
            !has_to_tell && self.queue.count() == 0 && (edits == 0 || keeps_waiting(edits));
        !keeps_nobody_waiting || elapsed >= ALONE_TIMES * self.fair
    }
}

/// How much waits: told by who keeps it, read by who works meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub fn tell(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
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
    fn a_quantum_goes_on_while_it_keeps_nobody_waiting() {
        const MS: Duration = Duration::from_millis(1);
        let (queue, edits) = (Waiting::default(), Waiting::default());
        let budget = QuantumBudget { fair: MS, queue: queue.clone(), edits: edits.clone() };
        let is_spent =
            |elapsed, has_to_tell| budget.is_spent(elapsed, has_to_tell, |edits| edits > 8);
        assert!(!is_spent(MS / 2, true));
        assert!(is_spent(MS, true) && !is_spent(MS, false));
        assert!(is_spent(4 * MS, false));
        queue.tell(1);
        assert!(!is_spent(MS / 2, false) && is_spent(MS, false), "another session waits");
        queue.tell(0);
        edits.tell(8);
        assert!(is_spent(MS, false), "they may join");
        edits.tell(9);
        assert!(!is_spent(MS, false), "they wait on anyway");
    }

    #[test]
    fn a_product_of_a_small_system_is_short_and_a_factorisation_is_heavy() {
        assert_eq!(lane(Work { nonzeros: 50_000, flops: 100_000 }), Lane::Short);
        assert_eq!(lane(Work { nonzeros: 40_000_000, flops: 0 }), Lane::Heavy);
    }
}
