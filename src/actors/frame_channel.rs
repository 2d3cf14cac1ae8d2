//! The way from a subscription to the socket that serves it: a short bounded channel of batches, and
//! what each side must know about the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, mpsc};

use crate::protocol::frame::FrameBody;
use crate::protocol::published::PublishedFrame;

/// Frames that travel together, in order.
pub type FrameBatch = Vec<Arc<PublishedFrame>>;

/// Batches between a subscription and its socket; what does not fit waits in the subscription,
/// where it can be conflated.
const BATCHES_IN_FLIGHT: usize = 2;

/// How far the socket side has come, for stall detection. Written by the receiver only.
#[derive(Debug, Default)]
struct Delivery {
    /// Counts up whenever the socket took something.
    taken: AtomicU64,
    /// The socket has taken everything that it was given and waits for more.
    idle: AtomicBool,
    cut: Notify,
    was_cut: AtomicBool,
}

/// The subscription's end.
#[derive(Debug)]
pub struct FrameSender {
    batches: mpsc::Sender<FrameBatch>,
    delivery: Arc<Delivery>,
}

/// The socket's end. Dropping it tells the session that the listener has gone.
#[derive(Debug)]
pub struct FrameReceiver {
    batches: mpsc::Receiver<FrameBatch>,
    delivery: Arc<Delivery>,
    ended: bool,
}

/// A connected pair.
pub fn frame_channel() -> (FrameSender, FrameReceiver) {
    let (sender, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
    let delivery = Arc::new(Delivery { idle: AtomicBool::new(true), ..Delivery::default() });
    let sender = FrameSender { batches: sender, delivery: Arc::clone(&delivery) };
    (sender, FrameReceiver { batches: receiver, delivery, ended: false })
}

impl FrameSender {
    /// Where batches go; kept as one handle so that the channel's bound holds.
    pub fn batches(&self) -> &mpsc::Sender<FrameBatch> {
        &self.batches
    }

    /// Counts up whenever the socket takes something.
    pub fn taken(&self) -> u64 {
        self.delivery.taken.load(Ordering::Relaxed)
    }

    /// Whether the socket has taken all that it was given.
    pub fn is_idle(&self) -> bool {
        self.delivery.idle.load(Ordering::Relaxed)
            && self.batches.capacity() == self.batches.max_capacity()
    }

    /// Tells the socket side to give up on a client that takes nothing.
    pub fn cut(&self) {
        self.delivery.was_cut.store(true, Ordering::Relaxed);
        self.delivery.cut.notify_one();
    }
}

impl FrameReceiver {
    /// The next frames; `None` after the end frame, or when the session is no more. Cancel safe.
    pub async fn next(&mut self) -> Option<FrameBatch> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Poll form of [`next`](Self::next), for bodies that are polled by a socket.
    pub fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<FrameBatch>> {
        if self.ended {
            return std::task::Poll::Ready(None);
        }
        let polled = self.batches.poll_recv(context);
        match &polled {
            std::task::Poll::Ready(Some(batch)) => {
                self.delivery.idle.store(false, Ordering::Relaxed);
                self.note_taken();
                self.ended = batch
                    .last()
                    .is_some_and(|published| matches!(published.frame.body, FrameBody::End(_)));
            }
            std::task::Poll::Ready(None) => self.ended = true,
            std::task::Poll::Pending => self.delivery.idle.store(true, Ordering::Relaxed),
        }
        polled
    }

    /// To be called for every further piece of a long frame that the socket took.
    pub fn note_taken(&self) {
        self.delivery.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// What to wait on, apart from the frames, to learn that this listener was given up.
    pub fn cut_signal(&self) -> CutSignal {
        CutSignal(Arc::clone(&self.delivery))
    }
}

/// Fires when the session gives a stalled listener up: its connection must be shut down.
#[derive(Debug, Clone)]
pub struct CutSignal(Arc<Delivery>);

impl CutSignal {
    /// Resolves when the listener was given up; never if it is served to its end.
    pub async fn fired(&self) {
        while !self.0.was_cut.load(Ordering::Relaxed) {
            self.0.cut.notified().await;
        }
    }
}
