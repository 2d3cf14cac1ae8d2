//! The proven bound on the error of a live `x`, kept while `b`, `A` and `x` change: the witness, what is
//! known about each row's residual, and the maximum of their quotients.

use crate::solver::proof::directed::{add_up, div_up, mul_up, sum_slack};
use crate::solver::proof::maximum::LazyMaximum;
use crate::solver::proof::repair::{Repair, RepairFault};
use crate::solver::proof::witness::{RowStanding, Witness};
use crate::solver::system::Rows;

/// `|x* − x|_i ≤ v_i q` with `q = max_k |r_k| / w_k` (Ostrowski 1937; see [`Witness`]).
///
/// Every row has an upper bound of `|b − A x|`, from a measurement with its rounding or widened by what
/// is known to have moved it since, so a bound is true also while changes wait to be worked in.
/// 41 bytes a row, the witness included.
#[derive(Debug, Clone)]
pub struct ErrorBound {
    witness: Witness,
    /// At least `|b − A x|_i`.
    residuals: Vec<f64>,
    /// `residuals_i / w_i`, infinite where the row is sunk.
    quotients: LazyMaximum,
}

/// A proven bound of `‖x* − x‖∞`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProvenBound {
    pub absolute: f64,
    /// Against `‖x*‖∞`, which is at least `‖x‖∞ − absolute`; none where that is not positive.
    pub relative: Option<f64>,
}

impl ErrorBound {
    /// Measures every row. One pass over `A`; `rhs` and `x` have length n.
    pub fn new(witness: Witness, rows: Rows, rhs: &[f64], x: &[f64]) -> Self {
        let n = witness.order();
        assert!([rows.count(), rhs.len(), x.len()] == [n; 3], "everything has n entries");
        let residuals: Vec<f64> =
            (0..n).map(|row| Residual::of(rows, row, rhs, x).magnitude()).collect();
        let quotients = residuals.iter().zip(witness.w()).map(|(r, w)| quotient(*r, *w)).collect();
        Self { quotients: LazyMaximum::new(quotients), residuals, witness }
    }

    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The witness back.
    pub fn into_witness(self) -> Witness {
        self.witness
    }

    /// `a_ij` changed from `old` to `new` while `x_j` was `x_j`: both `w_i` and `r_i` follow, O(1).
    pub fn entry_changed(
        &mut self,
        at: (usize, usize),
        old: f64,
        new: f64,
        x_j: f64,
    ) -> RowStanding {
        let (row, col) = at;
        let standing = self.witness.entry_changed(row, col, old, new);
        let moved = mul_up((new - old).abs().next_up(), x_j.abs());
        let moved = if new == old { 0.0 } else { moved };
        self.set_residual(row, add_up(self.residuals[row], moved));
        standing
    }

    /// `b_i` changed from `old` to `new`, O(1).
    pub fn rhs_changed(&mut self, row: usize, old: f64, new: f64) {
        let moved = if new == old { 0.0 } else { (new - old).abs().next_up() };
        self.set_residual(row, add_up(self.residuals[row], moved));
    }

    /// Row `row` is known to have `|b − A x| ≤ magnitude`, such as a tracked residual and its
    /// [`tracking_slack`] since it was measured.
    pub fn set_residual(&mut self, row: usize, magnitude: f64) {
        self.residuals[row] = magnitude;
        self.quotients.set(row, quotient(magnitude, self.witness.w()[row]));
    }

    /// Mends the witness by local pushes and takes over what changes by it; residuals are untouched. See
    /// [`Witness::repair`].
    ///
    /// # Errors
    /// As [`Witness::repair`]; the bound is true of what was reached.
    pub fn repair(
        &mut self,
        columns: Rows,
        from: &[u32],
        entries_max: u64,
    ) -> Result<Repair, RepairFault> {
        let Self { witness, residuals, quotients } = self;
        witness.repair_noting(columns, from, entries_max, &mut |row, w| {
            quotients.set(row, quotient(residuals[row], w));
        })
    }

    /// Measures one row afresh. O(entries of the row).
    pub fn measure_row(&mut self, rows: Rows, row: usize, rhs: &[f64], x: &[f64]) {
        self.set_residual(row, Residual::of(rows, row, rhs, x).magnitude());
    }

    /// At least `|b − A x|_row`.
    pub fn residual(&self, row: usize) -> f64 {
        self.residuals[row]
    }

    /// `q`; infinite where a row is sunk. O(1) where no row's quotient fell since, see
    /// [`LazyMaximum`](super::maximum::LazyMaximum) otherwise.
    pub fn quotient_max(&mut self) -> f64 {
        self.quotients.max()
    }

    /// At least `q`, O(1): quotients that fell since the last search may still count.
    pub fn quotient_at_most(&self) -> f64 {
        self.quotients.at_most()
    }

    /// Bounds `|x* − x|_i`; none where nothing is proven.
    pub fn of_entry(&mut self, at: usize) -> Option<f64> {
        let bound = mul_up(self.witness.v()[at], self.quotient_max());
        (self.witness.holds() && bound.is_finite()).then_some(bound)
    }

    /// Bounds `‖x* − x‖∞`, where `x_norm` is `‖x‖∞`; none where nothing is proven.
    pub fn overall(&mut self, x_norm: f64) -> Option<ProvenBound> {
        let absolute = mul_up(self.witness.v_max(), self.quotient_max());
        if !self.witness.holds() || !absolute.is_finite() {
            return None;
        }
        let least = (x_norm - absolute).next_down();
        let relative = match (absolute == 0.0, least > 0.0) {
            (true, _) => Some(0.0),
            (false, true) => Some(div_up(absolute, least)),
            (false, false) => None,
        };
        Some(ProvenBound { absolute, relative })
    }

    pub fn memory_bytes(&self) -> u64 {
        self.witness.memory_bytes() + 17 * self.residuals.len() as u64
    }
}

/// What one step `r ← r − term` of a tracked residual can lose to rounding, where `term` is a rounded
/// product. To be added up over all steps since a measurement.
#[inline]
pub fn tracking_slack(term: f64, result: f64) -> f64 {
    f64::EPSILON * (term.abs() + result.abs()) + f64::MIN_POSITIVE
}

/// `(b − A x)_i` as computed, and how far rounding can have taken it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    pub value: f64,
    pub slack: f64,
}

impl Residual {
    pub fn of(rows: Rows, row: usize, rhs: &[f64], x: &[f64]) -> Self {
        let (cols, values) = rows.row(row);
        Self::of_terms(rhs[row], cols.iter().zip(values).map(|(&col, &a)| (a, x[col as usize])))
    }

    /// `rhs − Σ a x` over the `(a, x)` of a row.
    pub fn of_terms(rhs: f64, terms_of: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mut value, mut magnitude, mut terms) = (rhs, rhs.abs(), 0);
        for (entry, x) in terms_of {
            let term = entry * x;
            value -= term;
            magnitude += term.abs();
            // A factor 0 rounds nothing, so that `x = 0` is exact for `b = 0`.
            terms += usize::from(entry != 0.0 && x != 0.0);
        }
        Self { value, slack: sum_slack(terms, magnitude) }
    }

    /// At least `|b − A x|_i`; infinite where it overflows.
    pub fn magnitude(self) -> f64 {
        let magnitude = add_up(self.value.abs(), self.slack);
        if magnitude.is_nan() { f64::INFINITY } else { magnitude }
    }
}

fn quotient(residual: f64, w: f64) -> f64 {
    if w > 0.0 { div_up(residual, w) } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::certificate::error_bound_infinity;
    use crate::solver::gallery;
    use crate::solver::proof::search::{SearchLimits, find};
    use crate::solver::system::{LinearSystem, MatrixArrays};

    fn bound_of(system: &LinearSystem, x: &[f64]) -> ErrorBound {
        let witness = find(system.rows(), SearchLimits::default()).unwrap();
        ErrorBound::new(witness, system.rows(), system.rhs(), x)
    }

    #[test]
    fn a_known_error_lies_within_its_bound_and_the_bound_is_not_idle() {
        let system = gallery::poisson_2d(20, 3).unwrap();
        let (system, solution) = gallery::with_known_solution(system, 9);
        for error in [1e-3, 1e-9] {
            let mut x = solution.clone();
            x[170] += error;
            let mut bound = bound_of(&system, &x);
            let of_entry = bound.of_entry(170).unwrap();
            let overall = bound.overall(1.0).unwrap();
            assert!(of_entry >= error && of_entry <= overall.absolute);
            assert!(overall.absolute < 2_000.0 * error, "{overall:?}");
        }
    }

    #[test]
    fn with_v_of_ones_it_is_the_bound_of_strict_dominance() {
        let system = gallery::diagonally_dominant(300, 1_500, 4).unwrap();
        let (system, mut x) = gallery::with_known_solution(system, 2);
        x[5] -= 1e-4;
        let ours = bound_of(&system, &x).overall(1.0).unwrap().absolute;
        let known = error_bound_infinity(&system, &x).unwrap();
        assert!((ours - known).abs() < 1e-6 * known, "{ours:e}, {known:e}");
    }

    #[test]
    fn nothing_is_wrong_with_zero_for_a_zero_right_hand_side() {
        let (matrix, _) = gallery::poisson_2d(5, 1).unwrap().into_parts();
        let system = LinearSystem::new(matrix, vec![0.0; 25]).unwrap();
        let mut bound = bound_of(&system, &[0.0; 25]);
        let exact = ProvenBound { absolute: 0.0, relative: Some(0.0) };
        assert_eq!(bound.overall(0.0), Some(exact));
        // A change of b that waits is in the bound at once.
        bound.rhs_changed(7, 0.0, -1e-3);
        assert!(bound.of_entry(7).unwrap() >= 1e-3 / 4.0);
        assert_eq!(bound.overall(0.0).unwrap().relative, None);
        bound.set_residual(7, 0.0);
        assert_eq!(bound.overall(0.0), Some(exact));
    }

    #[test]
    fn a_sunk_row_takes_the_bound_away_until_it_rises() {
        let values = vec![4.0, 1.0, 1.0, 4.0];
        let system =
            LinearSystem::assemble(2, 2, MatrixArrays::Dense { values }, vec![5.0; 2]).unwrap();
        let mut bound = bound_of(&system, &[1.0, 1.0]);
        assert!(bound.overall(1.0).unwrap().absolute < 1e-13);
        let standing = bound.entry_changed((0, 1), 1.0, 4.5, 1.0);
        assert!(matches!(standing, RowStanding::Sunk { .. }));
        assert_eq!((bound.overall(1.0), bound.of_entry(1)), (None, None));
        assert_eq!(bound.entry_changed((0, 1), 4.5, 1.0, 1.0), RowStanding::Proven);
        // The detour is still in the residual's bound; a measurement takes it out.
        assert!(bound.of_entry(1).unwrap() > 1.0);
        bound.measure_row(system.rows(), 0, system.rhs(), &[1.0, 1.0]);
        assert!(bound.of_entry(1).unwrap() < 1e-13);
    }

    #[test]
    fn what_overflows_proves_nothing() {
        let values = vec![4e300, 1.0, 1.0, 4.0];
        let system =
            LinearSystem::assemble(2, 2, MatrixArrays::Dense { values }, vec![5.0; 2]).unwrap();
        assert_eq!(bound_of(&system, &[1e10, 0.0]).overall(1e10), None);
        assert_eq!(bound_of(&system, &[f64::NAN, 0.0]).of_entry(0), None);
        let mut bound = bound_of(&system, &[0.0, 1.25]);
        bound.set_residual(1, f64::NAN);
        assert_eq!(bound.of_entry(0), None);
    }
}
