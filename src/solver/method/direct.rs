//! Sparse factorisation and iterative refinement, on faer: LLᵀ, LDLᵀ and LU.
//!
//! A symmetric matrix with a positive diagonal is tried as LLᵀ; a non-positive pivot proves that it is
//! not positive definite, and LDLᵀ on the same symbolic factor follows. LDLᵀ does not pivot, so when
//! refinement shows that it is not accurate, LU with partial pivoting takes over. Factorisations run on
//! one thread: faer's parallel products split by thread count, which would change the last bits.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::ldlt::factor::LdltRegularization;
use faer::linalg::cholesky::llt::factor::LltRegularization;
use faer::sparse::linalg::cholesky::{
    CholeskySymbolicParams, LdltRef, LltRef, SymbolicCholesky, SymmetricOrdering,
    factorize_symbolic_cholesky,
};
use faer::sparse::linalg::lu::{
    LuRef, LuSymbolicParams, NumericLu, SymbolicLu, factorize_symbolic_lu,
};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par, Side};

use crate::solver::assembly;
use crate::solver::iterate::{Advance, Iterate, Problem};
use crate::solver::kernel;
use crate::solver::method::fill::{self, Fill};
use crate::solver::method::separator;
use crate::solver::method::stoppable::{Stoppable, unless_unwanted};
use crate::solver::options::MethodName;
use crate::solver::outcome::{Preparation, StopReason, Work};
use crate::solver::residual;
use crate::solver::system::{CsrMatrix, Rows};

/// A refinement that leaves more than this of the residual no longer helps.
const STUCK: f64 = 0.5;

/// A matrix with a larger condition number has no digits left in f64.
const CONDITION_MAX: f64 = 1e15;

/// From this condition number on a matrix whose solution has no digits may be singular.
const CONDITION_SUSPECT: f64 = 1e13;

/// A matrix is called singular only if a relative change of its entries up to this makes it so. A
/// graded triangular matrix is never that close.
const CHANGE_MAX: f64 = 1e-8;

/// What the analysis knows about the matrix that decides the factorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Symmetric with a positive diagonal: may be positive definite.
    SymmetricPositiveDiagonal,
    Symmetric,
    General,
}

/// `A = L Lᵀ`, `L D Lᵀ` or `L U` with a fill-reducing ordering, then `x ← x + A⁻¹ r` until the measured
/// residual meets the tolerance.
///
/// Each solve counts as one iteration and measures `r`. Set-up takes two steps or more: symbolic (which
/// predicts fill and refuses what does not fit), numeric, and another numeric one for each fall-back.
///
/// # Errors
/// [`StopReason::OutOfMemoryBudget`] before anything large is allocated, [`StopReason::Singular`] when
/// a pivot vanishes in LU or a tiny change of the entries would make it vanish,
/// [`StopReason::PrecisionLimit`] when rounding of the solution alone explains the residual.
#[derive(Debug)]
pub(crate) struct Direct {
    shape: Shape,
    memory_bytes_max: u64,
    /// Refuse to factorise above this; infinite when nothing else is left to try.
    flops_max: f64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Unordered,
    Symmetric { symbolic: SymbolicCholesky<u32>, fill: Fill, kind: Symmetric },
    General { matrix: CsrMatrix, symbolic: SymbolicLu<u32>, fill: Fill },
    Factored(Factor),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symmetric {
    Llt,
    Ldlt,
}

#[derive(Debug)]
enum Factor {
    Symmetric { symbolic: SymbolicCholesky<u32>, values: Vec<f64>, kind: Symmetric, fill: Fill },
    General { symbolic: SymbolicLu<u32>, numeric: NumericLu<u32, Stoppable>, fill: Fill },
}

/// A refinement that did not help.
struct Attempt {
    /// Of the refined `x`, and what rounding alone explains there.
    residual_norm: f64,
    rounding_limit: f64,
    /// `A⁻¹ r / ‖r‖` and its length.
    correction: Vec<f64>,
    size: f64,
}

impl Direct {
    pub fn new(shape: Shape, memory_bytes_max: u64, flops_max: f64) -> Self {
        Self { shape, memory_bytes_max, flops_max, phase: Phase::Unordered }
    }

    /// See [`Method::step`](super::Method::step).
    pub fn step(&mut self, problem: &Problem, iterate: &mut Iterate) -> Advance {
        match std::mem::replace(&mut self.phase, Phase::Unordered) {
            Phase::Unordered => self.order(problem),
            Phase::Symmetric { symbolic, fill, kind } => {
                self.factor_symmetric(problem, symbolic, fill, kind)
            }
            Phase::General { matrix, symbolic, fill } => {
                self.factor_general(problem, &matrix, symbolic, fill)
            }
            Phase::Factored(factor) => self.refine(problem, iterate, factor),
        }
    }

    fn order(&mut self, problem: &Problem) -> Advance {
        let needed_bytes = self.hopeless_bytes(problem);
        if needed_bytes > self.memory_bytes_max {
            return self.too_large(needed_bytes);
        }
        match self.shape {
            Shape::General => self.order_general(problem),
            Shape::Symmetric => self.order_symmetric(problem, Symmetric::Ldlt),
            Shape::SymmetricPositiveDiagonal => self.order_symmetric(problem, Symmetric::Llt),
        }
    }

    /// Bytes of the dense block that no ordering of a large graph avoids, as far as a quick look tells.
    /// Minimum degree takes minutes on graphs without separators, only to predict more than fits.
    fn hopeless_bytes(&self, problem: &Problem) -> u64 {
        if problem.order() < separator::ORDER_MIN {
            return 0;
        }
        let entry_bytes = match self.shape {
            Shape::General => 8,
            Shape::Symmetric | Shape::SymmetricPositiveDiagonal => 4,
        };
        let enough = (self.memory_bytes_max / entry_bytes).isqrt() as usize;
        (separator::front(problem.rows, enough) as u64).pow(2) * entry_bytes
    }

    fn order_symmetric(&mut self, problem: &Problem, kind: Symmetric) -> Advance {
        let symbolic = match factorize_symbolic_cholesky(
            pattern(problem.rows),
            Side::Upper,
            SymmetricOrdering::Amd,
            CholeskySymbolicParams::default(),
        ) {
            Ok(symbolic) => symbolic,
            Err(_) => return self.too_large(u64::MAX),
        };
        let scratch = symmetric_scratch(&symbolic, kind);
        let fill = Fill::of_cholesky(&symbolic, scratch.size_bytes() as u64);
        let name = kind.name();
        let advance = self.admit(problem, fill, name);
        self.phase = Phase::Symmetric { symbolic, fill, kind };
        advance
    }

    fn order_general(&mut self, problem: &Problem) -> Advance {
        let n = problem.order();
        let Rows { pointers, indices, values, .. } = problem.rows;
        let matrix = assembly::transposed(n, pointers, indices, values).into_matrix(n, n);
        let columns = pattern(Rows::of(&matrix));
        let Ok(symbolic) = factorize_symbolic_lu(columns, LuSymbolicParams::default()) else {
            return self.too_large(u64::MAX);
        };
        let fill = Fill::of_lu(pattern(problem.rows), columns, symbolic.col_perm(), n);
        let advance = self.admit(problem, fill, "LU");
        self.phase = Phase::General { matrix, symbolic, fill };
        advance
    }

    /// Compares the prediction with the budgets.
    fn admit(&mut self, problem: &Problem, fill: Fill, name: &str) -> Advance {
        if fill.peak_bytes > self.memory_bytes_max {
            return self.too_large(fill.peak_bytes);
        }
        let (entries, flops) = (fill.entries, fill.flops);
        if flops > self.flops_max {
            let sentence = format!(
                "{name} would take {flops:.1e} operations and {entries:.1e} entries of fill"
            );
            return Advance::Unaffordable(sentence);
        }
        let description =
            format!("ordering for {name}: at most {entries:.0} entries, {flops:.2e} operations");
        Advance::Prepared(Preparation { description, work: ordering_work(problem) })
    }

    fn too_large(&self, needed_bytes: u64) -> Advance {
        let limit_bytes = self.memory_bytes_max;
        Advance::Failed(StopReason::OutOfMemoryBudget { needed_bytes, limit_bytes })
    }

    fn factor_symmetric(
        &mut self,
        problem: &Problem,
        symbolic: SymbolicCholesky<u32>,
        fill: Fill,
        kind: Symmetric,
    ) -> Advance {
        let mut values = vec![0.0; symbolic.len_val()];
        let numbers = Stoppable::of(problem.rows.values);
        let matrix = SparseColMatRef::new(pattern(problem.rows), numbers);
        let mut memory = MemBuffer::new(symmetric_scratch(&symbolic, kind));
        let stack = MemStack::new(&mut memory);
        let (side, par) = (Side::Upper, Par::Seq);
        let numbers = Stoppable::of_mut(&mut values);
        let done = unless_unwanted(problem.unwanted, || match kind {
            Symmetric::Llt => {
                let regular = LltRegularization::default();
                let params = Default::default();
                symbolic
                    .factorize_numeric_llt(numbers, matrix, side, regular, par, stack, params)
                    .map(drop)
                    .map_err(|_| "LLᵀ met a pivot that is not positive: A is not positive definite")
            }
            Symmetric::Ldlt => {
                let regular = LdltRegularization::default();
                let params = Default::default();
                symbolic
                    .factorize_numeric_ldlt(numbers, matrix, side, regular, par, stack, params)
                    .map(drop)
                    .map_err(|_| "LDLᵀ met a vanishing pivot")
            }
        });
        let Ok(done) = done else { return self.leave_off() };
        let work = fill.numeric_work();
        match (done, kind) {
            (Ok(()), _) => {
                let mut description = format!("{}, {:.0} entries", kind.name(), fill.entries);
                if kind == Symmetric::Ldlt {
                    let negative = fill::negative_pivots(&symbolic, &values);
                    description += &format!(", {negative} negative eigenvalues");
                }
                self.phase = Phase::Factored(Factor::Symmetric { symbolic, values, kind, fill });
                Advance::Prepared(Preparation { description, work })
            }
            (Err(seen), Symmetric::Llt) => {
                self.phase = Phase::Symmetric { symbolic, fill, kind: Symmetric::Ldlt };
                let description = format!("{seen}; LDLᵀ follows");
                Advance::Prepared(Preparation { description, work })
            }
            (Err(seen), Symmetric::Ldlt) => self.fall_back_to_lu(seen, work),
        }
    }

    /// Nobody wants the result: what was built is gone, and a further step would begin anew.
    fn leave_off(&mut self) -> Advance {
        self.phase = Phase::Unordered;
        let description = "the factorisation was left off, nobody wants it any more".to_owned();
        Advance::Prepared(Preparation { description, work: Work::default() })
    }

    fn fall_back_to_lu(&mut self, seen: &str, work: Work) -> Advance {
        self.shape = Shape::General;
        self.phase = Phase::Unordered;
        let description = format!("{seen}; LU with partial pivoting follows");
        Advance::Prepared(Preparation { description, work })
    }

    fn factor_general(
        &mut self,
        problem: &Problem,
        matrix: &CsrMatrix,
        symbolic: SymbolicLu<u32>,
        fill: Fill,
    ) -> Advance {
        let columns = Rows::of(matrix);
        let a = SparseColMatRef::new(pattern(columns), Stoppable::of(columns.values));
        let mut numeric = NumericLu::new();
        let request =
            symbolic.factorize_numeric_lu_scratch::<Stoppable>(Par::Seq, Default::default());
        let mut memory = MemBuffer::new(request);
        let stack = MemStack::new(&mut memory);
        let done = unless_unwanted(problem.unwanted, || {
            let params = Default::default();
            symbolic.factorize_numeric_lu(&mut numeric, a, Par::Seq, stack, params).map(drop)
        });
        let Ok(done) = done else { return self.leave_off() };
        if let Err(error) = done {
            let evidence = match error {
                faer::sparse::linalg::LuError::SymbolicSingular { index } => {
                    format!("no pivot is left in column {index} of LU")
                }
                faer::sparse::linalg::LuError::Generic(_) => {
                    return self.too_large(fill.peak_bytes);
                }
            };
            return Advance::Failed(StopReason::Singular { evidence });
        }
        let description = format!("LU, at most {:.0} entries", fill.entries);
        self.phase = Phase::Factored(Factor::General { symbolic, numeric, fill });
        Advance::Prepared(Preparation { description, work: fill.numeric_work() })
    }

    /// `x ← x + A⁻¹ r`, kept only when it lowers the residual.
    fn refine(&mut self, problem: &Problem, iterate: &mut Iterate, factor: Factor) -> Advance {
        let before = iterate.norm;
        // Unit length keeps the solve clear of over- and underflow.
        let mut correction: Vec<f64> = iterate.r.iter().map(|r| r / before).collect();
        factor.solve(&mut correction);
        let work = factor.solve_work() + problem.product_work() + problem.vector_work(3);
        let size = kernel::norm2(&correction);
        if !size.is_finite() {
            return self.without_solution(factor, work);
        }
        let kept = (iterate.x.clone(), iterate.r.clone());
        kernel::add_scaled(&mut iterate.x, before, &correction);
        iterate.measure(problem);
        let after = iterate.norm;
        if after <= problem.threshold || after <= STUCK * before {
            self.phase = Phase::Factored(factor);
            return Advance::Iterated(work);
        }
        let rounding_limit = residual::rounding_limit(problem, &iterate.x);
        if after.is_nan() || after >= before {
            (iterate.x, iterate.r) = kept;
            iterate.norm = before;
        }
        let attempt = Attempt { residual_norm: after, rounding_limit, correction, size };
        self.stuck(problem, iterate, factor, &attempt, work)
    }

    fn without_solution(&mut self, factor: Factor, work: Work) -> Advance {
        match factor {
            Factor::Symmetric { .. } => self.fall_back_to_lu("LDLᵀ gave no finite solution", work),
            Factor::General { .. } => {
                let evidence = "a pivot of LU vanished".to_owned();
                Advance::Failed(StopReason::Singular { evidence })
            }
        }
    }

    /// Refinement no longer helps: rounding, an unstable LDLᵀ, or a singular matrix.
    fn stuck(
        &mut self,
        problem: &Problem,
        iterate: &Iterate,
        factor: Factor,
        attempt: &Attempt,
        work: Work,
    ) -> Advance {
        let at_limit = attempt.residual_norm <= attempt.rounding_limit;
        // ‖A⁻¹ r‖ ‖A‖ / ‖r‖ is a lower bound of the condition number.
        let condition = attempt.size * residual::row_norm_max(problem.rows);
        if matches!(factor, Factor::Symmetric { .. }) && (!at_limit || condition > CONDITION_MAX) {
            return self.fall_back_to_lu("LDLᵀ without pivoting is not accurate enough", work);
        }
        self.phase = Phase::Factored(factor);
        if let Some(limit) = residual::limit_reached(problem, iterate) {
            return Advance::Failed(StopReason::PrecisionLimit {
                residual_norm: iterate.norm,
                rounding_limit: limit,
            });
        }
        let change = residual::change_to_singular(problem.rows, &attempt.correction);
        if condition > CONDITION_SUSPECT && change <= CHANGE_MAX {
            let evidence = format!(
                "the condition number is at least {condition:.1e}, and a change of every entry by {change:.1e} of itself makes it infinite"
            );
            return Advance::Failed(StopReason::Singular { evidence });
        }
        if at_limit {
            return Advance::Failed(StopReason::PrecisionLimit {
                residual_norm: iterate.norm,
                rounding_limit: attempt.rounding_limit,
            });
        }
        Advance::Failed(StopReason::Stagnated {
            method: MethodName::Direct,
            residual_norm: iterate.norm,
            window: 1,
            expected_fall_percent: ((1.0 - STUCK) * 100.0) as u32,
        })
    }

    /// See [`Method::next_work`](super::Method::next_work).
    pub fn next_work(&self, problem: &Problem) -> Work {
        match &self.phase {
            Phase::Unordered => ordering_work(problem),
            Phase::Symmetric { fill, .. } | Phase::General { fill, .. } => fill.numeric_work(),
            Phase::Factored(factor) => {
                factor.solve_work() + problem.product_work() + problem.vector_work(3)
            }
        }
    }

    /// What making the factor anew is expected to cost, ordering included.
    pub fn renewal_work(&self, problem: &Problem) -> Work {
        match &self.phase {
            Phase::Unordered => ordering_work(problem),
            Phase::Symmetric { fill, .. }
            | Phase::General { fill, .. }
            | Phase::Factored(Factor::Symmetric { fill, .. } | Factor::General { fill, .. }) => {
                ordering_work(problem) + fill.numeric_work()
            }
        }
    }

    /// What the next step takes at its peak beyond [`memory_bytes`](Self::memory_bytes), as predicted.
    pub fn next_step_bytes(&self) -> u64 {
        match &self.phase {
            Phase::Symmetric { fill, .. } | Phase::General { fill, .. } => {
                fill.peak_bytes - fill.symbolic_bytes
            }
            Phase::Unordered | Phase::Factored(_) => 0,
        }
    }

    /// See [`Method::is_set_up`](super::Method::is_set_up).
    pub fn is_set_up(&self) -> bool {
        matches!(self.phase, Phase::Factored(_))
    }

    pub fn memory_bytes(&self) -> u64 {
        match &self.phase {
            Phase::Unordered => 0,
            Phase::Symmetric { fill, .. } | Phase::General { fill, .. } => fill.symbolic_bytes,
            Phase::Factored(Factor::Symmetric { fill, .. } | Factor::General { fill, .. }) => {
                fill.symbolic_bytes + fill.factor_bytes
            }
        }
    }
}

impl Factor {
    /// Overwrites `r` with `A⁻¹ r`.
    fn solve(&self, r: &mut [f64]) {
        let n = r.len();
        let r = MatMut::from_column_major_slice_mut(Stoppable::of_mut(r), n, 1);
        let par = Par::Seq;
        match self {
            Self::Symmetric { symbolic, values, kind, .. } => {
                let mut memory =
                    MemBuffer::new(symbolic.solve_in_place_scratch::<Stoppable>(1, par));
                let stack = MemStack::new(&mut memory);
                match kind {
                    Symmetric::Llt => LltRef::new(symbolic, Stoppable::of(values))
                        .solve_in_place_with_conj(Conj::No, r, par, stack),
                    Symmetric::Ldlt => LdltRef::new(symbolic, Stoppable::of(values))
                        .solve_in_place_with_conj(Conj::No, r, par, stack),
                }
            }
            Self::General { symbolic, numeric, .. } => {
                let mut memory =
                    MemBuffer::new(symbolic.solve_in_place_scratch::<Stoppable>(1, par));
                let stack = MemStack::new(&mut memory);
                LuRef::new_unchecked(symbolic, numeric).solve_in_place_with_conj(
                    Conj::No,
                    r,
                    par,
                    stack,
                );
            }
        }
    }

    fn solve_work(&self) -> Work {
        let (Self::Symmetric { fill, .. } | Self::General { fill, .. }) = self;
        fill.solve_work()
    }
}

impl Symmetric {
    fn name(self) -> &'static str {
        match self {
            Self::Llt => "LLᵀ",
            Self::Ldlt => "LDLᵀ",
        }
    }
}

fn symmetric_scratch(symbolic: &SymbolicCholesky<u32>, kind: Symmetric) -> StackReq {
    let par = Par::Seq;
    match kind {
        // LDLᵀ may follow, so the larger of both is asked for at once.
        Symmetric::Llt => StackReq::or(
            symbolic.factorize_numeric_llt_scratch::<Stoppable>(par, Default::default()),
            symbolic.factorize_numeric_ldlt_scratch::<Stoppable>(par, Default::default()),
        ),
        Symmetric::Ldlt => {
            symbolic.factorize_numeric_ldlt_scratch::<Stoppable>(par, Default::default())
        }
    }
}

/// The rows as the columns of `Aᵀ`, which for a symmetric matrix are those of `A`.
pub(super) fn pattern(rows: Rows<'_>) -> SymbolicSparseColMatRef<'_, u32> {
    let n = rows.count();
    SymbolicSparseColMatRef::new_checked(n, n, rows.pointers, None, rows.indices)
}

/// Minimum degree touches every entry some tens of times.
fn ordering_work(problem: &Problem) -> Work {
    let nonzeros = 40 * problem.rows.values.len() as u64;
    Work { nonzeros, flops: nonzeros }
}
