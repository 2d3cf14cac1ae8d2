//! Serves one listener of one session: queues its frames, hands them to its socket as that takes
//! them, conflates when it is slow, and gives it up when it takes nothing for too long. A listener
//! never holds up its session.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler};
use tokio::sync::mpsc::error::TrySendError;

use crate::actors::frame_channel::FrameBatch;
use crate::actors::messages::{ListenerGone, Publish, SubscriptionSeed};
use crate::actors::outbound_queue::{OutboundQueue, Queued};
use crate::protocol::frame::FrameBody;
use crate::runtime::clock::Moment;
use crate::runtime::environment::Environment;
use crate::runtime::event::{Event, ListenerLeft};
use crate::solver::change_tracker::XPartialMax;

/// The actor behind one stream.
pub struct Subscription {
    seed: SubscriptionSeed,
    environment: Environment,
    stall_limit: Duration,
    queue: OutboundQueue,
    waiting_for_room: bool,
    end_handed_over: bool,
    conflated: u64,
    seen_taken: u64,
    last_progress: Moment,
}

impl Subscription {
    pub fn new(
        seed: SubscriptionSeed,
        environment: Environment,
        stall_limit: Duration,
        x_partial: XPartialMax,
    ) -> Self {
        let last_progress = environment.clock.now();
        Self {
            seed,
            environment,
            stall_limit,
            queue: OutboundQueue::new(x_partial),
            waiting_for_room: false,
            end_handed_over: false,
            conflated: 0,
            seen_taken: 0,
            last_progress,
        }
    }

    /// Hands over what the channel takes; waits for room when it is full.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        while !self.waiting_for_room && !self.queue.is_empty() {
            let full = match self.seed.listener.batches().try_reserve() {
                Ok(permit) => {
                    let batch = self.queue.take_batch();
                    self.end_handed_over |= ends(&batch);
                    permit.send(batch);
                    false
                }
                Err(TrySendError::Full(())) => true,
                Err(TrySendError::Closed(())) => return,
            };
            if full {
                self.wait_for_room(ctx);
            }
        }
    }

    fn wait_for_room(&mut self, ctx: &mut Context<Self>) {
        self.waiting_for_room = true;
        let sender = self.seed.listener.batches().clone();
        let room = async move { sender.reserve_owned().await.is_ok() };
        let resume =
            wrap_future(room).map(|has_room, subscription: &mut Self, ctx: &mut Context<_>| {
                subscription.waiting_for_room = false;
                if has_room {
                    subscription.flush(ctx);
                }
            });
        ctx.spawn(resume);
    }

    fn watch_for_leaving(&self, ctx: &mut Context<Self>) {
        let sender = self.seed.listener.batches().clone();
        let closed = async move { sender.closed().await };
        let leave = wrap_future(closed).map(|(), subscription: &mut Self, ctx: &mut Context<_>| {
            let served = subscription.end_handed_over;
            let cause = if served { ListenerLeft::Served } else { ListenerLeft::WentAway };
            subscription.leave(cause, ctx);
        });
        ctx.spawn(leave);
    }

    fn check_for_stall(&mut self, ctx: &mut Context<Self>) {
        let now = self.environment.clock.now();
        let taken = self.seed.listener.taken();
        let is_served = self.seed.listener.is_idle() && self.queue.is_empty();
        if is_served || taken != self.seen_taken {
            self.seen_taken = taken;
            self.last_progress = now;
        } else if now.since(self.last_progress) >= self.stall_limit {
            self.seed.listener.cut();
            self.leave(ListenerLeft::Stalled, ctx);
            return;
        }
        // Four looks per limit, so that a listener is ended at most a quarter late.
        let next = self.environment.clock.delay(self.stall_limit / 4);
        ctx.run_later(next, Self::check_for_stall);
    }

    fn leave(&mut self, cause: ListenerLeft, ctx: &mut Context<Self>) {
        let (session, subscription) = (self.seed.session, self.seed.subscription);
        if self.conflated > 0 {
            let count = self.conflated;
            let event = Event::FramesConflated { session, subscription, count };
            self.environment.recorder.record(event);
        }
        self.environment.recorder.record(Event::ListenerLeft { session, subscription, cause });
        self.seed.gone.do_send(ListenerGone { subscription, cause });
        ctx.stop();
    }
}

fn ends(batch: &FrameBatch) -> bool {
    batch.last().is_some_and(|last| matches!(last.frame.body, FrameBody::End(_)))
}

impl Actor for Subscription {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (session, subscription) = (self.seed.session, self.seed.subscription);
        self.environment.recorder.record(Event::ListenerJoined { session, subscription });
        self.watch_for_leaving(ctx);
        let first_look = self.environment.clock.delay(self.stall_limit / 4);
        ctx.run_later(first_look, Self::check_for_stall);
    }
}

impl Handler<Publish> for Subscription {
    type Result = ();

    fn handle(&mut self, Publish(frames): Publish, ctx: &mut Self::Context) {
        for published in frames {
            match self.queue.push(published) {
                Queued::Kept => {}
                Queued::Conflated => self.conflated += 1,
            }
        }
        self.flush(ctx);
    }
}
