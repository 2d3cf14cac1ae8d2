//! The search for a witness as a set-up of its own: mends the one that has sunk where that takes little,
//! else looks for another. Pure functions of a matrix, run on the live one or, in the background, on a
//! snapshot; what changed since is followed here until the find is taken over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::assembly;
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::outcome::Work;
use crate::solver::proof::{SearchLimits, Witness, WitnessFault, search_unless};
use crate::solver::system::Rows;

/// Passes over `A` that mending a witness may take before another is searched for.
const MENDING_PASSES: u64 = 8;

/// Passes over `A` of mending in all: what it may push, and turning `A` into columns.
pub(super) const MENDING_PASSES_ALL: u64 = MENDING_PASSES + 4;

/// Passes over `A` that a search is foreseen to take.
pub(super) const SEARCH_PASSES: u64 = 40;

/// Changed places that are remembered one by one, as a part of the entries of `A`, and at least.
const PLACES_PART: usize = 8;
const PLACES_MIN: usize = 1_024;

/// Bytes of a place, with its share of the tree that holds it.
const PLACE_BYTES: u64 = 48;

/// What is to be searched.
#[derive(Debug)]
pub(super) struct WitnessTask {
    /// To be mended before another is looked for.
    pub sunk: Option<Witness>,
    pub limits: SearchLimits,
}

/// What a search led to.
#[derive(Debug)]
pub(super) struct Searched {
    pub found: Result<Witness, WitnessFault>,
    pub description: String,
    pub work: Work,
}

impl WitnessTask {
    /// Looks for a witness of `rows`, which are all of `A`.
    pub fn run(self, rows: Rows, unwanted: &Arc<AtomicBool>) -> Searched {
        let mut touched_entries = 0;
        if let Some(sunk) = self.sunk {
            let (mended, work) = mend(&sunk, rows);
            touched_entries += work.nonzeros;
            if let Some((witness, description)) = mended {
                return Searched { found: Ok(witness), description, work };
            }
        }
        let search = search_unless(rows, self.limits, unwanted);
        touched_entries += search.touched_entries;
        let description = match &search.found {
            Ok(_) => "witness of an H-matrix".to_owned(),
            Err(fault) => format!("no witness: {fault}"),
        };
        Searched { found: search.found, description, work: touching(touched_entries) }
    }

    /// What it is foreseen to take: some sweeps.
    pub fn work(&self, nonzeros: u64) -> Work {
        touching(SEARCH_PASSES * nonzeros)
    }

    /// Bytes that it holds at its peak: the witnesses, and the engine's copy of `A` with what it takes.
    pub fn peak_bytes(order: u64, nonzeros: u64) -> u64 {
        (24 + 24 + 40) * order + 2 * 12 * nonzeros
    }
}

impl Searched {
    pub fn memory_bytes(&self) -> u64 {
        self.found.as_ref().map_or(0, Witness::memory_bytes)
    }
}

/// Raises `v` around the rows that have sunk, on a copy: a repair that fails leaves a `v` that is larger
/// for nothing. The witness with what was done, and what that took.
pub(super) fn mend(sunk: &Witness, rows: Rows) -> (Option<(Witness, String)>, Work) {
    let n = rows.count();
    let entries = rows.values.len() as u64;
    let columns = assembly::transposed(n, rows.pointers, rows.indices, rows.values);
    let columns = columns.into_matrix(n, n);
    let mut witness = sunk.clone();
    let from = witness.rows_to_repair();
    let done = witness.repair(Rows::of(&columns), &from, MENDING_PASSES * entries);
    match done {
        Ok(done) if witness.holds() => {
            let description = format!("witness mended by {} pushes", done.pushes);
            (Some((witness, description)), touching(4 * entries + done.touched_entries))
        }
        Ok(_) | Err(_) => (None, touching(MENDING_PASSES_ALL * entries)),
    }
}

/// What has changed since the snapshot that a search works on: the value that each place had then.
#[derive(Debug, Default)]
pub(super) struct Followed {
    places: BTreeMap<(u32, u32), f64>,
    /// They were too many to be remembered.
    is_lost: bool,
}

impl Followed {
    /// `nonzeros` are those of `A`, which bound what is remembered.
    pub fn entry_changed(&mut self, change: &EntryChange, nonzeros: usize) {
        if self.is_lost {
            return;
        }
        self.places.entry((change.row as u32, change.col as u32)).or_insert(change.old);
        if self.places.len() > (nonzeros / PLACES_PART).max(PLACES_MIN) {
            self.places.clear();
            self.is_lost = true;
        }
    }

    /// Makes of a witness of the snapshot one of `A` as it is now, whose rows may have sunk; O(1) for each
    /// place that changed, or one pass over `A` where they were too many.
    ///
    /// # Errors
    /// The pass found it to be none.
    pub fn carry_over(
        &self,
        mut witness: Witness,
        live: &mut LiveSystem,
    ) -> Result<(Witness, Work), WitnessFault> {
        if self.is_lost {
            live.merge();
            let rows = live.matrix().stored_rows();
            let work = touching(2 * rows.values.len() as u64);
            return Ok((Witness::prove(rows, witness.v().to_vec())?, work));
        }
        for (&(row, col), &old) in &self.places {
            let (row, col) = (row as usize, col as usize);
            witness.entry_changed(row, col, old, live.matrix().value(row, col));
        }
        Ok((witness, touching(self.places.len() as u64)))
    }

    /// Calls for each place that changed with its row, its column, what it held and what it holds now;
    /// whether they were few enough to be remembered.
    pub fn each_change(
        &self,
        live: &LiveSystem,
        mut changed: impl FnMut(usize, usize, f64, f64),
    ) -> bool {
        for (&(row, col), &old) in &self.places {
            let (row, col) = (row as usize, col as usize);
            changed(row, col, old, live.matrix().value(row, col));
        }
        !self.is_lost
    }

    pub fn memory_bytes(&self) -> u64 {
        PLACE_BYTES * self.places.len() as u64
    }
}

fn touching(nonzeros: u64) -> Work {
    Work { nonzeros, flops: 2 * nonzeros }
}
