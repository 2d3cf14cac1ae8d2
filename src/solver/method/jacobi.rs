//! Damped Jacobi: every row is corrected by its own residual over its diagonal.

use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel;
use crate::solver::outcome::{Preparation, Work};
use crate::solver::preconditioner::{Diagonals, follow_diagonal, inverse_diagonal};
use crate::solver::system::Rows;

/// `x ← x + ω D⁻¹ (b − A x)`.
///
/// Converges for every `b` exactly when the spectral radius of `I − ω D⁻¹ A` is below 1; certain for
/// strictly dominant `A` and ω ≤ 1. One step costs one product; `r` is measured in every step.
///
/// Source: Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., §4.1.
#[derive(Debug)]
pub(crate) struct Jacobi {
    damping: f64,
    /// `ω / aᵢᵢ`, empty before the first step.
    factors: Vec<f64>,
}

impl Jacobi {
    pub fn new(damping: f64) -> Self {
        Self { damping, factors: vec![] }
    }

    /// See [`Method::step`](super::Method::step).
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        if self.factors.is_empty() {
            self.factors = inverse_diagonal(problem.rows);
            self.factors.iter_mut().for_each(|factor| *factor *= self.damping);
            let description = "inverse diagonal".to_owned();
            return Advance::Prepared(Preparation { description, work: problem.vector_work(1) });
        }
        let work = self.next_work(problem);
        let (factors, r) = (&self.factors, &iterate.r);
        kernel::fold_chunks(&mut iterate.x, r.len(), |start, x| {
            let range = start..start + x.len();
            for ((x, factor), r) in x.iter_mut().zip(&factors[range.clone()]).zip(&r[range]) {
                *x += factor * r;
            }
            []
        });
        iterate.measure(problem);
        Advance::Iterated(work)
    }

    /// See [`Method::next_work`](super::Method::next_work).
    pub fn next_work(&self, problem: &Problem) -> Work {
        if self.factors.is_empty() {
            return problem.vector_work(1);
        }
        problem.product_work() + problem.vector_work(2)
    }

    /// See [`Method::follow_diagonal`](super::Method::follow_diagonal).
    pub fn follow_diagonal(&mut self, rows: Rows, changed: &Diagonals) {
        if self.is_set_up() {
            follow_diagonal(&mut self.factors, self.damping, rows, changed);
        }
    }

    /// See [`Method::is_set_up`](super::Method::is_set_up).
    pub fn is_set_up(&self) -> bool {
        !self.factors.is_empty()
    }

    pub fn memory_bytes(&self) -> u64 {
        8 * self.factors.capacity() as u64
    }
}
