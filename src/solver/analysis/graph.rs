//! Walks over the graph of a matrix: connected components, and where weakly dominant lines lead.

use super::Components;
use super::dominance::{Reach, Standing};
use crate::solver::system::Rows;

/// Components of the graph of `A + Aᵀ`, by union-find over the nonzeros: one pass in memory order with
/// n words of random access. Almost O(nnz).
pub(crate) fn components(rows: Rows<'_>) -> Components {
    let mut parent: Vec<u32> = (0..rows.count() as u32).collect();
    for row in 0..rows.count() {
        let (cols, values) = rows.row(row);
        let mut root = root_of(&mut parent, row as u32);
        for (&col, &value) in cols.iter().zip(values) {
            if value != 0.0 && parent[col as usize] != root {
                let other = root_of(&mut parent, col);
                // The smaller number stays root, so that paths only lead down.
                parent[root.max(other) as usize] = root.min(other);
                root = root.min(other);
            }
        }
    }
    let mut sizes = vec![0u32; parent.len()];
    for node in 0..parent.len() as u32 {
        sizes[root_of(&mut parent, node) as usize] += 1;
    }
    let count = sizes.iter().filter(|&&size| size > 0).count();
    let largest = sizes.into_iter().max().map_or(0, |size| size as usize);
    Components { count, largest }
}

/// The root of a node; shortens the path by half on the way (Tarjan and van Leeuwen).
fn root_of(parent: &mut [u32], mut node: u32) -> u32 {
    while parent[node as usize] != node {
        let grandparent = parent[parent[node as usize] as usize];
        parent[node as usize] = grandparent;
        node = grandparent;
    }
    node
}

/// Where lines with `≥` lead. `lines` are the dominant ones, `across` their transpose. O(nnz).
pub(crate) fn reach(
    lines: Rows<'_>,
    across: Rows<'_>,
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

fn all_reached(arrows: Rows<'_>, mut seen: Vec<bool>) -> bool {
    let mut stack: Vec<usize> =
        seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(node, _)| node).collect();
    let mut reached = stack.len();
    while let Some(node) = stack.pop() {
        let before = stack.len();
        visit_neighbours(arrows, node, &mut seen, &mut stack);
        reached += stack.len() - before;
    }
    reached == arrows.count()
}

/// Pushes the neighbours not seen before. A stored zero joins nothing.
fn visit_neighbours(arrows: Rows<'_>, node: usize, seen: &mut [bool], stack: &mut Vec<usize>) {
    let (neighbours, values) = arrows.row(node);
    for (&neighbour, &value) in neighbours.iter().zip(values) {
        let neighbour = neighbour as usize;
        if !seen[neighbour] && value != 0.0 {
            seen[neighbour] = true;
            stack.push(neighbour);
        }
    }
}
