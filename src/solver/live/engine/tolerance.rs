//! How small a residual has to be while `b` changes: `‖b‖₂`, the residual norm that follows from it,
//! and the threshold of a single row.

use crate::solver::kernel;

/// Thresholds are set for this part of `‖b‖₂`, so that they hold until it has fallen by a tenth.
const HELD_PART: f64 = 0.9;

/// `‖b‖₂` may grow by this factor before thresholds are loosened.
const GROWTH_MAX: f64 = 1.5;

/// `‖b‖₂²` is summed up afresh when rounding may have cost more than this part of it.
const LOSS_MAX: f64 = 1e-6;

/// Squares outside `1/RANGE..=RANGE` are not followed, but summed up afresh.
const RANGE: f64 = 1e280;

/// Done means `‖r‖₂ ≤ tolerance · ‖b‖₂`. Rows below `threshold()` are enough for it, because all of
/// them together have at most `√n` times that.
#[derive(Debug, Clone)]
pub(super) struct Tolerance {
    tolerance: f64,
    root_of_order: f64,
    /// `Σ bᵢ²`, and how far rounding of its changes may have taken it.
    square: f64,
    loss: f64,
    /// `‖b‖₂` when the row threshold was set.
    norm_at_setting: f64,
}

impl Tolerance {
    pub fn new(tolerance: f64, rhs: &[f64]) -> Self {
        let mut new = Self {
            tolerance,
            root_of_order: (rhs.len() as f64).sqrt(),
            square: 0.0,
            loss: 0.0,
            norm_at_setting: 0.0,
        };
        new.sum_up(rhs);
        new.norm_at_setting = new.norm();
        new
    }

    /// `bᵢ` was `old` and is `new`. O(1).
    pub fn rhs_changed(&mut self, old: f64, new: f64) {
        let (before, after) = (old * old, new * new);
        self.square += after - before;
        self.loss += 2.0 * f64::EPSILON * (before + after + self.square.abs());
    }

    /// To be called after changes of `b`: whether thresholds are to be set anew. O(1), O(n) where the
    /// sum of squares has lost its digits.
    pub fn follow(&mut self, rhs: &[f64]) -> bool {
        let is_kept =
            self.loss <= LOSS_MAX * self.square && (1.0 / RANGE..=RANGE).contains(&self.square);
        if !is_kept {
            self.sum_up(rhs);
        }
        let norm = self.norm();
        let is_held = HELD_PART * self.norm_at_setting <= norm * (1.0 - LOSS_MAX)
            && norm <= GROWTH_MAX * self.norm_at_setting;
        if !is_held {
            self.norm_at_setting = norm;
        }
        !is_held
    }

    fn sum_up(&mut self, rhs: &[f64]) {
        let norm = kernel::norm2(rhs);
        self.square = norm * norm;
        self.loss = 0.0;
        if !(1.0 / RANGE..=RANGE).contains(&self.square) {
            // Kept as it is: the next change asks for a fresh sum anyway.
            self.square = if norm == 0.0 { 0.0 } else { f64::NAN };
            self.loss = norm;
        }
    }

    /// `‖b‖₂`.
    pub fn norm(&self) -> f64 {
        if self.square.is_nan() { self.loss } else { self.square.max(0.0).sqrt() }
    }

    /// The residual norm at which the system is settled.
    pub fn threshold(&self) -> f64 {
        self.tolerance * self.norm()
    }

    /// The residual norm that is certain to be small enough whatever rounding did to `‖b‖₂`.
    pub fn certain_threshold(&self) -> f64 {
        self.threshold() * (1.0 - LOSS_MAX)
    }

    /// The threshold of a row, positive and normal; for `b = 0` one that means nothing.
    pub fn row_threshold(&self) -> f64 {
        let exact = HELD_PART * self.tolerance * self.norm_at_setting / self.root_of_order;
        exact.clamp(f64::MIN_POSITIVE, f64::MAX)
    }

    /// Whether `|rᵢ|` below the row threshold, each kept up to `slack`, is certain to be enough.
    pub fn is_met_by_rows(&self, slack: f64) -> bool {
        self.rows_norm(slack) <= self.certain_threshold()
    }

    /// At least `‖r‖₂` when every row is below its threshold and kept up to `slack`.
    pub fn rows_norm(&self, slack: f64) -> f64 {
        (self.row_threshold() + slack) * self.root_of_order * (1.0 + 4.0 * f64::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_norm_follows_every_change_and_thresholds_are_never_too_loose() {
        let mut b = vec![1.0; 100];
        let mut tolerance = Tolerance::new(1e-8, &b);
        for step in 0..10_000_usize {
            let row = step * 37 % 100;
            let new = b[row] * if step % 3 == 0 { 0.5 } else { 1.3 };
            tolerance.rhs_changed(b[row], new);
            b[row] = new;
            tolerance.follow(&b);
            let norm = kernel::norm2(&b);
            assert!((tolerance.norm() - norm).abs() <= 1e-6 * norm, "step {step}");
            assert!(tolerance.is_met_by_rows(0.0), "step {step}");
            assert!(tolerance.rows_norm(0.0) <= 1e-8 * norm);
            assert!(tolerance.rows_norm(0.0) >= 0.5e-8 * norm, "needlessly strict");
        }
    }

    #[test]
    fn a_right_hand_side_that_vanishes_and_returns_has_its_norm() {
        let mut tolerance = Tolerance::new(1e-8, &[3.0, 4.0]);
        assert_eq!(tolerance.norm(), 5.0);
        tolerance.rhs_changed(3.0, 0.0);
        tolerance.rhs_changed(4.0, 0.0);
        assert!(tolerance.follow(&[0.0, 0.0]));
        assert_eq!((tolerance.norm(), tolerance.threshold()), (0.0, 0.0));
        assert!(!tolerance.is_met_by_rows(0.0) && tolerance.row_threshold() > 0.0);
        tolerance.rhs_changed(0.0, 2.0);
        assert!(tolerance.follow(&[0.0, 2.0]));
        assert_eq!(tolerance.norm(), 2.0);
        assert!(tolerance.is_met_by_rows(0.0));
    }

    #[test]
    fn norms_whose_squares_leave_the_range_are_norms_all_the_same() {
        for scale in [1e-200, 1e200] {
            let mut tolerance = Tolerance::new(1e-8, &[3.0 * scale, 4.0 * scale]);
            assert!((tolerance.norm() / (5.0 * scale) - 1.0).abs() < 1e-12);
            tolerance.rhs_changed(4.0 * scale, 0.0);
            assert!(tolerance.follow(&[3.0 * scale, 0.0]));
            assert!((tolerance.norm() / (3.0 * scale) - 1.0).abs() < 1e-12);
        }
    }
}
