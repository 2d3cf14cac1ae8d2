//! The walk that brings every entry beside the diagonal together with its mirror, without a transpose:
//! what it tells is the symmetry of `A`, and which unknowns hang together.
//!
//! Rows are read from the first to the last. Those entries of row `j` that stand left of its diagonal are
//! asked for by the rows above it, in ascending order, so one position per row finds them all.

use super::{Asymmetry, Components, Symmetry};
use crate::solver::kernel::prefetch;
use crate::solver::system::Rows;

/// Matrices with fewer rows keep their positions in cache.
const PREFETCHED_ROWS_MIN: usize = 1 << 15;
/// How many entries ahead the position of a row is asked for; half as many ahead, what stands there.
const PREFETCH_AHEAD: usize = 32;

/// What the walk keeps of a row, side by side because it is looked at together.
#[derive(Clone, Copy)]
struct Line {
    /// The first entry left of the diagonal that no row above has asked for.
    next: u32,
    /// Up the tree of unknowns that hang together; a root is its own parent.
    parent: u32,
}

struct Walk<'a> {
    rows: Rows<'a>,
    lines: Vec<Line>,
    /// Trees that are left.
    trees: usize,
    symmetry: Symmetry,
}

/// Symmetry of `A`, and connected components of the graph of `A + Aᵀ`. One look at each entry, one random
/// access of 8 bytes and one of 4 for each above the diagonal; 8 n bytes. Almost O(nnz).
pub(crate) fn walk(rows: Rows<'_>) -> (Symmetry, Components) {
    let lines = (0..).zip(&rows.pointers[..rows.count()]);
    let mut walk = Walk {
        rows,
        lines: lines.map(|(row, &next)| Line { next, parent: row }).collect(),
        trees: rows.count(),
        symmetry: Symmetry {
            pattern: true,
            values: true,
            relative_difference_max: 0.0,
            first_asymmetry: None,
        },
    };
    match rows.count() >= PREFETCHED_ROWS_MIN {
        true => (0..rows.count()).for_each(|row| walk.read::<true>(row)),
        false => (0..rows.count()).for_each(|row| walk.read::<false>(row)),
    }
    let components = walk.components();
    (walk.symmetry, components)
}

/// Whether the first entries have mirrors: decides only in which order things are found out.
pub(crate) fn looks_symmetric(rows: Rows<'_>) -> bool {
    const ENTRIES_LOOKED_AT: usize = 64;
    let looked_at = (0..rows.count()).flat_map(|row| {
        let (cols, values) = rows.row(row);
        cols.iter().zip(values).map(move |(&col, &value)| (row, col as usize, value))
    });
    looked_at.take(ENTRIES_LOOKED_AT).all(|(row, col, value)| {
        let (cols, values) = rows.row(col);
        cols.binary_search(&(row as u32)).is_ok_and(|at| values[at] == value)
    })
}

impl Walk<'_> {
    /// Reads row number `row`: what is left of its diagonal and was not asked for has no mirror; what is
    /// right of it asks for its own.
    #[inline(always)]
    fn read<const PREFETCHED: bool>(&mut self, row: usize) {
        let Rows { pointers, indices, values, .. } = self.rows;
        let end = pointers[row + 1] as usize;
        let mut at = self.lines[row].next as usize;
        while at < end && (indices[at] as usize) < row {
            self.lower_alone(row, indices[at], values[at]);
            at += 1;
        }
        at += usize::from(at < end && indices[at] as usize == row);
        let mut root = self.root_of(row as u32);
        for at in at..end {
            if PREFETCHED {
                self.prefetch(at);
            }
            let (col, value) = (indices[at], values[at]);
            let mirrored = self.mirrored(row as u32, col, value);
            if (value != 0.0 || mirrored != 0.0) && self.lines[col as usize].parent != root {
                root = self.joined(root, col);
            }
        }
    }

    #[inline(always)]
    fn prefetch(&self, at: usize) {
        let indices = self.rows.indices;
        if let Some(&col) = indices.get(at + PREFETCH_AHEAD) {
            prefetch(&self.lines, col as usize);
        }
        if let Some(&col) = indices.get(at + PREFETCH_AHEAD / 2) {
            let next = self.lines[col as usize].next as usize;
            prefetch(indices, next);
            prefetch(self.rows.values, next);
        }
    }

    /// The value at `(col, row)`, below the diagonal; 0 where nothing is stored. Compares it with `value`.
    #[inline(always)]
    fn mirrored(&mut self, row: u32, col: u32, value: f64) -> f64 {
        let end = self.rows.pointers[col as usize + 1] as usize;
        let mut at = self.lines[col as usize].next as usize;
        while at < end && self.rows.indices[at] < row {
            self.lower_alone(col as usize, self.rows.indices[at], self.rows.values[at]);
            at += 1;
        }
        let found = at < end && self.rows.indices[at] == row;
        let mirrored = if found { self.rows.values[at] } else { 0.0 };
        self.lines[col as usize].next = (at + usize::from(found)) as u32;
        self.symmetry.pattern &= found;
        if value != mirrored {
            self.differ(row, col, value, mirrored);
        }
        mirrored
    }

    /// An entry below the diagonal whose mirror is not stored.
    #[inline(always)]
    fn lower_alone(&mut self, row: usize, col: u32, value: f64) {
        self.symmetry.pattern = false;
        if value != 0.0 {
            self.differ(col, row as u32, 0.0, value);
            self.joined(row as u32, col);
        }
    }

    /// `a(row, col) = value ≠ mirrored = a(col, row)`, with `row < col`.
    #[inline(always)]
    fn differ(&mut self, row: u32, col: u32, value: f64, mirrored: f64) {
        let symmetry = &mut self.symmetry;
        symmetry.values = false;
        let difference = match value == 0.0 || mirrored == 0.0 {
            true => 1.0,
            false => {
                let scale = value.abs().max(mirrored.abs());
                (value / scale - mirrored / scale).abs()
            }
        };
        symmetry.relative_difference_max = symmetry.relative_difference_max.max(difference);
        let found = Asymmetry { row: row as usize, col: col as usize, value, mirrored };
        let first = symmetry.first_asymmetry.get_or_insert(found);
        if (found.row, found.col) < (first.row, first.col) {
            *first = found;
        }
    }

    /// Joins the trees of two nodes; returns the root of both.
    #[inline(always)]
    fn joined(&mut self, one: u32, other: u32) -> u32 {
        let (root, other) = (self.root_of(one), self.root_of(other));
        // The smaller number stays root, so that paths only lead down.
        self.lines[root.max(other) as usize].parent = root.min(other);
        self.trees -= usize::from(root != other);
        root.min(other)
    }

    /// The root of a node; shortens the path by half on the way (Tarjan and van Leeuwen).
    #[inline(always)]
    fn root_of(&mut self, mut node: u32) -> u32 {
        loop {
            let parent = self.lines[node as usize].parent;
            if parent == node {
                return node;
            }
            let grandparent = self.lines[parent as usize].parent;
            self.lines[node as usize].parent = grandparent;
            node = grandparent;
        }
    }

    fn components(&mut self) -> Components {
        let n = self.lines.len();
        if self.trees == 1 {
            return Components { count: 1, largest: n };
        }
        let mut sizes = vec![0u32; n];
        for node in 0..n as u32 {
            sizes[self.root_of(node) as usize] += 1;
        }
        let largest = sizes.into_iter().max().map_or(0, |size| size as usize);
        Components { count: self.trees, largest }
    }
}
