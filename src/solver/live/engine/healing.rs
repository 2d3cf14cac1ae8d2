//! A live system that has gone astray, because its memory was altered or what was derived from it no longer
//! fits: how far the residual kept was off, and what is done about it.

use crate::solver::correction::{Corrected, Correction, Remedies};
use crate::solver::engine::Selection;
use crate::solver::live::engine::LiveEngine;
use crate::solver::live::engine::path::Path;
use crate::solver::live::engine::report::EngineName;
use crate::solver::memory_fault::MemoryFault;
use crate::solver::outcome::StopReason;

/// A residual that is off by less, in parts of the threshold, is not looked into.
const GAP_NOTED: f64 = 0.05;

/// What two measurements can differ by, in parts of what rounding can have done to one: see
/// [`LiveSystem::probe`](crate::solver::live::LiveSystem::probe).
const SLACKS: f64 = 4.0;

impl LiveEngine {
    /// How far the residual kept was off at most, rounding apart, when it was measured since the last call,
    /// in parts of the threshold. O(1); one pass where it was.
    pub fn take_gap(&mut self) -> f64 {
        let off = self.live.take_surprise();
        let scale = self.tolerance.threshold().max(f64::MIN_POSITIVE);
        // Not so where it is no number.
        if off <= GAP_NOTED * scale {
            return 0.0;
        }
        // Both measurements, that one and the one before, may have rounded.
        let slack = self.live.measure_with_slacks().into_iter().fold(0.0, f64::max);
        let gap = (off - SLACKS * slack) / scale;
        // What is no number is the largest gap there is.
        if gap.is_nan() { f64::INFINITY } else { gap.max(0.0) }
    }

    /// Brings the state back: rows are mended where they can be, the residual is measured, and beyond that
    /// a [`Correction::Restart`] makes anew all that was derived from the rows, a
    /// [`Correction::Precondition`] what the method in force has set up. A few passes over `A`; set-ups are
    /// left to later work. What is known of a witness stays.
    ///
    /// # Errors
    /// [`StopReason::Corrupted`] where rows do not hold what was accepted and cannot be mended.
    pub fn correct(&mut self, correction: Correction) -> Result<Corrected, StopReason> {
        let believed_norm = self.live.residual_norm();
        let repaired = self.live.repair();
        if let Some(first_row) = repaired.first_lost {
            return Err(StopReason::Corrupted { rows: repaired.lost, first_row });
        }
        match correction {
            Correction::Repair | Correction::Measure | Correction::Damp => {
                self.iteration.abandon();
            }
            Correction::Precondition => self.iteration.renew(),
            Correction::Restart | Correction::OtherMethod => self.begin_anew(),
        }
        self.live.measure();
        self.live.take_surprise();
        self.norm_at_most = self.live.residual_norm();
        self.solved = None;
        self.relaxation_failed = false;
        let Selection { method, preconditioner, .. } = *self.iteration.selection();
        Ok(Corrected {
            method,
            preconditioner,
            damping: None,
            believed_norm,
            residual_norm: self.norm_at_most,
            repaired_rows: repaired.mended,
        })
    }

    fn begin_anew(&mut self) {
        self.iteration.renew();
        self.live.rebuild();
        // One that is being set up is new as it is.
        if let Some(path) = &mut self.path
            && self.out != Some(EngineName::Path)
        {
            let bytes_max = self.iteration.options().memory_bytes_max;
            *path = Path::new(bytes_max, self.live.matrix().nonzeros());
        }
    }

    /// Which corrections would change anything.
    pub fn remedies(&self) -> Remedies {
        Remedies { damps: false, preconditions: !self.iteration.is_direct(), changes_method: false }
    }

    /// Lets a number in memory become another one.
    pub fn suffer(&mut self, fault: MemoryFault) {
        self.live.suffer(fault);
    }
}
