//! Which unknowns of a level become one unknown of the next: strength of connection and aggregates.
//!
//! Source: Vaněk, Mandel and Brezina, *Computing* 56 (1996) 179, Algorithm 5.1.

use super::blocks::NONE;
use super::level_matrix::UnitMatrix;

/// A row without strong entries whose others weigh at most this much, against a diagonal of 1, is solved
/// by the smoother alone.
const DOMINATED: f64 = 0.7;

/// From which size on an entry of each row is strong: `least`, or `relative` times the row's largest
/// entry, whichever is more. One pass.
///
/// The second keeps apart what conducts well from what does not on every level, the first keeps hubs, whose
/// entries are all small, from gathering everything.
pub(super) fn thresholds(matrix: &UnitMatrix, least: f32, relative: f32) -> Vec<f32> {
    let largest = |row| {
        matrix.beside_diagonal(row).fold(0.0_f32, |largest, (_, value)| largest.max(value.abs()))
    };
    (0..matrix.rows()).map(|row| least.max(relative * largest(row))).collect()
}

/// A partition of some of the rows.
#[derive(Debug)]
pub(super) struct Aggregates {
    /// The aggregate of each row, or [`NONE`].
    pub of_row: Vec<u32>,
    pub count: usize,
}

/// Aggregates of rows that are joined by entries above their row's threshold; `v` is the slowest error,
/// positive, length n.
///
/// A row whose strong neighbours are all free takes them with it; what is left joins the aggregate of its
/// strongest neighbour. Rows without strong entries that are not [`DOMINATED`] join their largest entry.
/// Rows are taken in their order, so the outcome is one. O(entries).
pub(super) fn aggregate(matrix: &UnitMatrix, v: &[f64], thresholds: &[f32]) -> Aggregates {
    let n = matrix.rows();
    let mut aggregates = Aggregates { of_row: vec![NONE; n], count: 0 };
    aggregates.gather_stars(matrix, thresholds);
    aggregates.join_stars(matrix, thresholds);
    aggregates.join_weak(matrix, v, thresholds);
    aggregates
}

impl Aggregates {
    /// Every row whose strong neighbours are free becomes the centre of an aggregate of them.
    fn gather_stars(&mut self, matrix: &UnitMatrix, thresholds: &[f32]) {
        for (row, &threshold) in thresholds.iter().enumerate() {
            if self.of_row[row] != NONE {
                continue;
            }
            let mut has_strong = false;
            let is_free = matrix.beside_diagonal(row).all(|(col, value)| {
                let is_strong = value.abs() > threshold;
                has_strong |= is_strong;
                !is_strong || self.of_row[col as usize] == NONE
            });
            if !is_free || !has_strong {
                continue;
            }
            let number = self.open();
            self.of_row[row] = number;
            for (col, value) in matrix.beside_diagonal(row) {
                if value.abs() > threshold {
                    self.of_row[col as usize] = number;
                }
            }
        }
    }

    /// Free rows join the star of their strongest strong neighbour. Each has one, or it would have become
    /// a centre.
    fn join_stars(&mut self, matrix: &UnitMatrix, thresholds: &[f32]) {
        let mut joined: Vec<(u32, u32)> = vec![];
        for (row, &threshold) in thresholds.iter().enumerate() {
            if self.of_row[row] != NONE {
                continue;
            }
            let mut strongest = threshold;
            let mut number = NONE;
            for (col, value) in matrix.beside_diagonal(row) {
                if value.abs() > strongest && self.of_row[col as usize] != NONE {
                    (strongest, number) = (value.abs(), self.of_row[col as usize]);
                }
            }
            if number != NONE {
                joined.push((row as u32, number));
            }
        }
        // Only now, so that nobody joins one who has just joined.
        for (row, number) in joined {
            self.of_row[row as usize] = number;
        }
    }

    /// Rows with weak entries only, such as those that hang on a hub, join the largest of them.
    fn join_weak(&mut self, matrix: &UnitMatrix, v: &[f64], thresholds: &[f32]) {
        for (row, &threshold) in thresholds.iter().enumerate() {
            if self.of_row[row] != NONE {
                continue;
            }
            let (mut weight, mut largest, mut neighbour) = (0.0, 0.0, row);
            for (col, value) in matrix.beside_diagonal(row) {
                let size = value.abs();
                weight += f64::from(size) * v[col as usize] / v[row];
                if size > largest {
                    (largest, neighbour) = (size, col as usize);
                }
            }
            if weight <= DOMINATED || largest > threshold {
                continue;
            }
            if self.of_row[neighbour] == NONE {
                self.of_row[neighbour] = self.open();
            }
            self.of_row[row] = self.of_row[neighbour];
        }
    }

    fn open(&mut self) -> u32 {
        self.count += 1;
        self.count as u32 - 1
    }
}
