//! The methods, each a struct with one `step()`, behind one closed enum. Owns the dispatch; the engine
//! decides when to stop, `hybrid` which method to take.

mod bicgstab;
mod cg;
pub(crate) mod cholesky;
pub(crate) mod direct;
mod fill;
mod gauss_seidel;
mod gmres;
pub(crate) mod hybrid;
mod jacobi;
mod pace;
pub(crate) mod separator;
mod stoppable;

use crate::solver::amg::Symmetry;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::options::{MethodName, PreconditionerName, SolveOptions};
use crate::solver::outcome::Work;
use crate::solver::preconditioner::{Blueprint, Diagonals};
use crate::solver::system::Rows;

use self::bicgstab::Bicgstab;
use self::cg::Cg;
use self::direct::{Direct, Shape};
use self::gauss_seidel::GaussSeidel;
use self::gmres::Gmres;
use self::hybrid::Candidate;
use self::jacobi::Jacobi;

/// The method in force with its vectors and factors.
#[derive(Debug)]
pub(crate) enum Method {
    Jacobi(Jacobi),
    GaussSeidel(GaussSeidel),
    Cg(Cg),
    Bicgstab(Bicgstab),
    Gmres(Gmres),
    Direct(Box<Direct>),
}

impl Method {
    /// The method a candidate names. O(1): vectors are allocated by the first step.
    pub fn of(candidate: &Candidate, options: &SolveOptions) -> Self {
        let blueprint = blueprint(candidate);
        match candidate.method {
            MethodName::Jacobi => Self::Jacobi(Jacobi::new(hybrid::damping(options))),
            MethodName::GaussSeidel => {
                Self::GaussSeidel(GaussSeidel::new(hybrid::damping(options), options.sweep))
            }
            MethodName::Cg => Self::Cg(Cg::new(blueprint, candidate.flops_max)),
            MethodName::Bicgstab => Self::Bicgstab(Bicgstab::new(blueprint, candidate.flops_max)),
            MethodName::Gmres => {
                Self::Gmres(Gmres::new(blueprint, options.restart, options.memory_bytes_max))
            }
            MethodName::Direct | MethodName::Hybrid => Self::Direct(Box::new(Direct::new(
                candidate.shape,
                options.memory_bytes_max,
                candidate.flops_max,
            ))),
        }
    }

    /// One set-up or one iteration.
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        match self {
            Self::Jacobi(method) => method.step(problem, iterate),
            Self::GaussSeidel(method) => method.step(problem, iterate),
            Self::Cg(method) => method.step(problem, iterate),
            Self::Bicgstab(method) => method.step(problem, iterate),
            Self::Gmres(method) => method.step(problem, iterate),
            Self::Direct(method) => method.step(problem, iterate),
        }
    }

    /// What the next [`step`](Self::step) is expected to cost.
    pub fn next_work(&self, problem: &Problem) -> Work {
        match self {
            Self::Jacobi(method) => method.next_work(problem),
            Self::GaussSeidel(method) => method.next_work(problem),
            Self::Cg(method) => method.next_work(problem),
            Self::Bicgstab(method) => method.next_work(problem),
            Self::Gmres(method) => method.next_work(problem),
            Self::Direct(method) => method.next_work(problem),
        }
    }

    /// Follows changes of the diagonal, where it is all that the set-up knows of `A`. O(changes).
    pub fn follow_diagonal(&mut self, rows: Rows, changed: &Diagonals) {
        match self {
            Self::Jacobi(method) => method.follow_diagonal(rows, changed),
            Self::GaussSeidel(method) => method.follow_diagonal(rows, changed),
            Self::Cg(method) => method.follow_diagonal(rows, changed),
            Self::Bicgstab(method) => method.follow_diagonal(rows, changed),
            Self::Gmres(method) => method.follow_diagonal(rows, changed),
            Self::Direct(_) => {}
        }
    }

    /// Whether the next [`step`](Self::step) is an iteration and no set-up.
    pub fn is_set_up(&self) -> bool {
        match self {
            Self::Jacobi(method) => method.is_set_up(),
            Self::GaussSeidel(method) => method.is_set_up(),
            Self::Cg(method) => method.is_set_up(),
            Self::Bicgstab(method) => method.is_set_up(),
            Self::Gmres(method) => method.is_set_up(),
            Self::Direct(method) => method.is_set_up(),
        }
    }

    /// Whether `iterate.x` lags behind the tracked norm (GMRES inside a cycle).
    pub fn holds_back(&self) -> bool {
        match self {
            Self::Gmres(method) => method.holds_back(),
            Self::Jacobi(_)
            | Self::GaussSeidel(_)
            | Self::Cg(_)
            | Self::Bicgstab(_)
            | Self::Direct(_) => false,
        }
    }

    /// Brings `x` and `r` up to date where the method holds them back.
    pub fn settle(&mut self, problem: &Problem, iterate: &mut Iterate) {
        match self {
            Self::Gmres(method) if method.holds_back() => method.close_cycle(problem, iterate),
            Self::Gmres(_)
            | Self::Jacobi(_)
            | Self::GaussSeidel(_)
            | Self::Cg(_)
            | Self::Bicgstab(_)
            | Self::Direct(_) => {}
        }
    }

    /// The current `x` where the method [holds it back](Self::holds_back).
    pub fn form_solution(&mut self, iterate: &Iterate) -> Vec<f64> {
        match self {
            Self::Gmres(method) => method.form_solution(iterate),
            Self::Jacobi(_)
            | Self::GaussSeidel(_)
            | Self::Cg(_)
            | Self::Bicgstab(_)
            | Self::Direct(_) => iterate.x.clone(),
        }
    }

    /// The work of [`form_solution`](Self::form_solution).
    pub fn form_work(&self, problem: &Problem) -> Work {
        match self {
            Self::Gmres(method) => method.form_work(problem),
            Self::Jacobi(_)
            | Self::GaussSeidel(_)
            | Self::Cg(_)
            | Self::Bicgstab(_)
            | Self::Direct(_) => Work::default(),
        }
    }

    /// `r` was measured afresh for the same `x`; conjugate directions stay.
    pub fn residual_replaced(&mut self) {
        match self {
            Self::Cg(method) => method.residual_replaced(),
            Self::Bicgstab(method) => method.residual_replaced(),
            Self::Gmres(method) => method.restart(),
            Self::Jacobi(_) | Self::GaussSeidel(_) | Self::Direct(_) => {}
        }
    }

    /// `x` or the claim about it was wrong: start again from `(x, r)`, keeping the set-up.
    pub fn restart(&mut self) {
        match self {
            Self::Cg(method) => method.restart(),
            Self::Bicgstab(method) => method.restart(),
            Self::Gmres(method) => method.restart(),
            Self::GaussSeidel(method) => method.restart(),
            Self::Jacobi(_) | Self::Direct(_) => {}
        }
    }

    /// Iterations without a new best residual after which the method counts as stalled.
    pub fn patience(&self, order: usize) -> u64 {
        match self {
            Self::Jacobi(_) | Self::GaussSeidel(_) => 200,
            // The residual norm of CG may wander for about √κ iterations before it falls.
            Self::Cg(_) => (order as u64).clamp(100, 2_000),
            Self::Bicgstab(_) => 300,
            // A cycle may make no progress before its last step, so two whole cycles are watched.
            Self::Gmres(method) => 2 * method.cycle() + 50,
            Self::Direct(_) => 3,
        }
    }

    /// What a factorisation or a hierarchy that is next takes at its peak beyond
    /// [`memory_bytes`](Self::memory_bytes).
    pub fn next_step_bytes(&self, problem: &Problem) -> u64 {
        match self {
            Self::Direct(method) => method.next_step_bytes(),
            Self::Cg(method) => method.next_step_bytes(problem),
            Self::Bicgstab(method) => method.next_step_bytes(problem),
            Self::Gmres(method) => method.next_step_bytes(problem),
            Self::Jacobi(_) | Self::GaussSeidel(_) => 0,
        }
    }

    /// Bytes of the method's own vectors and factors.
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::Jacobi(method) => method.memory_bytes(),
            Self::GaussSeidel(method) => method.memory_bytes(),
            Self::Cg(method) => method.memory_bytes(),
            Self::Bicgstab(method) => method.memory_bytes(),
            Self::Gmres(method) => method.memory_bytes(),
            Self::Direct(method) => method.memory_bytes(),
        }
    }
}

fn blueprint(candidate: &Candidate) -> Blueprint {
    let symmetry = match candidate.shape {
        Shape::SymmetricPositiveDiagonal | Shape::Symmetric => Symmetry::Symmetric,
        Shape::General => Symmetry::General,
    };
    Blueprint { name: candidate.preconditioner, symmetry }
}

/// Names that [`PreconditionerName::None`] and the others have in reasons.
pub(crate) fn with_preconditioner(
    method: MethodName,
    preconditioner: PreconditionerName,
) -> String {
    match preconditioner {
        PreconditionerName::None => method.to_string(),
        PreconditionerName::Jacobi | PreconditionerName::Ilu | PreconditionerName::Amg => {
            format!("{method} with {preconditioner}")
        }
    }
}
