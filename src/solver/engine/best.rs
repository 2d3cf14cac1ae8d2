//! The best measured state of a solve, kept so that a method that goes astray loses nothing.

use crate::solver::engine::Engine;

/// A measured state, in the engine's scale.
#[derive(Debug)]
pub(super) struct Best {
    pub x: Vec<f64>,
    pub norm: f64,
}

impl Engine {
    /// Remembers the present, measured state if it is the best so far.
    pub(super) fn keep_best(&mut self) {
        let norm = self.iterate.norm;
        if !norm.is_finite() || self.best.as_ref().is_some_and(|best| best.norm <= norm) {
            return;
        }
        match &mut self.best {
            Some(best) => {
                best.x.copy_from_slice(&self.iterate.x);
                best.norm = norm;
            }
            None => self.best = Some(Best { x: self.iterate.x.clone(), norm }),
        }
    }

    /// Takes back the best state if the present one is worse or not finite.
    pub(super) fn restore_best(&mut self) {
        let Some(best) = self.best.take() else { return };
        let worse = self.iterate.norm.is_nan() || self.iterate.norm > best.norm;
        if worse || self.iterate.x.iter().any(|x| !x.is_finite()) {
            self.iterate.x = best.x;
            let (problem, _, iterate) = self.parts();
            iterate.measure(&problem);
        }
        self.measured_norm = self.iterate.norm;
    }
}
