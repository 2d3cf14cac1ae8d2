//! The engine: the factor, `y = L⁻¹ P b`, and what is known of `x`. Changes of `b` and reads; what
//! changes `A` stands in `rank_one`.
//!
//! `x` is worked out where it is asked for, from the root down to the entry, and kept until something
//! changes. Rows are those of `A` outside and positions of the elimination inside.

use std::sync::atomic::AtomicBool;

use super::factor::Factor;
use super::groups::{self, Backward};
use super::plan::PathPlan;
use super::refusal::{ChangeRefusal, PathRefusal};
use super::structure::Structure;
use crate::solver::system::Rows;

/// Keeps `A x = b` solvable entry by entry while `A` and `b` change.
///
/// Every result is exact up to rounding: there is no tolerance. Memory is the plan's forecast.
#[derive(Debug)]
pub struct PathEngine {
    pub(super) structure: Structure,
    pub(super) factor: Factor,
    /// `L⁻¹ P b`, plus the corrections of [`refine`](Self::refine).
    pub(super) y: Vec<f64>,
    /// `P x` where `stamps` says so.
    pub(super) x: Vec<f64>,
    stamps: Vec<u32>,
    stamp: u32,
    /// Zero between calls.
    pub(super) u: Vec<f64>,
    pub(super) v: Vec<f64>,
    pub(super) undo: super::undo::Undo,
    /// First columns of the runs on a path that is being read.
    climbed: Vec<u32>,
    pub(super) wear: f64,
}

/// One entry of `x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub value: f64,
    /// Entries of the factor that were read.
    pub touched_entries: u64,
}

/// Bytes of the vectors of an engine and of its pivots.
pub(super) fn vector_bytes(n: usize, path_entries_max: u64, path_columns_max: usize) -> u64 {
    (6 * 8 + 4) * n as u64 + 16 * path_entries_max + 36 * path_columns_max as u64
}

impl PathEngine {
    /// Factorises `A` on the plan and works `b` in. Costs the plan's flops, then about four passes over
    /// the factor, which measure it on a known solution.
    ///
    /// # Errors
    /// [`PathRefusal::VanishingPivot`] where elimination without pivoting breaks down,
    /// [`Inaccurate`](PathRefusal::Inaccurate) where its result does not represent `A`,
    /// [`OutsideFill`](PathRefusal::OutsideFill) and [`OtherOrder`](PathRefusal::OtherOrder) where the
    /// plan is that of another matrix.
    pub fn factor(plan: PathPlan, rows: Rows, rhs: &[f64]) -> Result<Self, PathRefusal> {
        Self::factor_unless(plan, rows, rhs, &AtomicBool::new(false))
    }

    /// As [`factor`](Self::factor), and looks at `unwanted` before every run of columns.
    ///
    /// # Errors
    /// Those, and [`PathRefusal::Unwanted`].
    pub fn factor_unless(
        plan: PathPlan,
        rows: Rows,
        rhs: &[f64],
        unwanted: &AtomicBool,
    ) -> Result<Self, PathRefusal> {
        let forecast = plan.forecast();
        let structure = plan.structure;
        let n = structure.count();
        let mut engine = Self {
            factor: Factor::compute(&structure, rows, unwanted)?,
            structure,
            y: vec![0.0; n],
            x: vec![0.0; n],
            stamps: vec![0; n],
            stamp: 0,
            u: vec![0.0; n],
            v: vec![0.0; n],
            undo: super::undo::Undo::with_room(&forecast),
            climbed: Vec::with_capacity(forecast.path_columns_max),
            wear: 0.0,
        };
        engine.check_on_known_solution(rows)?;
        engine.replace_rhs(rhs)?;
        Ok(engine)
    }

    /// n.
    pub fn order(&self) -> usize {
        self.structure.count()
    }

    /// Factorises a changed `A` on the same structure. Takes the forecast's peak for a moment.
    ///
    /// # Errors
    /// As [`factor`](Self::factor); the engine then keeps the factor, `b` and `x` that it had.
    pub fn refactorise(&mut self, rows: Rows, rhs: &[f64]) -> Result<(), PathRefusal> {
        self.refactorise_unless(rows, rhs, &AtomicBool::new(false))
    }

    /// As [`refactorise`](Self::refactorise), and looks at `unwanted` before every run of columns.
    ///
    /// # Errors
    /// Those, and [`PathRefusal::Unwanted`].
    pub fn refactorise_unless(
        &mut self,
        rows: Rows,
        rhs: &[f64],
        unwanted: &AtomicBool,
    ) -> Result<(), PathRefusal> {
        self.check_order(rhs.len())?;
        let fresh = Factor::compute(&self.structure, rows, unwanted)?;
        let kept = std::mem::replace(&mut self.factor, fresh);
        if let Err(refusal) = self.check_on_known_solution(rows) {
            self.factor = kept;
            return Err(refusal);
        }
        self.wear = 0.0;
        self.replace_rhs(rhs)
    }

    /// Another `b`, all of it. One pass over `L`.
    ///
    /// # Errors
    /// [`PathRefusal::OtherOrder`].
    pub fn replace_rhs(&mut self, rhs: &[f64]) -> Result<(), PathRefusal> {
        self.check_order(rhs.len())?;
        for (y, &row) in self.y.iter_mut().zip(&self.structure.order) {
            *y = rhs[row as usize];
        }
        groups::forward_all(&self.structure, &self.factor.lower, &mut self.y);
        self.forget_solution();
        Ok(())
    }

    fn check_order(&self, found: usize) -> Result<(), PathRefusal> {
        let expected = self.order();
        if found == expected { Ok(()) } else { Err(PathRefusal::OtherOrder { expected, found }) }
    }

    /// `bᵢ += delta`. Returns the entries touched, those of the path of `row`.
    ///
    /// # Errors
    /// [`ChangeRefusal::OutOfBounds`], [`NotFinite`](ChangeRefusal::NotFinite), and
    /// [`Overflow`](ChangeRefusal::Overflow) where `y` would leave the range of numbers.
    pub fn change_rhs(&mut self, row: usize, delta: f64) -> Result<u64, ChangeRefusal> {
        let column = self.position_of(row, row)?;
        if !delta.is_finite() {
            return Err(ChangeRefusal::NotFinite { found: delta });
        }
        self.u[column] = delta;
        groups::forward(&self.structure, &self.factor.lower, &mut self.u, column);
        let is_finite = self.add_to_y(column);
        for part in self.structure.path(column) {
            self.u[part].fill(0.0);
        }
        if !is_finite {
            return Err(ChangeRefusal::Overflow { row });
        }
        self.forget_solution();
        Ok(u64::from(self.structure.path_entries[column]))
    }

    /// `y += u` along a path, unless a sum is not finite; leaves numbers in `u`.
    fn add_to_y(&mut self, column: usize) -> bool {
        let mut is_finite = true;
        for part in self.structure.path(column) {
            for (y, u) in self.y[part.clone()].iter_mut().zip(&mut self.u[part]) {
                let sum = *y + *u;
                is_finite &= sum.is_finite();
                *u = std::mem::replace(y, sum);
            }
        }
        if !is_finite {
            for part in self.structure.path(column) {
                self.y[part.clone()].copy_from_slice(&self.u[part]);
            }
        }
        is_finite
    }

    /// `xᵢ`, by backward substitution from the root; only what no earlier read has worked out since the
    /// last change. Equal states give equal bits, whatever was read before.
    ///
    /// # Errors
    /// [`ChangeRefusal::OutOfBounds`]; [`Overflow`](ChangeRefusal::Overflow) where `xᵢ` is outside the
    /// range of numbers.
    pub fn read(&mut self, row: usize) -> Result<Reading, ChangeRefusal> {
        let column = self.position_of(row, row)?;
        let mut touched_entries = u64::from(self.structure.path_entries[column]);
        self.climbed.clear();
        for part in self.structure.path(column) {
            if self.stamps[part.start] == self.stamp {
                touched_entries -= u64::from(self.structure.path_entries[part.start]);
                break;
            }
            self.climbed.push(part.start as u32);
        }
        let Self { structure, factor, y, x, stamps, .. } = self;
        let Factor { upper: values, inverse_pivots, .. } = factor;
        let backward = Backward { structure, values, inverse_pivots, y };
        for &first in self.climbed.iter().rev() {
            backward.run(x, first as usize);
            let last = structure.columns[first as usize].last as usize;
            stamps[first as usize..=last].fill(self.stamp);
        }
        let value = self.x[column];
        if !value.is_finite() {
            return Err(ChangeRefusal::Overflow { row });
        }
        Ok(Reading { value, touched_entries })
    }

    /// All of `x`, by one pass over `M`.
    ///
    /// # Errors
    /// [`ChangeRefusal::Overflow`] where an entry is outside the range of numbers; `solution` is then
    /// not to be used.
    ///
    /// # Panics
    /// Unless `solution` has length n.
    pub fn solution(&mut self, solution: &mut [f64]) -> Result<(), ChangeRefusal> {
        assert!(solution.len() == self.order());
        self.solve_all();
        for (value, &row) in self.x.iter().zip(&self.structure.order) {
            if !value.is_finite() {
                return Err(ChangeRefusal::Overflow { row: row as usize });
            }
            solution[row as usize] = *value;
        }
        Ok(())
    }

    /// Works out every entry of `x`.
    pub(super) fn solve_all(&mut self) {
        let Self { structure, factor, y, x, .. } = self;
        let Factor { upper: values, inverse_pivots, .. } = factor;
        let backward = Backward { structure, values, inverse_pivots, y };
        let mut end = structure.count();
        while end > 0 {
            let first = structure.run_start(end - 1);
            backward.run(x, first);
            end = first;
        }
        self.stamps.fill(self.stamp);
    }

    /// Nothing of `x` is known any more.
    pub(super) fn forget_solution(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.stamps.fill(0);
            self.stamp = 1;
        }
    }

    /// The position of a row of an entry that is named by a caller.
    pub(super) fn position_of(&self, row: usize, col: usize) -> Result<usize, ChangeRefusal> {
        let order = self.order();
        if row >= order || col >= order {
            return Err(ChangeRefusal::OutOfBounds { row, col, order });
        }
        Ok(self.structure.position[row] as usize)
    }

    /// Pivots below zero: for symmetric `A` its negative eigenvalues, by Sylvester's law.
    pub fn negative_pivots(&self) -> usize {
        self.factor.pivots.iter().filter(|pivot| **pivot < 0.0).count()
    }

    /// An estimate of the relative error that changes of `A` since the last factorisation have left in
    /// the factor: each adds the rounding of its worst pivot.
    pub fn wear(&self) -> f64 {
        self.wear
    }

    /// The largest part of its terms that cancelled in a pivot of the last factorisation: a growth of
    /// rounding errors by about this much is to be feared.
    pub fn cancellation(&self) -> f64 {
        self.factor.cancellation
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        let vectors = 8 * (self.y.len() + self.x.len() + self.u.len() + self.v.len());
        let factor = 8 * (2 * self.factor.lower.len() + 2 * self.factor.pivots.len());
        let rest = 4 * (self.stamps.len() + self.climbed.capacity());
        self.structure.memory_bytes() + self.undo.bytes() + (vectors + factor + rest) as u64
    }
}
