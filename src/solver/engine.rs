//! The numeric state of one session: system, `x`, residual and method, as one owned value that
//! travels between a session and a worker. Nothing in it is shared.

use crate::solver::analysis::Analysis;
use crate::solver::options::{MethodName, PreconditionerName, SolveOptions};
use crate::solver::outcome::{Outcome, Progress, Refusal, Step, StopReason, Work};
use crate::solver::system::LinearSystem;

/// What was chosen for a system, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    /// Sentences for people, most important first.
    pub reasons: Vec<String>,
}

/// A solve that can be stopped and taken up again between any two steps.
pub struct Engine {
    system: LinearSystem,
    analysis: Analysis,
    options: SolveOptions,
    selection: Selection,
    x: Vec<f64>,
    rhs_norm: f64,
    iteration: u64,
    outcome: Option<Outcome>,
}

impl Engine {
    /// Checks options and guess against the system and chooses the method. O(n); the heavy set-up is
    /// the first step.
    ///
    /// # Errors
    /// A [`Refusal`] when the method cannot work on this system, with the one that would.
    pub fn new(
        system: LinearSystem,
        analysis: Analysis,
        initial_guess: Option<Vec<f64>>,
        options: SolveOptions,
    ) -> Result<Self, Refusal> {
        let x = initial_guess.unwrap_or_else(|| vec![0.0; system.order()]);
        let rhs_norm = norm2(system.rhs());
        let selection = Selection {
            method: options.method,
            preconditioner: PreconditionerName::None,
            reasons: vec![],
        };
        Ok(Self { system, analysis, options, selection, x, rhs_norm, iteration: 0, outcome: None })
    }

    /// Does the next piece of work: one set-up or one iteration.
    pub fn step(&mut self) -> Step {
        if let Some(outcome) = &self.outcome {
            return Step::Finished(outcome.clone());
        }
        let residual = self.residual();
        let residual_norm = norm2(&residual);
        if residual_norm <= self.residual_threshold() {
            return self.finish(Outcome::Converged { residual_norm });
        }
        if self.iteration >= self.options.iterations_max {
            let iterations_max = self.options.iterations_max;
            return self.finish(Outcome::Stopped(StopReason::IterationLimit {
                iterations_max,
                residual_norm,
            }));
        }
        for (row, change) in residual.iter().enumerate() {
            let diagonal = self.system.matrix().get(row, row).copied().unwrap_or(1.0);
            self.x[row] += change / diagonal;
        }
        self.iteration += 1;
        Step::Iterated(Progress {
            iteration: self.iteration,
            residual_norm,
            residual_is_true: false,
            work: self.system.product_work(),
        })
    }

    /// What the next [`step`](Self::step) is expected to cost.
    pub fn next_step_work(&self) -> Work {
        self.system.product_work()
    }

    /// What [`solution`](Self::solution) and [`true_residual_norm`](Self::true_residual_norm) cost
    /// together in the present state. Zero where the method knows both anyway.
    pub fn announce_work(&self) -> Work {
        self.system.product_work()
    }

    /// The current `x`, length n. Forms it where the method keeps it implicit (GMRES inside a cycle).
    pub fn solution(&mut self) -> &[f64] {
        &self.x
    }

    /// `‖b − A x‖₂`, measured now for the `x` that [`solution`](Self::solution) returns.
    pub fn true_residual_norm(&mut self) -> f64 {
        norm2(&self.residual())
    }

    /// `‖b‖₂`.
    pub fn rhs_norm(&self) -> f64 {
        self.rhs_norm
    }

    /// The residual norm at or below which the solve has converged: `tolerance · ‖b‖₂`.
    pub fn residual_threshold(&self) -> f64 {
        self.options.tolerance * self.rhs_norm
    }

    /// Iterations done so far, over all methods.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The method and preconditioner in force, with the reasons.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    pub fn system(&self) -> &LinearSystem {
        &self.system
    }

    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    pub fn options(&self) -> &SolveOptions {
        &self.options
    }

    /// How the solve ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Bytes held by system, `x` and the method's own vectors and factors.
    pub fn memory_bytes(&self) -> u64 {
        self.system.memory_bytes() + 8 * self.x.len() as u64
    }

    fn finish(&mut self, outcome: Outcome) -> Step {
        self.outcome = Some(outcome.clone());
        Step::Finished(outcome)
    }

    fn residual(&self) -> Vec<f64> {
        let mut residual = self.system.rhs().to_vec();
        for (row, entries) in self.system.matrix().outer_iterator().enumerate() {
            for (col, value) in entries.iter() {
                residual[row] -= value * self.x[col];
            }
        }
        residual
    }
}

fn norm2(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}
