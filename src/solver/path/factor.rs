//! `P A Pᵀ = L D Mᵀ` without pivoting: `L` and `M` unit lower triangular on one pattern, `D` diagonal.
//! For symmetric `A`, `M` equals `L` to the bit.
//!
//! Left-looking by runs: a run first collects what earlier runs subtract from its columns, in contiguous
//! scratch with one scatter at the end, then eliminates within itself.
//!
//! Source: Ng and Peyton, *Block sparse Cholesky algorithms on advanced uniprocessor computers*, SIAM J.
//! Sci. Comput. 14 (1993), carried over to two factors.

use std::sync::atomic::{AtomicBool, Ordering};

use super::refusal::PathRefusal;
use super::structure::{Column, Structure};
use super::tree::NONE;
use crate::solver::huge_pages;
use crate::solver::system::Rows;

/// A pivot that is a smaller part of the terms that it was summed from is only their rounding.
const PIVOT_MIN: f64 = 1e-14;

/// Values on a [`Structure`]; columns hold what its [`Column`]s say.
#[derive(Debug)]
pub(super) struct Factor {
    pub lower: Vec<f64>,
    /// Column `c` of `M`, which is row `c` of the unit upper triangle.
    pub upper: Vec<f64>,
    pub pivots: Vec<f64>,
    pub inverse_pivots: Vec<f64>,
    /// The largest part of its terms that cancelled in a pivot: `Σ|terms| / |pivot|`.
    pub cancellation: f64,
}

/// Bytes that a factorisation takes beside the factor.
pub(super) fn scratch_bytes(n: usize) -> u64 {
    48 * n as u64
}

/// What a factorisation keeps while it runs.
struct Scratch {
    /// `Σ|terms|` of each pivot.
    magnitudes: Vec<f64>,
    /// Position of a row in the row list of the run at work.
    places: Vec<u32>,
    /// Earlier runs that reach into a run next, by their last columns, as linked lists.
    waiting: Vec<u32>,
    next: Vec<u32>,
    /// How many rows below a run have been served.
    served: Vec<u32>,
    lower_sums: Vec<f64>,
    upper_sums: Vec<f64>,
}

impl Factor {
    /// Factorises `A`; about `flops` of the plan.
    ///
    /// # Errors
    /// [`PathRefusal::VanishingPivot`], [`OutsideFill`](PathRefusal::OutsideFill),
    /// [`OtherOrder`](PathRefusal::OtherOrder), [`Unwanted`](PathRefusal::Unwanted).
    pub fn compute(
        structure: &Structure,
        rows: Rows,
        unwanted: &AtomicBool,
    ) -> Result<Self, PathRefusal> {
        let n = structure.count();
        if rows.count() != n {
            return Err(PathRefusal::OtherOrder { expected: n, found: rows.count() });
        }
        let mut factor = Self {
            lower: huge_pages::zeros(structure.entries()),
            upper: huge_pages::zeros(structure.entries()),
            pivots: vec![0.0; n],
            inverse_pivots: vec![0.0; n],
            cancellation: 1.0,
        };
        factor.place(structure, rows)?;
        let mut scratch = Scratch {
            magnitudes: factor.pivots.iter().map(|pivot| pivot.abs()).collect(),
            places: vec![0; n],
            waiting: vec![NONE; n],
            next: vec![NONE; n],
            served: vec![0; n],
            lower_sums: vec![0.0; n],
            upper_sums: vec![0.0; n],
        };
        let mut first = 0;
        while first < n {
            if unwanted.load(Ordering::Relaxed) {
                return Err(PathRefusal::Unwanted);
            }
            let last = structure.columns[first].last as usize;
            factor.collect(structure, first, &mut scratch);
            for column in first..=last {
                factor.eliminate(structure, first, column, &mut scratch)?;
            }
            scratch.wait(structure, last, 0);
            first = last + 1;
        }
        Ok(factor)
    }

    /// Puts the entries of `A` where the factors' will stand.
    fn place(&mut self, structure: &Structure, rows: Rows) -> Result<(), PathRefusal> {
        for (row, &at_row) in structure.position.iter().enumerate() {
            let (cols, values) = rows.row(row);
            for (&col, &value) in cols.iter().zip(values) {
                let at_col = structure.position[col as usize];
                if at_row == at_col {
                    self.pivots[at_row as usize] = value;
                    continue;
                }
                let slot = structure
                    .slot(at_row.min(at_col), at_row.max(at_col))
                    .ok_or(PathRefusal::OutsideFill { row, col: col as usize })?;
                let triangle = if at_row > at_col { &mut self.lower } else { &mut self.upper };
                triangle[slot] = value;
            }
        }
        Ok(())
    }

    /// Subtracts what earlier runs contribute to the columns of the run that starts at `first`.
    fn collect(&mut self, structure: &Structure, first: usize, scratch: &mut Scratch) {
        let last = structure.columns[first].last as usize;
        let list = (first..=last).chain(below(structure, last).iter().map(|&row| row as usize));
        for (place, row) in (0..).zip(list) {
            scratch.places[row] = place;
        }
        let mut source = std::mem::replace(&mut scratch.waiting[last], NONE);
        while source != NONE {
            let after = scratch.next[source as usize];
            let source_rows = below(structure, source as usize);
            let from = scratch.served[source as usize] as usize;
            let reached = source_rows[from..].iter().take_while(|&&row| row as usize <= last);
            let to = from + reached.count();
            for at in from..to {
                self.subtract(structure, first, source as usize, at, scratch);
            }
            scratch.wait(structure, source as usize, to);
            source = after;
        }
    }

    /// Subtracts the run that ends at `source` from the column that is the `at`-th row below it.
    fn subtract(
        &mut self,
        structure: &Structure,
        first: usize,
        source: usize,
        at: usize,
        scratch: &mut Scratch,
    ) {
        let source_rows = below(structure, source);
        let target = source_rows[at] as usize;
        let rest = source_rows.len() - at - 1;
        let (lower_sums, upper_sums) =
            (&mut scratch.lower_sums[..rest], &mut scratch.upper_sums[..rest]);
        lower_sums.fill(0.0);
        upper_sums.fill(0.0);
        for column in structure.run_start(source)..=source {
            let Column { start, last, .. } = structure.columns[column];
            let entry = (start + last) as usize - column + at;
            let (own_lower, own_upper) = (self.lower[entry], self.upper[entry]);
            let pivot = self.pivots[column];
            let term = own_lower * (pivot * own_upper);
            self.pivots[target] -= term;
            scratch.magnitudes[target] += term.abs();
            add_scaled(lower_sums, pivot * own_upper, &self.lower[entry + 1..][..rest]);
            add_scaled(upper_sums, pivot * own_lower, &self.upper[entry + 1..][..rest]);
        }
        let start = structure.columns[target].start as usize;
        // The row that has place `target − first` is the target's own diagonal.
        let own_place = target - first + 1;
        for ((row, lower), upper) in source_rows[at + 1..].iter().zip(lower_sums).zip(upper_sums) {
            let slot = start + scratch.places[*row as usize] as usize - own_place;
            self.lower[slot] -= *lower;
            self.upper[slot] -= *upper;
        }
    }

    /// Subtracts the earlier columns of its run from a column, checks its pivot and divides by it.
    fn eliminate(
        &mut self,
        structure: &Structure,
        first: usize,
        column: usize,
        scratch: &mut Scratch,
    ) -> Result<(), PathRefusal> {
        let Column { start, len, .. } = structure.columns[column];
        let (start, len) = (start as usize, len as usize);
        let (done_lower, own_lower) = self.lower.split_at_mut(start);
        let (done_upper, own_upper) = self.upper.split_at_mut(start);
        let (own_lower, own_upper) = (&mut own_lower[..len], &mut own_upper[..len]);
        for earlier in first..column {
            let entry = structure.columns[earlier].start as usize + column - earlier - 1;
            let (lower, upper) = (done_lower[entry], done_upper[entry]);
            let pivot = self.pivots[earlier];
            let term = lower * (pivot * upper);
            self.pivots[column] -= term;
            scratch.magnitudes[column] += term.abs();
            add_scaled(own_lower, -(pivot * upper), &done_lower[entry + 1..][..len]);
            add_scaled(own_upper, -(pivot * lower), &done_upper[entry + 1..][..len]);
        }
        let (pivot, magnitude) = (self.pivots[column], scratch.magnitudes[column]);
        let inverse = 1.0 / pivot;
        if !(pivot.abs() > PIVOT_MIN * magnitude && magnitude.is_finite() && inverse.is_finite()) {
            let row = structure.order[column] as usize;
            return Err(PathRefusal::VanishingPivot { row, pivot, magnitude });
        }
        self.cancellation = self.cancellation.max(magnitude / pivot.abs());
        self.inverse_pivots[column] = inverse;
        own_lower.iter_mut().for_each(|value| *value *= inverse);
        own_upper.iter_mut().for_each(|value| *value *= inverse);
        Ok(())
    }
}

impl Scratch {
    /// Queues a run, of whose rows `served` are done, at the run of its next row.
    fn wait(&mut self, structure: &Structure, run: usize, served: usize) {
        if let Some(&row) = below(structure, run).get(served) {
            let host = structure.columns[row as usize].last as usize;
            self.served[run] = served as u32;
            self.next[run] = std::mem::replace(&mut self.waiting[host], run as u32);
        }
    }
}

/// The rows below a run, by its last column.
fn below(structure: &Structure, last: usize) -> &[u32] {
    structure.rows_of(last)
}

/// `sums += factor · values`.
fn add_scaled(sums: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}
