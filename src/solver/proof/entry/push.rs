//! Backward push: keeps `x*_i = zᵀ b + sᵀ x*` while `s` shrinks, and what rounding did to it. Owns the
//! order of pushes; when to stop is the caller's.

use crate::solver::proof::directed::{add_up, mul_up, sum_slack};
use crate::solver::proof::entry::{EntryQuery, EntrySource};

/// A row is worth a push from this part of the mean of what the touched rows hold.
const WORTH: f64 = 0.5;

/// Entries between two looks at the caller's patience.
const LOOK_INTERVAL: u64 = 1 << 16;

/// Scratch for queries on systems of one order: 16 bytes a row, of which a query touches only what it
/// reaches, and 8 bytes for each row reached.
#[derive(Debug, Default)]
pub struct PushSpace {
    nodes: Vec<Node>,
    /// Rows whose node is not clean.
    pub(super) touched: Vec<u32>,
    queue: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    s: f64,
    is_touched: bool,
    is_queued: bool,
}

impl PushSpace {
    pub fn new(order: usize) -> Self {
        Self { nodes: vec![Node::default(); order], touched: vec![], queue: vec![] }
    }

    /// Clean, for `order` rows. Costs what the last query reached.
    fn reset(&mut self, order: usize) {
        if self.nodes.len() != order {
            *self = Self::new(order);
        }
        for row in self.touched.drain(..) {
            self.nodes[row as usize] = Node::default();
        }
        self.queue.clear();
    }

    pub fn memory_bytes(&self) -> u64 {
        (size_of::<Node>() * self.nodes.capacity()
            + 4 * (self.touched.capacity() + self.queue.capacity())) as u64
    }
}

/// Why pushing paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// The caller has enough.
    Enough,
    OverBudget,
    OutOfTime,
    /// What is left cannot be pushed in f64.
    Exhausted,
}

/// A backward push under way.
pub(super) struct Push<'a, S> {
    query: &'a EntryQuery<'a, S>,
    space: &'a mut PushSpace,
    /// `Σ |s_k| v_k`, tracked.
    pub potential: f64,
    /// `zᵀ b`.
    estimate: f64,
    estimate_magnitude: f64,
    /// What the rounding of `b − A x` can do to the estimate.
    loss: f64,
    /// `Σ v_j (|a_kj t| + |s_j|)` over all that was written to `s`.
    written: f64,
    pub touched_entries: u64,
    pub pushes: u64,
}

/// `x*_i` (or `e_i`) is `estimate + sᵀ x*`, to within `slack`; `|sᵀ x*| ≤ rest`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pushed {
    pub estimate: f64,
    pub rest: f64,
    pub slack: f64,
}

impl<'a, S: EntrySource> Push<'a, S> {
    pub fn start(query: &'a EntryQuery<'a, S>, space: &'a mut PushSpace) -> Self {
        space.reset(query.source.order());
        space.nodes[query.entry] = Node { s: 1.0, is_touched: true, is_queued: false };
        space.touched.push(query.entry as u32);
        Self {
            query,
            space,
            potential: query.witness.v()[query.entry],
            estimate: 0.0,
            estimate_magnitude: 0.0,
            loss: 0.0,
            written: 0.0,
            touched_entries: 0,
            pushes: 0,
        }
    }

    /// Pushes in rounds, each over the rows that hold more than half of the mean, until `is_enough`.
    pub fn run(&mut self, is_enough: impl Fn(&Self) -> bool) -> Pause {
        loop {
            self.potential = self.rest().0;
            if is_enough(self) {
                return Pause::Enough;
            }
            let worth = WORTH * self.potential / self.space.touched.len() as f64;
            let pushes_before = self.pushes;
            if let Some(pause) = self.round(worth, &is_enough) {
                self.potential = self.rest().0;
                if pause != Pause::Enough || is_enough(self) {
                    return pause;
                }
            }
            if self.pushes == pushes_before {
                return Pause::Exhausted;
            }
        }
    }

    fn round(&mut self, worth: f64, is_enough: &impl Fn(&Self) -> bool) -> Option<Pause> {
        self.gather(worth);
        let (mut next, mut look_at) = (0, self.touched_entries);
        while let Some(&row) = self.space.queue.get(next) {
            let entries = self.query.source.entries_of(row as usize) as u64;
            if self.touched_entries + entries > self.query.entries_max {
                return Some(Pause::OverBudget);
            }
            if self.touched_entries >= look_at {
                if !self.query.patience.lasts() {
                    return Some(Pause::OutOfTime);
                }
                look_at = self.touched_entries + LOOK_INTERVAL;
            }
            next += 1;
            self.push(row as usize, worth);
            if is_enough(self) {
                return Some(Pause::Enough);
            }
        }
        None
    }

    /// Queues the touched rows that hold more than `worth`.
    fn gather(&mut self, worth: f64) {
        let PushSpace { nodes, touched, queue } = &mut *self.space;
        queue.clear();
        for &row in &*touched {
            let node = &mut nodes[row as usize];
            node.is_queued = node.s.abs() * self.query.witness.v()[row as usize] > worth;
            if node.is_queued {
                queue.push(row);
            }
        }
    }

    fn push(&mut self, row: usize, worth: f64) {
        let PushSpace { nodes, touched, queue } = &mut *self.space;
        let (source, v) = (self.query.source, self.query.witness.v());
        nodes[row].is_queued = false;
        let Some(diagonal) = source.diagonal(row) else { return };
        let share = self.query.relaxation * nodes[row].s / diagonal;
        // Below the normal numbers its rounding is not relative; what it would move is nothing.
        if !share.is_normal() {
            return;
        }
        let rhs = source.rhs(row);
        let term = share * rhs.value;
        self.estimate += term;
        self.estimate_magnitude += term.abs();
        self.loss += share.abs() * rhs.slack;
        let mut entries = 0;
        for (col, value) in source.row(row) {
            entries += 1;
            let (node, v) = (&mut nodes[col as usize], v[col as usize]);
            let moved = value * share;
            let (old, new) = (node.s.abs(), node.s - moved);
            node.s = new;
            let size = new.abs();
            self.potential += v * (size - old);
            self.written += v * (moved.abs() + size);
            if !node.is_touched {
                node.is_touched = true;
                touched.push(col);
            }
            if size * v > worth && !node.is_queued {
                node.is_queued = true;
                queue.push(col);
            }
        }
        self.pushes += 1;
        self.touched_entries += entries;
    }

    /// `Σ |s_k| v_k` as computed, and at least that.
    fn rest(&self) -> (f64, f64) {
        let v = self.query.witness.v();
        let held = |&row: &u32| self.space.nodes[row as usize].s.abs() * v[row as usize];
        let sum: f64 = self.space.touched.iter().map(held).sum();
        (sum, add_up(sum, sum_slack(self.space.touched.len(), sum)))
    }

    /// The entry as far as it is known, and what is left, both as tracked.
    pub fn known(&self) -> (f64, f64) {
        let base = self.query.source.base(self.query.entry);
        (base + self.estimate, self.potential * self.query.quotient)
    }

    /// What has been proven so far.
    pub fn pushed(&self) -> Pushed {
        let quotient = self.query.quotient;
        // Each write of `s` rounds a product and a sum; twice the unit covers both and this sum.
        let tiny =
            mul_up(self.touched_entries as f64 * f64::MIN_POSITIVE, self.query.witness.v_max());
        let s_slack = add_up(mul_up(2.0 * f64::EPSILON, self.written), tiny);
        let terms = usize::try_from(self.pushes).unwrap_or(usize::MAX);
        let sum = sum_slack(terms, self.estimate_magnitude);
        let loss = add_up(self.loss, sum_slack(terms, self.loss));
        Pushed {
            estimate: self.estimate,
            rest: mul_up(quotient, self.rest().1),
            slack: add_up(mul_up(quotient, s_slack), add_up(sum, loss)),
        }
    }

    /// The rows reached, each with `s_k`.
    pub fn left(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.space.touched.iter().map(|&row| (row, self.space.nodes[row as usize].s))
    }
}
