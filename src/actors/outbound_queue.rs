//! What waits for one listener. Facts are kept; iteration updates are kept while there is room, then
//! the newest takes the place of the one before it and its entries are owed, so that a slow reader
//! costs bounded memory and still gets the latest state. So do signals of convergence; acceptances of
//! changes are added up. Which of the owed entries an update carries
//! is decided by `owed_entries`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::actors::owed_entries::OwedEntries;
use crate::protocol::frame::{
    ConvergenceSignal, CostsAccepted, Frame, FrameBody, IterationUpdate, XPartial,
};
use crate::protocol::published::PublishedFrame;
use crate::solver::change_tracker::XPartialMax;

/// Iteration updates held before conflation starts.
const UPDATES_MAX: usize = 256;
/// Entries of `x` held in updates before conflation starts, about 5 MB; one update may hold more.
const ENTRIES_MAX: usize = 1 << 18;
/// Frames handed over at a time.
const BATCH_FRAMES_MAX: usize = 128;
/// Entries of `x` handed over at a time, unless one update holds more.
const BATCH_ENTRIES_MAX: usize = 1 << 16;

/// A first-in, first-out queue of frames with conflation at its end.
#[derive(Debug)]
pub struct OutboundQueue {
    frames: VecDeque<Arc<PublishedFrame>>,
    /// The newest update, without entries: they are chosen when it leaves or another frame follows.
    tail: Option<Frame>,
    /// Acceptances and the newest signal that came after `frames`.
    accepted: Option<Frame>,
    signal: Option<Frame>,
    owed: OwedEntries,
    /// Frames in `frames` that can be conflated, and the entries of updates among them.
    updates: usize,
    entries: usize,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    Kept,
    /// It took the place of the update before it.
    Conflated,
}

impl OutboundQueue {
    pub fn new(x_partial: XPartialMax) -> Self {
        Self {
            frames: VecDeque::new(),
            tail: None,
            accepted: None,
            signal: None,
            owed: OwedEntries::new(x_partial),
            updates: 0,
            entries: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.has_latest()
    }

    /// Appends a frame. O(1) while nothing is owed, else as [`OwedEntries::absorb`].
    pub fn push(&mut self, published: Arc<PublishedFrame>) -> Queued {
        match &published.frame.body {
            FrameBody::IterationUpdate(update) => self.push_update(&published, update),
            FrameBody::CostsAccepted(accepted) if self.is_full() => {
                self.add_acceptance(&published.frame, *accepted);
                Queued::Conflated
            }
            FrameBody::ConvergenceSignal(signal) if self.is_full() => {
                self.replace_signal(&published.frame, *signal);
                Queued::Conflated
            }
            _ => {
                self.settle_latest();
                self.keep(published);
                Queued::Kept
            }
        }
    }

    fn push_update(&mut self, published: &Arc<PublishedFrame>, update: &IterationUpdate) -> Queued {
        if self.is_full() {
            let replaced = self.absorb_last_update().unwrap_or(0);
            self.owe(&published.frame, update, replaced);
            return Queued::Conflated;
        }
        self.settle_latest();
        match self.owed.is_settled() {
            true => self.keep(Arc::clone(published)),
            false => self.owe(&published.frame, update, 0),
        }
        Queued::Kept
    }

    fn add_acceptance(&mut self, frame: &Frame, latest: CostsAccepted) {
        let before = match self.accepted.take().map(|frame| frame.body) {
            Some(FrameBody::CostsAccepted(before)) => before.replaced(),
            _ => CostsAccepted::default(),
        };
        let sum = FrameBody::CostsAccepted(before.and(latest));
        self.accepted = Some(Frame { body: sum, ..*frame });
    }

    fn replace_signal(&mut self, frame: &Frame, latest: ConvergenceSignal) {
        let replaced = match self.signal.take().map(|frame| frame.body) {
            Some(FrameBody::ConvergenceSignal(before)) => before.skipped + 1,
            _ => 0,
        };
        let skipped = latest.skipped + replaced;
        let body = FrameBody::ConvergenceSignal(ConvergenceSignal { skipped, ..latest });
        self.signal = Some(Frame { body, ..*frame });
    }

    /// Takes the oldest frames out, at least one if there is any, at most as many as travel together.
    pub fn take_batch(&mut self) -> Vec<Arc<PublishedFrame>> {
        let mut batch = Vec::new();
        let mut taken = 0;
        while batch.len() < BATCH_FRAMES_MAX && taken < BATCH_ENTRIES_MAX {
            if self.frames.is_empty() {
                self.settle_latest();
            }
            let Some(next) = self.frames.pop_front() else { break };
            taken += entries(&next);
            self.forget(&next);
            batch.push(next);
        }
        batch
    }

    fn is_full(&self) -> bool {
        let (updates, entries) = match &self.tail {
            Some(_) => (self.updates + 1, self.entries + self.owed.next_count()),
            None => (self.updates, self.entries),
        };
        updates >= UPDATES_MAX || entries >= ENTRIES_MAX
    }

    fn keep(&mut self, published: Arc<PublishedFrame>) {
        self.updates += usize::from(published.frame.body.is_conflatable());
        self.entries += entries(&published);
        self.frames.push_back(published);
    }

    fn forget(&mut self, published: &PublishedFrame) {
        self.updates -= usize::from(published.frame.body.is_conflatable());
        self.entries -= entries(published);
    }

    /// Makes this update the tail, in the place of `replaced` older ones.
    fn owe(&mut self, frame: &Frame, update: &IterationUpdate, replaced: u64) {
        self.owed.absorb(&update.x_partial);
        let skipped = update.skipped + replaced;
        let tail = IterationUpdate { x_partial: XPartial::default(), skipped, ..*update };
        self.tail = Some(Frame { body: FrameBody::IterationUpdate(tail), ..*frame });
    }

    /// Takes out the last frame if it is an update, owes its entries, and tells how many updates end
    /// with it.
    fn absorb_last_update(&mut self) -> Option<u64> {
        let last = match self.tail.take() {
            Some(tail) => return skipped(&tail).map(|skipped| skipped + 1),
            None => self.frames.back()?,
        };
        let skipped = skipped(&last.frame)?;
        let last = self.frames.pop_back()?;
        self.forget(&last);
        if let FrameBody::IterationUpdate(update) = &last.frame.body {
            self.owed.absorb(&update.x_partial);
        }
        Some(skipped + 1)
    }

    fn has_latest(&self) -> bool {
        self.tail.is_some() || self.accepted.is_some() || self.signal.is_some()
    }

    /// Appends what could still have been conflated, in the order of its numbers; the tail gets its
    /// entries now that nothing takes its place any more.
    fn settle_latest(&mut self) {
        if !self.has_latest() {
            return;
        }
        if let Some(Frame { body: FrameBody::IterationUpdate(update), .. }) = &mut self.tail {
            update.x_partial = self.owed.take();
            update.withheld = self.owed.withheld();
        }
        let mut latest = [self.tail.take(), self.accepted.take(), self.signal.take()];
        latest.sort_by_key(|frame| frame.as_ref().map(|frame| frame.sequence));
        for frame in latest.into_iter().flatten() {
            self.keep(Arc::new(PublishedFrame::new(frame)));
        }
    }
}

fn entries(published: &PublishedFrame) -> usize {
    match &published.frame.body {
        FrameBody::IterationUpdate(update) => update.x_partial.indices.len(),
        _ => 0,
    }
}

/// Of an update, how many it replaces.
fn skipped(frame: &Frame) -> Option<u64> {
    match &frame.body {
        FrameBody::IterationUpdate(update) => Some(update.skipped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use proptest::test_runner::TestCaseError;

    use super::*;
    use crate::ids::{FrameSequence, SessionId, SystemVersion};
    use crate::protocol::frame::{Heartbeat, Performance};
    use crate::protocol::timestamp::Timestamp;

    fn frame(sequence: u64, body: FrameBody) -> Arc<PublishedFrame> {
        Arc::new(PublishedFrame::new(Frame {
            session_id: SessionId::from_random_bits(1),
            sequence: FrameSequence(sequence),
            timestamp: Timestamp::default(),
            system_version: SystemVersion(0),
            body,
        }))
    }

    fn update(sequence: u64, entries: &[(u32, f64)]) -> Arc<PublishedFrame> {
        let x_partial = XPartial {
            indices: entries.iter().map(|entry| entry.0).collect(),
            values: entries.iter().map(|entry| entry.1).collect(),
            before: vec![],
        };
        limited_update(sequence, x_partial)
    }

    fn limited_update(sequence: u64, x_partial: XPartial) -> Arc<PublishedFrame> {
        let body = FrameBody::IterationUpdate(IterationUpdate {
            iteration: sequence,
            x_partial,
            residual_norm: 1.0 / sequence as f64,
            relative_residual: 1.0,
            convergence_rate: None,
            skipped: 0,
            withheld: 0,
            performance: Performance::default(),
            live: None,
            verification: None,
        });
        frame(sequence, body)
    }

    fn heartbeat(sequence: u64) -> Arc<PublishedFrame> {
        frame(sequence, FrameBody::Heartbeat(Heartbeat { iteration: 0, uptime_ms: 0 }))
    }

    fn drain(queue: &mut OutboundQueue) -> Vec<Arc<PublishedFrame>> {
        std::iter::from_fn(|| Some(queue.take_batch()).filter(|batch| !batch.is_empty()))
            .flatten()
            .collect()
    }

    #[test]
    fn a_full_queue_keeps_facts_and_the_newest_state_and_counts_what_it_skipped() {
        let mut queue = OutboundQueue::new(XPartialMax::All);
        queue.push(heartbeat(1));
        for sequence in 2..1_000 {
            queue.push(update(sequence, &[(0, sequence as f64)]));
        }
        queue.push(heartbeat(1_000));
        queue.push(update(1_001, &[]));
        let frames = drain(&mut queue);
        assert_eq!(frames.len(), 1 + UPDATES_MAX + 1 + 1);
        assert_eq!(frames[UPDATES_MAX + 1].frame.sequence, FrameSequence(1_000));
        let FrameBody::IterationUpdate(last) = &frames[UPDATES_MAX].frame.body else { panic!() };
        assert_eq!((last.iteration, last.x_partial.values[0]), (999, 999.0));
        assert_eq!(last.skipped, 998 - UPDATES_MAX as u64);
    }

    #[test]
    fn large_updates_are_conflated_by_their_size_and_travel_one_by_one() {
        let all: Vec<(u32, f64)> = (0..100_000).map(|index| (index, 1.0)).collect();
        let mut queue = OutboundQueue::new(XPartialMax::All);
        for sequence in 1..100 {
            queue.push(update(sequence, &all));
        }
        let first = queue.take_batch();
        assert_eq!(first.len(), 1);
        let rest = drain(&mut queue);
        assert!(rest.len() <= ENTRIES_MAX / 100_000 + 1, "{} updates were held", rest.len());
        assert_eq!(rest.last().unwrap().frame.sequence, FrameSequence(99));
        assert_eq!((queue.updates, queue.entries), (0, 0));
    }

    #[test]
    fn a_slow_listener_of_a_live_session_misses_no_acceptance_and_holds_few_frames() {
        let mut queue = OutboundQueue::new(XPartialMax::All);
        let (mut sequence, mut updates) = (0, 0);
        for round in 0..1_000 {
            let accepted = CostsAccepted { updates: round % 7, ..CostsAccepted::default() };
            updates += accepted.updates;
            let signal = ConvergenceSignal {
                residual_threshold: 1.0,
                consecutive_iterations: 1,
                residual_norm: 0.5,
                iterations_below_threshold: round,
                converged: true,
                settled_version: None,
                skipped: 0,
            };
            queue.push(frame(sequence + 1, FrameBody::CostsAccepted(accepted)));
            queue.push(update(sequence + 2, &[(0, round as f64)]));
            queue.push(frame(sequence + 3, FrameBody::ConvergenceSignal(signal)));
            sequence += 3;
        }
        let frames = drain(&mut queue);
        assert!(frames.len() <= UPDATES_MAX + 3, "{} frames", frames.len());
        assert!(frames.is_sorted_by_key(|published| published.frame.sequence));
        let (mut told, mut stood_for) = (0, 0);
        for published in &frames {
            stood_for += 1 + match &published.frame.body {
                FrameBody::CostsAccepted(accepted) => {
                    told += accepted.updates;
                    accepted.skipped
                }
                FrameBody::ConvergenceSignal(signal) => signal.skipped,
                FrameBody::IterationUpdate(update) => update.skipped,
                other => panic!("{other:?}"),
            };
        }
        assert_eq!((told, stood_for), (updates, sequence));
    }

    proptest! {
        #[test]
        fn a_lossless_listener_that_was_conflated_still_ends_with_the_same_x(
            updates in prop::collection::vec(
                prop::collection::btree_map(0u32..20, -1e3f64..1e3, 0..6), 1..600),
        ) {
            let mut queue = OutboundQueue::new(XPartialMax::All);
            let mut expected = [0.0; 20];
            for (sequence, entries) in updates.iter().enumerate() {
                let entries: Vec<(u32, f64)> = entries.iter().map(|(&i, &v)| (i, v)).collect();
                entries.iter().for_each(|&(index, value)| expected[index as usize] = value);
                queue.push(update(sequence as u64 + 1, &entries));
            }
            let mut held = [0.0; 20];
            for published in drain(&mut queue) {
                let FrameBody::IterationUpdate(update) = &published.frame.body else { panic!() };
                for (&index, &value) in update.x_partial.indices.iter().zip(&update.x_partial.values) {
                    held[index as usize] = value;
                }
            }
            prop_assert_eq!(held, expected);
        }

        /// A reader that takes a batch now and then, of updates that carry at most `limit` entries.
        #[test]
        fn an_update_carries_what_differs_most_from_what_its_listener_was_last_sent(
            updates in prop::collection::vec(
                (prop::collection::btree_map(0u32..30, -9i32..9, 0..4), prop::bool::weighted(0.003)),
                300..900),
            limit in 3u32..6,
        ) {
            let mut queue = OutboundQueue::new(XPartialMax::AtMost(limit));
            let mut listener = Listener::new(limit);
            for (entries, is_taken) in updates {
                let update = listener.announced(&entries);
                queue.push(update);
                if is_taken {
                    queue.take_batch().iter().try_for_each(|frame| listener.hear(frame))?;
                }
            }
            drain(&mut queue).iter().try_for_each(|frame| listener.hear(frame))?;
            while listener.withheld > 0 {
                queue.push(listener.announced(&BTreeMap::new()));
                drain(&mut queue).iter().try_for_each(|frame| listener.hear(frame))?;
            }
            prop_assert_eq!(&listener.held, listener.states.last().unwrap());
        }
    }

    /// Knows every announced state, and what one listener made of the updates that it got.
    struct Listener {
        limit: usize,
        states: Vec<[f64; 30]>,
        held: [f64; 30],
        withheld: u64,
    }

    impl Listener {
        fn new(limit: u32) -> Self {
            let (states, held) = (vec![[0.0; 30]], [0.0; 30]);
            Self { limit: limit as usize, states, held, withheld: 0 }
        }

        fn announced(&mut self, entries: &BTreeMap<u32, i32>) -> Arc<PublishedFrame> {
            let mut state = *self.states.last().unwrap();
            let mut x_partial = XPartial::default();
            for (&index, &value) in entries {
                x_partial.indices.push(index);
                x_partial.values.push(f64::from(value));
                x_partial.before.push(state[index as usize]);
                state[index as usize] = f64::from(value);
            }
            self.states.push(state);
            limited_update(self.states.len() as u64 - 1, x_partial)
        }

        fn hear(&mut self, published: &PublishedFrame) -> Result<(), TestCaseError> {
            let FrameBody::IterationUpdate(update) = &published.frame.body else { panic!() };
            let XPartial { indices, values, .. } = &update.x_partial;
            let state = &self.states[update.iteration as usize];
            let change =
                |index: &u32| (state[*index as usize] - self.held[*index as usize]).abs().to_bits();
            let mut differing: Vec<u32> = (0..30).filter(|index| change(index) > 0).collect();
            differing.sort_by_key(|index| (std::cmp::Reverse(change(index)), *index));
            let count = differing.len().min(self.limit);
            self.withheld = (differing.len() - count) as u64;
            differing.truncate(count);
            differing.sort_unstable();
            let news = |index: &u32| change(index) > 0;
            prop_assert_eq!(indices.iter().copied().filter(news).collect::<Vec<_>>(), differing);
            prop_assert_eq!(update.withheld, self.withheld);
            for (&index, &value) in indices.iter().zip(values) {
                self.held[index as usize] = value;
            }
            Ok(())
        }
    }
}
