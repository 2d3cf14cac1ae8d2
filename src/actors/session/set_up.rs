//! A set-up of a live session that is made in the background while its solve goes on: sent out, taken home,
//! handed to the solve with its next quantum. At most one at a time.

use std::sync::Arc;

use actix::{AsyncContext, Context, Handler};

use crate::actors::messages::{FinishedSetUp, RunSetUp, SessionGrew, SetUpDone};
use crate::actors::session::{Phase, Session, Whereabouts};
use crate::solver::live::SetUpJob;

/// Where the set-up is, and the bytes that count for it until the solve has taken it over.
pub enum PendingSetUp {
    None,
    Out {
        bytes: u64,
    },
    /// To go with the next quantum.
    Back {
        finished: Box<FinishedSetUp>,
        bytes: u64,
    },
}

impl PendingSetUp {
    pub fn bytes(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Out { bytes } | Self::Back { bytes, .. } => *bytes,
        }
    }

    pub fn is_back(&self) -> bool {
        matches!(self, Self::Back { .. })
    }

    pub fn is_out(&self) -> bool {
        matches!(self, Self::Out { .. })
    }

    /// What is back, to be taken over by the solve; it counts as the solve's from then on.
    pub fn take_back(&mut self) -> Option<FinishedSetUp> {
        match std::mem::replace(self, Self::None) {
            Self::Back { finished, .. } => Some(*finished),
            elsewhere @ (Self::None | Self::Out { .. }) => {
                *self = elsewhere;
                None
            }
        }
    }
}

impl Session {
    pub(super) fn send_set_up(&mut self, job: Box<SetUpJob>, ctx: &Context<Self>) {
        self.set_up = PendingSetUp::Out { bytes: job.peak_bytes() };
        // A solve gives none out before the last one is back.
        self.links.set_ups.do_send(RunSetUp {
            session: self.id,
            job,
            asked_at: self.environment.clock.now(),
            unwanted: Arc::clone(&self.unwanted),
            reply_to: ctx.address().recipient(),
        });
    }

    /// Tells the directory what an ended session still holds, once nothing of it is out any more.
    pub(super) fn give_back(&mut self) {
        let Phase::Ended { solution, .. } = &self.phase else { return };
        if matches!(self.solve, Whereabouts::Away(_)) || self.set_up.is_out() {
            return;
        }
        self.memory_bytes = solution.as_ref().map_or(0, |state| 8 * state.x.len() as u64);
        let (session, memory_bytes) = (self.id, self.memory_bytes);
        self.links.grew.do_send(SessionGrew { session, memory_bytes });
    }
}

impl Handler<SetUpDone> for Session {
    type Result = ();

    fn handle(&mut self, done: SetUpDone, ctx: &mut Self::Context) {
        let bytes = self.set_up.bytes();
        if matches!(self.phase, Phase::Ended { .. }) {
            self.set_up = PendingSetUp::None;
            return self.give_back();
        }
        self.set_up = match done.finished {
            Some(finished) => PendingSetUp::Back { finished: Box::new(finished), bytes },
            None => PendingSetUp::None,
        };
        // While the solve is out it goes with the next quantum.
        self.request_quantum(ctx);
    }
}
