//! Where the entries of a matrix are, counted into a grid small enough to draw.

use crate::solver::system::{LinearSystem, Rows};

/// Entries of an n by n matrix counted into `cells` by `cells` squares, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DensityGrid {
    /// n.
    pub order: usize,
    /// Stored entries, the sum of `counts`.
    pub entries: usize,
    /// Squares along each side.
    pub cells: usize,
    pub counts: Vec<u32>,
}

impl DensityGrid {
    /// Counts in O(nnz). A matrix of at most `cells_max` rows gets one square for each place.
    pub fn of(system: &LinearSystem, cells_max: usize) -> Self {
        let order = system.order();
        let cells = order.min(cells_max.max(1));
        let cell_of: Vec<u32> = (0..order).map(|at| (at * cells / order) as u32).collect();
        let mut counts = vec![0u32; cells * cells];
        let rows: Rows<'_> = system.rows();
        for row in 0..order {
            let line = cell_of[row] as usize * cells;
            for &col in rows.cols(row) {
                counts[line + cell_of[col as usize] as usize] += 1;
            }
        }
        Self { order, entries: system.nonzeros(), cells, counts }
    }

    /// The fullest square's count.
    pub fn count_max(&self) -> u32 {
        self.counts.iter().copied().max().unwrap_or(0)
    }

    /// How dark a square is, from 0 for one entry to 1 for the fullest, by the logarithm of its count;
    /// `None` where there is nothing.
    pub fn shade(&self, count: u32, count_max: u32) -> Option<f64> {
        match count {
            0 => None,
            _ if count_max <= 1 => Some(1.0),
            _ => Some(f64::from(count).ln() / f64::from(count_max).ln()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery::poisson_2d;

    #[test]
    fn a_small_matrix_gets_a_square_for_each_place() {
        let grid = DensityGrid::of(&poisson_2d(2, 1).unwrap(), 800);
        assert_eq!(grid.counts, [1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1]);
    }

    #[test]
    fn every_entry_of_a_large_matrix_is_counted_once() {
        let system = poisson_2d(37, 1).unwrap();
        let grid = DensityGrid::of(&system, 100);
        assert_eq!((grid.order, grid.cells), (1369, 100));
        assert_eq!(grid.counts.iter().sum::<u32>() as usize, system.nonzeros());
        assert_eq!(grid.counts[0], 14 + 13 + 13, "rows 0 to 13 of the diagonal and beside it");
    }

    #[test]
    fn shades_run_from_one_entry_to_the_fullest_square() {
        let grid = DensityGrid::of(&poisson_2d(9, 1).unwrap(), 10);
        assert_eq!(grid.shade(0, 100), None);
        assert_eq!(grid.shade(1, 100), Some(0.0));
        assert_eq!(grid.shade(10, 100), Some(0.5));
        assert_eq!(grid.shade(100, 100), Some(1.0));
    }
}
