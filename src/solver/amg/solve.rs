//! Krylov methods around a hierarchy: flexible conjugate gradients for symmetric systems, BiCGStab for
//! all. They start from any `x`, so that a changed system is solved from its last solution.

use crate::solver::huge_pages;
use crate::solver::iterate::Iterate;
use crate::solver::kernel::{self, chunk_sum};
use crate::solver::system::LinearSystem;

use super::hierarchy::Hierarchy;

/// Iterations without a new least residual after which a method makes no progress.
const PATIENCE: u64 = 60;

/// `|r̂ · r|` below this fraction of `‖r̂‖ ‖r‖` means that the shadow residual has worn out.
const SHADOW_MIN: f64 = 1e-14;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Of `‖b − A x‖₂ / ‖b‖₂`.
    pub tolerance: f64,
    pub iterations_max: u64,
}

/// Why a method stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ended {
    /// The residual, measured at the end, meets the tolerance.
    Converged,
    IterationLimit,
    /// No new least residual for a long time, or rounding keeps the true residual above the tolerance.
    Stagnated,
    /// `pᵀ A p ≤ 0`: the matrix is not positive definite.
    Indefinite {
        curvature: f64,
    },
    /// A quantity that the method divides by vanished or left the range of f64.
    Breakdown {
        quantity: &'static str,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Solved {
    pub x: Vec<f64>,
    pub iterations: u64,
    /// `‖b − A x‖₂`, measured at the end.
    pub residual_norm: f64,
    pub ended: Ended,
}

/// A solve under way: `x`, `r` and what is left to do.
struct Course<'a> {
    system: &'a LinearSystem,
    iterate: Iterate,
    threshold: f64,
    iterations: u64,
    iterations_max: u64,
    least: f64,
    least_at: u64,
    /// The last measured norm that missed the threshold after a tracked one had met it.
    missed: f64,
}

/// What a look at the tracked residual says.
enum Verdict {
    GoOn,
    /// `r` was measured and is larger than tracked: directions are worth nothing.
    StartAgain,
    End(Ended),
}

impl<'a> Course<'a> {
    fn begin(system: &'a LinearSystem, x: Vec<f64>, goal: Goal) -> Self {
        let n = system.order();
        assert!(x.len() == n, "the start has the length of the system");
        let mut r = huge_pages::zeros(n);
        let norm = system.rows().residual(&x, system.rhs(), &mut r);
        let threshold = goal.tolerance * kernel::norm2(system.rhs());
        Self {
            system,
            iterate: Iterate { x, r, norm, is_true: true },
            threshold,
            iterations: 0,
            iterations_max: goal.iterations_max,
            least: norm,
            least_at: 0,
            missed: f64::INFINITY,
        }
    }

    fn measure(&mut self) {
        let Iterate { x, r, norm, is_true } = &mut self.iterate;
        *norm = self.system.rows().residual(x, self.system.rhs(), r);
        *is_true = true;
    }

    /// Looks at the tracked norm, and measures it where it seems small enough.
    fn look(&mut self) -> Verdict {
        let mut verdict = Verdict::GoOn;
        if self.iterate.norm <= self.threshold {
            if !self.iterate.is_true {
                self.measure();
            }
            if self.iterate.norm <= self.threshold {
                return Verdict::End(Ended::Converged);
            }
            if self.iterate.norm.is_nan() || self.iterate.norm >= 0.5 * self.missed {
                return Verdict::End(Ended::Stagnated);
            }
            self.missed = self.iterate.norm;
            (self.least, self.least_at) = (self.iterate.norm, self.iterations);
            verdict = Verdict::StartAgain;
        }
        if !self.iterate.norm.is_finite() {
            return Verdict::End(Ended::Breakdown { quantity: "‖r‖" });
        }
        if self.iterate.norm < self.least {
            (self.least, self.least_at) = (self.iterate.norm, self.iterations);
        }
        if self.iterations >= self.iterations_max {
            return Verdict::End(Ended::IterationLimit);
        }
        if self.iterations - self.least_at >= PATIENCE {
            return Verdict::End(Ended::Stagnated);
        }
        verdict
    }

    fn end(mut self, ended: Ended) -> Solved {
        if !self.iterate.is_true {
            self.measure();
        }
        let Iterate { x, norm, .. } = self.iterate;
        Solved { x, iterations: self.iterations, residual_norm: norm, ended }
    }
}

/// Flexible conjugate gradients for symmetric positive definite `A`, from `x`. One iteration costs one
/// product with `A`, one cycle and four passes over vectors.
///
/// `β = −α (z · A p) / ρ` is Notay's, with one direction kept: it does not mind that the cycle rounds to
/// f32. Source: Notay, *SIAM J. Sci. Comput.* 22 (2000) 1444.
pub fn conjugate_gradients(
    system: &LinearSystem,
    hierarchy: &mut Hierarchy,
    x: Vec<f64>,
    goal: Goal,
) -> Solved {
    let n = system.order();
    let mut course = Course::begin(system, x, goal);
    let (mut z, mut p, mut q) = (huge_pages::zeros(n), huge_pages::zeros(n), huge_pages::zeros(n));
    // α and ρ of the last direction.
    let mut last: Option<(f64, f64)> = None;
    loop {
        match course.look() {
            Verdict::GoOn => {}
            Verdict::StartAgain => last = None,
            Verdict::End(ended) => return course.end(ended),
        }
        let iterate = &mut course.iterate;
        hierarchy.apply(&iterate.r, &mut z);
        let [rho, zq] = two_dots(&z, &iterate.r, &q);
        if rho.is_nan() || rho <= 0.0 {
            return course.end(Ended::Breakdown { quantity: "r · M⁻¹ r" });
        }
        match last {
            Some((alpha, rho)) => combine(&mut p, &z, -alpha * zq / rho),
            None => p.copy_from_slice(&z),
        }
        let curvature = system.rows().product_dot(&p, &p, &mut q);
        if curvature <= 0.0 {
            return course.end(Ended::Indefinite { curvature });
        }
        let alpha = rho / curvature;
        if !alpha.is_finite() || alpha == 0.0 {
            return course.end(Ended::Breakdown { quantity: "pᵀ A p" });
        }
        let square = iterate.advance(alpha, &p, &q);
        iterate.track(kernel::norm_from_square(square, &iterate.r));
        last = Some((alpha, rho));
        course.iterations += 1;
    }
}

/// BiCGStab for general `A`, from `x`, preconditioned from the right. One iteration costs two products
/// with `A`, two cycles and seven passes over vectors.
///
/// Source: van der Vorst, *SIAM J. Sci. Stat. Comput.* 13 (1992) 631.
pub fn bicgstab(
    system: &LinearSystem,
    hierarchy: &mut Hierarchy,
    x: Vec<f64>,
    goal: Goal,
) -> Solved {
    let mut course = Course::begin(system, x, goal);
    let mut vectors = Directions::new(system.order());
    let mut last: Option<Last> = None;
    loop {
        match course.look() {
            Verdict::GoOn => {}
            Verdict::StartAgain => last = None,
            Verdict::End(ended) => return course.end(ended),
        }
        let was_fresh = last.is_none();
        last = vectors.step(system, hierarchy, &mut course.iterate, course.threshold, last);
        course.iterations += 1;
        if last.is_none() && was_fresh && course.iterate.norm > course.threshold {
            return course
                .end(Ended::Breakdown { quantity: "r̂ · A M⁻¹ p or s · A M⁻¹ s" });
        }
    }
}

/// Coefficients of BiCGStab's last step.
#[derive(Debug, Clone, Copy)]
struct Last {
    rho: f64,
    alpha: f64,
    omega: f64,
    /// `r̂ · r` of the present residual.
    rho_next: f64,
}

/// BiCGStab's vectors.
struct Directions {
    shadow: Vec<f64>,
    shadow_norm: f64,
    p: Vec<f64>,
    /// `M⁻¹ p` and `M⁻¹ s`.
    p_hat: Vec<f64>,
    s_hat: Vec<f64>,
    /// `A M⁻¹ p` and `A M⁻¹ s`.
    v: Vec<f64>,
    t: Vec<f64>,
}

impl Directions {
    fn new(n: usize) -> Self {
        let zeros = || huge_pages::zeros(n);
        let (shadow, p, p_hat, s_hat, v, t) =
            (zeros(), zeros(), zeros(), zeros(), zeros(), zeros());
        Self { shadow, shadow_norm: 0.0, p, p_hat, s_hat, v, t }
    }

    /// One iteration. None when the next one must start afresh: a quantity vanished, or `r` is small
    /// enough half-way.
    fn step(
        &mut self,
        system: &LinearSystem,
        hierarchy: &mut Hierarchy,
        iterate: &mut Iterate,
        threshold: f64,
        last: Option<Last>,
    ) -> Option<Last> {
        let rho = self.next_direction(iterate, last);
        hierarchy.apply(&self.p, &mut self.p_hat);
        let alpha = rho / system.rows().product_dot(&self.p_hat, &self.shadow, &mut self.v);
        if !alpha.is_finite() {
            return None;
        }
        // From here on iterate.r is s = r − α v.
        let half = kernel::add_scaled_square(&mut iterate.r, -alpha, &self.v);
        let half_norm = kernel::norm_from_square(half, &iterate.r);
        let mut omega = 0.0;
        if half_norm > threshold {
            hierarchy.apply(&iterate.r, &mut self.s_hat);
            let [s_t, t_t] = system.rows().product_two_dots(&self.s_hat, &iterate.r, &mut self.t);
            omega = s_t / t_t;
        }
        if omega == 0.0 || !omega.is_finite() {
            kernel::add_scaled(&mut iterate.x, alpha, &self.p_hat);
            iterate.track(half_norm);
            return None;
        }
        let [square, rho_next] = self.finish(alpha, omega, iterate);
        iterate.track(kernel::norm_from_square(square, &iterate.r));
        Some(Last { rho, alpha, omega, rho_next })
    }

    /// `p = r + β (p − ω v)`; returns `ρ = r̂ · r`. Starts afresh where the shadow has worn out.
    fn next_direction(&mut self, iterate: &Iterate, last: Option<Last>) -> f64 {
        let r = &iterate.r;
        if let Some(last) = last
            && last.rho_next.abs() > SHADOW_MIN * self.shadow_norm * iterate.norm
        {
            let beta = (last.rho_next / last.rho) * (last.alpha / last.omega);
            let (omega, v) = (last.omega, &self.v);
            kernel::fold_chunks(&mut self.p, 3 * r.len(), |start, p| {
                for (i, p) in (start..).zip(p) {
                    *p = r[i] + beta * (*p - omega * v[i]);
                }
                []
            });
            return last.rho_next;
        }
        self.shadow.copy_from_slice(r);
        self.p.copy_from_slice(r);
        self.shadow_norm = iterate.norm;
        kernel::dot(r, r)
    }

    /// `x += α M⁻¹ p + ω M⁻¹ s` and `r = s − ω t` in one pass; returns `r · r` and `r̂ · r`.
    fn finish(&self, alpha: f64, omega: f64, iterate: &mut Iterate) -> [f64; 2] {
        let Iterate { x, r, .. } = iterate;
        kernel::fold_chunks_pair(x, r, 4 * self.p.len(), |start, x, r| {
            let range = start..start + x.len();
            let (p_hat, s_hat) = (&self.p_hat[range.clone()], &self.s_hat[range.clone()]);
            let (t, shadow) = (&self.t[range.clone()], &self.shadow[range]);
            for i in 0..x.len() {
                x[i] += alpha * p_hat[i] + omega * s_hat[i];
                r[i] -= omega * t[i];
            }
            let r = &*r;
            let square = chunk_sum(r.len(), |i| r[i] * r[i]);
            [square, chunk_sum(r.len(), |i| shadow[i] * r[i])]
        })
    }
}

/// `z · r` and `z · q` in one pass.
fn two_dots(z: &[f64], r: &[f64], q: &[f64]) -> [f64; 2] {
    let chunks = z.chunks(kernel::CHUNK).zip(r.chunks(kernel::CHUNK)).zip(q.chunks(kernel::CHUNK));
    chunks.fold([0.0; 2], |sums, ((z, r), q)| {
        let (r, q) = (&r[..z.len()], &q[..z.len()]);
        let zr = chunk_sum(z.len(), |i| z[i] * r[i]);
        [sums[0] + zr, sums[1] + chunk_sum(z.len(), |i| z[i] * q[i])]
    })
}

/// `p = z + β p`.
fn combine(p: &mut [f64], z: &[f64], beta: f64) {
    kernel::fold_chunks(p, 2 * z.len(), |start, p| {
        let z = &z[start..start + p.len()];
        for (p, z) in p.iter_mut().zip(z) {
            *p = z + beta * *p;
        }
        []
    });
}
