//! A solve taken apart, for whoever goes on with its system: a live engine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::analysis::Analysis;
use crate::solver::engine::{Engine, Selection};
use crate::solver::method::Method;
use crate::solver::method::hybrid::Candidate;
use crate::solver::options::SolveOptions;
use crate::solver::system::LinearSystem;

/// The parts of a solve, with the best `x` it knew.
pub(crate) struct Handover {
    pub system: LinearSystem,
    pub analysis: Analysis,
    pub options: SolveOptions,
    pub selection: Selection,
    pub candidate: Candidate,
    pub candidates: VecDeque<Candidate>,
    /// With the preconditioner or factor that it has.
    pub method: Method,
    /// Length n, finite.
    pub x: Vec<f64>,
    pub iteration: u64,
    pub unwanted: Arc<AtomicBool>,
}

impl Engine {
    /// Whether system and solve are in the caller's own scale, as a [`Handover`] must be.
    pub(crate) fn is_unscaled(&self) -> bool {
        self.scaled.is_none()
    }

    /// Takes the solve apart, in whatever state it is. One product at most.
    pub(crate) fn hand_over(mut self) -> Handover {
        if self.outcome.is_none() {
            self.settle();
            self.restore_best();
        }
        let mut x = std::mem::take(&mut self.iterate.x);
        if x.iter().any(|x| !x.is_finite()) {
            x.fill(0.0);
        }
        self.method.restart();
        Handover {
            system: self.system,
            analysis: self.analysis,
            options: self.options,
            selection: self.selection,
            candidate: self.candidate,
            candidates: self.candidates,
            method: self.method,
            x,
            iteration: self.iteration,
            unwanted: self.unwanted,
        }
    }
}
