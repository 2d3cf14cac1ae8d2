//! What is proven of a live system: the witness that `A` is an H-matrix, followed under changes, the
//! licence of relaxation that it founds, and the error bound that follows from it and the residual, or
//! from a proof that `A` is positive definite where there is no witness.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::analysis::{Analysis, DominanceKind};
use crate::solver::live::engine::coercive::{Coercive, CoercivityTask, ProvenCoercivity};
use crate::solver::live::engine::report::{BoundKind, StatedBound};
use crate::solver::live::engine::witness::{
    Followed, MENDING_PASSES_ALL, SEARCH_PASSES, Searched, WitnessTask, mend,
};
use crate::solver::live::licence::{Ground, Licence};
use crate::solver::live::slack::slack;
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::outcome::{Preparation, Work};
use crate::solver::proof::{SearchLimits, Witness, WitnessFault};
use crate::solver::system::Rows;

/// A search that found nothing is not repeated before so many entries have changed; twice as many
/// after each further one.
const RETRY_MIN: u64 = 16;

/// Witnesses that may come home sunk, one after the other, and be mended at once.
const SUNK_FREE: u32 = 3;

/// Up to this order the bound is always taken over all rows.
const EXACT_ORDER_MAX: usize = 1 << 15;

/// Rounding of a measurement that is at most this part of the bound is not looked at more closely.
const ROUNDING_PART: f64 = 1.0 / 64.0;

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
    /// What rounding of the last measurement can come to.
    rounding: Option<Rounding>,
}

/// At least `maxᵢ sᵢ / wᵢ`, `sᵢ` being the rounding of the measurement that this is of.
#[derive(Debug, Clone, Copy)]
struct Rounding {
    measurement: u64,
    quotient: f64,
    /// By a pass over `A`, so that none would find less.
    is_close: bool,
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
    /// The witness that has sunk could not be mended.
    is_beyond_mending: bool,
    /// Witnesses that came home sunk since the last that held.
    sunk_in_a_row: u32,
    /// A search that is under way in the background, and what has changed since its snapshot.
    out: Option<Followed>,
    /// What takes the place of a witness.
    coercive: Coercive,
}

/// What may prove a bound.
#[derive(Debug)]
pub(super) enum Certificate {
    Witness(WitnessTask),
    Coercivity(CoercivityTask),
}

/// What bounds the errors of all rows: a factor of each row's `vᵢ` or `sᵢ`.
#[derive(Debug, Clone, Copy)]
pub(super) enum ErrorFactor {
    Witness(f64),
    Coercivity(f64),
}

impl Proof {
    /// With `v = 1` at once where the rows are strictly dominant. O(nnz) then.
    pub fn of(analysis: &Analysis, rows: Rows, limits: SearchLimits) -> Self {
        let is_strict = analysis.row_dominance.kind == DominanceKind::Strict;
        let ones = is_strict.then(|| Witness::prove(rows, vec![1.0; rows.count()]).ok());
        Self {
            held: ones.flatten().map(Held::of),
            fault: None,
            changed: 0,
            retry_after: 0,
            limits,
            is_beyond_mending: false,
            sunk_in_a_row: 0,
            out: None,
            coercive: Coercive::default(),
        }
    }

    /// `nonzeros` are those of `A`.
    pub fn entry_changed(&mut self, change: &EntryChange, nonzeros: usize) {
        self.changed += 1;
        self.coercive.entry_changed(change);
        if let Some(followed) = &mut self.out {
            followed.entry_changed(change, nonzeros);
        }
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
        !self.holds() && self.changed >= self.retry_after && self.out.is_none()
    }

    /// Whether a search is under way in the background.
    pub fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// Whether another search may find what the last one did not.
    pub fn has_changed_since_search(&self) -> bool {
        self.changed > 0
    }

    /// Foreseen for a search: some sweeps.
    pub fn search_work(&self, rows: Rows) -> Work {
        let nonzeros = SEARCH_PASSES * rows.values.len() as u64;
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

    /// The most that a search on the spot can take.
    pub fn search_work_max(&self, nonzeros: u64) -> Work {
        let nonzeros = match self.can_be_mended() {
            true => MENDING_PASSES_ALL * nonzeros,
            false => self.limits.entries_max,
        };
        Work { nonzeros, flops: 2 * nonzeros }
    }

    fn can_be_mended(&self) -> bool {
        !self.is_beyond_mending && self.held.as_ref().is_some_and(|held| !held.witness.holds())
    }

    /// Searches a witness on the spot: mends the one that has sunk; where that fails, the next call looks
    /// for another.
    pub fn search(&mut self, live: &mut LiveSystem, unwanted: &Arc<AtomicBool>) -> Preparation {
        live.merge();
        let rows = live.matrix().stored_rows();
        if self.can_be_mended()
            && let Some(held) = &self.held
        {
            let (mended, work) = mend(&held.witness, rows);
            let (found, description) = match mended {
                Some((witness, description)) => (Some(witness), description),
                None => (None, "the witness could not be mended".to_owned()),
            };
            self.is_beyond_mending = found.is_none();
            found.into_iter().for_each(|witness| self.hold(witness));
            return Preparation { description, work };
        }
        let searched = WitnessTask { sunk: None, limits: self.limits }.run(rows, unwanted);
        self.take_in(searched, &Followed::default(), live)
    }

    /// Whether a search on a snapshot fits into the memory beside it, and none is out.
    pub fn can_detach(&self, live: &LiveSystem, snapshot_bytes: u64) -> bool {
        let (order, nonzeros) = (live.order() as u64, live.matrix().nonzeros() as u64);
        let search_bytes = WitnessTask::peak_bytes(order, nonzeros);
        self.out.is_none()
            && search_bytes.saturating_add(snapshot_bytes) <= self.limits.memory_bytes_max
    }

    /// A search to be made on a snapshot; what changes meanwhile is followed.
    pub fn detach(&mut self) -> WitnessTask {
        let held = self.held.as_ref().filter(|_| self.can_be_mended());
        let task = WitnessTask { sunk: held.map(|held| held.witness.clone()), limits: self.limits };
        self.out = Some(Followed::default());
        task
    }

    /// Whether a bound is missing that could be proven on a snapshot.
    pub fn can_detach_certificate(&self, live: &LiveSystem, snapshot_bytes: u64) -> bool {
        match self.is_worth_a_search() {
            true => self.can_detach(live, snapshot_bytes),
            false => self.coercivity_task(live, snapshot_bytes).is_some(),
        }
    }

    /// A witness first: its bound is closer, and it is kept through larger changes.
    pub fn detach_certificate(
        &mut self,
        live: &LiveSystem,
        snapshot_bytes: u64,
    ) -> Option<Certificate> {
        if self.is_worth_a_search() {
            return Some(Certificate::Witness(self.detach()));
        }
        let task = self.coercivity_task(live, snapshot_bytes)?;
        self.out = Some(Followed::default());
        Some(Certificate::Coercivity(task))
    }

    fn coercivity_task(&self, live: &LiveSystem, snapshot_bytes: u64) -> Option<CoercivityTask> {
        let is_wanted = !self.holds() && self.out.is_none() && self.coercive.is_wanted();
        match is_wanted {
            true => self.coercive.task(live, snapshot_bytes, self.limits.memory_bytes_max),
            false => None,
        }
    }

    /// Takes over a proof that was made in the background, with what has changed meanwhile.
    pub fn take_over_coercivity(
        &mut self,
        made: ProvenCoercivity,
        live: &LiveSystem,
    ) -> Preparation {
        let followed = self.out.take().expect("a proof that comes home was out");
        self.coercive.take_over(made, &followed, live)
    }

    /// Takes over what a search in the background has found: what changed meanwhile is worked into it.
    pub fn take_over(&mut self, searched: Searched, live: &mut LiveSystem) -> Preparation {
        let followed = self.out.take().expect("a search that comes home was out");
        self.take_in(searched, &followed, live)
    }

    /// A witness came home with rows that had sunk. Once or twice it is mended at once; then ever more
    /// changes are waited for, at most as many as `A` has entries: a storm that outruns every search pays
    /// for it no more than some dozens of entries a change.
    fn came_home_sunk(&mut self, nonzeros: usize) {
        self.sunk_in_a_row = (self.sunk_in_a_row + 1).min(40);
        if let Some(doublings) = self.sunk_in_a_row.checked_sub(SUNK_FREE) {
            self.changed = 0;
            self.retry_after = (RETRY_MIN << doublings).min(nonzeros as u64);
        }
    }

    /// A search will not come home.
    pub fn lost(&mut self) {
        self.out = None;
        self.put_off();
        self.coercive.put_off();
    }

    /// Another search has to wait for more changes than the last one.
    fn put_off(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.retry_after = self.retry_after.max(changed).saturating_mul(2).max(RETRY_MIN);
    }

    fn hold(&mut self, witness: Witness) {
        let holds = witness.holds();
        self.held = Some(Held::of(witness));
        self.is_beyond_mending = false;
        self.fault = None;
        if holds {
            (self.changed, self.retry_after) = (0, 0);
            self.sunk_in_a_row = 0;
        }
    }

    fn take_in(
        &mut self,
        searched: Searched,
        followed: &Followed,
        live: &mut LiveSystem,
    ) -> Preparation {
        let Searched { found, mut description, mut work } = searched;
        match found.and_then(|witness| followed.carry_over(witness, live)) {
            Ok((witness, carrying)) => {
                work += carrying;
                let sunk = witness.sunk_rows();
                self.hold(witness);
                if sunk > 0 {
                    self.came_home_sunk(live.matrix().nonzeros());
                    description += &format!("; {sunk} rows have sunk meanwhile");
                }
            }
            Err(fault) => {
                self.put_off();
                description = format!("no witness: {fault}");
                // A witness that has sunk stays: its rows may rise again.
                self.fault = Some(fault);
            }
        }
        Preparation { description, work }
    }

    /// Allows relaxation of `A` as it is now. O(1), O(n) after a row sank and rose again.
    pub fn licence(&mut self, version: u64) -> Option<Licence> {
        let held = self.held.as_mut().filter(|held| held.witness.holds())?;
        if held.margin_least <= 0.0 {
            held.find_least();
        }
        Licence::new(Ground::HMatrix { margin: held.margin_least }, version).ok()
    }

    /// Bounds `‖x* − x‖∞`. O(n), and a product the first time after `x` has moved; one more where rounding may
    /// make up much of the bound, or where there is no witness. `row_max` is at least every `|rᵢ|` as kept;
    /// large systems are bounded by it alone.
    pub fn overall(&mut self, live: &mut LiveSystem, row_max: f64) -> StatedBound {
        let Some(factor) = self.error_factor(live, row_max) else { return StatedBound::NONE };
        let absolute = match factor {
            ErrorFactor::Witness(quotient) => {
                quotient * self.witness().map_or(f64::INFINITY, Witness::v_max)
            }
            ErrorFactor::Coercivity(over_scale) => over_scale * self.coercive.scale_max(),
        };
        Self::stated(absolute * UP, greatest((0..live.order()).map(|row| live.x(row).abs())))
    }

    /// Bounds `|x* − x|` of one row.
    pub fn of_row(&mut self, live: &mut LiveSystem, row: usize, row_max: f64) -> StatedBound {
        match self.error_factor(live, row_max) {
            Some(factor) => Self::stated(self.error_of(factor, row), live.x(row)),
            None => StatedBound::NONE,
        }
    }

    /// What bounds the errors of all rows as they are now: by the witness where it holds.
    pub fn error_factor(&mut self, live: &mut LiveSystem, row_max: f64) -> Option<ErrorFactor> {
        let quotient = self.quotient(live, row_max);
        let factor = match quotient.filter(|quotient| quotient.is_finite()) {
            Some(quotient) => ErrorFactor::Witness(quotient),
            None => ErrorFactor::Coercivity(self.coercive.error_over_scale(live)?),
        };
        Some(factor)
    }

    /// Bounds `|x* − x|` of one row, by what bounds them all.
    pub fn error_of(&self, factor: ErrorFactor, row: usize) -> f64 {
        match factor {
            ErrorFactor::Witness(quotient) => {
                quotient * self.witness().map_or(f64::INFINITY, |witness| witness.v()[row]) * UP
            }
            ErrorFactor::Coercivity(over_scale) => over_scale * self.coercive.scale()[row] * UP,
        }
    }

    fn stated(absolute: f64, size: f64) -> StatedBound {
        match absolute.is_finite() {
            true => StatedBound::stated(BoundKind::Proven, absolute, size),
            false => StatedBound::NONE,
        }
    }

    /// At least `maxᵢ |b − A x|ᵢ / wᵢ`; none without a witness that holds.
    fn quotient(&mut self, live: &mut LiveSystem, row_max: f64) -> Option<f64> {
        let held = self.held.as_mut().filter(|held| held.witness.holds())?;
        if held.is_loose {
            held.find_least();
        }
        // What is measured now may be larger by what the kept one had drifted.
        let row_max = row_max + live.drift();
        if held.rounding_of(live).is_none() && !live.is_fresh() {
            live.measure();
        }
        let mut kept = held.kept(live, row_max);
        let measurements = live.measurements();
        let rounding = held.rounding_beside(kept, live);
        if live.measurements() != measurements {
            kept = held.kept(live, row_max);
        }
        Some((kept + live.drift() / held.w_least + rounding) * UP)
    }

    /// The witness, where it holds.
    pub fn witness(&self) -> Option<&Witness> {
        self.held.as_ref().map(|held| &held.witness).filter(|witness| witness.holds())
    }

    pub fn memory_bytes(&self) -> u64 {
        let followed = self.out.as_ref().map_or(0, Followed::memory_bytes);
        let held = self.held.as_ref().map_or(0, |held| held.witness.memory_bytes());
        held + followed + self.coercive.memory_bytes()
    }
}

impl Held {
    fn of(witness: Witness) -> Self {
        let mut held =
            Self { witness, w_least: 0.0, margin_least: 0.0, is_loose: true, rounding: None };
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
            self.rounding = self.rounding.filter(|_| after > 0.0).map(|rounding| Rounding {
                quotient: rounding.quotient * (before / after) * UP,
                ..rounding
            });
        }
    }

    /// `maxᵢ |rᵢ| / wᵢ` of the residual as kept. O(n).
    fn kept_exactly(&self, live: &LiveSystem) -> f64 {
        let rows = live.nodes.iter().zip(self.witness.w());
        greatest(rows.map(|(node, w)| node.r.abs() / w)) * UP
    }

    /// The same, by the largest alone where the system is large.
    fn kept(&self, live: &LiveSystem, row_max: f64) -> f64 {
        match live.order() <= EXACT_ORDER_MAX || !row_max.is_finite() {
            true => self.kept_exactly(live),
            false => row_max / self.w_least * UP,
        }
    }

    /// What is known of the rounding of the last measurement.
    fn rounding_of(&self, live: &LiveSystem) -> Option<Rounding> {
        self.rounding.filter(|rounding| rounding.measurement == live.measurements())
    }

    /// What rounding of the last measurement can come to: a guess from above where that is next to nothing
    /// beside `kept`, O(n) for a residual that is fresh; else with a pass over `A`, by which a residual that
    /// is not fresh is measured. Once for each measurement, then O(1).
    fn rounding_beside(&mut self, kept: f64, live: &mut LiveSystem) -> f64 {
        if self.rounding_of(live).is_none() && live.is_fresh() {
            let (measurement, quotient) = (live.measurements(), self.rounding_at_most(live));
            self.rounding = Some(Rounding { measurement, quotient, is_close: false });
        }
        let known = self.rounding_of(live);
        let is_enough = |known: &Rounding| known.is_close || known.quotient <= ROUNDING_PART * kept;
        match known.filter(is_enough) {
            Some(known) => known.quotient,
            None => {
                let slacks = live.measure_with_slacks();
                self.note_measurement(live.measurements(), &slacks)
            }
        }
    }

    /// At least `maxᵢ sᵢ / wᵢ` for a measurement of the `x` that is kept, without a look at `A`: as
    /// `Σⱼ |aᵢⱼ| vⱼ = 2 |aᵢᵢ| vᵢ − wᵢ`, the sum of a row's products is at most that times `maxⱼ |xⱼ| / vⱼ`.
    /// O(n).
    fn rounding_at_most(&self, live: &LiveSystem) -> f64 {
        let (v, w) = (self.witness.v(), self.witness.w());
        let over_v = greatest(live.nodes.iter().zip(v).map(|(node, v)| node.x.abs() / v));
        let of_row = |row: usize| {
            let products = 2.0 * live.nodes[row].diagonal_at_most() * v[row] - w[row];
            let size = over_v * products + live.rhs()[row].abs();
            slack(live.row_entries_max, size * UP) / w[row]
        };
        greatest((0..live.order()).map(of_row)) * UP
    }

    fn note_measurement(&mut self, measurement: u64, slacks: &[f64]) -> f64 {
        let quotients = slacks.iter().zip(self.witness.w()).map(|(slack, w)| slack / w);
        let quotient = greatest(quotients) * UP;
        self.rounding = Some(Rounding { measurement, quotient, is_close: true });
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
    fn rounding_that_is_bounded_without_a_look_at_the_matrix_covers_that_of_every_row() {
        for system in [gallery::diagonally_dominant(400, 2_000, 5), gallery::poisson_2d(20, 5)]
            .map(Result::unwrap)
        {
            let analysis = Analysis::of(&system);
            let mut proof = Proof::of(&analysis, system.rows(), SearchLimits::default());
            let x: Vec<f64> = (0..400).map(|row| ((row % 9) as f64 - 4.0) * 1e3).collect();
            let thresholds = Thresholds::Uniform(1e-8);
            let mut live = LiveSystem::new(system, &x, thresholds, 10_000).unwrap();
            if !proof.holds() {
                proof.search(&mut live, &Arc::default());
            }
            let slacks = live.measure_with_slacks();
            let held = proof.held.as_mut().expect("an H-matrix");
            let bound = held.rounding_at_most(&live);
            let by_rows = held.note_measurement(live.measurements(), &slacks);
            assert!(by_rows <= bound && bound <= 1e4 * by_rows, "{by_rows:e} and {bound:e}");
        }
    }

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
        proof.entry_changed(&applied.entries[0], live.matrix().nonzeros());
        assert!(proof.licence(live.matrix().version()).is_none() && proof.is_worth_a_search());
        let done = proof.search(&mut live, &Arc::default());
        assert!(done.description.contains("mended"), "{}", done.description);
        let licence = proof.licence(live.matrix().version()).expect("still an H-matrix");
        let Ground::HMatrix { margin } = licence.ground() else { panic!("no witness") };
        assert!(margin > 0.0);
        let stated = proof.overall(&mut live, f64::INFINITY);
        assert!(stated.absolute.is_finite() && stated.absolute > 0.0);
    }
}
