//! The diagonal as a preconditioner, and as what `jacobi` and `gauss_seidel` divide by.

use crate::solver::huge_pages;
use crate::solver::kernel;
use crate::solver::system::Rows;

/// `1 / aᵢᵢ` for every row; the diagonal must be free of zeros.
pub(crate) fn inverse_diagonal(rows: Rows) -> Vec<f64> {
    let mut inverse = huge_pages::zeros(rows.count());
    for (i, inverse) in inverse.iter_mut().enumerate() {
        *inverse = 1.0 / rows.diagonal(i).expect("methods refuse a missing diagonal");
    }
    inverse
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
