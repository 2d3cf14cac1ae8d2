//! What is proven of a live system: the witness that `A` is an H-matrix, followed under changes, the
//! licence of relaxation that it founds, and the error bound that follows from it and the residual.

use crate::solver::analysis::{Analysis, DominanceKind};
use crate::solver::assembly;
use crate::solver::live::engine::report::StatedBound;
use crate::solver::live::licence::{Ground, Licence};
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::outcome::{Preparation, Work};
use crate::solver::proof::{SearchLimits, Witness, WitnessFault, find};
use crate::solver::system::Rows;

/// A search that found nothing is not repeated before so many entries have changed; twice as many
/// after each further one.
const RETRY_MIN: u64 = 16;

/// Passes over `A` that mending a witness may take before another is searched for.
const MENDING_PASSES: u64 = 8;

/// Up to this order the bound is always taken over all rows.
const EXACT_ORDER_MAX: usize = 1 << 15;

/// Bounds are rounded up by this, which is more than the few operations behind them round.
const UP: f64 = 1.0 + 16.0 * f64::EPSILON;

/// The witness with what is known of its smallest row.
#[derive(Debug)]
struct Held {
    witness: Witness,
    /// At most `minᵢ wᵢ` and `minᵢ wᵢ / vᵢ`.
    w_least: f64,
    margin_least: f64,
    /// Whether the least may have risen since.
    is_loose: bool,
    /// At least `maxᵢ sᵢ / wᵢ`, `sᵢ` being the rounding of the measurement that this is of.
    measured: Option<(u64, f64)>,
}

/// The witness under change, or why there is none.
#[derive(Debug)]
pub(super) struct Proof {
    held: Option<Held>,
    /// Why the last search found none.
    fault: Option<WitnessFault>,
    /// Entries changed since, and how many are to be waited for.
    changed: u64,
    retry_after: u64,
    limits: SearchLimits,
}

impl Proof {
    /// With `v = 1` at once where the rows are strictly dominant. O(nnz) then.
    pub fn of(analysis: &Analysis, rows: Rows, limits: SearchLimits) -> Self {
        let is_strict = analysis.row_dominance.kind == DominanceKind::Strict;
        let ones = is_strict.then(|| Witness::prove(rows, vec![1.0; rows.count()]).ok());
        Self { held: ones.flatten().map(Held::of), fault: None, changed: 0, retry_after: 0, limits }
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        self.changed += 1;
        if let Some(held) = &mut self.held {
            held.entry_changed(change);
        }
    }

    /// Whether `A` is proven to be an H-matrix.
    pub fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.witness.holds())
    }

    /// Whether a search may find what is missing.
    pub fn is_worth_a_search(&self) -> bool {
        !self.holds() && self.changed >= self.retry_after
    }

    /// Whether another search may find what the last one did not.
    pub fn has_changed_since_search(&self) -> bool {
        self.changed > 0
    }

    /// Foreseen for a search: some sweeps.
    pub fn search_work(&self, rows: Rows) -> Work {
        let nonzeros = 40 * rows.values.len() as u64;
        Work { nonzeros, flops: 2 * nonzeros }
    }

    /// Why nothing is proven.
    pub fn evidence(&self) -> String {
        match (&self.held, &self.fault) {
            (_, Some(fault)) => fault.to_string(),
            (Some(held), None) => {
                format!("{} rows have lost what their witness needs", held.witness.sunk_rows())
            }
            (None, None) => "no witness has been looked for".to_owned(),
        }
    }

    /// Searches a witness of `rows`, which are all of `A`: mends the one that has sunk where that takes
    /// little.
    pub fn search(&mut self, rows: Rows) -> Preparation {
        if let Some(mended) = self.mended(rows) {
            self.changed = 0;
            return mended;
        }
        let found = find(rows, self.limits);
        let work = self.search_work(rows);
        let changed = std::mem::take(&mut self.changed);
        let description = match found {
            Ok(witness) => {
                self.fault = None;
                self.retry_after = 0;
                self.held = Some(Held::of(witness));
                "witness of an H-matrix".to_owned()
            }
            Err(fault) => {
                self.retry_after = (2 * self.retry_after.max(changed)).max(RETRY_MIN);
                let description = format!("no witness: {fault}");
                // A witness that has sunk stays: its rows may rise again.
                self.fault = Some(fault);
                description
            }
        };
        Preparation { description, work }
    }

    /// Raises `v` around the rows that have sunk, on a copy: a repair that fails leaves a `v` that is
    /// larger for nothing.
    fn mended(&mut self, rows: Rows) -> Option<Preparation> {
        let held = self.held.as_ref()?;
        let n = rows.count();
        let entries = rows.values.len() as u64;
        let columns = assembly::transposed(n, rows.pointers, rows.indices, rows.values);
        let columns = columns.into_matrix(n, n);
        let mut witness = held.witness.clone();
        let from = witness.rows_to_repair();
        let done = witness.repair(Rows::of(&columns), &from, MENDING_PASSES * entries).ok()?;
        if !witness.holds() {
            return None;
        }
        self.held = Some(Held::of(witness));
        let nonzeros = 4 * entries + done.touched_entries;
        let work = Work { nonzeros, flops: 2 * nonzeros };
        Some(Preparation { description: format!("witness mended by {} pushes", done.pushes), work })
    }

    /// Allows relaxation of `A` as it is now. O(1), O(n) after a row sank and rose again.
    pub fn licence(&mut self, version: u64) -> Option<Licence> {
        let held = self.held.as_mut().filter(|held| held.witness.holds())?;
        if held.margin_least <= 0.0 {
            held.find_least();
        }
        Licence::new(Ground::HMatrix { margin: held.margin_least }, version).ok()
    }

    /// Bounds `‖x* − x‖∞`. O(n), and two products the first time after each measurement. `row_max` is
    /// at least every `|rᵢ|` as kept; large systems are bounded by it alone.
    pub fn overall(&mut self, live: &mut LiveSystem, row_max: f64) -> StatedBound {
        let Some(quotient) = self.quotient(live, row_max) else { return StatedBound::NONE };
        let held = self.held.as_ref().expect("a quotient has a witness");
        let absolute = quotient * held.witness.v_max() * UP;
        Self::stated(absolute, greatest((0..live.order()).map(|row| live.x(row).abs())))
    }

    /// Bounds `|x* − x|` of one row.
    pub fn of_row(&mut self, live: &mut LiveSystem, row: usize, row_max: f64) -> StatedBound {
        let Some(quotient) = self.quotient(live, row_max) else { return StatedBound::NONE };
        let held = self.held.as_ref().expect("a quotient has a witness");
        Self::stated(quotient * held.witness.v()[row] * UP, live.x(row))
    }

    fn stated(absolute: f64, size: f64) -> StatedBound {
        match absolute.is_finite() {
            true => StatedBound::proven(absolute, size),
            false => StatedBound::NONE,
        }
    }

    /// At least `maxᵢ |b − A x|ᵢ / wᵢ`; none without a witness that holds.
    pub fn quotient(&mut self, live: &mut LiveSystem, row_max: f64) -> Option<f64> {
        let held = self.held.as_mut().filter(|held| held.witness.holds())?;
        if held.is_loose {
            held.find_least();
        }
        let measured = held.measured(live);
        let kept = match live.order() <= EXACT_ORDER_MAX || !row_max.is_finite() {
            true => held.kept_exactly(live),
            false => row_max / held.w_least * UP,
        };
        Some((kept + live.drift() / held.w_least + measured) * UP)
    }

    /// The witness, where it holds.
    pub fn witness(&self) -> Option<&Witness> {
        self.held.as_ref().map(|held| &held.witness).filter(|witness| witness.holds())
    }

    pub fn memory_bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.witness.memory_bytes())
    }
}

impl Held {
    fn of(witness: Witness) -> Self {
        let mut held =
            Self { witness, w_least: 0.0, margin_least: 0.0, is_loose: true, measured: None };
        held.find_least();
        held
    }

    fn find_least(&mut self) {
        let (v, w) = (self.witness.v(), self.witness.w());
        self.w_least = w.iter().copied().fold(f64::INFINITY, f64::min);
        self.margin_least = v.iter().zip(w).map(|(v, w)| w / v).fold(f64::INFINITY, f64::min);
        self.is_loose = false;
    }

    fn entry_changed(&mut self, change: &EntryChange) {
        let before = self.witness.w()[change.row];
        self.witness.entry_changed(change.row, change.col, change.old, change.new);
        let after = self.witness.w()[change.row];
        self.is_loose |= after > before && before <= self.w_least;
        self.w_least = self.w_least.min(after);
        self.margin_least = self.margin_least.min(after / self.witness.v()[change.row]);
        if after < before {
            // The row's quotient grows, if it was the largest: by this much.
            self.measured = self
                .measured
                .filter(|_| after > 0.0)
                .map(|(of, quotient)| (of, quotient * (before / after) * UP));
        }
    }

    /// `maxᵢ |rᵢ| / wᵢ` of the residual as kept. O(n).
    fn kept_exactly(&self, live: &LiveSystem) -> f64 {
        let rows = live.nodes.iter().zip(self.witness.w());
        greatest(rows.map(|(node, w)| node.r.abs() / w)) * UP
    }

    /// What rounding of the last measurement can come to. It is measured anew for it, because `x` has
    /// moved since the last one: O(nnz) once for each measurement, then O(1).
    fn measured(&mut self, live: &mut LiveSystem) -> f64 {
        if let Some((of, quotient)) = self.measured
            && of == live.measurements()
        {
            return quotient;
        }
        live.measure();
        let rows = self.witness.w().iter().enumerate();
        let quotient = greatest(rows.map(|(row, w)| live.measurement_slack(row) / w)) * UP;
        self.measured = Some((live.measurements(), quotient));
        quotient
    }
}

/// The maximum; infinite if one of the values is not a number.
fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |max: f64, value| max.max(if value.is_nan() { f64::INFINITY } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::live::delta::{Change, CostDelta};
    use crate::solver::live::state::Thresholds;

    #[test]
    fn a_row_that_sinks_is_mended_and_the_licence_comes_back() {
        let system = gallery::diagonally_dominant(2_000, 10_000, 3).unwrap();
        let analysis = Analysis::of(&system);
        let mut proof = Proof::of(&analysis, system.rows(), SearchLimits::default());
        let thresholds = Thresholds::Uniform(1e-8);
        let mut live = LiveSystem::new(system, &[0.0; 2_000], thresholds, 20_000).unwrap();
        assert!(proof.licence(live.matrix().version()).is_some());
        let row = (0..2_000).find(|&row| live.matrix().row(row).count() > 3).unwrap();
        let beside: f64 = live.matrix().row(row).map(|(_, value)| value.abs()).sum::<f64>()
            - live.matrix().value(row, row).abs();
        let mut delta = CostDelta::default();
        delta.edit_entry(row, row, Change::Set(0.9 * beside), None);
        let applied = live.apply(&delta).unwrap();
        proof.entry_changed(&applied.entries[0]);
        assert!(proof.licence(live.matrix().version()).is_none() && proof.is_worth_a_search());
        let done = proof.search(live.matrix().stored_rows());
        assert!(done.description.contains("mended"), "{}", done.description);
        let licence = proof.licence(live.matrix().version()).expect("still an H-matrix");
        let Ground::HMatrix { margin } = licence.ground() else { panic!("no witness") };
        assert!(margin > 0.0);
        let stated = proof.overall(&mut live, f64::INFINITY);
        assert!(stated.absolute.is_finite() && stated.absolute > 0.0);
    }
}
