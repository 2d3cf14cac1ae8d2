//! Residual push: rows at or above their threshold are relaxed one at a time, each at the cost of its
//! column, until none is left. Owns the order of the rows and when to stop; that it converges is the
//! licence's word.

use crate::solver::kernel;
use crate::solver::live::active::ActiveRows;
use crate::solver::live::licence::{Licence, RelaxationRefusal};
use crate::solver::live::matrix::ColumnEntry;
use crate::solver::live::node::Node;
use crate::solver::live::overlay::Overlay;
use crate::solver::live::state::LiveSystem;

/// A residual that has grown by this much over all there was to push is not converging, whatever the
/// licence says: the weighted sum of an H-matrix never grows, and its weights do not differ by so much.
const GROWTH_MAX: f64 = 1_048_576.0;

/// Rows that are looked at ahead, so that what they need is on its way when their turn comes.
const WINDOW: usize = 16;

/// Below this many entries everything stays in the second-level cache and looking ahead costs more than
/// it brings.
const AHEAD_ENTRIES_MIN: usize = 1 << 17;

/// What was done, and why it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relaxed {
    /// Rows relaxed.
    pub steps: u64,
    /// Stored entries of `A` touched; never more than were allowed.
    pub entries: u64,
    pub end: RelaxationEnd,
}

/// Why relaxation ended. `(x, r)` is valid after each of them, and rows still at or above their
/// threshold are still known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RelaxationEnd {
    /// Every row is below its threshold.
    Settled,
    /// `‖r‖₂` as measured is as small as was asked for; rows may be at or above their threshold.
    Near { norm: f64 },
    /// The next step would have touched more entries than were allowed.
    OverBudget,
    /// What is left is below the spacing of the numbers in `x`; so many rows stay at or above their
    /// threshold.
    RoundingLimit { rows: usize },
    /// Every row is below its threshold, but so large a number went through the residual that its
    /// rounding could be a threshold: measure, and go on.
    Doubtful,
    /// The row has no diagonal to divide by, so the licence was wrong.
    ZeroDiagonal { row: usize },
    /// The step, or what it would leave, is no finite number.
    NotFinite { row: usize },
    /// The residual of the row has grown beyond all bounds, so the licence was wrong.
    Diverging { row: usize, residual: f64 },
}

/// How a run of push ended inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum PushEnd {
    Ended(RelaxationEnd),
    /// So many rows were relaxed in one round that ordered sweeps are cheaper.
    Crowded,
}

impl LiveSystem {
    /// Relaxes rows at or above their threshold in ascending order, round after round: with
    /// `t = rᵢ / aᵢᵢ`, `xᵢ += t` and `r −= t A eᵢ`. A row that a step raises above its threshold is served
    /// in the same round if it comes later.
    ///
    /// A call that ends over its budget is taken up by the next at the row where it stopped: a wave that
    /// always began at the first row would never get to the last.
    ///
    /// One step costs the entries of column i. The step taken is the difference of `xᵢ` after and
    /// before, so that rounding of `x` is in `r`. Near the rounding limit steps can go on for long:
    /// `entries_max` is what bounds them.
    ///
    /// Source: Andersen, Chung and Lang 2006 (the threshold rule); Southwell 1946 (relaxation).
    ///
    /// # Errors
    /// `licence` is for another version of `A`; nothing was done.
    pub fn push(
        &mut self,
        licence: &Licence,
        entries_max: u64,
    ) -> Result<Relaxed, RelaxationRefusal> {
        licence.check(self.matrix.version())?;
        let (steps, entries, end) = self.push_until(entries_max, usize::MAX);
        match end {
            PushEnd::Ended(end) => Ok(Relaxed { steps, entries, end }),
            PushEnd::Crowded => unreachable!("no round has more rows than there are"),
        }
    }

    /// Pushes until the end, or until one round has relaxed `crowd` rows; returns steps, entries and why.
    pub(super) fn push_until(&mut self, entries_max: u64, crowd: usize) -> (u64, u64, PushEnd) {
        let begun = match self.interrupted.take() {
            Some(Interrupted::Push(run)) => run,
            Some(Interrupted::Sweeps) | None => Run::of(self.ceiling()),
        };
        let Run { row, served, ceiling, largest_before } = begun;
        let is_large = self.matrix.column_entries().len() >= AHEAD_ENTRIES_MIN;
        let mut push = Push {
            nodes: &mut self.nodes,
            columns: self.matrix.column_entries(),
            overlay: self.matrix.overlay(),
            active: &mut self.active,
            ceiling,
            largest: 0,
            rounds: 0,
            steps: 0,
            entries: 0,
            entries_max,
            resume: row,
            served,
            stuck: 0,
        };
        let ended = match is_large {
            true => push.rounds_ahead(crowd),
            false => push.rounds(crowd),
        };
        let Push { rounds, steps, entries, stuck, largest, resume, served, .. } = push;
        // The upper half rounds down by less than 2⁻²⁰.
        let largest = f64::from_bits((u64::from(largest) + 1) << 32);
        self.largest = self.largest.max(largest);
        let size = largest_before + (2 * self.row_entries_max + 1) as f64 * self.growth * largest;
        self.drift += self.drift_of_push(rounds.min(steps), size);
        if ended == Err(PushEnd::Ended(RelaxationEnd::OverBudget)) {
            let run = Run { row: resume, served, ceiling, largest_before: size };
            self.interrupted = Some(Interrupted::Push(run));
        }
        let end = match ended {
            Err(end) => {
                if stuck > 0 {
                    // The next call must not take them for settled.
                    self.mark_all();
                }
                end
            }
            Ok(()) if stuck > 0 => PushEnd::Ended(self.end_of_stuck_rows()),
            Ok(()) => PushEnd::Ended(self.settled()),
        };
        (steps, entries, end)
    }

    /// Above this a residual is out of hand.
    pub(super) fn ceiling(&self) -> f64 {
        let mut sum = self.threshold_sum;
        let mut from = 0;
        while let Some(row) = self.active.next_from(from) {
            let size = self.nodes[row].r.abs();
            // An infinite one is for the relaxation to report.
            sum += if size.is_finite() { size } else { 0.0 };
            from = row + 1;
        }
        GROWTH_MAX * sum
    }

    /// What rounding can have done to the residual of a row in `rounds` rounds of push: each takes at
    /// most one step from every entry of the row, and a step rounds its product and its difference.
    ///
    /// `size` is at least any residual on the way: the largest there was before, and what the steps of
    /// two rounds add to it, as a row that is passed over meets two rounds of steps at most before it is
    /// relaxed itself.
    fn drift_of_push(&self, rounds: u64, size: f64) -> f64 {
        let steps = rounds as f64 * self.row_entries_max as f64;
        2.0 * f64::EPSILON * steps * size
    }

    /// The end when no row is left.
    pub(super) fn settled(&self) -> RelaxationEnd {
        match self.is_doubtful() {
            true => RelaxationEnd::Doubtful,
            false => RelaxationEnd::Settled,
        }
    }

    /// Rows that could not be moved were taken out of the set to get on; they belong into it.
    fn end_of_stuck_rows(&mut self) -> RelaxationEnd {
        self.mark_all();
        match self.active_rows() {
            0 => self.settled(),
            rows => RelaxationEnd::RoundingLimit { rows },
        }
    }
}

/// What relaxation was about when its budget was used up: good until something else moves the residual.
#[derive(Debug, Clone, Copy)]
pub(super) enum Interrupted {
    Push(Run),
    /// There was not enough left for a sweep and its measurement.
    Sweeps,
}

/// A run of push.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Its round goes on here, so many rows after it began.
    row: usize,
    served: usize,
    /// Above this a residual is out of hand.
    ceiling: f64,
    /// At least any residual that there is.
    largest_before: f64,
}

impl Run {
    fn of(ceiling: f64) -> Self {
        Self { row: 0, served: 0, ceiling, largest_before: ceiling / GROWTH_MAX }
    }
}

/// A call of push over one system.
struct Push<'a> {
    nodes: &'a mut [Node],
    columns: &'a [ColumnEntry],
    overlay: &'a Overlay,
    active: &'a mut ActiveRows,
    ceiling: f64,
    /// The largest magnitude relaxed.
    largest: u32,
    rounds: u64,
    steps: u64,
    entries: u64,
    entries_max: u64,
    /// The row that the first round begins with, then that for which the budget did not suffice.
    resume: usize,
    /// Rows relaxed in the round under way.
    served: usize,
    /// Steps that would have been lost in the rounding of `x`.
    stuck: u64,
}

impl Push<'_> {
    /// Rounds over a system that is near.
    fn rounds(&mut self, crowd: usize) -> Result<(), PushEnd> {
        while !self.active.is_empty() {
            self.rounds += 1;
            let mut from = std::mem::take(&mut self.resume);
            while let Some(row) = self.active.next_from(from) {
                self.relax(row)?;
                from = row + 1;
                self.served += 1;
            }
            if std::mem::take(&mut self.served) >= crowd {
                return Err(PushEnd::Crowded);
            }
        }
        Ok(())
    }

    /// Rounds over a system that is far: rows are taken from the set some at a time, and what they need
    /// is asked for in stages before the first of them is relaxed.
    fn rounds_ahead(&mut self, crowd: usize) -> Result<(), PushEnd> {
        let mut window = [0_u32; WINDOW];
        while !self.active.is_empty() {
            self.rounds += 1;
            let mut from = std::mem::take(&mut self.resume);
            loop {
                let mut taken = 0;
                while taken < WINDOW {
                    let Some(row) = self.active.next_from(from) else { break };
                    kernel::prefetch(self.nodes, row);
                    window[taken] = row as u32;
                    taken += 1;
                    from = row + 1;
                }
                if taken == 0 {
                    break;
                }
                self.look_ahead(&window[..taken]);
                for &row in &window[..taken] {
                    self.relax(row as usize)?;
                    self.served += 1;
                }
            }
            if std::mem::take(&mut self.served) >= crowd {
                return Err(PushEnd::Crowded);
            }
        }
        Ok(())
    }

    /// Asks for the columns of rows, and then for what their first entries point to.
    #[inline(always)]
    fn look_ahead(&self, rows: &[u32]) {
        const LOOKED_AT: usize = 8;
        for &row in rows {
            let column = self.nodes[row as usize].column();
            kernel::prefetch(self.columns, column.start);
            kernel::prefetch(self.columns, column.end.saturating_sub(1));
        }
        for &row in rows {
            let column = self.nodes[row as usize].column();
            let end = column.end.min(column.start + LOOKED_AT);
            for entry in &self.columns[column.start..end] {
                kernel::prefetch(self.nodes, entry.row as usize);
            }
        }
    }

    /// Relaxes one row of the set, or takes it out if there is nothing to relax.
    #[inline(always)]
    fn relax(&mut self, row: usize) -> Result<(), PushEnd> {
        let node = &mut self.nodes[row];
        if node.is_active() == 0 {
            self.active.remove(row);
            return Ok(());
        }
        let update = node.r * node.inverse_diagonal();
        let before = node.x;
        let after = before + update;
        let is_lost = update.abs() <= f64::EPSILON * before.abs();
        let is_out_of_hand = !(node.r.abs() <= self.ceiling && after.abs() <= f64::MAX);
        if is_lost | is_out_of_hand {
            return self.cannot_move(row);
        }
        let column = node.column();
        let is_overlaid = node.is_overlaid();
        let mut entries = column.len() as u64;
        if is_overlaid {
            entries += self.overlay.column(row).count() as u64;
        }
        if entries > self.entries_max - self.entries {
            self.resume = row;
            return Err(PushEnd::Ended(RelaxationEnd::OverBudget));
        }
        let node = &mut self.nodes[row];
        node.x = after;
        self.largest = self.largest.max(node.magnitude());
        self.steps += 1;
        self.entries += entries;
        self.active.remove(row);
        let step = after - before;
        for entry in &self.columns[column] {
            let (row, value) = (entry.row, entry.value);
            // SAFETY: rows of a column are below n, the length of `nodes` and the size of `active`.
            unsafe { lower(self.nodes, self.active, row, value * step) };
        }
        if is_overlaid {
            for entry in self.overlay.column(row) {
                // SAFETY: as above: entries are checked before they are held.
                unsafe { lower(self.nodes, self.active, entry.row, entry.value * step) };
            }
        }
        Ok(())
    }

    #[cold]
    fn cannot_move(&mut self, row: usize) -> Result<(), PushEnd> {
        let node = &self.nodes[row];
        let residual = node.r;
        let end = match () {
            () if !residual.is_finite() => RelaxationEnd::NotFinite { row },
            () if residual.abs() > self.ceiling => RelaxationEnd::Diverging { row, residual },
            () if !node.has_diagonal() => RelaxationEnd::ZeroDiagonal { row },
            () if !(node.x + residual * node.inverse_diagonal()).is_finite() => {
                RelaxationEnd::NotFinite { row }
            }
            () => {
                self.stuck += 1;
                self.active.remove(row);
                return Ok(());
            }
        };
        Err(PushEnd::Ended(end))
    }
}

/// `r[row] −= by`, and the row into the set if that makes it active.
///
/// # Safety
/// `row` is below the length of `nodes`, which is the size of `active`.
#[inline(always)]
unsafe fn lower(nodes: &mut [Node], active: &mut ActiveRows, row: u32, by: f64) {
    // SAFETY: the caller's promise; what a node says of its activity is 0 or 1.
    unsafe {
        let node = nodes.get_unchecked_mut(row as usize);
        node.r -= by;
        active.mark(row, node.is_active());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::live::licence::Ground;
    use crate::solver::live::state::Thresholds;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    /// Entries touched until settled, by calls of so many at most.
    fn pushed(entries_max: u64) -> u64 {
        const SIDE: usize = 60;
        let system = gallery::poisson_2d(SIDE, 1).unwrap();
        let x = vec![0.0; SIDE * SIDE];
        let mut live = LiveSystem::new(system, &x, Thresholds::Uniform(1e-2), 1 << 20).unwrap();
        let licence = Licence::new(Ground::HMatrix { margin: 1e-6 }, 0).unwrap();
        let mut entries = 0;
        loop {
            let done = live.push(&licence, entries_max).unwrap();
            entries += done.entries;
            match done.end {
                RelaxationEnd::OverBudget => assert!(done.entries > 0),
                end => {
                    assert_eq!(end, RelaxationEnd::Settled);
                    return entries;
                }
            }
        }
    }

    #[test]
    fn a_row_that_cannot_be_moved_is_not_taken_for_settled_by_the_next_call() {
        const ORDER: usize = 10;
        let mut values = vec![0.0; ORDER * ORDER];
        (0..ORDER).for_each(|row| values[row * (ORDER + 1)] = 1.0);
        let (mut b, mut x) = ([1.0; ORDER], [0.0; ORDER]);
        // Row 0 is off by 2, which is the spacing of the numbers near x₀.
        (b[0], x[0]) = (1e16 + 2.0, 1e16);
        let arrays = MatrixArrays::Dense { values };
        let system = LinearSystem::assemble(ORDER, ORDER, arrays, b.to_vec()).unwrap();
        let mut live = LiveSystem::new(system, &x, Thresholds::Uniform(1e-3), 100).unwrap();
        assert_eq!(live.residual(0), 2.0);
        let licence = Licence::new(Ground::HMatrix { margin: 0.1 }, 0).unwrap();
        let ends = (0..2 * ORDER).map(|_| live.push(&licence, 2).unwrap().end);
        let end = ends.into_iter().find(|end| *end != RelaxationEnd::OverBudget);
        assert_eq!(end, Some(RelaxationEnd::RoundingLimit { rows: 1 }));
    }

    #[test]
    fn many_short_pushes_do_no_more_than_one_long() {
        let long = pushed(u64::MAX);
        let short = pushed(1_000);
        assert!(short <= long + long / 10, "{short} entries in short pushes, {long} in one");
    }
}
