//! Engines stepped within what is left of a budget and of the caller's patience.

use crate::solver::engine::Engine;
use crate::solver::outcome::{Outcome, Step, StopReason};
use crate::solver::proof::Witness;
use crate::solver::proof::entry::{EntryEnd, Patience};
use crate::solver::proof::search::{Search, SearchLimits, search};
use crate::solver::system::LinearSystem;

/// Steps engines within what is left of a budget.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub left: u64,
    pub patience: Patience<'a>,
    pub touched_entries: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum RunEnd {
    Converged,
    Stopped(StopReason),
    OverBudget,
    OutOfTime,
}

impl RunEnd {
    pub fn of_entries(&self) -> EntryEnd {
        match self {
            Self::Converged => EntryEnd::Reached,
            Self::Stopped(_) => EntryEnd::PrecisionLimit,
            Self::OverBudget => EntryEnd::OverBudget,
            Self::OutOfTime => EntryEnd::OutOfTime,
        }
    }
}

impl Run<'_> {
    pub fn drive(&mut self, engine: &mut Engine) -> RunEnd {
        loop {
            if !self.patience.lasts() {
                return RunEnd::OutOfTime;
            }
            let work = engine.next_step_work().nonzeros;
            if self.touched_entries + work > self.left {
                return RunEnd::OverBudget;
            }
            self.touched_entries += work;
            match engine.step() {
                Step::Finished(Outcome::Converged { .. }) => return RunEnd::Converged,
                Step::Finished(Outcome::Stopped(reason)) => return RunEnd::Stopped(reason),
                Step::Prepared(_) | Step::Iterated(_) | Step::Switched(_) => {}
            }
        }
    }

    /// A witness, for about as much as the solve took.
    pub fn search(&mut self, system: &LinearSystem, memory_bytes_max: u64) -> Option<Witness> {
        let rest = self.left.saturating_sub(self.touched_entries);
        let entries_max = rest.min(2 * self.touched_entries + 64 * system.nonzeros() as u64);
        if entries_max == 0 || !self.patience.lasts() {
            return None;
        }
        let limits = SearchLimits { entries_max, memory_bytes_max };
        let Search { found, touched_entries } = search(system.rows(), limits);
        self.touched_entries += touched_entries;
        found.ok()
    }
}
