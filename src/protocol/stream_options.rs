//! What a listener may ask of its stream: how often, how much of `x`, how long. Owns the defaults and
//! the ranges; reading them from a request is `solve`'s and the query string's, acting on them is the
//! session's.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::policy::announcing::UpdateEvery;
use crate::policy::verification;
use crate::solver::change_tracker::XPartialMax;

/// How a session is announced to one listener. Build with `..Default::default()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// The solve ends with `time_budget` when it has run this long; `None` leaves it to
    /// `max_iterations`.
    pub time_budget: Option<Duration>,
    pub x_partial_max: XPartialMax,
    pub update_every: UpdateEvery,
    /// Whether the whole of `x` is sent before the end.
    pub include_solution: bool,
    /// Gathers frames this long before a write, trading latency for CPU; `None` writes at once.
    pub flush_interval: Option<Duration>,
    /// Whether the session stays when its solve is done, to take changes of costs.
    pub live: bool,
    /// Whether the session checks its states unasked: the one that it calls solved in full, others by rows
    /// that are drawn.
    pub verification_enabled: bool,
    /// Iterations between such checks, to begin with.
    pub verification_interval: NonZeroU64,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            time_budget: None,
            x_partial_max: XPartialMax::AtMost(16),
            update_every: UpdateEvery::Auto,
            include_solution: true,
            flush_interval: None,
            live: false,
            verification_enabled: true,
            verification_interval: verification::INTERVAL,
        }
    }
}

/// Longest time budget a client may ask for: the longest session there is (plan 1.4).
pub const TIME_BUDGET_MAX: Duration = Duration::from_secs(3_600);
/// Longest time for which frames may be gathered.
pub const FLUSH_INTERVAL_MAX: Duration = Duration::from_secs(1);
