//! Numbers a session's frames and brings them to everyone who listens; keeps the facts so that a late
//! listener learns what happened before it came.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Recipient;

use crate::actors::messages::Publish;
use crate::ids::{FrameSequence, SessionId, SubscriptionId, SystemVersion};
use crate::protocol::frame::{Frame, FrameBody};
use crate::protocol::published::PublishedFrame;
use crate::runtime::clock::{Clock, Moment};

/// Facts kept for late listeners. A solve has few set-ups and method changes; a live session may have any
/// number, and keeps the newest of them.
const FACTS_MAX: usize = 256;

/// The frames of one session and the listeners they go to.
pub struct Announcer {
    session: SessionId,
    clock: Clock,
    sequence: FrameSequence,
    facts: Vec<Arc<PublishedFrame>>,
    last_update: Option<Arc<PublishedFrame>>,
    last_signal: Option<Arc<PublishedFrame>>,
    last_check: Option<Arc<PublishedFrame>>,
    system_version: SystemVersion,
    listeners: BTreeMap<SubscriptionId, Listener>,
    subscriptions: u64,
    last_published: Moment,
}

struct Listener {
    publish: Recipient<Publish>,
    include_solution: bool,
}

impl Announcer {
    pub fn new(session: SessionId, clock: Clock) -> Self {
        let last_published = clock.now();
        Self {
            session,
            clock,
            sequence: FrameSequence::default(),
            facts: Vec::new(),
            last_update: None,
            last_signal: None,
            last_check: None,
            system_version: SystemVersion::default(),
            listeners: BTreeMap::new(),
            subscriptions: 0,
            last_published,
        }
    }

    pub fn sequence(&self) -> FrameSequence {
        self.sequence
    }

    pub fn listeners(&self) -> usize {
        self.listeners.len()
    }

    pub fn last_published(&self) -> Moment {
        self.last_published
    }

    pub fn system_version(&self) -> SystemVersion {
        self.system_version
    }

    /// Frames from now on speak of this version of the system.
    pub fn set_system_version(&mut self, system_version: SystemVersion) {
        self.system_version = system_version;
    }

    /// A name for the next subscription.
    pub fn next_subscription(&mut self) -> SubscriptionId {
        self.subscriptions += 1;
        SubscriptionId(self.subscriptions)
    }

    /// Adds a listener and sends it the facts so far and the last update, in order.
    pub fn add(
        &mut self,
        subscription: SubscriptionId,
        publish: Recipient<Publish>,
        include_solution: bool,
    ) {
        let listener = Listener { publish, include_solution };
        let mut so_far = self.facts.clone();
        so_far.extend(self.last_update.clone());
        so_far.extend(self.last_signal.clone());
        so_far.extend(self.last_check.clone());
        so_far.sort_by_key(|published| published.frame.sequence);
        listener.send(so_far);
        self.listeners.insert(subscription, listener);
    }

    pub fn remove(&mut self, subscription: SubscriptionId) {
        self.listeners.remove(&subscription);
    }

    /// Numbers these bodies, keeps the facts among them, and sends them to every listener.
    pub fn announce(&mut self, bodies: Vec<FrameBody>) {
        if bodies.is_empty() {
            return;
        }
        let timestamp = self.clock.wall();
        let mut frames = Vec::with_capacity(bodies.len());
        for body in bodies {
            self.sequence = self.sequence.next();
            let is_lasting = is_lasting(&body);
            let published = Arc::new(PublishedFrame::new(Frame {
                session_id: self.session,
                sequence: self.sequence,
                timestamp,
                system_version: self.system_version,
                body,
            }));
            if is_lasting {
                keep(&mut self.facts, Arc::clone(&published));
            }
            match &published.frame.body {
                FrameBody::IterationUpdate(_) => self.last_update = Some(Arc::clone(&published)),
                FrameBody::ConvergenceSignal(_) => self.last_signal = Some(Arc::clone(&published)),
                FrameBody::VerificationResult(_) => self.last_check = Some(Arc::clone(&published)),
                _ => {}
            }
            frames.push(published);
        }
        self.last_published = self.clock.now();
        for listener in self.listeners.values() {
            listener.send(frames.clone());
        }
    }

    /// Sends one listener the present state under the number of the last frame.
    pub fn announce_to(&self, subscription: SubscriptionId, body: FrameBody) {
        if let Some(listener) = self.listeners.get(&subscription) {
            listener.send(vec![Arc::new(PublishedFrame::new(Frame {
                session_id: self.session,
                sequence: self.sequence,
                timestamp: self.clock.wall(),
                system_version: self.system_version,
                body,
            }))]);
        }
    }
}

impl Listener {
    fn send(&self, mut frames: Vec<Arc<PublishedFrame>>) {
        if !self.include_solution {
            frames.retain(|published| !matches!(published.frame.body, FrameBody::Solution(_)));
        }
        if !frames.is_empty() {
            // At most one message per quantum and heartbeat; the subscription's handler never waits.
            self.publish.do_send(Publish(frames));
        }
    }
}

fn keep(facts: &mut Vec<Arc<PublishedFrame>>, fact: Arc<PublishedFrame>) {
    if facts.len() >= FACTS_MAX {
        let oldest = facts.iter().position(|fact| is_passing(&fact.frame.body));
        facts.remove(oldest.unwrap_or(0));
    }
    facts.push(fact);
}

/// Whether it is of less use to a late listener the older it gets.
fn is_passing(body: &FrameBody) -> bool {
    matches!(
        body,
        FrameBody::Prepared(_)
            | FrameBody::MethodChanged(_)
            | FrameBody::Correction(_)
            | FrameBody::Error(_)
    )
}

/// Whether a late listener must learn of it.
fn is_lasting(body: &FrameBody) -> bool {
    match body {
        FrameBody::SessionOpened(_)
        | FrameBody::Prepared(_)
        | FrameBody::MethodChanged(_)
        | FrameBody::Correction(_)
        | FrameBody::Solution(_)
        | FrameBody::Error(_)
        | FrameBody::End(_) => true,
        FrameBody::Snapshot(_)
        | FrameBody::IterationUpdate(_)
        | FrameBody::CostsAccepted(_)
        | FrameBody::ConvergenceSignal(_)
        | FrameBody::VerificationResult(_)
        | FrameBody::Heartbeat(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::{End, EndReason, Prepared};
    use crate::protocol::timestamp::Timestamp;
    use crate::solver::options::{MethodName, PreconditionerName};

    fn fact(sequence: u64, body: FrameBody) -> Arc<PublishedFrame> {
        Arc::new(PublishedFrame::new(Frame {
            session_id: SessionId::from_random_bits(1),
            sequence: FrameSequence(sequence),
            timestamp: Timestamp::default(),
            system_version: SystemVersion::default(),
            body,
        }))
    }

    #[test]
    fn of_many_set_ups_the_newest_are_kept_beside_what_stays_true() {
        let end = End {
            reason: EndReason::Deleted,
            detail: String::new(),
            iterations: 0,
            residual_norm: None,
            relative_residual: None,
            elapsed_ms: 0.0,
            flops: 0,
        };
        let mut facts = vec![];
        keep(&mut facts, fact(1, FrameBody::End(end)));
        for sequence in 2..1_000 {
            let prepared = FrameBody::Prepared(Prepared {
                method: MethodName::Direct,
                preconditioner: PreconditionerName::None,
                description: String::new(),
                preparation_time_ms: 0.0,
                memory_usage_mb: 0.0,
            });
            keep(&mut facts, fact(sequence, prepared));
        }
        let numbers: Vec<u64> = facts.iter().map(|fact| fact.frame.sequence.0).collect();
        let newest = 1_000 - (FACTS_MAX as u64 - 1);
        assert!(numbers.into_iter().eq([1].into_iter().chain(newest..1_000)));
    }
}
