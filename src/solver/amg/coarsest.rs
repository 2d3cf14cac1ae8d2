//! The coarsest level, solved directly by a dense factorisation in f64.

use super::hierarchy::Symmetry;
use super::level_matrix::UnitMatrix;
use super::refusal::AmgRefusal;

/// Pivots below this, beside a unit diagonal, count as vanished.
const PIVOT_MIN: f64 = 1e-12;

/// `P A = L U`, n by n, row by row in one array: `L` left of the diagonal, `U` from it on, with the
/// inverses of the pivots in its place.
#[derive(Debug)]
pub(super) struct DenseFactor {
    n: usize,
    factors: Vec<f64>,
    /// Row `i` of the factors is row `order[i]` of the matrix.
    order: Vec<u32>,
    y: Vec<f64>,
}

impl DenseFactor {
    /// Factorises in O(n³): without exchanging rows where the matrix is symmetric, whose pivots then tell
    /// whether it is definite.
    ///
    /// # Errors
    /// [`AmgRefusal::Indefinite`] or [`AmgRefusal::Singular`].
    pub fn compute(
        matrix: &UnitMatrix,
        symmetry: Symmetry,
        level: usize,
    ) -> Result<Self, AmgRefusal> {
        let n = matrix.rows();
        let mut factors = vec![0.0; n * n];
        for row in 0..n {
            factors[row * n + row] = 1.0;
            for (col, value) in matrix.beside_diagonal(row) {
                factors[row * n + col as usize] = f64::from(value);
            }
        }
        let order = (0..n as u32).collect();
        let mut factor = Self { n, factors, order, y: vec![0.0; n] };
        for step in 0..n {
            match symmetry {
                Symmetry::Symmetric => {
                    let pivot = factor.factors[step * n + step];
                    if pivot.is_nan() || pivot < PIVOT_MIN {
                        return Err(AmgRefusal::Indefinite { level, row: step, pivot });
                    }
                }
                Symmetry::General => factor.exchange(step, level)?,
            }
            factor.eliminate(step);
        }
        Ok(factor)
    }

    /// Brings the largest entry of column `step` at or below the diagonal onto it.
    fn exchange(&mut self, step: usize, level: usize) -> Result<(), AmgRefusal> {
        let n = self.n;
        let size = |row: usize| self.factors[row * n + step].abs();
        let best =
            (step..n).fold(step, |best, row| if size(row) > size(best) { row } else { best });
        if size(best).is_nan() || size(best) < PIVOT_MIN {
            return Err(AmgRefusal::Singular { level, row: step });
        }
        if best != step {
            let (above, below) = self.factors.split_at_mut(best * n);
            above[step * n..(step + 1) * n].swap_with_slice(&mut below[..n]);
            self.order.swap(step, best);
        }
        Ok(())
    }

    fn eliminate(&mut self, step: usize) {
        let n = self.n;
        let (above, below) = self.factors.split_at_mut((step + 1) * n);
        let pivot_row = &mut above[step * n..];
        let inverse = 1.0 / pivot_row[step];
        pivot_row[step] = inverse;
        for row in below.chunks_exact_mut(n) {
            if row[step] == 0.0 {
                continue;
            }
            let multiplier = row[step] * inverse;
            row[step] = multiplier;
            for (value, above) in row[step + 1..].iter_mut().zip(&pivot_row[step + 1..]) {
                *value -= multiplier * above;
            }
        }
    }

    /// `x = A⁻¹ b`, n² operations.
    pub fn solve(&mut self, b: &[f32], x: &mut [f32]) {
        let Self { n, factors, order, y } = self;
        for (row, factor) in factors.chunks_exact(*n).enumerate() {
            y[row] = f64::from(b[order[row] as usize]) - dot(&factor[..row], &y[..row]);
        }
        for (row, factor) in factors.chunks_exact(*n).enumerate().rev() {
            y[row] = (y[row] - dot(&factor[row + 1..], &y[row + 1..])) * factor[row];
            x[row] = y[row] as f32;
        }
    }

    /// n.
    pub fn rows(&self) -> usize {
        self.n
    }

    /// Bytes of the factor of n rows.
    pub fn bytes_of(n: usize) -> u64 {
        (8 * n * n + 12 * n) as u64
    }
}

/// In four lanes, whose order is fixed.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (x, x_rest) = x.as_chunks::<4>();
    let (y, y_rest) = y.as_chunks::<4>();
    for (x, y) in x.iter().zip(y) {
        for lane in 0..4 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}
