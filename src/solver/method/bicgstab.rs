//! Stabilised bi-conjugate gradients, preconditioned from the right.

use crate::solver::huge_pages;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel::{self, chunk_sum};
use crate::solver::method::pace::Pace;
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, Work};
use crate::solver::preconditioner::{Blueprint, Diagonals, Preconditioner};
use crate::solver::system::Rows;

/// `|r̂ · r|` below this fraction of `‖r̂‖ ‖r‖` means that the shadow residual has worn out.
const SHADOW_MIN: f64 = 1e-14;

/// BiCGStab for general `A`.
///
/// One step costs two products with `A`, two `M⁻¹ r` and six passes over vectors; dot products are taken
/// in the passes that write their operands. When the shadow residual `r̂` has become orthogonal to `r`,
/// the step starts again with `r̂ = r`; a breakdown right after that ends the method.
///
/// Source: van der Vorst, *SIAM J. Sci. Stat. Comput.* 13 (1992) 631; Saad, Algorithm 7.7.
#[derive(Debug)]
pub(crate) struct Bicgstab {
    blueprint: Blueprint,
    pace: Pace,
    preconditioner: Option<Preconditioner>,
    shadow: Vec<f64>,
    shadow_norm: f64,
    p: Vec<f64>,
    /// `A M⁻¹ p`.
    v: Vec<f64>,
    /// `A M⁻¹ s`.
    t: Vec<f64>,
    /// `M⁻¹ p` and `M⁻¹ s`; empty without a preconditioner.
    p_hat: Vec<f64>,
    s_hat: Vec<f64>,
    /// Coefficients of the last step; none when the next one starts afresh.
    last: Option<Last>,
    /// Whether the present step started with `r̂ = r`.
    fresh: bool,
}

#[derive(Debug)]
struct Last {
    rho: f64,
    alpha: f64,
    omega: f64,
    /// `r̂ · r` of the present residual, where the last update already yielded it.
    rho_next: Option<f64>,
}

impl Bicgstab {
    pub fn new(blueprint: Blueprint, flops_max: f64) -> Self {
        Self {
            blueprint,
            pace: Pace::within(flops_max),
            preconditioner: None,
            shadow: vec![],
            shadow_norm: 0.0,
            p: vec![],
            v: vec![],
            t: vec![],
            p_hat: vec![],
            s_hat: vec![],
            last: None,
            fresh: true,
        }
    }

    /// See [`Method::step`](super::Method::step).
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        let work = self.next_work(problem);
        let Some(mut preconditioner) = self.preconditioner.take() else {
            let built = Preconditioner::build(self.blueprint, MethodName::Bicgstab, problem);
            return match built {
                Ok((preconditioner, preparation)) => {
                    self.prepare(problem, preconditioner, preparation)
                }
                Err(instead) => instead,
            };
        };
        if let Some(why) = self.pace.objection(problem, iterate.norm, work) {
            self.preconditioner = Some(preconditioner);
            return Advance::Unaffordable(why);
        }
        let broken = self.iterate(&mut preconditioner, problem, iterate);
        self.preconditioner = Some(preconditioner);
        match broken {
            None => Advance::Iterated(work),
            Some(quantity) => Advance::breakdown(MethodName::Bicgstab, problem, quantity),
        }
    }

    fn prepare(
        &mut self,
        problem: &Problem,
        preconditioner: Preconditioner,
        preparation: Preparation,
    ) -> Advance {
        let n = problem.order();
        for vector in [&mut self.shadow, &mut self.p, &mut self.v, &mut self.t] {
            *vector = huge_pages::zeros(n);
        }
        if !matches!(preconditioner, Preconditioner::Identity) {
            self.p_hat = huge_pages::zeros(n);
            self.s_hat = huge_pages::zeros(n);
        }
        self.preconditioner = Some(preconditioner);
        Advance::Prepared(preparation)
    }

    /// One iteration; names the quantity that vanished, if one did.
    fn iterate(
        &mut self,
        preconditioner: &mut Preconditioner,
        problem: &Problem,
        iterate: &mut Iterate,
    ) -> Option<&'static str> {
        let rho = self.next_direction(preconditioner, iterate);
        let p_hat = match preconditioner {
            Preconditioner::Identity => &self.p,
            Preconditioner::Jacobi(_) => &self.p_hat,
            Preconditioner::Incomplete(_) | Preconditioner::Multigrid(_) => {
                preconditioner.apply(&self.p, &mut self.p_hat);
                &self.p_hat
            }
        };
        let alpha = rho / problem.product_dot(p_hat, &self.shadow, &mut self.v);
        if !alpha.is_finite() {
            return self.start_again("r̂ · A M⁻¹ p");
        }
        // From here on iterate.r is s = r − α v.
        let half = match preconditioner {
            Preconditioner::Jacobi(inverse) => {
                half_step(alpha, &self.v, inverse, &mut iterate.r, &mut self.s_hat)
            }
            Preconditioner::Identity
            | Preconditioner::Incomplete(_)
            | Preconditioner::Multigrid(_) => {
                kernel::add_scaled_square(&mut iterate.r, -alpha, &self.v)
            }
        };
        let half_norm = kernel::norm_from_square(half, &iterate.r);
        let s_hat = match preconditioner {
            Preconditioner::Identity => &iterate.r,
            Preconditioner::Jacobi(_) => &self.s_hat,
            Preconditioner::Incomplete(_) | Preconditioner::Multigrid(_) => {
                preconditioner.apply(&iterate.r, &mut self.s_hat);
                &self.s_hat
            }
        };
        let mut omega = 0.0;
        if half_norm > problem.threshold {
            let [s_t, t_t] = problem.product_two_dots(s_hat, &iterate.r, &mut self.t);
            omega = s_t / t_t;
        }
        if omega == 0.0 || !omega.is_finite() {
            kernel::add_scaled(&mut iterate.x, alpha, p_hat);
            iterate.track(half_norm);
            let done = half_norm <= problem.threshold;
            return if done { None } else { self.start_again("s · A M⁻¹ s") };
        }
        let [square, rho_next] = self.finish(preconditioner, alpha, omega, iterate);
        iterate.track(kernel::norm_from_square(square, &iterate.r));
        self.last = Some(Last { rho, alpha, omega, rho_next: Some(rho_next) });
        None
    }

    /// `p = r + β (p − ω v)` and, where `M` is a diagonal, `M⁻¹ p` in the same pass; returns `ρ = r̂ · r`.
    /// Starts afresh where the shadow has worn out.
    fn next_direction(&mut self, preconditioner: &Preconditioner, iterate: &Iterate) -> f64 {
        let r = &iterate.r;
        let known = self
            .last
            .as_ref()
            .map(|last| last.rho_next.unwrap_or_else(|| kernel::dot(&self.shadow, r)));
        if let (Some(last), Some(rho)) = (&self.last, known)
            && rho.abs() > SHADOW_MIN * self.shadow_norm * iterate.norm
        {
            let beta = (rho / last.rho) * (last.alpha / last.omega);
            let (omega, v) = (last.omega, &self.v);
            let next = |p: f64, i: usize| r[i] + beta * (p - omega * v[i]);
            match preconditioner {
                Preconditioner::Jacobi(inverse) => {
                    update_scaled(&mut self.p, &mut self.p_hat, inverse, next);
                }
                Preconditioner::Identity
                | Preconditioner::Incomplete(_)
                | Preconditioner::Multigrid(_) => {
                    kernel::fold_chunks(&mut self.p, 3 * r.len(), |start, p| {
                        for (i, p) in (start..).zip(p) {
                            *p = next(*p, i);
                        }
                        []
                    });
                }
            }
            self.fresh = false;
            return rho;
        }
        self.shadow.copy_from_slice(r);
        match preconditioner {
            Preconditioner::Jacobi(inverse) => {
                update_scaled(&mut self.p, &mut self.p_hat, inverse, |_, i| r[i]);
            }
            Preconditioner::Identity
            | Preconditioner::Incomplete(_)
            | Preconditioner::Multigrid(_) => self.p.copy_from_slice(r),
        }
        self.shadow_norm = iterate.norm;
        self.fresh = true;
        kernel::dot(r, r)
    }

    /// `x += α M⁻¹ p + ω M⁻¹ s` and `r = s − ω t` in one pass; returns `r · r` and `r̂ · r`.
    fn finish(
        &self,
        preconditioner: &Preconditioner,
        alpha: f64,
        omega: f64,
        iterate: &mut Iterate,
    ) -> [f64; 2] {
        let plain = matches!(preconditioner, Preconditioner::Identity);
        let p_hat = if plain { &self.p } else { &self.p_hat };
        let (s_hat, t, shadow) = (&self.s_hat, &self.t, &self.shadow);
        let entries = 3 * self.p.len();
        kernel::fold_chunks_pair(&mut iterate.x, &mut iterate.r, entries, |start, x, r| {
            let range = start..start + x.len();
            let (p, t, shadow) = (&p_hat[range.clone()], &t[range.clone()], &shadow[range.clone()]);
            if plain {
                for i in 0..x.len() {
                    x[i] += alpha * p[i] + omega * r[i];
                    r[i] -= omega * t[i];
                }
            } else {
                let s_hat = &s_hat[range];
                for i in 0..x.len() {
                    x[i] += alpha * p[i] + omega * s_hat[i];
                    r[i] -= omega * t[i];
                }
            }
            let r = &*r;
            let square = chunk_sum(r.len(), |i| r[i] * r[i]);
            [square, chunk_sum(r.len(), |i| shadow[i] * r[i])]
        })
    }

    /// Forgets the directions after a breakdown; a breakdown of a fresh start is final.
    fn start_again(&mut self, quantity: &'static str) -> Option<&'static str> {
        self.last = None;
        self.fresh.then_some(quantity)
    }

    /// See [`Method::next_work`](super::Method::next_work).
    pub fn next_work(&self, problem: &Problem) -> Work {
        match &self.preconditioner {
            None => self.blueprint.build_work(problem),
            Some(preconditioner) => {
                let half = problem.product_work() + preconditioner.apply_work();
                half + half + problem.vector_work(9)
            }
        }
    }

    pub fn residual_replaced(&mut self) {
        if let Some(last) = &mut self.last {
            last.rho_next = None;
        }
    }

    pub fn restart(&mut self) {
        self.pace.restart();
        self.last = None;
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
        let vectors = [&self.shadow, &self.p, &self.v, &self.t, &self.p_hat, &self.s_hat];
        let entries: usize = vectors.iter().map(|vector| vector.capacity()).sum();
        8 * entries as u64 + self.preconditioner.as_ref().map_or(0, Preconditioner::memory_bytes)
    }
}

/// `p = next(p, i)` and `p̂ = M⁻¹ p` with a diagonal `M`, in one pass.
#[inline(always)]
fn update_scaled(
    p: &mut [f64],
    p_hat: &mut [f64],
    inverse: &[f64],
    next: impl Fn(f64, usize) -> f64 + Sync,
) {
    let entries = 4 * p.len();
    kernel::fold_chunks_pair(p, p_hat, entries, |start, p, p_hat| {
        let inverse = &inverse[start..start + p.len()];
        for (offset, ((p, p_hat), inverse)) in p.iter_mut().zip(p_hat).zip(inverse).enumerate() {
            *p = next(*p, start + offset);
            *p_hat = inverse * *p;
        }
        []
    });
}

/// `s = r − α v` in place of `r` and `ŝ = M⁻¹ s` with a diagonal `M`, in one pass; returns `s · s`.
fn half_step(alpha: f64, v: &[f64], inverse: &[f64], r: &mut [f64], s_hat: &mut [f64]) -> f64 {
    let entries = 4 * r.len();
    let [square] = kernel::fold_chunks_pair(r, s_hat, entries, |start, r, s_hat| {
        let range = start..start + r.len();
        let (v, inverse) = (&v[range.clone()], &inverse[range]);
        for i in 0..r.len() {
            r[i] -= alpha * v[i];
            s_hat[i] = inverse[i] * r[i];
        }
        let r = &*r;
        [chunk_sum(r.len(), |i| r[i] * r[i])]
    });
    square
}
