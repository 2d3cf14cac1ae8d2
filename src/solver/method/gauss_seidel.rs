//! Gauss-Seidel sweeps, forward or symmetric, with damping as the SOR or SSOR weight.

use crate::solver::huge_pages;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel::{self, CHUNK, Pair, Reach};
use crate::solver::options::Sweep;
use crate::solver::outcome::{Preparation, Work};
use crate::solver::preconditioner::{Diagonals, follow_diagonal, inverse_diagonal};
use crate::solver::system::Rows;

/// Row by row, `xᵢ ← xᵢ + ω/aᵢᵢ (bᵢ − aᵢ · x)` with the entries of `x` that are already new.
///
/// The method stays one sweep ahead of the iterate: the pass over `A` that makes the next sweep also
/// measures `b − A x` for the state before it. So a step costs one pass, its residual is never tracked
/// but measured, and a solve does one sweep more than it announces.
///
/// Certain to converge for strictly dominant `A` with ω ≤ 1 and for symmetric positive definite `A`
/// with 0 < ω < 2. Sequential: row `i` needs the rows before it.
///
/// Source: Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., §4.1.
#[derive(Debug)]
pub(crate) struct GaussSeidel {
    weight: f64,
    sweep: Sweep,
    /// `ω / aᵢᵢ`, empty before the first step: a division would sit in the chain from row to row.
    factors: Vec<f64>,
    /// Each unknown after the sweep ahead and before it, `[ahead, iterate]`: one access fetches both.
    states: Vec<Pair>,
    is_ahead: bool,
}

impl GaussSeidel {
    pub fn new(weight: f64, sweep: Sweep) -> Self {
        Self { weight, sweep, factors: vec![], states: vec![], is_ahead: false }
    }

    /// See [`Method::step`](super::Method::step).
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        if self.factors.is_empty() {
            return Advance::Prepared(self.prepare(problem));
        }
        let work = self.next_work(problem);
        if !self.is_ahead {
            self.states.iter_mut().zip(&iterate.x).for_each(|(state, x)| state.write([*x; 2]));
            self.go_ahead(problem, &mut iterate.r);
            self.is_ahead = true;
        }
        for (state, x) in self.states.iter_mut().zip(&mut iterate.x) {
            *x = state.0[0];
            state.write([*x; 2]);
        }
        let square = self.go_ahead(problem, &mut iterate.r);
        iterate.norm = kernel::norm_from_square(square, &iterate.r);
        iterate.is_true = true;
        Advance::Iterated(work)
    }

    fn prepare(&mut self, problem: &Problem) -> Preparation {
        self.states = huge_pages::filled(Pair([0.0; 2]), problem.order());
        self.factors = inverse_diagonal(problem.rows);
        self.factors.iter_mut().for_each(|factor| *factor *= self.weight);
        Preparation { description: "diagonal".to_owned(), work: problem.vector_work(1) }
    }

    /// Sweeps ahead, measures `r = b − A x` of the state before and returns `r · r`.
    fn go_ahead(&mut self, problem: &Problem, r: &mut [f64]) -> f64 {
        match problem.rows.reach() {
            Reach::Cached => self.sweep::<{ Reach::CACHED }>(problem, r),
            Reach::Streamed => self.sweep::<{ Reach::STREAMED }>(problem, r),
            Reach::Scattered => self.sweep::<{ Reach::SCATTERED }>(problem, r),
        }
    }

    fn sweep<const REACH: u8>(&mut self, problem: &Problem, r: &mut [f64]) -> f64 {
        let n = problem.order();
        let Self { sweep, factors, states, .. } = self;
        assert!(problem.rows.count() == n && [factors.len(), states.len(), r.len()] == [n; 3]);
        let mut squares = 0.0;
        for (number, part) in r.chunks_mut(CHUNK).enumerate() {
            let mut square = 0.0;
            for (offset, r) in part.iter_mut().enumerate() {
                let i = number * CHUNK + offset;
                // SAFETY: `i` is a position of `r`, and everything has length n.
                *r = unsafe { correct_row::<REACH>(problem, factors, states, i) };
                square += *r * *r;
            }
            squares += square;
        }
        if *sweep == Sweep::Symmetric {
            for i in (0..n).rev() {
                // SAFETY: `i` is below n, the length of everything.
                unsafe { correct_row::<REACH>(problem, factors, states, i) };
            }
        }
        squares
    }

    /// See [`Method::next_work`](super::Method::next_work).
    pub fn next_work(&self, problem: &Problem) -> Work {
        if self.factors.is_empty() {
            return problem.vector_work(1);
        }
        let once = problem.product_work() + problem.vector_work(2);
        let sweep = match self.sweep {
            Sweep::Forward => once,
            Sweep::Symmetric => once + once,
        };
        if self.is_ahead { sweep } else { sweep + sweep }
    }

    /// Forgets the sweep ahead: the next step starts from the iterate.
    pub fn restart(&mut self) {
        self.is_ahead = false;
    }

    /// See [`Method::follow_diagonal`](super::Method::follow_diagonal).
    pub fn follow_diagonal(&mut self, rows: Rows, changed: &Diagonals) {
        if self.is_set_up() {
            follow_diagonal(&mut self.factors, self.weight, rows, changed);
        }
    }

    /// See [`Method::is_set_up`](super::Method::is_set_up).
    pub fn is_set_up(&self) -> bool {
        !self.factors.is_empty()
    }

    pub fn memory_bytes(&self) -> u64 {
        (8 * self.factors.capacity() + 16 * self.states.capacity()) as u64
    }
}

/// Corrects unknown `i` of the state ahead; returns `bᵢ − aᵢ · x` of the iterate.
///
/// # Safety
/// `i` is below n, and everything has length n.
#[inline(always)]
unsafe fn correct_row<const REACH: u8>(
    problem: &Problem,
    factors: &[f64],
    states: &mut [Pair],
    i: usize,
) -> f64 {
    // SAFETY: the caller's promise.
    unsafe {
        let [ahead, before] = problem.rows.row_dot_pair::<REACH>(i, states);
        let rhs = *problem.rhs.get_unchecked(i);
        let state = states.get_unchecked_mut(i);
        let [old, kept] = state.0;
        state.write([old + factors.get_unchecked(i) * (rhs - ahead), kept]);
        rhs - before
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::solver::gallery;
    use crate::solver::system::LinearSystem;

    /// Sweeps as the definition has them, on a dense copy.
    fn swept(system: &LinearSystem, weight: f64, sweep: Sweep, x: &mut [f64]) {
        let n = system.order();
        let backward = (0..n).rev().filter(|_| sweep == Sweep::Symmetric);
        for i in (0..n).chain(backward) {
            let (cols, values) = system.rows().row(i);
            let terms = cols.iter().zip(values);
            let product: f64 = terms.map(|(&col, value)| value * x[col as usize]).sum();
            let diagonal = system.matrix().get(i, i).unwrap();
            x[i] += weight * (system.rhs()[i] - product) / diagonal;
        }
    }

    fn check(weight: f64, sweep: Sweep) {
        let system = gallery::diagonally_dominant(300, 1_500, 5).unwrap();
        let rows = system.rows();
        let problem = Problem {
            corrections: &[],
            rows,
            rhs: system.rhs(),
            threshold: 0.0,
            iteration: 0,
            memory_bytes_max: u64::MAX,
            unwanted: &Arc::default(),
        };
        let start = vec![0.5; 300];
        let r = vec![0.0; 300];
        let mut iterate = Iterate { x: start.clone(), r, norm: f64::INFINITY, is_true: false };
        let mut expected = start;
        let mut method = GaussSeidel::new(weight, sweep);
        method.step(&problem, &mut iterate);
        for step in 1..=6 {
            if step == 4 {
                method.restart();
            }
            swept(&system, weight, sweep, &mut expected);
            method.step(&problem, &mut iterate);
            let far = |(found, expected): (&f64, &f64)| (found - expected).abs() > 1e-13;
            assert!(!iterate.x.iter().zip(&expected).any(far), "{sweep:?} {weight}, step {step}");
            let (claimed, r) = (iterate.norm, iterate.r.clone());
            iterate.measure(&problem);
            assert_eq!((claimed, &r), (iterate.norm, &iterate.r), "{sweep:?}, step {step}");
        }
    }

    #[test]
    fn each_step_is_one_sweep_and_its_residual_is_measured() {
        for sweep in [Sweep::Forward, Sweep::Symmetric] {
            check(1.0, sweep);
            check(0.7, sweep);
            check(1.2, sweep);
        }
    }
}
