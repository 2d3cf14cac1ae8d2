//! What the caller sees of the iterate: `x` in the caller's scale, always finite, and the residual norm
//! of that very `x`.
//!
//! The iterate itself may be in another scale, lag behind its norm (GMRES inside a cycle) or lie
//! outside the range of f64 when it is brought back. The residual that is announced is always the one
//! of the `x` that is announced.

use crate::solver::engine::Engine;
use crate::solver::iterate::Iterate;
use crate::solver::method::Method;
use crate::solver::outcome::Work;
use crate::solver::probe::{Probed, look_at};

/// A state as the caller sees it.
#[derive(Debug)]
pub(super) struct Announced {
    x: Vec<f64>,
    norm: f64,
}

impl Announced {
    pub fn len(&self) -> usize {
        self.x.len()
    }
}

impl Engine {
    /// What [`solution`](Self::solution) and [`true_residual_norm`](Self::true_residual_norm) cost
    /// together in the present state. Zero where the method knows both anyway.
    pub fn announce_work(&self) -> Work {
        let problem = self.problem();
        if self.method.holds_back() {
            return self.method.form_work(&problem) + problem.product_work();
        }
        if self.iterate.is_true { Work::default() } else { problem.product_work() }
    }

    /// The current `x`, length n, always finite. Forms it where the method keeps it implicit (GMRES inside
    /// a cycle). Entries beyond the largest f64 are cut off there.
    pub fn solution(&mut self) -> &[f64] {
        if self.iterate_is_announced() {
            return &self.iterate.x;
        }
        &self.announce().x
    }

    /// `‖b − A x‖₂`, measured now for the `x` that [`solution`](Self::solution) returns. Always finite.
    pub fn true_residual_norm(&mut self) -> f64 {
        if self.iterate_is_announced() && self.iterate.is_true {
            return self.iterate.norm;
        }
        self.announce().norm
    }

    /// Frees what only further steps would need, for good; what is announced stays.
    pub fn retire(&mut self) {
        let x = self.solution().to_vec();
        let norm = self.true_residual_norm();
        self.method = Method::of(&self.candidate, &self.options);
        self.iterate = Iterate { x, r: vec![], norm, is_true: true };
        (self.scaled, self.best, self.announced, self.watch) = (None, None, None, None);
    }

    /// Rows of the system as it was given, looked at afresh with the `x` that
    /// [`solution`](Self::solution) returns. Forms that where it is not at hand; then O(its entries) a row.
    /// No residual of single rows is kept.
    pub fn probe(&mut self) -> impl Fn(usize) -> Probed + '_ {
        let is_iterate = self.iterate_is_announced();
        if !is_iterate {
            self.announce();
        }
        let this = &*self;
        let announced = this.announced.as_ref().filter(|_| !is_iterate);
        let x = announced.map_or(&this.iterate.x, |announced| &announced.x);
        let (rows, rhs) = (this.system.rows(), this.system.rhs());
        move |row| {
            let (columns, values) = rows.row(row);
            let products =
                columns.iter().zip(values).map(|(&col, &value)| (value, x[col as usize]));
            let is_intact = this.is_intact(row, rows, rhs[row]);
            Probed { is_intact, ..look_at(row, rhs[row], products) }
        }
    }

    /// Whether the caller sees the iterate's own `x`.
    fn iterate_is_announced(&self) -> bool {
        let same = self.scaled.is_none() && !self.method.holds_back();
        // A measured residual of finite norm has a finite x.
        same && (self.iterate.is_true || self.iterate.x.iter().all(|x| x.is_finite()))
    }

    fn announce(&mut self) -> &Announced {
        if self.announced.is_none() {
            let formed = self.method.form_solution(&self.iterate);
            let best = || self.best.as_ref().and_then(|best| self.seen(best.x.clone()));
            let announced = self.seen(formed).or_else(best).unwrap_or_else(|| self.zero());
            self.announced = Some(announced);
        }
        self.announced.as_ref().expect("formed just now")
    }

    /// How the caller sees `x`, given in the engine's scale; none when it or its residual is not finite.
    fn seen(&self, mut x: Vec<f64>) -> Option<Announced> {
        if x.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let moved = self.round_to_range(&mut x).moved;
        let norm = if moved || self.method.holds_back() || !self.iterate.is_true {
            let problem = self.problem();
            problem.rows.residual(&x, problem.rhs, &mut vec![0.0; x.len()])
        } else {
            self.iterate.norm
        };
        if self.scaled.is_some() {
            x.iter_mut().for_each(|x| *x = self.outward(*x));
        }
        norm.is_finite().then(|| Announced { x, norm: self.scaling.unscale_norm(norm) })
    }

    fn zero(&self) -> Announced {
        Announced { x: vec![0.0; self.system.order()], norm: self.rhs_norm }
    }

    /// `x` from `x̂`, cut off at the largest f64.
    fn outward(&self, x: f64) -> f64 {
        self.scaling.unscale_x(x).clamp(f64::MIN, f64::MAX)
    }

    /// Replaces each `x̂` by the nearest one that f64 holds in the caller's scale.
    fn round_to_range(&self, x: &mut [f64]) -> Rounding {
        let mut rounding = Rounding::default();
        if self.scaled.is_none() {
            return rounding;
        }
        for x in x {
            let back = self.scaling.scale_x(self.outward(*x));
            rounding.moved |= back != *x;
            rounding.overflowed |= !self.scaling.unscale_x(*x).is_finite();
            *x = back;
        }
        rounding
    }

    /// Moves the settled iterate to what the caller will see of it and measures it there. True when an
    /// entry exceeds the largest f64.
    pub(super) fn fit_to_range(&mut self) -> bool {
        let mut x = std::mem::take(&mut self.iterate.x);
        let rounding = self.round_to_range(&mut x);
        self.iterate.x = x;
        if rounding.moved {
            let (problem, _, iterate) = self.parts();
            iterate.measure(&problem);
        }
        rounding.overflowed
    }
}

/// What bringing `x̂` into the caller's range changed.
#[derive(Debug, Default)]
struct Rounding {
    moved: bool,
    overflowed: bool,
}
