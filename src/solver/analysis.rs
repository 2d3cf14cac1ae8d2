//! One pass over a system that finds out what its methods can rely on: symmetry, dominance, signs,
//! bandwidth, components, structural rank. [`prospects`] turns the findings into a verdict per method.
//!
//! Pattern symmetry, bandwidth and counts speak of stored entries; everything else speaks of values, and
//! a stored zero is then no entry. What is stated as proven is proven for the stored numbers, rounding
//! included.

mod columns;
pub mod definiteness;
pub mod dominance;
mod graph;
mod matching;
mod mirror;
mod pass;
pub mod prospects;

pub use definiteness::Definiteness;
pub use dominance::{Dominance, DominanceKind, Violation};
pub use matching::StructuralRank;
pub use prospects::{Prospect, Verdict};

use crate::solver::options::MethodName;
use crate::solver::system::{LinearSystem, Rows};
use columns::ColumnSum;
use dominance::Reach;
use graph::Arrows;
use pass::Columns;
use serde::Serialize;

/// A relative difference of mirrored entries that rounding in the sender's arithmetic explains.
pub const SYMMETRY_ROUNDING: f64 = 1e-12;

/// What reading the rows and columns of `A` (n by n) found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    pub order: usize,
    /// Stored entries, explicit zeros included.
    pub nonzeros: usize,
    /// Stored entries as a share of n².
    pub density: f64,
    pub row_entries_max: usize,
    pub column_entries_max: usize,
    /// Largest sum of absolute values in a row.
    pub norm_infinity: f64,
    /// Largest sum of absolute values in a column.
    pub norm_one: f64,
    pub symmetry: Symmetry,
    pub row_dominance: Dominance,
    pub column_dominance: Dominance,
    /// A proven lower bound of the smallest eigenvalue of `(A + Aᵀ)/2`, by Gershgorin: the smallest
    /// `a_ii` less half of what else row and column `i` hold.
    pub symmetric_part_gap: f64,
    pub diagonal: Diagonal,
    pub signs: Signs,
    pub bandwidth: Bandwidth,
    pub components: Components,
    pub structure: Structure,
    pub definiteness: Definiteness,
    /// Why `A` is an H-matrix (so nonsingular, with convergent Jacobi and Gauss-Seidel), where that is
    /// proven.
    pub h_matrix: Option<HMatrixProof>,
    /// Why it would be one if gaps that rounding explains were 0: no proof, but what to expect of
    /// networks whose diagonals were summed in floating point.
    pub h_matrix_up_to_rounding: Option<HMatrixProof>,
    /// Proven to be a nonsingular M-matrix: an H-matrix with positive diagonal and no positive entry
    /// beside it, so `A⁻¹ ≥ 0`.
    pub m_matrix: bool,
    /// One for each of [`MethodName::ALL`], in that order.
    pub prospects: Vec<Prospect>,
}

/// Is `A = Aᵀ`?
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Symmetry {
    /// `(i, j)` is stored exactly where `(j, i)` is.
    pub pattern: bool,
    /// `a_ij = a_ji` to the last bit.
    pub values: bool,
    /// Largest `|a_ij − a_ji| / max(|a_ij|, |a_ji|)`: 0 when symmetric, at most 2.
    pub relative_difference_max: f64,
    /// The first entry in row order that differs from its mirror.
    pub first_asymmetry: Option<Asymmetry>,
}

impl Symmetry {
    /// Symmetric, or asymmetric by no more than [`SYMMETRY_ROUNDING`] in any pair.
    pub fn up_to_rounding(&self) -> bool {
        self.relative_difference_max <= SYMMETRY_ROUNDING
    }
}

/// `a(row, col) = value` while `a(col, row) = mirrored`; 0 where nothing is stored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Asymmetry {
    pub row: usize,
    pub col: usize,
    pub value: f64,
    pub mirrored: f64,
}

/// The diagonal of `A`. A missing entry is a zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagonal {
    pub zeros: usize,
    pub first_zero: Option<usize>,
    pub negatives: usize,
    pub first_negative: Option<usize>,
    pub smallest: f64,
    pub largest: f64,
}

/// The signs beside the diagonal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signs {
    /// No positive entry beside the diagonal.
    pub z_matrix: bool,
    pub positive_off_diagonals: usize,
    pub first_positive: Option<Entry>,
}

/// One entry of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Entry {
    pub row: usize,
    pub col: usize,
    pub value: f64,
}

/// Largest `i − j` (lower) and `j − i` (upper) of a stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bandwidth {
    pub lower: usize,
    pub upper: usize,
}

/// Connected components of the graph in which a nonzero `a_ij` joins `i` and `j`: independent systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Components {
    pub count: usize,
    /// Unknowns in the largest.
    pub largest: usize,
}

/// What the places of the nonzeros alone decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Structure {
    pub empty_rows: usize,
    pub first_empty_row: Option<usize>,
    pub empty_columns: usize,
    pub first_empty_column: Option<usize>,
    pub rank: StructuralRank,
}

/// A sufficient condition that was met. Each makes the comparison matrix a nonsingular M-matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HMatrixProof {
    StrictRows,
    StrictColumns,
    IrreducibleRows,
    IrreducibleColumns,
    WeaklyChainedRows,
    WeaklyChainedColumns,
    /// Triangular without a zero on the diagonal, and not dominant: entries that outweigh the diagonal
    /// may let rounding errors grow like `(|a_ij| / |a_ii|)ⁿ`.
    Triangular,
}

impl HMatrixProof {
    /// Whether errors cannot grow on the way, so that what holds in exact arithmetic holds in floating
    /// point up to its precision: where the diagonal dominates, no iteration enlarges the error.
    pub fn bounds_growth(self) -> bool {
        match self {
            Self::StrictRows
            | Self::StrictColumns
            | Self::IrreducibleRows
            | Self::IrreducibleColumns
            | Self::WeaklyChainedRows
            | Self::WeaklyChainedColumns => true,
            Self::Triangular => false,
        }
    }
}

impl Analysis {
    /// Analyses a system in O(nnz) time (the structural rank: bounded by a multiple of it), as much as a
    /// handful of products with `A`, and with 24 n bytes as its memory. The pattern of `Aᵀ` (4 bytes an entry)
    /// comes only where sums of columns leave a question open, and goes before the analysis ends.
    pub fn of(system: &LinearSystem) -> Self {
        Self::of_rows(system.rows())
    }

    /// The same of a square matrix that stands in no system.
    pub(crate) fn of_rows(rows: Rows) -> Self {
        let (order, nonzeros) = (rows.count(), rows.values.len());
        let (symmetry, components, columns, mut found) = read(rows);
        // The arrows of a symmetric matrix go both ways: one component needs no search.
        let whole = symmetry.values && components.count == 1;
        // Where values are symmetric the arrows are, too: stored zeros are none.
        let arrows = Arrows::Rows(rows);
        let across = || match symmetry.values {
            true => arrows,
            false => columns.arrows(rows),
        };
        let row_dominance = found.row_tally.finish(|strict| match whole {
            true => Reach::StronglyConnected,
            false => graph::reach(arrows, across(), &found.row_standings, strict),
        });
        let column_dominance = found.column_tally.finish(|strict| match whole {
            true => Reach::StronglyConnected,
            false => graph::reach(across(), arrows, &found.column_standings, strict),
        });
        let h_matrix = h_matrix_proof(&found, row_dominance.kind, column_dominance.kind);
        let h_matrix_up_to_rounding = h_matrix_proof(
            &found,
            row_dominance.kind_up_to_rounding,
            column_dominance.kind_up_to_rounding,
        );
        let rank = matching::structural_rank(rows, &found.diagonals);
        let structure = std::mem::take(&mut found.empty).structure(rank);
        let definiteness = Definiteness::of(rows, &symmetry, &found, h_matrix);
        let m_matrix = h_matrix.is_some()
            && found.signs.z_matrix
            && found.diagonal.negatives == 0
            && found.diagonal.zeros == 0;
        let mut analysis = Self {
            order,
            nonzeros,
            density: nonzeros as f64 / (order as f64).powi(2),
            row_entries_max: found.row_entries_max,
            column_entries_max: found.column_entries_max,
            norm_infinity: found.norm_infinity,
            norm_one: found.norm_one,
            components,
            symmetry,
            row_dominance,
            column_dominance,
            symmetric_part_gap: found.symmetric_part_gap,
            diagonal: found.diagonal,
            signs: found.signs,
            bandwidth: found.bandwidth,
            structure,
            definiteness,
            h_matrix,
            h_matrix_up_to_rounding,
            m_matrix,
            prospects: vec![],
        };
        analysis.prospects = prospects::of(&analysis);
        analysis
    }

    /// What is to be expected of `method`.
    pub fn prospect(&self, method: MethodName) -> &Prospect {
        self.prospects
            .iter()
            .find(|prospect| prospect.method == method)
            .expect("every method has a prospect")
    }

    /// Proven to have exactly one solution for every `b`.
    pub fn nonsingular(&self) -> bool {
        self.h_matrix.is_some() || self.symmetric_part_gap > 0.0
    }

    /// Why `A` is an H-matrix whose methods hold in floating point as well.
    pub fn h_matrix_without_growth(&self) -> Option<HMatrixProof> {
        self.h_matrix.filter(|proof| proof.bounds_growth())
    }
}

/// Everything that is read entry by entry. What is found does not depend on the order in which it is
/// found out, nor on the number of threads.
fn read(rows: Rows<'_>) -> (Symmetry, Components, Columns<'_>, pass::Findings) {
    let likely = mirror::looks_symmetric(rows);
    let as_rows = Columns::Symmetric;
    let ((symmetry, components), early) = match likely {
        true => beside(
            rows,
            || mirror::walk(rows),
            || Early::Findings(Box::new(pass::over(rows, &as_rows))),
        ),
        false => beside(rows, || mirror::walk(rows), || Early::Sums(columns::sums(rows))),
    };
    let symmetric = symmetry.pattern && symmetry.values;
    let summed = match early {
        Early::Findings(found) if symmetric => return (symmetry, components, as_rows, *found),
        Early::Findings(_) => columns::sums(rows),
        Early::Sums(sums) => sums,
    };
    let columns = Columns::summed(rows, summed);
    let found = pass::over(rows, &columns);
    (symmetry, components, columns, found)
}

/// What was found out beside the walk, on a guess.
enum Early {
    /// As if the matrix was symmetric.
    Findings(Box<pass::Findings>),
    Sums(Vec<ColumnSum>),
}

/// Both, at once where that pays.
fn beside<A: Send, B: Send>(
    rows: Rows<'_>,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    match rows.values.len() >= pass::PARALLEL_ENTRIES_MIN {
        true => rayon::join(one, other),
        false => (one(), other()),
    }
}

fn h_matrix_proof(
    found: &pass::Findings,
    rows: DominanceKind,
    columns: DominanceKind,
) -> Option<HMatrixProof> {
    use DominanceKind as Kind;
    let triangular = found.bandwidth.lower == 0 || found.bandwidth.upper == 0;
    match (rows, columns) {
        (Kind::Strict, _) => Some(HMatrixProof::StrictRows),
        (_, Kind::Strict) => Some(HMatrixProof::StrictColumns),
        (Kind::Irreducible, _) => Some(HMatrixProof::IrreducibleRows),
        (_, Kind::Irreducible) => Some(HMatrixProof::IrreducibleColumns),
        (Kind::WeaklyChained, _) => Some(HMatrixProof::WeaklyChainedRows),
        (_, Kind::WeaklyChained) => Some(HMatrixProof::WeaklyChainedColumns),
        (Kind::Weak | Kind::None, Kind::Weak | Kind::None)
            if triangular && found.diagonal.zeros == 0 =>
        {
            Some(HMatrixProof::Triangular)
        }
        (Kind::Weak | Kind::None, Kind::Weak | Kind::None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::system::MatrixArrays;

    fn analysis_of(dense: &[&[f64]]) -> Analysis {
        let n = dense.len();
        let arrays = MatrixArrays::Dense { values: dense.concat() };
        Analysis::of(&LinearSystem::assemble(n, n, arrays, vec![1.0; n]).unwrap())
    }

    fn check(dense: &[&[f64]], expected: [(MethodName, Verdict); 4]) {
        let analysis = analysis_of(dense);
        for (method, verdict) in expected {
            let prospect = analysis.prospect(method);
            assert_eq!(prospect.verdict, verdict, "{method}: {}", prospect.reason);
        }
    }

    fn verdicts(
        jacobi: Verdict,
        cg: Verdict,
        gmres: Verdict,
        direct: Verdict,
    ) -> [(MethodName, Verdict); 4] {
        [
            (MethodName::Jacobi, jacobi),
            (MethodName::Cg, cg),
            (MethodName::Gmres, gmres),
            (MethodName::Direct, direct),
        ]
    }

    use Verdict::{Certain, Impossible, Possible};

    #[test]
    fn a_weakly_dominant_connected_laplacian_with_one_ground_is_definite() {
        let laplacian: &[&[f64]] = &[&[2.0, -1.0, 0.0], &[-1.0, 2.0, -1.0], &[0.0, -1.0, 2.0]];
        let analysis = analysis_of(laplacian);
        assert_eq!(analysis.row_dominance.kind, DominanceKind::Irreducible);
        assert_eq!(analysis.definiteness, Definiteness::Positive);
        assert!(analysis.m_matrix);
        check(laplacian, verdicts(Certain, Certain, Possible, Certain));
    }

    #[test]
    fn an_ungrounded_laplacian_is_proven_nothing() {
        let singular: &[&[f64]] = &[&[1.0, -1.0], &[-1.0, 1.0]];
        assert_eq!(analysis_of(singular).row_dominance.kind, DominanceKind::Weak);
        check(singular, verdicts(Possible, Possible, Possible, Possible));
    }

    #[test]
    fn a_triangle_whose_errors_may_grow_is_certain_for_no_method() {
        let steep: &[&[f64]] = &[&[1.0, 0.0, 0.0], &[10.0, 1.0, 0.0], &[0.0, 10.0, 1.0]];
        assert_eq!(analysis_of(steep).h_matrix, Some(HMatrixProof::Triangular));
        assert!(analysis_of(steep).prospects.iter().all(|found| found.verdict != Certain));
        let gentle: &[&[f64]] = &[&[1.0, 0.0, 0.0], &[-1.0, 1.0, 0.0], &[0.0, -1.0, 1.0]];
        assert_eq!(analysis_of(gentle).h_matrix, Some(HMatrixProof::WeaklyChainedRows));
        check(gentle, verdicts(Certain, Impossible, Possible, Certain));
    }

    #[test]
    fn halves_that_underflow_prove_nothing() {
        let least = 5e-324;
        let singular: &[&[f64]] = &[&[least, -least], &[-least, least]];
        assert!(!analysis_of(singular).nonsingular());
        check(singular, verdicts(Possible, Possible, Possible, Possible));
    }

    #[test]
    fn the_gap_of_the_symmetric_part_is_never_above_the_true_one() {
        let matrix: &[&[f64]] = &[&[1.0, 1e-20], &[1e-20, 1.0]];
        let gap = analysis_of(matrix).symmetric_part_gap;
        assert!(gap < 1.0 && gap > 1.0 - 1e-14, "the true one is 1 - 1e-20, found {gap}");
    }

    #[test]
    fn a_swap_has_no_diagonal_to_divide_by() {
        check(&[&[0.0, 1.0], &[1.0, 0.0]], verdicts(Impossible, Impossible, Possible, Possible));
    }

    #[test]
    fn an_indefinite_minor_refutes_cg_and_jacobi() {
        check(&[&[1.0, 2.0], &[2.0, 1.0]], verdicts(Impossible, Impossible, Possible, Possible));
    }

    #[test]
    fn an_asymmetric_dominant_matrix_is_for_jacobi_and_not_for_cg() {
        let matrix: &[&[f64]] = &[&[3.0, 1.0], &[0.0, 2.0]];
        check(matrix, verdicts(Certain, Impossible, Possible, Certain));
        let found = analysis_of(matrix).symmetry.first_asymmetry.unwrap();
        assert_eq!(found, Asymmetry { row: 0, col: 1, value: 1.0, mirrored: 0.0 });
    }

    #[test]
    fn a_structurally_singular_matrix_is_impossible_for_all() {
        let matrix: &[&[f64]] = &[&[1.0, 0.0], &[1.0, 0.0]];
        check(matrix, verdicts(Impossible, Impossible, Impossible, Impossible));
        assert_eq!(analysis_of(matrix).structure.first_empty_column, Some(1));
    }

    #[test]
    fn one_unknown_is_a_system() {
        check(&[&[-2.0]], verdicts(Certain, Impossible, Possible, Certain));
        check(&[&[0.0]], verdicts(Impossible, Impossible, Impossible, Impossible));
    }
}
