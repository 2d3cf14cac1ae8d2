//! Restarted GMRES, preconditioned from the right.

use crate::solver::huge_pages;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel;
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, StopReason, Work};
use crate::solver::preconditioner::{Blueprint, Diagonals, Preconditioner};
use crate::solver::system::Rows;

/// A new basis vector that keeps less than this of its length is orthogonalised a second time.
///
/// Source: Daniel, Gragg, Kaufman and Stewart, *Math. Comp.* 30 (1976) 772.
const CANCELLATION: f64 = 0.1;

/// Steps of the shortest cycle that is worth starting when memory is scarce.
const CYCLE_MIN: usize = 5;

/// GMRES(m) for general `A`: the residual norm never grows.
///
/// Step `j` of a cycle costs one product with `A`, one `M⁻¹ v` and two passes over `j` vectors (classical
/// Gram-Schmidt, repeated where it cancels). Inside a cycle `x` and `r` stay at
/// the cycle's start and only the norm is tracked; the end of a cycle forms `x` and measures `r`.
///
/// # Errors
/// [`StopReason::OutOfMemoryBudget`] before the basis is allocated.
///
/// Source: Saad and Schultz 1986; Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed.,
/// Algorithms 6.9 and 9.5; 9.6 (flexible) with multigrid, which rounds to f32: the `M⁻¹ vⱼ` are kept then.
#[derive(Debug)]
pub(crate) struct Gmres {
    blueprint: Blueprint,
    preconditioner: Option<Preconditioner>,
    /// m; shortened by the set-up where the basis would not fit.
    restart: usize,
    memory_bytes_max: u64,
    /// Set aside by the set-up for the basis and the scratch vector.
    reserved_bytes: u64,
    /// Orthonormal `v₀ … vⱼ`; reserved by the set-up, allocated when first reached, kept over cycles.
    basis: Vec<Vec<f64>>,
    /// `M⁻¹ v₀ … M⁻¹ vⱼ` where `M` varies, kept as the basis is; otherwise the latest alone.
    corrections: Vec<Vec<f64>>,
    /// Column `j` of the triangular factor, `j + 1` entries.
    triangle: Vec<Vec<f64>>,
    /// (cosine, sine) of each column's rotation.
    rotations: Vec<(f64, f64)>,
    /// Rotated right-hand side `‖r₀‖ e₁`, one entry more than columns.
    rotated: Vec<f64>,
}

impl Gmres {
    pub fn new(blueprint: Blueprint, restart: usize, memory_bytes_max: u64) -> Self {
        Self {
            blueprint,
            preconditioner: None,
            restart,
            memory_bytes_max,
            reserved_bytes: 0,
            basis: vec![],
            corrections: vec![],
            triangle: vec![],
            rotations: vec![],
            rotated: vec![],
        }
    }

    /// See [`Method::step`](super::Method::step).
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        let work = self.next_work(problem);
        let Some(mut preconditioner) = self.preconditioner.take() else {
            return self.set_up(problem).map_or_else(|instead| instead, Advance::Prepared);
        };
        let vanished = self.iterate(&mut preconditioner, problem, iterate);
        self.preconditioner = Some(preconditioner);
        if vanished {
            self.close_cycle(problem, iterate);
            let quantity = "the last pivot of the Hessenberg matrix";
            return Advance::breakdown(MethodName::Gmres, problem, quantity);
        }
        if self.triangle.len() == self.cycle_len(problem) || iterate.norm <= problem.threshold {
            self.close_cycle(problem, iterate);
        }
        Advance::Iterated(work)
    }

    fn set_up(&mut self, problem: &Problem) -> Result<Preparation, Advance> {
        let asked = self.cycle_len(problem);
        let predicted_bytes = self.blueprint.predicted_bytes(problem);
        self.reserve(problem, predicted_bytes).map_err(Advance::Failed)?;
        let (preconditioner, mut preparation) =
            Preconditioner::build(self.blueprint, MethodName::Gmres, problem)?;
        let held_bytes = preconditioner.memory_bytes();
        let fits = self.reserve(problem, held_bytes).map_err(Advance::Failed)?;
        if fits < asked {
            preparation.description +=
                &format!("; restart shortened from {asked} to {fits} to fit memory_bytes_max");
        }
        self.preconditioner = Some(preconditioner);
        Ok(preparation)
    }

    /// Sets memory aside for the longest cycle that fits beside `held_bytes`; returns its length.
    ///
    /// # Errors
    /// [`StopReason::OutOfMemoryBudget`] when not even [`CYCLE_MIN`] steps fit.
    fn reserve(&mut self, problem: &Problem, held_bytes: u64) -> Result<usize, StopReason> {
        let vector_bytes = 8 * problem.order() as u64;
        // One basis vector more than steps, and the corrections.
        let vectors = |steps: u64| match self.blueprint.is_variable() {
            true => 2 * steps + 1,
            false => steps + 2,
        };
        let bytes = |steps: usize| vector_bytes.saturating_mul(vectors(steps as u64));
        let free_bytes = self.memory_bytes_max.saturating_sub(held_bytes);
        let asked = self.cycle_len(problem);
        let steps_max = match self.blueprint.is_variable() {
            true => (free_bytes / vector_bytes).saturating_sub(1) / 2,
            false => (free_bytes / vector_bytes).saturating_sub(2),
        };
        let steps = asked.min(usize::try_from(steps_max).unwrap_or(usize::MAX));
        let least = asked.min(CYCLE_MIN);
        if steps < least {
            let needed_bytes = held_bytes.saturating_add(bytes(least));
            let limit_bytes = self.memory_bytes_max;
            return Err(StopReason::OutOfMemoryBudget { needed_bytes, limit_bytes });
        }
        self.restart = steps;
        self.reserved_bytes = bytes(steps);
        Ok(steps)
    }

    /// Moves `x` to the end of the cycle and measures `r` there.
    pub fn close_cycle(&mut self, problem: &Problem, iterate: &mut Iterate) {
        iterate.x = self.form_solution(iterate);
        iterate.measure(problem);
        self.restart();
    }

    /// One Arnoldi step; true when the least-squares problem has become singular.
    fn iterate(
        &mut self,
        preconditioner: &mut Preconditioner,
        problem: &Problem,
        iterate: &mut Iterate,
    ) -> bool {
        if self.triangle.is_empty() {
            self.begin_cycle(iterate);
        }
        let column = self.triangle.len();
        let kept = if self.blueprint.is_variable() { column } else { 0 };
        if self.corrections.len() == kept {
            self.corrections.push(huge_pages::zeros(problem.order()));
        }
        let correction = &mut self.corrections[kept];
        preconditioner.apply(&self.basis[column], correction);
        if self.basis.len() == column + 1 {
            self.basis.push(huge_pages::zeros(problem.order()));
        }
        let (known, fresh) = self.basis.split_at_mut(column + 1);
        let w = &mut fresh[0];
        problem.product(correction, w);
        let mut projections = vec![0.0; column + 1];
        let [before, mut after] = orthogonalise(known, w, &mut projections);
        if after < CANCELLATION * before {
            [_, after] = orthogonalise(known, w, &mut projections);
        }
        // What is left of a vector inside the span is rounding, not a direction.
        if after <= 4.0 * f64::EPSILON * before {
            after = 0.0;
        } else {
            normalise(w, after);
        }
        self.rotate(projections, after, before);
        let Some(&last) = self.rotated.last() else { return true };
        iterate.track(last.abs());
        self.triangle[column][column] == 0.0
    }

    /// `v₀ = r / ‖r‖`.
    fn begin_cycle(&mut self, iterate: &Iterate) {
        if self.basis.is_empty() {
            self.basis.push(huge_pages::zeros(iterate.r.len()));
        }
        let norm = iterate.norm;
        self.basis[0].copy_from_slice(&iterate.r);
        normalise(&mut self.basis[0], norm);
        self.rotated = vec![norm];
        self.rotations.clear();
    }

    /// Adds a Hessenberg column to the QR factorisation by Givens rotations.
    fn rotate(&mut self, mut column: Vec<f64>, below: f64, scale: f64) {
        for (k, &(cosine, sine)) in self.rotations.iter().enumerate() {
            let (upper, lower) = (column[k], column[k + 1]);
            column[k] = cosine * upper + sine * lower;
            column[k + 1] = cosine * lower - sine * upper;
        }
        let last = column.len() - 1;
        let length = column[last].hypot(below);
        // A pivot at rounding level of its column counts as zero: the system it closes is singular.
        let (cosine, sine) = if length <= f64::EPSILON * scale {
            column[last] = 0.0;
            (1.0, 0.0)
        } else {
            let rotation = (column[last] / length, below / length);
            column[last] = length;
            rotation
        };
        let g = self.rotated[last];
        self.rotated[last] = cosine * g;
        self.rotated.push(-sine * g);
        self.rotations.push((cosine, sine));
        self.triangle.push(column);
    }

    fn cycle_len(&self, problem: &Problem) -> usize {
        self.restart.min(problem.order())
    }

    /// m.
    pub fn cycle(&self) -> u64 {
        self.restart as u64
    }

    /// See [`Method::holds_back`](super::Method::holds_back).
    pub fn holds_back(&self) -> bool {
        !self.triangle.is_empty()
    }

    /// `x₀ + M⁻¹ V y` with the `y` of the present column. O(n j).
    pub fn form_solution(&mut self, iterate: &Iterate) -> Vec<f64> {
        let mut x = iterate.x.clone();
        let columns = self.triangle.len();
        let y = self.coefficients();
        let Some(preconditioner) = self.preconditioner.as_mut().filter(|_| columns > 0) else {
            return x;
        };
        if self.blueprint.is_variable() {
            for (coefficient, correction) in y.iter().zip(&self.corrections) {
                kernel::add_scaled(&mut x, *coefficient, correction);
            }
            return x;
        }
        let mut direction = vec![0.0; x.len()];
        for (coefficient, vector) in y.iter().zip(&self.basis) {
            kernel::add_scaled(&mut direction, *coefficient, vector);
        }
        let mut correction = vec![0.0; x.len()];
        preconditioner.apply(&direction, &mut correction);
        kernel::add_scaled(&mut x, 1.0, &correction);
        x
    }

    /// The work of [`form_solution`](Self::form_solution).
    pub fn form_work(&self, problem: &Problem) -> Work {
        problem.vector_work(self.triangle.len() as u64 + 2)
    }

    /// Solves the triangular system for `y`. A column with a zero pivot contributes nothing.
    fn coefficients(&self) -> Vec<f64> {
        let columns = self.triangle.len();
        let mut y = self.rotated[..columns].to_vec();
        for k in (0..columns).rev() {
            let pivot = self.triangle[k][k];
            y[k] = if pivot == 0.0 { 0.0 } else { y[k] / pivot };
            for i in 0..k {
                y[i] -= self.triangle[k][i] * y[k];
            }
        }
        y
    }

    /// See [`Method::next_work`](super::Method::next_work).
    pub fn next_work(&self, problem: &Problem) -> Work {
        let Some(preconditioner) = &self.preconditioner else {
            return self.blueprint.build_work(problem);
        };
        let column = self.triangle.len() as u64;
        let step = problem.product_work()
            + preconditioner.apply_work()
            + problem.vector_work(2 * column + 4);
        if self.triangle.len() + 1 == self.cycle_len(problem) {
            return step + self.form_work(problem) + problem.product_work();
        }
        step
    }

    pub fn restart(&mut self) {
        self.triangle.clear();
        self.rotations.clear();
        self.rotated.clear();
    }

    /// See [`Method::follow_diagonal`](super::Method::follow_diagonal).
    pub fn follow_diagonal(&mut self, rows: Rows, changed: &Diagonals) {
        self.preconditioner.iter_mut().for_each(|known| known.follow_diagonal(rows, changed));
    }

    /// See [`Method::is_set_up`](super::Method::is_set_up).
    pub fn is_set_up(&self) -> bool {
        self.preconditioner.is_some()
    }

    /// See [`Method::next_step_bytes`](super::Method::next_step_bytes).
    pub fn next_step_bytes(&self, problem: &Problem) -> u64 {
        if self.is_set_up() { 0 } else { self.blueprint.peak_bytes(problem) }
    }

    pub fn memory_bytes(&self) -> u64 {
        let entries = self.triangle.iter().map(Vec::capacity).sum::<usize>();
        let small = 8 * entries as u64;
        self.reserved_bytes
            + small
            + self.preconditioner.as_ref().map_or(0, Preconditioner::memory_bytes)
    }
}

/// Classical Gram-Schmidt of `w` against `basis`, adding to `projections`; returns `‖w‖₂` before and
/// after. The basis is read twice, four vectors at a time, whatever its length.
fn orthogonalise(basis: &[Vec<f64>], w: &mut [f64], projections: &mut [f64]) -> [f64; 2] {
    let (dots, square) = kernel::dots_and_square(basis, w);
    let before = kernel::norm_from_square(square, w);
    let square = kernel::subtract_combination(w, basis, &dots);
    projections.iter_mut().zip(&dots).for_each(|(sum, dot)| *sum += dot);
    [before, kernel::norm_from_square(square, w)]
}

/// `v / length`, with one division where its inverse is in range.
fn normalise(v: &mut [f64], length: f64) {
    let inverse = 1.0 / length;
    if inverse.is_normal() {
        v.iter_mut().for_each(|value| *value *= inverse);
    } else {
        v.iter_mut().for_each(|value| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::solver::amg::Symmetry;
    use crate::solver::gallery;
    use crate::solver::options::PreconditionerName;
    use crate::solver::system::LinearSystem;

    /// The largest departure of `VᵀV` from the identity after `steps`.
    fn departure(system: &LinearSystem, steps: usize) -> f64 {
        let problem = Problem {
            corrections: &[],
            rows: system.rows(),
            rhs: system.rhs(),
            threshold: 0.0,
            iteration: 0,
            memory_bytes_max: u64::MAX,
            unwanted: &Arc::default(),
        };
        let r = system.rhs().to_vec();
        let norm = kernel::norm2(&r);
        let mut iterate = Iterate { x: vec![0.0; r.len()], r, norm, is_true: true };
        let blueprint = Blueprint { name: PreconditionerName::None, symmetry: Symmetry::General };
        let mut gmres = Gmres::new(blueprint, steps + 1, u64::MAX);
        (0..=steps).for_each(|_| drop(gmres.step(&problem, &mut iterate)));
        let basis = &gmres.basis[..=steps];
        let mut largest = 0.0_f64;
        for (k, v) in basis.iter().enumerate() {
            for (l, w) in basis.iter().enumerate() {
                let identity = if k == l { 1.0 } else { 0.0 };
                largest = largest.max((kernel::dot(v, w) - identity).abs());
            }
        }
        largest
    }

    #[test]
    fn the_basis_stays_semi_orthonormal() {
        let dominant = gallery::diagonally_dominant(900, 4_500, 1).unwrap();
        let grid = gallery::poisson_2d(30, 2).unwrap();
        for (system, steps) in [(&dominant, 40), (&grid, 80)] {
            let found = departure(system, steps);
            assert!(found < f64::EPSILON.sqrt(), "{found:e}");
        }
    }
}
