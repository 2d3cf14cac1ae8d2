//! The matrix of one level: f32, unit diagonal, its two strict triangles apart, as the smoother reads them.

use crate::solver::huge_pages;
use crate::solver::system::Rows;

use super::blocks::Blocks;
use super::hierarchy::Symmetry;
use super::memory::Ledger;
use super::refusal::AmgRefusal;

/// Entries off the diagonal are kept this much smaller. Rounding to f32 could otherwise make a nearly
/// singular matrix indefinite: it moves eigenvalues by up to 2⁻²⁴ times a row's weight, this moves them
/// up by 2⁻²².
const SHRINK: f64 = 1.0 - 1.0 / 4_194_304.0;

/// Scaled entries below this count as zero: products of two would leave the range of f32.
const TINY: f64 = 1e-18;

/// Largest scaled entry of a matrix that need not be definite: products of two stay in the range of f32.
const GENERAL_MAX: f64 = 1e18;

/// Largest scaled entry of a definite matrix, with room for the rounding of its entries.
const DEFINITE_MAX: f64 = 1.0 + 1e-12;

/// Positive entries beyond this share of the weight off the diagonal make constants useless.
const POSITIVE_SHARE_MAX: f64 = 0.3;

/// Compressed rows in f32.
#[derive(Debug, Default)]
pub(super) struct SparseRows {
    pub pointers: Vec<u32>,
    pub cols: Vec<u32>,
    pub values: Vec<f32>,
}

/// `I + L + U`, n by n; columns ascend in the triangles.
#[derive(Debug)]
pub(super) struct UnitMatrix {
    pub lower: SparseRows,
    pub upper: SparseRows,
}

impl SparseRows {
    fn with_room(rows: usize, entries: usize) -> Self {
        let mut pointers = Vec::with_capacity(rows + 1);
        pointers.push(0);
        Self { pointers, cols: huge_pages::room(entries), values: huge_pages::room(entries) }
    }

    /// The transpose of a matrix with `cols_count` columns; columns ascend in its rows.
    pub fn transposed(&self, cols_count: usize) -> Self {
        let mut pointers = vec![0_u32; cols_count + 1];
        for &col in &self.cols {
            pointers[col as usize + 1] += 1;
        }
        for at in 0..cols_count {
            pointers[at + 1] += pointers[at];
        }
        let mut next = pointers.clone();
        let entries = self.cols.len();
        let mut cols = huge_pages::filled(0_u32, entries);
        let mut values = huge_pages::filled(0.0_f32, entries);
        for row in 0..self.count() {
            let (found, factors) = self.row(row);
            for (&col, &factor) in found.iter().zip(factors) {
                let to = &mut next[col as usize];
                cols[*to as usize] = row as u32;
                values[*to as usize] = factor;
                *to += 1;
            }
        }
        Self { pointers, cols, values }
    }

    /// Rows.
    pub fn count(&self) -> usize {
        self.pointers.len() - 1
    }

    #[inline(always)]
    fn push(&mut self, col: u32, value: f32) {
        self.cols.push(col);
        self.values.push(value);
    }

    fn end_row(&mut self) {
        self.pointers.push(self.cols.len() as u32);
    }

    /// Columns and values of one row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.pointers[row] as usize..self.pointers[row + 1] as usize;
        (&self.cols[range.clone()], &self.values[range])
    }

    /// Bytes of so many rows and entries.
    pub fn bytes(rows: usize, entries: usize) -> u64 {
        8 * entries as u64 + 4 * (rows as u64 + 1)
    }
}

impl UnitMatrix {
    /// `S A S` with `S = diag(A)^(−1/2)`, and the diagonal of `S`, length n. Two passes over `A`.
    ///
    /// # Errors
    /// A diagonal entry is not positive, an entry is too large beside its diagonals, the entries off the
    /// diagonal are too positive, or memory is short.
    pub fn scaled(
        rows: Rows<'_>,
        symmetry: Symmetry,
        ledger: &mut Ledger,
    ) -> Result<(Self, Vec<f64>), AmgRefusal> {
        let n = rows.count();
        ledger.take(8 * n as u64)?;
        let mut scale: Vec<f64> = huge_pages::room(n);
        for row in 0..n {
            let value = rows.diagonal(row).unwrap_or(0.0);
            let inverse_root = 1.0 / value.sqrt();
            if value <= 0.0 || !inverse_root.is_finite() {
                return Err(AmgRefusal::Diagonal { row, value });
            }
            scale.push(inverse_root);
        }
        let lower: usize = (0..n).map(|row| left_of_diagonal(rows.cols(row), row)).sum();
        let upper = rows.values.len() - n - lower;
        ledger.take(SparseRows::bytes(n, lower) + SparseRows::bytes(n, upper))?;
        let mut matrix =
            Self { lower: SparseRows::with_room(n, lower), upper: SparseRows::with_room(n, upper) };
        let limit = match symmetry {
            Symmetry::Symmetric => DEFINITE_MAX,
            Symmetry::General => GENERAL_MAX,
        };
        let (mut positive, mut negative) = (0.0, 0.0);
        for row in 0..n {
            let (cols, values) = rows.row(row);
            for (&col, &value) in cols.iter().zip(values) {
                if col as usize == row {
                    continue;
                }
                let scaled = value * scale[row] * scale[col as usize];
                if scaled.abs() < TINY {
                    continue;
                }
                if scaled.is_nan() || scaled.abs() > limit {
                    let (col, ratio) = (col as usize, scaled.abs());
                    return Err(AmgRefusal::OffDiagonal { row, col, ratio, limit });
                }
                positive += scaled.max(0.0);
                negative -= scaled.min(0.0);
                matrix.push(row, col, scaled);
            }
            matrix.end_row();
        }
        let share = if positive > 0.0 { positive / (positive + negative) } else { 0.0 };
        if share > POSITIVE_SHARE_MAX {
            return Err(AmgRefusal::PositiveOffDiagonals { share, limit: POSITIVE_SHARE_MAX });
        }
        Ok((matrix, scale))
    }

    /// A coarse matrix scaled to a unit diagonal, and the diagonal of the scaling.
    ///
    /// # Errors
    /// A diagonal entry is not positive, so that the matrix is not an M-matrix nor definite; or memory.
    pub fn of_product(
        product: &Blocks<f64>,
        n: usize,
        level: usize,
        ledger: &mut Ledger,
    ) -> Result<(Self, Vec<f64>), AmgRefusal> {
        ledger.take(8 * n as u64)?;
        let mut scale = Vec::with_capacity(n);
        let mut lower = 0;
        for row in 0..n {
            let (cols, values) = product.row(row);
            let left = left_of_diagonal(cols, row);
            let pivot = match cols.get(left) {
                Some(&col) if col as usize == row => values[left],
                _ => 0.0,
            };
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err(AmgRefusal::Indefinite { level, row, pivot });
            }
            lower += left;
            scale.push(1.0 / pivot.sqrt());
        }
        let upper = product.entries() - n - lower;
        ledger.take(SparseRows::bytes(n, lower) + SparseRows::bytes(n, upper))?;
        let mut matrix =
            Self { lower: SparseRows::with_room(n, lower), upper: SparseRows::with_room(n, upper) };
        for row in 0..n {
            let (cols, values) = product.row(row);
            for (&col, &value) in cols.iter().zip(values) {
                let scaled = value * scale[row] * scale[col as usize];
                if col as usize == row || scaled.abs() < TINY {
                    continue;
                }
                if scaled.is_nan() || scaled.abs() > GENERAL_MAX {
                    return Err(AmgRefusal::Indefinite {
                        level,
                        row,
                        pivot: 1.0 / scale[row].powi(2),
                    });
                }
                matrix.push(row, col, scaled);
            }
            matrix.end_row();
        }
        Ok((matrix, scale))
    }

    #[inline(always)]
    fn push(&mut self, row: usize, col: u32, scaled: f64) {
        let value = (scaled * SHRINK) as f32;
        match (col as usize) < row {
            true => self.lower.push(col, value),
            false => self.upper.push(col, value),
        }
    }

    fn end_row(&mut self) {
        self.lower.end_row();
        self.upper.end_row();
    }

    /// The transpose.
    ///
    /// # Errors
    /// [`AmgRefusal::OutOfMemoryBudget`].
    pub fn transposed(&self, ledger: &mut Ledger) -> Result<Self, AmgRefusal> {
        ledger.take(self.bytes())?;
        let n = self.rows();
        Ok(Self { lower: self.upper.transposed(n), upper: self.lower.transposed(n) })
    }

    /// n.
    pub fn rows(&self) -> usize {
        self.lower.pointers.len() - 1
    }

    /// Entries with the diagonal.
    pub fn entries(&self) -> usize {
        self.rows() + self.lower.cols.len() + self.upper.cols.len()
    }

    /// Entries of one row with the diagonal.
    #[inline(always)]
    pub fn row_entries(&self, row: usize) -> usize {
        let count = |triangle: &SparseRows| triangle.pointers[row + 1] - triangle.pointers[row];
        1 + (count(&self.lower) + count(&self.upper)) as usize
    }

    /// The entries of one row off the diagonal, columns ascending.
    #[inline(always)]
    pub fn beside_diagonal(&self, row: usize) -> impl Iterator<Item = (u32, f32)> {
        let pairs =
            |(cols, values)| std::iter::zip(cols, values).map(|(&col, &value)| (col, value));
        pairs(self.lower.row(row)).chain(pairs(self.upper.row(row)))
    }

    /// Bytes that [`scaled`](Self::scaled) and [`of_product`](Self::of_product) counted, without the
    /// scaling.
    pub fn bytes(&self) -> u64 {
        let triangle =
            |triangle: &SparseRows| SparseRows::bytes(self.rows(), triangle.cols.capacity());
        triangle(&self.lower) + triangle(&self.upper)
    }
}

/// How many ascending columns lie left of the diagonal.
fn left_of_diagonal(cols: &[u32], row: usize) -> usize {
    const SHORT: usize = 32;
    match cols.len() <= SHORT {
        true => cols.iter().map(|&col| usize::from((col as usize) < row)).sum(),
        false => cols.partition_point(|&col| (col as usize) < row),
    }
}
