//! Mends a witness that has sunk: pushes on `⟨A⟩ v = target` from the rows that fell short, local where
//! the damage is. Needs the columns of `A`.

use std::collections::VecDeque;

use crate::solver::proof::directed::{add_up, mul_up, sub_down};
use crate::solver::proof::witness::Witness;
use crate::solver::system::Rows;

/// What a repair took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repair {
    pub pushes: u64,
    pub touched_entries: u64,
}

/// A repair that did not come to its end. The witness keeps what was reached: every bound in it is still
/// true, and it tells which rows are sunk.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RepairFault {
    /// The matrix may have stopped being an H-matrix, or the damage reaches far: search afresh.
    #[error(
        "{touched_entries} entries were touched of {entries_max} allowed, {sunk_rows} rows are still unproven"
    )]
    OverBudget { touched_entries: u64, entries_max: u64, sunk_rows: usize },
    #[error("diagonal entry {row} is 0, so the matrix is not an H-matrix")]
    ZeroDiagonal { row: usize },
    #[error("v[{row}] overflows")]
    Overflow { row: usize },
}

impl Witness {
    /// The rows whose `w` has fallen below half of its target. O(n).
    pub fn rows_to_repair(&self) -> Vec<u32> {
        let rows = 0..self.order() as u32;
        rows.filter(|&row| self.is_short(row as usize)).collect()
    }

    /// Raises `v` until every row that falls short has at least half of its target again: `v_i` grows by
    /// `(target_i − w_i) / |a_ii|`, which takes `|a_ki|` times that from the rows `k` of its column.
    ///
    /// `columns` is `Aᵀ` by rows, as it is now; `from` the rows that fell short (others found on the way
    /// are mended, too). Where `A` is still an H-matrix the pushes end, in any order; `entries_max` is
    /// hard. `v` only grows.
    ///
    /// # Errors
    /// See [`RepairFault`].
    pub fn repair(
        &mut self,
        columns: Rows,
        from: &[u32],
        entries_max: u64,
    ) -> Result<Repair, RepairFault> {
        self.repair_noting(columns, from, entries_max, &mut |_, _| {})
    }

    /// As [`repair`](Self::repair); tells `noted` each row whose `w` has changed, and the new `w`.
    pub(super) fn repair_noting(
        &mut self,
        columns: Rows,
        from: &[u32],
        entries_max: u64,
        noted: &mut impl FnMut(usize, f64),
    ) -> Result<Repair, RepairFault> {
        let mut queue: VecDeque<u32> = from.iter().copied().collect();
        let mut done = Repair::default();
        while let Some(row) = queue.pop_front() {
            let row = row as usize;
            if !self.is_short(row) {
                continue;
            }
            let entries = columns.cols(row).len() as u64;
            if done.touched_entries + entries > entries_max {
                return Err(RepairFault::OverBudget {
                    touched_entries: done.touched_entries,
                    entries_max,
                    sunk_rows: self.sunk_rows(),
                });
            }
            self.push(columns, row, &mut queue, noted)?;
            done.pushes += 1;
            done.touched_entries += entries;
        }
        Ok(done)
    }

    fn is_short(&self, row: usize) -> bool {
        self.w()[row] < 0.5 * self.target(row)
    }

    fn push(
        &mut self,
        columns: Rows,
        row: usize,
        queue: &mut VecDeque<u32>,
        noted: &mut impl FnMut(usize, f64),
    ) -> Result<(), RepairFault> {
        let diagonal = columns.diagonal(row).unwrap_or(0.0).abs();
        if diagonal == 0.0 {
            return Err(RepairFault::ZeroDiagonal { row });
        }
        let old = self.v()[row];
        let new = old + (self.target(row) - self.w()[row]) / diagonal;
        if !new.is_finite() {
            return Err(RepairFault::Overflow { row });
        }
        // `v` is what was stored, so its growth lies between these two.
        let (least, most) = ((new - old).next_down().max(0.0), add_up(new, -old));
        self.set_v(row, new);
        let (rows, values) = columns.row(row);
        for (&k, value) in rows.iter().zip(values) {
            let k = k as usize;
            let taken = match k == row {
                true => -(value.abs() * least).next_down(),
                false => mul_up(value.abs(), most),
            };
            let was_short = self.is_short(k);
            self.set_w(k, sub_down(self.w()[k], taken));
            noted(k, self.w()[k]);
            if self.is_short(k) && (k == row || !was_short) {
                queue.push_back(k as u32);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::proof::search::{SearchLimits, find};
    use crate::solver::system::LinearSystem;

    /// Sets `a[row][col]` of a stored entry and tells the witness.
    fn change(
        system: LinearSystem,
        witness: &mut Witness,
        at: (usize, usize),
        to: f64,
    ) -> LinearSystem {
        let (mut matrix, rhs) = system.into_parts();
        let entry = matrix.get_mut(at.0, at.1).unwrap();
        witness.entry_changed(at.0, at.1, *entry, to);
        *entry = to;
        LinearSystem::new(matrix, rhs).unwrap()
    }

    fn check_true(system: &LinearSystem, witness: &Witness) {
        let fresh = Witness::prove(system.rows(), witness.v().to_vec());
        let fresh = fresh.expect("still a witness");
        for (row, (kept, fresh)) in witness.w().iter().zip(fresh.w()).enumerate() {
            assert!((kept - fresh).abs() <= 1e-9 * fresh.abs(), "row {row}: {kept:e}, {fresh:e}");
        }
    }

    #[test]
    fn a_sunk_row_is_mended_by_a_few_pushes() {
        let system = gallery::diagonally_dominant(2_000, 10_000, 3).unwrap();
        let mut witness = find(system.rows(), SearchLimits::default()).unwrap();
        let row = (0..2_000).find(|&row| system.rows().cols(row).len() > 3).unwrap();
        let diagonal = system.rows().diagonal(row).unwrap();
        // Below the sum beside it: the row is not dominant any more, the matrix still an H-matrix.
        let too_small = 0.9 * (diagonal - witness.w()[row]);
        let system = change(system, &mut witness, (row, row), too_small);
        assert!(!witness.holds());
        let transposed = system.transposed();
        let done = witness.repair(Rows::of(&transposed), &[row as u32], 100_000).unwrap();
        assert!(witness.holds() && done.pushes < 500, "{done:?}");
        check_true(&system, &witness);
        assert!(witness.rows_to_repair().is_empty());
    }

    #[test]
    fn a_matrix_that_stopped_being_an_h_matrix_uses_up_the_budget() {
        let system = gallery::poisson_2d(10, 1).unwrap();
        let mut witness = find(system.rows(), SearchLimits::default()).unwrap();
        let system = change(system, &mut witness, (44, 44), 0.5);
        let transposed = system.transposed();
        let fault = witness.repair(Rows::of(&transposed), &[44], 5_000).unwrap_err();
        assert!(matches!(fault, RepairFault::OverBudget { touched_entries: ..=5_000, .. }));
        assert!(!witness.holds());
        let system = change(system, &mut witness, (44, 44), 0.0);
        let transposed = system.transposed();
        let fault = witness.repair(Rows::of(&transposed), &[44], 5_000).unwrap_err();
        assert_eq!(fault, RepairFault::ZeroDiagonal { row: 44 });
    }

    #[test]
    fn one_row_is_mended() {
        let arrays = crate::solver::system::MatrixArrays::Dense { values: vec![4.0] };
        let system = LinearSystem::assemble(1, 1, arrays, vec![1.0]).unwrap();
        let mut witness = find(system.rows(), SearchLimits::default()).unwrap();
        let system = change(system, &mut witness, (0, 0), -1e-3);
        assert_eq!(witness.rows_to_repair(), [0]);
        witness.repair(system.rows(), &[0], 10).unwrap();
        check_true(&system, &witness);
    }
}
