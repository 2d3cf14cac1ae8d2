//! A live state that is not what it should be: rows that were altered are mended from the columns, which
//! are a second copy of them, and what is derived from the rows is made anew.

use crate::solver::live::state::LiveSystem;
use crate::solver::memory_fault::{FaultPlace, MemoryFault};

/// What a look at all rows came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Rows that hold what was accepted again.
    pub mended: usize,
    /// Rows that do not, and the first of them: an entry of `b`, an entry that has no copy yet, or both
    /// copies were altered.
    pub lost: usize,
    pub first_lost: Option<usize>,
}

impl LiveSystem {
    /// Mends rows that do not hold what was accepted, from the columns. The residual kept is not
    /// touched: measure it. O(nnz).
    pub fn repair(&mut self) -> Repaired {
        let mut repaired = Repaired::default();
        for row in 0..self.order() {
            if self.is_intact(row) {
                continue;
            }
            let held = self.matrix.row_from_columns(row);
            if self.is_intact(row) {
                repaired.mended += 1;
            } else {
                self.matrix.write_row(row, &held);
                repaired.lost += 1;
                repaired.first_lost.get_or_insert(row);
            }
        }
        repaired
    }

    /// Makes the columns, the diagonals and the residual anew from the rows, `b` and `x`; entries of `x`
    /// that are no numbers become 0. O(nnz + n).
    pub fn rebuild(&mut self) {
        self.matrix.merge();
        self.matrix.rebuild_columns();
        self.place_columns();
        for (row, node) in self.nodes.iter_mut().enumerate() {
            node.set_diagonal(self.matrix.stored_rows().diagonal(row).unwrap_or(0.0));
            if !node.x.is_finite() {
                node.x = 0.0;
            }
        }
        self.measure();
    }

    pub(super) fn is_intact(&self, row: usize) -> bool {
        self.digests.is_intact(row, self.matrix.row(row), self.rhs[row])
    }

    /// Lets a number in memory become another one.
    pub fn suffer(&mut self, fault: MemoryFault) {
        let row = fault.row % self.order();
        match fault.place {
            FaultPlace::Solution => self.nodes[row].x += fault.by,
            FaultPlace::Matrix => self.matrix.alter_first(row, fault.by),
            FaultPlace::Cost => self.rhs[row] += fault.by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::live::delta::{Change, CostDelta};
    use crate::solver::live::state::Thresholds;

    const ORDER: usize = 300;

    fn live() -> LiveSystem {
        let system = gallery::diagonally_dominant(ORDER, 1_500, 3).unwrap();
        LiveSystem::new(system, &[0.5; ORDER], Thresholds::Uniform(1e-9), 10_000).unwrap()
    }

    fn strike(live: &mut LiveSystem, place: FaultPlace, row: usize) {
        live.suffer(MemoryFault { place, row, by: 0.25 });
    }

    #[test]
    fn an_altered_entry_is_mended_from_its_copy_to_the_bit() {
        let mut live = live();
        let before = live.to_system();
        strike(&mut live, FaultPlace::Matrix, 31);
        assert_ne!(live.to_system(), before);
        assert_eq!(live.repair(), Repaired { mended: 1, ..Repaired::default() });
        assert_eq!(live.to_system(), before);
        assert_eq!(live.repair(), Repaired::default());
    }

    #[test]
    fn what_has_no_copy_is_called_lost_and_left_as_it_is() {
        let mut live = live();
        strike(&mut live, FaultPlace::Cost, 8);
        strike(&mut live, FaultPlace::Matrix, 9);
        let mut delta = CostDelta::default();
        // It waits in the overlay.
        let col = (0..ORDER).find(|col| live.matrix().value(12, *col) == 0.0).unwrap();
        delta.edit_entry(12, col, Change::Set(0.125), None);
        live.apply(&delta).unwrap();
        let repaired = live.repair();
        assert_eq!(repaired, Repaired { mended: 1, lost: 1, first_lost: Some(8) });
        assert!(!live.is_intact(8) && live.is_intact(9) && live.is_intact(12));
    }

    #[test]
    fn columns_that_were_altered_are_made_anew() {
        let mut live = live();
        let before = live.matrix().column(7).collect::<Vec<_>>();
        live.matrix.alter_column(7, 3.0);
        assert_ne!(live.matrix().column(7).collect::<Vec<_>>(), before);
        live.nodes[5].x = f64::NAN;
        live.rebuild();
        assert_eq!(live.matrix().column(7).collect::<Vec<_>>(), before);
        assert!(live.x(5) == 0.0 && live.residual_norm().is_finite());
    }
}
