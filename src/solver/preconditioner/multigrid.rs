//! A cycle of algebraic multigrid as a preconditioner. Owns what its refusals mean to a solve; set-up and
//! cycle are `amg`'s.

use crate::solver::amg::{AmgRefusal, Hierarchy, Symmetry};
use crate::solver::iterate::{Advance, Problem};
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::{Preparation, StopReason};

/// Sets the levels up within what `vectors_bytes` leave of the memory.
///
/// # Errors
/// What the step reports instead: that the matrix is refused, or that the set-up was left off.
pub(super) fn hierarchy(
    method: MethodName,
    symmetry: Symmetry,
    vectors_bytes: u64,
    problem: &Problem,
) -> Result<(Hierarchy, Preparation), Advance> {
    let limit_bytes = problem.memory_bytes_max.saturating_sub(vectors_bytes);
    let built = Hierarchy::build_unless(problem.rows, symmetry, limit_bytes, problem.unwanted);
    let hierarchy = built.map_err(|refusal| refused(refusal, method, vectors_bytes, problem))?;
    let description = describe(&hierarchy);
    let work = Hierarchy::build_work(problem.rows.values.len() as u64);
    Ok((hierarchy, Preparation { description, work }))
}

fn describe(hierarchy: &Hierarchy) -> String {
    let levels = hierarchy.sizes();
    let coarsest = levels.last().map_or(0, |level| level.rows);
    format!(
        "multigrid of {} levels down to {coarsest} rows, {:.2} times the entries of A",
        levels.len(),
        hierarchy.operator_complexity()
    )
}

fn refused(
    refusal: AmgRefusal,
    method: MethodName,
    vectors_bytes: u64,
    problem: &Problem,
) -> Advance {
    let unsuited = |refusal: AmgRefusal| StopReason::Unsuited {
        preconditioner: PreconditionerName::Amg,
        evidence: refusal.to_string(),
    };
    Advance::Failed(match refusal {
        AmgRefusal::Unwanted => {
            let description = refusal.to_string();
            return Advance::Prepared(Preparation { description, work: problem.vector_work(1) });
        }
        AmgRefusal::OutOfMemoryBudget { needed_bytes, .. } => StopReason::OutOfMemoryBudget {
            needed_bytes: needed_bytes.saturating_add(vectors_bytes),
            limit_bytes: problem.memory_bytes_max,
        },
        // Both prove, up to the rounding of f32, that A is not positive definite.
        AmgRefusal::Indefinite { .. } | AmgRefusal::OffDiagonal { .. }
            if method == MethodName::Cg =>
        {
            let evidence = refusal.to_string();
            StopReason::Indefinite { method, iteration: problem.iteration, evidence }
        }
        AmgRefusal::Indefinite { .. }
        | AmgRefusal::OffDiagonal { .. }
        | AmgRefusal::Diagonal { .. }
        | AmgRefusal::PositiveOffDiagonals { .. }
        | AmgRefusal::Singular { .. }
        | AmgRefusal::Densified { .. } => unsuited(refusal),
    })
}
