//! The pass over rows of `A` and rows of `Aᵀ` side by side. Blocks of rows run in parallel and are
//! merged in order, so the findings do not depend on the number of threads.

use super::dominance::{LineSum, Standing, Tally};
use super::matching::StructuralRank;
use super::{Asymmetry, Bandwidth, Diagonal, Entry, Signs, Structure, Symmetry};
use crate::solver::system::Rows;
use rayon::prelude::*;

const BLOCK_ROWS: usize = 4096;

/// Everything that needs nothing but a row and the column of the same number.
pub(crate) struct Findings {
    pub symmetry: Symmetry,
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

pub(crate) fn over(rows: Rows<'_>, columns: Rows<'_>) -> Findings {
    let n = rows.count();
    let mut row_standings = vec![Standing::Equal; n];
    let mut column_standings = vec![Standing::Equal; n];
    let mut diagonals = vec![0.0; n];
    let blocks: Vec<Findings> = row_standings
        .par_chunks_mut(BLOCK_ROWS)
        .zip(column_standings.par_chunks_mut(BLOCK_ROWS))
        .zip(diagonals.par_chunks_mut(BLOCK_ROWS))
        .enumerate()
        .map(|(block, ((row_standings, column_standings), diagonals))| {
            let mut found = Findings::nothing();
            for at in 0..diagonals.len() {
                let row = block * BLOCK_ROWS + at;
                let (by_row, by_column) = found.read(row, rows, columns);
                diagonals[at] = by_row.0;
                (row_standings[at], column_standings[at]) = (by_row.1, by_column);
            }
            found
        })
        .collect();
    let mut found = blocks.into_iter().fold(Findings::nothing(), Findings::merged);
    found.row_standings = row_standings;
    found.column_standings = column_standings;
    found.diagonals = diagonals;
    found
}

impl Findings {
    fn nothing() -> Self {
        Self {
            symmetry: Symmetry {
                pattern: true,
                values: true,
                relative_difference_max: 0.0,
                first_asymmetry: None,
            },
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

    /// Reads row and column number `row`; returns the diagonal with the row's standing, and the column's.
    fn read(
        &mut self,
        row: usize,
        rows: Rows<'_>,
        columns: Rows<'_>,
    ) -> ((f64, Standing), Standing) {
        let (indices, values) = rows.row(row);
        let (mirror_indices, mirror_values) = columns.row(row);
        let by_row = LineSum::of(row as u32, indices, values);
        let by_column = LineSum::of(row as u32, mirror_indices, mirror_values);
        let row_standing = by_row.standing(row as u32, indices, values);
        let column_standing = by_column.standing(row as u32, mirror_indices, mirror_values);
        self.row_tally.count(row, &by_row, row_standing);
        self.column_tally.count(row, &by_column, column_standing);
        self.read_symmetric_part(&by_row, &by_column);
        self.read_diagonal(row, by_row.diagonal);
        self.read_signs(row, indices, values);
        self.read_extent(row, indices, mirror_indices);
        self.read_emptiness(row, &by_row, &by_column);
        if indices == mirror_indices {
            self.compare_values(row, indices, values, mirror_values);
        } else {
            self.symmetry.pattern = false;
            self.compare_merged(row, (indices, values), (mirror_indices, mirror_values));
        }
        ((by_row.diagonal, row_standing), column_standing)
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
        for (&col, &value) in indices.iter().zip(values) {
            if value > 0.0 && col as usize != row {
                self.signs.z_matrix = false;
                self.signs.positive_off_diagonals += 1;
                let entry = Entry { row, col: col as usize, value };
                self.signs.first_positive.get_or_insert(entry);
            }
        }
    }

    fn read_extent(&mut self, row: usize, indices: &[u32], mirror_indices: &[u32]) {
        if let (Some(&first), Some(&last)) = (indices.first(), indices.last()) {
            let bandwidth = &mut self.bandwidth;
            bandwidth.lower = bandwidth.lower.max(row.saturating_sub(first as usize));
            bandwidth.upper = bandwidth.upper.max((last as usize).saturating_sub(row));
        }
        self.row_entries_max = self.row_entries_max.max(indices.len());
        self.column_entries_max = self.column_entries_max.max(mirror_indices.len());
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

    fn compare_values(&mut self, row: usize, indices: &[u32], values: &[f64], mirrored: &[f64]) {
        if values == mirrored {
            return;
        }
        for ((&col, &value), &mirrored) in indices.iter().zip(values).zip(mirrored) {
            self.compare(row, col, value, mirrored);
        }
    }

    /// Walks two ascending lines together; what one lacks is 0.
    fn compare_merged(&mut self, row: usize, line: (&[u32], &[f64]), mirror: (&[u32], &[f64])) {
        let (mut at, mut mirror_at) = (0, 0);
        while at < line.0.len() || mirror_at < mirror.0.len() {
            let col = line.0.get(at).copied().unwrap_or(u32::MAX);
            let mirror_col = mirror.0.get(mirror_at).copied().unwrap_or(u32::MAX);
            let nearest = col.min(mirror_col);
            let (mut value, mut mirrored) = (0.0, 0.0);
            if col == nearest {
                value = line.1[at];
                at += 1;
            }
            if mirror_col == nearest {
                mirrored = mirror.1[mirror_at];
                mirror_at += 1;
            }
            self.compare(row, nearest, value, mirrored);
        }
    }

    fn compare(&mut self, row: usize, col: u32, value: f64, mirrored: f64) {
        if value == mirrored {
            return;
        }
        let scale = value.abs().max(mirrored.abs());
        let difference = (value / scale - mirrored / scale).abs();
        let symmetry = &mut self.symmetry;
        symmetry.values = false;
        symmetry.relative_difference_max = symmetry.relative_difference_max.max(difference);
        let found = Asymmetry { row, col: col as usize, value, mirrored };
        symmetry.first_asymmetry.get_or_insert(found);
    }

    /// `later` read the rows that follow.
    fn merged(mut self, later: Self) -> Self {
        self.symmetry = Symmetry {
            pattern: self.symmetry.pattern && later.symmetry.pattern,
            values: self.symmetry.values && later.symmetry.values,
            relative_difference_max: self
                .symmetry
                .relative_difference_max
                .max(later.symmetry.relative_difference_max),
            first_asymmetry: self.symmetry.first_asymmetry.or(later.symmetry.first_asymmetry),
        };
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
