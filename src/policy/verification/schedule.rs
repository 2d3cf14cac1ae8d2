//! When a state is checked that nobody has asked to be (plan 5.5), and how much of a session's time that
//! may take.

use std::num::NonZeroU64;
use std::time::Duration;

/// Iterations from one check to the next, unless a session says otherwise; states of a live session count as
/// such.
pub const INTERVAL: NonZeroU64 = NonZeroU64::new(100).unwrap();

/// What the interval is multiplied with after a check, and the limits of all of it together.
const VERIFIED: f64 = 1.1;
const NOT_VERIFIED: f64 = 0.8;
const MULTIPLIER_MAX: f64 = 2.0;
const MULTIPLIER_MIN: f64 = 0.5;

/// The part of a session's work that its own checks may take.
const PART: f64 = 0.02;

/// Iterations until the next check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    interval: NonZeroU64,
    /// The iteration of the last check.
    checked: u64,
    multiplier: f64,
}

/// What a check is expected to take before there was one: 1,000 rows of a few entries.
const FIRST: Duration = Duration::from_micros(100);

/// What checks have taken beside what they may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    worked: Duration,
    checks: Duration,
    /// What the last check took, as the next one may.
    last: Duration,
}

/// What a look at all rows takes for each stored entry, which is read for its product and its digest.
const ENTRY: Duration = Duration::from_nanos(4);

/// The part of a resting session's time that its checks may take: many rest at a time.
const REST_PART: u32 = 1_000;

/// Whether a session that rests has all of its rows looked at, once in each `interval`: unless that takes
/// more than a thousandth of the time.
pub fn is_worth_all(nonzeros: usize, interval: Duration) -> bool {
    let entries = u32::try_from(nonzeros).unwrap_or(u32::MAX);
    ENTRY * entries <= interval / REST_PART
}

impl Default for Allowance {
    fn default() -> Self {
        Self { worked: Duration::ZERO, checks: Duration::ZERO, last: FIRST }
    }
}

impl Schedule {
    pub fn every(interval: NonZeroU64) -> Self {
        Self { interval, checked: 0, multiplier: 1.0 }
    }

    pub fn is_due(&self, iteration: u64) -> bool {
        let since = iteration.saturating_sub(self.checked);
        since as f64 >= (self.interval.get() as f64 * self.multiplier).round()
    }

    /// A check of the state after so many iterations: sooner again where it was not verified.
    pub fn checked(&mut self, iteration: u64, verified: bool) {
        self.checked = iteration;
        self.multiplier = match verified {
            true => (VERIFIED * self.multiplier).min(MULTIPLIER_MAX),
            false => (NOT_VERIFIED * self.multiplier).max(MULTIPLIER_MIN),
        };
    }
}

impl Allowance {
    /// The session has worked for so long, at checks or otherwise.
    pub fn worked(&mut self, took: Duration) {
        self.worked += took;
    }

    /// A check of its own accord took so long.
    pub fn checked(&mut self, took: Duration) {
        self.checks += took;
        self.last = took;
    }

    /// Whether one more check is within what they may take.
    pub fn allows(&self) -> bool {
        (self.checks + self.last).as_secs_f64() <= PART * self.worked.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_become_rarer_while_they_find_nothing_and_more_frequent_when_they_do() {
        let mut schedule = Schedule::every(INTERVAL);
        assert!(!schedule.is_due(99) && schedule.is_due(100));
        schedule.checked(103, true);
        assert!(!schedule.is_due(212) && schedule.is_due(213));
        (0..50).for_each(|_| schedule.checked(1_000, true));
        assert!(!schedule.is_due(1_199) && schedule.is_due(1_200));
        (0..50).for_each(|_| schedule.checked(2_000, false));
        assert!(!schedule.is_due(2_049) && schedule.is_due(2_050));
        schedule.checked(2_050, true);
        assert!(!schedule.is_due(2_104) && schedule.is_due(2_105));
    }

    #[test]
    fn a_resting_session_looks_at_all_of_a_system_that_is_not_huge() {
        let beat = Duration::from_secs(15);
        assert!(is_worth_all(3_000_000, beat) && !is_worth_all(5_000_000, beat));
        assert!(!is_worth_all(usize::MAX, beat));
    }

    #[test]
    fn checks_take_no_more_than_their_part_of_the_work() {
        let (mut allowance, mut checks) = (Allowance::default(), 0u32);
        for _ in 0..10_000 {
            allowance.worked(Duration::from_micros(50));
            if allowance.allows() {
                allowance.checked(Duration::from_micros(200));
                checks += 1;
            }
        }
        // 200 µs of 10,000 µs: 50 checks in half a second of work.
        assert!((49..=50).contains(&checks), "{checks}");
    }
}
