//! The recorder of a running server: takes every event off the actors' hands through a bounded
//! channel, counts it and hands it to the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, Context, StreamHandler};
use futures_util::stream;
use tokio::sync::mpsc;

use crate::protocol::status::NodeTotals;
use crate::runtime::event::{Event, ListenerLeft};
use crate::runtime::recorder::{EventSink, Record};

/// Records between the actors and the recorder; beyond it records are dropped and counted.
const RECORDS_IN_FLIGHT: usize = 8_192;

/// What was counted since the node started. Written by the recorder, read by anyone.
#[derive(Debug, Default)]
pub struct Totals {
    quanta: AtomicU64,
    updates: AtomicU64,
    costs_accepted: AtomicU64,
    worker_failures: AtomicU64,
    corrections: AtomicU64,
    frames_conflated: AtomicU64,
    listeners_stalled: AtomicU64,
    records_dropped: AtomicU64,
}

impl Totals {
    pub fn read(&self) -> NodeTotals {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NodeTotals {
            quanta_total: count(&self.quanta),
            updates_total: count(&self.updates),
            costs_accepted_total: count(&self.costs_accepted),
            worker_failures_total: count(&self.worker_failures),
            corrections_total: count(&self.corrections),
            frames_conflated_total: count(&self.frames_conflated),
            listeners_stalled_total: count(&self.listeners_stalled),
            records_dropped_total: count(&self.records_dropped),
        }
    }

    fn add(&self, event: &Event) {
        let add = |counter: &AtomicU64, amount| {
            counter.fetch_add(amount, Ordering::Relaxed);
        };
        match event {
            Event::QuantumDone { updates, .. } => {
                add(&self.quanta, 1);
                add(&self.updates, *updates);
            }
            Event::CostsAccepted { updates, .. } => add(&self.costs_accepted, *updates),
            Event::QuantumFailed { .. } => add(&self.worker_failures, 1),
            Event::Corrected { .. } => add(&self.corrections, 1),
            Event::FramesConflated { count, .. } => add(&self.frames_conflated, *count),
            Event::ListenerLeft { cause: ListenerLeft::Stalled, .. } => {
                add(&self.listeners_stalled, 1);
            }
            Event::SessionOpened { .. }
            | Event::SessionEnded { .. }
            | Event::QuantumStarted { .. }
            | Event::SetUpStarted { .. }
            | Event::SetUpDone { .. }
            | Event::SessionRefused { .. }
            | Event::ListenerJoined { .. }
            | Event::ListenerLeft { .. }
            | Event::Prepared { .. }
            | Event::MethodSwitched { .. }
            | Event::DriftFound { .. }
            | Event::HeartbeatSent { .. }
            | Event::SessionRemoved { .. }
            | Event::DrainStarted { .. } => {}
        }
    }
}

/// The sending side, given to every actor.
struct ChannelSink {
    records: mpsc::Sender<Record>,
    totals: Arc<Totals>,
}

impl EventSink for ChannelSink {
    fn accept(&self, record: Record) {
        if self.records.try_send(record).is_err() {
            self.totals.records_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A sink and the queue behind it, to be started as an actor by [`RecorderQueue::start`].
pub struct RecorderQueue {
    records: mpsc::Receiver<Record>,
    totals: Arc<Totals>,
}

/// A sink for actors, the queue behind it, and the totals it will keep.
pub fn recorder() -> (Arc<dyn EventSink>, RecorderQueue, Arc<Totals>) {
    let (sender, records) = mpsc::channel(RECORDS_IN_FLIGHT);
    let totals = Arc::new(Totals::default());
    let sink = Arc::new(ChannelSink { records: sender, totals: Arc::clone(&totals) });
    (sink, RecorderQueue { records, totals: Arc::clone(&totals) }, totals)
}

impl RecorderQueue {
    /// Starts the actor that reads the queue, on the current arbiter.
    pub fn start(self) {
        let Self { mut records, totals } = self;
        RecorderActor::create(|ctx| {
            let stream = stream::poll_fn(move |context| records.poll_recv(context));
            RecorderActor::add_stream(stream, ctx);
            RecorderActor { totals }
        });
    }
}

struct RecorderActor {
    totals: Arc<Totals>,
}

impl Actor for RecorderActor {
    type Context = Context<Self>;
}

impl StreamHandler<Record> for RecorderActor {
    fn handle(&mut self, record: Record, _: &mut Self::Context) {
        let Record { node, event, .. } = &record;
        self.totals.add(event);
        match event {
            Event::QuantumFailed { .. } => tracing::error!(%node, "{event}"),
            Event::SessionOpened { .. }
            | Event::SessionEnded { .. }
            | Event::DrainStarted { .. } => {
                tracing::info!(%node, "{event}");
            }
            Event::DriftFound { .. } | Event::Corrected { .. } => tracing::info!(%node, "{event}"),
            Event::QuantumDone { .. }
            | Event::QuantumStarted { .. }
            | Event::CostsAccepted { .. } => {
                tracing::trace!(%node, "{event}");
            }
            Event::FramesConflated { .. }
            | Event::SetUpStarted { .. }
            | Event::SetUpDone { .. }
            | Event::SessionRefused { .. }
            | Event::ListenerJoined { .. }
            | Event::ListenerLeft { .. }
            | Event::Prepared { .. }
            | Event::MethodSwitched { .. }
            | Event::HeartbeatSent { .. }
            | Event::SessionRemoved { .. } => tracing::debug!(%node, "{event}"),
        }
    }
}
