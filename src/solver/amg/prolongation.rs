//! From a coarse level to the finer one: aggregates' vectors, smoothed once.

use crate::solver::huge_pages;

use super::aggregation::Aggregates;
use super::blocks::{Blocks, NONE};
use super::level_matrix::{SparseRows, UnitMatrix};
use super::memory::Ledger;
use super::refusal::AmgRefusal;

/// Damping of the Jacobi step, over the spectral radius.
const DAMPING: f64 = 4.0 / 3.0;

/// Least part of the diagonal that a row's smoothing is divided by. Rows of which weak entries take more,
/// such as hubs, are smoothed less: smoothing them in full would fill the coarse matrix.
const FILTERED_DIAGONAL_MIN: f64 = 0.3;

/// `P`, n by coarse n, by columns: row `j` of `rows` is column `j` of `P`. Rows of `P` are too short and
/// too uneven to be run through fast.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    pub rows: SparseRows,
    /// n.
    pub fine_rows: usize,
}

/// Where the slowest error lies on the coarse level, and the tentative prolongator that says so.
#[derive(Debug)]
struct Tentative {
    /// `vᵢ` over the norm of `v` on its aggregate; 0 where there is none. Length n.
    values: Vec<f32>,
    /// The norm of `v` on each aggregate.
    coarse: Vec<f64>,
}

impl Transfer {
    /// `P` by columns, once its rows are no longer needed.
    pub fn of(by_rows: &SparseRows, coarse_rows: usize) -> Self {
        Self { rows: by_rows.transposed(coarse_rows), fine_rows: by_rows.count() }
    }

    /// Multiplies column `j` of `P` by `scale[j]`.
    pub fn scale_columns(&mut self, scale: &[f64]) {
        for (j, scale) in scale.iter().enumerate() {
            let range = self.rows.pointers[j] as usize..self.rows.pointers[j + 1] as usize;
            for value in &mut self.rows.values[range] {
                *value = (f64::from(*value) * scale) as f32;
            }
        }
    }
}

impl SparseRows {
    /// `P = (I − Ω D_F⁻¹ A_F) T`: `T` holds `v` on each aggregate, normed, and `A_F` is the matrix without
    /// weak entries, which are added to its diagonal `D_F` so that `A_F v = A v`. Also returns `v` of the coarse level.
    ///
    /// Row `i` of `Ω` is 4/3 over the row's weight, at least 2: by Gershgorin's circles, weighted with `v`,
    /// no eigenvalue of `Ω D_F⁻¹ A_F` exceeds 4/3, whatever the signs.
    ///
    /// # Errors
    /// [`AmgRefusal::OutOfMemoryBudget`].
    pub fn smoothed(
        matrix: &UnitMatrix,
        aggregates: &Aggregates,
        v: &[f64],
        thresholds: &[f32],
        ledger: &mut Ledger,
    ) -> Result<(Self, Vec<f64>), AmgRefusal> {
        let n = matrix.rows();
        let bytes = 4 * n as u64;
        ledger.take(bytes + 16 * aggregates.count as u64)?;
        let tentative = Tentative::of(aggregates, v);
        let of_row = &aggregates.of_row;
        let blocks = Blocks::<f32>::compute(
            n,
            aggregates.count,
            ledger,
            |row| matrix.row_entries(row),
            |row, sum| {
                let smoothing = RowSmoothing::of(matrix, row, v, thresholds[row]);
                let factor = smoothing.factor as f32;
                if of_row[row] != NONE {
                    let kept = (1.0 - smoothing.factor * smoothing.diagonal) as f32;
                    sum.add(of_row[row], kept * tentative.values[row]);
                }
                for (col, value) in matrix.beside_diagonal(row) {
                    let aggregate = of_row[col as usize];
                    let takes_part = takes_part(value, v[row], v[col as usize], thresholds[row]);
                    if takes_part && aggregate != NONE {
                        sum.add(aggregate, -factor * value * tentative.values[col as usize]);
                    }
                }
            },
            |_| Ok(()),
        )?;
        let prolongation = Self::flattened(n, &blocks, ledger)?;
        ledger.give_back(blocks.bytes() + bytes + 8 * aggregates.count as u64);
        Ok((prolongation, tentative.coarse))
    }

    fn flattened(n: usize, blocks: &Blocks<f32>, ledger: &mut Ledger) -> Result<Self, AmgRefusal> {
        let entries = blocks.entries();
        ledger.take(Self::bytes(n, entries))?;
        let mut pointers = Vec::with_capacity(n + 1);
        let (mut cols, mut values) = (huge_pages::room(entries), huge_pages::room(entries));
        pointers.push(0);
        for block in blocks.iter() {
            let start = cols.len() as u32;
            pointers.extend(block.pointers[1..].iter().map(|end| start + end));
            cols.extend_from_slice(&block.cols);
            values.extend_from_slice(&block.values);
        }
        Ok(Self { pointers, cols, values })
    }
}

impl Tentative {
    fn of(aggregates: &Aggregates, v: &[f64]) -> Self {
        // Largest first, so that no square leaves the range.
        let mut largest = vec![0.0_f64; aggregates.count];
        let mut coarse = vec![0.0_f64; aggregates.count];
        let members =
            || std::iter::zip(&aggregates.of_row, v).filter(|(number, _)| **number != NONE);
        for (&number, &v) in members() {
            largest[number as usize] = largest[number as usize].max(v);
        }
        for (&number, &v) in members() {
            coarse[number as usize] += (v / largest[number as usize]).powi(2);
        }
        for (norm, largest) in coarse.iter_mut().zip(largest) {
            *norm = largest * norm.sqrt();
        }
        let value = |(&number, &v): (&u32, &f64)| match number {
            NONE => 0.0,
            number => (v / coarse[number as usize]) as f32,
        };
        let values = std::iter::zip(&aggregates.of_row, v).map(value).collect();
        Self { values, coarse }
    }
}

/// How one row is smoothed: `Tᵢ − factor (diagonal Tᵢ + Σ aᵢⱼ Tⱼ)` over its strong entries.
#[derive(Debug, Clone, Copy)]
struct RowSmoothing {
    /// The diagonal with the entries that do not take part.
    diagonal: f64,
    factor: f64,
}

impl RowSmoothing {
    #[inline(always)]
    fn of(matrix: &UnitMatrix, row: usize, v: &[f64], threshold: f32) -> Self {
        let (mut weak, mut strong_weight) = (0.0, 0.0);
        for (col, value) in matrix.beside_diagonal(row) {
            let moved = f64::from(value) * v[col as usize];
            match takes_part(value, v[row], v[col as usize], threshold) {
                true => strong_weight += moved.abs(),
                false => weak += moved,
            }
        }
        let diagonal = 1.0 + weak / v[row];
        let divisor = diagonal.max(FILTERED_DIAGONAL_MIN);
        let weight = (diagonal.abs() + strong_weight / v[row]) / divisor;
        Self { diagonal, factor: DAMPING / (weight.max(2.0) * divisor) }
    }
}

/// Whether an entry takes part in its row's smoothing: it is strong beside both diagonals, or beside that
/// of its own row, as that of a poor conductor next to a good one. (In units of the unknowns,
/// `v` is the root of the diagonal.)
#[inline(always)]
fn takes_part(value: f32, v_row: f64, v_col: f64, threshold: f32) -> bool {
    f64::from(value.abs()) * v_col.max(v_row) > f64::from(threshold) * v_row
}
