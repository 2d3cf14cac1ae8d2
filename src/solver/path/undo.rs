//! What a change of `A` has overwritten, until it is certain that it is kept: a refused change leaves every
//! bit as it was.

use super::factor::Factor;
use super::plan::PathForecast;
use super::rank_one::Side;
use super::structure::{Column, Structure};

/// What a refused change must put back: old values, column by column along the path.
#[derive(Debug)]
pub(super) struct Undo {
    /// For each column its `L` and then its `M`.
    pub values: Vec<f64>,
    /// For each column its pivot and `y`.
    pub scalars: Vec<[f64; 2]>,
    /// Columns that were rewritten.
    pub columns: usize,
    /// Single entries that were rewritten before: their triangle, place and old value.
    pub entries: Vec<(Side, u32, f64)>,
}

impl Undo {
    pub fn with_room(forecast: &PathForecast) -> Self {
        Self {
            values: vec![0.0; 2 * forecast.path_entries_max as usize],
            scalars: vec![[0.0; 2]; forecast.path_columns_max],
            columns: 0,
            entries: Vec::with_capacity(forecast.path_columns_max),
        }
    }

    pub fn forget(&mut self) {
        self.columns = 0;
        self.entries.clear();
    }

    /// Restores the columns rewritten on the path of `second`, then the single entries.
    pub fn put_back(
        &self,
        structure: &Structure,
        factor: &mut Factor,
        y: &mut [f64],
        second: usize,
    ) {
        let columns = structure.path(second).flatten().take(self.columns);
        let mut at = 0;
        for (column, [pivot, old_y]) in columns.zip(&self.scalars) {
            let Column { start, len, .. } = structure.columns[column];
            let (start, len) = (start as usize, len as usize);
            let old = &self.values[at..at + 2 * len];
            factor.lower[start..start + len].copy_from_slice(&old[..len]);
            factor.upper[start..start + len].copy_from_slice(&old[len..]);
            at += 2 * len;
            factor.pivots[column] = *pivot;
            factor.inverse_pivots[column] = 1.0 / pivot;
            y[column] = *old_y;
        }
        for &(side, slot, old) in &self.entries {
            match side {
                Side::Row => factor.upper[slot as usize] = old,
                Side::Column => factor.lower[slot as usize] = old,
            }
        }
    }

    pub fn bytes(&self) -> u64 {
        let entries = self.entries.capacity() * size_of::<(Side, u32, f64)>();
        (8 * self.values.len() + 16 * self.scalars.len() + entries) as u64
    }
}
