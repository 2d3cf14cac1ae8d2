//! The price of work: measured on a real machine, charged by the entry in a simulated world, where
//! the clock stands still while code runs.

use std::time::Duration;

use crate::runtime::clock::{Clock, Moment};
use crate::solver::outcome::Work;

/// How the time that work takes is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WorkCost {
    Measured,
    Charged { picoseconds_per_nonzero: u64 },
}

impl WorkCost {
    /// What the work is charged; zero where time is measured.
    pub fn charge(self, work: Work) -> Duration {
        match self {
            Self::Measured => Duration::ZERO,
            Self::Charged { picoseconds_per_nonzero } => {
                Duration::from_nanos(work.nonzeros.saturating_mul(picoseconds_per_nonzero) / 1_000)
            }
        }
    }
}

/// Laps over one quantum of work.
#[derive(Debug)]
pub struct Stopwatch {
    clock: Clock,
    cost: WorkCost,
    started: Moment,
    lap_started: Moment,
    charged: Duration,
}

impl Stopwatch {
    pub fn start(clock: &Clock, cost: WorkCost) -> Self {
        let now = clock.now();
        Self { clock: clock.clone(), cost, started: now, lap_started: now, charged: Duration::ZERO }
    }

    /// Time since the last lap, in which `work` was done.
    pub fn lap(&mut self, work: Work) -> Duration {
        let now = self.clock.now();
        let measured = now.since(self.lap_started);
        self.lap_started = now;
        let charged = self.cost.charge(work);
        self.charged += charged;
        measured + charged
    }

    /// Time since the start, up to the last lap.
    pub fn elapsed(&self) -> Duration {
        self.lap_started.since(self.started) + self.charged
    }

    /// Time since the start, the lap under way included; in a simulated world it stands still meanwhile.
    pub fn running(&self) -> Duration {
        self.clock.now().since(self.started) + self.charged
    }

    /// Time that was charged but has not passed: the caller must let it pass before it answers.
    pub fn unpaid(&self) -> Duration {
        self.charged
    }
}
