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
//! right-hand side of each column is a multiple `τ` of `u`, so that `y` costs nothing beside. Up to the
//! later of `i` and `j` one of `u`, `v` is zero, and most of this is not needed.

use super::engine::PathEngine;
use super::factor::Factor;
use super::groups::{self, group_end};
use super::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Four, Two};
use super::refusal::ChangeRefusal;
use super::structure::{Column, Structure};
use super::undo::Undo;

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

/// Which of the two vectors of an update comes first on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// `u`: `L` is walked, entries of `M` change.
    Row,
    /// `v`: `M` is walked, entries of `L` change.
    Column,
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
    refusal: Option<ChangeRefusal>,
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
        let side = if at_row < at_col { Side::Row } else { Side::Column };
        let mut running = Running { ratio: 1.0, inverse_ratio: 1.0, shift: 0.0, share_min: 1.0 };
        let outcome = match self.update_one_sided(side, first, second) {
            Ok(shift) => {
                running.shift = shift;
                self.update_path(second, &mut running)
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            self.take_back(first, second);
            return Err(refusal);
        }
        self.forget_solution();
        self.wear += f64::EPSILON / running.share_min;
        Ok(EntryChange {
            touched_entries: u64::from(self.structure.path_entries[first]),
            pivot_share_min: running.share_min,
        })
    }

    /// The columns of the path of `first` before `second`, where only one of `u` and `v` is not zero:
    /// pivots and `y` stay, and of one triangle a single entry a column changes. Returns `τ`.
    fn update_one_sided(
        &mut self,
        side: Side,
        first: usize,
        second: usize,
    ) -> Result<f64, ChangeRefusal> {
        let Self { structure, factor, y, u, v, undo, .. } = self;
        let Factor { lower, upper, inverse_pivots, .. } = factor;
        undo.forget();
        let (walked, moving, changed, standing) = match side {
            Side::Row => (lower, u, upper, v[second]),
            Side::Column => (upper, v, lower, u[second]),
        };
        groups::forward_until(structure, walked, moving, first, second);
        let mut shift = 0.0;
        for part in structure.path(first).take_while(|part| part.start < second) {
            let (columns, offset) = structure.tail_of_row(part, second);
            for column in columns.clone() {
                let factor = std::mem::take(&mut moving[column]) * inverse_pivots[column];
                let slot = structure.columns[column].start as usize + offset - column;
                let value = changed[slot] + factor * standing;
                // Written so that a NaN is refused.
                if !(value.abs() <= SIZE_MAX && factor.abs() <= SIZE_MAX) {
                    return Err(ChangeRefusal::Overflow { row: structure.order[column] as usize });
                }
                undo.entries.push((side, slot as u32, changed[slot]));
                changed[slot] = value;
                if side == Side::Column {
                    shift -= factor * y[column];
                }
            }
        }
        Ok(shift)
    }

    /// Puts back whatever the change has written, and clears `u` and `v`.
    fn take_back(&mut self, first: usize, second: usize) {
        let Self { structure, factor, y, u, v, undo, .. } = self;
        undo.put_back(structure, factor, y, second);
        for part in structure.path(first) {
            u[part.clone()].fill(0.0);
            v[part].fill(0.0);
        }
    }

    /// Adds `u vᵀ`, both zero off the path of `first`, and leaves both zero. When it is refused, what was
    /// written stands in `undo`.
    fn update_path(&mut self, first: usize, running: &mut Running) -> Result<(), ChangeRefusal> {
        let Self { structure, factor, y, u, v, undo, .. } = self;
        let mut written =
            Written { structure, factor, y, u, v, undo, undo_values: 0, refusal: None };
        written.check_lengths(first);
        written.path(first, running);
        written.refusal.map_or(Ok(()), Err)
    }
}

impl Written<'_> {
    fn check_lengths(&self, first: usize) {
        let (n, entries) = (self.structure.count(), self.structure.entries());
        assert!(first < n && self.y.len() == n && self.u.len() == n && self.v.len() == n);
        assert!(self.factor.pivots.len() == n && self.factor.inverse_pivots.len() == n);
        assert!(self.factor.lower.len() == entries && self.factor.upper.len() == entries);
        let path_entries = self.structure.path_entries[first] as usize;
        assert!(self.undo.values.len() >= 2 * path_entries && self.undo.columns == 0);
    }

    /// Updates the path of `first`, or what comes before a refusal.
    #[cfg(target_arch = "x86_64")]
    fn path(&mut self, first: usize, running: &mut Running) {
        // SAFETY: lengths were checked, and each is called where the processor has its lanes.
        unsafe {
            match is_x86_feature_detected!("avx") {
                true => self.path_with_avx(first, running),
                false => self.path_in::<Two, Two>(first, running),
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn path(&mut self, first: usize, running: &mut Running) {
        // SAFETY: lengths were checked.
        unsafe { self.path_in::<f64, f64>(first, running) }
    }

    /// # Safety
    /// As [`path_in`](Self::path_in); the processor has AVX.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx")]
    unsafe fn path_with_avx(&mut self, first: usize, running: &mut Running) {
        // SAFETY: the caller's promise.
        unsafe { self.path_in::<Four, Two>(first, running) }
    }

    /// In lanes `L`, then `H`, then one by one.
    ///
    /// # Safety
    /// [`check_lengths`](Self::check_lengths) was called; the processor has the lanes.
    #[inline(always)]
    unsafe fn path_in<L: Lanes, H: Lanes>(&mut self, first: usize, running: &mut Running) {
        for part in self.structure.path(first) {
            let (mut column, last) = (part.start, part.end - 1);
            while column <= last {
                let end = group_end(column, last);
                // SAFETY: the caller's promise; `column..=end` belong to one run on the path.
                let is_done = unsafe {
                    match end - column {
                        0 => self.group::<L, H, 1>(column, running),
                        1 => self.group::<L, H, 2>(column, running),
                        2 => self.group::<L, H, 3>(column, running),
                        _ => self.group::<L, H, 4>(column, running),
                    }
                };
                if !is_done {
                    return;
                }
                column = end + 1;
            }
        }
    }

    /// Updates the columns `column..column + K`; where it says no, `refusal` says why.
    ///
    /// # Safety
    /// Lengths are those that [`check_lengths`](Self::check_lengths) checks; the columns belong to one
    /// run on the path that it was called for, and come in order.
    #[inline(always)]
    unsafe fn group<L: Lanes, H: Lanes, const K: usize>(
        &mut self,
        column: usize,
        running: &mut Running,
    ) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let columns: [Column; K] =
                std::array::from_fn(|k| *self.structure.columns.get_unchecked(column + k));
            let mut steps = Steps::<K>::default();
            if !self.triangle::<K>(column, &columns, running, &mut steps) {
                return false;
            }
            let [u_max, v_max] = self.below::<L, H, K>(&columns, &steps);
            let mut largest = 0.0_f64;
            for k in 0..K {
                largest = largest.max(steps.lower_factor[k].abs() * u_max);
                largest = largest.max(steps.upper_factor[k].abs() * v_max);
            }
            largest <= SIZE_MAX || self.refuse(column, Why::Overflow)
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(&mut self, column: usize, why: Why) -> bool {
        let row = self.structure.order[column] as usize;
        self.refusal = Some(match why {
            Why::Overflow => ChangeRefusal::Overflow { row },
            Why::Share(share) => ChangeRefusal::VanishingPivot { row, share },
        });
        false
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
        steps: &mut Steps<K>,
    ) -> bool {
        let Running { mut ratio, mut inverse_ratio, mut shift, mut share_min } = *running;
        let mut pivots = [0.0; K];
        let mut y = [0.0; K];
        // `u` and `v` at the later columns of the group, after each column.
        let (mut u_within, mut v_within) = ([[0.0; K]; K], [[0.0; K]; K]);
        // SAFETY: the caller's promise; the slots are those of rows within the group.
        unsafe {
            let mut u: [f64; K] = std::array::from_fn(|k| *self.u.get_unchecked(column + k));
            let mut v: [f64; K] = std::array::from_fn(|k| *self.v.get_unchecked(column + k));
            for k in 0..K {
                let (p, q) = (u[k], v[k]);
                let own = column + k;
                let inverse_pivot = *self.factor.inverse_pivots.get_unchecked(own);
                let (p_share, q_share) = (p * inverse_pivot, q * inverse_pivot);
                let term = p_share * q;
                let next = ratio + term;
                let share = next.abs() / ratio.abs().max(term.abs());
                // Written so that a NaN is refused.
                if !(share >= PIVOT_SHARE_MIN && p.abs().max(q.abs()) <= SIZE_MAX) {
                    return self.refuse(own, Why::Share(share));
                }
                pivots[k] = *self.factor.pivots.get_unchecked(own) * (next * inverse_ratio);
                ratio = next;
                inverse_ratio = 1.0 / next;
                share_min = share_min.min(share);
                (steps.p[k], steps.q[k]) = (p, q);
                steps.lower_factor[k] = q_share * inverse_ratio;
                steps.upper_factor[k] = p_share * inverse_ratio;
                y[k] = *self.y.get_unchecked(own) + shift * p;
                shift -= steps.lower_factor[k] * y[k];
                let is_ranged = (PIVOT_SIZE_MIN..=1.0 / PIVOT_SIZE_MIN).contains(&pivots[k].abs());
                if !(is_ranged && y[k].is_finite()) {
                    return self.refuse(own, Why::Overflow);
                }
                for after in k + 1..K {
                    let slot = columns[k].start as usize + (after - k - 1);
                    u[after] -= p * *self.factor.lower.get_unchecked(slot);
                    v[after] -= q * *self.factor.upper.get_unchecked(slot);
                    (u_within[k][after], v_within[k][after]) = (u[after], v[after]);
                }
            }
            *running = Running { ratio, inverse_ratio, shift, share_min };
            let mut undo_at = self.undo_values;
            for k in 0..K {
                self.write_scalars(column + k, k, pivots[k], y[k]);
                let len = columns[k].len as usize;
                for after in k + 1..K {
                    let offset = after - k - 1;
                    let slot = columns[k].start as usize + offset;
                    let lower = self.factor.lower.get_unchecked_mut(slot);
                    *self.undo.values.get_unchecked_mut(undo_at + offset) = *lower;
                    *lower += steps.lower_factor[k] * u_within[k][after];
                    let upper = self.factor.upper.get_unchecked_mut(slot);
                    *self.undo.values.get_unchecked_mut(undo_at + len + offset) = *upper;
                    *upper += steps.upper_factor[k] * v_within[k][after];
                }
                undo_at += 2 * len;
            }
        }
        self.undo.columns += K;
        true
    }

    /// # Safety
    /// As [`group`](Self::group); `own` is its column number `k`.
    #[inline(always)]
    unsafe fn write_scalars(&mut self, own: usize, k: usize, new_pivot: f64, new_y: f64) {
        // SAFETY: the caller's promise; the undo scalars have room for the columns of the path.
        unsafe {
            let pivot = self.factor.pivots.get_unchecked_mut(own);
            let y = self.y.get_unchecked_mut(own);
            *self.undo.scalars.get_unchecked_mut(self.undo.columns + k) = [*pivot, *y];
            *pivot = new_pivot;
            *self.factor.inverse_pivots.get_unchecked_mut(own) = 1.0 / new_pivot;
            *y = new_y;
            *self.u.get_unchecked_mut(own) = 0.0;
            *self.v.get_unchecked_mut(own) = 0.0;
        }
    }

    /// The rows below a group. Returns the largest sizes in `u` and `v` afterwards.
    ///
    /// # Safety
    /// As [`group`](Self::group).
    #[inline(always)]
    unsafe fn below<L: Lanes, H: Lanes, const K: usize>(
        &mut self,
        columns: &[Column; K],
        steps: &Steps<K>,
    ) -> [f64; 2] {
        let end = columns[K - 1];
        let len = end.len as usize;
        // SAFETY: the caller's promise. The lists of the columns end with these rows, `lower`, `upper`
        // and `undo` are separate arrays, and the undo values have room for the path.
        unsafe {
            let offset: [usize; K] =
                std::array::from_fn(|k| columns[k].start as usize + (K - 1 - k));
            let lower = self.factor.lower.as_mut_ptr();
            let upper = self.factor.upper.as_mut_ptr();
            let mut undo_at = self.undo_values;
            let undo_values = self.undo.values.as_mut_ptr();
            let undo: [[*mut f64; 2]; K] = std::array::from_fn(|k| {
                let own = undo_at + (K - 1 - k);
                let len = columns[k].len as usize;
                undo_at += 2 * len;
                [undo_values.add(own), undo_values.add(own + len)]
            });
            self.undo_values = undo_at;
            let tails = Tails::<K> {
                rows: self.structure.rows.as_ptr().add(end.rows as usize),
                u: self.u.as_mut_ptr(),
                v: self.v.as_mut_ptr(),
                lower: offset.map(|offset| lower.add(offset)),
                upper: offset.map(|offset| upper.add(offset)),
                undo,
            };
            let wide = tails.update::<L>(0, len, steps);
            let whole = len / L::WIDTH * L::WIDTH;
            let half = tails.update::<H>(whole, len, steps);
            let whole = whole + (len - whole) / H::WIDTH * H::WIDTH;
            let rest = tails.update::<f64>(whole, len, steps);
            [wide[0].max(half[0]).max(rest[0]), wide[1].max(half[1]).max(rest[1])]
        }
    }
}

/// The entries of a group's columns below it, and where they are kept.
struct Tails<const K: usize> {
    rows: *const u32,
    u: *mut f64,
    v: *mut f64,
    lower: [*mut f64; K],
    upper: [*mut f64; K],
    undo: [[*mut f64; 2]; K],
}

impl<const K: usize> Tails<K> {
    /// Updates as many whole lanes as `from..len` holds; returns the largest sizes in `u` and `v`.
    ///
    /// # Safety
    /// Every pointer reaches over `len` entries, `u` and `v` over the rows; the processor has `L`.
    #[inline(always)]
    unsafe fn update<L: Lanes>(&self, from: usize, len: usize, steps: &Steps<K>) -> [f64; 2] {
        let mut largest = [L::all(0.0); 2];
        let mut at = from;
        // SAFETY: the caller's promise.
        unsafe {
            while at + L::WIDTH <= len {
                let rows = self.rows.add(at);
                let mut u = L::gather(self.u, rows);
                let mut v = L::gather(self.v, rows);
                for k in 0..K {
                    let [lower_undo, upper_undo] = self.undo[k];
                    let old = L::load(self.lower[k].add(at));
                    u = u.minus(L::all(steps.p[k]).times(old));
                    old.store(lower_undo.add(at));
                    old.plus(L::all(steps.lower_factor[k]).times(u)).store(self.lower[k].add(at));
                    let old = L::load(self.upper[k].add(at));
                    v = v.minus(L::all(steps.q[k]).times(old));
                    old.store(upper_undo.add(at));
                    old.plus(L::all(steps.upper_factor[k]).times(v)).store(self.upper[k].add(at));
                }
                u.scatter(self.u, rows);
                v.scatter(self.v, rows);
                largest = [largest[0].larger_sizes(u), largest[1].larger_sizes(v)];
                at += L::WIDTH;
            }
        }
        [largest[0].largest(), largest[1].largest()]
    }
}

/// What the columns of a group do to the entries below them.
#[derive(Debug, Clone, Copy)]
struct Steps<const K: usize> {
    p: [f64; K],
    q: [f64; K],
    lower_factor: [f64; K],
    upper_factor: [f64; K],
}

impl<const K: usize> Default for Steps<K> {
    fn default() -> Self {
        let zeros = [0.0; K];
        Self { p: zeros, q: zeros, lower_factor: zeros, upper_factor: zeros }
    }
}

/// Why a group is refused.
#[derive(Debug, Clone, Copy)]
enum Why {
    Overflow,
    /// So much of a pivot would be left.
    Share(f64),
}
