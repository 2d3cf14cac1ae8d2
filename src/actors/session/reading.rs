//! What a session answers when it is asked: its present state, and its status.

use std::sync::Arc;

use actix::{Handler, MessageResult, ResponseFuture};
use tokio::sync::oneshot;

use crate::actors::messages::{GetSessionStatus, ReadSolution, SolutionState, SolutionUnavailable};
use crate::actors::session::facts::milliseconds;
use crate::actors::session::{Outing, Phase, Session, WAITING_READERS_MAX, Whereabouts};
use crate::protocol::status::{SessionState, SessionStatus};

impl Session {
    pub(super) fn present_state(&mut self) -> Option<SolutionState> {
        let Whereabouts::Home(solve) = &mut self.solve else { return None };
        let (iteration, system_version) = (solve.iteration(), solve.system_version());
        let is_converged = solve.is_converged();
        let (x, residual_norm, error_bound) = solve.state();
        Some(SolutionState {
            system_version,
            iteration,
            residual_norm,
            relative_residual: self.facts.relative(residual_norm),
            converged: is_converged,
            error_bound,
            x: Arc::new(x.to_vec()),
        })
    }

    /// Whether it waits for a change.
    pub(super) fn is_at_rest(&self) -> bool {
        match &self.solve {
            Whereabouts::Home(solve) => self.is_live && !solve.wants_work(),
            Whereabouts::Away(_) | Whereabouts::Gone => false,
        }
    }

    pub(super) fn answer_readers(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let answer = self.present_state().ok_or(SolutionUnavailable::NeverReached);
        for reader in self.readers.drain(..) {
            let _ = reader.send(answer.clone());
        }
    }
}

impl Handler<ReadSolution> for Session {
    type Result = ResponseFuture<Result<SolutionState, SolutionUnavailable>>;

    fn handle(&mut self, _: ReadSolution, _: &mut Self::Context) -> Self::Result {
        let answer = match (&self.phase, &self.solve) {
            (Phase::Ended { solution, .. }, _) => {
                solution.clone().ok_or(SolutionUnavailable::NeverReached)
            }
            (_, Whereabouts::Away(Outing::SetUp)) => Err(SolutionUnavailable::Preparing),
            (_, Whereabouts::Away(Outing::Brief)) => {
                if self.readers.len() >= WAITING_READERS_MAX {
                    Err(SolutionUnavailable::TooManyReaders { waiting: self.readers.len() })
                } else {
                    let (reader, answer) = oneshot::channel();
                    self.readers.push(reader);
                    return Box::pin(async move {
                        answer.await.unwrap_or(Err(SolutionUnavailable::NeverReached))
                    });
                }
            }
            (_, Whereabouts::Home(_) | Whereabouts::Gone) => {
                self.present_state().ok_or(SolutionUnavailable::NeverReached)
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Handler<GetSessionStatus> for Session {
    type Result = MessageResult<GetSessionStatus>;

    fn handle(&mut self, _: GetSessionStatus, _: &mut Self::Context) -> Self::Result {
        let residual_norm = self.convergence.residual_norm();
        let (state, end_reason) = match &self.phase {
            Phase::Running if self.is_at_rest() => (SessionState::Live, None),
            Phase::Running | Phase::Ending(_) => (SessionState::Running, None),
            Phase::Ended { reason, .. } => (SessionState::Ended, Some(reason.as_str())),
        };
        MessageResult(SessionStatus {
            session_id: self.id,
            state,
            end_reason,
            system_version: self.announcer.system_version(),
            sequence: self.announcer.sequence(),
            opened_at: self.opened_at,
            elapsed_ms: milliseconds(self.uptime()),
            unknowns: self.facts.unknowns,
            nonzeros: self.facts.nonzeros,
            method: self.facts.method.as_str(),
            preconditioner: self.facts.preconditioner.as_str(),
            iteration: self.progress.iteration,
            residual_norm,
            relative_residual: residual_norm.map(|norm| self.facts.relative(norm)),
            convergence_rate: self.progress.rate,
            residual_trend: None,
            tolerance: self.facts.tolerance,
            flops: self.progress.flops,
            listeners: self.announcer.listeners(),
            memory_usage_mb: self.memory_usage_mb(),
        })
    }
}
