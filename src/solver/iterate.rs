//! What every method works on: the problem as it stands and the iterate `(x, r)`, which all methods
//! share, so that a solve can change its method without losing anything.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::kernel;
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, StopReason, Work};
use crate::solver::system::Rows;

/// `A x = b` as a method sees it: n by n, in the engine's scaling.
#[derive(Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub rows: Rows<'a>,
    /// Where `A` is not what `rows` hold; each place once. What is set up for `A`, and sweeps over rows, go
    /// by `rows` alone.
    pub corrections: &'a [Correction],
    pub rhs: &'a [f64],
    /// Residual norm at or below which the solve is done.
    pub threshold: f64,
    /// Iterations done before this step, over all methods.
    pub iteration: u64,
    /// What the method's own vectors and factors may take.
    pub memory_bytes_max: u64,
    /// Set when nobody wants the result any more; what takes long looks at it.
    pub unwanted: &'a Arc<AtomicBool>,
}

/// `A[row, col]` is what the rows hold and this difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Correction {
    pub row: u32,
    pub col: u32,
    pub difference: f64,
}

impl Correction {
    /// What it adds to an entry of `A x`: which, and how much.
    fn of_product(&self, x: &[f64]) -> (usize, f64) {
        (self.row as usize, self.difference * x[self.col as usize])
    }
}

impl Problem<'_> {
    /// `y = A x`.
    pub fn product(&self, x: &[f64], y: &mut [f64]) {
        self.rows.product(x, y);
        for (row, term) in self.corrections.iter().map(|correction| correction.of_product(x)) {
            y[row] += term;
        }
    }

    /// `y = A x`; returns `w · y`. One pass over `A`.
    pub fn product_dot(&self, x: &[f64], w: &[f64], y: &mut [f64]) -> f64 {
        let mut dot = self.rows.product_dot(x, w, y);
        for (row, term) in self.corrections.iter().map(|correction| correction.of_product(x)) {
            y[row] += term;
            dot += w[row] * term;
        }
        dot
    }

    /// `y = A x`; returns `w · y` and `y · y`. One pass over `A`.
    pub fn product_two_dots(&self, x: &[f64], w: &[f64], y: &mut [f64]) -> [f64; 2] {
        let [mut dot, mut square] = self.rows.product_two_dots(x, w, y);
        for (row, term) in self.corrections.iter().map(|correction| correction.of_product(x)) {
            let before = y[row];
            y[row] += term;
            dot += w[row] * term;
            square += term * (before + y[row]);
        }
        [dot, square]
    }

    /// `r = b − A x`; returns `‖r‖₂`. One pass over `A`.
    pub fn residual(&self, x: &[f64], r: &mut [f64]) -> f64 {
        let norm = self.rows.residual(x, self.rhs, r);
        if self.corrections.is_empty() {
            return norm;
        }
        for (row, term) in self.corrections.iter().map(|correction| correction.of_product(x)) {
            r[row] -= term;
        }
        kernel::norm2(r)
    }

    /// n.
    pub fn order(&self) -> usize {
        self.rhs.len()
    }

    /// The work of one product with `A`.
    pub fn product_work(&self) -> Work {
        let nonzeros = self.rows.values.len() as u64;
        Work { nonzeros, flops: 2 * nonzeros }
    }

    /// The work of `count` passes over a vector.
    pub fn vector_work(&self, count: u64) -> Work {
        let entries = count * self.order() as u64;
        Work { nonzeros: entries, flops: 2 * entries }
    }
}

/// `x` and its residual `r = b − A x`, both of length n.
#[derive(Debug, Clone)]
pub(crate) struct Iterate {
    pub x: Vec<f64>,
    pub r: Vec<f64>,
    /// `‖r‖₂` as tracked.
    pub norm: f64,
    /// Whether `r` was measured for this very `x` (up to the rounding of the measurement).
    pub is_true: bool,
}

impl Iterate {
    /// Measures `r = b − A x`. One product.
    pub fn measure(&mut self, problem: &Problem) {
        self.norm = problem.residual(&self.x, &mut self.r);
        self.is_true = true;
    }

    /// Takes over a norm that the method tracked without measuring.
    pub fn track(&mut self, norm: f64) {
        self.norm = norm;
        self.is_true = false;
    }

    /// `x += a p` and `r −= a q`; returns `r · r`.
    pub fn advance(&mut self, a: f64, p: &[f64], q: &[f64]) -> f64 {
        let entries = 2 * p.len();
        let [square] =
            kernel::fold_chunks_pair(&mut self.x, &mut self.r, entries, |start, x, r| {
                let p = &p[start..start + x.len()];
                let q = &q[start..start + x.len()];
                for i in 0..x.len() {
                    x[i] += a * p[i];
                    r[i] -= a * q[i];
                }
                let r = &*r;
                [kernel::chunk_sum(r.len(), |i| r[i] * r[i])]
            });
        square
    }

    /// `x += a p` and `r −= a q`; returns `r · r` and `Σ wᵢ rᵢ²`.
    pub fn advance_weighted(&mut self, a: f64, p: &[f64], q: &[f64], w: &[f64]) -> [f64; 2] {
        let entries = 2 * p.len();
        kernel::fold_chunks_pair(&mut self.x, &mut self.r, entries, |start, x, r| {
            let range = start..start + x.len();
            let (p, q, w) = (&p[range.clone()], &q[range.clone()], &w[range]);
            for i in 0..x.len() {
                x[i] += a * p[i];
                r[i] -= a * q[i];
            }
            let r = &*r;
            let square = kernel::chunk_sum(r.len(), |i| r[i] * r[i]);
            [square, kernel::chunk_sum(r.len(), |i| w[i] * r[i] * r[i])]
        })
    }
}

/// What one step of a method did.
#[derive(Debug)]
pub(crate) enum Advance {
    Prepared(Preparation),
    Iterated(Work),
    /// The method cannot go on; `x` and `r` are as after the last good iteration.
    Failed(StopReason),
    /// The method could go on, but at a predicted cost above the one it was allowed; `(x, r)` is valid.
    Unaffordable(String),
}

impl Advance {
    /// A division by a vanished quantity.
    pub fn breakdown(method: MethodName, problem: &Problem, quantity: &'static str) -> Self {
        Self::Failed(StopReason::Breakdown { method, iteration: problem.iteration, quantity })
    }
}
