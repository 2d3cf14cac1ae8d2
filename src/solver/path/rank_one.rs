//! A changed entry of `A`, worked into the factor and `y` along one path.
//!
//! `A + u vᵀ` keeps the pattern. Column by column, with `p = uⱼ`, `q = vⱼ` and the running ratio of
//! determinants `σ` (1 at first):
//!
//! ```text
//! σ' = σ + p q / dⱼ            dⱼ' = dⱼ σ' / σ
//! u −= p Lⱼ   Lⱼ += (q / dⱼ σ') u        v −= q Mⱼ   Mⱼ += (p / dⱼ σ') v
//! yⱼ' = yⱼ + τ p               τ −= (q / dⱼ σ') yⱼ'
//! ```
//!
//! The first two lines are Bennett's with `1/σ` in place of his scalar: between one column and the next
//! stands an addition, no division. The third keeps `L' y' = L y`: what the change of `L` does to the
//! right-hand side of each column is a multiple `τ` of `u`, so that `y` costs nothing beside.

use super::engine::PathEngine;
use super::factor::Factor;
use super::groups::group_end;
use super::lanes::Two;
use super::plan::PathForecast;
use super::refusal::ChangeRefusal;
use super::structure::{Column, Structure};

/// A pivot that would shrink below this part of itself loses too many digits.
const PIVOT_SHARE_MIN: f64 = 1e-8;

/// Numbers of an update beyond this are refused, so that none can leave the range of numbers.
const SIZE_MAX: f64 = 1e100;

/// Smaller pivots, and the inverses of smaller ones, are refused for the same reason.
const PIVOT_SIZE_MIN: f64 = 1e-300;

/// What a change of `A` did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntryChange {
    /// Entries of `L` that were rewritten, and as many of `M`.
    pub touched_entries: u64,
    /// The smallest part that was left of a pivot; 1 where none shrank.
    pub pivot_share_min: f64,
}

/// What a refused change must put back: old values, column by column along the path.
#[derive(Debug)]
pub(super) struct Undo {
    /// For each column its `L` and then its `M`.
    values: Vec<f64>,
    /// For each column its pivot and `y`.
    scalars: Vec<[f64; 2]>,
}

impl Undo {
    pub fn with_room(forecast: &PathForecast) -> Self {
        Self {
            values: vec![0.0; 2 * forecast.path_entries_max as usize],
            scalars: vec![[0.0; 2]; forecast.path_columns_max],
        }
    }

    pub fn bytes(&self) -> u64 {
        8 * self.values.len() as u64 + 16 * self.scalars.len() as u64
    }
}

/// The scalars of an update between two columns.
#[derive(Debug, Clone, Copy)]
struct Running {
    ratio: f64,
    inverse_ratio: f64,
    shift: f64,
    share_min: f64,
}

/// Vectors that an update writes; all as long as the structure says.
struct Written<'a> {
    structure: &'a Structure,
    factor: &'a mut Factor,
    y: &'a mut [f64],
    u: &'a mut [f64],
    v: &'a mut [f64],
    undo: &'a mut Undo,
    undo_values: usize,
    undo_columns: usize,
}

impl PathEngine {
    /// `aᵢⱼ += delta`, for `i = j` or an entry within the fill of the factor.
    ///
    /// # Errors
    /// [`ChangeRefusal::OutOfBounds`], [`NotFinite`](ChangeRefusal::NotFinite);
    /// [`OutsideFill`](ChangeRefusal::OutsideFill) and
    /// [`VanishingPivot`](ChangeRefusal::VanishingPivot), after which the changed matrix must be
    /// factorised; [`Overflow`](ChangeRefusal::Overflow). A refused change changes nothing, to the bit.
    pub fn change_entry(
        &mut self,
        row: usize,
        col: usize,
        delta: f64,
    ) -> Result<EntryChange, ChangeRefusal> {
        let (at_row, at_col) = (self.position_of(row, col)?, self.position_of(col, row)?);
        if !delta.is_finite() {
            return Err(ChangeRefusal::NotFinite { found: delta });
        }
        let (first, second) = (at_row.min(at_col), at_row.max(at_col));
        if first != second && self.structure.slot(first as u32, second as u32).is_none() {
            return Err(ChangeRefusal::OutsideFill { row, col });
        }
        if delta == 0.0 {
            return Ok(EntryChange { touched_entries: 0, pivot_share_min: 1.0 });
        }
        self.u[at_row] = delta;
        self.v[at_col] = 1.0;
        let running = self.update_path(first)?;
        self.forget_solution();
        self.wear += f64::EPSILON / running.share_min;
        Ok(EntryChange {
            touched_entries: u64::from(self.structure.path_entries[first]),
            pivot_share_min: running.share_min,
        })
    }

    /// Adds `u vᵀ`, both zero off the path of `first`. Leaves `u` and `v` zero.
    fn update_path(&mut self, first: usize) -> Result<Running, ChangeRefusal> {
        let mut running = Running { ratio: 1.0, inverse_ratio: 1.0, shift: 0.0, share_min: 1.0 };
        let Self { structure, factor, y, u, v, undo, .. } = self;
        let mut written =
            Written { structure, factor, y, u, v, undo, undo_values: 0, undo_columns: 0 };
        written.check_lengths(first);
        for part in structure.path(first) {
            let (mut column, last) = (part.start, part.end - 1);
            while column <= last {
                let end = group_end(column, last);
                // SAFETY: lengths were checked; `column..=end` belong to one run on the path.
                let outcome = unsafe {
                    match end - column {
                        0 => written.group::<1>(column, &mut running),
                        1 => written.group::<2>(column, &mut running),
                        2 => written.group::<3>(column, &mut running),
                        _ => written.group::<4>(column, &mut running),
                    }
                };
                if let Err(refusal) = outcome {
                    written.put_back(first);
                    return Err(refusal);
                }
                column = end + 1;
            }
        }
        Ok(running)
    }
}

impl Written<'_> {
    fn check_lengths(&self, first: usize) {
        let (n, entries) = (self.structure.count(), self.structure.entries());
        assert!(first < n && self.y.len() == n && self.u.len() == n && self.v.len() == n);
        assert!(self.factor.pivots.len() == n && self.factor.inverse_pivots.len() == n);
        assert!(self.factor.lower.len() == entries && self.factor.upper.len() == entries);
        let path_entries = self.structure.path_entries[first] as usize;
        assert!(self.undo.values.len() >= 2 * path_entries);
    }

    /// Updates the columns `column..column + K`.
    ///
    /// # Safety
    /// Lengths are those that [`check_lengths`](Self::check_lengths) checks; the columns belong to one
    /// run on the path that it was called for, and come in order.
    #[inline(always)]
    unsafe fn group<const K: usize>(
        &mut self,
        column: usize,
        running: &mut Running,
    ) -> Result<(), ChangeRefusal> {
        // SAFETY: the caller's promise.
        let columns: [Column; K] =
            unsafe { std::array::from_fn(|k| *self.structure.columns.get_unchecked(column + k)) };
        // SAFETY: the caller's promise.
        let steps = unsafe { self.triangle::<K>(column, &columns, running)? };
        // SAFETY: the caller's promise.
        let [u_max, v_max] = unsafe { self.below::<K>(&columns, &steps) };
        let is_tame = steps.iter().all(|step| {
            step.lower_factor.abs() * u_max <= SIZE_MAX
                && step.upper_factor.abs() * v_max <= SIZE_MAX
        });
        match is_tame {
            true => Ok(()),
            false => Err(ChangeRefusal::Overflow { row: self.structure.order[column] as usize }),
        }
    }

    /// The scalars of a group and its entries within itself. Writes nothing if a pivot is refused.
    ///
    /// # Safety
    /// As [`group`](Self::group).
    #[inline(always)]
    unsafe fn triangle<const K: usize>(
        &mut self,
        column: usize,
        columns: &[Column; K],
        running: &mut Running,
    ) -> Result<[Step; K], ChangeRefusal> {
        let mut now = *running;
        let mut steps = [Step::default(); K];
        // SAFETY: the caller's promise; the slots are those of rows within the group.
        unsafe {
            let mut u: [f64; K] = std::array::from_fn(|k| *self.u.get_unchecked(column + k));
            let mut v: [f64; K] = std::array::from_fn(|k| *self.v.get_unchecked(column + k));
            for k in 0..K {
                let (p, q) = (u[k], v[k]);
                let own = column + k;
                let inverse_pivot = *self.factor.inverse_pivots.get_unchecked(own);
                let step = &mut steps[k];
                let (p_share, q_share) = (p * inverse_pivot, q * inverse_pivot);
                let term = p_share * q;
                let ratio = now.ratio + term;
                let share = ratio.abs() / now.ratio.abs().max(term.abs());
                // Written so that a NaN is refused.
                let is_sound = share >= PIVOT_SHARE_MIN && p.abs().max(q.abs()) <= SIZE_MAX;
                if !is_sound {
                    let row = *self.structure.order.get_unchecked(own) as usize;
                    return Err(ChangeRefusal::VanishingPivot { row, share });
                }
                let inverse_ratio = 1.0 / ratio;
                step.p = p;
                step.q = q;
                step.lower_factor = q_share * inverse_ratio;
                step.upper_factor = p_share * inverse_ratio;
                step.pivot = *self.factor.pivots.get_unchecked(own) * (ratio * now.inverse_ratio);
                step.y = *self.y.get_unchecked(own) + now.shift * p;
                let is_ranged = (PIVOT_SIZE_MIN..=1.0 / PIVOT_SIZE_MIN).contains(&step.pivot.abs());
                if !(is_ranged && step.y.is_finite()) {
                    let row = *self.structure.order.get_unchecked(own) as usize;
                    return Err(ChangeRefusal::Overflow { row });
                }
                now = Running {
                    ratio,
                    inverse_ratio,
                    shift: now.shift - step.lower_factor * step.y,
                    share_min: now.share_min.min(share),
                };
                for after in k + 1..K {
                    let slot = columns[k].start as usize + (after - k - 1);
                    u[after] -= p * *self.factor.lower.get_unchecked(slot);
                    v[after] -= q * *self.factor.upper.get_unchecked(slot);
                    step.lower_within[after] = u[after];
                    step.upper_within[after] = v[after];
                }
            }
            self.write_triangle(column, columns, &steps);
        }
        *running = now;
        Ok(steps)
    }

    /// # Safety
    /// As [`group`](Self::group).
    #[inline(always)]
    unsafe fn write_triangle<const K: usize>(
        &mut self,
        column: usize,
        columns: &[Column; K],
        steps: &[Step; K],
    ) {
        let mut undo_at = self.undo_values;
        // SAFETY: the caller's promise; the undo values have room for twice the path's entries.
        unsafe {
            for (k, step) in steps.iter().enumerate() {
                let own = column + k;
                let pivot = self.factor.pivots.get_unchecked_mut(own);
                let y = self.y.get_unchecked_mut(own);
                let old = [*pivot, *y];
                *self.undo.scalars.get_unchecked_mut(self.undo_columns + k) = old;
                *pivot = step.pivot;
                *self.factor.inverse_pivots.get_unchecked_mut(own) = 1.0 / step.pivot;
                *y = step.y;
                *self.u.get_unchecked_mut(own) = 0.0;
                *self.v.get_unchecked_mut(own) = 0.0;
                let len = columns[k].len as usize;
                for after in k + 1..K {
                    let offset = after - k - 1;
                    let slot = columns[k].start as usize + offset;
                    let lower = self.factor.lower.get_unchecked_mut(slot);
                    *self.undo.values.get_unchecked_mut(undo_at + offset) = *lower;
                    *lower += step.lower_factor * step.lower_within[after];
                    let upper = self.factor.upper.get_unchecked_mut(slot);
                    *self.undo.values.get_unchecked_mut(undo_at + len + offset) = *upper;
                    *upper += step.upper_factor * step.upper_within[after];
                }
                undo_at += 2 * len;
            }
        }
        self.undo_columns += K;
    }

    /// The rows below a group, two at a time. Returns the largest sizes in `u` and `v` afterwards.
    ///
    /// # Safety
    /// As [`group`](Self::group).
    #[inline(always)]
    unsafe fn below<const K: usize>(
        &mut self,
        columns: &[Column; K],
        steps: &[Step; K],
    ) -> [f64; 2] {
        let end = columns[K - 1];
        let len = end.len as usize;
        // SAFETY: the caller's promise. The lists of the columns end with these rows, `lower`, `upper`
        // and `undo` are separate arrays, and the undo values have room for the path.
        unsafe {
            let rows = self.structure.rows.as_ptr().add(end.rows as usize);
            let offset: [usize; K] =
                std::array::from_fn(|k| columns[k].start as usize + (K - 1 - k));
            let lower = self.factor.lower.as_mut_ptr();
            let lower: [*mut f64; K] = std::array::from_fn(|k| lower.add(offset[k]));
            let upper = self.factor.upper.as_mut_ptr();
            let upper: [*mut f64; K] = std::array::from_fn(|k| upper.add(offset[k]));
            let mut undo_at = self.undo_values;
            let undo_values = self.undo.values.as_mut_ptr();
            let undo: [[*mut f64; 2]; K] = std::array::from_fn(|k| {
                let own = undo_at + (K - 1 - k);
                let len = columns[k].len as usize;
                undo_at += 2 * len;
                [undo_values.add(own), undo_values.add(own + len)]
            });
            self.undo_values = undo_at;
            let (u, v) = (self.u.as_mut_ptr(), self.v.as_mut_ptr());
            let mut largest = [Two::both(0.0); 2];
            let mut at = 0;
            while at + 2 <= len {
                let (one, two) = (*rows.add(at) as usize, *rows.add(at + 1) as usize);
                let mut u_now = Two::gather(u.add(one), u.add(two));
                let mut v_now = Two::gather(v.add(one), v.add(two));
                for k in 0..K {
                    let step = &steps[k];
                    let old = Two::load(lower[k].add(at));
                    u_now = u_now.minus(Two::both(step.p).times(old));
                    old.store(undo[k][0].add(at));
                    old.plus(Two::both(step.lower_factor).times(u_now)).store(lower[k].add(at));
                    let old = Two::load(upper[k].add(at));
                    v_now = v_now.minus(Two::both(step.q).times(old));
                    old.store(undo[k][1].add(at));
                    old.plus(Two::both(step.upper_factor).times(v_now)).store(upper[k].add(at));
                }
                u_now.scatter(u.add(one), u.add(two));
                v_now.scatter(v.add(one), v.add(two));
                largest = [largest[0].larger_sizes(u_now), largest[1].larger_sizes(v_now)];
                at += 2;
            }
            let mut largest = largest.map(|pair| {
                let [one, two] = pair.numbers();
                one.max(two)
            });
            if at < len {
                let row = *rows.add(at) as usize;
                let (mut u_now, mut v_now) = (*u.add(row), *v.add(row));
                for k in 0..K {
                    let step = &steps[k];
                    let old = *lower[k].add(at);
                    u_now -= step.p * old;
                    *undo[k][0].add(at) = old;
                    *lower[k].add(at) = old + step.lower_factor * u_now;
                    let old = *upper[k].add(at);
                    v_now -= step.q * old;
                    *undo[k][1].add(at) = old;
                    *upper[k].add(at) = old + step.upper_factor * v_now;
                }
                (*u.add(row), *v.add(row)) = (u_now, v_now);
                largest = [largest[0].max(u_now.abs()), largest[1].max(v_now.abs())];
            }
            largest
        }
    }

    /// Restores the columns updated so far and clears `u` and `v`.
    fn put_back(&mut self, first: usize) {
        let columns = self.structure.path(first).flatten().take(self.undo_columns);
        let mut at = 0;
        for (column, [pivot, y]) in columns.zip(&self.undo.scalars) {
            let Column { start, len, .. } = self.structure.columns[column];
            let (start, len) = (start as usize, len as usize);
            let old = &self.undo.values[at..at + 2 * len];
            self.factor.lower[start..start + len].copy_from_slice(&old[..len]);
            self.factor.upper[start..start + len].copy_from_slice(&old[len..]);
            at += 2 * len;
            self.factor.pivots[column] = *pivot;
            self.factor.inverse_pivots[column] = 1.0 / pivot;
            self.y[column] = *y;
        }
        for part in self.structure.path(first) {
            self.u[part.clone()].fill(0.0);
            self.v[part].fill(0.0);
        }
    }
}

/// What one column does to the entries below it.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    p: f64,
    q: f64,
    lower_factor: f64,
    upper_factor: f64,
    pivot: f64,
    y: f64,
    /// `u` and `v` at the later columns of the group, after this column.
    lower_within: [f64; 4],
    upper_within: [f64; 4],
}
