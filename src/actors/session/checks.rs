//! Checks of a session's states that nobody has asked for: when one is due, that it stays within its part
//! of the session's work, and what the stream says of it.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use rand::Rng;

use crate::actors::messages::{Challenge, ProbedState, Verification, Verify};
use crate::actors::session::{Phase, Session};
use crate::ids::ProbeId;
use crate::policy::verification::{Allowance, PROBES, Schedule, is_worth_all};
use crate::protocol::frame::{FrameBody, LastCheck};
use crate::protocol::stream_options::StreamOptions;
use crate::protocol::verification::VerificationResult;

/// The checks of one session.
pub struct Checks {
    /// None where the session asked for none.
    schedule: Option<Schedule>,
    allowance: Allowance,
    /// States of a live session, each of which stands for an iteration: most of its work is none.
    states: u64,
    /// Whether one is under way.
    is_out: bool,
    last: Option<LastCheck>,
}

impl Checks {
    pub fn of(stream: &StreamOptions) -> Self {
        let interval = stream.verification_interval;
        Self {
            schedule: stream.verification_enabled.then(|| Schedule::every(interval)),
            allowance: Allowance::default(),
            states: 0,
            is_out: false,
            last: None,
        }
    }

    /// What the last check found, for a state that meets its tolerance or not.
    pub fn last(&self, is_settled: bool) -> Option<LastCheck> {
        self.last.map(|last| LastCheck { verified: last.verified && is_settled, ..last })
    }

    /// One more state of a live session is announced.
    pub fn count_state(&mut self) {
        self.states += 1;
    }

    fn is_due(&self, iteration: u64) -> bool {
        let at = iteration + self.states;
        let is_due = self.schedule.is_some_and(|schedule| schedule.is_due(at));
        is_due && !self.is_out && self.allowance.allows()
    }

    fn note(&mut self, state: &ProbedState) {
        let verified = state.verdict.verified;
        if let Some(schedule) = &mut self.schedule {
            schedule.checked(state.iteration + self.states, verified);
        }
        self.last = Some(LastCheck {
            verified,
            score: state.verdict.score,
            checked_version: state.system_version,
            checked_iteration: state.iteration,
        });
    }
}

impl Session {
    /// The session has worked for so long: whether its state is to be checked by now.
    pub(super) fn check_if_due(&mut self, worked: Duration, ctx: &mut Context<Self>) {
        self.checks.allowance.worked(worked);
        if self.checks.is_due(self.progress.iteration) {
            self.check(Challenge::Random { probes: PROBES }, ctx);
        }
    }

    /// A live session that rests has its state checked with every heartbeat, in full where that is a small
    /// part of the time: what happens to memory happens to that of the idle, too.
    pub(super) fn check_at_rest(&mut self, ctx: &mut Context<Self>) {
        let is_wanted = self.checks.schedule.is_some() && !self.checks.is_out;
        if is_wanted && self.is_at_rest() {
            let asked = match is_worth_all(self.facts.nonzeros, self.heartbeat_interval) {
                true => Challenge::Exhaustive,
                false => Challenge::Random { probes: PROBES },
            };
            self.check(asked, ctx);
        }
    }

    fn check(&mut self, asked: Challenge, ctx: &mut Context<Self>) {
        self.checks.is_out = true;
        let verify =
            Verify { probes: ctx.address().recipient(), unknowns: self.facts.unknowns, asked };
        let checked = self.links.verify.send(verify).into_actor(self);
        ctx.spawn(checked.map(|answered, session, _| {
            session.checks.is_out = false;
            // Without an answer, because the session is ending or too much is asked of it, it is due again.
            if let Ok(Ok(verification)) = answered {
                session.announce_check(verification);
            }
        }));
    }

    fn announce_check(&mut self, verification: Verification) {
        self.checks.allowance.checked(verification.state.took);
        if let Phase::Ended { .. } = self.phase {
            return;
        }
        self.checks.note(&verification.state);
        let result = VerificationResult::from(verification);
        self.announcer.announce(vec![FrameBody::VerificationResult(Box::new(result))]);
    }

    /// The frame that says what a look at all rows of the state came to that the solve has come to.
    pub(super) fn body_of_check(&mut self, state: ProbedState) -> FrameBody {
        self.checks.note(&state);
        let mut draws = self.environment.entropy.stream(&format!("proof of {}", self.id));
        let verification = Verification {
            probe_id: ProbeId(draws.next_u64()),
            state,
            looked_at_all: true,
            escalated: false,
        };
        FrameBody::VerificationResult(Box::new(verification.into()))
    }
}
