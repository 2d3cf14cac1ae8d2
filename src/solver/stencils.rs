//! Matrices of grids repeat the shape of their rows: each column one further than in the row before.
//! Owns where such runs of rows are, so that a pass over `A` need not read its column indices; the loops
//! over them are the kernel's.

use std::collections::BTreeMap;
use std::ops::Range;

/// Runs of fewer rows than this, on average, do not pay (measured with 7 entries a row: break-even at 2 rows
/// a run, in cache and from memory).
const MEAN_RUN_MIN: usize = 3;

/// So many runs are found before their mean length is judged.
const JUDGED_FROM: usize = 1 << 10;

/// Distances of all stencils together; a matrix with more is no grid.
const DISTANCES_MAX: usize = 1 << 14;

/// Distances `column − row` of the stored entries of a row, ascending.
type Distances = Box<[isize]>;

/// Runs of consecutive rows with the same stencil. 8 bytes for each run, and the few stencils.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stencils {
    /// Ascending; the last one starts at n, where there is no row.
    runs: Vec<Run>,
    stencils: Vec<Distances>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first_row: u32,
    stencil: u32,
}

impl Stencils {
    /// The runs of a matrix of n rows, where they are long enough to pay. One pass over the column indices,
    /// or over the first few thousand rows of a matrix without such runs.
    pub fn of(pointers: &[u32], indices: &[u32]) -> Option<Self> {
        let n = pointers.len() - 1;
        let cols = |row: usize| &indices[pointers[row] as usize..pointers[row + 1] as usize];
        let mut found = Found { known: BTreeMap::new(), room: DISTANCES_MAX };
        let mut runs: Vec<Run> = vec![];
        for row in 0..n {
            if row > 0 && is_one_further(cols(row - 1), cols(row)) {
                continue;
            }
            runs.push(Run { first_row: row as u32, stencil: found.number(row, cols(row))? });
            if runs.len() >= JUDGED_FROM && runs.len() * MEAN_RUN_MIN > row {
                return None;
            }
        }
        if runs.len() * MEAN_RUN_MIN > n {
            return None;
        }
        runs.push(Run { first_row: n as u32, stencil: 0 });
        runs.shrink_to_fit();
        Some(Self { runs, stencils: found.in_order() })
    }

    /// The runs within `rows`, cut to it, each with its distances. O(log runs) to find the first.
    pub(crate) fn over(
        &self,
        rows: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, &[isize])> {
        let first = self.runs.partition_point(|run| run.first_row as usize <= rows.start);
        let from_first = self.runs.get(first.saturating_sub(1)..).unwrap_or_default();
        from_first.windows(2).map_while(move |pair| {
            let start = rows.start.max(pair[0].first_row as usize);
            let end = rows.end.min(pair[1].first_row as usize);
            (start < end).then(|| (start..end, &*self.stencils[pair[0].stencil as usize]))
        })
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> u64 {
        let distances: usize = self.stencils.iter().map(|stencil| size_of_val(&**stencil)).sum();
        let stencils = self.stencils.capacity() * size_of::<Distances>();
        (self.runs.capacity() * size_of::<Run>() + stencils + distances) as u64
    }
}

/// The stencils met so far, numbered as they came.
struct Found {
    known: BTreeMap<Distances, u32>,
    /// Distances that may still be kept.
    room: usize,
}

impl Found {
    /// The number of a row's stencil, unless it is one too many.
    fn number(&mut self, row: usize, cols: &[u32]) -> Option<u32> {
        if cols.len() > DISTANCES_MAX {
            return None;
        }
        let distances: Distances = cols.iter().map(|&col| col as isize - row as isize).collect();
        if let Some(number) = self.known.get(&distances) {
            return Some(*number);
        }
        self.room = self.room.checked_sub(distances.len())?;
        let number = self.known.len() as u32;
        self.known.insert(distances, number);
        Some(number)
    }

    fn in_order(self) -> Vec<Distances> {
        let mut stencils = vec![Distances::default(); self.known.len()];
        for (distances, number) in self.known {
            stencils[number as usize] = distances;
        }
        stencils
    }
}

fn is_one_further(before: &[u32], cols: &[u32]) -> bool {
    before.len() == cols.len() && before.iter().zip(cols).all(|(before, col)| before + 1 == *col)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::system::LinearSystem;
    use proptest::prelude::*;

    fn stencils_of(system: &LinearSystem) -> Option<Stencils> {
        let rows = system.rows();
        Stencils::of(rows.pointers, rows.indices)
    }

    /// Rows with the columns that the runs over `rows` say.
    fn told(stencils: &Stencils, rows: Range<usize>) -> Vec<(usize, Vec<u32>)> {
        let told = stencils.over(rows).flat_map(|(run, distances)| {
            run.map(move |row| {
                (row, distances.iter().map(|d| (row as isize + d) as u32).collect::<Vec<u32>>())
            })
        });
        told.collect()
    }

    #[test]
    fn a_grid_has_three_runs_a_line_and_one_stencil_for_each_kind_of_place() {
        let stencils = stencils_of(&gallery::poisson_2d(20, 1).unwrap()).unwrap();
        assert_eq!(stencils.runs.len(), 3 * 20 + 1);
        assert_eq!(stencils.stencils.len(), 9);
        assert_eq!(stencils_of(&gallery::poisson_3d(9, 1).unwrap()).unwrap().stencils.len(), 27);
    }

    #[test]
    fn a_matrix_without_runs_is_left_after_its_first_rows() {
        let scattered = gallery::diagonally_dominant(50_000, 250_000, 1).unwrap();
        assert_eq!(stencils_of(&scattered), None);
        let narrow = gallery::poisson_3d(5, 1).unwrap();
        assert_eq!(stencils_of(&narrow), None, "3 runs in 5 rows");
    }

    #[test]
    fn what_is_kept_for_long_rows_is_bounded() {
        // 3 rows of each stencil, and each of 200 stencils of 100 distances.
        let starts = (0..600_u32)
            .map(|row| if row % 3 == 0 { 7 * row } else { 7 * (row / 3) * 3 + row % 3 });
        let indices: Vec<u32> = starts.flat_map(|start| start..start + 100).collect();
        let pointers: Vec<u32> = (0..=600).map(|row| 100 * row).collect();
        assert_eq!(Stencils::of(&pointers, &indices), None);
        assert!(Stencils::of(&pointers[..301], &indices[..30_000]).is_some());
    }

    proptest! {
        #[test]
        fn the_runs_over_any_rows_are_those_rows(
            side in 9_usize..14, start in 0_usize..2_000, count in 0_usize..500,
        ) {
            let system = gallery::poisson_3d(side, 1).unwrap();
            let stencils = stencils_of(&system).unwrap();
            let start = start.min(system.order());
            let rows = start..(start + count).min(system.order());
            let expected: Vec<_> =
                rows.clone().map(|row| (row, system.rows().cols(row).to_vec())).collect();
            prop_assert_eq!(told(&stencils, rows), expected);
        }
    }
}
