//! Where the entries of the factors stand. Columns that share their rows form a *run*; the row list of
//! a run is stored once, and a column of it owns a tail of that list.
//!
//! The columns of a run with columns `f..=e` and `S` the rows below it: column `c` has the rows
//! `c + 1, …, e, S…`, so that one pass over `S` serves several columns (see `groups`).

use std::ops::Range;

use super::graph::Graph;
use super::tree::NONE;

/// Column of `L` and of `M` below the diagonal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Position of its first value.
    pub start: u32,
    /// Position of its first row in the row lists.
    pub rows: u32,
    /// Entries.
    pub len: u32,
    /// The last column of its run.
    pub last: u32,
}

/// The filled pattern of `P A Pᵀ` and the way between both numberings.
///
/// Holds for every column `c` below n: `start + len` counts values, `rows + len` lies within the row
/// lists, rows ascend, exceed `c` and are below n, the first row is the parent of `c` in the
/// elimination tree, `c ≤ last < n`, and the rows after `last` are those of column `last`.
#[derive(Debug)]
pub(super) struct Structure {
    /// The row of `A` that is eliminated k-th, and when each row is.
    pub order: Vec<u32>,
    pub position: Vec<u32>,
    pub columns: Vec<Column>,
    pub rows: Vec<u32>,
    /// Entries of all columns from a column to its root.
    pub path_entries: Vec<u32>,
}

/// Columns `first..=last` that get the same rows, `below` of them after `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub first: u32,
    pub last: u32,
    pub below: u32,
}

impl Run {
    fn width(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    /// Values of `L` that its columns take.
    pub fn entries(self) -> u64 {
        self.width() * (self.width() - 1) / 2 + self.width() * u64::from(self.below)
    }

    /// Positions its row list takes.
    pub fn row_list(self) -> u64 {
        self.width() - 1 + u64::from(self.below)
    }
}

/// Joins a run to the one after it where the zeros that this stores are at most this part of the
/// entries, or the joined run is narrow.
const ZERO_SHARE_MAX: f64 = 0.25;
const NARROW: u64 = 4;
const NARROW_ZERO_SHARE_MAX: f64 = 0.5;

/// The runs of a postordered tree with the given column counts. Neighbours are joined where sharing
/// their rows costs few stored zeros: a pass over four columns is hardly dearer than over one.
pub(super) fn runs(parents: &[u32], counts: &[u32]) -> Vec<Run> {
    let mut runs: Vec<(Run, u64)> = vec![];
    for column in 0..parents.len() as u32 {
        let below = counts[column as usize];
        let mut run = Run { first: column, last: column, below };
        let mut true_entries = u64::from(below);
        // From the right: a run that grew may take in the one before it.
        while let Some(&(before, before_entries)) = runs.last() {
            if parents[before.last as usize] != run.first {
                break;
            }
            let joined = Run { first: before.first, ..run };
            if !pays(joined, before_entries + true_entries, before.below == run.below + 1) {
                break;
            }
            run = joined;
            true_entries += before_entries;
            runs.pop();
        }
        runs.push((run, true_entries));
    }
    runs.into_iter().map(|(run, _)| run).collect()
}

fn pays(joined: Run, true_entries: u64, exact: bool) -> bool {
    let zeros = (joined.entries() - true_entries) as f64;
    let share = match joined.width() <= NARROW {
        true => NARROW_ZERO_SHARE_MAX,
        false => ZERO_SHARE_MAX,
    };
    (exact && zeros == 0.0) || zeros <= share * joined.entries() as f64
}

impl Structure {
    /// Fills in the pattern. `graph` is postordered and named by elimination; O(entries of the row
    /// lists).
    pub fn new(order: Vec<u32>, position: Vec<u32>, graph: &Graph, runs: &[Run]) -> Self {
        let n = graph.count();
        let mut columns = Vec::with_capacity(n);
        let row_lists: u64 = runs.iter().map(|run| run.row_list()).sum();
        let mut rows: Vec<u32> = Vec::with_capacity(row_lists as usize);
        // The runs whose parent is a column of the run with this last column.
        let mut first_child = vec![NONE; n];
        let mut next_child = vec![NONE; n];
        let mut run_of = vec![0; n];
        runs.iter().for_each(|run| run_of[run.first as usize..=run.last as usize].fill(run.last));
        let mut seen = vec![NONE; n];
        let mut start = 0;
        for run in runs {
            let list_start = rows.len() as u32;
            rows.extend(run.first + 1..=run.last);
            let below_start = rows.len();
            let mut meet = |row: u32, rows: &mut Vec<u32>| {
                if row > run.last && seen[row as usize] != run.last {
                    seen[row as usize] = run.last;
                    rows.push(row);
                }
            };
            for column in run.first..=run.last {
                graph.of_node(column as usize).iter().for_each(|&row| meet(row, &mut rows));
            }
            let mut child = first_child[run.last as usize];
            while child != NONE {
                let Column { rows: from, len, .. } = columns[child as usize];
                (from..from + len).for_each(|at| meet(rows[at as usize], &mut rows));
                child = next_child[child as usize];
            }
            rows[below_start..].sort_unstable();
            assert!(rows.len() - below_start == run.below as usize, "counts foretell the rows");
            if let Some(&parent) = rows.get(below_start) {
                let head = &mut first_child[run_of[parent as usize] as usize];
                next_child[run.last as usize] = std::mem::replace(head, run.last);
            }
            for column in run.first..=run.last {
                let len = run.last - column + run.below;
                let rows = list_start + (column - run.first);
                columns.push(Column { start, rows, len, last: run.last });
                start += len;
            }
        }
        let path_entries = path_entries(&columns, &rows);
        Self { order, position, columns, rows, path_entries }
    }

    pub fn count(&self) -> usize {
        self.columns.len()
    }

    /// Values of `L`, stored zeros included.
    pub fn entries(&self) -> usize {
        self.columns.last().map_or(0, |column| (column.start + column.len) as usize)
    }

    /// Rows of a column, its parent first.
    pub fn rows_of(&self, column: usize) -> &[u32] {
        let Column { rows, len, .. } = self.columns[column];
        &self.rows[rows as usize..(rows + len) as usize]
    }

    /// Where column `column` keeps the value of `row > column`, none outside the fill. O(log rows).
    pub fn slot(&self, column: u32, row: u32) -> Option<usize> {
        let Column { start, last, .. } = self.columns[column as usize];
        let offset = if row <= last {
            row - column - 1
        } else {
            last - column + self.rows_of(last as usize).binary_search(&row).ok()? as u32
        };
        Some((start + offset) as usize)
    }

    /// Of a part of a path, the columns before `row`, and the offset of `row` in them: column `c` keeps it
    /// at `start + offset − c`. `row` is in the fill of the part's first column.
    pub fn tail_of_row(&self, part: Range<usize>, row: usize) -> (Range<usize>, usize) {
        let last = part.end - 1;
        if row <= last {
            return (part.start..row, row - 1);
        }
        let place = self.rows_of(last).binary_search(&(row as u32));
        let place = place.expect("an entry in the fill stays in it along its path");
        (part, last + place)
    }

    /// The path of a column to its root, from below: of each run on it, the columns that belong to it.
    #[inline]
    pub fn path(&self, column: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut next = Some(column);
        std::iter::from_fn(move || {
            let first = next?;
            let last = self.columns[first].last as usize;
            next = self.rows_of(last).first().map(|&parent| parent as usize);
            Some(first..last + 1)
        })
    }

    /// The first column of the run that ends at `last`.
    pub fn run_start(&self, last: usize) -> usize {
        let mut first = last;
        while first > 0 && self.columns[first - 1].last as usize == last {
            first -= 1;
        }
        first
    }

    pub fn memory_bytes(&self) -> u64 {
        memory_bytes(self.count(), self.rows.len() as u64)
    }
}

/// Bytes of a [`Structure`] of n columns.
pub(super) fn memory_bytes(n: usize, row_list: u64) -> u64 {
    (size_of::<Column>() as u64 + 3 * 4) * n as u64 + 4 * row_list
}

fn path_entries(columns: &[Column], rows: &[u32]) -> Vec<u32> {
    let mut entries = vec![0; columns.len()];
    for (index, column) in columns.iter().enumerate().rev() {
        let above = match column.len {
            0 => 0,
            _ => entries[rows[column.rows as usize] as usize],
        };
        entries[index] = column.len + above;
    }
    entries
}
