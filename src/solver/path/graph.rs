//! The pattern of `A + Aᵀ` without its diagonal, as neighbours of each node.

use crate::solver::assembly;
use crate::solver::system::Rows;

/// Undirected graph; every edge stands in both of its nodes' lists.
#[derive(Debug)]
pub(super) struct Graph {
    /// One more than nodes; node `i` has `neighbours[pointers[i]..pointers[i + 1]]`.
    pub pointers: Vec<u32>,
    pub neighbours: Vec<u32>,
}

impl Graph {
    /// Neighbours ascend. A stored zero counts: it may be changed. O(nnz).
    ///
    /// `rows` holds fewer than 2³¹ entries.
    pub fn of(rows: Rows) -> Self {
        let n = rows.count();
        let turned = assembly::transposed(n, rows.pointers, rows.indices, rows.values);
        let turned = Rows::plain(&turned.pointers, &turned.indices, &turned.values);
        let mut pointers = Vec::with_capacity(n + 1);
        let mut neighbours = Vec::with_capacity(rows.indices.len());
        pointers.push(0);
        for node in 0..n {
            merge(node as u32, rows.cols(node), turned.cols(node), &mut neighbours);
            pointers.push(neighbours.len() as u32);
        }
        Self { pointers, neighbours }
    }

    pub fn count(&self) -> usize {
        self.pointers.len() - 1
    }

    pub fn of_node(&self, node: usize) -> &[u32] {
        &self.neighbours[self.pointers[node] as usize..self.pointers[node + 1] as usize]
    }

    /// The same graph with node `order[k]` called `k`. Neighbours are in no order.
    pub fn renamed(&self, order: &[u32], position: &[u32]) -> Self {
        let mut pointers = Vec::with_capacity(self.pointers.len());
        let mut neighbours = Vec::with_capacity(self.neighbours.len());
        pointers.push(0);
        for &node in order {
            let own = self.of_node(node as usize);
            neighbours.extend(own.iter().map(|&neighbour| position[neighbour as usize]));
            pointers.push(neighbours.len() as u32);
        }
        Self { pointers, neighbours }
    }
}

/// The union of two ascending lists without `node` itself.
fn merge(node: u32, mut left: &[u32], mut right: &[u32], into: &mut Vec<u32>) {
    loop {
        let next = match (left.first(), right.first()) {
            (Some(&a), Some(&b)) => a.min(b),
            (Some(&only), None) | (None, Some(&only)) => only,
            (None, None) => return,
        };
        left = left.strip_prefix(&[next]).unwrap_or(left);
        right = right.strip_prefix(&[next]).unwrap_or(right);
        if next != node {
            into.push(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    #[test]
    fn an_edge_stands_in_both_lists_whichever_side_is_stored() {
        let arrays = MatrixArrays::Coordinates {
            row_indices: vec![0, 0, 2, 2, 1],
            col_indices: vec![0, 1, 0, 2, 0],
            values: vec![1.0, 0.0, 3.0, 1.0, 2.0],
        };
        let system = LinearSystem::assemble(3, 3, arrays, vec![0.0; 3]).unwrap();
        let graph = Graph::of(system.rows());
        assert_eq!(graph.pointers, [0, 2, 3, 4]);
        assert_eq!(graph.neighbours, [1, 2, 0, 0]);
        let renamed = graph.renamed(&[2, 0, 1], &[1, 2, 0]);
        assert_eq!((renamed.of_node(0), renamed.of_node(2)), (&[1][..], &[1][..]));
        assert_eq!(renamed.count(), 3);
    }
}
