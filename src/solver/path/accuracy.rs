//! How well the factor represents `A`, measured, and mending it by refinement.

use super::engine::PathEngine;
use super::groups;
use super::refusal::{ChangeRefusal, PathRefusal};
use crate::solver::system::Rows;

/// Factors that solve worse than this are refused. Better ones can be mended by
/// [`PathEngine::refine`], which gains about as many digits as the factor has.
const BACKWARD_ERROR_MAX: f64 = 1e-8;

/// What `b − A x` says about the engine's `x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// `‖b − A x‖∞`.
    pub residual_max: f64,
    /// The same divided by `‖b‖∞`; 0 where both are 0.
    pub relative_residual: f64,
    /// `maxᵢ |b − A x|ᵢ / (|b| + |A| |x|)ᵢ`: by so much of itself each entry would have to change for
    /// `x` to be exact (Oettli and Prager 1964). About 1e-16 is perfect.
    pub backward_error: f64,
}

impl PathEngine {
    /// Measures the engine's `x` against the system it is meant to solve. One pass over `M` and one over
    /// `A`.
    ///
    /// # Errors
    /// [`ChangeRefusal::Overflow`] where `x` or its residual is outside the range of numbers.
    ///
    /// # Panics
    /// Unless `rows` and `rhs` have the engine's order.
    pub fn measure(&mut self, rows: Rows, rhs: &[f64]) -> Result<Accuracy, ChangeRefusal> {
        self.residual(rows, rhs, |_, _| {})
    }

    /// One step of iterative refinement inside `y`: measures, then works `b − A x` in as a change of
    /// `b`, so that every read gives `x + A⁻¹ (b − A x)` and later changes keep the correction. Mends a
    /// factor that has worn, not the rounding of a single substitution: for that see
    /// [`correct`](Self::correct). One pass over `A` and two over the factor. Returns what was measured
    /// before the correction.
    ///
    /// # Errors
    /// As [`measure`](Self::measure); nothing is corrected then.
    ///
    /// # Panics
    /// As [`measure`](Self::measure).
    pub fn refine(&mut self, rows: Rows, rhs: &[f64]) -> Result<Accuracy, ChangeRefusal> {
        let mut correction = std::mem::take(&mut self.u);
        let measured = self.residual(rows, rhs, |column, residual| correction[column] = residual);
        self.u = correction;
        if measured.is_ok() {
            groups::forward_all(&self.structure, &self.factor.lower, &mut self.u);
            for (y, correction) in self.y.iter_mut().zip(&self.u) {
                *y += correction;
            }
            self.forget_solution();
        }
        self.u.fill(0.0);
        measured
    }

    /// `r ← A⁻¹ r`, to be added to an `x` that is kept outside: ordinary iterative refinement, which also
    /// mends what growth has spoilt. `b` and the engine's own `x` stay. Two passes over the factor.
    ///
    /// # Errors
    /// [`ChangeRefusal::Overflow`] where a result is outside the range of numbers; `residual` is then
    /// not to be used.
    ///
    /// # Panics
    /// Unless `residual` has length n.
    pub fn correct(&mut self, residual: &mut [f64]) -> Result<(), ChangeRefusal> {
        assert!(residual.len() == self.order());
        for (u, &row) in self.u.iter_mut().zip(&self.structure.order) {
            *u = residual[row as usize];
        }
        groups::forward_all(&self.structure, &self.factor.lower, &mut self.u);
        std::mem::swap(&mut self.y, &mut self.u);
        self.forget_solution();
        let outcome = self.solution(residual);
        std::mem::swap(&mut self.y, &mut self.u);
        self.u.fill(0.0);
        self.forget_solution();
        outcome
    }

    /// Hands out `(P (b − A x))ₖ` and measures.
    fn residual(
        &mut self,
        rows: Rows,
        rhs: &[f64],
        mut each: impl FnMut(usize, f64),
    ) -> Result<Accuracy, ChangeRefusal> {
        assert!(rows.count() == self.order() && rhs.len() == self.order());
        self.solve_all();
        let mut accuracy =
            Accuracy { residual_max: 0.0, relative_residual: 0.0, backward_error: 0.0 };
        for (row, b) in rhs.iter().enumerate() {
            let (mut residual, mut size) = (*b, b.abs());
            let (cols, values) = rows.row(row);
            for (&col, value) in cols.iter().zip(values) {
                let term = value * self.x[self.structure.position[col as usize] as usize];
                residual -= term;
                size += term.abs();
            }
            if !(residual.is_finite() && size.is_finite()) {
                return Err(ChangeRefusal::Overflow { row });
            }
            each(self.structure.position[row] as usize, residual);
            accuracy.residual_max = accuracy.residual_max.max(residual.abs());
            if residual != 0.0 {
                accuracy.backward_error = accuracy.backward_error.max(residual.abs() / size);
            }
        }
        let rhs_max = rhs.iter().fold(0.0_f64, |max, b| max.max(b.abs()));
        if accuracy.residual_max > 0.0 {
            accuracy.relative_residual = accuracy.residual_max / rhs_max;
        }
        Ok(accuracy)
    }

    /// Solves for a known, irregular solution, whatever `b` is; `y` is kept.
    pub(super) fn check_on_known_solution(&mut self, rows: Rows) -> Result<(), PathRefusal> {
        let rhs: Vec<f64> = (0..rows.count())
            .map(|row| {
                let (cols, values) = rows.row(row);
                cols.iter().zip(values).map(|(&col, value)| value * known_entry(col)).sum()
            })
            .collect();
        let kept = self.y.clone();
        self.replace_rhs(&rhs)?;
        let measured = self.measure(rows, &rhs);
        self.y = kept;
        self.forget_solution();
        let backward_error = measured.map_or(f64::INFINITY, |accuracy| accuracy.backward_error);
        // Not `>`, which would let a NaN pass.
        if backward_error <= BACKWARD_ERROR_MAX {
            return Ok(());
        }
        Err(PathRefusal::Inaccurate { backward_error, limit: BACKWARD_ERROR_MAX })
    }
}

/// Between 1 and 2, of either sign, without a pattern that a matrix could share.
fn known_entry(col: u32) -> f64 {
    let mixed = col.wrapping_add(1).wrapping_mul(0x9E37_79B9);
    let size = 1.0 + f64::from(mixed >> 8) / f64::from(1 << 24);
    if mixed & 1 == 0 { size } else { -size }
}
