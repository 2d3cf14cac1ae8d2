//! Entries of `A` that have come since the compressed arrays were built, reachable by row, by column
//! and by place. Owns the links; when the overlay is merged into the arrays is the matrix's decision.

use std::collections::BTreeMap;

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// Entries in order of arrival. A place is held once and never in the compressed arrays, too.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    entries: Vec<OverlayEntry>,
    places: BTreeMap<(u32, u32), u32>,
    /// The newest entry of each row and of each column; empty as long as there are no entries.
    row_heads: Vec<u32>,
    column_heads: Vec<u32>,
}

/// 24 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct OverlayEntry {
    pub value: f64,
    pub row: u32,
    pub col: u32,
    next_in_row: u32,
    next_in_column: u32,
}

/// What a place costs in the map: 12 bytes in leaves that are at least half full.
const PLACE_BYTES: usize = 28;

impl Overlay {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry, in order of arrival.
    pub fn entries(&self) -> &[OverlayEntry] {
        &self.entries
    }

    /// Where a place is. O(log entries), whatever the shape of the chains.
    pub fn find(&self, row: u32, col: u32) -> Option<u32> {
        match self.is_empty() {
            true => None,
            false => self.places.get(&(row, col)).copied(),
        }
    }

    pub fn value(&self, slot: u32) -> f64 {
        self.entries[slot as usize].value
    }

    pub fn set(&mut self, slot: u32, value: f64) {
        self.entries[slot as usize].value = value;
    }

    /// Adds an entry of an n by n matrix at a place that holds none. O(log entries), and O(n) for the
    /// first one.
    pub fn insert(&mut self, order: usize, row: u32, col: u32, value: f64) {
        if self.is_empty() {
            self.row_heads = vec![NONE; order];
            self.column_heads = vec![NONE; order];
        }
        // Growing by an eighth instead of doubling keeps the bound on memory.
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(self.entries.len() / 8 + 16);
        }
        let slot = self.entries.len() as u32;
        let displaced = self.places.insert((row, col), slot);
        assert!(displaced.is_none(), "a place is added once");
        let next_in_row = std::mem::replace(&mut self.row_heads[row as usize], slot);
        let next_in_column = std::mem::replace(&mut self.column_heads[col as usize], slot);
        self.entries.push(OverlayEntry { value, row, col, next_in_row, next_in_column });
    }

    /// Entries of a row, newest first.
    pub fn row(&self, row: usize) -> impl Iterator<Item = OverlayEntry> + '_ {
        let first = self.row_heads.get(row).copied().unwrap_or(NONE);
        self.chain(first, |entry| entry.next_in_row)
    }

    /// Entries of a column, newest first.
    pub fn column(&self, col: usize) -> impl Iterator<Item = OverlayEntry> + '_ {
        let first = self.column_heads.get(col).copied().unwrap_or(NONE);
        self.chain(first, |entry| entry.next_in_column)
    }

    fn chain(
        &self,
        first: u32,
        next: fn(&OverlayEntry) -> u32,
    ) -> impl Iterator<Item = OverlayEntry> + '_ {
        let mut at = first;
        std::iter::from_fn(move || {
            let entry = *self.entries.get(at as usize)?;
            at = next(&entry);
            Some(entry)
        })
    }

    /// All entries sorted by row and column; the overlay is empty afterwards and holds no memory.
    pub fn take_sorted(&mut self) -> Vec<OverlayEntry> {
        let overlay = std::mem::take(self);
        drop(overlay.places);
        drop(overlay.row_heads);
        drop(overlay.column_heads);
        let mut entries = overlay.entries;
        entries.sort_unstable_by_key(|entry| (entry.row, entry.col));
        entries
    }

    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<OverlayEntry>()
            + self.places.len() * PLACE_BYTES
            + (self.row_heads.capacity() + self.column_heads.capacity()) * size_of::<u32>()
    }
}
