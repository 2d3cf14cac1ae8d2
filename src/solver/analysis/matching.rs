//! Structural rank: the largest number of nonzeros no two of which share a row or a column. Below n the
//! matrix is singular whatever its values are.
//!
//! Hopcroft and Karp, SIAM J. Comput. 1973, started from the diagonal: O(nnz √n) at worst, one look at
//! the diagonal for most systems, and stopped at a multiple of nnz.

use crate::solver::system::Rows;
use serde::Serialize;

/// Entries looked at, per stored entry, before the search gives up.
const EFFORT_PER_ENTRY: usize = 50;
const NONE: u32 = u32::MAX;

/// How many rows can be matched with columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StructuralRank {
    Full,
    /// `rows` rows, `row` among them, have their nonzeros in `rows − 1` columns (Hall), so `A` is
    /// singular.
    Deficient {
        rank: usize,
        row: usize,
        rows: usize,
    },
    /// The search was stopped; at least this many can be matched.
    AtLeast {
        rank: usize,
    },
}

pub(crate) fn structural_rank(rows: Rows<'_>, diagonals: &[f64]) -> StructuralRank {
    if diagonals.iter().all(|&value| value != 0.0) {
        return StructuralRank::Full;
    }
    let mut matching = Matching::along_diagonal(rows, diagonals);
    matching.grow()
}

struct Matching<'a> {
    rows: Rows<'a>,
    column_of: Vec<u32>,
    row_of: Vec<u32>,
    /// Distance of a row from the unmatched ones along alternating paths.
    layer: Vec<u32>,
    /// Where the search in a row goes on.
    next_entry: Vec<u32>,
    matched: usize,
    effort_left: usize,
}

impl<'a> Matching<'a> {
    fn along_diagonal(rows: Rows<'a>, diagonals: &[f64]) -> Self {
        let n = diagonals.len();
        let mut matching = Self {
            rows,
            column_of: vec![NONE; n],
            row_of: vec![NONE; n],
            layer: vec![NONE; n],
            next_entry: vec![0; n],
            matched: 0,
            effort_left: EFFORT_PER_ENTRY * (rows.indices.len() + n),
        };
        for (row, &diagonal) in diagonals.iter().enumerate() {
            if diagonal != 0.0 {
                matching.join(row, row);
                matching.matched += 1;
            }
        }
        matching
    }

    fn join(&mut self, row: usize, column: usize) {
        self.column_of[row] = column as u32;
        self.row_of[column] = row as u32;
    }

    fn grow(&mut self) -> StructuralRank {
        let n = self.column_of.len();
        while self.matched < n {
            if self.effort_left == 0 {
                return StructuralRank::AtLeast { rank: self.matched };
            }
            if !self.layer_rows() {
                return self.deficiency();
            }
            self.next_entry.copy_from_slice(&self.rows.pointers[..n]);
            for row in 0..n {
                if self.column_of[row] == NONE && self.augment(row) {
                    self.matched += 1;
                }
            }
        }
        StructuralRank::Full
    }

    /// Breadth-first layers from all unmatched rows; false when no unmatched column can be reached.
    fn layer_rows(&mut self) -> bool {
        self.layer.fill(NONE);
        let mut frontier: Vec<u32> = (0..)
            .zip(&self.column_of)
            .filter(|(_, col)| **col == NONE)
            .map(|(row, _)| row)
            .collect();
        for &row in &frontier {
            self.layer[row as usize] = 0;
        }
        let mut depth = 0;
        while !frontier.is_empty() {
            depth += 1;
            let mut reached = vec![];
            let mut found = false;
            for &row in &frontier {
                for column in nonzero_columns(self.rows, row as usize) {
                    let holder = self.row_of[column];
                    if holder == NONE {
                        found = true;
                    } else if self.layer[holder as usize] == NONE {
                        self.layer[holder as usize] = depth;
                        reached.push(holder);
                    }
                }
            }
            let looked_at = frontier.iter().map(|&row| self.rows.cols(row as usize).len());
            self.spend(looked_at.sum::<usize>() + frontier.len());
            if found {
                return true;
            }
            frontier = reached;
        }
        false
    }

    /// Depth-first along the layers, with an explicit stack; flips the path it finds.
    fn augment(&mut self, start: usize) -> bool {
        let mut path: Vec<(usize, usize)> = vec![];
        let mut row = start;
        loop {
            match self.next_step(row) {
                Some(column) if self.row_of[column] == NONE => {
                    self.join(row, column);
                    for &(row, column) in path.iter().rev() {
                        self.join(row, column);
                    }
                    return true;
                }
                Some(column) => {
                    path.push((row, column));
                    row = self.row_of[column] as usize;
                }
                None => match path.pop() {
                    Some((earlier, _)) => row = earlier,
                    None => return false,
                },
            }
        }
    }

    /// The next column of `row` that is free or leads one layer on.
    fn next_step(&mut self, row: usize) -> Option<usize> {
        while self.next_entry[row] < self.rows.pointers[row + 1] {
            if self.effort_left == 0 {
                return None;
            }
            self.spend(1);
            let entry = self.next_entry[row] as usize;
            self.next_entry[row] += 1;
            if self.rows.values[entry] == 0.0 {
                continue;
            }
            let column = self.rows.indices[entry] as usize;
            let holder = self.row_of[column];
            let onward = holder == NONE || self.layer[holder as usize] == self.layer[row] + 1;
            if onward {
                return Some(column);
            }
        }
        None
    }

    fn spend(&mut self, effort: usize) {
        self.effort_left = self.effort_left.saturating_sub(effort);
    }

    /// No unmatched column can be reached from the first unmatched row: the rows reached from it hold
    /// nonzeros only in the columns that the others among them are matched with.
    fn deficiency(&mut self) -> StructuralRank {
        let unmatched = self.column_of.iter().position(|&column| column == NONE);
        let row = unmatched.expect("the matching is not perfect");
        let mut seen = vec![false; self.column_of.len()];
        let mut stack = vec![row];
        let mut rows = 0;
        seen[row] = true;
        while let Some(row) = stack.pop() {
            rows += 1;
            for column in nonzero_columns(self.rows, row) {
                let holder = self.row_of[column] as usize;
                if !seen[holder] {
                    seen[holder] = true;
                    stack.push(holder);
                }
            }
        }
        StructuralRank::Deficient { rank: self.matched, row, rows }
    }
}

fn nonzero_columns(rows: Rows<'_>, row: usize) -> impl Iterator<Item = usize> {
    let (columns, values) = rows.row(row);
    columns
        .iter()
        .zip(values)
        .filter(|(_, value)| **value != 0.0)
        .map(|(column, _)| *column as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::assembly::assemble;
    use crate::solver::system::MatrixArrays;
    use proptest::prelude::*;

    fn rank_of(n: usize, dense: &[f64]) -> StructuralRank {
        let matrix = assemble(n, n, MatrixArrays::Dense { values: dense.to_vec() }).unwrap();
        let diagonals: Vec<f64> = (0..n).map(|i| dense[i * n + i]).collect();
        structural_rank(Rows::of(&matrix), &diagonals)
    }

    /// Largest matching of rows `row..`, by trying everything.
    fn brute_force(n: usize, dense: &[f64], row: usize, used: &mut [bool]) -> usize {
        if row == n {
            return 0;
        }
        let mut best = brute_force(n, dense, row + 1, used);
        for column in 0..n {
            if !used[column] && dense[row * n + column] != 0.0 {
                used[column] = true;
                best = best.max(1 + brute_force(n, dense, row + 1, used));
                used[column] = false;
            }
        }
        best
    }

    #[test]
    fn a_permutation_has_full_rank_and_two_rows_in_one_column_have_not() {
        assert_eq!(rank_of(2, &[0.0, 1.0, 1.0, 0.0]), StructuralRank::Full);
        assert_eq!(
            rank_of(3, &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0]),
            StructuralRank::Deficient { rank: 2, row: 1, rows: 2 }
        );
    }

    proptest! {
        #[test]
        fn the_rank_agrees_with_trying_every_matching(
            n in 1usize..6,
            cells in proptest::collection::vec(prop_oneof![3 => Just(0.0), 2 => Just(1.0)], 36),
        ) {
            let dense = &cells[..n * n];
            let expected = brute_force(n, dense, 0, &mut vec![false; n]);
            match rank_of(n, dense) {
                StructuralRank::Full => prop_assert_eq!(expected, n),
                StructuralRank::Deficient { rank, rows, .. } => {
                    prop_assert_eq!(rank, expected);
                    prop_assert!(expected < n && rows <= n);
                }
                StructuralRank::AtLeast { .. } => prop_assert!(false, "gave up on a tiny matrix"),
            }
        }
    }
}
