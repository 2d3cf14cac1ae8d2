//! What a slow listener has yet to be told of `x`: the entries of the updates that it did not get,
//! united. Decides which of them the next update carries when it may not carry them all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::frame::XPartial;
use crate::solver::change_tracker::XPartialMax;

/// Entries that may wait for one listener, about 6 MB; beyond it the smallest changes are given up.
const WAITING_MAX: usize = 1 << 16;

/// Entries that differ from what the listener was last sent.
#[derive(Debug)]
pub enum OwedEntries {
    /// Of a lossless listener: all of them go with the next update.
    All(XPartial),
    Limited(LimitedEntries),
}

/// Entries of which an update carries at most `limit`: those that differ most.
#[derive(Debug)]
pub struct LimitedEntries {
    limit: usize,
    waiting_max: usize,
    by_index: BTreeMap<u32, Owed>,
    /// The same entries: the bits of `|value − before|`, which sort as the numbers do, then the index.
    by_change: BTreeSet<(Reverse<u64>, u32)>,
    given_up: u64,
}

#[derive(Debug, Clone, Copy)]
struct Owed {
    value: f64,
    /// What the listener was last sent.
    before: f64,
}

impl OwedEntries {
    pub fn new(limit: XPartialMax) -> Self {
        match limit {
            XPartialMax::All => Self::All(XPartial::default()),
            XPartialMax::AtMost(limit) => Self::Limited(LimitedEntries::new(limit as usize)),
        }
    }

    /// Whether the listener has been told everything.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::All(entries) => entries.indices.is_empty(),
            Self::Limited(entries) => entries.by_index.is_empty() && entries.given_up == 0,
        }
    }

    /// Adds the entries of an update that is newer than all before it. O(k log m) for k of them among m
    /// that wait; O(k + m) for a lossless listener, whose updates carry about as many as wait.
    pub fn absorb(&mut self, newer: &XPartial) {
        match self {
            Self::All(entries) => *entries = united(entries, newer),
            Self::Limited(entries) => entries.absorb(newer),
        }
    }

    /// Takes out what the next update carries. O(k log m) for k entries among m that wait.
    pub fn take(&mut self) -> XPartial {
        match self {
            Self::All(entries) => std::mem::take(entries),
            Self::Limited(entries) => entries.take_largest(),
        }
    }

    /// Entries that the next update carries.
    pub fn next_count(&self) -> usize {
        match self {
            Self::All(entries) => entries.indices.len(),
            Self::Limited(entries) => entries.limit.min(entries.by_index.len()),
        }
    }

    /// Entries that wait, and changes that were given up and never come by themselves.
    pub fn withheld(&self) -> u64 {
        match self {
            Self::All(entries) => entries.indices.len() as u64,
            Self::Limited(entries) => entries.by_index.len() as u64 + entries.given_up,
        }
    }
}

impl LimitedEntries {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting_max: WAITING_MAX.max(2 * limit),
            by_index: BTreeMap::new(),
            by_change: BTreeSet::new(),
            given_up: 0,
        }
    }

    fn absorb(&mut self, newer: &XPartial) {
        let XPartial { indices, values, before } = newer;
        assert_eq!(before.len(), indices.len(), "an update with a limit says what was before");
        for ((&index, &value), &before) in indices.iter().zip(values).zip(before) {
            let older = self.remove(index);
            let owed = Owed { value, before: older.map_or(before, |older| older.before) };
            // What went back to where it was is no news to this listener.
            if owed.value != owed.before {
                self.by_index.insert(index, owed);
                self.by_change.insert((owed.change(), index));
            }
        }
        while self.by_index.len() > self.waiting_max {
            let (_, smallest) = self.by_change.pop_last().expect("both hold the same entries");
            self.by_index.remove(&smallest);
            self.given_up += 1;
        }
    }

    fn remove(&mut self, index: u32) -> Option<Owed> {
        let older = self.by_index.remove(&index)?;
        self.by_change.remove(&(older.change(), index));
        Some(older)
    }

    /// Of equal changes the lower index goes first, so that the choice is reproducible.
    fn take_largest(&mut self) -> XPartial {
        let count = self.limit.min(self.by_change.len());
        let mut indices: Vec<u32> =
            std::iter::from_fn(|| self.by_change.pop_first()).take(count).map(|(_, i)| i).collect();
        indices.sort_unstable();
        let taken = indices.iter().map(|index| {
            let owed = self.by_index.remove(index).expect("both hold the same entries");
            (owed.value, owed.before)
        });
        let (values, before) = taken.unzip();
        XPartial { indices, values, before }
    }
}

impl Owed {
    fn change(self) -> Reverse<u64> {
        Reverse((self.value - self.before).abs().to_bits())
    }
}

/// Union of both, the newer value where both have one, indices ascending. Of a lossless stream, which
/// chooses nothing and so knows no `before`.
fn united(older: &XPartial, newer: &XPartial) -> XPartial {
    let mut union = XPartial::default();
    let (mut old, mut new) = (0, 0);
    while old < older.indices.len() || new < newer.indices.len() {
        let old_index = older.indices.get(old).copied().unwrap_or(u32::MAX);
        let new_index = newer.indices.get(new).copied().unwrap_or(u32::MAX);
        let is_old_due = new >= newer.indices.len() || old_index < new_index;
        if is_old_due && old < older.indices.len() {
            union.indices.push(old_index);
            union.values.push(older.values[old]);
            old += 1;
        } else {
            union.indices.push(new_index);
            union.values.push(newer.values[new]);
            old += usize::from(old < older.indices.len() && old_index == new_index);
            new += 1;
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(entries: &[(u32, f64, f64)]) -> XPartial {
        XPartial {
            indices: entries.iter().map(|entry| entry.0).collect(),
            values: entries.iter().map(|entry| entry.1).collect(),
            before: entries.iter().map(|entry| entry.2).collect(),
        }
    }

    #[test]
    fn the_largest_changes_go_first_and_the_rest_comes_next() {
        let mut owed = OwedEntries::new(XPartialMax::AtMost(2));
        owed.absorb(&partial(&[(1, 1.0, 0.0), (5, -5.0, 0.0), (9, 9.0, 0.0)]));
        owed.absorb(&partial(&[(5, -4.0, -5.0), (7, 4.0, 0.0)]));
        assert_eq!(owed.take(), partial(&[(5, -4.0, 0.0), (9, 9.0, 0.0)]));
        assert_eq!(owed.withheld(), 2);
        assert_eq!(owed.take(), partial(&[(1, 1.0, 0.0), (7, 4.0, 0.0)]));
        assert!(owed.is_settled());
    }

    #[test]
    fn what_went_back_to_where_it_was_is_not_owed() {
        let mut owed = OwedEntries::new(XPartialMax::AtMost(2));
        owed.absorb(&partial(&[(3, 2.0, 1.0)]));
        owed.absorb(&partial(&[(3, 1.0, 2.0)]));
        assert!(owed.is_settled());
    }

    #[test]
    fn what_may_wait_is_bounded_and_what_is_given_up_is_counted() {
        let mut owed = OwedEntries::new(XPartialMax::AtMost(1));
        for index in 0..WAITING_MAX as u32 + 10 {
            owed.absorb(&partial(&[(index, f64::from(index + 1), 0.0)]));
        }
        let OwedEntries::Limited(limited) = &owed else { panic!() };
        assert_eq!((limited.by_index.len(), limited.by_change.len()), (WAITING_MAX, WAITING_MAX));
        assert_eq!(limited.by_index.keys().next(), Some(&10), "the smallest changes were given up");
        assert_eq!(owed.withheld(), WAITING_MAX as u64 + 10);
        while !owed.take().indices.is_empty() {}
        assert_eq!(owed.withheld(), 10);
        assert!(!owed.is_settled(), "the listener is told to the end");
    }
}
