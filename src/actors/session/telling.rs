//! What a session's stream says of a quantum: states, set-ups, switches of method, signals of convergence
//! and what keeps the present system from being solved.

use crate::actors::session::facts::{milliseconds, solution_of};
use crate::actors::session::{CONSECUTIVE_STATES, Session};
use crate::actors::solve::{Report, StateReport};
use crate::ids::SystemVersion;
use crate::policy::convergence::Measured;
use crate::policy::remedy;
use crate::protocol::frame::{
    ConvergenceSignal, FrameBody, IterationUpdate, MethodChanged, Prepared, StreamError,
};
use crate::protocol::problem::ProblemKind;
use crate::runtime::event::Event;
use crate::solver::live::{LiveStop, Settlement};

impl Session {
    /// The first solution of a live session; from now on listeners follow it by its changes.
    pub(super) fn announce_solved(&mut self) {
        let Some(state) = self.present_state() else { return };
        self.convergence.is_news(state.system_version);
        self.announcer.announce(vec![
            FrameBody::ConvergenceSignal(ConvergenceSignal {
                residual_threshold: self.facts.residual_threshold,
                consecutive_iterations: CONSECUTIVE_STATES,
                residual_norm: state.residual_norm,
                iterations_below_threshold: self.progress.states_below_threshold,
                converged: true,
                settled_version: Some(state.system_version),
                skipped: 0,
            }),
            FrameBody::Solution(solution_of(&state)),
        ]);
    }

    /// The signal that a live session's state solves a version of its system, the present one or one
    /// before: once for each version, and never for one before that which was signalled last.
    pub(super) fn signal_of(&mut self, report: &Report) -> Option<FrameBody> {
        let Report::State(StateReport { live: Some(live), .. }) = report else {
            return None;
        };
        let Settlement { version, residual_norm, residual_threshold } = live.settlement?;
        let version = SystemVersion(version);
        if !self.convergence.is_news(version) {
            return None;
        }
        if live.is_settled {
            self.stuck = None;
        }
        Some(FrameBody::ConvergenceSignal(ConvergenceSignal {
            residual_threshold,
            consecutive_iterations: CONSECUTIVE_STATES,
            residual_norm,
            // The state itself is one more.
            iterations_below_threshold: self.progress.states_below_threshold + 1,
            converged: true,
            settled_version: Some(version),
            skipped: 0,
        }))
    }

    pub(super) fn body_of(&mut self, report: Report) -> Option<FrameBody> {
        Some(match report {
            Report::Prepared { method, preconditioner, description, took } => {
                let event =
                    Event::Prepared { session: self.id, description: description.clone(), took };
                self.environment.recorder.record(event);
                FrameBody::Prepared(Prepared {
                    method,
                    preconditioner,
                    description,
                    preparation_time_ms: milliseconds(took),
                    memory_usage_mb: self.memory_usage_mb(),
                })
            }
            Report::State(state) => FrameBody::IterationUpdate(self.update_of(state)),
            Report::Switched { switch, preconditioner, iteration } => {
                let (from, to) = (switch.from, switch.to);
                let event = Event::MethodSwitched { session: self.id, from, to };
                self.environment.recorder.record(event);
                FrameBody::MethodChanged(MethodChanged {
                    iteration,
                    from,
                    to,
                    preconditioner,
                    reason: switch.reason,
                    residual_norm: self.convergence.residual_norm(),
                })
            }
            Report::Checked(state) => self.body_of_check(state),
            Report::Corrected { correction, corrected, iteration } => {
                self.body_of_correction(correction, corrected, iteration)
            }
            Report::Stuck(stop) => return self.tell_stuck(&stop),
        })
    }

    /// Tells once why the present system is not solved; the next change may mend it.
    pub(super) fn tell_stuck(&mut self, stop: &LiveStop) -> Option<FrameBody> {
        let detail = stop.to_string();
        if self.stuck.as_ref() == Some(&detail) {
            return None;
        }
        self.stuck = Some(detail.clone());
        Some(FrameBody::Error(StreamError {
            kind: ProblemKind::of_live_stop(stop),
            detail,
            way_out: Some(remedy::way_out_of_live_stop(stop)),
        }))
    }

    pub(super) fn update_of(&mut self, state: StateReport) -> IterationUpdate {
        let settlement = state.live.as_ref().and_then(|live| live.settlement);
        let observed = self.convergence.observe(Measured {
            iteration: state.iteration,
            residual_norm: state.residual_norm,
            settled: settlement.map(|settlement| SystemVersion(settlement.version)),
        });
        self.progress.rate = observed.rate.or(self.progress.rate);
        self.progress.states_below_threshold = observed.states_below_threshold;
        let is_settled = match &state.live {
            Some(live) => {
                self.checks.count_state();
                live.is_settled
            }
            None => state.residual_norm <= self.facts.residual_threshold,
        };
        if is_settled {
            self.corrections.settled();
        }
        let verification = self.checks.last(is_settled);
        let update = self.facts.update(state, observed.rate, self.memory_usage_mb());
        IterationUpdate { verification, ..update }
    }

    pub(super) fn announce_opening(&mut self) {
        let warnings = std::mem::take(&mut self.warnings);
        let opened = self.facts.opened(self.stream.time_budget, self.memory_usage_mb(), warnings);
        self.announcer.announce(vec![FrameBody::SessionOpened(Box::new(opened))]);
    }
}
