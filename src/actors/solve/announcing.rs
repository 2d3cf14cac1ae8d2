//! What is said of a solve: which states are announced, with the residual measured for them, and what was
//! set up.

use std::time::Duration;

use super::report::{LiveReport, Measured, Report, StateReport};
use super::{MOVING, Solve, Solver};
use crate::policy::announcing::SinceAnnounced;
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::engine::Selection;
use crate::solver::outcome::{Preparation, Progress, Work};

impl Solve {
    pub(super) fn note_preparation(
        &mut self,
        preparation: Preparation,
        took: Duration,
        reports: &mut Vec<Report>,
    ) {
        let Preparation { description, work } = preparation;
        self.flops += work.flops;
        let Selection { method, preconditioner, .. } = *self.selection();
        reports.push(Report::Prepared { method, preconditioner, description, took });
    }

    pub(super) fn note_work(&mut self, work: Work) {
        self.flops += work.flops;
        self.since.iterations += 1;
        self.since.work += work;
    }

    /// Announces the state that is left behind, unless it is the one announced last. An engine that
    /// stops may go back to its best state, so the iteration alone does not tell.
    pub(super) fn announce_final(&mut self, stopwatch: &mut Stopwatch, reports: &mut Vec<Report>) {
        let (_, residual_norm, _) = self.state();
        let present = Measured { iteration: self.iteration(), residual_norm };
        if self.measured != Some(present) {
            self.announce(None, stopwatch, reports);
        }
    }

    pub(super) fn note_iteration(&mut self, progress: Progress, stopwatch: &mut Stopwatch) {
        self.flops += progress.work.flops;
        self.time_since += stopwatch.lap(progress.work);
        self.since.iterations += 1;
        self.since.work += progress.work;
    }

    /// Measuring the residual, where the method does not know it, and one pass over `x` for the
    /// entries that changed.
    pub(super) fn announce_work(&self, progress: Option<Progress>) -> Work {
        let is_measured = progress.is_some_and(|progress| progress.residual_is_true);
        let order = self.size().0;
        let pass = Work { nonzeros: order as u64, flops: 0 };
        match &self.solver {
            _ if is_measured => pass,
            Solver::Solving(engine) => pass + engine.announce_work(),
            Solver::Live(live) => pass + live.engine().announce_work(),
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    pub(super) fn announce(
        &mut self,
        progress: Option<Progress>,
        stopwatch: &mut Stopwatch,
        reports: &mut Vec<Report>,
    ) {
        let measured = progress.filter(|progress| progress.residual_is_true);
        let work = self.announce_work(progress);
        let (residual_norm, changes, live) = match &mut self.solver {
            Solver::Solving(engine) => {
                let residual_norm = match measured {
                    Some(progress) => progress.residual_norm,
                    None => engine.true_residual_norm(),
                };
                (residual_norm, self.changes.take(engine.solution()), None)
            }
            Solver::Live(live) => {
                let residual_norm = live.engine_mut().measure();
                let error_bound = live.error_bound();
                let is_settled = live.engine().is_settled();
                let settlement = live.engine().settlement();
                live.take_landed();
                let drain = live.take_drain();
                let report = LiveReport { drain, error_bound, is_settled, settlement };
                (residual_norm, self.changes.take(live.solution()), Some(report))
            }
            Solver::Moving => unreachable!("{MOVING}"),
        };
        self.flops += work.flops;
        stopwatch.lap(work);
        let iterations = u32::try_from(self.since.iterations).unwrap_or(u32::MAX).max(1);
        let time_since = live.map_or(self.time_since, |live| live.drain.took);
        reports.push(Report::State(StateReport {
            iteration: self.iteration(),
            residual_norm,
            changes,
            iteration_time: time_since / iterations,
            flops: self.flops,
            live,
        }));
        self.measured = Some(Measured { iteration: self.iteration(), residual_norm });
        self.since = SinceAnnounced::default();
        self.time_since = Duration::ZERO;
        self.is_owed = false;
        if let Solver::Live(live) = &self.solver {
            self.next = live.next();
        }
    }
}
