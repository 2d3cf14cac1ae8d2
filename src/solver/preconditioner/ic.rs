//! Incomplete Cholesky without fill for `cg`. For a symmetric matrix ILU(0) in the form
//! `(I + L) D (I + U)` has `U = Lᵀ`, so IC(0) is ILU(0) with positive pivots.
//!
//! A positive definite matrix can still meet a non-positive pivot. Then `A + α diag(A)` is factorised
//! instead, with α from 10⁻³ upwards (Manteuffel 1980), and the preparation says so.

use crate::solver::iterate::Problem;
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, StopReason};
use crate::solver::preconditioner::ilu::{self, IncompleteFactor, Pivots};

/// Shifts that are tried in turn. With the last one every weakly dominant matrix is factorisable.
const SHIFTS: [f64; 6] = [0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// IC(0), shifted if need be.
///
/// # Errors
/// [`StopReason::Indefinite`] when even the largest shift leaves a non-positive pivot.
pub(super) fn factor(problem: &Problem) -> Result<(IncompleteFactor, Preparation), StopReason> {
    let mut work = crate::solver::outcome::Work::default();
    let mut evidence = String::new();
    for shift in SHIFTS {
        work += ilu::build_work(problem.rows);
        match IncompleteFactor::compute(problem.rows, shift, Pivots::Positive) {
            Ok(factor) => {
                let description = describe(&factor, shift, &evidence);
                return Ok((factor, Preparation { description, work }));
            }
            Err(bad) => {
                evidence = format!("pivot {} of IC(0) is {:.3e}", bad.row, bad.value);
            }
        }
    }
    let iteration = problem.iteration;
    Err(StopReason::Indefinite { method: MethodName::Cg, iteration, evidence })
}

fn describe(factor: &IncompleteFactor, shift: f64, evidence: &str) -> String {
    let entries = factor.entries();
    if shift == 0.0 {
        return format!("IC(0), {entries} entries");
    }
    format!("IC(0) of A + {shift} diag(A), {entries} entries, because without the shift {evidence}")
}
