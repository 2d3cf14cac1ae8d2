//! From what is known about a matrix to what each method will do with it. "Certain" and "impossible"
//! are said only where a theorem says so; everything else is "possible", with what speaks for or
//! against it.

use super::{Analysis, Definiteness, HMatrixProof, StructuralRank};
use crate::solver::options::MethodName;
use serde::{Serialize, Serializer};

/// What is known in advance about a method on a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Converges to the solution from every initial guess, as the engine runs it by default: proven for
    /// exact arithmetic, and rounding errors do not grow on the way.
    Certain,
    /// Neither proven nor excluded.
    Possible,
    /// Cannot start, or what it relies on is refuted.
    Impossible,
}

/// The verdict on one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prospect {
    #[serde(serialize_with = "method_name")]
    pub method: MethodName,
    pub verdict: Verdict,
    /// A sentence for people that names the evidence.
    pub reason: String,
}

fn method_name<S: Serializer>(method: &MethodName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

/// One prospect for each method, in the order of [`MethodName::ALL`].
pub(crate) fn of(analysis: &Analysis) -> Vec<Prospect> {
    MethodName::ALL
        .into_iter()
        .map(|method| {
            let (verdict, reason) = singular(analysis).unwrap_or_else(|| match method {
                MethodName::Jacobi => stationary(analysis, method),
                MethodName::GaussSeidel => stationary(analysis, method),
                MethodName::Cg => cg(analysis),
                MethodName::Bicgstab => bicgstab(analysis),
                MethodName::Gmres => gmres(analysis),
                MethodName::Direct => direct(analysis),
                MethodName::Hybrid => hybrid(analysis),
            });
            Prospect { method, verdict, reason }
        })
        .collect()
}

type Finding = (Verdict, String);

fn singular(analysis: &Analysis) -> Option<Finding> {
    let StructuralRank::Deficient { row, rows, .. } = analysis.structure.rank else {
        return None;
    };
    let evidence = match rows {
        1 => format!("row {row} holds no nonzero"),
        _ => {
            format!("{rows} rows, row {row} among them, have nonzeros in only {} columns", rows - 1)
        }
    };
    Some((
        Verdict::Impossible,
        format!("{evidence}: the matrix is singular whatever its values are"),
    ))
}

fn stationary(analysis: &Analysis, method: MethodName) -> Finding {
    if let Some(row) = analysis.diagonal.first_zero {
        let reason = format!("divides by the diagonal, and entry ({row}, {row}) is zero");
        return (Verdict::Impossible, reason);
    }
    if let Some(proof) = analysis.h_matrix_without_growth() {
        return (Verdict::Certain, h_matrix_reason(analysis, proof, method));
    }
    let one_sign =
        analysis.diagonal.negatives == 0 || analysis.diagonal.negatives == analysis.order;
    if analysis.symmetry.values && one_sign && analysis.definiteness.refuted() {
        let reason = format!(
            "on a symmetric matrix with a diagonal of one sign it converges only when the matrix is definite, and {}",
            refutation(&analysis.definiteness)
        );
        return (Verdict::Impossible, reason);
    }
    match analysis.h_matrix_up_to_rounding {
        Some(proof) if proof.bounds_growth() => {
            let property = h_matrix_reason(analysis, proof, method);
            return (Verdict::Possible, format!("to be expected: up to rounding, {property}"));
        }
        Some(_) => return (Verdict::Possible, GROWING_TRIANGLE.to_owned()),
        None => {}
    }
    (Verdict::Possible, format!("no theorem covers it: {}", not_dominant(analysis)))
}

const GROWING_TRIANGLE: &str = "triangular without a zero on the diagonal, so nonsingular, but entries outweigh the diagonal, so that rounding errors may grow from row to row";

fn h_matrix_reason(analysis: &Analysis, proof: HMatrixProof, method: MethodName) -> String {
    // On a symmetric definite matrix every damping below 2 will do (Ostrowski and Reich).
    let any_damping = method == MethodName::GaussSeidel
        && matches!(analysis.definiteness, Definiteness::Positive | Definiteness::Negative);
    let limit = if any_damping { "" } else { "; damping must not exceed 1" };
    let property = match proof {
        HMatrixProof::Triangular => GROWING_TRIANGLE.to_owned(),
        HMatrixProof::StrictRows if analysis.row_dominance.relative_gap_min > 0.0 => format!(
            "strictly diagonally dominant by rows, so each undamped iteration shrinks the largest error by a factor of {:.4} or better",
            ((1.0 - analysis.row_dominance.relative_gap_min) * 1e4).ceil() / 1e4
        ),
        HMatrixProof::StrictRows => "strictly diagonally dominant by rows".to_owned(),
        HMatrixProof::StrictColumns => "strictly diagonally dominant by columns".to_owned(),
        HMatrixProof::IrreducibleRows => {
            "irreducibly diagonally dominant by rows (Taussky)".to_owned()
        }
        HMatrixProof::IrreducibleColumns => {
            "irreducibly diagonally dominant by columns (Taussky)".to_owned()
        }
        HMatrixProof::WeaklyChainedRows => {
            "weakly chained diagonally dominant by rows, so an H-matrix".to_owned()
        }
        HMatrixProof::WeaklyChainedColumns => {
            "weakly chained diagonally dominant by columns, so an H-matrix".to_owned()
        }
    };
    format!("{property}{limit}")
}

fn cg(analysis: &Analysis) -> Finding {
    match &analysis.definiteness {
        Definiteness::NotSymmetric => (Verdict::Impossible, asymmetry(analysis)),
        Definiteness::Positive => (
            Verdict::Certain,
            "symmetric positive definite (symmetric H-matrix with positive diagonal)".to_owned(),
        ),
        Definiteness::Negative => (
            Verdict::Impossible,
            "the matrix is negative definite; cg solves the system multiplied by -1".to_owned(),
        ),
        refuted
        @ (Definiteness::RefutedByDiagonal { .. } | Definiteness::RefutedByMinor { .. }) => (
            Verdict::Impossible,
            format!("needs a positive definite matrix, and {}", refutation(refuted)),
        ),
        Definiteness::Unknown if analysis.diagonal.negatives > 0 => (
            Verdict::Impossible,
            "needs a positive definite matrix, and the diagonal is negative".to_owned(),
        ),
        Definiteness::Unknown if analysis.h_matrix_up_to_rounding.is_some() => (
            Verdict::Possible,
            "to be expected: up to rounding, a symmetric H-matrix with positive diagonal, so positive definite"
                .to_owned(),
        ),
        Definiteness::Unknown => (
            Verdict::Possible,
            format!(
                "{} with positive diagonal; whether it is positive definite shows as it runs",
                if analysis.symmetry.values { "symmetric" } else { "symmetric up to rounding" }
            ),
        ),
    }
}

fn bicgstab(analysis: &Analysis) -> Finding {
    let reason = match analysis.nonsingular() {
        true => "nonsingular, but no theorem excludes a breakdown",
        false => "no theorem covers it",
    };
    (Verdict::Possible, reason.to_owned())
}

fn gmres(analysis: &Analysis) -> Finding {
    if analysis.symmetric_part_gap > 0.0 {
        return (
            Verdict::Possible,
            "the symmetric part is positive definite (Gershgorin), so every restart length converges without preconditioner (Eisenstat, Elman and Schultz); with one, as by default, no theorem covers restarts".to_owned(),
        );
    }
    if analysis.definiteness == Definiteness::Positive {
        return (
            Verdict::Possible,
            "symmetric positive definite, so every restart length converges without preconditioner (Eisenstat, Elman and Schultz); with one, as by default, no theorem covers restarts".to_owned(),
        );
    }
    let reason = match analysis.nonsingular() {
        true => {
            "nonsingular, so a restart length of n ends it in exact arithmetic; shorter ones may stagnate"
        }
        false => "no theorem covers restarts on it",
    };
    (Verdict::Possible, reason.to_owned())
}

fn direct(analysis: &Analysis) -> Finding {
    let proven = analysis.h_matrix_without_growth().is_some() || analysis.symmetric_part_gap > 0.0;
    match analysis.h_matrix_up_to_rounding {
        _ if proven => {
            (Verdict::Certain, "proven nonsingular, if the factors fit in memory".to_owned())
        }
        Some(proof) if proof.bounds_growth() => (
            Verdict::Possible,
            "to be expected: up to rounding, a nonsingular H-matrix; if the factors fit in memory"
                .to_owned(),
        ),
        Some(_) => (Verdict::Possible, GROWING_TRIANGLE.to_owned()),
        None => (
            Verdict::Possible,
            "solves every nonsingular system whose factors fit in memory; that it is nonsingular is not proven".to_owned(),
        ),
    }
}

fn hybrid(analysis: &Analysis) -> Finding {
    match stationary(analysis, MethodName::GaussSeidel) {
        (Verdict::Certain, _) => (
            Verdict::Certain,
            "gauss_seidel converges for certain, and is what it falls back on".to_owned(),
        ),
        (Verdict::Possible | Verdict::Impossible, _) => {
            (Verdict::Possible, "tries what suits and changes when progress stalls".to_owned())
        }
    }
}

fn asymmetry(analysis: &Analysis) -> String {
    match analysis.symmetry.first_asymmetry {
        Some(found) => format!(
            "needs a symmetric matrix, and entry ({}, {}) is {} while ({}, {}) is {}",
            found.row, found.col, found.value, found.col, found.row, found.mirrored
        ),
        None => "needs a symmetric matrix".to_owned(),
    }
}

fn refutation(definiteness: &Definiteness) -> String {
    match definiteness {
        Definiteness::RefutedByDiagonal { row, value } => {
            format!("entry ({row}, {row}) is {value}")
        }
        Definiteness::RefutedByMinor { entry, row_diagonal, column_diagonal } => format!(
            "entry ({}, {}) is {}, larger than its diagonals {row_diagonal} and {column_diagonal} allow",
            entry.row, entry.col, entry.value
        ),
        Definiteness::NotSymmetric
        | Definiteness::Positive
        | Definiteness::Negative
        | Definiteness::Unknown => "definiteness is not refuted".to_owned(),
    }
}

fn not_dominant(analysis: &Analysis) -> String {
    match analysis.row_dominance.first_violation {
        Some(found) => format!(
            "{} of {} rows are not diagonally dominant, row {} first (diagonal {:.4e}, beside it {:.4e})",
            analysis.row_dominance.violated_lines - analysis.row_dominance.rounding_lines,
            analysis.order,
            found.line,
            found.diagonal,
            found.off_diagonal_sum
        ),
        None => {
            "rows are diagonally dominant only weakly, and some lead to no strict one".to_owned()
        }
    }
}
