//! What waits for one listener. Facts are kept; iteration updates are kept while there is room, then
//! the newest is merged into the one before it, so that a slow reader costs bounded memory and still
//! gets the latest state.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::protocol::frame::{Frame, FrameBody, IterationUpdate, XPartial};
use crate::protocol::published::PublishedFrame;
use crate::solver::change_tracker::XPartialMax;

/// Iteration updates held before conflation starts.
const UPDATES_MAX: usize = 256;
/// Entries of `x` held in updates before conflation starts, about 3 MB; one update may hold more.
const ENTRIES_MAX: usize = 1 << 18;
/// Frames handed over at a time.
const BATCH_FRAMES_MAX: usize = 128;
/// Entries of `x` handed over at a time, unless one update holds more.
const BATCH_ENTRIES_MAX: usize = 1 << 16;

/// A first-in, first-out queue of frames with conflation at its end.
#[derive(Debug)]
pub struct OutboundQueue {
    frames: VecDeque<Arc<PublishedFrame>>,
    updates: usize,
    entries: usize,
    x_partial: XPartialMax,
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
        Self { frames: VecDeque::new(), updates: 0, entries: 0, x_partial }
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Appends a frame. O(1), or O(entries) when it is conflated.
    pub fn push(&mut self, published: Arc<PublishedFrame>) -> Queued {
        let is_update = published.frame.body.is_conflatable();
        let is_full = self.updates >= UPDATES_MAX || self.entries >= ENTRIES_MAX;
        if is_update
            && is_full
            && let Some(merged) = self.merged_with_last(&published.frame)
        {
            self.entries -= self.frames.pop_back().map_or(0, |last| entries(&last));
            self.entries += entry_count(&merged);
            self.frames.push_back(Arc::new(PublishedFrame::new(merged)));
            return Queued::Conflated;
        }
        self.updates += usize::from(is_update);
        self.entries += entries(&published);
        self.frames.push_back(published);
        Queued::Kept
    }

    /// Takes the oldest frames out, at least one if there is any, at most as many as travel together.
    pub fn take_batch(&mut self) -> Vec<Arc<PublishedFrame>> {
        let mut batch = Vec::new();
        let mut taken = 0;
        while batch.len() < BATCH_FRAMES_MAX && taken < BATCH_ENTRIES_MAX {
            let Some(next) = self.frames.pop_front() else { break };
            taken += entries(&next);
            self.updates -= usize::from(next.frame.body.is_conflatable());
            batch.push(next);
        }
        self.entries -= taken;
        batch
    }

    fn merged_with_last(&self, newest: &Frame) -> Option<Frame> {
        let last = self.frames.back()?;
        match (&last.frame.body, &newest.body) {
            (FrameBody::IterationUpdate(older), FrameBody::IterationUpdate(newer)) => {
                let body = FrameBody::IterationUpdate(merge(older, newer, self.x_partial));
                Some(Frame { body, ..newest.clone() })
            }
            _ => None,
        }
    }
}

fn entries(published: &PublishedFrame) -> usize {
    entry_count(&published.frame)
}

fn entry_count(frame: &Frame) -> usize {
    match &frame.body {
        FrameBody::IterationUpdate(update) => update.x_partial.indices.len(),
        _ => 0,
    }
}

/// The newer update, with the older one's entries where they still hold.
fn merge(older: &IterationUpdate, newer: &IterationUpdate, limit: XPartialMax) -> IterationUpdate {
    IterationUpdate {
        x_partial: merge_entries(&older.x_partial, &newer.x_partial, limit),
        skipped: older.skipped + newer.skipped + 1,
        ..newer.clone()
    }
}

/// Union of both, the newer value where both have one, indices ascending. Beyond a limit the older
/// update's entries give way.
fn merge_entries(older: &XPartial, newer: &XPartial, limit: XPartialMax) -> XPartial {
    let room = match limit {
        XPartialMax::All => usize::MAX,
        XPartialMax::AtMost(count) => (count as usize).saturating_sub(newer.indices.len()),
    };
    let mut merged = XPartial::default();
    let mut kept = 0;
    let (mut old, mut new) = (0, 0);
    while old < older.indices.len() || new < newer.indices.len() {
        let old_index = older.indices.get(old).copied().unwrap_or(u32::MAX);
        let new_index = newer.indices.get(new).copied().unwrap_or(u32::MAX);
        let is_old_due = new >= newer.indices.len() || old_index < new_index;
        if is_old_due && old < older.indices.len() {
            if kept < room {
                merged.indices.push(old_index);
                merged.values.push(older.values[old]);
                kept += 1;
            }
            old += 1;
        } else {
            merged.indices.push(new_index);
            merged.values.push(newer.values[new]);
            old += usize::from(old < older.indices.len() && old_index == new_index);
            new += 1;
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        };
        let body = FrameBody::IterationUpdate(IterationUpdate {
            iteration: sequence,
            x_partial,
            residual_norm: 1.0 / sequence as f64,
            relative_residual: 1.0,
            convergence_rate: None,
            skipped: 0,
            performance: Performance::default(),
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
        let mut queue = OutboundQueue::new(XPartialMax::AtMost(16));
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
    fn older_entries_give_way_beyond_the_limit() {
        let older = XPartial { indices: vec![1, 5, 9], values: vec![1.0, 5.0, 9.0] };
        let newer = XPartial { indices: vec![5, 7], values: vec![50.0, 70.0] };
        let merged = merge_entries(&older, &newer, XPartialMax::AtMost(3));
        assert_eq!((merged.indices, merged.values), (vec![1, 5, 7], vec![1.0, 50.0, 70.0]));
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
    }
}
