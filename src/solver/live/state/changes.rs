//! A delta at work: checked as a whole, then worked into `A`, `b` and `r`.

use super::{Applied, COUNTED_MAX, EntryChange, INVERSE_SLACK, LiveSystem, RhsChange};
use crate::solver::live::delta::{
    CostDelta, DeltaFault, DeltaMember, EditFault, EntryPlace, Planned, RhsPlace, note, plan,
};
use crate::solver::live::matrix::Slot;

/// What changes have put through a residual may be so many times what stays of the row; beyond that it is
/// measured afresh: the digits that were lost are those of the largest part.
const CANCELLATION: f64 = 64.0;

impl LiveSystem {
    /// Makes all of a delta's changes or none; `r` follows. O(1) for each edit, beside finding its place
    /// (O(log of the shorter of row and column)) and, unless the edits come sorted, their order.
    ///
    /// A merge of the overlay happens here when it pays, O(nnz) once for every nnz / 16 new entries.
    ///
    /// # Errors
    /// What is wrong with the edits, at most [`FAULTS_MAX`](crate::solver::live::FAULTS_MAX) of them; nothing has
    /// changed then.
    pub fn apply(&mut self, delta: &CostDelta) -> Result<Applied, Vec<DeltaFault>> {
        let mut faults = vec![];
        let rhs = self.plan_rhs(delta, &mut faults);
        let entries = self.plan_entries(delta, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let applied = Applied {
            rhs: rhs.into_iter().map(|planned| self.set_rhs(planned)).collect(),
            entries: entries.into_iter().map(|planned| self.set_entry(planned)).collect(),
        };
        if self.matrix.wants_merge() {
            self.merge();
        }
        Ok(applied)
    }

    fn plan_rhs(
        &self,
        delta: &CostDelta,
        faults: &mut Vec<DeltaFault>,
    ) -> Vec<Planned<RhsPlace, ()>> {
        let order = self.order();
        let check = |place: RhsPlace| check_row(place.row, order);
        plan(DeltaMember::Rhs, delta.rhs(), check, |place| ((), self.rhs[place.row]), faults)
    }

    fn plan_entries(
        &self,
        delta: &CostDelta,
        faults: &mut Vec<DeltaFault>,
    ) -> Vec<Planned<EntryPlace, Slot>> {
        let order = self.order();
        let check = |place: EntryPlace| {
            check_row(place.row, order)?;
            match place.col < order {
                true => Ok(()),
                false => Err(EditFault::ColOutOfRange { col: place.col, order }),
            }
        };
        let find = |place: EntryPlace| {
            let slot = self.matrix.locate(place.row, place.col);
            (slot, self.matrix.held(slot))
        };
        let mut planned = plan(DeltaMember::Entries, delta.entries(), check, find, faults);
        // A zero where nothing is stored is there already.
        planned.retain(|planned| planned.found != Slot::Absent || planned.value != 0.0);
        let room = self.matrix.entries_max() - self.matrix.nonzeros();
        let mut new = planned.iter().filter(|planned| planned.found == Slot::Absent);
        if let Some(first_beyond) = new.nth(room) {
            let place = first_beyond.place;
            let index = delta.entries().iter().position(|edit| edit.place == place);
            let index = index.expect("what is planned was asked for");
            let fault = EditFault::TooManyEntries { entries_max: self.matrix.entries_max() };
            note(faults, DeltaFault { member: DeltaMember::Entries, index, fault });
        }
        planned
    }

    fn set_rhs(&mut self, planned: Planned<RhsPlace, ()>) -> RhsChange {
        let (row, old, new) = (planned.place.row, planned.held, planned.value);
        self.rhs[row] = new;
        self.digests.rhs_changed(row, old, new);
        self.follow(row, new - old, new.abs());
        RhsChange { row, old, new }
    }

    fn set_entry(&mut self, planned: Planned<EntryPlace, Slot>) -> EntryChange {
        let (EntryPlace { row, col }, old, new) = (planned.place, planned.held, planned.value);
        let is_new = planned.found == Slot::Absent;
        self.matrix.set(row, col, planned.found, new);
        self.digests.entry_changed(row, col, old, new);
        if is_new {
            self.nodes[col].mark_overlaid();
            note_longer(&mut self.row_entries_max, self.matrix.row_len_up_to(row, COUNTED_MAX));
            let column_len = self.matrix.column_len_up_to(col, COUNTED_MAX);
            note_longer(&mut self.column_entries_max, column_len);
        }
        if row == col {
            self.nodes[row].set_diagonal(new);
            self.growth = self.growth.max(self.column_growth(col));
        } else {
            let growth = (new * self.nodes[col].inverse_diagonal()).abs() * INVERSE_SLACK;
            self.growth = self.growth.max(growth);
        }
        let x = self.nodes[col].x;
        self.follow(row, (old - new) * x, (new * x).abs());
        EntryChange { row, col, old, new, is_new }
    }

    /// `r[row] += change`, or a fresh residual where that would lose digits: `size` is what the change
    /// leaves in `b` or in `A x`.
    fn follow(&mut self, row: usize, change: f64, size: f64) {
        let node = &mut self.nodes[row];
        let parts = node.r.abs() + change.abs();
        node.r += change;
        self.interrupted = None;
        let left = node.r.abs() + size;
        // What is not finite is for the measurement to say.
        let is_safe = self.pass(row, parts) <= CANCELLATION * left;
        if is_safe {
            self.largest = self.largest.max(parts);
            self.drift += 4.0 * f64::EPSILON * parts;
        } else {
            self.measure_afresh(row);
        }
        self.mark(row);
    }
}

/// Raises `most` to a length, by one where the length was not counted to its end.
fn note_longer(most: &mut usize, length: Option<usize>) {
    *most = length.map_or(*most + 1, |length| length.max(*most));
}

fn check_row(row: usize, order: usize) -> Result<(), EditFault> {
    match row < order {
        true => Ok(()),
        false => Err(EditFault::RowOutOfRange { row, order }),
    }
}
