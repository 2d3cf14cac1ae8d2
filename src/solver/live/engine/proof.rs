//! What is proven of a live system: the witness that `A` is an H-matrix, followed under changes, the
//! licence of relaxation that it founds, and the error bound that follows from it and the residual, or
//! from a proof that `A` is positive definite where there is no witness.

mod held;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::analysis::{Analysis, DominanceKind};
use crate::solver::live::engine::coercive::{Coercive, CoercivityTask, ProvenCoercivity};
use crate::solver::live::engine::report::{BoundKind, StatedBound};
use crate::solver::live::engine::witness::{
    Followed, MENDING_PASSES_ALL, SEARCH_PASSES, Searched, WitnessTask, mend,
};
use crate::solver::live::licence::{Ground, Licence};
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::outcome::{Preparation, Work};
use crate::solver::proof::{SearchLimits, Witness, WitnessFault};
use crate::solver::system::Rows;

use held::{Held, UP, greatest};

/// A search that found nothing is not repeated before so many entries have changed; twice as many
/// after each further one.
const RETRY_MIN: u64 = 16;

/// Witnesses that may come home sunk, one after the other, and be mended at once.
const SUNK_FREE: u32 = 3;

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
        self.held.as_ref().is_some_and(|held| held.witness().holds())
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
                format!("{} rows have lost what their witness needs", held.witness().sunk_rows())
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
        !self.is_beyond_mending && self.held.as_ref().is_some_and(|held| !held.witness().holds())
    }

    /// Searches a witness on the spot: mends the one that has sunk; where that fails, the next call looks
    /// for another.
    pub fn search(&mut self, live: &mut LiveSystem, unwanted: &Arc<AtomicBool>) -> Preparation {
        live.merge();
        let rows = live.matrix().stored_rows();
        if self.can_be_mended()
            && let Some(held) = &self.held
        {
            let (mended, work) = mend(held.witness(), rows);
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
        let task =
            WitnessTask { sunk: held.map(|held| held.witness().clone()), limits: self.limits };
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
        let held = self.held.as_mut().filter(|held| held.witness().holds())?;
        Licence::new(Ground::HMatrix { margin: held.margin() }, version).ok()
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
        let held = self.held.as_mut().filter(|held| held.witness().holds())?;
        Some(held.quotient(live, row_max))
    }

    /// The witness, where it holds.
    pub fn witness(&self) -> Option<&Witness> {
        self.held.as_ref().map(|held| held.witness()).filter(|witness| witness.holds())
    }

    pub fn memory_bytes(&self) -> u64 {
        let followed = self.out.as_ref().map_or(0, Followed::memory_bytes);
        let held = self.held.as_ref().map_or(0, |held| held.witness().memory_bytes());
        held + followed + self.coercive.memory_bytes()
    }
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
