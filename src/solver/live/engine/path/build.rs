//! The set-ups of a path: its plan, its factor, and the factor made anew. Pure functions of a matrix, run
//! on the live one or, in the background, on a snapshot of it.

use std::sync::atomic::AtomicBool;

use super::waiting::FLOPS_PER_ENTRY;
use super::{FLOPS_MAX, touching};
use crate::solver::method::separator;
use crate::solver::outcome::{Preparation, Work};
use crate::solver::path::{PathEngine, PathForecast, PathLimits, PathPlan, PathRefusal};
use crate::solver::system::Rows;

/// A factorisation costs about this many times its widest front (see `method::hybrid`).
const FRONTS: f64 = 16.0;

/// Entries touched, in passes over `A`, by ordering and counting.
pub(super) const PLAN_PASSES: u64 = 60;

/// Bytes that ordering and counting take for each entry of `A` and for each row, about.
const ORDERING_ENTRY_BYTES: u64 = 36;
const ORDERING_ROW_BYTES: u64 = 64;

/// What is to be set up next.
#[derive(Debug)]
pub(in crate::solver::live::engine) enum PathTask {
    Plan(PathLimits),
    Factor(Box<PathPlan>),
    /// The same structure, other values. The factor that it had is outdated.
    Renewal(Box<PathEngine>, PathForecast),
}

/// What was set up.
#[derive(Debug)]
pub(in crate::solver::live::engine) enum PathParts {
    Plan(Box<PathPlan>),
    Factor(Box<PathEngine>, PathForecast),
}

impl PathTask {
    /// Sets up for the matrix `rows` and the right-hand side `rhs`.
    ///
    /// # Errors
    /// See [`PathRefusal`]; `Unwanted` as soon as the flag is set during a factorisation. An ordering
    /// cannot be left off.
    pub fn run(
        self,
        rows: Rows,
        rhs: &[f64],
        unwanted: &AtomicBool,
    ) -> Result<(PathParts, Preparation), PathRefusal> {
        match self {
            Self::Plan(limits) => plan(rows, limits),
            Self::Factor(plan) => {
                let forecast = plan.forecast();
                let engine = PathEngine::factor_unless(*plan, rows, rhs, unwanted)?;
                let negative = engine.negative_pivots();
                let entries = forecast.entries;
                let description =
                    format!("path engine: {entries} entries, {negative} negative pivots");
                let work = factorising(&forecast);
                let parts = PathParts::Factor(Box::new(engine), forecast);
                Ok((parts, Preparation { description, work }))
            }
            Self::Renewal(mut engine, forecast) => {
                engine.refactorise_unless(rows, rhs, unwanted)?;
                let description = "path engine: factorised anew".to_owned();
                let work = factorising(&forecast);
                Ok((PathParts::Factor(engine, forecast), Preparation { description, work }))
            }
        }
    }

    /// What it is foreseen to take.
    pub fn work(&self, nonzeros: u64) -> Work {
        match self {
            Self::Plan(_) => touching(PLAN_PASSES * nonzeros),
            Self::Factor(plan) => factorising(&plan.forecast()),
            Self::Renewal(_, forecast) => factorising(forecast),
        }
    }

    /// Bytes that it holds at its peak, what it has been given included.
    pub fn peak_bytes(&self, order: usize, nonzeros: usize) -> u64 {
        match self {
            Self::Plan(_) => ordering_bytes(order, nonzeros),
            Self::Factor(plan) => plan.forecast().peak_bytes,
            Self::Renewal(_, forecast) => forecast.peak_bytes,
        }
    }
}

impl PathParts {
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::Plan(plan) => plan_bytes(&plan.forecast()),
            Self::Factor(engine, _) => engine.memory_bytes(),
        }
    }
}

fn plan(rows: Rows, limits: PathLimits) -> Result<(PathParts, Preparation), PathRefusal> {
    refuse_wide(rows)?;
    let plan = PathPlan::of(rows, limits)?;
    let PathForecast { entries, path_entries_mean, .. } = plan.forecast();
    let description =
        format!("plan of a path engine: {entries} entries, {path_entries_mean:.0} on a path");
    let work = touching(PLAN_PASSES * rows.values.len() as u64);
    Ok((PathParts::Plan(Box::new(plan)), Preparation { description, work }))
}

/// Bytes that a plan takes while it is made.
pub(super) fn ordering_bytes(order: usize, nonzeros: usize) -> u64 {
    ORDERING_ENTRY_BYTES * nonzeros as u64 + ORDERING_ROW_BYTES * order as u64
}

/// Bytes of a plan that has no factor yet.
pub(super) fn plan_bytes(forecast: &PathForecast) -> u64 {
    forecast.memory_bytes / 2
}

pub(super) fn factorising(forecast: &PathForecast) -> Work {
    let nonzeros = (forecast.flops / FLOPS_PER_ENTRY) as u64 + 6 * forecast.entries;
    Work { nonzeros, flops: forecast.flops as u64 }
}

/// Refuses a graph that is so wide that the ordering alone would take long.
fn refuse_wide(rows: Rows) -> Result<(), PathRefusal> {
    if rows.count() < separator::ORDER_MIN {
        return Ok(());
    }
    let width_max = (3.0 * FLOPS_MAX / FRONTS).cbrt();
    let width = separator::quick_front(rows, width_max as usize) as f64;
    match width > width_max {
        true => {
            let flops = FRONTS / 3.0 * width.powi(3);
            Err(PathRefusal::OutOfWorkBudget { flops, limit: FLOPS_MAX })
        }
        false => Ok(()),
    }
}
