//! The estimate that stands where nothing is proven: `‖A⁻¹‖∞` by solves with the factor at hand. One for
//! each state that is announced until it is known, then none while `A` stays about what it was, and one for
//! every eighth state while it does not.

use crate::solver::live::engine::path::Path;
use crate::solver::live::state::{EntryChange, LiveSystem};

/// Bounds state this many times the estimate: it is seldom below a third of the norm (Higham 2002, §15.3),
/// and residuals are seldom the worst that the norm allows.
const SAFETY: f64 = 3.0;

/// Solves behind an estimate, at most.
const SOLVES_MAX: u32 = 10;

/// The norm is estimated anew when changes of `A` may have changed it by about this part.
const DRIFT_MAX: f64 = 0.1;

/// A renewal may solve once for so many states: a solve is about as dear as settling one.
const STATES_PER_SOLVE: u32 = 8;

/// `‖A⁻¹‖∞` under change.
///
/// It is `max ‖A⁻¹ s‖∞` over vectors of signs. From one to the next: the largest entry of `A⁻¹ s` tells the
/// row of `A⁻¹` whose signs are better, and a solve with `Aᵀ` that row. A factor of `A` solves with `Aᵀ`
/// where `A` is symmetric; elsewhere signs are drawn.
///
/// Source: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., Algorithm 15.4 (W. W.
/// Hager 1984), for the transpose.
#[derive(Debug, Default)]
pub(super) struct NormEstimate {
    /// The largest `‖A⁻¹ s‖∞` seen for this matrix; of the one before until this is known.
    best: f64,
    known: f64,
    stage: Stage,
    solves: u32,
    /// `Σ |δ|` of the entries changed since it was begun.
    moved: f64,
    /// States since the last solve.
    states: u32,
}

#[derive(Debug, Default)]
enum Stage {
    /// The next solve is with these signs, drawn if there are none.
    #[default]
    Begin,
    Signs(Vec<f64>),
    /// The next one tells this row of `A⁻¹`.
    Row(usize),
    Known,
}

impl NormEstimate {
    pub fn entry_changed(&mut self, change: &EntryChange) {
        self.moved += (change.new - change.old).abs();
    }

    /// Whether a solve would help, and is affordable.
    fn wants_solve(&mut self) -> bool {
        self.states = self.states.saturating_add(1);
        if matches!(self.stage, Stage::Known) {
            if self.known * self.moved < DRIFT_MAX {
                return false;
            }
            *self = Self { known: self.known, states: self.states, ..Self::default() };
        }
        let is_due = self.known == 0.0 || self.states >= STATES_PER_SOLVE;
        self.states = if is_due { 0 } else { self.states };
        is_due
    }

    /// Takes one step towards the norm, if there is a factor for it.
    pub fn advance(&mut self, path: &mut Path, live: &LiveSystem, is_symmetric: bool) {
        if path.solve_entries().is_none() || !self.wants_solve() {
            return;
        }
        let n = live.order();
        let stage = std::mem::replace(&mut self.stage, Stage::Known);
        let (mut z, row) = match stage {
            Stage::Begin => (signs(n, self.solves), None),
            Stage::Signs(signs) => (signs, None),
            Stage::Row(row) => {
                let mut unit = vec![0.0; n];
                unit[row] = 1.0;
                (unit, Some(row))
            }
            Stage::Known => return,
        };
        if path.solve_for(live, &mut z).is_none() {
            self.stage = Stage::Begin;
            return;
        }
        self.solves += 1;
        let next = match row {
            // Of a symmetric matrix it is a row: its signs are the best for it.
            Some(_) => {
                let sum: f64 = z.iter().map(|z| z.abs()).sum();
                let is_better = sum > self.best * (1.0 + 1e-3);
                self.best = self.best.max(sum);
                is_better.then(|| Stage::Signs(z.iter().map(|z| z.signum()).collect()))
            }
            None => {
                let (at, size) = largest(&z);
                let is_better = size > self.best * (1.0 + 1e-3);
                self.best = self.best.max(size);
                (is_symmetric && is_better).then_some(Stage::Row(at))
            }
        };
        self.stage = match next {
            _ if self.solves >= SOLVES_MAX => Stage::Known,
            Some(next) => next,
            // Other signs, from which it may climb higher.
            None if self.solves < SOLVES_MAX / 2 => Stage::Begin,
            None => Stage::Known,
        };
        if matches!(self.stage, Stage::Known) {
            self.known = self.best;
        }
    }

    /// Whether anything is known of the norm.
    pub fn is_begun(&self) -> bool {
        self.known.max(self.best) > 0.0
    }

    /// What the error of `x` is estimated to be at most, where every true residual is at most
    /// `residual_max`.
    pub fn error(&self, residual_max: f64) -> Option<f64> {
        let norm = self.known.max(self.best);
        let error = SAFETY * norm * residual_max;
        (self.is_begun() && error.is_finite()).then_some(error)
    }
}

/// Signs of which no two draws agree in more than about half: all equal, alternating, then by a generator.
fn signs(n: usize, draw: u32) -> Vec<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(draw) + 1);
    let sign = |row: usize| match draw {
        0 => 1.0,
        1 => [1.0, -1.0][row % 2],
        _ => {
            // Xorshift (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state >> 63 == 0 { 1.0 } else { -1.0 }
        }
    };
    (0..n).map(sign).collect()
}

fn largest(z: &[f64]) -> (usize, f64) {
    let larger = |best: (usize, f64), (at, z): (usize, &f64)| {
        if z.abs() > best.1 { (at, z.abs()) } else { best }
    };
    z.iter().enumerate().fold((0, 0.0), larger)
}
