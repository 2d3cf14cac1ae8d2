//! Preconditioned conjugate gradients.

use crate::solver::huge_pages;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel::{self, chunk_sum};
use crate::solver::method::pace::Pace;
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, StopReason, Work};
use crate::solver::preconditioner::{Blueprint, Diagonals, Preconditioner};
use crate::solver::system::Rows;

/// Preconditioned conjugate gradients for symmetric positive definite `A`.
///
/// One step costs one product with `A`, one `M⁻¹ r` and two passes over the vectors: the dot products
/// are taken in the passes that write their operands. `p` stays when the engine replaces `r` by a
/// measured one, which keeps the conjugacy that was won (van der Vorst and Ye 2000).
///
/// With multigrid, which rounds to f32, `β = −(z · A p) / (pᵀ A p)` makes the direction conjugate to the
/// last one whatever `M` did to the residual before (Notay, *SIAM J. Sci. Comput.* 22 (2000) 1444).
///
/// # Errors
/// [`StopReason::Indefinite`] when `pᵀ A p ≤ 0`: `A` is not positive definite. `x` keeps its last value.
///
/// Source: Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., Algorithm 9.1.
#[derive(Debug)]
pub(crate) struct Cg {
    blueprint: Blueprint,
    pace: Pace,
    preconditioner: Option<Preconditioner>,
    p: Vec<f64>,
    /// `A p`.
    q: Vec<f64>,
    /// `M⁻¹ r` where it cannot be formed on the fly.
    z: Vec<f64>,
    /// `r · z` of the last direction; none before the first.
    rho: Option<f64>,
    /// `pᵀ A p` of the last direction.
    curvature: f64,
    /// `r · z` of the present residual, where the last update already yielded it.
    rho_next: Option<f64>,
}

impl Cg {
    pub fn new(blueprint: Blueprint, flops_max: f64) -> Self {
        Self {
            blueprint,
            pace: Pace::within(flops_max),
            preconditioner: None,
            p: vec![],
            q: vec![],
            z: vec![],
            rho: None,
            curvature: 0.0,
            rho_next: None,
        }
    }

    /// See [`Method::step`](super::Method::step).
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        let work = self.next_work(problem);
        let Some(mut preconditioner) = self.preconditioner.take() else {
            return self.prepare(problem).map_or_else(|instead| instead, Advance::Prepared);
        };
        if let Some(why) = self.pace.objection(problem, iterate.norm, work) {
            self.preconditioner = Some(preconditioner);
            return Advance::Unaffordable(why);
        }
        let failure = self.iterate(&mut preconditioner, problem, iterate);
        self.preconditioner = Some(preconditioner);
        failure.map_or(Advance::Iterated(work), Advance::Failed)
    }

    fn prepare(&mut self, problem: &Problem) -> Result<Preparation, Advance> {
        let (preconditioner, preparation) =
            Preconditioner::build(self.blueprint, MethodName::Cg, problem)?;
        let n = problem.order();
        self.p = huge_pages::zeros(n);
        self.q = huge_pages::zeros(n);
        if matches!(preconditioner, Preconditioner::Incomplete(_) | Preconditioner::Multigrid(_)) {
            self.z = huge_pages::zeros(n);
        }
        self.preconditioner = Some(preconditioner);
        Ok(preparation)
    }

    fn iterate(
        &mut self,
        preconditioner: &mut Preconditioner,
        problem: &Problem,
        iterate: &mut Iterate,
    ) -> Option<StopReason> {
        let rho = self.next_direction(preconditioner, iterate);
        let curvature = problem.product_dot(&self.p, &self.p, &mut self.q);
        let (method, iteration) = (MethodName::Cg, problem.iteration);
        if curvature <= 0.0 {
            let evidence = format!("pᵀ A p = {curvature:.3e}");
            return Some(StopReason::Indefinite { method, iteration, evidence });
        }
        let alpha = rho / curvature;
        if !alpha.is_finite() || alpha == 0.0 {
            return Some(StopReason::Breakdown { method, iteration, quantity: "r · M⁻¹ r" });
        }
        self.update(alpha, preconditioner, iterate);
        self.rho = Some(rho);
        self.curvature = curvature;
        None
    }

    /// `p = z + β p`; returns `ρ = r · z`.
    fn next_direction(&mut self, preconditioner: &mut Preconditioner, iterate: &Iterate) -> f64 {
        let r = &iterate.r;
        let rho = match (&mut *preconditioner, self.rho_next.take()) {
            (Preconditioner::Incomplete(_) | Preconditioner::Multigrid(_), _) => {
                preconditioner.apply(r, &mut self.z);
                kernel::dot(r, &self.z)
            }
            (_, Some(rho)) => rho,
            (Preconditioner::Identity, None) => kernel::dot(r, r),
            (Preconditioner::Jacobi(inverse), None) => weighted_square(r, inverse),
        };
        let beta = match (self.rho, self.blueprint.is_variable()) {
            (None, _) => 0.0,
            (Some(last), false) => rho / last,
            (Some(_), true) => -kernel::dot(&self.z, &self.q) / self.curvature,
        };
        let entries = 2 * r.len();
        match preconditioner {
            Preconditioner::Identity => combine(&mut self.p, beta, entries, |i| r[i]),
            Preconditioner::Jacobi(inverse) => {
                combine(&mut self.p, beta, entries, |i| inverse[i] * r[i]);
            }
            Preconditioner::Incomplete(_) | Preconditioner::Multigrid(_) => {
                let z = &self.z;
                combine(&mut self.p, beta, entries, |i| z[i]);
            }
        }
        rho
    }

    /// `x += α p`, `r −= α A p`, with the norms that fall out of the same pass.
    fn update(&mut self, alpha: f64, preconditioner: &Preconditioner, iterate: &mut Iterate) {
        let square = match preconditioner {
            Preconditioner::Identity => {
                let square = iterate.advance(alpha, &self.p, &self.q);
                self.rho_next = Some(square);
                square
            }
            Preconditioner::Incomplete(_) | Preconditioner::Multigrid(_) => {
                iterate.advance(alpha, &self.p, &self.q)
            }
            Preconditioner::Jacobi(inverse) => {
                let [square, rho] = iterate.advance_weighted(alpha, &self.p, &self.q, inverse);
                self.rho_next = Some(rho);
                square
            }
        };
        iterate.track(kernel::norm_from_square(square, &iterate.r));
    }

    /// See [`Method::next_work`](super::Method::next_work).
    pub fn next_work(&self, problem: &Problem) -> Work {
        match &self.preconditioner {
            None => self.blueprint.build_work(problem),
            Some(preconditioner) => {
                problem.product_work() + preconditioner.apply_work() + problem.vector_work(5)
            }
        }
    }

    pub fn residual_replaced(&mut self) {
        self.rho_next = None;
    }

    pub fn restart(&mut self) {
        self.pace.restart();
        self.rho = None;
        self.rho_next = None;
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
        let vectors = self.p.capacity() + self.q.capacity() + self.z.capacity();
        8 * vectors as u64 + self.preconditioner.as_ref().map_or(0, Preconditioner::memory_bytes)
    }
}

/// `p = z + β p` with `z` given entry by entry.
fn combine(p: &mut [f64], beta: f64, entries: usize, z: impl Fn(usize) -> f64 + Sync) {
    kernel::fold_chunks(p, entries, |start, part| {
        for (offset, p) in part.iter_mut().enumerate() {
            *p = z(start + offset) + beta * *p;
        }
        []
    });
}

/// `Σ wᵢ rᵢ²`.
fn weighted_square(r: &[f64], weights: &[f64]) -> f64 {
    r.chunks(kernel::CHUNK)
        .zip(weights.chunks(kernel::CHUNK))
        .map(|(r, w)| chunk_sum(r.len(), |i| w[i] * r[i] * r[i]))
        .sum()
}
