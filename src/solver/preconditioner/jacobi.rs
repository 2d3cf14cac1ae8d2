//! The diagonal as a preconditioner, and as what `jacobi` and `gauss_seidel` divide by.

use crate::solver::huge_pages;
use crate::solver::kernel;
use crate::solver::system::Rows;

/// `1 / aᵢᵢ` for every row; the diagonal must be free of zeros.
pub(crate) fn inverse_diagonal(rows: Rows) -> Vec<f64> {
    let mut inverse = huge_pages::zeros(rows.count());
    follow_diagonal(&mut inverse, 1.0, rows, &Diagonals::All);
    inverse
}

/// Rows whose diagonal entry has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Diagonals {
    Rows(Vec<u32>),
    All,
}

impl Diagonals {
    /// More than this are not told apart any more.
    const ROWS_MAX: usize = 1 << 15;

    pub const fn none() -> Self {
        Self::Rows(vec![])
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Rows(rows) if rows.is_empty())
    }

    pub fn note(&mut self, row: usize) {
        match self {
            Self::Rows(rows) if rows.len() < Self::ROWS_MAX => rows.push(row as u32),
            Self::Rows(_) => *self = Self::All,
            Self::All => {}
        }
    }

    /// How many entries are looked at in a matrix of so many rows.
    pub fn count(&self, order: usize) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::All => order,
        }
    }
}

/// Makes `scale / aᵢᵢ` true again in the rows that have changed; the diagonal must be free of zeros.
pub(crate) fn follow_diagonal(inverse: &mut [f64], scale: f64, rows: Rows, changed: &Diagonals) {
    let of_row = |i: usize| scale / rows.diagonal(i).expect("methods refuse a missing diagonal");
    match changed {
        Diagonals::Rows(changed) => {
            changed.iter().for_each(|&i| inverse[i as usize] = of_row(i as usize));
        }
        Diagonals::All => {
            inverse.iter_mut().enumerate().for_each(|(i, inverse)| *inverse = of_row(i));
        }
    }
}

/// `z = D⁻¹ r`.
pub(super) fn apply(inverse: &[f64], r: &[f64], z: &mut [f64]) {
    assert!(r.len() == inverse.len());
    let entries = z.len();
    kernel::fold_chunks(z, entries, |start, part| {
        let range = start..start + part.len();
        for ((out, inverse), r) in part.iter_mut().zip(&inverse[range.clone()]).zip(&r[range]) {
            *out = inverse * r;
        }
        []
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;

    #[test]
    fn few_changes_and_more_than_are_told_apart_lead_to_the_inverse_of_the_diagonal() {
        let system = gallery::diagonally_dominant(40_000, 80_000, 3).unwrap();
        let expected = inverse_diagonal(system.rows());
        for count in [0, 1, 100, Diagonals::ROWS_MAX, Diagonals::ROWS_MAX + 1, 40_000] {
            let mut inverse = expected.clone();
            let mut changed = Diagonals::none();
            for (row, inverse) in inverse.iter_mut().enumerate().take(count) {
                *inverse = f64::NAN;
                changed.note(row);
            }
            assert_eq!(changed.is_empty(), count == 0);
            assert!(changed.count(40_000) >= count);
            follow_diagonal(&mut inverse, 1.0, system.rows(), &changed);
            assert_eq!(inverse, expected, "{count} changes");
        }
    }
}
