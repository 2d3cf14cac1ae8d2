//! Walks over the graph of a matrix: connected components, and where weakly dominant lines lead.

use super::Components;
use super::dominance::{Reach, Standing};
use crate::solver::system::Rows;

/// Components of the graph of `A + Aᵀ`. O(nnz); a symmetric pattern needs only the rows.
pub(crate) fn components(
    rows: Rows<'_>,
    columns: Rows<'_>,
    pattern_is_symmetric: bool,
) -> Components {
    let mut seen = vec![false; rows.count()];
    let mut stack = vec![];
    let mut components = Components { count: 0, largest: 0 };
    for start in 0..rows.count() {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        stack.push(start);
        let mut size = 0;
        while let Some(node) = stack.pop() {
            size += 1;
            visit_neighbours(rows, node, &mut seen, &mut stack);
            if !pattern_is_symmetric {
                visit_neighbours(columns, node, &mut seen, &mut stack);
            }
        }
        components.count += 1;
        components.largest = components.largest.max(size);
    }
    components
}

/// Where lines with `≥` lead. `lines` are the dominant ones, `across` their transpose. O(nnz).
pub(crate) fn reach(lines: Rows<'_>, across: Rows<'_>, standings: &[Standing]) -> Reach {
    let strict = standings.iter().map(|standing| *standing == Standing::Strict);
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
