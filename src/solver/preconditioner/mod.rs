//! Preconditioners: cheap approximations `M` of `A` whose inverse is applied to a residual. Owns the
//! choice between them; which one suits a system is decided in `method::hybrid`.

mod ic;
mod ilu;
mod jacobi;

use crate::solver::iterate::Problem;
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::{Preparation, StopReason, Work};

pub(crate) use ilu::IncompleteFactor;
pub(crate) use jacobi::inverse_diagonal;

/// `M⁻¹`, set up for one `A`.
#[derive(Debug)]
pub(crate) enum Preconditioner {
    Identity,
    /// The inverse of the diagonal.
    Jacobi(Vec<f64>),
    /// ILU(0) or IC(0).
    Incomplete(IncompleteFactor),
}

impl Preconditioner {
    /// Sets `M` up for `method`: IC(0) inside `cg`, ILU(0) elsewhere. O(nnz) times the row length.
    ///
    /// # Errors
    /// [`StopReason::OutOfMemoryBudget`] before anything is allocated, when `M` and the method's vectors
    /// would not fit; a pivot vanished, or IC(0) found `A` too far from positive definite.
    pub fn build(
        name: PreconditionerName,
        method: MethodName,
        problem: &Problem,
    ) -> Result<(Self, Preparation), StopReason> {
        let vectors = vectors_of(method, name) * 8 * problem.order() as u64;
        let needed_bytes = Self::predicted_bytes(name, problem).saturating_add(vectors);
        let limit_bytes = problem.memory_bytes_max;
        if needed_bytes > limit_bytes {
            return Err(StopReason::OutOfMemoryBudget { needed_bytes, limit_bytes });
        }
        let pass = problem.vector_work(1);
        let described =
            |description: &str, work| Preparation { description: description.to_owned(), work };
        match (name, method) {
            (PreconditionerName::None, _) => {
                Ok((Self::Identity, described("no preconditioner", Work::default())))
            }
            (PreconditionerName::Jacobi, _) => Ok((
                Self::Jacobi(inverse_diagonal(problem.rows)),
                described("inverse diagonal", pass),
            )),
            (PreconditionerName::Ilu, MethodName::Cg) => {
                let (factor, preparation) = ic::factor(problem)?;
                Ok((Self::Incomplete(factor), preparation))
            }
            (PreconditionerName::Ilu, _) => {
                let (factor, preparation) = ilu::factor(method, problem)?;
                Ok((Self::Incomplete(factor), preparation))
            }
        }
    }

    /// What [`memory_bytes`](Self::memory_bytes) will be once `M` is set up. O(1), or O(n) for ILU.
    pub fn predicted_bytes(name: PreconditionerName, problem: &Problem) -> u64 {
        match name {
            PreconditionerName::None => 0,
            PreconditionerName::Jacobi => 8 * problem.order() as u64,
            PreconditionerName::Ilu => ilu::predicted_bytes(problem.rows),
        }
    }

    /// What [`build`](Self::build) is expected to cost.
    pub fn build_work(name: PreconditionerName, problem: &Problem) -> Work {
        match name {
            PreconditionerName::None => Work::default(),
            PreconditionerName::Jacobi => problem.vector_work(1),
            PreconditionerName::Ilu => ilu::build_work(problem.rows),
        }
    }

    /// `z = M⁻¹ r`.
    pub fn apply(&self, r: &[f64], z: &mut [f64]) {
        match self {
            Self::Identity => z.copy_from_slice(r),
            Self::Jacobi(inverse) => jacobi::apply(inverse, r, z),
            Self::Incomplete(factor) => factor.solve(r, z),
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
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::Identity => 0,
            Self::Jacobi(inverse) => 8 * inverse.len() as u64,
            Self::Incomplete(factor) => factor.memory_bytes(),
        }
    }
}

/// How many vectors of length n a method keeps beside `x`, `r` and `M`. The basis of GMRES is its own
/// to predict, because it can be shortened.
fn vectors_of(method: MethodName, name: PreconditionerName) -> u64 {
    let incomplete = name == PreconditionerName::Ilu;
    match method {
        MethodName::Cg => 2 + u64::from(incomplete),
        MethodName::Bicgstab => 4 + 2 * u64::from(name != PreconditionerName::None),
        MethodName::Jacobi
        | MethodName::GaussSeidel
        | MethodName::Gmres
        | MethodName::Direct
        | MethodName::Hybrid => 0,
    }
}
