//! The pass over rows of `A`, with the sums of the columns beside them. Blocks of rows run in parallel
//! and are merged in order, so the findings do not depend on the number of threads.

use super::columns::ColumnSum;
use super::dominance::{LineSum, Standing, Tally};
use super::graph::{Arrows, ColumnPattern};
use super::matching::StructuralRank;
use super::{Bandwidth, Diagonal, Entry, Signs, Structure};
use crate::solver::system::Rows;
use rayon::prelude::*;
use std::sync::OnceLock;

const BLOCK_ROWS: usize = 4096;
/// Matrices with fewer entries are read by one thread: waking a second one takes as long.
pub(crate) const PARALLEL_ENTRIES_MIN: usize = 1 << 17;

/// The columns of the matrix whose rows are read.
pub(crate) enum Columns<'a> {
    /// They are its rows.
    Symmetric,
    Summed {
        rows: Rows<'a>,
        sums: Vec<ColumnSum>,
        pattern: OnceLock<ColumnPattern>,
    },
}

impl<'a> Columns<'a> {
    pub fn summed(rows: Rows<'a>, sums: Vec<ColumnSum>) -> Self {
        Self::Summed { rows, sums, pattern: OnceLock::new() }
    }

    /// From the columns to the rows of their nonzeros. The first call makes the pattern.
    pub fn arrows(&self, rows: Rows<'a>) -> Arrows<'_> {
        match self {
            Self::Symmetric => Arrows::Rows(rows),
            Self::Summed { rows, pattern, .. } => {
                Arrows::Columns(pattern.get_or_init(|| ColumnPattern::of(*rows)))
            }
        }
    }

    /// Sum and stored entries of column `line`, of which the row and its diagonal are known.
    #[inline(always)]
    fn line(&self, line: usize, by_row: LineSum, row_entries: usize) -> (LineSum, usize) {
        match self {
            Self::Symmetric => (by_row, row_entries),
            Self::Summed { sums, .. } => (sums[line].line(by_row.diagonal), sums[line].entries()),
        }
    }

    #[inline(always)]
    fn standing(&self, line: usize, sum: &LineSum, of_row: Standing) -> Standing {
        match self {
            Self::Symmetric => of_row,
            Self::Summed { rows, pattern, .. } => sum.standing(|| {
                let pattern = pattern.get_or_init(|| ColumnPattern::of(*rows));
                let beside = pattern.rows_of(line).iter().filter(|&&row| row as usize != line);
                beside.map(|&row| rows.value_at(row as usize, line as u32))
            }),
        }
    }
}

/// Everything that needs nothing but a row and the sums of the column of the same number.
pub(crate) struct Findings {
    pub row_tally: Tally,
    pub column_tally: Tally,
    pub row_standings: Vec<Standing>,
    pub column_standings: Vec<Standing>,
    pub diagonals: Vec<f64>,
    pub symmetric_part_gap: f64,
    pub diagonal: Diagonal,
    pub signs: Signs,
    pub bandwidth: Bandwidth,
    pub empty: Empty,
    pub row_entries_max: usize,
    pub column_entries_max: usize,
    pub norm_infinity: f64,
    pub norm_one: f64,
}

/// Lines without a nonzero.
#[derive(Debug, Default)]
pub(crate) struct Empty {
    rows: usize,
    first_row: Option<usize>,
    columns: usize,
    first_column: Option<usize>,
}

impl Empty {
    pub fn structure(self, rank: StructuralRank) -> Structure {
        Structure {
            empty_rows: self.rows,
            first_empty_row: self.first_row,
            empty_columns: self.columns,
            first_empty_column: self.first_column,
            rank,
        }
    }
}

pub(crate) fn over(rows: Rows<'_>, columns: &Columns<'_>) -> Findings {
    let n = rows.count();
    let mut row_standings = vec![Standing::Equal; n];
    let mut column_standings = vec![Standing::Equal; n];
    let mut diagonals = vec![0.0; n];
    let read =
        |block: usize, standings: (&mut [Standing], &mut [Standing]), diagonals: &mut [f64]| {
            let mut found = Findings::nothing();
            let standings = standings.0.iter_mut().zip(standings.1);
            let lines = (block * BLOCK_ROWS..).zip(diagonals).zip(standings);
            for ((row, diagonal), (of_row, of_column)) in lines {
                (*diagonal, *of_row, *of_column) = found.read(row, rows, columns);
            }
            found
        };
    let blocks: Vec<Findings> = match rows.values.len() >= PARALLEL_ENTRIES_MIN {
        true => row_standings
            .par_chunks_mut(BLOCK_ROWS)
            .zip(column_standings.par_chunks_mut(BLOCK_ROWS))
            .zip(diagonals.par_chunks_mut(BLOCK_ROWS))
            .enumerate()
            .map(|(block, (standings, diagonals))| read(block, standings, diagonals))
            .collect(),
        false => row_standings
            .chunks_mut(BLOCK_ROWS)
            .zip(column_standings.chunks_mut(BLOCK_ROWS))
            .zip(diagonals.chunks_mut(BLOCK_ROWS))
            .enumerate()
            .map(|(block, (standings, diagonals))| read(block, standings, diagonals))
            .collect(),
    };
    let mut found = blocks.into_iter().fold(Findings::nothing(), Findings::merged);
    found.row_standings = row_standings;
    found.column_standings = column_standings;
    found.diagonals = diagonals;
    found
}

impl Findings {
    fn nothing() -> Self {
        Self {
            row_tally: Tally::default(),
            column_tally: Tally::default(),
            row_standings: vec![],
            column_standings: vec![],
            diagonals: vec![],
            symmetric_part_gap: f64::INFINITY,
            diagonal: Diagonal {
                zeros: 0,
                first_zero: None,
                negatives: 0,
                first_negative: None,
                smallest: f64::INFINITY,
                largest: f64::NEG_INFINITY,
            },
            signs: Signs { z_matrix: true, positive_off_diagonals: 0, first_positive: None },
            bandwidth: Bandwidth { lower: 0, upper: 0 },
            empty: Empty::default(),
            row_entries_max: 0,
            column_entries_max: 0,
            norm_infinity: 0.0,
            norm_one: 0.0,
        }
    }

    /// Reads row and column number `row`; returns the diagonal and the standings of both.
    fn read(
        &mut self,
        row: usize,
        rows: Rows<'_>,
        columns: &Columns<'_>,
    ) -> (f64, Standing, Standing) {
        let (indices, values) = rows.row(row);
        let by_row = LineSum::of(row as u32, indices, values);
        let (by_column, column_entries) = columns.line(row, by_row, indices.len());
        let row_standing = by_row.standing(|| {
            let beside = indices.iter().zip(values).filter(|(col, _)| **col as usize != row);
            beside.map(|(_, &value)| value)
        });
        let column_standing = columns.standing(row, &by_column, row_standing);
        self.row_tally.count(row, &by_row, row_standing);
        self.column_tally.count(row, &by_column, column_standing);
        self.read_symmetric_part(&by_row, &by_column);
        self.read_diagonal(row, by_row.diagonal);
        self.read_signs(row, indices, values);
        self.read_extent(row, indices, column_entries);
        self.read_emptiness(row, &by_row, &by_column);
        (by_row.diagonal, row_standing, column_standing)
    }

    fn read_symmetric_part(&mut self, by_row: &LineSum, by_column: &LineSum) {
        let beside = 0.5 * by_row.off_diagonal + 0.5 * by_column.off_diagonal;
        let alone = by_row.off_diagonal == 0.0 && by_column.off_diagonal == 0.0;
        // Halves may underflow; the sum and the differences round relative to their largest part.
        let own = 2.0 * f64::EPSILON * (beside + by_row.diagonal.abs()) + 4.0 * f64::MIN_POSITIVE;
        let rounding = by_row.rounding + by_column.rounding + if alone { 0.0 } else { own };
        let gap = by_row.diagonal - beside - rounding;
        self.symmetric_part_gap = self.symmetric_part_gap.min(gap.max(-f64::MAX));
        let whole = |sum: &LineSum| (sum.diagonal.abs() + sum.off_diagonal).min(f64::MAX);
        self.norm_infinity = self.norm_infinity.max(whole(by_row));
        self.norm_one = self.norm_one.max(whole(by_column));
    }

    fn read_diagonal(&mut self, row: usize, value: f64) {
        let diagonal = &mut self.diagonal;
        diagonal.smallest = diagonal.smallest.min(value);
        diagonal.largest = diagonal.largest.max(value);
        if value == 0.0 {
            diagonal.zeros += 1;
            diagonal.first_zero.get_or_insert(row);
        } else if value < 0.0 {
            diagonal.negatives += 1;
            diagonal.first_negative.get_or_insert(row);
        }
    }

    fn read_signs(&mut self, row: usize, indices: &[u32], values: &[f64]) {
        // Counted without a branch, which signs without order would spoil.
        let positive = |(&col, &value): (&u32, &f64)| (value > 0.0) & (col as usize != row);
        let count: usize =
            indices.iter().zip(values).map(|entry| usize::from(positive(entry))).sum();
        if count > 0 {
            self.signs.z_matrix = false;
            self.signs.positive_off_diagonals += count;
            let first = || indices.iter().zip(values).find(|&entry| positive(entry));
            self.signs.first_positive = self
                .signs
                .first_positive
                .or_else(|| first().map(|(&col, &value)| Entry { row, col: col as usize, value }));
        }
    }

    fn read_extent(&mut self, row: usize, indices: &[u32], column_entries: usize) {
        if let (Some(&first), Some(&last)) = (indices.first(), indices.last()) {
            let bandwidth = &mut self.bandwidth;
            bandwidth.lower = bandwidth.lower.max(row.saturating_sub(first as usize));
            bandwidth.upper = bandwidth.upper.max((last as usize).saturating_sub(row));
        }
        self.row_entries_max = self.row_entries_max.max(indices.len());
        self.column_entries_max = self.column_entries_max.max(column_entries);
    }

    fn read_emptiness(&mut self, row: usize, by_row: &LineSum, by_column: &LineSum) {
        if by_row.diagonal == 0.0 && by_row.off_diagonal == 0.0 {
            self.empty.rows += 1;
            self.empty.first_row.get_or_insert(row);
        }
        if by_column.diagonal == 0.0 && by_column.off_diagonal == 0.0 {
            self.empty.columns += 1;
            self.empty.first_column.get_or_insert(row);
        }
    }

    /// `later` read the rows that follow.
    fn merged(mut self, later: Self) -> Self {
        self.row_tally.merge(later.row_tally);
        self.column_tally.merge(later.column_tally);
        self.symmetric_part_gap = self.symmetric_part_gap.min(later.symmetric_part_gap);
        self.diagonal = Diagonal {
            zeros: self.diagonal.zeros + later.diagonal.zeros,
            first_zero: self.diagonal.first_zero.or(later.diagonal.first_zero),
            negatives: self.diagonal.negatives + later.diagonal.negatives,
            first_negative: self.diagonal.first_negative.or(later.diagonal.first_negative),
            smallest: self.diagonal.smallest.min(later.diagonal.smallest),
            largest: self.diagonal.largest.max(later.diagonal.largest),
        };
        self.signs = Signs {
            z_matrix: self.signs.z_matrix && later.signs.z_matrix,
            positive_off_diagonals: self.signs.positive_off_diagonals
                + later.signs.positive_off_diagonals,
            first_positive: self.signs.first_positive.or(later.signs.first_positive),
        };
        self.bandwidth = Bandwidth {
            lower: self.bandwidth.lower.max(later.bandwidth.lower),
            upper: self.bandwidth.upper.max(later.bandwidth.upper),
        };
        self.empty = Empty {
            rows: self.empty.rows + later.empty.rows,
            first_row: self.empty.first_row.or(later.empty.first_row),
            columns: self.empty.columns + later.empty.columns,
            first_column: self.empty.first_column.or(later.empty.first_column),
        };
        self.row_entries_max = self.row_entries_max.max(later.row_entries_max);
        self.column_entries_max = self.column_entries_max.max(later.column_entries_max);
        self.norm_infinity = self.norm_infinity.max(later.norm_infinity);
        self.norm_one = self.norm_one.max(later.norm_one);
        self
    }
}
