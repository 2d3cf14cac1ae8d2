//! `A` under change: compressed rows and compressed columns kept together, and an overlay for entries
//! that neither has yet. Owns where an entry is and what it holds; `b`, `x` and `r` are the state's.

use crate::solver::huge_pages;
use crate::solver::live::delta::EditFault;
use crate::solver::live::overlay::Overlay;
use crate::solver::stencils::Stencils;
use crate::solver::system::{CsrMatrix, Rows};

/// The most entries a live matrix can hold: column ends share their word with a mark.
pub const ENTRIES_MAX: usize = (1 << 31) - 1;

/// The overlay is merged when it holds more than this part of the arrays' entries. A merge costs about
/// two dozen memory accesses for each entry that it brings in, and an overlay of this size makes a push
/// or a product a few percent dearer.
const OVERLAY_PART: usize = 16;

/// An overlay this small is not worth a merge.
const OVERLAY_KEPT: usize = 256;

/// A square matrix, n by n, whose entries change.
///
/// 32 bytes for each entry (value and index by row and by column, and a link each way), 8 for each row,
/// and 52 for each entry of the overlay, of which there are at most one for [`OVERLAY_PART`] others. A
/// merge frees the columns before it copies the rows, so it needs no more than that at any time.
#[derive(Debug, Clone)]
pub struct LiveMatrix {
    row_pointers: Vec<u32>,
    col_indices: Vec<u32>,
    row_values: Vec<f64>,
    /// Where the stored rows repeat their shape.
    stencils: Option<Stencils>,
    /// Where each entry of the rows is in the columns.
    column_slots: Vec<u32>,
    column_pointers: Vec<u32>,
    column_entries: Vec<ColumnEntry>,
    /// Where each entry of the columns is in the rows.
    row_slots: Vec<u32>,
    overlay: Overlay,
    version: u64,
    entries_max: usize,
}

/// An entry of a column: 12 bytes, so that a short column is one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(super) struct ColumnEntry {
    pub row: u32,
    pub value: f64,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Stored { in_row: u32, in_column: u32 },
    Overlaid(u32),
    Absent,
}

impl LiveMatrix {
    /// Builds the columns beside the rows. O(nnz + n). `entries_max` bounds what changes may add.
    ///
    /// # Errors
    /// `A` has more entries than `entries_max` or [`ENTRIES_MAX`].
    pub fn new(matrix: CsrMatrix, entries_max: usize) -> Result<Self, EditFault> {
        let entries_max = entries_max.min(ENTRIES_MAX);
        if matrix.nnz() > entries_max {
            return Err(EditFault::TooManyEntries { entries_max });
        }
        let (row_pointers, col_indices, row_values) = matrix.into_raw_storage();
        huge_pages::gather(&row_pointers);
        huge_pages::gather(&col_indices);
        huge_pages::gather(&row_values);
        let mut live = Self {
            row_pointers,
            col_indices,
            row_values,
            stencils: None,
            column_slots: vec![],
            column_pointers: vec![],
            column_entries: vec![],
            row_slots: vec![],
            overlay: Overlay::default(),
            version: 0,
            entries_max,
        };
        live.index_rows();
        Ok(live)
    }

    /// n.
    pub fn order(&self) -> usize {
        self.row_pointers.len() - 1
    }

    /// Stored entries, zeros among them.
    pub fn nonzeros(&self) -> usize {
        self.row_values.len() + self.overlay.len()
    }

    /// Counts changes of entries. What was proven of one version need not hold for the next.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Stored entries that are not in the compressed arrays yet.
    pub fn overlaid(&self) -> usize {
        self.overlay.len()
    }

    /// The value at `(row, col)`, 0 where nothing is stored. O(log) of the shorter of row and column.
    pub fn value(&self, row: usize, col: usize) -> f64 {
        self.held(self.locate(row, col))
    }

    /// `A` as compressed rows, while no entry is outside them: see [`LiveMatrix::merge`].
    pub fn rows(&self) -> Option<Rows<'_>> {
        self.overlay.is_empty().then(|| self.stored_rows())
    }

    /// Columns and values of a row: ascending, then what the overlay holds, newest first.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (u32, f64)> + '_ {
        let (cols, values) = self.stored_rows().row(row);
        let stored = cols.iter().copied().zip(values.iter().copied());
        stored.chain(self.overlay.row(row).map(|entry| (entry.col, entry.value)))
    }

    /// Rows and values of a column, in the same order.
    pub fn column(&self, col: usize) -> impl Iterator<Item = (u32, f64)> + '_ {
        let stored = self.column_range(col).map(|slot| {
            let entry = self.column_entries[slot];
            (entry.row, entry.value)
        });
        stored.chain(self.overlay.column(col).map(|entry| (entry.row, entry.value)))
    }

    /// Stored entries of a row. O(1 + those of the overlay).
    pub fn row_entries(&self, row: usize) -> usize {
        self.row_range(row).len() + self.overlay.row(row).count()
    }

    /// `y = A x`. One pass over the entries.
    pub fn product(&self, x: &[f64], y: &mut [f64]) {
        self.stored_rows().product(x, y);
        for entry in self.overlay.entries() {
            y[entry.row as usize] += entry.value * x[entry.col as usize];
        }
    }

    /// `r = b − A x`. One pass over the entries.
    pub(super) fn residual(&self, x: &[f64], b: &[f64], r: &mut [f64]) {
        self.stored_rows().residual(x, b, r);
        for entry in self.overlay.entries() {
            r[entry.row as usize] -= entry.value * x[entry.col as usize];
        }
    }

    /// A copy as a system with the right-hand side `b`, entries that are 0 left out of the overlay's.
    /// O(nnz).
    pub fn to_matrix(&self) -> CsrMatrix {
        let (pointers, indices, values) = match self.overlay.is_empty() {
            true => (self.row_pointers.clone(), self.col_indices.clone(), self.row_values.clone()),
            false => self.merged_rows(&self.overlay.clone().take_sorted()),
        };
        CsrMatrix::new((self.order(), self.order()), pointers, indices, values)
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> u64 {
        let words = self.row_pointers.capacity()
            + self.col_indices.capacity()
            + self.column_slots.capacity()
            + self.column_pointers.capacity()
            + self.row_slots.capacity();
        let entries = self.column_entries.capacity() * size_of::<ColumnEntry>();
        let values = self.row_values.capacity() * size_of::<f64>();
        let stencils = self.stencils.as_ref().map_or(0, Stencils::memory_bytes);
        (words * size_of::<u32>() + entries + values + self.overlay.memory_bytes()) as u64
            + stencils
    }

    /// Whether the overlay has grown so far that merging it pays.
    pub fn wants_merge(&self) -> bool {
        self.overlay.len() > (self.row_values.len() / OVERLAY_PART).max(OVERLAY_KEPT)
    }

    /// Brings the overlay into the compressed arrays; entries of the overlay that are 0 again are
    /// dropped. O(nnz + n), nothing if the overlay is empty. No value changes.
    pub fn merge(&mut self) {
        if self.overlay.is_empty() {
            return;
        }
        self.column_entries = vec![];
        self.column_slots = vec![];
        self.row_slots = vec![];
        let added = self.overlay.take_sorted();
        let (pointers, indices, values) = self.merged_rows(&added);
        drop(added);
        self.row_pointers = pointers;
        self.col_indices = indices;
        self.row_values = values;
        self.index_rows();
    }

    pub(super) fn entries_max(&self) -> usize {
        self.entries_max
    }

    /// Finds an entry. O(log) of the shorter of its row and its column.
    pub(super) fn locate(&self, row: usize, col: usize) -> Slot {
        let in_row = self.row_range(row);
        let in_column = self.column_range(col);
        let stored = if in_row.len() <= in_column.len() {
            let found = self.col_indices[in_row.clone()].binary_search(&(col as u32));
            found.ok().map(|at| {
                let slot = in_row.start + at;
                (slot as u32, self.column_slots[slot])
            })
        } else {
            let entries = &self.column_entries[in_column.clone()];
            let found = entries.binary_search_by_key(&(row as u32), |entry| entry.row);
            found.ok().map(|at| {
                let slot = in_column.start + at;
                (self.row_slots[slot], slot as u32)
            })
        };
        match stored {
            Some((in_row, in_column)) => Slot::Stored { in_row, in_column },
            None => match self.overlay.find(row as u32, col as u32) {
                Some(slot) => Slot::Overlaid(slot),
                None => Slot::Absent,
            },
        }
    }

    /// The value at a place that was located.
    pub(super) fn held(&self, slot: Slot) -> f64 {
        match slot {
            Slot::Stored { in_row, .. } => self.row_values[in_row as usize],
            Slot::Overlaid(slot) => self.overlay.value(slot),
            Slot::Absent => 0.0,
        }
    }

    /// Writes a value at a place that was located since the last merge. O(1), O(log overlay) if new.
    pub(super) fn set(&mut self, row: usize, col: usize, slot: Slot, value: f64) {
        self.version += 1;
        match slot {
            Slot::Stored { in_row, in_column } => {
                self.row_values[in_row as usize] = value;
                self.column_entries[in_column as usize].value = value;
            }
            Slot::Overlaid(slot) => self.overlay.set(slot, value),
            Slot::Absent => {
                self.overlay.insert(self.order(), row as u32, col as u32, value);
            }
        }
    }

    /// Writes into a stored row what the columns hold of it; returns what it held.
    pub(super) fn row_from_columns(&mut self, row: usize) -> Vec<f64> {
        let range = self.row_range(row);
        let held = self.row_values[range.clone()].to_vec();
        for slot in range {
            self.row_values[slot] = self.column_entries[self.column_slots[slot] as usize].value;
        }
        held
    }

    /// Writes the values of a stored row, and nothing else.
    pub(super) fn write_row(&mut self, row: usize, values: &[f64]) {
        let range = self.row_range(row);
        self.row_values[range].copy_from_slice(values);
    }

    /// Makes the columns anew from the rows. O(nnz + n). Nothing may wait in the overlay.
    pub(super) fn rebuild_columns(&mut self) {
        debug_assert!(self.overlay.is_empty(), "the overlay was merged");
        self.build_columns();
    }

    /// Alters the first entry of a row where the rows are stored, and nowhere else.
    pub(super) fn alter_first(&mut self, row: usize, by: f64) {
        if let Some(slot) = self.row_range(row).next() {
            self.row_values[slot] += by;
        }
    }

    /// Alters the first entry of a column where the columns are stored, and nowhere else.
    #[cfg(test)]
    pub(super) fn alter_column(&mut self, col: usize, by: f64) {
        let slot = self.column_range(col).start;
        let altered = self.column_entries[slot].value + by;
        self.column_entries[slot].value = altered;
    }

    pub(super) fn stored_rows(&self) -> Rows<'_> {
        let stencils = self.stencils.as_ref();
        let rows = Rows::plain(&self.row_pointers, &self.col_indices, &self.row_values);
        Rows { stencils, ..rows }
    }

    pub(super) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    pub(super) fn column_entries(&self) -> &[ColumnEntry] {
        &self.column_entries
    }

    /// Where the stored entries of a column are.
    pub(super) fn column_range(&self, col: usize) -> std::ops::Range<usize> {
        self.column_pointers[col] as usize..self.column_pointers[col + 1] as usize
    }

    /// Entries of a row; none where the overlay holds more than `counted_max` of them.
    pub(super) fn row_len_up_to(&self, row: usize, counted_max: usize) -> Option<usize> {
        let overlaid = self.overlay.row(row).take(counted_max + 1).count();
        (overlaid <= counted_max).then(|| self.row_range(row).len() + overlaid)
    }

    /// The same of a column.
    pub(super) fn column_len_up_to(&self, col: usize, counted_max: usize) -> Option<usize> {
        let overlaid = self.overlay.column(col).take(counted_max + 1).count();
        (overlaid <= counted_max).then(|| self.column_range(col).len() + overlaid)
    }

    fn row_range(&self, row: usize) -> std::ops::Range<usize> {
        self.row_pointers[row] as usize..self.row_pointers[row + 1] as usize
    }

    /// The rows with entries `added`, sorted by place, in their places.
    fn merged_rows(
        &self,
        added: &[crate::solver::live::overlay::OverlayEntry],
    ) -> (Vec<u32>, Vec<u32>, Vec<f64>) {
        let entries = self.row_values.len() + added.len();
        let mut pointers = Vec::with_capacity(self.row_pointers.len());
        let mut indices = Vec::with_capacity(entries);
        let mut values = Vec::with_capacity(entries);
        let mut added = added.iter().filter(|entry| entry.value != 0.0).peekable();
        pointers.push(0);
        for row in 0..self.order() {
            let (cols, held) = self.stored_rows().row(row);
            for (&col, &value) in cols.iter().zip(held) {
                while let Some(new) = added.next_if(|new| (new.row, new.col) < (row as u32, col)) {
                    indices.push(new.col);
                    values.push(new.value);
                }
                indices.push(col);
                values.push(value);
            }
            while let Some(new) = added.next_if(|new| new.row == row as u32) {
                indices.push(new.col);
                values.push(new.value);
            }
            pointers.push(indices.len() as u32);
        }
        (pointers, indices, values)
    }

    /// What is kept beside the rows to find one's way in them.
    fn index_rows(&mut self) {
        self.stencils = Stencils::of(&self.row_pointers, &self.col_indices);
        self.build_columns();
    }

    /// Columns and links from the rows.
    fn build_columns(&mut self) {
        let entries = self.row_values.len();
        let mut next = column_starts(self.order(), &self.col_indices);
        self.column_entries = huge_pages::filled(ColumnEntry { row: 0, value: 0.0 }, entries);
        self.column_slots = huge_pages::filled(0, entries);
        self.row_slots = huge_pages::filled(0, entries);
        for row in 0..self.order() {
            for slot in self.row_range(row) {
                let at = &mut next[self.col_indices[slot] as usize];
                let value = self.row_values[slot];
                self.column_entries[*at as usize] = ColumnEntry { row: row as u32, value };
                self.column_slots[slot] = *at;
                self.row_slots[*at as usize] = slot as u32;
                *at += 1;
            }
        }
        // Each start has moved to its column's end, which is where the next column starts.
        next.rotate_right(1);
        next[0] = 0;
        self.column_pointers = next;
    }
}

/// Where each column starts; one more place at the end, for the pointers that this becomes.
fn column_starts(order: usize, col_indices: &[u32]) -> Vec<u32> {
    let mut starts = vec![0u32; order + 1];
    for &col in col_indices {
        starts[col as usize] += 1;
    }
    let mut total = 0;
    for start in &mut starts {
        total += std::mem::replace(start, total);
    }
    starts
}
