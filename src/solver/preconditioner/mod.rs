//! Preconditioners: cheap approximations `M` of `A` whose inverse is applied to a residual. Owns the
//! choice between them; which one suits a system is decided in `method::hybrid`.

mod ic;
mod ilu;
mod jacobi;
mod multigrid;

use crate::solver::amg::{Hierarchy, Symmetry};
use crate::solver::iterate::{Advance, Problem};
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::{Preparation, StopReason, Work};
use crate::solver::system::Rows;

pub(crate) use ilu::IncompleteFactor;
pub(crate) use jacobi::{Diagonals, follow_diagonal, inverse_diagonal};

/// Which `M` to set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blueprint {
    pub name: PreconditionerName,
    /// What is known of `A`.
    pub symmetry: Symmetry,
}

/// `M⁻¹`, set up for one `A`.
#[derive(Debug)]
pub(crate) enum Preconditioner {
    Identity,
    /// The inverse of the diagonal.
    Jacobi(Vec<f64>),
    /// ILU(0) or IC(0).
    Incomplete(IncompleteFactor),
    /// A cycle. Its rounding to f32 makes it a slightly different operator for each `r`.
    Multigrid(Box<Hierarchy>),
}

impl Preconditioner {
    /// Sets `M` up for `method`: IC(0) inside `cg`, ILU(0) elsewhere. O(nnz) times the row length.
    ///
    /// # Errors
    /// What the step is to report instead: [`StopReason::OutOfMemoryBudget`] before what does not fit
    /// beside the method's vectors is allocated; a pivot vanished, IC(0) found `A` too far from positive
    /// definite, multigrid does not suit it; or nobody wanted it any more.
    pub fn build(
        blueprint: Blueprint,
        method: MethodName,
        problem: &Problem,
    ) -> Result<(Self, Preparation), Advance> {
        let Blueprint { name, symmetry } = blueprint;
        let vectors_bytes = vectors_of(method, name) * 8 * problem.order() as u64;
        let described =
            |description: &str, work| Preparation { description: description.to_owned(), work };
        // Multigrid asks for its memory piece by piece.
        if name != PreconditionerName::Amg {
            blueprint.check_memory(vectors_bytes, problem).map_err(Advance::Failed)?;
        }
        match (name, method) {
            (PreconditionerName::None, _) => {
                Ok((Self::Identity, described("no preconditioner", Work::default())))
            }
            (PreconditionerName::Jacobi, _) => Ok((
                Self::Jacobi(inverse_diagonal(problem.rows)),
                described("inverse diagonal", problem.vector_work(1)),
            )),
            (PreconditionerName::Ilu, MethodName::Cg) => {
                let (factor, preparation) = ic::factor(problem).map_err(Advance::Failed)?;
                Ok((Self::Incomplete(factor), preparation))
            }
            (PreconditionerName::Ilu, _) => {
                let (factor, preparation) =
                    ilu::factor(method, problem).map_err(Advance::Failed)?;
                Ok((Self::Incomplete(factor), preparation))
            }
            (PreconditionerName::Amg, _) => {
                let (hierarchy, preparation) =
                    multigrid::hierarchy(method, symmetry, vectors_bytes, problem)?;
                Ok((Self::Multigrid(Box::new(hierarchy)), preparation))
            }
        }
    }

    /// `z = M⁻¹ r`.
    pub fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        match self {
            Self::Identity => z.copy_from_slice(r),
            Self::Jacobi(inverse) => jacobi::apply(inverse, r, z),
            Self::Incomplete(factor) => factor.solve(r, z),
            Self::Multigrid(hierarchy) => hierarchy.apply(r, z),
        }
    }

    /// Follows changes of the diagonal, where it is all that `M` knows of `A`.
    pub fn follow_diagonal(&mut self, rows: Rows, changed: &Diagonals) {
        match self {
            Self::Jacobi(inverse) => jacobi::follow_diagonal(inverse, 1.0, rows, changed),
            Self::Identity | Self::Incomplete(_) | Self::Multigrid(_) => {}
        }
    }

    /// The work of one [`apply`](Self::apply).
    pub fn apply_work(&self) -> Work {
        match self {
            Self::Identity => Work::default(),
            Self::Jacobi(inverse) => {
                Work { nonzeros: inverse.len() as u64, flops: inverse.len() as u64 }
            }
            Self::Incomplete(factor) => factor.solve_work(),
            Self::Multigrid(hierarchy) => hierarchy.apply_work(),
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::Identity => 0,
            Self::Jacobi(inverse) => 8 * inverse.len() as u64,
            Self::Incomplete(factor) => factor.memory_bytes(),
            Self::Multigrid(hierarchy) => hierarchy.memory_bytes(),
        }
    }
}

impl Blueprint {
    /// What [`memory_bytes`](Preconditioner::memory_bytes) will be once `M` is set up; about, for
    /// multigrid. O(1), or O(n) for ILU.
    pub fn predicted_bytes(self, problem: &Problem) -> u64 {
        match self.name {
            PreconditionerName::None => 0,
            PreconditionerName::Jacobi => 8 * problem.order() as u64,
            PreconditionerName::Ilu => ilu::predicted_bytes(problem.rows),
            PreconditionerName::Amg => Hierarchy::predicted_bytes(problem.rows.values.len() as u64),
        }
    }

    fn check_memory(self, vectors_bytes: u64, problem: &Problem) -> Result<(), StopReason> {
        let needed_bytes = self.predicted_bytes(problem).saturating_add(vectors_bytes);
        let limit_bytes = problem.memory_bytes_max;
        match needed_bytes > limit_bytes {
            true => Err(StopReason::OutOfMemoryBudget { needed_bytes, limit_bytes }),
            false => Ok(()),
        }
    }

    /// What the set-up takes at its peak, where that is more than what remains of it.
    pub fn peak_bytes(self, problem: &Problem) -> u64 {
        match self.name {
            PreconditionerName::None | PreconditionerName::Jacobi | PreconditionerName::Ilu => 0,
            PreconditionerName::Amg => {
                let nonzeros = problem.rows.values.len() as u64;
                Hierarchy::predicted_peak_bytes(nonzeros).min(problem.memory_bytes_max)
            }
        }
    }

    /// What [`build`](Preconditioner::build) is expected to cost.
    pub fn build_work(self, problem: &Problem) -> Work {
        match self.name {
            PreconditionerName::None => Work::default(),
            PreconditionerName::Jacobi => problem.vector_work(1),
            PreconditionerName::Ilu => ilu::build_work(problem.rows),
            PreconditionerName::Amg => Hierarchy::build_work(problem.rows.values.len() as u64),
        }
    }

    /// Whether `M` is a slightly different operator for each vector, so that a method must not rely on
    /// what `M⁻¹` did to another one.
    pub fn is_variable(self) -> bool {
        self.name == PreconditionerName::Amg
    }
}

/// How many vectors of length n a method keeps beside `x`, `r` and `M`. The basis of GMRES is its own
/// to predict, because it can be shortened.
fn vectors_of(method: MethodName, name: PreconditionerName) -> u64 {
    let keeps_z = matches!(name, PreconditionerName::Ilu | PreconditionerName::Amg);
    match method {
        MethodName::Cg => 2 + u64::from(keeps_z),
        MethodName::Bicgstab => 4 + 2 * u64::from(name != PreconditionerName::None),
        MethodName::Jacobi
        | MethodName::GaussSeidel
        | MethodName::Gmres
        | MethodName::Direct
        | MethodName::Hybrid => 0,
    }
}
