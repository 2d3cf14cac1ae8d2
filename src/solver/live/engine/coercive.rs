//! The bound that rests on a factorisation, where no witness holds: when it is sought, how it is made on a
//! snapshot, and what it says of the live state.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::live::engine::witness::Followed;
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::outcome::{Preparation, Work};
use crate::solver::proof::{CholeskyLimits, Coercivity, CoercivityFault, scaled_norm};
use crate::solver::system::Rows;

/// Operations of one factorisation for the sake of a bound: a second or so. Meanwhile no other long set-up
/// can be made.
const FLOPS_MAX: f64 = 2e9;

/// Bytes that the factor and its storage may take for each entry of `A`, and at least.
const ENTRY_BYTES: u64 = 128;
const BYTES_MIN: u64 = 4 << 20;

/// Bytes of the scaled symmetric part and its shifted copy, for each entry and each row.
const COPIES_BYTES: u64 = 4 * 12;

/// Entries that must change before another attempt; twice as many after each that led to nothing.
const RETRY_MIN: u64 = 16;

/// Passes over `A` that a proof is foreseen to take, unseen.
const PASSES: u64 = 400;

/// The proof under change, or why there is none.
#[derive(Debug, Default)]
pub(super) struct Coercive {
    held: Option<Coercivity>,
    /// At least `‖S s‖₂` of the rounding `s` of the measurement that this is of.
    measured: Option<(u64, f64)>,
    /// Entries changed since the last attempt, and how many are to be waited for.
    changed: u64,
    retry_after: u64,
}

/// A proof to be made on a snapshot.
#[derive(Debug)]
pub(super) struct CoercivityTask {
    limits: CholeskyLimits,
}

/// What it came to.
#[derive(Debug)]
pub(super) struct ProvenCoercivity {
    found: Result<Coercivity, CoercivityFault>,
    pub work: Work,
}

impl CoercivityTask {
    pub fn run(self, rows: Rows, unwanted: &Arc<AtomicBool>) -> ProvenCoercivity {
        let (found, work) = Coercivity::prove(rows, self.limits, unwanted);
        ProvenCoercivity { found, work }
    }

    pub fn work(&self, nonzeros: u64) -> Work {
        let nonzeros = PASSES * nonzeros;
        Work { nonzeros, flops: 2 * nonzeros }
    }

    /// Bytes at its peak, the snapshot aside.
    pub fn peak_bytes(&self, order: u64, nonzeros: u64) -> u64 {
        self.limits.memory_bytes_max + COPIES_BYTES * (order + nonzeros)
    }
}

impl ProvenCoercivity {
    pub fn memory_bytes(&self) -> u64 {
        self.found.as_ref().map_or(0, Coercivity::memory_bytes)
    }
}

impl Coercive {
    pub fn entry_changed(&mut self, change: &EntryChange) {
        self.changed += 1;
        if let Some(held) = &mut self.held {
            held.entry_changed(change.row, change.col, change.old, change.new);
        }
    }

    /// Whether a proof is missing, or so worn that another would bound far better.
    pub fn is_wanted(&self) -> bool {
        self.changed >= self.retry_after && self.held.as_ref().is_none_or(Coercivity::has_sunk)
    }

    /// A task that fits into the memory beside the snapshot; none where nothing would.
    pub fn task(
        &self,
        live: &LiveSystem,
        snapshot_bytes: u64,
        memory_bytes_max: u64,
    ) -> Option<CoercivityTask> {
        let (order, nonzeros) = (live.order() as u64, live.matrix().nonzeros() as u64);
        let copies = COPIES_BYTES * (order + nonzeros);
        let room = memory_bytes_max.checked_sub(snapshot_bytes.saturating_add(copies))?;
        let bytes_max = room.min(BYTES_MIN + ENTRY_BYTES * nonzeros);
        let limits = CholeskyLimits { memory_bytes_max: bytes_max, flops_max: FLOPS_MAX };
        (bytes_max >= 12 * order.max(1)).then_some(CoercivityTask { limits })
    }

    /// Takes over what was made of a snapshot, with what has changed since.
    pub fn take_over(
        &mut self,
        made: ProvenCoercivity,
        followed: &Followed,
        live: &LiveSystem,
    ) -> Preparation {
        let ProvenCoercivity { found, work } = made;
        let carried = found.map(|mut coercivity| {
            let is_followed = followed.each_change(live, |row, col, old, new| {
                coercivity.entry_changed(row, col, old, new);
            });
            coercivity.least().filter(|_| is_followed).map(|least| (coercivity, least))
        });
        let description = match carried {
            Ok(Some((coercivity, least))) => {
                self.held = Some(coercivity);
                self.measured = None;
                (self.changed, self.retry_after) = (0, RETRY_MIN);
                format!("proof that A is positive definite, by {least:.1e} when scaled")
            }
            Ok(None) => {
                self.put_off();
                "proof that A was positive definite, of which changes have left nothing".to_owned()
            }
            Err(fault) => {
                self.put_off();
                format!("no bound by a factorisation: {fault}")
            }
        };
        Preparation { description, work }
    }

    /// Another attempt has to wait for more changes than the last one.
    pub fn put_off(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.retry_after = self.retry_after.max(changed).saturating_mul(2).max(RETRY_MIN);
    }

    /// Bounds every `|x* − x|ᵢ / sᵢ`; none where nothing is proven. O(n), and O(nnz) the first time after
    /// each measurement.
    pub fn error_over_scale(&mut self, live: &mut LiveSystem) -> Option<f64> {
        self.held.as_mut()?.least()?;
        let slack = self.measured(live)?;
        let held = self.held.as_mut()?;
        let (scale, drift) = (held.scale(), live.drift());
        // What is kept differs from what is true by the drift in each row.
        let kept = live.nodes.iter().map(|node| (node.r.abs() + drift).next_up());
        let norm = (scaled_norm(scale, kept) + slack).next_up();
        held.error_over_scale(norm)
    }

    /// `s`; empty where there is no proof.
    pub fn scale(&self) -> &[f64] {
        self.held.as_ref().map_or(&[], Coercivity::scale)
    }

    /// At least every `sᵢ`.
    pub fn scale_max(&self) -> f64 {
        self.held.as_ref().map_or(0.0, Coercivity::scale_max)
    }

    /// What rounding of the last measurement can come to. It is measured anew for it, because `x` has moved
    /// since the last one.
    fn measured(&mut self, live: &mut LiveSystem) -> Option<f64> {
        if let Some((of, norm)) = self.measured
            && of == live.measurements()
        {
            return Some(norm);
        }
        let slacks = live.measure_with_slacks();
        self.note_measurement(live.measurements(), &slacks);
        self.measured.map(|(_, norm)| norm)
    }

    /// Takes in what rounding of a measurement can come to in each row. O(n).
    fn note_measurement(&mut self, measurement: u64, slacks: &[f64]) {
        self.measured = self
            .held
            .as_ref()
            .map(|held| (measurement, scaled_norm(held.scale(), slacks.iter().copied())));
    }

    pub fn memory_bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, Coercivity::memory_bytes)
    }
}
