//! A storm of random changes of random H-matrices: whatever the bound says is held against the exact
//! solution of the system as it then is.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::solver::proof::{ErrorBound, SearchLimits, find};
use weir::solver::system::{LinearSystem, MatrixArrays, Rows};

use super::exact::{self, Exact};

/// Uniform in [0, 1).
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

pub fn below(rng: &mut ChaCha8Rng, count: usize) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

pub fn signed(rng: &mut ChaCha8Rng) -> f64 {
    2.0 * uniform(rng) - 1.0
}

/// A power of ten, mostly 1.
fn scale(rng: &mut ChaCha8Rng) -> f64 {
    let exponents = [0, 0, 0, 3, -3, 40, -40, 120, -120];
    10f64.powi(exponents[below(rng, exponents.len())])
}

/// A dense copy that changes, every entry stored.
struct Changing {
    n: usize,
    matrix: Vec<f64>,
    rhs: Vec<f64>,
    x: Vec<f64>,
}

impl Changing {
    /// Rows dominant in the measure of a random `v`, so an H-matrix, with rows and columns scaled; some
    /// rows stand alone.
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let n = 1 + below(rng, 7);
        let v: Vec<f64> = (0..n).map(|_| 0.1 + uniform(rng)).collect();
        let mut matrix = vec![0.0; n * n];
        let (row_scale, rhs_scale) = (scale(rng), scale(rng));
        for i in 0..n {
            let row_scale = if uniform(rng) < 0.1 { scale(rng) } else { row_scale };
            let is_alone = uniform(rng) < 0.15;
            for j in (0..n).filter(|j| *j != i && !is_alone) {
                if uniform(rng) < 0.6 {
                    matrix[i * n + j] = signed(rng) * row_scale;
                }
            }
            let beside: f64 = (0..n).map(|j| matrix[i * n + j].abs() * v[j]).sum();
            let gap = if uniform(rng) < 0.2 { 1e-9 } else { uniform(rng) + 1e-3 };
            let sign = signed(rng).signum();
            let alone = if beside == 0.0 { row_scale } else { 0.0 };
            matrix[i * n + i] = sign * (beside / v[i] * (1.0 + gap) + alone);
        }
        let rhs = (0..n).map(|_| signed(rng) * rhs_scale).collect();
        let mut drawn = Self { n, matrix, rhs, x: vec![0.0; n] };
        drawn.solve(rng);
        drawn
    }

    /// An `x` near the solution, or the solution rounded.
    fn solve(&mut self, rng: &mut ChaCha8Rng) {
        let off = [0.0, 1e-14, 1e-8, 1e-2][below(rng, 4)];
        if let Some(exact) = exact::solution(&self.matrix, &self.rhs) {
            let near = |x: &exact::Exact| x.to_f64() * (1.0 + off * signed(rng));
            let x: Vec<f64> = exact.iter().map(near).collect();
            if x.iter().all(|x| x.is_finite()) {
                self.x = x;
            }
        }
    }

    fn system(&self) -> LinearSystem {
        let arrays = MatrixArrays::Dense { values: self.matrix.clone() };
        LinearSystem::assemble(self.n, self.n, arrays, self.rhs.clone()).expect("finite")
    }

    fn search(&self) -> Option<ErrorBound> {
        let system = self.system();
        let witness = find(system.rows(), SearchLimits::default()).ok()?;
        Some(ErrorBound::new(witness, system.rows(), &self.rhs, &self.x))
    }

    /// One random change, told to the bound.
    fn change(&mut self, bound: &mut ErrorBound, rng: &mut ChaCha8Rng) {
        let (n, row) = (self.n, below(rng, self.n));
        if uniform(rng) < 0.3 {
            let new = self.rhs[row] * (1.0 + signed(rng));
            bound.rhs_changed(row, self.rhs[row], new);
            self.rhs[row] = new;
            return;
        }
        let col = below(rng, n);
        let old = self.matrix[row * n + col];
        let size = if old == 0.0 { self.matrix[row * n + row].abs() / n as f64 } else { old };
        let new = match below(rng, 6) {
            0 => -old,
            1 => size * 4.0 * signed(rng),
            2 => 0.0,
            _ => size * (1.0 + 0.3 * signed(rng)),
        };
        bound.entry_changed((row, col), old, new, self.x[col]);
        self.matrix[row * n + col] = new;
    }
}

/// What a storm came to.
#[derive(Debug, Default)]
pub struct Seen {
    pub changes: u64,
    pub proven: u64,
    pub sunk: u64,
    pub repaired: u64,
    /// Bounds within a million times the true error or its last digit.
    pub close: u64,
}

/// Lets `changes` pass; every bound after every change must hold.
pub fn storm(changes: u64, seed: u64) -> Seen {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = Seen::default();
    while seen.changes < changes {
        let mut state = Changing::draw(&mut rng);
        let Some(mut bound) = state.search() else { continue };
        for _ in 0..40 {
            check(&state, &mut bound, &mut seen);
            state.change(&mut bound, &mut rng);
            seen.changes += 1;
            if below(&mut rng, 3) == 0 {
                state.solve(&mut rng);
                measure(&state, &mut bound);
            }
            if !bound.witness().holds() {
                seen.sunk += 1;
                match mend(&state, bound, &mut rng) {
                    Some(mended) => bound = mended,
                    None => break,
                }
                seen.repaired += 1;
            }
        }
    }
    seen
}

fn measure(state: &Changing, bound: &mut ErrorBound) {
    let system = state.system();
    (0..state.n).for_each(|row| bound.measure_row(system.rows(), row, &state.rhs, &state.x));
}

/// By pushes, or by a search.
fn mend(state: &Changing, mut bound: ErrorBound, rng: &mut ChaCha8Rng) -> Option<ErrorBound> {
    if uniform(rng) < 0.3 {
        return state.search();
    }
    let system = state.system();
    let columns = system.transposed();
    let from = bound.witness().rows_to_repair();
    bound.repair(Rows::of(&columns), &from, 4_000).ok()?;
    assert!(bound.witness().holds());
    Some(bound)
}

fn check(state: &Changing, bound: &mut ErrorBound, seen: &mut Seen) {
    let x_norm = state.x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let Some(overall) = bound.overall(x_norm) else { return };
    let exact = exact::solution(&state.matrix, &state.rhs);
    let exact = exact.expect("a matrix with a witness is not singular");
    let (mut worst, mut norm) = (Exact::of(0.0), Exact::of(0.0));
    for (at, (exact, x)) in exact.into_iter().zip(&state.x).enumerate() {
        let error = exact::error(&exact, *x);
        let of_entry = bound.of_entry(at).expect("as the whole");
        exact::assert_within(&error, of_entry, (at, &state.matrix, &state.rhs, &state.x));
        worst = worst.max(error);
        norm = norm.max(exact.abs());
    }
    exact::assert_within(&worst, overall.absolute, (&state.matrix, &state.rhs, &state.x));
    if let Some(relative) = overall.relative {
        let most = Exact::of(relative).times(&norm);
        assert!(!worst.is_above(&most), "{:e} of {:e}: {overall:?}", worst.to_f64(), norm.to_f64());
    }
    seen.proven += 1;
    let measure = worst.to_f64().max(f64::EPSILON * norm.to_f64());
    seen.close += u64::from(overall.absolute <= 1e6 * measure);
}

#[test]
fn no_proven_bound_is_violated_in_a_storm_of_changes() {
    let seen = storm(100_000, 1);
    // Not because nothing is ever proven.
    assert!(seen.proven * 10 > seen.changes * 8, "{seen:?}");
    assert!(seen.close * 2 > seen.proven, "{seen:?}");
    assert!(seen.sunk > 500 && seen.repaired > 200, "{seen:?}");
}
