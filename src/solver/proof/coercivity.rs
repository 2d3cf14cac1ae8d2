//! The proof that `xᵀ A x ≥ β Σ (xᵢ / sᵢ)²` with `β > 0`: by a floating-point factorisation that runs to its
//! end (Rump). Owns `β` and its upkeep under changes of `A`; it asks for no signs and no symmetry, so it
//! reaches where there is no witness. When to look for it is the caller's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::assembly;
use crate::solver::kernel;
use crate::solver::method::cholesky::{Cholesky, CholeskyFactor, CholeskyLimits, CholeskyRefusal};
use crate::solver::outcome::Work;
use crate::solver::proof::directed::{add_up, div_up, mul_up, sub_down};
use crate::solver::proof::maximum::LazyMaximum;
use crate::solver::proof::witness::SINKING;
use crate::solver::system::{CsrMatrix, Rows};

/// Inverse iterations behind the first guess of `β`.
const GUESS_STEPS: usize = 10;

/// Parts of the guess that are tried, one factorisation each.
const TRIES: [f64; 3] = [0.8, 0.4, 0.1];

/// Roundings of an entry of `L` beside those of its products: forming `B − α I`, a division, perhaps by way
/// of a reciprocal, a root, and some to spare.
const ROUNDINGS_BESIDE: f64 = 10.0;

/// More than what underflow can cost one entry of `L Lᵀ`, for entries of `B` of about 1.
const UNDERFLOW: f64 = 1e-290;

/// Changed places that are remembered, at least, and as a part of n.
const PLACES_MIN: usize = 4_096;
const PLACES_PART: usize = 4;

/// Bytes of a place, with its share of the tree that holds it.
const PLACE_BYTES: u64 = 48;

/// A bound below zero for what every quadratic form of `A` is at least: `xᵀ A x ≥ β ‖S⁻¹ x‖₂²` with
/// `S = diag(s)`.
///
/// With `A e = r` it gives `β ‖S⁻¹ e‖² ≤ eᵀ A e = eᵀ r ≤ ‖S⁻¹ e‖ ‖S r‖`, so every entry of an error has
/// `|eᵢ| ≤ sᵢ ‖S r‖₂ / β`. Only the symmetric part `H = (A + Aᵀ) / 2` counts, so it holds through changes
/// that come one triangle after the other.
///
/// **How it is proven.** `B = S H S` with powers of two `s` near `h_ii^(-1/2)`, which round nothing. When
/// floating-point Cholesky of `B − α I` runs to its end, then `L Lᵀ = B − α I + Δ` with
/// `|Δ_ij| ≤ γ_k ‖l_i‖ ‖l_j‖`, `k` being the operations behind an entry in any order, and
/// `‖l_i‖² ≤ (b_ii − α) / (1 − γ_k)`. Hence `‖Δ‖₂ ≤ Σ φ_i (b_ii − α)` with `φ_i = γ / (1 − γ)` of the
/// entries in row `i` of `L`, and `λ_min(B) ≥ α − ‖Δ‖₂ = β`. Taken with twice the unit of rounding.
///
/// **How it is kept.** `λ_min` of a sum is at least the sum of both (Weyl), and of what has changed since,
/// scaled, it is at least the least of `e_ii − Σ_j |e_ij|` over its rows (Gershgorin): O(log) for each
/// change, and a conductance that is raised, `δ [1 −1; −1 1]`, takes nothing.
///
/// Sources: S. M. Rump, *Verification of positive definiteness*, BIT 46 (2006), Theorem 2.3; N. J. Higham,
/// *Accuracy and Stability of Numerical Algorithms*, 2nd ed., Theorems 10.3 and 10.5; J. W. Demmel, *On
/// floating point errors in Cholesky*, LAPACK Working Note 14 (1989).
#[derive(Debug, Clone)]
pub struct Coercivity {
    scale: Vec<f64>,
    scale_max: f64,
    /// `β` of the matrix that was factorised.
    proven: f64,
    /// What each place that has changed held then.
    originals: BTreeMap<(u32, u32), f64>,
    /// At least `Σ_j |e_ij| − e_ii` of each row, once something has changed.
    losses: Option<LazyMaximum>,
    row_losses: BTreeMap<u32, f64>,
    /// More places have changed than are remembered.
    is_lost: bool,
}

/// Why there is no proof.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CoercivityFault {
    /// A refutation.
    #[error("diagonal entry {row} is {value:e}, so A is not positive definite")]
    Diagonal { row: usize, value: f64 },
    #[error("Cholesky of the symmetric part of A meets a pivot that is not positive")]
    NotDefinite,
    /// Rounding outweighs what was found.
    #[error("A is too near to a matrix that is not positive definite to be told from one")]
    TooNear,
    #[error("values of the scaled symmetric part leave the range of numbers")]
    Range,
    #[error(transparent)]
    Refused(#[from] CholeskyRefusal),
}

impl Coercivity {
    /// Proves it of `A`, n by n: up to four factorisations of one structure, mostly two, and ten solves.
    /// Returns what was done beside.
    ///
    /// # Errors
    /// See [`CoercivityFault`]: nothing is proven then.
    pub fn prove(
        rows: Rows,
        limits: CholeskyLimits,
        unwanted: &Arc<AtomicBool>,
    ) -> (Result<Self, CoercivityFault>, Work) {
        let mut work = touching(8 * rows.values.len() as u64);
        let proven = Scaled::of(rows).and_then(|scaled| scaled.prove(limits, unwanted, &mut work));
        (proven, work)
    }

    /// n.
    pub fn order(&self) -> usize {
        self.scale.len()
    }

    /// `s`, powers of two, length n.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    pub fn scale_max(&self) -> f64 {
        self.scale_max
    }

    /// `β` of `A` as it is now, if it is proven to be positive.
    pub fn least(&mut self) -> Option<f64> {
        let loss = self.losses.as_mut().map_or(0.0, LazyMaximum::max);
        let least = sub_down(self.proven, loss.max(0.0));
        (least > 0.0 && !self.is_lost).then_some(least)
    }

    /// Whether so much of it may have been lost that another proof would give far better bounds. O(1).
    pub fn has_sunk(&self) -> bool {
        let loss = self.losses.as_ref().map_or(0.0, LazyMaximum::at_most);
        self.is_lost || SINKING * sub_down(self.proven, loss.max(0.0)) < self.proven
    }

    /// `a_ij` changed from `old` to `new`. O(log); `old` must be the very value that `A` held.
    pub fn entry_changed(&mut self, row: usize, col: usize, old: f64, new: f64) {
        if self.is_lost || old == new {
            return;
        }
        let original = *self.originals.entry((row as u32, col as u32)).or_insert(old);
        let (before, after) =
            (self.loss_of(row, col, old - original), self.loss_of(row, col, new - original));
        self.add_loss(row, before, after);
        if row != col {
            self.add_loss(col, before, after);
        }
        if new == original {
            self.originals.remove(&(row as u32, col as u32));
        }
        if self.originals.len() > PLACES_MIN.max(self.order() / PLACES_PART) {
            self.originals.clear();
            self.is_lost = true;
        }
    }

    /// At least what an entry that differs by `moved`, rounded, takes from its row, and beside the diagonal
    /// from that of its column, too. Below zero for what a diagonal gives.
    fn loss_of(&self, row: usize, col: usize, moved: f64) -> f64 {
        if moved == 0.0 {
            return 0.0;
        }
        let (s, t) = (self.scale[row], self.scale[col]);
        // The larger factor first, so that nothing underflows on the way that does not in the end.
        let scaled_up = |size: f64| mul_up(mul_up(size, s.max(t)), s.min(t));
        match row == col {
            true if moved > 0.0 => -mul_down(mul_down(moved.next_down(), s), s),
            true => scaled_up((-moved).next_up()),
            false => scaled_up(mul_up(0.5, moved.abs().next_up())),
        }
    }

    fn add_loss(&mut self, row: usize, before: f64, after: f64) {
        let n = self.scale.len();
        let loss = self.row_losses.entry(row as u32).or_insert(0.0);
        *loss = add_up(*loss, (after - before).next_up());
        self.losses.get_or_insert_with(|| LazyMaximum::new(vec![0.0; n])).set(row, *loss);
    }

    /// Bounds every `|eᵢ| / sᵢ` where `scaled_norm` is at least `‖S (b − A x)‖₂`.
    pub fn error_over_scale(&mut self, scaled_norm: f64) -> Option<f64> {
        self.least().map(|least| div_up(scaled_norm, least)).filter(|bound| bound.is_finite())
    }

    pub fn memory_bytes(&self) -> u64 {
        let losses = if self.losses.is_some() { 9 * self.scale.len() as u64 } else { 0 };
        let places = self.originals.len() + self.row_losses.len();
        8 * self.scale.len() as u64 + losses + PLACE_BYTES * places as u64
    }
}

/// `B = S H S`.
struct Scaled {
    b: CsrMatrix,
    scale: Vec<f64>,
    diagonal_max: f64,
    /// At least what rounding of `H` can have moved the eigenvalues of `B` by.
    slack: f64,
}

impl Scaled {
    fn of(rows: Rows) -> Result<Self, CoercivityFault> {
        let n = rows.count();
        for row in 0..n {
            let value = rows.diagonal(row).unwrap_or(0.0);
            if value <= 0.0 {
                return Err(CoercivityFault::Diagonal { row, value });
            }
        }
        let scale: Vec<f64> =
            (0..n).map(|row| power_near_inverse_root(rows.diagonal(row).unwrap_or(1.0))).collect();
        let (b, is_rounded) = symmetric_part(rows, &scale);
        let is_finite = b.data().iter().all(|value| value.is_finite());
        if !is_finite || scale.iter().any(|s| !s.is_normal()) {
            return Err(CoercivityFault::Range);
        }
        let b_rows = Rows::of(&b);
        let row_sum = |row: usize| b_rows.row(row).1.iter().map(|value| value.abs()).sum::<f64>();
        let row_max = (0..n).map(row_sum).fold(0.0, f64::max);
        let rounding = if is_rounded { 2.0 * f64::EPSILON } else { 0.0 };
        let slack = rounding * row_max + n as f64 * UNDERFLOW;
        let diagonal_max =
            (0..n).map(|row| b_rows.diagonal(row).unwrap_or(0.0)).fold(0.0, f64::max);
        Ok(Self { b, scale, diagonal_max, slack })
    }

    fn prove(
        self,
        limits: CholeskyLimits,
        unwanted: &Arc<AtomicBool>,
        work: &mut Work,
    ) -> Result<Coercivity, CoercivityFault> {
        let n = self.b.rows();
        let cholesky = Cholesky::order(Rows::of(&self.b), limits)?;
        *work += touching(40 * self.b.nnz() as u64) + cholesky.run_work();
        let Some(factor) = cholesky.run(Rows::of(&self.b), unwanted)? else {
            return Err(CoercivityFault::NotDefinite);
        };
        let guess = least_guess(&cholesky, &factor, n);
        drop(factor);
        (0..GUESS_STEPS).for_each(|_| *work += cholesky.solve_work());
        // Twice the unit: `ε` where the theorem has `u`.
        let roundings = cholesky.entries() + ROUNDINGS_BESIDE * n as f64;
        let underflow = UNDERFLOW * n as f64 * n as f64;
        let slack = 1.01 * f64::EPSILON * roundings * self.diagonal_max + self.slack + underflow;
        for part in TRIES {
            let alpha = part * guess;
            if alpha.is_nan() || alpha <= slack {
                break;
            }
            *work += cholesky.run_work();
            let shifted = self.shifted(alpha);
            if cholesky.run(Rows::of(&shifted), unwanted)?.is_some() {
                let proven = sub_down(alpha, slack.next_up());
                return Ok(self.proven(proven));
            }
        }
        Err(CoercivityFault::TooNear)
    }

    /// `B − α I`, rounded on the diagonal.
    fn shifted(&self, alpha: f64) -> CsrMatrix {
        let mut shifted = self.b.clone();
        for (row, mut entries) in shifted.outer_iterator_mut().enumerate() {
            let on_diagonal = entries.iter_mut().filter(|(col, _)| *col == row);
            on_diagonal.for_each(|(_, value)| *value -= alpha);
        }
        shifted
    }

    fn proven(self, proven: f64) -> Coercivity {
        Coercivity {
            scale_max: self.scale.iter().copied().fold(0.0, f64::max),
            scale: self.scale,
            proven,
            originals: BTreeMap::new(),
            losses: None,
            row_losses: BTreeMap::new(),
            is_lost: false,
        }
    }
}

/// At most `a b`, for `a` and `b` of 0 or more.
fn mul_down(a: f64, b: f64) -> f64 {
    (a * b).next_down().max(0.0)
}

/// A power of two near `value^(-1/2)`, for `value > 0`.
fn power_near_inverse_root(value: f64) -> f64 {
    2f64.powi((-0.5 * value.log2()).round() as i32)
}

/// `S (A + Aᵀ) / 2 S` as full rows, and whether anything was rounded; not a number where a product would
/// leave the range of numbers on its way. O(nnz).
fn symmetric_part(rows: Rows, scale: &[f64]) -> (CsrMatrix, bool) {
    let n = rows.count();
    let transposed = assembly::transposed(n, rows.pointers, rows.indices, rows.values);
    let transposed = transposed.into_matrix(n, n);
    let mirrored = Rows::of(&transposed);
    let (mut pointers, mut indices, mut values) = (vec![0_u32], vec![], vec![]);
    let mut is_rounded = false;
    for (row, &row_scale) in scale.iter().enumerate() {
        let (cols, here) = rows.row(row);
        let (other_cols, there) = mirrored.row(row);
        let (mut at, mut other) = (0, 0);
        while at < cols.len() || other < other_cols.len() {
            let col = cols.get(at).copied().unwrap_or(u32::MAX);
            let other_col = other_cols.get(other).copied().unwrap_or(u32::MAX);
            let next = col.min(other_col);
            let (mut a, mut b) = (0.0, 0.0);
            if col == next {
                a = here[at];
                at += 1;
            }
            if other_col == next {
                b = there[other];
                other += 1;
            }
            is_rounded |= a != b;
            let half = if a == b { a } else { 0.5 * a + 0.5 * b };
            let scaled = half * row_scale;
            let is_normal = |value: f64| value == 0.0 || value.abs() >= UNDERFLOW;
            let is_exact = is_normal(a) && is_normal(b) && (half == 0.0 || is_normal(scaled));
            indices.push(next);
            values.push(if is_exact { scaled * scale[next as usize] } else { f64::NAN });
        }
        pointers.push(indices.len() as u32);
    }
    (CsrMatrix::new((n, n), pointers, indices, values), is_rounded)
}

/// About the least eigenvalue, from above: inverse iteration from a vector without pattern.
fn least_guess(cholesky: &Cholesky, factor: &CholeskyFactor, n: usize) -> f64 {
    let mut x: Vec<f64> = (0..n).map(|i| 1.0 + 0.5 * (i as f64 * 2.399_963).sin()).collect();
    let mut guess = f64::INFINITY;
    for _ in 0..GUESS_STEPS {
        let norm = kernel::norm2(&x);
        if !(norm > 0.0 && norm.is_finite()) {
            break;
        }
        x.iter_mut().for_each(|x| *x /= norm);
        let mut y = x.clone();
        cholesky.solve(factor, &mut y);
        let square = kernel::dot(&y, &y);
        guess = guess.min(kernel::dot(&x, &y) / square);
        x = y;
    }
    if guess.is_finite() { guess } else { 0.0 }
}

fn touching(nonzeros: u64) -> Work {
    Work { nonzeros, flops: 2 * nonzeros }
}

/// At least `‖S |r|‖₂` for `residuals` that are at least `|r|`.
pub fn scaled_norm(scale: &[f64], residuals: impl Iterator<Item = f64>) -> f64 {
    let terms = scale.iter().zip(residuals).map(|(s, r)| mul_up(*s, r.abs()));
    norm_up(terms, scale.len())
}

/// At least the Euclidean norm of `count` numbers.
fn norm_up(terms: impl Iterator<Item = f64>, count: usize) -> f64 {
    let (mut square, mut largest) = (0.0, 0.0_f64);
    for term in terms {
        square += term * term;
        largest = largest.max(term);
    }
    if largest == 0.0 && square == 0.0 {
        return 0.0;
    }
    // Squares that underflow are made up for; those that overflow, or are no numbers, bound nothing.
    let square = square + count as f64 * f64::MIN_POSITIVE;
    let up = 1.0 + (count as f64 + 8.0) * f64::EPSILON;
    let norm = square.sqrt() * up;
    if norm.is_nan() { f64::INFINITY } else { norm }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    const LIMITS: CholeskyLimits = CholeskyLimits { memory_bytes_max: 1 << 30, flops_max: 1e10 };

    fn prove(system: &LinearSystem) -> Result<Coercivity, CoercivityFault> {
        Coercivity::prove(system.rows(), LIMITS, &Arc::default()).0
    }

    fn dense(n: usize, values: &[f64]) -> LinearSystem {
        let arrays = MatrixArrays::Dense { values: values.to_vec() };
        LinearSystem::assemble(n, n, arrays, vec![1.0; n]).unwrap()
    }

    #[test]
    fn the_least_eigenvalue_of_poisson_is_known_to_a_part() {
        for side in [1, 2, 30] {
            let mut coercivity = prove(&gallery::poisson_2d(side, 1).unwrap()).unwrap();
            let angle = std::f64::consts::FRAC_PI_2 / (side + 1) as f64;
            let known = 8.0 * angle.sin().powi(2) * coercivity.scale()[0].powi(2);
            let least = coercivity.least().unwrap();
            assert!(least <= known && least > 0.7 * known, "{least:e}, {known:e}");
        }
    }

    #[test]
    fn scales_of_rows_do_not_matter() {
        let scales = [1e-60, 1e60, 1.0, 1e-120];
        let plain =
            [4.0, -1.0, 0.5, 0.0, -1.0, 3.0, 0.0, 1.0, 0.5, 0.0, 5.0, -2.0, 0.0, 1.0, -2.0, 6.0];
        let scaled: Vec<f64> =
            (0..16).map(|at| plain[at] * scales[at / 4] * scales[at % 4]).collect();
        let least = |values: &[f64]| prove(&dense(4, values)).unwrap().least().unwrap();
        let (plain, scaled) = (least(&plain), least(&scaled));
        assert!(scaled > 0.2 * plain && scaled < 5.0 * plain, "{plain}, {scaled}");
    }

    #[test]
    fn what_is_not_positive_definite_is_not_proven() {
        let diagonal = prove(&dense(2, &[1.0, 0.0, 0.0, -1.0])).unwrap_err();
        assert!(matches!(diagonal, CoercivityFault::Diagonal { row: 1, .. }), "{diagonal}");
        assert_eq!(
            prove(&dense(2, &[1.0, 2.0, 2.0, 1.0])).unwrap_err(),
            CoercivityFault::NotDefinite
        );
        // Singular, and a hair beside it.
        for hair in [0.0, 1e-16] {
            let fault = prove(&dense(2, &[1.0, 1.0, 1.0, 1.0 + hair])).unwrap_err();
            assert!(
                matches!(fault, CoercivityFault::TooNear | CoercivityFault::NotDefinite),
                "{fault}"
            );
        }
        // Definite although it is not symmetric: the skew part does no harm.
        assert!(prove(&dense(2, &[1.0, 1e3, -1e3, 1.0])).unwrap().least().unwrap() > 0.5);
        let small = CholeskyLimits { memory_bytes_max: 100, flops_max: 1e10 };
        let system = gallery::poisson_2d(30, 1).unwrap();
        let (refused, _) = Coercivity::prove(system.rows(), small, &Arc::default());
        assert!(matches!(refused, Err(CoercivityFault::Refused(CholeskyRefusal::Memory { .. }))));
    }

    #[test]
    fn a_raised_conductance_takes_nothing_and_what_was_undone_is_given_back() {
        let system = gallery::poisson_2d(10, 1).unwrap();
        let mut coercivity = prove(&system).unwrap();
        let before = coercivity.least().unwrap();
        let mut conductance = |from: f64, to: f64| {
            for (row, col, sign, base) in
                [(3, 3, 1.0, 4.0), (4, 4, 1.0, 4.0), (3, 4, -1.0, -1.0), (4, 3, -1.0, -1.0)]
            {
                coercivity.entry_changed(row, col, base + sign * from, base + sign * to);
            }
            coercivity.least()
        };
        assert!(conductance(0.0, 0.5).unwrap() > 0.999_999 * before);
        assert_eq!(conductance(0.5, -0.5), None);
        assert!(conductance(-0.5, 0.0).unwrap() > 0.999_999 * before);
        coercivity.entry_changed(50, 51, -1.0, 7.0);
        assert!(coercivity.least().is_none() && coercivity.has_sunk());
    }

    #[test]
    fn nobody_waits_for_a_proof_that_is_not_wanted() {
        let unwanted = Arc::new(AtomicBool::new(true));
        let system = gallery::poisson_2d(80, 1).unwrap();
        let (left, _) = Coercivity::prove(system.rows(), LIMITS, &unwanted);
        assert!(matches!(left, Err(CoercivityFault::Refused(CholeskyRefusal::LeftOff))));
    }
}
