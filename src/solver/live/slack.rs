//! What rounding can have done to a measured residual. Owns the bounds row by row; what follows from them
//! for the error of `x` is the proof's.

use crate::solver::kernel::fold_chunks;
use crate::solver::live::state::LiveSystem;

/// At least what rounding of `b − A x` can come to in a row of so many products that sum up to `size` in
/// magnitude, `b` included.
///
/// Source: Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1, with twice the unit.
pub(super) fn slack(terms: usize, size: f64) -> f64 {
    (terms + 4) as f64 * (f64::EPSILON * size + f64::MIN_POSITIVE)
}

impl LiveSystem {
    /// For the `x` that is kept, given as a copy too: at least what rounding of a measurement of each row's
    /// residual can come to. O(nnz + n), as fast as a product.
    pub(super) fn measurement_slacks(&self, x: &[f64]) -> Vec<f64> {
        let mut slacks = vec![0.0; self.order()];
        let (rows, rhs) = (self.matrix.stored_rows(), self.rhs());
        let of_row = |row: usize| {
            let (cols, values) = rows.row(row);
            let products = cols.iter().zip(values).map(|(col, value)| value * x[*col as usize]);
            let size: f64 = products.map(f64::abs).sum();
            match size > 0.0 {
                true => slack(cols.len(), size + rhs[row].abs()),
                // Factors that are 0 round nothing; products may have vanished.
                false => self.measurement_slack(row),
            }
        };
        fold_chunks::<0>(&mut slacks, rows.values.len(), |start, part| {
            part.iter_mut().enumerate().for_each(|(offset, slack)| *slack = of_row(start + offset));
            []
        });
        for entry in self.matrix.overlay().entries() {
            slacks[entry.row as usize] = self.measurement_slack(entry.row as usize);
        }
        slacks
    }

    /// The same for one row. O(entries of the row).
    fn measurement_slack(&self, row: usize) -> f64 {
        let (mut terms, mut size) = (0, self.rhs()[row].abs());
        for (col, value) in self.matrix.row(row) {
            let x = self.x(col as usize);
            // A factor 0 rounds nothing.
            terms += usize::from(value != 0.0 && x != 0.0);
            size += (value * x).abs();
        }
        if terms == 0 { 0.0 } else { slack(terms, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::live::delta::{Change, CostDelta};
    use crate::solver::live::state::Thresholds;

    /// Of rows at once and of one row alone, over stored and new entries, and where `x` is 0.
    #[test]
    fn slacks_of_all_rows_are_those_of_each_and_cover_what_rounding_does() {
        let n = 5_000;
        let system = gallery::diagonally_dominant(n, 25_000, 3).unwrap();
        let x: Vec<f64> = (0..n).map(|row| ((row % 7) as f64 - 3.0) / 4.0).collect();
        let thresholds = Thresholds::Uniform(1e-8);
        let mut live = LiveSystem::new(system, &x, thresholds, 50_000).unwrap();
        let mut delta = CostDelta::default();
        delta.edit_entry(17, 4_000, Change::Set(0.25), None);
        delta.edit_entry(4_999, 1, Change::Set(-0.5), None);
        live.apply(&delta).unwrap();
        let slacks = live.measurement_slacks(&live.copy_x());
        for (row, slack) in slacks.iter().enumerate() {
            let one = live.measurement_slack(row);
            assert!(
                0.999 * one <= *slack && *slack <= 4.0 * one,
                "row {row}: {one:e} against {slack:e}"
            );
            // In a fixed point of 2⁻⁸⁰ sums are exact, and so are products of these factors.
            let exact = |value: f64| (value * 2.0_f64.powi(80)) as i128;
            let mut sum = exact(live.rhs()[row]);
            for (col, value) in live.matrix.row(row) {
                let quarters = i128::from(col % 7) - 3;
                sum -= exact(value) * quarters / 4;
            }
            let kept = live.residual(row);
            let off = (exact(kept) - sum).abs() as f64 / 2.0_f64.powi(80);
            assert!(off <= *slack + live.drift(), "row {row}: {off:e} beyond {slack:e}");
        }
    }
}
