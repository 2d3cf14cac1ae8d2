//! Is a symmetric `A` positive definite? Proven, refuted by evidence, or left open: only a
//! factorisation would decide the rest.

use super::pass::Findings;
use super::{Entry, HMatrixProof, SYMMETRY_ROUNDING, Symmetry};
use crate::solver::system::Rows;
use serde::Serialize;

/// What is known about `xᵀ A x > 0`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Definiteness {
    /// `A` is not symmetric (see [`super::Symmetry`]), not even up to rounding.
    NotSymmetric,
    /// Symmetric H-matrix with positive diagonal.
    Positive,
    /// `−A` is positive definite.
    Negative,
    /// `a_ii ≤ 0` while not all of the diagonal is negative.
    RefutedByDiagonal {
        row: usize,
        value: f64,
    },
    /// `a_ij² > a_ii a_jj`: the 2 by 2 minor is indefinite, so `A` is.
    RefutedByMinor {
        entry: Entry,
        row_diagonal: f64,
        column_diagonal: f64,
    },
    Unknown,
}

impl Definiteness {
    pub(crate) fn of(
        rows: Rows<'_>,
        symmetry: &Symmetry,
        found: &Findings,
        h_matrix: Option<HMatrixProof>,
    ) -> Self {
        if !symmetry.up_to_rounding() {
            return Self::NotSymmetric;
        }
        let n = found.diagonals.len();
        let proven = symmetry.values && h_matrix.is_some();
        let all_negative = found.diagonal.negatives == n;
        if proven && found.diagonal.smallest > 0.0 {
            return Self::Positive;
        }
        if proven && all_negative {
            return Self::Negative;
        }
        let refuting =
            found.diagonal.first_zero.into_iter().chain(found.diagonal.first_negative).min();
        if let Some(row) = refuting
            && !all_negative
        {
            return Self::RefutedByDiagonal { row, value: found.diagonals[row] };
        }
        indefinite_minor(rows, &found.diagonals).unwrap_or(Self::Unknown)
    }

    /// Neither `A` nor `−A` is positive definite.
    pub fn refuted(&self) -> bool {
        match self {
            Self::RefutedByDiagonal { .. } | Self::RefutedByMinor { .. } => true,
            Self::NotSymmetric | Self::Positive | Self::Negative | Self::Unknown => false,
        }
    }
}

/// The first `(i, j)` with `|a_ij| > √|a_ii| √|a_jj|`, with room for rounding. The diagonal has one sign.
fn indefinite_minor(rows: Rows<'_>, diagonals: &[f64]) -> Option<Definiteness> {
    let roots: Vec<f64> = diagonals.iter().map(|value| value.abs().sqrt()).collect();
    for row in 0..rows.count() {
        let (cols, values) = rows.row(row);
        for (&col, &value) in cols.iter().zip(values) {
            let col = col as usize;
            if col != row && value.abs() > roots[row] * roots[col] * (1.0 + 4.0 * SYMMETRY_ROUNDING)
            {
                return Some(Definiteness::RefutedByMinor {
                    entry: Entry { row, col, value },
                    row_diagonal: diagonals[row],
                    column_diagonal: diagonals[col],
                });
            }
        }
    }
    None
}
