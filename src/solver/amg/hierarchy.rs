//! The levels: set up from `A` down to a matrix that is factorised, and run through as one V-cycle.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::huge_pages;
use crate::solver::outcome::Work;
use crate::solver::system::Rows;

use super::aggregation::{aggregate, thresholds};
use super::coarsest::DenseFactor;
use super::cycle;
use super::galerkin::triple_product;
use super::level_matrix::{SparseRows, UnitMatrix};
use super::memory::Ledger;
use super::prolongation::Transfer;
use super::refusal::AmgRefusal;

/// Entries above this size, beside a unit diagonal, are strong on level 0; half of it on the next, and so
/// on, because aggregation makes entries more alike.
const STRENGTH: f32 = 0.08;

const RELATIVE: f32 = 0.25;
const RELATIVE_GENERAL: f32 = 0.05;

/// The same for a matrix that is not symmetric: what a wind weakens in its face still counts.
const STRENGTH_GENERAL: f32 = 0.04;

/// A level of at most this many rows is factorised.
const DENSE_ROWS_MAX: usize = 256;

/// All levels together may have this many times the entries of `A`.
const COMPLEXITY_MAX: u64 = 3;

/// A set-up takes about as long as this many products with `A`.
const SET_UP_PASSES: u64 = 80;

/// What is known of `A`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symmetry {
    /// Symmetric in pattern and values. Whether it is definite is found out.
    Symmetric,
    General,
}

/// A level, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelSize {
    pub rows: usize,
    /// With the diagonal.
    pub entries: usize,
}

/// `z ≈ A⁻¹ r` as one V-cycle: a forward sweep of Gauss-Seidel on the way down, a backward one on the way
/// up, so that the cycle of a symmetric matrix is symmetric. Its bits depend on nothing but `A` and `r`.
#[derive(Debug)]
pub struct Hierarchy {
    /// `diag(A)^(−1/2)`, length n.
    scale: Vec<f64>,
    levels: Vec<Level>,
    /// Scratch of the length of the largest level.
    residual: Vec<f32>,
    /// What follows the last level, unless its rows are solved by smoothing alone.
    coarsest: Option<DenseFactor>,
    coarsest_b: Vec<f32>,
    coarsest_x: Vec<f32>,
    sizes: Vec<LevelSize>,
    memory_bytes: u64,
    peak_bytes: u64,
}

#[derive(Debug)]
struct Level {
    matrix: UnitMatrix,
    /// To this level from the next.
    /// None where no level follows.
    transfers: Option<Transfers>,
    b: Vec<f32>,
    x: Vec<f32>,
}

/// The ways between a level and the next.
#[derive(Debug)]
struct Transfers {
    prolongation: Transfer,
    /// `Q`, whose transpose leads down; the prolongation for a symmetric matrix.
    averaging: Option<Transfer>,
}

impl Hierarchy {
    /// Sets the levels up for `A`, whose columns ascend within a row. About as much work as 30 products
    /// with `A`; the set-up never holds more than `memory_bytes_max` beyond `A`.
    ///
    /// # Errors
    /// See [`AmgRefusal`]. A matrix may be unfit without being refused: then the drivers make no progress
    /// and say so.
    pub fn build(
        rows: Rows<'_>,
        symmetry: Symmetry,
        memory_bytes_max: u64,
    ) -> Result<Self, AmgRefusal> {
        Self::build_unless(rows, symmetry, memory_bytes_max, &Arc::default())
    }

    /// [`build`](Self::build), left off soon after `unwanted` is set.
    pub fn build_unless(
        rows: Rows<'_>,
        symmetry: Symmetry,
        memory_bytes_max: u64,
        unwanted: &Arc<AtomicBool>,
    ) -> Result<Self, AmgRefusal> {
        let mut ledger = Ledger::new(memory_bytes_max, Arc::clone(unwanted));
        let (mut matrix, scale) = UnitMatrix::scaled(rows, symmetry, &mut ledger)?;
        ledger.take(8 * matrix.rows() as u64)?;
        let mut v: Vec<f64> = scale.iter().map(|scale| 1.0 / scale).collect();
        let mut sizes = vec![LevelSize::of(&matrix)];
        let entries_max = COMPLEXITY_MAX * matrix.entries() as u64;
        let (strength, relative) = match symmetry {
            Symmetry::Symmetric => (STRENGTH, RELATIVE),
            Symmetry::General => (STRENGTH_GENERAL, RELATIVE_GENERAL),
        };
        let mut levels = vec![];
        let coarsest = loop {
            let number = levels.len();
            if matrix.rows() <= DENSE_ROWS_MAX {
                let n = matrix.rows();
                ledger.take(DenseFactor::bytes_of(n) + 8 * n as u64)?;
                let factor = DenseFactor::compute(&matrix, symmetry, number)?;
                ledger.give_back(matrix.bytes());
                break Some(factor);
            }
            let threshold = strength * 0.5_f32.powi(number as i32);
            ledger.take(8 * matrix.rows() as u64)?;
            let thresholds = thresholds(&matrix, threshold, relative);
            let aggregates = aggregate(&matrix, &v, &thresholds);
            if aggregates.count == 0 {
                levels.push(Level::new(matrix, None, &mut ledger)?);
                break None;
            }
            let coarse_rows = aggregates.count;
            let smoothed = |matrix: &UnitMatrix, ledger: &mut Ledger| {
                let (by_rows, coarse_v) =
                    SparseRows::smoothed(matrix, &aggregates, &v, &thresholds, ledger)?;
                let bytes = SparseRows::bytes(coarse_rows, by_rows.cols.len());
                ledger.take(bytes)?;
                let transfer = Transfer::of(&by_rows, coarse_rows);
                Ok::<_, AmgRefusal>((transfer, by_rows, coarse_v))
            };
            let (mut prolongation, by_rows, coarse_v) = smoothed(&matrix, &mut ledger)?;
            let by_rows_bytes = SparseRows::bytes(by_rows.count(), by_rows.cols.len());
            let mut averaging = match symmetry {
                Symmetry::Symmetric => None,
                Symmetry::General => {
                    let transposed = matrix.transposed(&mut ledger)?;
                    let (averaging, by_rows, coarse_v) = smoothed(&transposed, &mut ledger)?;
                    ledger.give_back(transposed.bytes() + 8 * coarse_v.len() as u64);
                    ledger.give_back(SparseRows::bytes(by_rows.count(), by_rows.cols.len()));
                    Some(averaging)
                }
            };
            let above: u64 = sizes.iter().map(|size| size.entries as u64).sum();
            let check = |entries: u64| match above + entries > entries_max {
                true => {
                    let (level, limit) = (number + 1, COMPLEXITY_MAX);
                    Err(AmgRefusal::Densified { level, entries: above + entries, limit })
                }
                false => Ok(()),
            };
            let product = triple_product(
                &matrix,
                averaging.as_ref().unwrap_or(&prolongation),
                &by_rows,
                coarse_rows,
                &mut ledger,
                check,
            )?;
            drop(by_rows);
            ledger.give_back(by_rows_bytes);
            ledger.give_back(16 * matrix.rows() as u64);
            let (coarse, coarse_scale) =
                UnitMatrix::of_product(&product, aggregates.count, number + 1, &mut ledger)?;
            ledger.give_back(product.bytes() + 8 * coarse_scale.len() as u64);
            prolongation.scale_columns(&coarse_scale);
            if let Some(averaging) = &mut averaging {
                averaging.scale_columns(&coarse_scale);
            }
            v = std::iter::zip(coarse_v, coarse_scale).map(|(v, scale)| v / scale).collect();
            sizes.push(LevelSize::of(&coarse));
            let transfers = Some(Transfers { prolongation, averaging });
            levels.push(Level::new(matrix, transfers, &mut ledger)?);
            matrix = coarse;
        };
        let coarsest_rows = match &coarsest {
            Some(factor) => factor.rows(),
            None => 0,
        };
        ledger.give_back(8 * v.len() as u64);
        let longest = levels.first().map_or(0, |level: &Level| level.x.len());
        ledger.take(4 * longest as u64)?;
        Ok(Self {
            scale,
            levels,
            residual: huge_pages::filled(0.0, longest),
            coarsest,
            coarsest_b: vec![0.0; coarsest_rows],
            coarsest_x: vec![0.0; coarsest_rows],
            sizes,
            memory_bytes: ledger.held_bytes(),
            peak_bytes: ledger.peak_bytes(),
        })
    }

    /// What a hierarchy will hold, as [`predicted_peak_bytes`](Self::predicted_peak_bytes) predicts it.
    pub fn predicted_bytes(nonzeros: u64) -> u64 {
        nonzeros.saturating_mul(26).saturating_add(1 << 20)
    }

    /// What a set-up is expected to cost.
    pub fn build_work(nonzeros: u64) -> Work {
        let nonzeros = nonzeros.saturating_mul(SET_UP_PASSES);
        Work { nonzeros, flops: 2 * nonzeros }
    }

    /// What a set-up will hold at its peak for a matrix of a grid or a similar graph with so many entries;
    /// other graphs may need more, up to the limit given to [`build`](Self::build), or be refused.
    pub fn predicted_peak_bytes(nonzeros: u64) -> u64 {
        nonzeros.saturating_mul(96).saturating_add(1 << 20)
    }

    /// `z = M⁻¹ r`; both of length n. Linear in `r` up to the rounding of f32, whatever the size of `r`.
    /// `z` is NaN where `r` is not finite.
    pub fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        let n = self.scale.len();
        assert!(r.len() == n && z.len() == n, "vectors have the length of the matrix");
        let largest = largest_product(r, &self.scale);
        if largest == 0.0 {
            return z.fill(0.0);
        }
        if !largest.is_finite() {
            return z.fill(f64::NAN);
        }
        let (down, up) = powers_of_two(largest);
        let Self { scale, levels, residual, coarsest, coarsest_b, coarsest_x, .. } = self;
        let input = |i: usize| (r[i] * scale[i] * down) as f32;
        if levels.is_empty() {
            for (i, b) in coarsest_b.iter_mut().enumerate() {
                *b = input(i);
            }
        }
        for number in 0..levels.len() {
            let (above, below) = levels.split_at_mut(number + 1);
            let Level { matrix, transfers, b, x } = &mut above[number];
            match number {
                0 => {
                    let load = |i: usize| {
                        b[i] = input(i);
                        b[i]
                    };
                    cycle::sweep_forward(matrix, load, x);
                }
                _ => cycle::sweep_forward(matrix, |i| b[i], x),
            }
            let coarse_b = below.first_mut().map_or(&mut *coarsest_b, |next| &mut next.b);
            if let Some(Transfers { prolongation, averaging }) = transfers {
                let residual = &mut residual[..x.len()];
                cycle::residual(matrix, x, residual);
                cycle::restrict(averaging.as_ref().unwrap_or(prolongation), residual, coarse_b);
            }
        }
        if let Some(factor) = coarsest {
            factor.solve(coarsest_b, coarsest_x);
        }
        for number in (0..levels.len()).rev() {
            let (above, below) = levels.split_at_mut(number + 1);
            let Level { matrix, transfers, b, x } = &mut above[number];
            let coarse_x = below.first().map_or(&*coarsest_x, |next| &next.x);
            if let Some(transfers) = transfers {
                cycle::prolong(&transfers.prolongation, coarse_x, x);
            }
            match number {
                0 => cycle::sweep_backward(matrix, b, x, |i, x| {
                    z[i] = f64::from(x) * scale[i] * up;
                }),
                _ => cycle::sweep_backward(matrix, b, x, |_, _| {}),
            }
        }
        if levels.is_empty() {
            for (i, z) in z.iter_mut().enumerate() {
                *z = f64::from(coarsest_x[i]) * scale[i] * up;
            }
        }
    }

    /// n.
    pub fn order(&self) -> usize {
        self.scale.len()
    }

    /// The levels from `A` down.
    pub fn sizes(&self) -> &[LevelSize] {
        &self.sizes
    }

    /// Entries of all levels over those of `A`.
    pub fn operator_complexity(&self) -> f64 {
        let entries: usize = self.sizes.iter().map(|size| size.entries).sum();
        entries as f64 / self.sizes[0].entries as f64
    }

    /// The work of one [`apply`](Self::apply).
    pub fn apply_work(&self) -> Work {
        let level = |level: &Level| {
            let transfers = level.transfers.as_ref();
            2 * level.matrix.entries() + transfers.map_or(0, Transfers::entries)
        };
        let entries: usize = self.levels.iter().map(level).sum();
        let entries = (entries + self.coarsest_b.len().pow(2) + 2 * self.scale.len()) as u64;
        Work { nonzeros: entries, flops: 2 * entries }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Bytes that the set-up held at its peak.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }
}

impl Level {
    fn new(
        matrix: UnitMatrix,
        transfers: Option<Transfers>,
        ledger: &mut Ledger,
    ) -> Result<Self, AmgRefusal> {
        let n = matrix.rows();
        ledger.take(8 * n as u64)?;
        let (b, x) = (huge_pages::filled(0.0, n), huge_pages::filled(0.0, n));
        Ok(Self { matrix, transfers, b, x })
    }
}

impl Transfers {
    /// Entries that a cycle reads.
    fn entries(&self) -> usize {
        let down = self.averaging.as_ref().unwrap_or(&self.prolongation);
        self.prolongation.rows.cols.len() + down.rows.cols.len()
    }
}

impl LevelSize {
    fn of(matrix: &UnitMatrix) -> Self {
        Self { rows: matrix.rows(), entries: matrix.entries() }
    }
}

/// `max |rᵢ sᵢ|`, NaN when any is.
fn largest_product(r: &[f64], s: &[f64]) -> f64 {
    // Without the sign, bit patterns are ordered as the numbers are, with NaN above infinity.
    let bits = |r: f64, s: f64| (r * s).to_bits() & !(1 << 63);
    let mut lanes = [0_u64; 4];
    let ((r, r_rest), (s, s_rest)) = (r.as_chunks::<4>(), s.as_chunks::<4>());
    for (r, s) in r.iter().zip(s) {
        for lane in 0..4 {
            lanes[lane] = lanes[lane].max(bits(r[lane], s[lane]));
        }
    }
    let rest = r_rest.iter().zip(s_rest).map(|(&r, &s)| bits(r, s));
    f64::from_bits(lanes.into_iter().chain(rest).max().unwrap_or(0))
}

/// A power of two that brings `largest` near 1, and its inverse.
fn powers_of_two(largest: f64) -> (f64, f64) {
    let exponent = (largest.to_bits() >> 52) as i32 - 1023;
    let exponent = exponent.clamp(-1022, 1022);
    let power = |exponent: i32| f64::from_bits(((exponent + 1023) as u64) << 52);
    (power(-exponent), power(exponent))
}
