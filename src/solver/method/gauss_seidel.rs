//! Gauss-Seidel sweeps in residual form, forward or symmetric, with damping as the SOR or SSOR weight.

use crate::solver::huge_pages;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel;
use crate::solver::options::Sweep;
use crate::solver::outcome::{Preparation, Work};
use crate::solver::preconditioner::inverse_diagonal;

/// With `A = L + D + U`, a forward sweep solves `(D/ω + L) δ = r` and adds δ to `x`; what is left is
/// `r ← −(U + (1 − 1/ω) D) δ`. A backward sweep exchanges `L` and `U`.
///
/// So one sweep costs one product and knows the residual of its result. Rounding adds up in `r`, which
/// the engine measures on its schedule. Certain to converge for strictly dominant `A` with ω ≤ 1 and
/// for symmetric positive definite `A` with 0 < ω < 2. Sequential: row `i` needs the rows before it.
///
/// Source: Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., §4.1.
#[derive(Debug)]
pub(crate) struct GaussSeidel {
    weight: f64,
    sweep: Sweep,
    /// Position of each row's diagonal entry, empty before the first step.
    diagonals: Vec<u32>,
    /// `ω / aᵢᵢ`: a division would sit in the chain from each row to the next.
    factors: Vec<f64>,
    correction: Vec<f64>,
}

impl GaussSeidel {
    pub fn new(weight: f64, sweep: Sweep) -> Self {
        Self { weight, sweep, diagonals: vec![], factors: vec![], correction: vec![] }
    }

    /// See [`Method::step`](super::Method::step).
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        if self.diagonals.is_empty() {
            return Advance::Prepared(self.prepare(problem));
        }
        let work = self.next_work(problem);
        let mut square = self.forward(problem, iterate);
        if self.sweep == Sweep::Symmetric {
            square = self.backward(problem, iterate);
        }
        iterate.track(kernel::norm_from_square(square, &iterate.r));
        Advance::Iterated(work)
    }

    fn prepare(&mut self, problem: &Problem) -> Preparation {
        let rows = problem.rows;
        self.correction = huge_pages::zeros(problem.order());
        self.diagonals = (0..rows.count())
            .map(|i| {
                let at = rows.row(i).0.binary_search(&(i as u32));
                rows.pointers[i] + at.expect("gauss_seidel refuses a missing diagonal") as u32
            })
            .collect();
        self.factors = inverse_diagonal(rows);
        self.factors.iter_mut().for_each(|factor| *factor *= self.weight);
        Preparation { description: "diagonal".to_owned(), work: problem.vector_work(1) }
    }

    /// One forward sweep; returns the new `r · r`.
    fn forward(&mut self, problem: &Problem, iterate: &mut Iterate) -> f64 {
        let rows = problem.rows;
        for i in 0..problem.order() {
            let diagonal = self.diagonals[i] as usize;
            let before = rows.pointers[i] as usize..diagonal;
            let rest = iterate.r[i] - rows.range_dot(before, &self.correction);
            self.correct(i, rest, iterate);
        }
        self.remainder(problem, iterate, |diagonal, _, end| diagonal + 1..end)
    }

    /// One backward sweep; returns the new `r · r`.
    fn backward(&mut self, problem: &Problem, iterate: &mut Iterate) -> f64 {
        let rows = problem.rows;
        for i in (0..problem.order()).rev() {
            let diagonal = self.diagonals[i] as usize;
            let after = diagonal + 1..rows.pointers[i + 1] as usize;
            let rest = iterate.r[i] - rows.range_dot(after, &self.correction);
            self.correct(i, rest, iterate);
        }
        self.remainder(problem, iterate, |diagonal, start, _| start..diagonal)
    }

    #[inline]
    fn correct(&mut self, i: usize, rest: f64, iterate: &mut Iterate) {
        let change = self.factors[i] * rest;
        self.correction[i] = change;
        iterate.x[i] += change;
    }

    /// `r = −(T + (1 − 1/ω) D) δ` with the triangle that `side(diagonal, start, end)` picks.
    fn remainder(
        &self,
        problem: &Problem,
        iterate: &mut Iterate,
        side: impl Fn(usize, usize, usize) -> std::ops::Range<usize> + Sync,
    ) -> f64 {
        let rows = problem.rows;
        let own = 1.0 - 1.0 / self.weight;
        let [square] = kernel::fold_chunks(&mut iterate.r, rows.values.len() / 2, |start, r| {
            let mut square = 0.0;
            for (offset, r) in r.iter_mut().enumerate() {
                let i = start + offset;
                let diagonal = self.diagonals[i] as usize;
                let range =
                    side(diagonal, rows.pointers[i] as usize, rows.pointers[i + 1] as usize);
                let other = rows.range_dot(range, &self.correction);
                let value = -(other + own * rows.values[diagonal] * self.correction[i]);
                *r = value;
                square += value * value;
            }
            [square]
        });
        square
    }

    /// See [`Method::next_work`](super::Method::next_work).
    pub fn next_work(&self, problem: &Problem) -> Work {
        if self.diagonals.is_empty() {
            return problem.vector_work(1);
        }
        let once = problem.product_work() + problem.vector_work(2);
        match self.sweep {
            Sweep::Forward => once,
            Sweep::Symmetric => once + once,
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let vectors = self.correction.capacity() + self.factors.capacity();
        (4 * self.diagonals.capacity() + 8 * vectors) as u64
    }
}
