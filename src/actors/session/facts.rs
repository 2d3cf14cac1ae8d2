//! What a session knows of its system and method, and the frames that say it.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::messages::SolutionState;
use crate::actors::solve::{LiveReport, Solve, StateReport};
use crate::ids::SystemVersion;
use crate::protocol::frame::{
    EngineUpdate, IterationUpdate, LiveUpdate, Performance, SessionOpened, SettledVersion,
    Solution, Warning, XPartial,
};
use crate::solver::analysis::Analysis;
use crate::solver::change_tracker::Changes;
use crate::solver::engine::Engine;
use crate::solver::options::{MethodName, PreconditionerName};

/// What does not change while the session runs, apart from the method in force.
pub struct Facts {
    pub analysis: Arc<Analysis>,
    pub unknowns: usize,
    pub nonzeros: usize,
    pub tolerance: f64,
    pub rhs_norm: f64,
    pub residual_threshold: f64,
    pub iterations_max: u64,
    pub method_requested: MethodName,
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    pub reasons: Vec<String>,
}

impl Facts {
    pub fn of(engine: &Engine) -> Self {
        Self {
            analysis: Arc::new(engine.analysis().clone()),
            unknowns: engine.system().order(),
            nonzeros: engine.system().nonzeros(),
            tolerance: engine.options().tolerance,
            rhs_norm: engine.rhs_norm(),
            residual_threshold: engine.residual_threshold(),
            iterations_max: engine.options().iterations_max,
            method_requested: engine.options().method,
            method: engine.selection().method,
            preconditioner: engine.selection().preconditioner,
            reasons: engine.selection().reasons.clone(),
        }
    }

    /// Takes over what changes of the system have made of it.
    pub fn follow(&mut self, solve: &Solve) {
        self.method = solve.selection().method;
        self.preconditioner = solve.selection().preconditioner;
        self.rhs_norm = solve.rhs_norm();
        self.residual_threshold = solve.residual_threshold();
        self.nonzeros = solve.size().1;
    }

    /// A residual norm against `‖b‖₂`, or itself where `b = 0`.
    pub fn relative(&self, residual_norm: f64) -> f64 {
        let scale = if self.rhs_norm > 0.0 { self.rhs_norm } else { 1.0 };
        // A huge guess against a tiny `b`: the quotient may leave the range of f64.
        (residual_norm / scale).min(f64::MAX)
    }

    /// What the first frame says.
    pub fn opened(
        &self,
        time_budget: Option<Duration>,
        memory_usage_mb: f64,
        warnings: Vec<Warning>,
    ) -> SessionOpened {
        SessionOpened {
            analysis: Arc::clone(&self.analysis),
            method_requested: self.method_requested,
            method: self.method,
            preconditioner: self.preconditioner,
            reasons: self.reasons.clone(),
            tolerance: self.tolerance,
            residual_threshold: self.residual_threshold,
            rhs_norm: self.rhs_norm,
            max_iterations: self.iterations_max,
            time_budget_ms: time_budget.map(|budget| budget.as_millis() as u64),
            memory_usage_mb,
            warnings,
        }
    }

    /// What an iteration update says of a state; `rate` as it was observed.
    pub fn update(
        &self,
        state: StateReport,
        convergence_rate: Option<f64>,
        memory_usage_mb: f64,
    ) -> IterationUpdate {
        let Changes { indices, values, before } = state.changes;
        IterationUpdate {
            iteration: state.iteration,
            x_partial: XPartial { indices, values, before },
            residual_norm: state.residual_norm,
            relative_residual: self.relative(state.residual_norm),
            convergence_rate,
            skipped: 0,
            withheld: 0,
            performance: Performance {
                iteration_time_ms: milliseconds(state.iteration_time),
                memory_usage_mb,
                flops: state.flops,
            },
            live: state.live.map(live_update),
            verification: None,
        }
    }
}

fn live_update(live: LiveReport) -> LiveUpdate {
    let LiveReport { drain, error_bound, is_settled, settlement } = live;
    LiveUpdate {
        converged: is_settled,
        settled: settlement.map(|settlement| SettledVersion {
            version: SystemVersion(settlement.version),
            residual_norm: settlement.residual_norm,
        }),
        engine: drain.engine.map(|name| EngineUpdate {
            name,
            predicted_ms: milliseconds(drain.predicted),
            took_ms: milliseconds(drain.took),
            touched_entries: drain.touched_entries,
        }),
        error_bound,
    }
}

/// A state as a frame carries it; shares `x`.
pub fn solution_of(state: &SolutionState) -> Solution {
    Solution {
        iteration: state.iteration,
        residual_norm: state.residual_norm,
        relative_residual: state.relative_residual,
        converged: state.converged,
        error_bound: state.error_bound,
        x: Arc::clone(&state.x),
    }
}

/// A length of time in the unit of the wire.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
