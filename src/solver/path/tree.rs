//! The elimination tree: which column of the factor is the first to hear of another, and how many
//! entries each column gets. Known from the pattern alone, in time close to its size.
//!
//! Sources: Liu, *The role of elimination trees in sparse factorization*, SIAM J. Matrix Anal. Appl. 11
//! (1990); Gilbert, Ng and Peyton, *An efficient algorithm to compute row and column counts for sparse
//! Cholesky factorization*, ibid. 15 (1994).

use super::graph::Graph;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// The parent of each node, [`NONE`] for a root; a parent is larger than its children.
pub(super) fn parents(graph: &Graph) -> Vec<u32> {
    let n = graph.count();
    let mut parents = vec![NONE; n];
    // A shortcut from each node to some ancestor, so that no path is climbed twice.
    let mut ancestors = vec![NONE; n];
    for node in 0..n as u32 {
        for &earlier in graph.of_node(node as usize).iter().filter(|&&other| other < node) {
            let mut climber = earlier;
            while climber != node {
                let above = std::mem::replace(&mut ancestors[climber as usize], node);
                if above == NONE {
                    parents[climber as usize] = node;
                    break;
                }
                climber = above;
            }
        }
    }
    parents
}

/// An order in which every subtree is contiguous and its root comes last: the k-th visited node.
pub(super) fn postorder(parents: &[u32]) -> Vec<u32> {
    let n = parents.len();
    let mut first_child = vec![NONE; n];
    let mut next_sibling = vec![NONE; n];
    let mut first_root = NONE;
    for node in (0..n as u32).rev() {
        let head = match parents[node as usize] {
            NONE => &mut first_root,
            parent => &mut first_child[parent as usize],
        };
        next_sibling[node as usize] = std::mem::replace(head, node);
    }
    let mut visited = Vec::with_capacity(n);
    let mut above = vec![];
    let mut next = first_root;
    loop {
        while next != NONE {
            above.push(next);
            next = first_child[next as usize];
        }
        let Some(node) = above.pop() else { return visited };
        visited.push(node);
        next = next_sibling[node as usize];
    }
}

/// Entries of each column of `L` below its diagonal. The nodes of `graph` are in postorder.
///
/// A row of `L` is a subtree whose leaves are found from the pattern; a column's count is what its
/// leaves add and the meeting points of neighbouring leaves take away. O(nnz α(n)).
pub(super) fn column_counts(graph: &Graph, parents: &[u32]) -> Vec<u32> {
    let n = graph.count();
    let first = first_descendants(parents);
    let mut gain: Vec<i64> = (0..n).map(|node| i64::from(first[node] == node as u32)).collect();
    let mut leaf_limit = vec![NONE; n];
    let mut last_leaf = vec![NONE; n];
    let mut sets: Vec<u32> = (0..n as u32).collect();
    for node in 0..n as u32 {
        let parent = parents[node as usize];
        if parent != NONE {
            gain[parent as usize] -= 1;
        }
        for &row in graph.of_node(node as usize).iter().filter(|&&row| row > node) {
            let row = row as usize;
            // Not a leaf of that row's subtree if a descendant has been seen there.
            if leaf_limit[row] != NONE && first[node as usize] <= leaf_limit[row] {
                continue;
            }
            leaf_limit[row] = first[node as usize];
            gain[node as usize] += 1;
            let previous = std::mem::replace(&mut last_leaf[row], node);
            if previous != NONE {
                gain[find(&mut sets, previous) as usize] -= 1;
            }
        }
        if parent != NONE {
            sets[node as usize] = parent;
        }
    }
    for node in 0..n {
        if parents[node] != NONE {
            gain[parents[node] as usize] += gain[node];
        }
    }
    gain.into_iter().map(|count| (count - 1) as u32).collect()
}

/// The smallest node of each subtree of a postordered forest.
fn first_descendants(parents: &[u32]) -> Vec<u32> {
    let mut first: Vec<u32> = (0..parents.len() as u32).collect();
    for node in 0..parents.len() {
        if parents[node] != NONE {
            let parent = parents[node] as usize;
            first[parent] = first[parent].min(first[node]);
        }
    }
    first
}

/// The root of a node's set; halves the way there.
fn find(sets: &mut [u32], mut node: u32) -> u32 {
    while sets[node as usize] != node {
        let above = sets[sets[node as usize] as usize];
        sets[node as usize] = above;
        node = above;
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn graph_of(n: usize, edges: &[(usize, usize)]) -> Graph {
        let mut lists = vec![std::collections::BTreeSet::new(); n];
        for &(a, b) in edges.iter().filter(|(a, b)| a != b) {
            lists[a].insert(b as u32);
            lists[b].insert(a as u32);
        }
        let mut pointers = vec![0];
        let neighbours: Vec<u32> = lists
            .iter()
            .flat_map(|list| {
                pointers.push(pointers.last().unwrap() + list.len() as u32);
                list.iter().copied()
            })
            .collect();
        Graph { pointers, neighbours }
    }

    /// Elimination played through on a dense pattern: columns below the diagonal.
    fn filled(graph: &Graph) -> Vec<Vec<u32>> {
        let n = graph.count();
        let mut full = vec![vec![false; n]; n];
        for (node, row) in full.iter_mut().enumerate() {
            graph.of_node(node).iter().for_each(|&other| row[other as usize] = true);
        }
        for k in 0..n {
            let below: Vec<usize> = (k + 1..n).filter(|&i| full[i][k]).collect();
            for &i in &below {
                below.iter().filter(|&&j| j != i).for_each(|&j| full[i][j] = true);
            }
        }
        (0..n).map(|k| (k + 1..n).filter(|&i| full[i][k]).map(|i| i as u32).collect()).collect()
    }

    fn postordered(graph: &Graph) -> Graph {
        let order = postorder(&parents(graph));
        let mut position = vec![0; order.len()];
        (0..).zip(&order).for_each(|(k, &node)| position[node as usize] = k);
        graph.renamed(&order, &position)
    }

    fn check(n: usize, edges: &[(usize, usize)]) {
        let graph = postordered(&graph_of(n, edges));
        let parents = parents(&graph);
        let columns = filled(&graph);
        let expected: Vec<u32> =
            columns.iter().map(|column| column.first().copied().unwrap_or(NONE)).collect();
        assert_eq!(parents, expected, "parents of {edges:?}");
        assert_eq!(postorder(&parents), (0..n as u32).collect::<Vec<_>>());
        let expected: Vec<u32> = columns.iter().map(|column| column.len() as u32).collect();
        assert_eq!(column_counts(&graph, &parents), expected, "counts of {edges:?}");
    }

    #[test]
    fn tree_and_counts_are_those_of_elimination() {
        check(1, &[]);
        check(4, &[]);
        check(5, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
        check(5, &[(4, 0), (4, 1), (4, 2), (4, 3)]);
        check(5, &[(0, 1), (0, 2), (0, 3), (0, 4)]);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for round in 0..200 {
            let n = 2 + round % 24;
            let edges = rng.next_u32() as usize % (2 * n);
            let node = |rng: &mut ChaCha8Rng| rng.next_u32() as usize % n;
            let edges: Vec<_> = (0..edges).map(|_| (node(&mut rng), node(&mut rng))).collect();
            check(n, &edges);
        }
    }
}
