//! The settings of a node, with the plan's figures as defaults. `cli` reads them from flags and
//! environment; nobody else does.

use std::time::Duration;

/// How a node uses its machine and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Workers for short quanta, one thread each.
    pub workers: u16,
    /// Workers for set-ups and single steps longer than a quantum, one thread each.
    pub heavy_workers: u16,
    /// Threads on which sessions live.
    pub session_threads: u16,
    /// Sessions at work at the same time (plan 1.4).
    pub running_sessions_max: usize,
    /// Ended sessions whose solution can still be read.
    pub ended_sessions_max: usize,
    /// Bytes that all sessions together may hold.
    pub memory_bytes_max: u64,
    /// Work between two looks at the mailbox: this long or one iteration, whichever is more.
    pub quantum: Duration,
    /// Silence after which a stream gets a heartbeat (plan 1.4).
    pub heartbeat_interval: Duration,
    /// A listener that takes nothing for this long is ended.
    pub stall_limit: Duration,
    /// A session ends after this long (plan 1.4).
    pub session_duration_max: Duration,
    /// An ended session's solution stays readable for this long.
    pub ended_session_retention: Duration,
    /// Streams get this long to take their end frames when the node shuts down (plan 1.4).
    pub drain_limit: Duration,
}

impl NodeConfig {
    /// The defaults on a machine with this many cores.
    pub fn for_cores(cores: usize) -> Self {
        let cores = u16::try_from(cores.clamp(1, 256)).expect("clamped to 256");
        Self {
            workers: cores,
            heavy_workers: cores,
            session_threads: (cores / 4).max(1),
            running_sessions_max: 1_000,
            ended_sessions_max: 1_000,
            memory_bytes_max: 8 << 30,
            quantum: Duration::from_micros(500),
            heartbeat_interval: Duration::from_secs(15),
            stall_limit: Duration::from_secs(30),
            session_duration_max: Duration::from_secs(3_600),
            ended_session_retention: Duration::from_secs(600),
            drain_limit: Duration::from_secs(30),
        }
    }
}
