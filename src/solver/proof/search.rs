//! Finds a witness: `v = 1` where rows are dominant by a margin, else a rough solve of `⟨A⟩ v = 1`, by
//! Gauss–Seidel sweeps where few suffice and by the engine where they do not. Whatever is found is
//! proven by [`Witness::prove`]; nothing here is trusted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::solver::analysis::Analysis;
use crate::solver::engine::Engine;
use crate::solver::options::SolveOptions;
use crate::solver::outcome::Step;
use crate::solver::proof::witness::{Witness, WitnessFault};
use crate::solver::system::{CsrMatrix, LinearSystem, Rows};

/// What a search may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchLimits {
    /// Matrix entries read or written.
    pub entries_max: u64,
    /// For what the engine's method holds. Beside it a copy of `A` is made.
    pub memory_bytes_max: u64,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self { entries_max: 1 << 36, memory_bytes_max: 4 << 30 }
    }
}

/// Relative gap from which `v = 1` is good enough: its bound is at most so much wider than the best.
const GAP_ENOUGH: f64 = 1.0 / 64.0;

/// Sweeps before the engine is asked.
const SWEEPS_MAX: u32 = 64;

/// `⟨A⟩ v` may fall short of its target by this part.
const SHORTFALL_MAX: f64 = 0.5;

/// Diagonals outside `1/RANGE..=RANGE` are scaled to about 1, row by row.
const RANGE: f64 = 1e60;

/// Searches for a witness of `A` from `rows`; `b` does not matter.
///
/// Costs a few passes over `A` where all rows are dominant by a margin, up to 64 sweeps where `⟨A⟩` is
/// well conditioned, else a solve to two digits. Memory: a copy of `A` (not for `v = 1`), 40 bytes a row,
/// and what the engine's method takes.
///
/// # Errors
/// [`WitnessFault::refutes`] tells a proof that `A` is no H-matrix from a search without a find.
pub fn find(rows: Rows, limits: SearchLimits) -> Result<Witness, WitnessFault> {
    search(rows, limits).found
}

/// What a search led to.
#[derive(Debug)]
pub(crate) struct Search {
    pub found: Result<Witness, WitnessFault>,
    /// Matrix entries read or written.
    pub touched_entries: u64,
}

/// As [`find`], and tells what it took.
pub(super) fn search(rows: Rows, limits: SearchLimits) -> Search {
    search_unless(rows, limits, &Arc::default())
}

/// The same; the engine's part of it is left off, as one that found nothing, as soon as `unwanted` is set.
pub(crate) fn search_unless(
    rows: Rows,
    limits: SearchLimits,
    unwanted: &Arc<AtomicBool>,
) -> Search {
    let mut touched_entries = 2 * rows.values.len() as u64;
    let found = search_counting(rows, limits, unwanted, &mut touched_entries);
    Search { found, touched_entries }
}

fn search_counting(
    rows: Rows,
    limits: SearchLimits,
    unwanted: &Arc<AtomicBool>,
    touched_entries: &mut u64,
) -> Result<Witness, WitnessFault> {
    let n = rows.count();
    if let Some(row) = (0..n).find(|&row| rows.diagonal(row).unwrap_or(0.0) == 0.0) {
        return Err(WitnessFault::ZeroDiagonal { row });
    }
    let ones = Witness::prove(rows, vec![1.0; n]);
    let is_enough = |witness: &Witness| relative_gap_min(rows, witness) >= GAP_ENOUGH;
    if ones.as_ref().is_ok_and(is_enough) {
        return ones;
    }
    let solved = Comparison::of(rows).solve(rows, limits, unwanted, touched_entries);
    match (ones, solved) {
        (Ok(ones), Ok(solved)) => {
            Ok(if norm_bound(&solved) < norm_bound(&ones) { solved } else { ones })
        }
        (Ok(ones), Err(_)) => Ok(ones),
        (Err(_), solved) => solved,
    }
}

/// `min_i w_i / (|a_ii| v_i)`: each Jacobi step shrinks the error, measured by `v`, by 1 less this. O(n).
pub fn relative_gap_min(rows: Rows, witness: &Witness) -> f64 {
    let gap = |row: usize| {
        let diagonal = rows.diagonal(row).unwrap_or(0.0).abs();
        witness.w()[row] / (diagonal * witness.v()[row])
    };
    (0..rows.count()).map(gap).fold(1.0, f64::min)
}

/// The bound of `‖A⁻¹‖∞` that a witness proves.
fn norm_bound(witness: &Witness) -> f64 {
    witness.v_max() / witness.w_min().1
}

/// `S ⟨A⟩ v = 1` with `S = I`, or `S` of powers of two that bring the diagonal near 1.
struct Comparison {
    matrix: CsrMatrix,
}

impl Comparison {
    fn of(rows: Rows) -> Self {
        let n = rows.count();
        let diagonal = |row| rows.diagonal(row).unwrap_or(0.0).abs();
        let is_scaled = (0..n).any(|row| !(1.0 / RANGE..=RANGE).contains(&diagonal(row)));
        let mut values = Vec::with_capacity(rows.values.len());
        for row in 0..n {
            let scale = if is_scaled { Scale::to_one(diagonal(row)) } else { Scale::NONE };
            let (cols, entries) = rows.row(row);
            values.extend(cols.iter().zip(entries).map(|(&col, value)| {
                let size = scale.apply(value.abs());
                if col as usize == row { size } else { -size }
            }));
        }
        let (pointers, indices) = (rows.pointers.to_vec(), rows.indices.to_vec());
        Self { matrix: CsrMatrix::new((n, n), pointers, indices, values) }
    }

    fn solve(
        self,
        rows: Rows,
        limits: SearchLimits,
        unwanted: &Arc<AtomicBool>,
        touched_entries: &mut u64,
    ) -> Result<Witness, WitnessFault> {
        let entries = rows.values.len().max(1) as u64;
        let sweeps_max = SWEEPS_MAX.min((limits.entries_max / entries).min(64) as u32);
        let Swept { found: swept, is_close, passes } = self.sweep(rows, sweeps_max);
        *touched_entries += (1 + passes) * entries;
        if is_close {
            return swept;
        }
        let left = limits.entries_max.saturating_sub(u64::from(sweeps_max) * entries);
        let engine_limits = SearchLimits { entries_max: left, ..limits };
        match (self.solve_by_engine(engine_limits, unwanted, touched_entries), swept) {
            (None, swept) => swept,
            (Some(v), swept) => match (Witness::prove(rows, v), swept) {
                (Err(WitnessFault::NotFound { .. }), Ok(swept)) => Ok(swept),
                (Err(WitnessFault::NotFinite { .. }), swept) => swept,
                (solved, _) => solved,
            },
        }
    }

    /// Forward sweeps from 0, which climb towards `v` where `A` is an H-matrix.
    fn sweep(&self, rows: Rows, sweeps_max: u32) -> Swept {
        let scaled = Rows::of(&self.matrix);
        let mut v = vec![0.0; rows.count()];
        let (mut check, mut passes) = (4, 0);
        let mut shortfall_before = 1.0;
        let mut found = Err(WitnessFault::NotFound { row: 0, w: f64::NEG_INFINITY, v_min: 0.0 });
        for sweep in 1..=sweeps_max {
            sweep_once(scaled, &mut v);
            passes += 1;
            if sweep < check {
                continue;
            }
            let shortfall = shortfall(scaled, &v);
            passes += 2;
            if !shortfall.is_finite() {
                break;
            }
            let attempt = Witness::prove(rows, v.clone());
            if attempt.is_ok() || found.is_err() {
                found = attempt;
            }
            if shortfall <= SHORTFALL_MAX && found.is_ok() {
                return Swept { found, is_close: true, passes };
            }
            // Per sweep since the last check, half as many sweeps ago.
            let rate = (shortfall / shortfall_before).powf(2.0 / f64::from(check));
            let needed = (SHORTFALL_MAX / shortfall).ln() / rate.ln();
            if !(0.0..=f64::from(sweeps_max - sweep)).contains(&needed) && check > 4 {
                break;
            }
            (shortfall_before, check) = (shortfall, 2 * check);
        }
        Swept { found, is_close: false, passes }
    }

    /// The engine's `v`, unless it refuses or what is left does not suffice.
    fn solve_by_engine(
        self,
        limits: SearchLimits,
        unwanted: &Arc<AtomicBool>,
        touched_entries: &mut u64,
    ) -> Option<Vec<f64>> {
        let n = self.matrix.rows();
        if limits.entries_max == 0 {
            return None;
        }
        let system = LinearSystem::new(self.matrix, vec![1.0; n]).ok()?;
        let analysis = Analysis::of(&system);
        let options = SolveOptions {
            // ‖r‖₂ ≤ ½ makes every |r_i| ≤ ½, and ‖1‖₂ = √n.
            tolerance: (SHORTFALL_MAX / (n as f64).sqrt()).min(0.25),
            iterations_max: 100_000,
            memory_bytes_max: limits.memory_bytes_max,
            ..SolveOptions::default()
        };
        let mut engine = Engine::new(system, analysis, None, options).ok()?;
        engine.heed(Arc::clone(unwanted));
        let mut left = limits.entries_max;
        while !unwanted.load(Ordering::Relaxed) {
            let work = engine.next_step_work().nonzeros;
            left = left.checked_sub(work)?;
            *touched_entries += work;
            if let Step::Finished(_) = engine.step() {
                return Some(engine.solution().to_vec());
            }
        }
        None
    }
}

/// What sweeps led to: the last that was proven, or the last fault.
struct Swept {
    found: Result<Witness, WitnessFault>,
    /// `⟨A⟩ v` has come near its target.
    is_close: bool,
    /// Over the matrix.
    passes: u64,
}

/// `v_i ← (1 + Σ_{j≠i} |a_ij| v_j) / |a_ii|` in order.
fn sweep_once(scaled: Rows, v: &mut [f64]) {
    for row in 0..v.len() {
        let (cols, values) = scaled.row(row);
        let (mut rest, mut diagonal) = (1.0, 0.0);
        for (&col, &value) in cols.iter().zip(values) {
            let is_diagonal = col as usize == row;
            diagonal = if is_diagonal { value } else { diagonal };
            rest -= if is_diagonal { 0.0 } else { value * v[col as usize] };
        }
        v[row] = rest / diagonal;
    }
}

/// `max_i 1 − (S ⟨A⟩ v)_i`, rounded.
fn shortfall(scaled: Rows, v: &[f64]) -> f64 {
    let of_row = |row| {
        let (cols, values) = scaled.row(row);
        let terms = cols.iter().zip(values).map(|(&col, value)| value * v[col as usize]);
        1.0 - terms.sum::<f64>()
    };
    // A NaN must not be dropped.
    let larger = |max: f64, short: f64| if short.is_nan() { f64::INFINITY } else { max.max(short) };
    (0..v.len()).map(of_row).fold(f64::MIN_POSITIVE, larger)
}

/// A power of two, in two factors because it may lie beyond f64's range.
#[derive(Debug, Clone, Copy)]
struct Scale([f64; 2]);

impl Scale {
    const NONE: Self = Self([1.0; 2]);

    fn to_one(size: f64) -> Self {
        let exponent = -(size.log2().round() as i32);
        let half = exponent / 2;
        Self([2f64.powi(half), 2f64.powi(exponent - half)])
    }

    fn apply(self, value: f64) -> f64 {
        // Entries far beyond the diagonal may overflow; such a row proves nothing in f64 anyway.
        (value * self.0[0] * self.0[1]).min(f64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::system::MatrixArrays;

    fn check_found(system: LinearSystem) -> Witness {
        let witness = find(system.rows(), SearchLimits::default()).unwrap();
        assert!(witness.holds() && witness.w_min().1 > 0.0);
        witness
    }

    #[test]
    fn a_strictly_dominant_matrix_is_witnessed_by_ones() {
        let witness = check_found(gallery::diagonally_dominant(500, 2_500, 1).unwrap());
        assert!(witness.v().iter().all(|v| *v == 1.0));
    }

    #[test]
    fn weakly_dominant_grids_are_witnessed() {
        for system in [
            gallery::poisson_2d(40, 1).unwrap(),
            gallery::poisson_3d(12, 1).unwrap(),
            gallery::convection_diffusion(40, 30.0, 1).unwrap(),
            gallery::resistor_grid(30, 1).unwrap(),
            gallery::resistor_graph(400, 1_000, 1).unwrap(),
        ] {
            check_found(system);
        }
    }

    #[test]
    fn the_bound_of_poisson_is_as_good_as_its_inverse() {
        // ‖A⁻¹‖∞ of the unit square is 0.07367 (side + 1)² as the grid gets finer.
        let witness = check_found(gallery::poisson_2d(60, 1).unwrap());
        let known = 0.073_67 * 61.0 * 61.0;
        let bound = norm_bound(&witness) / known;
        assert!(bound < 3.0 && bound > 0.999, "{bound}");
    }

    #[test]
    fn page_rank_is_witnessed_although_its_rows_are_not_dominant() {
        check_found(gallery::page_rank(10, 10_000, 1).unwrap());
    }

    #[test]
    fn one_row_and_rows_alone_are_witnessed() {
        let dense = |n: usize, values: Vec<f64>| {
            LinearSystem::assemble(n, n, MatrixArrays::Dense { values }, vec![1.0; n]).unwrap()
        };
        check_found(dense(1, vec![-1e-5]));
        check_found(dense(3, vec![2.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1e9]));
        let fault = find(dense(2, vec![1.0, 1.0, 1.0, 0.0]).rows(), SearchLimits::default());
        assert_eq!(fault.unwrap_err(), WitnessFault::ZeroDiagonal { row: 1 });
    }

    #[test]
    fn rows_of_any_scale_are_witnessed() {
        let system = gallery::poisson_2d(12, 1).unwrap();
        let scales = [1e-150, 1e150, 1.0, 1e-280, 1e280];
        let (mut matrix, rhs) = system.into_parts();
        for (row, mut entries) in matrix.outer_iterator_mut().enumerate() {
            entries.iter_mut().for_each(|(_, value)| *value *= scales[row % scales.len()]);
        }
        check_found(LinearSystem::new(matrix, rhs).unwrap());
    }

    #[test]
    fn a_matrix_that_is_no_h_matrix_is_refuted() {
        // 2 on the diagonal, ±2 beside it: ⟨A⟩ is indefinite.
        let (mut matrix, rhs) = gallery::poisson_2d(6, 1).unwrap().into_parts();
        for (row, mut entries) in matrix.outer_iterator_mut().enumerate() {
            entries.iter_mut().filter(|(col, _)| *col == row).for_each(|(_, value)| *value = 2.9);
        }
        let system = LinearSystem::new(matrix, rhs).unwrap();
        let fault = find(system.rows(), SearchLimits::default()).unwrap_err();
        assert!(fault.refutes(), "{fault}");
    }

    #[test]
    fn a_singular_matrix_is_not_witnessed() {
        let values = vec![1.0, -1.0, -1.0, 1.0];
        let system =
            LinearSystem::assemble(2, 2, MatrixArrays::Dense { values }, vec![0.0; 2]).unwrap();
        assert!(find(system.rows(), SearchLimits::default()).is_err());
    }

    #[test]
    fn a_search_keeps_to_its_limit() {
        let system = gallery::poisson_2d(40, 1).unwrap();
        let limits = SearchLimits { entries_max: 50_000, ..SearchLimits::default() };
        let fault = find(system.rows(), limits).unwrap_err();
        assert!(matches!(fault, WitnessFault::NotFound { .. }) && !fault.refutes());
    }
}
