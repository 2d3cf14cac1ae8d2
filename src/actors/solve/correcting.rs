//! A solve that has gone astray, or whose memory was altered: what it is told to do about it, done where
//! it is.

use super::{MOVING, Report, Solve, Solver};
use crate::actors::messages::Sample;
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::correction::{Correction, Remedies};
use crate::solver::memory_fault::MemoryFault;
use crate::solver::outcome::{Outcome, StopReason, Work};

impl Solve {
    /// Whether it is to mend itself, where another method than the one asked for may be what it takes.
    pub fn auto_correction(&self) -> bool {
        match &self.solver {
            Solver::Solving(engine) => engine.options().auto_correction,
            Solver::Live(live) => live.engine().options().auto_correction,
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Which corrections would change anything.
    pub fn remedies(&self) -> Remedies {
        match &self.solver {
            Solver::Solving(engine) => engine.remedies(),
            Solver::Live(live) => live.engine().remedies(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Whether a residual norm that grows means that it goes astray.
    pub fn is_judged_by_trend(&self) -> bool {
        match &self.solver {
            Solver::Solving(engine) => engine.is_judged_by_trend(),
            // Its norm grows with every change.
            Solver::Live(_) => false,
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// How far the residual kept was off at most since the last call, in parts of what it should be.
    pub(super) fn take_gap(&mut self) -> f64 {
        match &mut self.solver {
            Solver::Solving(engine) => engine.take_gap(),
            Solver::Live(live) => live.engine_mut().take_gap(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Does what it is told, and announces the state that this leaves. Why it has to end, where nothing
    /// helps.
    pub(super) fn correct(
        &mut self,
        correction: Correction,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) -> Option<StopReason> {
        let nonzeros = 4 * self.size().1 as u64;
        let corrected = match &mut self.solver {
            // It has come to its end meanwhile, and its state was looked at.
            Solver::Solving(engine) if engine.outcome().is_some() => return None,
            Solver::Solving(engine) => engine.correct(correction),
            Solver::Live(live) => live.correct(correction),
            Solver::Moving => unreachable!("{MOVING}"),
        };
        stopwatch.lap(Work { nonzeros, flops: 2 * nonzeros });
        let corrected = match corrected {
            Ok(corrected) => corrected,
            Err(reason) => {
                if let Solver::Solving(engine) = &mut self.solver {
                    engine.revoke(reason.clone());
                }
                return Some(reason);
            }
        };
        if let Solver::Live(live) = &self.solver {
            self.next = live.next();
        }
        let iteration = self.iteration();
        reports.push(Report::Corrected { correction, corrected, iteration });
        self.announce(None, stopwatch, reports);
        None
    }

    /// What a solve has come to, once its state was looked at in full, where that is asked for: a system
    /// that was altered on the way has not been solved.
    pub(super) fn checked_outcome(
        &mut self,
        outcome: Outcome,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) -> Outcome {
        if !self.is_checked || !matches!(outcome, Outcome::Converged { .. }) {
            return outcome;
        }
        let state = self.probe(&Sample::All, stopwatch);
        let faults = state.verdict.faults;
        reports.push(Report::Checked(state));
        match (&mut self.solver, faults.first_row) {
            (Solver::Solving(engine), Some(first_row)) if faults.altered > 0 => {
                engine.revoke(StopReason::Corrupted { rows: faults.altered, first_row })
            }
            _ => outcome,
        }
    }

    /// Lets a number in memory become another one.
    pub fn suffer(&mut self, fault: MemoryFault) {
        match &mut self.solver {
            Solver::Solving(engine) => engine.suffer(fault),
            Solver::Live(live) => live.engine_mut().suffer(fault),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }
}
