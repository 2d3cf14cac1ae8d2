//! The graph of a matrix, whose arrows are its nonzeros: the arrows turned around, and where weakly
//! dominant lines lead.

use super::dominance::{Reach, Standing};
use crate::solver::system::Rows;

/// Arrows between lines. A stored zero is none.
#[derive(Clone, Copy)]
pub(crate) enum Arrows<'a> {
    /// From a row to the columns of its nonzeros.
    Rows(Rows<'a>),
    /// From a column to the rows of its nonzeros.
    Columns(&'a ColumnPattern),
}

impl Arrows<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.count(),
            Self::Columns(pattern) => pattern.pointers.len() - 1,
        }
    }

    /// Pushes the neighbours not seen before.
    fn visit(&self, node: usize, seen: &mut [bool], stack: &mut Vec<usize>) {
        let mut meet = |neighbour: u32| {
            let neighbour = neighbour as usize;
            if !seen[neighbour] {
                seen[neighbour] = true;
                stack.push(neighbour);
            }
        };
        match self {
            Self::Rows(rows) => {
                let (cols, values) = rows.row(node);
                let nonzeros = cols.iter().zip(values).filter(|(_, value)| **value != 0.0);
                nonzeros.for_each(|(&col, _)| meet(col));
            }
            Self::Columns(pattern) => pattern.rows_of(node).iter().for_each(|&row| meet(row)),
        }
    }
}

/// In which rows the nonzeros of each column stand: a transpose without values, 4 bytes an entry.
pub(crate) struct ColumnPattern {
    pointers: Vec<u32>,
    rows: Vec<u32>,
}

impl ColumnPattern {
    /// O(nnz).
    pub fn of(matrix: Rows<'_>) -> Self {
        let nonzeros = || {
            (0..matrix.count()).flat_map(move |row| {
                let (cols, values) = matrix.row(row);
                let stored = cols.iter().zip(values).filter(|(_, value)| **value != 0.0);
                stored.map(move |(&col, _)| (row as u32, col as usize))
            })
        };
        let mut pointers = vec![0u32; matrix.count() + 1];
        nonzeros().for_each(|(_, col)| pointers[col] += 1);
        let mut total = 0;
        for start in &mut pointers {
            total += std::mem::replace(start, total);
        }
        let mut rows = vec![0; total as usize];
        for (row, col) in nonzeros() {
            rows[pointers[col] as usize] = row;
            pointers[col] += 1;
        }
        // Each start has moved to its column's end.
        pointers.rotate_right(1);
        pointers[0] = 0;
        Self { pointers, rows }
    }

    /// Rows of the nonzeros of one column, ascending.
    pub fn rows_of(&self, column: usize) -> &[u32] {
        &self.rows[self.pointers[column] as usize..self.pointers[column + 1] as usize]
    }
}

/// Where lines with `≥` lead. `lines` are the arrows of the dominant ones, `across` the same turned
/// around. O(nnz).
pub(crate) fn reach(
    lines: Arrows<'_>,
    across: Arrows<'_>,
    standings: &[Standing],
    is_strict: fn(Standing) -> bool,
) -> Reach {
    let strict = standings.iter().map(|standing| is_strict(*standing));
    // A line leads to a strict one when the strict one is left against the arrows and meets it.
    if !all_reached(across, strict.collect()) {
        return Reach::SomeLeadNowhere;
    }
    let mut first = vec![false; lines.count()];
    first[0] = true;
    if all_reached(lines, first.clone()) && all_reached(across, first) {
        return Reach::StronglyConnected;
    }
    Reach::AllLeadToStrict
}

fn all_reached(arrows: Arrows<'_>, mut seen: Vec<bool>) -> bool {
    let mut stack: Vec<usize> =
        seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(node, _)| node).collect();
    let mut reached = stack.len();
    while let Some(node) = stack.pop() {
        let before = stack.len();
        arrows.visit(node, &mut seen, &mut stack);
        reached += stack.len() - before;
    }
    reached == arrows.count()
}
