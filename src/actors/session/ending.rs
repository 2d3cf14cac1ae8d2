//! How a session ends: when, why, what it leaves behind, and what its stream says of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::{AsyncContext, Context, Handler, ResponseFuture};
use tokio::sync::oneshot;

use crate::actors::messages::{
    SessionEnded, SolutionState, SolutionUnavailable, StopSession, WorkerFailure,
};
use crate::actors::session::facts::{milliseconds, solution_of};
use crate::actors::session::set_up::PendingSetUp;
use crate::actors::session::{CONSECUTIVE_STATES, Outing, Phase, Session, Whereabouts};
use crate::policy::remedy;
use crate::protocol::frame::{ConvergenceSignal, End, EndReason, FrameBody, StreamError};
use crate::protocol::problem::ProblemKind;
use crate::runtime::event::Event;
use crate::solver::outcome::{Outcome, StopReason};

impl Session {
    /// Ends now if the solve is at home or in a long set-up, else as soon as it is back.
    pub(super) fn end_soon(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        match (&self.phase, &self.solve) {
            (Phase::Ended { .. }, _) => {}
            (_, Whereabouts::Away(Outing::Brief)) => self.phase = Phase::Ending(reason),
            (_, Whereabouts::Away(Outing::SetUp) | Whereabouts::Home(_) | Whereabouts::Gone) => {
                self.end(reason, sentence(reason), ctx);
            }
        }
    }

    pub(super) fn end_with_outcome(&mut self, outcome: Outcome, ctx: &mut Context<Self>) {
        match outcome {
            Outcome::Converged { .. } => {
                self.end(EndReason::Converged, "the residual meets the tolerance".to_owned(), ctx);
            }
            Outcome::Stopped(stop) => {
                if let Some(way_out) = remedy::way_out(&stop) {
                    self.announcer.announce(vec![FrameBody::Error(StreamError {
                        kind: ProblemKind::of_stop(&stop),
                        detail: stop.to_string(),
                        way_out: Some(way_out.to_owned()),
                    })]);
                }
                self.end(end_reason(&stop), stop.to_string(), ctx);
            }
        }
    }

    pub(super) fn end_with_failure(&mut self, failure: &WorkerFailure, ctx: &mut Context<Self>) {
        self.announcer.announce(vec![FrameBody::Error(StreamError {
            kind: ProblemKind::Internal,
            detail: format!("a solver worker failed: {}", failure.message),
            way_out: Some("try another method, and report this as a defect".to_owned()),
        })]);
        self.end(EndReason::InternalError, sentence(EndReason::InternalError), ctx);
    }

    pub(super) fn end(&mut self, reason: EndReason, detail: String, ctx: &mut Context<Self>) {
        if matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        let solution = self.final_state(reason);
        let residual_norm =
            solution.as_ref().map(|state| state.residual_norm).or(self.convergence.residual_norm());
        let mut bodies = Vec::new();
        if let Some(residual_norm) = residual_norm {
            bodies.push(FrameBody::ConvergenceSignal(ConvergenceSignal {
                residual_threshold: self.facts.residual_threshold,
                consecutive_iterations: CONSECUTIVE_STATES,
                residual_norm,
                iterations_below_threshold: self.progress.states_below_threshold,
                converged: reason == EndReason::Converged
                    || self.is_live && solution.as_ref().is_some_and(|state| state.converged),
                settled_version: (solution.as_ref())
                    .filter(|state| self.is_live && state.converged)
                    .map(|state| state.system_version),
                skipped: 0,
            }));
        }
        bodies.extend(solution.as_ref().map(|state| FrameBody::Solution(solution_of(state))));
        bodies.push(FrameBody::End(End {
            reason,
            detail,
            iterations: self.progress.iteration,
            residual_norm,
            relative_residual: residual_norm.map(|norm| self.facts.relative(norm)),
            elapsed_ms: milliseconds(self.uptime()),
            flops: self.progress.flops,
        }));
        self.announcer.announce(bodies);
        self.close(reason, residual_norm, solution);
        // A pending timer would keep the actor alive after its last handle is gone.
        for timer in self.timers.drain(..).chain(self.beat_timer.take()) {
            ctx.cancel_future(timer);
        }
    }

    fn close(
        &mut self,
        reason: EndReason,
        residual_norm: Option<f64>,
        solution: Option<SolutionState>,
    ) {
        let (session, iteration) = (self.id, self.progress.iteration);
        let event = Event::SessionEnded { session, reason, iteration, residual_norm };
        self.environment.recorder.record(event);
        self.unwanted.store(true, Ordering::Relaxed);
        self.ended_after = Some(self.uptime());
        // What is out holds its memory until it is back.
        if self.set_up.is_back() {
            self.set_up = PendingSetUp::None;
        }
        if !matches!(self.solve, Whereabouts::Away(_)) {
            self.changes.refuse_all();
            self.questions.refuse_all();
        }
        for reader in self.readers.drain(..) {
            let answer = solution.clone().ok_or(SolutionUnavailable::NeverReached);
            // A reader that has gone by now needs no answer.
            let _ = reader.send(answer);
        }
        let is_readable = solution.is_some();
        self.phase = Phase::Ended { reason, solution };
        match std::mem::replace(&mut self.solve, Whereabouts::Gone) {
            // As long as its solution can be read it can be checked.
            Whereabouts::Home(mut solve) if is_readable => {
                solve.retire();
                self.unwanted = Arc::default();
                self.solve = Whereabouts::Home(solve);
            }
            Whereabouts::Home(_) | Whereabouts::Gone => {}
            away @ Whereabouts::Away(_) => self.solve = away,
        }
        let is_away = matches!(self.solve, Whereabouts::Away(_));
        if !is_away {
            self.memory_bytes = self.bytes_left_behind() + self.set_up.bytes();
        }
        let memory_bytes = self.memory_bytes;
        let is_released = !is_away && !self.set_up.is_out();
        self.links.ended.do_send(SessionEnded { session, memory_bytes, is_released });
        self.release_stoppers();
    }

    /// What an ended session holds: the solution, and the system that it can be checked against.
    pub(super) fn bytes_left_behind(&self) -> u64 {
        let Phase::Ended { solution, .. } = &self.phase else { return 0 };
        let solve = match &self.solve {
            Whereabouts::Home(solve) => solve.memory_bytes(),
            Whereabouts::Away(_) | Whereabouts::Gone => 0,
        };
        solve + solution.as_ref().map_or(0, |state| 8 * state.x.len() as u64)
    }

    /// The state to leave behind, if the solve is at home. A session that is deleted and a node that
    /// drains leave none, because nobody could read it; one whose system was altered, because it is the
    /// solution of nothing that was asked for.
    fn final_state(&mut self, reason: EndReason) -> Option<SolutionState> {
        match reason {
            EndReason::Draining | EndReason::Deleted | EndReason::Corrupted => None,
            _ => self.present_state(),
        }
    }

    pub(super) fn release_stoppers(&mut self) {
        if self.announcer.listeners() == 0 && matches!(self.phase, Phase::Ended { .. }) {
            for stopper in self.stoppers.drain(..) {
                let _ = stopper.send(());
            }
        }
    }
}

impl Handler<StopSession> for Session {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, stop: StopSession, ctx: &mut Self::Context) -> Self::Result {
        let (stopper, stopped) = oneshot::channel();
        self.stoppers.push(stopper);
        self.end_soon(stop.0, ctx);
        self.release_stoppers();
        Box::pin(async move {
            // The sender is dropped unanswered only when the session itself is gone.
            let _ = stopped.await;
        })
    }
}

/// What a stop of the engine is called in the stream.
fn end_reason(stop: &StopReason) -> EndReason {
    match stop {
        StopReason::IterationLimit { .. } => EndReason::MaxIterations,
        StopReason::Breakdown { .. } => EndReason::Breakdown,
        StopReason::Indefinite { .. } => EndReason::Indefinite,
        StopReason::Diverged { .. } => EndReason::Diverged,
        StopReason::Stagnated { .. } => EndReason::Stagnated,
        StopReason::Singular { .. } => EndReason::Singular,
        StopReason::PrecisionLimit { .. } => EndReason::PrecisionLimit,
        StopReason::Unsuited { .. } => EndReason::UnsuitedPreconditioner,
        StopReason::OutOfMemoryBudget { .. } => EndReason::MemoryBudget,
        StopReason::Corrupted { .. } => EndReason::Corrupted,
    }
}

/// Ends that a limit or a client brings about, in a sentence.
pub(super) fn sentence(reason: EndReason) -> String {
    let text = match reason {
        EndReason::TimeBudget => "the time budget is spent",
        EndReason::Expired => "the session reached its longest duration",
        EndReason::Deleted => "the session was deleted",
        EndReason::ListenerGone => "nobody listens any more",
        EndReason::MemoryBudget => "the node has no memory left for what the solve needs",
        EndReason::Draining => "the node is shutting down",
        EndReason::InternalError => "a solver worker failed",
        EndReason::Converged
        | EndReason::MaxIterations
        | EndReason::Breakdown
        | EndReason::Indefinite
        | EndReason::Diverged
        | EndReason::Stagnated
        | EndReason::Singular
        | EndReason::PrecisionLimit
        | EndReason::UnsuitedPreconditioner
        | EndReason::Corrupted => "the solve ended",
    };
    text.to_owned()
}
