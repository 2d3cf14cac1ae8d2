//! Whether changes wait until the run under way has settled the system. Changes that never stop would
//! otherwise reach every run before its end, and no state would ever be settled.

use std::time::Duration;

/// Changes wait for a run that is foreseen to take at most this long, and at most so long themselves.
const HOLD_MAX: Duration = Duration::from_millis(50);

/// They wait until a run has taken this many times what was foreseen.
const HOLD_TIMES: u32 = 2;

/// Fewer edits than this join the run under way: they add little to it, and who sends one at a time waits
/// for none.
const EDITS_MIN: usize = 8;

/// The run that changes may wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Hold {
    /// The version of the system that is worked on.
    version: u64,
    spent: Duration,
    at_most: Duration,
}

impl Hold {
    /// Takes in a piece of work on `version`, whose first was `foreseen` to settle it.
    pub fn worked(&mut self, version: u64, foreseen: Duration, took: Duration, is_settled: bool) {
        if is_settled {
            *self = Self::default();
            return;
        }
        if self.version != version || self.spent.is_zero() {
            let at_most = if foreseen <= HOLD_MAX { HOLD_TIMES * foreseen } else { Duration::ZERO };
            *self = Self { version, spent: Duration::ZERO, at_most: at_most.min(HOLD_MAX) };
        }
        self.spent += took;
    }

    /// Whether so many edits that wait are to wait on, while `version` is worked on.
    pub fn keeps(&self, version: u64, edits: usize) -> bool {
        edits >= EDITS_MIN && self.version == version && self.spent < self.at_most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn many_edits_wait_for_a_run_until_it_has_settled_or_taken_twice_what_was_foreseen() {
        let mut hold = Hold::default();
        assert!(!hold.keeps(0, 1_000), "no run is under way");
        hold.worked(7, 2 * MS, MS, false);
        assert!(hold.keeps(7, 8) && !hold.keeps(7, 7) && !hold.keeps(8, 1_000));
        hold.worked(7, MS, 2 * MS, false);
        assert!(hold.keeps(7, 8), "what was foreseen at first counts");
        hold.worked(7, MS, MS, false);
        assert!(!hold.keeps(7, 8));
        hold.worked(8, MS, MS, false);
        assert!(hold.keeps(8, 8));
        hold.worked(8, MS, MS, true);
        assert!(!hold.keeps(8, 8), "it is settled");
    }

    #[test]
    fn nobody_waits_for_a_long_run() {
        let mut hold = Hold::default();
        hold.worked(1, 51 * MS, MS, false);
        assert!(!hold.keeps(1, 1_000));
        hold.worked(2, 49 * MS, MS, false);
        assert!(hold.keeps(2, 1_000));
        hold.worked(2, 49 * MS, 49 * MS, false);
        assert!(!hold.keeps(2, 1_000));
    }
}
