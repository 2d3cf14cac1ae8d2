//! Decides whether a node takes one more session, and which ended sessions make room for it.

/// What a node holds, as far as admission cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    pub running_sessions: usize,
    pub ended_sessions: usize,
    pub memory_bytes: u64,
    /// The part of `memory_bytes` that the ended sessions which can be removed hold.
    pub evictable_bytes: u64,
    /// The part of `memory_bytes` that sessions hold which have ended or were told to, until their solve
    /// is back.
    pub returning_bytes: u64,
}

/// What a node may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub running_sessions_max: usize,
    pub ended_sessions_max: usize,
    pub memory_bytes_max: u64,
}

/// The answer to a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Admit,
    /// Remove the ended session that ended first, then ask again.
    EvictOldestEnded,
    Refuse(Overload),
}

/// The limit that a newcomer would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    #[error("{limit} sessions are running, which is the limit")]
    Sessions { limit: usize },
    #[error("the session needs {needed_bytes} bytes, {free_bytes} of {limit_bytes} bytes are free")]
    Memory { needed_bytes: u64, free_bytes: u64, limit_bytes: u64 },
}

/// Judges a newcomer that will hold `needed_bytes`.
pub fn admit(load: Load, capacity: Capacity, needed_bytes: u64) -> Admission {
    if load.running_sessions >= capacity.running_sessions_max {
        return Admission::Refuse(Overload::Sessions { limit: capacity.running_sessions_max });
    }
    let free_bytes = capacity.memory_bytes_max.saturating_sub(load.memory_bytes);
    let too_many_ended = load.ended_sessions > capacity.ended_sessions_max;
    if needed_bytes <= free_bytes && !too_many_ended {
        return Admission::Admit;
    }
    // Solutions are not thrown away for a newcomer that would be refused all the same.
    if load.ended_sessions > 0 && needed_bytes <= free_bytes.saturating_add(load.evictable_bytes) {
        return Admission::EvictOldestEnded;
    }
    Admission::Refuse(Overload::Memory {
        needed_bytes,
        free_bytes,
        limit_bytes: capacity.memory_bytes_max,
    })
}

/// What to do when a running session turned out to need more than it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    Fits,
    /// Let it go on, and judge again when what is about to come back is back.
    AwaitReturn,
    /// Remove the ended session that ended first, then ask again.
    EvictOldestEnded,
    /// End the session that grew.
    EndSession,
}

/// Judges the load after a session grew.
pub fn after_growth(load: Load, capacity: Capacity) -> Growth {
    let lasting_bytes = load.memory_bytes - load.returning_bytes;
    if load.memory_bytes <= capacity.memory_bytes_max {
        Growth::Fits
    } else if lasting_bytes <= capacity.memory_bytes_max {
        Growth::AwaitReturn
    } else if lasting_bytes - load.evictable_bytes <= capacity.memory_bytes_max {
        Growth::EvictOldestEnded
    } else {
        Growth::EndSession
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity =
        Capacity { running_sessions_max: 2, ended_sessions_max: 1, memory_bytes_max: 100 };

    fn check(
        running_sessions: usize,
        ended_sessions: usize,
        memory_bytes: u64,
        expected: Admission,
    ) {
        let evictable_bytes = 5 * ended_sessions as u64;
        let returning_bytes = 0;
        let load = Load {
            running_sessions,
            ended_sessions,
            memory_bytes,
            evictable_bytes,
            returning_bytes,
        };
        assert_eq!(admit(load, CAPACITY, 30), expected);
    }

    #[test]
    fn room_is_given_made_or_refused() {
        check(1, 1, 70, Admission::Admit);
        check(1, 1, 75, Admission::EvictOldestEnded);
        let short = Overload::Memory { needed_bytes: 30, free_bytes: 24, limit_bytes: 100 };
        check(1, 1, 76, Admission::Refuse(short));
        check(1, 2, 10, Admission::EvictOldestEnded);
        check(2, 0, 0, Admission::Refuse(Overload::Sessions { limit: 2 }));
        let full = Overload::Memory { needed_bytes: 30, free_bytes: 10, limit_bytes: 100 };
        check(1, 0, 90, Admission::Refuse(full));
    }

    fn check_growth(
        (memory_bytes, evictable_bytes, returning_bytes): (u64, u64, u64),
        expected: Growth,
    ) {
        let ended_sessions = usize::from(evictable_bytes > 0);
        let running_sessions = 1;
        let load = Load {
            running_sessions,
            ended_sessions,
            memory_bytes,
            evictable_bytes,
            returning_bytes,
        };
        assert_eq!(after_growth(load, CAPACITY), expected, "{load:?}");
    }

    #[test]
    fn a_session_that_grows_makes_ended_ones_go_before_it_goes_itself() {
        check_growth((100, 0, 0), Growth::Fits);
        check_growth((110, 10, 0), Growth::EvictOldestEnded);
        check_growth((111, 10, 0), Growth::EndSession);
        check_growth((101, 0, 0), Growth::EndSession);
    }

    #[test]
    fn nobody_is_ended_or_evicted_for_memory_that_is_about_to_come_back() {
        check_growth((150, 10, 50), Growth::AwaitReturn);
        check_growth((150, 10, 40), Growth::EvictOldestEnded);
        check_growth((150, 10, 39), Growth::EndSession);
    }

    #[test]
    fn nothing_is_evicted_for_a_newcomer_that_can_never_fit() {
        let load = Load {
            running_sessions: 0,
            ended_sessions: 1,
            memory_bytes: 50,
            evictable_bytes: 50,
            returning_bytes: 0,
        };
        assert!(matches!(admit(load, CAPACITY, 101), Admission::Refuse(Overload::Memory { .. })));
    }
}
