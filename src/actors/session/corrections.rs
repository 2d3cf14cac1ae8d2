//! What a session does when it drifts: it has its states watched, takes in what was found, has its solve
//! corrected with the next quantum, and says so.

use std::time::Duration;

use actix::{AsyncContext, Context, Handler};

use crate::actors::messages::{DriftFound, Observe, ProbedState};
use crate::actors::session::{Phase, Session};
use crate::actors::solve::{QuantumReport, Report, Solve};
use crate::policy::correcting::{Cause, Corrector, Drift, DriftKind};
use crate::policy::residuals::Observation;
use crate::protocol::frame::{CorrectionMade, FrameBody};
use crate::runtime::event::Event;
use crate::solver::correction::{Corrected, Correction};
use crate::solver::outcome::{MethodSwitch, StopReason};

/// The corrections of one session.
#[derive(Default)]
pub struct Corrections {
    corrector: Corrector,
    /// A drift that nothing was done about yet.
    found: Option<Drift>,
    /// The one that the solve is out to be corrected for.
    out: Option<Drift>,
    /// What was seen before says nothing of the method in force.
    is_new_run: bool,
}

impl Corrections {
    pub fn is_due(&self) -> bool {
        self.found.is_some()
    }

    /// The session's state meets its tolerance.
    pub fn settled(&mut self) {
        self.corrector.settled();
    }

    /// Another method, or the same begun anew: what was seen of the residual is of what is no more.
    fn begin_run(&mut self) {
        self.is_new_run = true;
        self.found.take_if(|found| matches!(found.kind, DriftKind::Trend | DriftKind::Gap));
    }

    /// What is to be done about what was found, with the quantum that begins now.
    pub fn take(&mut self, solve: &Solve, at: Duration) -> Option<Correction> {
        let drift = self.found.take()?;
        let may_be_made = solve.auto_correction() && !solve.is_retired();
        let decided = match may_be_made {
            true => self.corrector.decide(drift, solve.remedies(), at),
            false => None,
        };
        self.out = decided.and(Some(drift));
        decided
    }
}

impl Session {
    /// Has what a quantum came to looked at for drift. To be called before its reports are told.
    pub(super) fn observe(
        &mut self,
        report: &QuantumReport,
        judged_by_trend: bool,
        ctx: &Context<Self>,
    ) {
        let is_change =
            |report: &Report| matches!(report, Report::Switched { .. } | Report::Corrected { .. });
        if report.reports.iter().any(is_change) {
            self.corrections.begin_run();
        }
        let states: Vec<Observation> = (report.reports.iter())
            .filter_map(|report| match report {
                Report::State(state) => Some(Observation {
                    iteration: state.iteration,
                    residual_norm: state.residual_norm,
                }),
                Report::Prepared { .. }
                | Report::Switched { .. }
                | Report::Checked(_)
                | Report::Corrected { .. }
                | Report::Stuck(_) => None,
            })
            .collect();
        if states.is_empty() && report.gap == 0.0 {
            return;
        }
        self.links.observe.do_send(Observe {
            session: self.id,
            states,
            judged_by_trend,
            gap: report.gap,
            is_new_run: std::mem::take(&mut self.corrections.is_new_run),
            reply_to: ctx.address().recipient(),
        });
    }

    /// Rows that were looked at are not as they should be: whether that is going to be corrected.
    pub(super) fn note_faults(&mut self, state: &ProbedState) -> bool {
        let ProbedState { claim, verdict, .. } = state;
        let faults = verdict.faults;
        if !matches!(self.phase, Phase::Running) || faults.first_row.is_none() {
            return false;
        }
        let part = |rows: usize| rows as f64 / verdict.rows.max(1) as f64;
        let drift = match faults.altered {
            0 => {
                let excess = verdict.residual_norm_seen / claim.residual_threshold - 1.0;
                let severity = excess.max(part(faults.untracked + faults.over_tolerance));
                // What is no number is the largest drift there is.
                let severity = if severity.is_nan() { f64::INFINITY } else { severity };
                Drift { kind: DriftKind::Untracked, severity }
            }
            altered => Drift { kind: DriftKind::Altered, severity: part(altered) },
        };
        self.note_drift(drift);
        true
    }

    fn note_drift(&mut self, drift: Drift) {
        let (session, kind, severity) = (self.id, drift.kind, drift.severity);
        self.environment.recorder.record(Event::DriftFound { session, kind, severity });
        // Rows that were altered come first: nothing else helps as long as they are.
        let is_worse = self.corrections.found.is_none_or(|found| found.kind != DriftKind::Altered);
        if is_worse {
            self.corrections.found = Some(drift);
        }
    }

    /// The frame that says what was done, why, and what it came to.
    pub(super) fn body_of_correction(
        &mut self,
        action: Correction,
        corrected: Corrected,
        iteration: u64,
    ) -> FrameBody {
        let drift = self.corrections.out.take();
        let (session, kind) = (self.id, action);
        self.environment.recorder.record(Event::Corrected { session, correction: kind });
        let finite = |norm: f64| norm.is_finite().then_some(norm);
        FrameBody::Correction(Box::new(CorrectionMade {
            iteration,
            cause: drift.map_or(Cause::Drift(DriftKind::Gap), |drift| Cause::Drift(drift.kind)),
            severity: drift.and_then(|drift| finite(drift.severity)),
            action,
            method: corrected.method,
            preconditioner: corrected.preconditioner,
            damping: corrected.damping,
            believed_norm: finite(corrected.believed_norm),
            residual_norm: finite(corrected.residual_norm),
            repaired_rows: corrected.repaired_rows as u64,
        }))
    }

    /// The same of a method that gave way to another because it stagnated or diverged.
    pub(super) fn body_of_switch(
        &self,
        switch: &MethodSwitch,
        iteration: u64,
    ) -> Option<FrameBody> {
        let cause = match switch.cause.as_ref()? {
            StopReason::Stagnated { .. } => Cause::Stagnation,
            StopReason::Diverged { .. } => Cause::Divergence,
            StopReason::IterationLimit { .. }
            | StopReason::Breakdown { .. }
            | StopReason::Indefinite { .. }
            | StopReason::Singular { .. }
            | StopReason::PrecisionLimit { .. }
            | StopReason::Unsuited { .. }
            | StopReason::OutOfMemoryBudget { .. }
            | StopReason::Corrupted { .. } => return None,
        };
        Some(FrameBody::Correction(Box::new(CorrectionMade {
            iteration,
            cause,
            severity: None,
            action: Correction::OtherMethod,
            method: switch.to,
            preconditioner: self.facts.preconditioner,
            damping: None,
            believed_norm: None,
            residual_norm: self.convergence.residual_norm(),
            repaired_rows: 0,
        })))
    }
}

impl Handler<DriftFound> for Session {
    type Result = ();

    fn handle(&mut self, found: DriftFound, ctx: &mut Self::Context) {
        if matches!(self.phase, Phase::Running) {
            self.note_drift(found.0);
            // While the solve is out it goes with the next quantum.
            self.request_quantum(ctx);
        }
    }
}
