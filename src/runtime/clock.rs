//! Time, real or virtual. The one place that reads a clock.

use std::time::Duration;

use crate::protocol::timestamp::Timestamp;

/// A point on a node's monotonic clock: nanoseconds since the node started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Time from `earlier` to `self`, zero if it is the later one.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub fn after(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub fn nanoseconds(self) -> u64 {
        self.0
    }
}

/// Tells the time and turns a delay into what the runtime's timers must be given.
///
/// tokio's timers have a grain of 1 ms, so a simulated clock runs 1,000 times slower than tokio's
/// paused one: 1 ms there is 1 µs of the scenario. A bare `Duration` handed to a timer would be
/// wrong; ask [`Clock::delay`].
#[derive(Debug, Clone)]
pub struct Clock {
    origin: tokio::time::Instant,
    source: WallTime,
}

#[derive(Debug, Clone, Copy)]
enum WallTime {
    System,
    /// Virtual: starts here and follows the paused clock.
    Scenario {
        epoch: Timestamp,
    },
}

const STRETCH: u32 = 1_000;

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self { origin: tokio::time::Instant::now(), source: WallTime::System }
    }

    /// Virtual time on a tokio runtime whose clock is paused, starting at `epoch`.
    pub fn scenario(epoch: Timestamp) -> Self {
        Self { origin: tokio::time::Instant::now(), source: WallTime::Scenario { epoch } }
    }

    pub fn now(&self) -> Moment {
        let elapsed = self.origin.elapsed().as_nanos();
        let elapsed = match self.source {
            WallTime::System => elapsed,
            WallTime::Scenario { .. } => elapsed / u128::from(STRETCH),
        };
        Moment(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Wall time, for display only.
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everyone else asks")]
    pub fn wall(&self) -> Timestamp {
        let unix_microseconds = match self.source {
            WallTime::System => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            WallTime::Scenario { epoch } => {
                let elapsed = self.now().nanoseconds() / 1_000;
                epoch.unix_microseconds + i64::try_from(elapsed).unwrap_or(i64::MAX)
            }
        };
        Timestamp { unix_microseconds }
    }

    /// What a timer of this runtime must be given so that `delay` of this clock passes.
    pub fn delay(&self, delay: Duration) -> Duration {
        match self.source {
            WallTime::System => delay,
            WallTime::Scenario { .. } => delay.saturating_mul(STRETCH),
        }
    }

    /// Resolves when `delay` of this clock has passed.
    #[allow(clippy::disallowed_methods, reason = "the delay is stretched here")]
    pub fn sleep(&self, delay: Duration) -> tokio::time::Sleep {
        tokio::time::sleep(self.delay(delay))
    }
}
