//! A quick look at how wide a graph is, which bounds what a factorisation will cost before the ordering
//! is paid for: on a graph without small separators the ordering alone takes minutes.

use std::collections::BTreeSet;

use crate::solver::system::Rows;

/// Below this order the ordering is cheap enough to be asked.
pub(super) const ORDER_MIN: usize = 50_000;

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

/// Unknowns with at most this many neighbours are eliminated before a front is estimated; what a tree
/// or a chain of small blocks is made of vanishes.
const DEGREE_MAX: usize = 8;

/// A dense block that every factorisation is likely to meet, as its order: the widest level of what is
/// left once unknowns of few neighbours are eliminated and hubs are set aside. An estimate, no bound: on grids it stays below the true front, on random graphs it is a fixed part of n.
///
/// O(nnz log nnz), and nothing but two searches where `enough` is not reached anyway.
pub(super) fn front(rows: Rows, enough: usize) -> usize {
    let first_look = widest_level(rows);
    if first_look < enough {
        return first_look;
    }
    let mut graph = Graph::of(rows);
    graph.eliminate_small();
    graph.set_hubs_aside();
    graph.widest_level().min(first_look)
}

/// The pattern of `A + Aᵀ` without its diagonal, while unknowns are eliminated from it.
struct Graph {
    neighbours: Vec<BTreeSet<u32>>,
}

impl Graph {
    fn of(rows: Rows) -> Self {
        let mut neighbours = vec![BTreeSet::new(); rows.count()];
        for row in 0..rows.count() {
            for &col in rows.cols(row).iter().filter(|&&col| col as usize != row) {
                neighbours[row].insert(col);
                neighbours[col as usize].insert(row as u32);
            }
        }
        Self { neighbours }
    }

    /// Eliminates as Gauss would: the neighbours of an eliminated unknown become neighbours.
    fn eliminate_small(&mut self) {
        let mut queue: Vec<u32> = (0..self.neighbours.len() as u32).collect();
        while let Some(unknown) = queue.pop() {
            if self.neighbours[unknown as usize].len() > DEGREE_MAX {
                continue;
            }
            let clique = std::mem::take(&mut self.neighbours[unknown as usize]);
            for &member in &clique {
                let of_member = &mut self.neighbours[member as usize];
                of_member.remove(&unknown);
                of_member.extend(clique.iter().filter(|&&other| other != member));
                if of_member.len() <= DEGREE_MAX {
                    queue.push(member);
                }
            }
        }
    }

    /// Takes out the unknowns that see more than `10 √n` others: a few dense rows cost little.
    fn set_hubs_aside(&mut self) {
        let degree_max = 10 * self.neighbours.len().isqrt();
        let hubs: Vec<usize> = (0..self.neighbours.len())
            .filter(|&unknown| self.neighbours[unknown].len() > degree_max)
            .collect();
        for hub in hubs {
            for other in std::mem::take(&mut self.neighbours[hub]) {
                self.neighbours[other as usize].remove(&(hub as u32));
            }
        }
    }

    /// Widest level of a breadth-first search from one unknown of each component.
    fn widest_level(&self) -> usize {
        let mut seen = vec![false; self.neighbours.len()];
        let mut widest = 0;
        for start in 0..self.neighbours.len() {
            let (mut level, mut next) = (vec![start as u32], vec![]);
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            while !level.is_empty() {
                widest = widest.max(level.len());
                for &unknown in &level {
                    for &other in &self.neighbours[unknown as usize] {
                        if !std::mem::replace(&mut seen[other as usize], true) {
                            next.push(other);
                        }
                    }
                }
                level.clear();
                std::mem::swap(&mut level, &mut next);
            }
        }
        widest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    #[test]
    fn grids_are_narrow_and_random_graphs_are_wide() {
        let grid = gallery::poisson_2d(60, 1).unwrap();
        assert!((60..=120).contains(&widest_level(grid.rows())));
        let random = gallery::diagonally_dominant(3_600, 18_000, 1).unwrap();
        assert!(widest_level(random.rows()) > 900);
    }

    /// A symmetric pattern with a full diagonal.
    fn of_pairs(n: usize, pairs: impl Iterator<Item = (usize, usize)>) -> LinearSystem {
        let entries = pairs.flat_map(|(i, j)| [(i, j), (j, i)]).chain((0..n).map(|i| (i, i)));
        let (row_indices, col_indices): (Vec<u32>, Vec<u32>) =
            entries.map(|(i, j)| (i as u32, j as u32)).unzip();
        let values = vec![1.0; row_indices.len()];
        let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
        LinearSystem::assemble(n, n, arrays, vec![1.0; n]).unwrap()
    }

    /// Blocks of 20 unknowns that see each other and unknown 0.
    fn blocks_on_a_hub(blocks: usize) -> LinearSystem {
        let n = 20 * blocks + 1;
        let of_block = |i: usize| (i - 1) / 20 * 20 + 1..i;
        of_pairs(n, (1..n).flat_map(|i| of_block(i).chain([0]).map(move |j| (i, j))))
    }

    #[test]
    fn a_front_is_small_where_the_width_comes_from_a_hub_or_from_branches() {
        let blocks = blocks_on_a_hub(1_000);
        assert!(widest_level(blocks.rows()) > 15_000);
        assert!(front(blocks.rows(), 1) <= 20);
        let tree = of_pairs(4_000, (1..4_000_usize).map(|i| (i, 7_919 * i % i.isqrt())));
        assert!(widest_level(tree.rows()) > 1_000);
        assert!(front(tree.rows(), 1) <= 1);
    }

    #[test]
    fn a_front_is_large_on_a_random_graph_and_stays_below_the_separator_of_a_grid() {
        let random = gallery::diagonally_dominant(3_600, 18_000, 1).unwrap();
        assert!(front(random.rows(), 1) > 300);
        let cube = gallery::poisson_3d(16, 1).unwrap();
        assert!(front(cube.rows(), 1) <= 256);
    }
}
