//! A quick look at how wide a graph is, which bounds what a factorisation will cost before the ordering
//! is paid for: on a graph without small separators the ordering alone takes minutes.

use crate::solver::system::Rows;

/// Widest level of a breadth-first search from a remote unknown: about √n for a square grid, n^⅔ for a
/// cube, a good part of n for a random graph. Cutting a graph in two costs a dense block of about this
/// order. Follows the stored entries of the rows, so it may see less than the whole graph.
///
/// Two searches, O(nnz). Source: George and Liu's pseudo-peripheral node.
pub(super) fn widest_level(rows: Rows) -> usize {
    let (remote, _) = search(rows, 0);
    search(rows, remote).1
}

/// The last unknown reached from `start`, and the size of the widest level.
fn search(rows: Rows, start: u32) -> (u32, usize) {
    let mut seen = vec![false; rows.count()];
    seen[start as usize] = true;
    let (mut level, mut next) = (vec![start], vec![]);
    let (mut last, mut widest) = (start, 0);
    while let Some(&first) = level.first() {
        last = first;
        widest = widest.max(level.len());
        for &row in &level {
            for &col in rows.cols(row as usize) {
                if !std::mem::replace(&mut seen[col as usize], true) {
                    next.push(col);
                }
            }
        }
        level.clear();
        std::mem::swap(&mut level, &mut next);
    }
    (last, widest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;

    #[test]
    fn grids_are_narrow_and_random_graphs_are_wide() {
        let grid = gallery::poisson_2d(60, 1).unwrap();
        assert!((60..=120).contains(&widest_level(grid.rows())));
        let random = gallery::diagonally_dominant(3_600, 18_000, 1).unwrap();
        assert!(widest_level(random.rows()) > 900);
    }
}
