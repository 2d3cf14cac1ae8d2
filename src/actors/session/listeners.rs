//! Who listens to a session: those who come, late ones, those who go, and what keeps a silent stream
//! alive.

use actix::{AsyncContext, Context, Handler};

use crate::actors::messages::{ListenerGone, Subscribe, SubscriptionSeed};
use crate::actors::session::facts::solution_of;
use crate::actors::session::{Phase, Session};
use crate::protocol::frame::{EndReason, FrameBody, Heartbeat};
use crate::runtime::event::Event;
use crate::solver::change_tracker::XPartialMax;

impl Session {
    pub(super) fn join(&mut self, subscribe: Subscribe, ctx: &mut Context<Self>) {
        let subscription = self.announcer.next_subscription();
        let publish = (self.links.start_subscription)(SubscriptionSeed {
            session: self.id,
            subscription,
            listener: subscribe.listener,
            gone: ctx.address().recipient(),
        });
        self.announcer.add(subscription, publish, subscribe.include_solution);
        self.newcomers.push(subscription);
    }

    /// Gives lossless listeners that came late the state from which the next updates go on.
    pub(super) fn serve_newcomers(&mut self) {
        let newcomers = std::mem::take(&mut self.newcomers);
        let is_lossless = self.stream.x_partial_max == XPartialMax::All;
        if newcomers.is_empty() || !is_lossless || matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        if let Some(state) = self.present_state() {
            for subscription in newcomers {
                let snapshot = FrameBody::Snapshot(solution_of(&state));
                self.announcer.announce_to(subscription, snapshot);
            }
        }
    }

    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        let silence = self.environment.clock.now().since(self.announcer.last_published());
        let mut next = self.heartbeat_interval.saturating_sub(silence);
        if next.is_zero() {
            let uptime_ms = self.uptime().as_millis() as u64;
            let iteration = self.progress.iteration;
            self.announcer.announce(vec![FrameBody::Heartbeat(Heartbeat { iteration, uptime_ms })]);
            self.environment.recorder.record(Event::HeartbeatSent { session: self.id });
            self.check_at_rest(ctx);
            next = self.heartbeat_interval;
        }
        self.beat_timer = Some(ctx.run_later(self.environment.clock.delay(next), Self::beat));
    }
}

impl Handler<Subscribe> for Session {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, ctx: &mut Self::Context) {
        self.join(subscribe, ctx);
    }
}

impl Handler<ListenerGone> for Session {
    type Result = ();

    fn handle(&mut self, gone: ListenerGone, ctx: &mut Self::Context) {
        self.announcer.remove(gone.subscription);
        self.newcomers.retain(|&newcomer| newcomer != gone.subscription);
        if self.announcer.listeners() == 0 {
            if self.is_attached {
                self.end_soon(EndReason::ListenerGone, ctx);
            }
            self.release_stoppers();
        }
    }
}
