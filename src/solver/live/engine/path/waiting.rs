//! What has changed since a factor was true, until it is worked in. A factor that is still being made
//! in the background is followed the same way, from the moment of its snapshot.

use std::collections::BTreeMap;

use crate::solver::live::state::{EntryChange, RhsChange};
use crate::solver::path::PathForecast;

/// A changed entry of `A` costs this many times its path: both triangles, read and written.
pub(super) const CHANGE_PASSES: f64 = 4.0;

/// Operations that take as long as touching one entry.
pub(super) const FLOPS_PER_ENTRY: f64 = 4.0;

/// Bytes of a place that waits, with its share of the tree that holds it.
const PLACE_BYTES: u64 = 48;

/// For each place that has changed, what the factor and `y` hold there.
///
/// Bounded: when working the places in would take longer than factorising anew, they are forgotten and
/// all of it is outdated.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub entries: BTreeMap<(u32, u32), f64>,
    pub rhs: BTreeMap<u32, f64>,
    /// All of it is to be made anew.
    pub is_outdated: bool,
    pub rhs_is_outdated: bool,
}

impl Waiting {
    pub fn rhs_changed(&mut self, change: &RhsChange, forecast: &PathForecast) {
        if self.rhs_is_outdated || self.is_outdated {
            return;
        }
        self.rhs.entry(change.row as u32).or_insert(change.old);
        let path = forecast.path_entries_mean;
        if self.rhs.len() as f64 * path > forecast.entries as f64 + path {
            // A pass over all of `L` is shorter.
            self.rhs.clear();
            self.rhs_is_outdated = true;
        }
    }

    pub fn entry_changed(&mut self, change: &EntryChange, forecast: &PathForecast) {
        if self.is_outdated {
            return;
        }
        self.entries.entry((change.row as u32, change.col as u32)).or_insert(change.old);
        let flops = self.entries.len() as f64 * CHANGE_PASSES * forecast.path_entries_mean;
        if flops * FLOPS_PER_ENTRY > forecast.flops + 1e5 {
            self.outdate();
        }
    }

    /// Nothing of the factor is to be used any more.
    pub fn outdate(&mut self) {
        self.entries.clear();
        self.rhs.clear();
        self.is_outdated = true;
    }

    /// Entries to be touched before the factor is true.
    pub fn work(&self, forecast: &PathForecast) -> u64 {
        let changes = CHANGE_PASSES * self.entries.len() as f64 + self.rhs.len() as f64;
        let whole = if self.rhs_is_outdated { forecast.entries } else { 0 };
        (changes * forecast.path_entries_mean) as u64 + whole
    }

    pub fn memory_bytes(&self) -> u64 {
        PLACE_BYTES * (self.entries.len() + self.rhs.len()) as u64
    }
}
