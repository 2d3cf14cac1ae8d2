//! The substitutions along paths, in groups of up to four columns of a run: their rows below the group
//! are the same, so that one pass over them serves all.
//!
//! Groups are counted from the end of a run. Whichever column a path enters at, every number is summed
//! in the same order, so results do not depend on what was asked before.

use super::structure::{Column, Structure};

/// Columns of a group.
const WIDTH: usize = 4;

/// The last column of the group that `column` belongs to.
#[inline(always)]
pub(super) fn group_end(column: usize, last: usize) -> usize {
    last - (last - column) / WIDTH * WIDTH
}

/// `u ← L⁻¹ u` for a `u` that is zero off the path of `first`; `values` are those of `L`. Touches the
/// entries of that path.
pub(super) fn forward(structure: &Structure, values: &[f64], u: &mut [f64], first: usize) {
    forward_until(structure, values, u, first, structure.count());
}

/// As [`forward`] for the columns of the path that come before `until`.
pub(super) fn forward_until(
    structure: &Structure,
    values: &[f64],
    u: &mut [f64],
    first: usize,
    until: usize,
) {
    assert!(values.len() == structure.entries() && u.len() == structure.count());
    assert!(first < structure.count());
    let mut column = first;
    while column < until {
        let last = structure.columns[column].last as usize;
        // SAFETY: the lengths were compared; runs and groups lie within the columns.
        unsafe { forward_run(structure, values, u, column, last, until) };
        match structure.rows_of(last).first() {
            Some(&parent) => column = parent as usize,
            None => return,
        }
    }
}

/// `u ← L⁻¹ u`, all entries.
pub(super) fn forward_all(structure: &Structure, values: &[f64], u: &mut [f64]) {
    assert!(values.len() == structure.entries() && u.len() == structure.count());
    let mut column = 0;
    while column < structure.count() {
        let last = structure.columns[column].last as usize;
        // SAFETY: as in `forward`.
        unsafe { forward_run(structure, values, u, column, last, last + 1) };
        column = last + 1;
    }
}

/// Columns `column..=last`, the end of a run, as far as they come before `until`.
///
/// # Safety
/// `values` has the length of the structure's entries, `u` that of its columns; `column ≤ last`, and
/// `last` is the last column of the run of `column`.
#[inline(always)]
unsafe fn forward_run(
    structure: &Structure,
    values: &[f64],
    u: &mut [f64],
    mut column: usize,
    last: usize,
    until: usize,
) {
    let stop = until.min(last + 1);
    while column < stop {
        let end = group_end(column, last).min(stop - 1);
        // SAFETY: the caller's promise; `column..=end` is a group of the run.
        unsafe {
            match end - column {
                0 => forward_group::<1>(structure, values, u, column),
                1 => forward_group::<2>(structure, values, u, column),
                2 => forward_group::<3>(structure, values, u, column),
                _ => forward_group::<4>(structure, values, u, column),
            }
        }
        column = end + 1;
    }
}

/// # Safety
/// As [`forward_run`]; `column..column + K` belong to one run.
#[inline(always)]
unsafe fn forward_group<const K: usize>(
    structure: &Structure,
    values: &[f64],
    u: &mut [f64],
    column: usize,
) {
    // SAFETY: columns of the structure name values and rows within their arrays, and rows are columns.
    unsafe {
        let columns: [Column; K] =
            std::array::from_fn(|k| *structure.columns.get_unchecked(column + k));
        let mut found = [0.0; K];
        for k in 0..K {
            let mut value = *u.get_unchecked(column + k);
            for (before, found) in found.iter().enumerate().take(k) {
                let slot = columns[before].start as usize + (k - before - 1);
                value -= values.get_unchecked(slot) * found;
            }
            found[k] = value;
            *u.get_unchecked_mut(column + k) = value;
        }
        let end = columns[K - 1];
        let len = end.len as usize;
        let rows = structure.rows.as_ptr().add(end.rows as usize);
        let below: [*const f64; K] =
            std::array::from_fn(|k| values.as_ptr().add(columns[k].start as usize + (K - 1 - k)));
        for at in 0..len {
            let target = u.get_unchecked_mut(*rows.add(at) as usize);
            let mut value = *target;
            for k in 0..K {
                value -= *below[k].add(at) * found[k];
            }
            *target = value;
        }
    }
}

/// What a backward substitution reads: `x = D⁻¹ y − (M − I)ᵀ x`.
#[derive(Clone, Copy)]
pub(super) struct Backward<'a> {
    pub structure: &'a Structure,
    /// `M`.
    pub values: &'a [f64],
    pub inverse_pivots: &'a [f64],
    pub y: &'a [f64],
}

impl Backward<'_> {
    /// Fills in `x` at the columns from `first` to the end of its run; above that run, `x` is known.
    pub fn run(&self, x: &mut [f64], first: usize) {
        let n = self.structure.count();
        assert!(self.values.len() == self.structure.entries());
        assert!(self.inverse_pivots.len() == n && self.y.len() == n && x.len() == n);
        let mut end = self.structure.columns[first].last as usize;
        loop {
            let start = first.max((end + 1).saturating_sub(WIDTH));
            // SAFETY: the lengths were compared; `start..=end` belong to the run.
            unsafe {
                match end - start {
                    0 => self.group::<1>(x, start),
                    1 => self.group::<2>(x, start),
                    2 => self.group::<3>(x, start),
                    _ => self.group::<4>(x, start),
                }
            }
            if start == first {
                return;
            }
            end = start - 1;
        }
    }

    /// # Safety
    /// All vectors have the structure's lengths; `column..column + K` belong to one run.
    #[inline(always)]
    unsafe fn group<const K: usize>(&self, x: &mut [f64], column: usize) {
        let structure = self.structure;
        // SAFETY: columns of the structure name values and rows within their arrays.
        unsafe {
            let columns: [Column; K] =
                std::array::from_fn(|k| *structure.columns.get_unchecked(column + k));
            let end = columns[K - 1];
            let len = end.len as usize;
            let rows = structure.rows.as_ptr().add(end.rows as usize);
            let below: [*const f64; K] = std::array::from_fn(|k| {
                self.values.as_ptr().add(columns[k].start as usize + (K - 1 - k))
            });
            let mut sums = [0.0; K];
            for at in 0..len {
                let known = *x.get_unchecked(*rows.add(at) as usize);
                for k in 0..K {
                    sums[k] += *below[k].add(at) * known;
                }
            }
            for k in (0..K).rev() {
                let own = column + k;
                let mut value =
                    self.y.get_unchecked(own) * self.inverse_pivots.get_unchecked(own) - sums[k];
                for after in k + 1..K {
                    let slot = columns[k].start as usize + (after - k - 1);
                    value -= self.values.get_unchecked(slot) * *x.get_unchecked(column + after);
                }
                *x.get_unchecked_mut(own) = value;
            }
        }
    }
}
