//! The system as it was when a flight departed: what an `x` that is found later leaves of it, by the
//! residual of the present system and what has changed since.

use std::collections::BTreeMap;

use crate::solver::iterate::Correction;
use crate::solver::kernel;
use crate::solver::live::engine::report::Settlement;
use crate::solver::live::state::{EntryChange, LiveSystem};

/// Changed entries of `A` that are remembered, if the system has fewer rows.
const ENTRIES_KEPT: usize = 1_024;

/// More than what rounding of a norm costs.
const UP: f64 = 1.0 + 1e-9;

/// Bytes of a remembered entry, in its map and as a correction.
const ENTRY_BYTES: usize = 72;

/// A version of the system: `b` whole, and of `A` the entries that have changed since.
#[derive(Debug)]
pub(super) struct Departure {
    version: u64,
    rhs: Vec<f64>,
    /// The residual norm that is certain to meet the tolerance of this version.
    threshold: f64,
    /// The places of `A` that have changed since; none after more places than are remembered.
    entries: Option<BTreeMap<(u32, u32), Changed>>,
    entries_max: usize,
    /// What the rows that are stored lack of this version.
    corrections: Vec<Correction>,
    /// Entries in those rows.
    stored: usize,
}

/// An entry of `A` that has changed.
#[derive(Debug)]
struct Changed {
    /// What it was.
    held: f64,
    /// Where its correction is.
    at: usize,
    /// Whether the rows have it; else it waits in the overlay, and they are right without it.
    is_stored: bool,
}

impl Departure {
    /// From the present system, whose entries are all in the stored rows. O(n).
    pub fn of(live: &LiveSystem, version: u64, threshold: f64) -> Self {
        assert!(live.matrix().overlaid() == 0, "a flight departs from merged rows");
        Self {
            version,
            rhs: live.rhs().to_vec(),
            threshold,
            entries: Some(BTreeMap::new()),
            entries_max: live.order().max(ENTRIES_KEPT),
            corrections: vec![],
            stored: live.matrix().stored_rows().values.len(),
        }
    }

    /// `b`.
    pub fn rhs(&self) -> &[f64] {
        &self.rhs
    }

    /// What makes the stored rows those of this version, after [`follow`](Self::follow). Empty once too
    /// many entries have changed.
    pub fn corrections(&self) -> &[Correction] {
        &self.corrections
    }

    /// Follows one change of `A`. O(log of those remembered).
    pub fn entry_changed(&mut self, change: &EntryChange) {
        let EntryChange { row, col, old, new, is_new } = *change;
        let Some(entries) = &mut self.entries else { return };
        let (row, col) = (row as u32, col as u32);
        let at = self.corrections.len();
        let changed =
            entries.entry((row, col)).or_insert(Changed { held: old, at, is_stored: true });
        changed.is_stored &= !is_new;
        let difference = if changed.is_stored { changed.held - new } else { 0.0 };
        let correction = Correction { row, col, difference };
        match changed.at < at {
            true => self.corrections[changed.at] = correction,
            false => self.corrections.push(correction),
        }
        if entries.len() > self.entries_max {
            self.entries = None;
            self.corrections = vec![];
        }
    }

    /// Follows a merge of the overlay into the stored rows, if there was one. O(1), or O(log) for each
    /// entry remembered.
    pub fn follow(&mut self, live: &LiveSystem) {
        let stored = live.matrix().stored_rows().values.len();
        if stored == self.stored {
            return;
        }
        self.stored = stored;
        for (&(row, col), changed) in self.entries.iter_mut().flatten() {
            changed.is_stored = true;
            let value = live.matrix().value(row as usize, col as usize);
            self.corrections[changed.at].difference = changed.held - value;
        }
    }

    /// Whether the `x` that is kept is certain to meet the tolerance of this version. `live` has been
    /// measured with it just now. One pass over the changed entries and the rows, and one over `A`
    /// unless the answer is no before.
    ///
    /// With `b₀`, `A₀` of this version, `b₀ − A₀ x = r + (b₀ − b) + (A − A₀) x`; what rounding can have
    /// done to `r` and to these sums is added to the norm.
    pub fn settled_by(&self, live: &LiveSystem) -> Option<Settlement> {
        let (residual, rounding) = self.residual(live)?;
        let norm = kernel::norm2(&residual);
        if !self.is_met_by(norm + rounding) {
            return None;
        }
        let slack = kernel::norm2(&live.measurement_slacks(&live.copy_x()));
        let residual_norm = norm + rounding + (slack + live.drift() * (live.order() as f64).sqrt());
        self.is_met_by(residual_norm).then_some(Settlement {
            version: self.version,
            residual_norm: residual_norm * UP,
            residual_threshold: self.threshold,
        })
    }

    fn is_met_by(&self, norm: f64) -> bool {
        norm * UP <= self.threshold
    }

    /// `b₀ − A₀ x` of the `x` that is kept, and at least what rounding of the differences can have moved
    /// it by. None where entries have been forgotten.
    fn residual(&self, live: &LiveSystem) -> Option<(Vec<f64>, f64)> {
        let entries = self.entries.as_ref()?;
        let mut residual = live.copy_residual();
        let mut parts = 0.0;
        for ((r, before), now) in residual.iter_mut().zip(&self.rhs).zip(live.rhs()) {
            let change = before - now;
            if change != 0.0 {
                *r += change;
                parts += change.abs() + r.abs();
            }
        }
        for (&(row, col), changed) in entries {
            let (row, col) = (row as usize, col as usize);
            let term = (live.matrix().value(row, col) - changed.held) * live.x(col);
            residual[row] += term;
            parts += 2.0 * term.abs() + residual[row].abs() + f64::MIN_POSITIVE;
        }
        Some((residual, f64::EPSILON * parts + f64::MIN_POSITIVE))
    }

    pub fn memory_bytes(&self) -> u64 {
        let entries = self.entries.as_ref().map_or(0, BTreeMap::len);
        (8 * self.rhs.len() + ENTRY_BYTES * entries) as u64
    }
}
