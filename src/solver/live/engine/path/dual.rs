//! Solves with the factor beside the session's own: for what one entry is worth to another. `x` and what
//! is settled are not touched.

use crate::solver::live::engine::path::{Caught, Path, Ready, Stage};
use crate::solver::live::state::LiveSystem;
use crate::solver::path::ChangeRefusal;

impl Path {
    /// Entries that [`solve_for`](Self::solve_for) would touch; none where no factor is ready for it.
    pub fn solve_entries(&self) -> Option<u64> {
        match &self.stage {
            Stage::Ready(ready) if !ready.wants_factor() => {
                Some(ready.work() + ready.forecast.entries)
            }
            Stage::Ready(_)
            | Stage::Unplanned
            | Stage::Planned(_)
            | Stage::Refused { .. }
            | Stage::Out(_) => None,
        }
    }

    /// `z ← A⁻¹ z` up to rounding, by the factor, into which the changes that wait are worked first.
    /// `z` has length n. Returns the entries touched; none where the factor does not serve.
    pub fn solve_for(&mut self, live: &LiveSystem, z: &mut [f64]) -> Option<u64> {
        let foreseen = self.solve_entries()?;
        let Stage::Ready(ready) = &mut self.stage else { return None };
        match ready.catch_up_whole(live) {
            Ok(()) => {}
            Err(ChangeRefusal::OutsideFill { .. }) => {
                self.stage = Stage::Unplanned;
                return None;
            }
            Err(_) => {
                ready.waiting.outdate();
                return None;
            }
        }
        ready.engine.correct(z).ok()?;
        Some(foreseen)
    }
}

impl Ready {
    /// Works in all that waits.
    fn catch_up_whole(&mut self, live: &LiveSystem) -> Result<(), ChangeRefusal> {
        loop {
            match self.catch_up(live, u64::MAX) {
                Caught::All(_) => return Ok(()),
                Caught::Some(_) => {}
                Caught::Refused(refusal, _) => return Err(refusal),
            }
        }
    }
}
