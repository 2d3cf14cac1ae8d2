//! `hybrid`: which methods to try on a system, in which order, and why. Owns the choice; the engine
//! carries it out and moves on to the next candidate when one stalls, breaks down or is too dear.

use crate::solver::analysis::{
    Analysis, Asymmetry, Definiteness, Diagonal, StructuralRank, Verdict,
};
use crate::solver::method::direct::Shape;
use crate::solver::method::{separator, with_preconditioner};
use crate::solver::options::{MethodName, PreconditionerName, SolveOptions};
use crate::solver::outcome::Refusal;
use crate::solver::proof::{self, SearchLimits};
use crate::solver::system::Rows;

/// One method to try.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    /// For people.
    pub reason: String,
    /// What a factorisation may assume.
    pub shape: Shape,
    /// `direct`, or a method with multigrid, gives way to the next candidate when it would take more
    /// operations than this.
    pub flops_max: f64,
}

/// From this dominance on, an iteration gains so much that no factorisation competes.
const COMFORTABLE_GAP: f64 = 0.02;

/// Up to this order a factorisation costs less than the bookkeeping of an iteration is worth.
const ALWAYS_DIRECT_ORDER_MAX: usize = 200;

/// Operations that a factorisation does in the time an iteration takes for one: blocks stay in cache
/// and fill the vector units, a sparse product waits for memory.
const DENSE_ADVANTAGE: f64 = 12.0;

/// The least that a factorisation is allowed, about a tenth of a second.
const DIRECT_FLOPS_FREE: f64 = 5e8;

/// Below this order a factorisation takes milliseconds, and multigrid saves none.
const MULTIGRID_ORDER_MIN: usize = 2_000;

/// The entries of rows or of columns off the diagonal may outweigh it by this part of it, as costs that change
/// one by one make them, and multigrid is tried first all the same. Seen to do well up to a thousandth.
const SHORTFALL_MAX: f64 = 1.0 / 64.0;

/// Operations a row that a factorisation may take before multigrid is quicker, which takes about as long
/// as ordering and factorising a narrow graph do.
const NARROW_FLOPS_PER_ROW: f64 = 1_000.0;

/// Iterations with multigrid that are worth their time: what takes more had better be factorised, or
/// iterated with an incomplete factor.
const MULTIGRID_ITERATIONS_MAX: f64 = 200.0;

/// Products with `A` that may be spent on a proof that a matrix is of the wrong class.
const REFUTING_PRODUCTS_MAX: u64 = 512;

/// The candidates for a system and its options, in the order in which they are tried. Never empty.
///
/// # Errors
/// A [`Refusal`] when the method that was asked for cannot work on this matrix.
pub(crate) fn candidates(
    analysis: &Analysis,
    rows: Rows,
    options: &SolveOptions,
) -> Result<Vec<Candidate>, Refusal> {
    refuse_singular(analysis, options.method)?;
    if options.method == MethodName::Hybrid {
        let mut all = portfolio(analysis, rows);
        if let Some(asked) = options.preconditioner {
            prefer(&mut all, asked, analysis);
        }
        all.extend(fallback(analysis));
        return Ok(all);
    }
    refuse(analysis, rows, options)?;
    let method = options.method;
    let (preconditioner, reason) = match options.preconditioner {
        Some(asked) => (asked, "as asked".to_owned()),
        None => suitable_preconditioner(method, analysis),
    };
    Ok(vec![candidate(analysis, method, preconditioner, &reason, f64::INFINITY)])
}

/// The larger of both relative dominance margins.
fn gap(analysis: &Analysis) -> f64 {
    analysis.row_dominance.relative_gap_min.max(analysis.column_dominance.relative_gap_min)
}

fn shape(analysis: &Analysis) -> Shape {
    match &analysis.definiteness {
        Definiteness::NotSymmetric => Shape::General,
        Definiteness::Positive => Shape::SymmetricPositiveDiagonal,
        Definiteness::Negative
        | Definiteness::RefutedByDiagonal { .. }
        | Definiteness::RefutedByMinor { .. } => Shape::Symmetric,
        Definiteness::Unknown if analysis.diagonal.smallest > 0.0 => {
            Shape::SymmetricPositiveDiagonal
        }
        Definiteness::Unknown => Shape::Symmetric,
    }
}

pub(crate) fn candidate(
    analysis: &Analysis,
    method: MethodName,
    preconditioner: PreconditionerName,
    reason: &str,
    flops_max: f64,
) -> Candidate {
    let shape = shape(analysis);
    let name = with_preconditioner(method, preconditioner);
    Candidate { method, preconditioner, reason: format!("{name}: {reason}"), shape, flops_max }
}

fn portfolio(analysis: &Analysis, rows: Rows) -> Vec<Candidate> {
    let gap = gap(analysis);
    let comfortable = gap >= COMFORTABLE_GAP && analysis.order > ALWAYS_DIRECT_ORDER_MAX;
    let spd_possible = shape(analysis) == Shape::SymmetricPositiveDiagonal;
    let ilu = if analysis.diagonal.first_zero.is_none() {
        PreconditionerName::Ilu
    } else {
        PreconditionerName::None
    };
    let add = |method, preconditioner, reason: &str, flops_max| {
        candidate(analysis, method, preconditioner, reason, flops_max)
    };
    let (none, jacobi) = (PreconditionerName::None, PreconditionerName::Jacobi);
    let (free, any) = (direct_flops_max(analysis), f64::INFINITY);
    let wide = || is_wide(analysis, rows);
    let reason = multigrid_reason(analysis).filter(|_| !comfortable && wide());
    let multigrid = reason.map(|reason| {
        let method = if spd_possible { MethodName::Cg } else { MethodName::Bicgstab };
        let flops_max = MULTIGRID_ITERATIONS_MAX * 20.0 * analysis.nonzeros as f64;
        add(method, PreconditionerName::Amg, &reason, flops_max)
    });
    let last = add(MethodName::Direct, none, "what is left is to factorise at any cost", any);
    let mut list = Vec::from_iter(multigrid);
    if comfortable {
        let reason = format!(
            "strictly diagonally dominant with a relative margin of {gap:.3}, so few iterations suffice"
        );
        let method = if spd_possible { MethodName::Cg } else { MethodName::Bicgstab };
        list.push(add(method, jacobi, &reason, any));
    } else {
        if !hopeless_to_factorise(analysis, rows, free) {
            list.push(add(MethodName::Direct, none, &direct_reason(analysis), free));
        }
        if spd_possible {
            list.push(add(MethodName::Cg, ilu, "symmetric with a positive diagonal", any));
        }
    }
    list.push(add(
        MethodName::Bicgstab,
        ilu,
        "a general matrix of which nothing else is known",
        any,
    ));
    list.push(add(MethodName::Gmres, ilu, "its residual never grows", any));
    list.push(last);
    list
}

/// Why multigrid, where it is made for the matrix: nothing positive off a positive diagonal, which dominates
/// at least weakly or but for a little, so that what varies little is what converges slowly.
fn multigrid_reason(analysis: &Analysis) -> Option<String> {
    if analysis.order < MULTIGRID_ORDER_MIN
        || !analysis.signs.z_matrix
        || analysis.diagonal.smallest <= 0.0
    {
        return None;
    }
    let is = match analysis.h_matrix.or(analysis.h_matrix_up_to_rounding) {
        Some(proof) if proof.bounds_growth() => "an M-matrix that is hardly dominant",
        Some(_) => return None,
        None if gap(analysis) >= -SHORTFALL_MAX => {
            "likely an M-matrix, because its rows or columns are dominant but for a little"
        }
        None => return None,
    };
    Some(format!(
        "{is}, on a graph too wide to factorise quickly, so multigrid needs fewest operations"
    ))
}

/// Whether a factorisation would take more than a narrow graph's. Grids in two dimensions are wide from
/// some 30,000 cells on, in three from a few thousand, trees and chains never.
fn is_wide(analysis: &Analysis, rows: Rows) -> bool {
    let flops = NARROW_FLOPS_PER_ROW * analysis.order as f64;
    let width_max = (3.0 * flops / FRONTS).cbrt();
    separator::quick_front(rows, width_max as usize + 1) as f64 > width_max
}

/// What converges for certain, however slowly: it comes last, where no factor fits in memory.
fn fallback(analysis: &Analysis) -> Option<Candidate> {
    analysis.h_matrix_without_growth().map(|_| {
        candidate(
            analysis,
            MethodName::GaussSeidel,
            PreconditionerName::None,
            "a dominant diagonal makes it converge for certain",
            f64::INFINITY,
        )
    })
}

/// The damping in force. What `hybrid` chooses by itself runs undamped: that is what its certainty is
/// proven for.
pub(crate) fn damping(options: &SolveOptions) -> f64 {
    if options.method == MethodName::Hybrid { 1.0 } else { options.damping }
}

fn direct_reason(analysis: &Analysis) -> String {
    let n = analysis.order;
    if n <= ALWAYS_DIRECT_ORDER_MAX {
        return format!("{n} unknowns are factorised at once");
    }
    let found = match (shape(analysis), &analysis.definiteness) {
        (Shape::SymmetricPositiveDiagonal, _) => "symmetric with a positive diagonal".to_owned(),
        (Shape::Symmetric, Definiteness::RefutedByDiagonal { row, value }) => {
            format!("symmetric but indefinite, because diagonal entry {row} is {value}")
        }
        (Shape::Symmetric, Definiteness::RefutedByMinor { entry, .. }) => format!(
            "symmetric but indefinite, because entry ({}, {}) outweighs its diagonals",
            entry.row, entry.col
        ),
        (Shape::Symmetric, _) => "symmetric with a negative diagonal".to_owned(),
        (Shape::General, _) => {
            "not symmetric and without a comfortable dominance margin".to_owned()
        }
    };
    let factorisation = match shape(analysis) {
        Shape::SymmetricPositiveDiagonal => "LLᵀ",
        Shape::Symmetric => "LDLᵀ",
        Shape::General => "LU",
    };
    format!("{found}, so {factorisation} is tried unless its predicted fill is too large")
}

/// What a factorisation may cost before an iterative method is tried first: about what √n iterations
/// with an incomplete factor take, which is the count of two-dimensional grids.
fn direct_flops_max(analysis: &Analysis) -> f64 {
    let iterations = (analysis.order as f64).sqrt();
    let iteration_flops = 8.0 * analysis.nonzeros as f64;
    (DENSE_ADVANTAGE * iterations * iteration_flops).max(DIRECT_FLOPS_FREE)
}

/// A factorisation costs about this many times its widest front: there is a front at every cut, and
/// minimum degree finds wider ones than a slice of a search. On a cube of 100³ the ordering alone took
/// 4.8 s to predict 16 GB of factor, on a square of 1000² the whole factorisation takes 2 s.
const FRONTS: f64 = 16.0;

/// Whether a large graph is so wide that a factorisation must cost more than it may.
fn hopeless_to_factorise(analysis: &Analysis, rows: Rows, flops_max: f64) -> bool {
    if analysis.order < separator::ORDER_MIN {
        return false;
    }
    let width_max = (3.0 * flops_max / FRONTS).cbrt();
    separator::quick_front(rows, width_max as usize) as f64 > width_max
}

/// Moves the candidates that take the preconditioner asked for to the front, with it.
fn prefer(all: &mut [Candidate], asked: PreconditionerName, analysis: &Analysis) {
    let divides = asked != PreconditionerName::None;
    if divides && analysis.diagonal.first_zero.is_some() {
        return;
    }
    for candidate in all.iter_mut().filter(|c| c.method != MethodName::Direct) {
        candidate.preconditioner = asked;
        let name = with_preconditioner(candidate.method, asked);
        candidate.reason = format!("{name}: the preconditioner was asked for");
    }
    if divides {
        all.sort_by_key(|candidate| candidate.method == MethodName::Direct);
    }
}

/// What suits a method that was asked for without a preconditioner.
fn suitable_preconditioner(
    method: MethodName,
    analysis: &Analysis,
) -> (PreconditionerName, String) {
    let name = match method {
        MethodName::Jacobi | MethodName::GaussSeidel | MethodName::Direct | MethodName::Hybrid => {
            PreconditionerName::None
        }
        MethodName::Cg | MethodName::Bicgstab | MethodName::Gmres => {
            if analysis.diagonal.first_zero.is_some() {
                PreconditionerName::None
            } else if gap(analysis) >= COMFORTABLE_GAP {
                PreconditionerName::Jacobi
            } else {
                PreconditionerName::Ilu
            }
        }
    };
    let reason = match name {
        PreconditionerName::None => "as asked",
        PreconditionerName::Jacobi => "strict dominance makes the diagonal a good preconditioner",
        PreconditionerName::Ilu => "without strict dominance the diagonal alone helps little",
        PreconditionerName::Amg => "as asked",
    };
    (name, reason.to_owned())
}

/// Refuses what cannot work.
fn refuse(analysis: &Analysis, rows: Rows, options: &SolveOptions) -> Result<(), Refusal> {
    let method = options.method;
    let preconditioner = options.preconditioner.unwrap_or(PreconditionerName::None);
    let divides = match method {
        MethodName::Jacobi | MethodName::GaussSeidel => true,
        MethodName::Cg | MethodName::Bicgstab | MethodName::Gmres => false,
        MethodName::Direct | MethodName::Hybrid => false,
    };
    let takes_none = divides || method == MethodName::Direct;
    if takes_none && preconditioner != PreconditionerName::None {
        return Err(Refusal::UselessPreconditioner { method, preconditioner });
    }
    if method == MethodName::Cg {
        refuse_cg(analysis, rows)?;
    }
    match analysis.diagonal.first_zero {
        Some(row) if divides || preconditioner != PreconditionerName::None => {
            let method = with_preconditioner(method, preconditioner);
            Err(Refusal::ZeroDiagonal { method, row, instead: MethodName::Direct })
        }
        Some(_) | None if divides => refuse_relaxation(analysis, rows, options),
        Some(_) | None => Ok(()),
    }
}

/// Refuses Jacobi and Gauss-Seidel on a symmetric indefinite matrix. With a diagonal of one sign it is a
/// theorem that they do not converge (see [`Analysis::prospect`]); with both signs they do only on an
/// H-matrix as far as theorems go, so a proof that it is none is looked for. The search costs up to
/// [`REFUTING_PRODUCTS_MAX`] products with `A`; where it proves nothing, the method may try.
fn refuse_relaxation(
    analysis: &Analysis,
    rows: Rows,
    options: &SolveOptions,
) -> Result<(), Refusal> {
    let method = options.method;
    let refusal =
        |evidence| Err(Refusal::WrongClass { method, evidence, instead: MethodName::Hybrid });
    let prospect = analysis.prospect(method);
    if prospect.verdict == Verdict::Impossible {
        return refusal(prospect.reason.clone());
    }
    let Definiteness::RefutedByDiagonal { row, value } = analysis.definiteness else {
        return Ok(());
    };
    let is_h_matrix = analysis.h_matrix.or(analysis.h_matrix_up_to_rounding).is_some();
    if is_h_matrix || !analysis.symmetry.values {
        return Ok(());
    }
    let limits = SearchLimits {
        entries_max: REFUTING_PRODUCTS_MAX * rows.values.len() as u64,
        memory_bytes_max: options.memory_bytes_max,
    };
    match proof::find(rows, limits) {
        Err(fault) if fault.refutes() => refusal(format!(
            "symmetric and indefinite, entry ({row}, {row}) is {value}, and {fault}"
        )),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn refuse_cg(analysis: &Analysis, rows: Rows) -> Result<(), Refusal> {
    let instead = MethodName::Hybrid;
    if let Some(found) = analysis.symmetry.first_asymmetry
        && !analysis.symmetry.up_to_rounding()
    {
        let Asymmetry { row, col, value, mirrored } = found;
        return Err(Refusal::NotSymmetric { row, col, value, mirrored, instead });
    }
    let Diagonal { first_zero, first_negative, .. } = analysis.diagonal;
    match first_zero.into_iter().chain(first_negative).min() {
        Some(row) => {
            let (cols, values) = rows.row(row);
            let value = cols.binary_search(&(row as u32)).map_or(0.0, |at| values[at]);
            Err(Refusal::NotPositiveDefinite { row, value, instead })
        }
        None => Ok(()),
    }
}

/// Without a matching of rows and columns no method has anything to find.
fn refuse_singular(analysis: &Analysis, method: MethodName) -> Result<(), Refusal> {
    match analysis.structure.rank {
        StructuralRank::Deficient { .. } => Err(Refusal::StructurallySingular {
            evidence: analysis.prospect(method).reason.clone(),
        }),
        StructuralRank::Full | StructuralRank::AtLeast { .. } => Ok(()),
    }
}

/// Whether a method converges for this matrix for certain, however slowly.
pub(crate) fn certain(analysis: &Analysis, candidate: &Candidate, options: &SolveOptions) -> bool {
    let definite = analysis.definiteness == Definiteness::Positive;
    match candidate.method {
        MethodName::Jacobi => analysis.h_matrix.is_some() && damping(options) <= 1.0,
        MethodName::GaussSeidel => {
            definite || (analysis.h_matrix.is_some() && damping(options) <= 1.0)
        }
        // Multigrid is only as good as its hierarchy.
        MethodName::Cg => definite && candidate.preconditioner != PreconditionerName::Amg,
        MethodName::Bicgstab | MethodName::Gmres | MethodName::Direct | MethodName::Hybrid => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::engine::Engine;
    use crate::solver::gallery;
    use crate::solver::outcome::{Outcome, Step};
    use crate::solver::system::{LinearSystem, MatrixArrays};

    fn last(system: &LinearSystem, options: &SolveOptions) -> Candidate {
        let analysis = Analysis::of(system);
        candidates(&analysis, system.rows(), options).unwrap().pop().unwrap()
    }

    #[test]
    fn what_converges_for_certain_is_tried_last_and_undamped() {
        let system = gallery::diagonally_dominant(500, 2_500, 3).unwrap();
        for preconditioner in [None, Some(PreconditionerName::Ilu), Some(PreconditionerName::None)]
        {
            let options = SolveOptions { preconditioner, damping: 1.9, ..SolveOptions::default() };
            let found = last(&system, &options);
            assert_eq!(found.method, MethodName::GaussSeidel);
            assert_eq!(found.preconditioner, PreconditionerName::None);
            assert!(certain(&Analysis::of(&system), &found, &options));
            assert_eq!(damping(&options), 1.0);
        }
    }

    fn first(system: &LinearSystem) -> (MethodName, PreconditionerName) {
        let analysis = Analysis::of(system);
        let all = candidates(&analysis, system.rows(), &SolveOptions::default()).unwrap();
        (all[0].method, all[0].preconditioner)
    }

    #[test]
    fn multigrid_is_for_wide_graphs_that_are_hardly_dominant() {
        let (direct, none) = (MethodName::Direct, PreconditionerName::None);
        let amg = PreconditionerName::Amg;
        assert_eq!(first(&gallery::poisson_2d(100, 1).unwrap()), (direct, none));
        assert_eq!(first(&gallery::poisson_2d(300, 1).unwrap()), (MethodName::Cg, amg));
        assert_eq!(first(&gallery::poisson_3d(20, 1).unwrap()), (MethodName::Cg, amg));
        let wind = gallery::convection_diffusion(300, 50.0, 1).unwrap();
        assert_eq!(first(&wind), (MethodName::Bicgstab, amg));
        let dominant = gallery::diagonally_dominant(20_000, 100_000, 3).unwrap();
        assert_ne!(first(&dominant).1, amg);
    }

    #[test]
    fn a_grid_whose_costs_have_moved_a_little_is_still_for_multigrid() {
        let (mut matrix, rhs) = gallery::poisson_2d(300, 1).unwrap().into_parts();
        for (row, mut entries) in matrix.outer_iterator_mut().enumerate().step_by(97) {
            let factor = if row % 2 == 0 { 1.001 } else { 0.999 };
            entries.iter_mut().take(1).for_each(|(_, value)| *value *= factor);
        }
        let mut engine = {
            let system = LinearSystem::new(matrix, rhs).unwrap();
            let analysis = Analysis::of(&system);
            assert!(analysis.h_matrix.or(analysis.h_matrix_up_to_rounding).is_none());
            Engine::new(system, analysis, None, SolveOptions::default()).unwrap()
        };
        let mut steps = std::iter::repeat_with(|| engine.step()).take(60);
        let finished = steps.find_map(|step| match step {
            Step::Finished(outcome) => Some(outcome),
            _ => None,
        });
        assert!(matches!(finished, Some(Outcome::Converged { .. })), "{finished:?}");
        let selection = engine.selection();
        assert_eq!(selection.preconditioner, PreconditionerName::Amg);
    }

    #[test]
    fn nothing_is_fallen_back_on_where_nothing_is_certain() {
        let values = vec![1.0, 0.0, 10.0, 1.0];
        let system =
            LinearSystem::assemble(2, 2, MatrixArrays::Dense { values }, vec![1.0; 2]).unwrap();
        assert_eq!(last(&system, &SolveOptions::default()).method, MethodName::Direct);
    }
}
