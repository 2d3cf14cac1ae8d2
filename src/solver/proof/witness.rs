//! The witness that a matrix is an H-matrix: `v > 0` with `w = ⟨A⟩ v > 0`, proven in floating point.
//! Owns `v`, the lower bounds of `w` and their upkeep under changes of `A`. Finding a `v` is
//! `search`'s, mending one `repair`'s, what follows for an error `bound`'s.

use crate::solver::proof::directed::{mul_up, sub_down, sum_slack};
use crate::solver::system::Rows;

/// `⟨A⟩`, the comparison matrix, has `|a_ii|` on its diagonal and `−|a_ij|` beside it. A `v > 0` with
/// `w = ⟨A⟩ v > 0` proves that `A` is a nonsingular H-matrix and that `|A⁻¹| ≤ ⟨A⟩⁻¹` (Ostrowski 1937),
/// so every `x` has `|x* − x|_i ≤ v_i max_k |r_k| / w_k`.
///
/// 24 bytes a row. `w` is kept as lower bounds: each change of an entry rounds them down, so they need
/// no account of their rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Witness {
    v: Vec<f64>,
    /// At most `(⟨A⟩ v)_i`.
    w: Vec<f64>,
    /// What `w` was when `v` was found: the measure of how far it has sunk since.
    target: Vec<f64>,
    /// At least every `v_i`.
    v_max: f64,
    /// Rows with `w_i ≤ 0`, in which nothing is proven.
    sunk: usize,
}

/// Why there is no witness.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WitnessFault {
    #[error("diagonal entry {row} is 0, so the matrix is not an H-matrix")]
    ZeroDiagonal { row: usize },
    /// A proof: an H-matrix has `⟨A⟩⁻¹ ≥ 0`, so `⟨A⟩ v > 0` would need `v > 0`.
    #[error(
        "not an H-matrix: a vector v has ⟨A⟩v ≥ {w_min:.3e} > 0 in every row, although v[{row}] = {v:.3e}"
    )]
    NotHMatrix { row: usize, v: f64, w_min: f64 },
    /// Proves nothing about `A`.
    #[error(
        "no witness found: the best v has (⟨A⟩v)[{row}] ≥ {w:.3e} only, and entries from {v_min:.3e}"
    )]
    NotFound { row: usize, w: f64, v_min: f64 },
    /// The entries of `v` do not fit the matrix.
    #[error("v has {found} entries, the matrix {expected} rows")]
    Length { expected: usize, found: usize },
    #[error("v[{row}] is {value}; entries must be finite")]
    NotFinite { row: usize, value: f64 },
}

impl WitnessFault {
    /// Whether it is proven that no witness exists.
    pub fn refutes(&self) -> bool {
        match self {
            Self::ZeroDiagonal { .. } | Self::NotHMatrix { .. } => true,
            Self::NotFound { .. } | Self::Length { .. } | Self::NotFinite { .. } => false,
        }
    }
}

/// How a row of the witness stands after a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowStanding {
    Proven,
    /// Still a proof, but the bound it gives has grown by more than [`SINKING`] times.
    Sinking {
        w: f64,
        target: f64,
    },
    /// `w_i ≤ 0`: nothing is proven until the witness is repaired or the row rises again.
    Sunk {
        w: f64,
    },
}

/// A row that has lost this factor wants repair.
pub const SINKING: f64 = 8.0;

impl Witness {
    /// Proves that `v` is a witness. `v` has length n; one pass over `A`.
    ///
    /// # Errors
    /// [`WitnessFault::NotHMatrix`] where `⟨A⟩ v > 0` holds for a `v` that is not positive, which proves
    /// that no witness exists; [`WitnessFault::NotFound`] where `⟨A⟩ v > 0` does not hold in every row,
    /// with the worst.
    pub fn prove(rows: Rows, v: Vec<f64>) -> Result<Self, WitnessFault> {
        if v.len() != rows.count() {
            return Err(WitnessFault::Length { expected: rows.count(), found: v.len() });
        }
        if let Some(row) = v.iter().position(|v| !v.is_finite()) {
            return Err(WitnessFault::NotFinite { row, value: v[row] });
        }
        let w: Vec<f64> = (0..rows.count()).map(|row| row_bound(rows, row, &v)).collect();
        let (lowest, w_min) = least(&w);
        let (row, v_min) = least(&v);
        match (w_min > 0.0, v_min > 0.0) {
            (true, true) => Ok(Self::of_parts(v, w)),
            (true, false) => Err(WitnessFault::NotHMatrix { row, v: v_min, w_min }),
            (false, _) => Err(WitnessFault::NotFound { row: lowest, w: w_min, v_min }),
        }
    }

    fn of_parts(v: Vec<f64>, w: Vec<f64>) -> Self {
        let v_max = v.iter().fold(0.0, |max: f64, v| max.max(*v));
        Self { target: w.clone(), v, w, v_max, sunk: 0 }
    }

    /// n.
    pub fn order(&self) -> usize {
        self.v.len()
    }

    /// `v`, positive, length n.
    pub fn v(&self) -> &[f64] {
        &self.v
    }

    /// Lower bounds of `⟨A⟩ v`, length n; all positive where [`holds`](Self::holds).
    pub fn w(&self) -> &[f64] {
        &self.w
    }

    /// At least every entry of `v`. `‖A⁻¹‖∞ ≤ max v / min w`.
    pub fn v_max(&self) -> f64 {
        self.v_max
    }

    /// Whether `A` is proven to be an H-matrix, O(1).
    pub fn holds(&self) -> bool {
        self.sunk == 0
    }

    /// Rows in which `w` is not positive.
    pub fn sunk_rows(&self) -> usize {
        self.sunk
    }

    /// The smallest lower bound and its row. O(n).
    pub fn w_min(&self) -> (usize, f64) {
        least(&self.w)
    }

    pub fn standing(&self, row: usize) -> RowStanding {
        let (w, target) = (self.w[row], self.target[row]);
        if w.is_nan() || w <= 0.0 {
            RowStanding::Sunk { w }
        } else if w * SINKING < target {
            RowStanding::Sinking { w, target }
        } else {
            RowStanding::Proven
        }
    }

    /// `a_ij` changed from `old` to `new`: `w_i` follows, in O(1) and rounded down. `old` must be the
    /// very value that `A` held (0 for a new entry).
    #[inline]
    pub fn entry_changed(&mut self, row: usize, col: usize, old: f64, new: f64) -> RowStanding {
        // What the entry takes from `w_i`, rounded up; a diagonal gives where others take.
        let taken = match row == col {
            true => (old.abs() - new.abs()).next_up(),
            false => (new.abs() - old.abs()).next_up(),
        };
        let taken = if old.abs() == new.abs() { 0.0 } else { mul_up(taken, self.v[col]) };
        self.set_w(row, sub_down(self.w[row], taken));
        self.standing(row)
    }

    /// Row `row` is now what `rows` holds: its `w` is bounded afresh, without what rounding took over many
    /// changes. O(entries of the row).
    pub fn row_changed(&mut self, rows: Rows, row: usize) -> RowStanding {
        self.set_w(row, row_bound(rows, row, &self.v));
        self.standing(row)
    }

    pub(super) fn target(&self, row: usize) -> f64 {
        self.target[row]
    }

    pub(super) fn set_w(&mut self, row: usize, w: f64) {
        let w = if w.is_nan() { f64::NEG_INFINITY } else { w };
        let old = std::mem::replace(&mut self.w[row], w);
        self.sunk = self.sunk + usize::from(w <= 0.0) - usize::from(old <= 0.0);
    }

    pub(super) fn set_v(&mut self, row: usize, v: f64) {
        self.v[row] = v;
        self.v_max = self.v_max.max(v);
    }

    pub fn memory_bytes(&self) -> u64 {
        24 * self.v.len() as u64
    }
}

/// At most `(⟨A⟩ v)_row`; −∞ where it overflows. `v` is finite, of either sign.
pub(super) fn row_bound(rows: Rows, row: usize, v: &[f64]) -> f64 {
    let (cols, values) = rows.row(row);
    let (mut sum, mut magnitude) = (0.0, 0.0);
    for (&col, &value) in cols.iter().zip(values) {
        let term = value.abs() * v[col as usize];
        sum += if col as usize == row { term } else { -term };
        magnitude += term.abs();
    }
    let bound = sub_down(sum, sum_slack(cols.len(), magnitude));
    if bound.is_finite() { bound } else { f64::NEG_INFINITY }
}

/// The smallest entry and where it is.
fn least(values: &[f64]) -> (usize, f64) {
    let start = (0, f64::INFINITY);
    let smaller =
        |least: (usize, f64), (at, &value)| if value < least.1 { (at, value) } else { least };
    values.iter().enumerate().fold(start, smaller)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    fn dense(n: usize, values: &[f64]) -> LinearSystem {
        let arrays = MatrixArrays::Dense { values: values.to_vec() };
        LinearSystem::assemble(n, n, arrays, vec![1.0; n]).unwrap()
    }

    #[test]
    fn one_unknown_has_a_witness_unless_it_is_zero() {
        let witness = Witness::prove(dense(1, &[-3.0]).rows(), vec![2.0]).unwrap();
        assert!(witness.w()[0] <= 6.0 && witness.w()[0] > 5.999_999);
        assert!(Witness::prove(dense(1, &[0.0]).rows(), vec![1.0]).is_err());
    }

    #[test]
    fn a_weakly_dominant_matrix_needs_a_v_that_is_not_constant() {
        let system = dense(2, &[2.0, -2.0, -1.0, 2.0]);
        let fault = Witness::prove(system.rows(), vec![1.0; 2]).unwrap_err();
        assert!(matches!(fault, WitnessFault::NotFound { row: 0, .. }) && !fault.refutes());
        assert!(Witness::prove(system.rows(), vec![1.5, 1.0]).unwrap().holds());
    }

    #[test]
    fn a_positive_image_of_a_vector_with_a_negative_entry_refutes() {
        // ⟨A⟩ = [1 −2; −2 1]; ⟨A⟩ (−1, −1) = (1, 1).
        let system = dense(2, &[1.0, 2.0, 2.0, 1.0]);
        let fault = Witness::prove(system.rows(), vec![-1.0; 2]).unwrap_err();
        assert!(matches!(fault, WitnessFault::NotHMatrix { row: 0, .. }) && fault.refutes());
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        let system = dense(2, &[2.0, 1.0, 1.0, 2.0]);
        assert_eq!(
            Witness::prove(system.rows(), vec![1.0]).unwrap_err(),
            WitnessFault::Length { expected: 2, found: 1 }
        );
        let fault = Witness::prove(system.rows(), vec![1.0, f64::NAN]).unwrap_err();
        assert!(matches!(fault, WitnessFault::NotFinite { row: 1, .. }));
        // ⟨A⟩ v overflows: no proof, no panic.
        let fault = Witness::prove(system.rows(), vec![f64::MAX; 2]).unwrap_err();
        assert!(matches!(fault, WitnessFault::NotFound { .. }));
    }

    #[test]
    fn a_row_sinks_and_rises_with_its_entries() {
        let system = dense(2, &[4.0, -1.0, -1.0, 4.0]);
        let mut witness = Witness::prove(system.rows(), vec![1.0; 2]).unwrap();
        assert_eq!(witness.entry_changed(0, 1, -1.0, 2.0), RowStanding::Proven);
        assert!(matches!(witness.entry_changed(0, 1, 2.0, -3.9), RowStanding::Sinking { .. }));
        assert!(matches!(witness.entry_changed(0, 1, -3.9, 4.0), RowStanding::Sunk { .. }));
        assert_eq!((witness.holds(), witness.sunk_rows()), (false, 1));
        // A change of sign alone takes nothing.
        let before = witness.w()[0];
        witness.entry_changed(0, 1, 4.0, -4.0);
        assert_eq!(witness.w()[0], before);
        assert_eq!(witness.entry_changed(0, 0, 4.0, -8.0), RowStanding::Proven);
        assert!(witness.holds() && witness.w()[0] <= 4.0 && witness.w()[0] > 3.999_999);
    }
}
