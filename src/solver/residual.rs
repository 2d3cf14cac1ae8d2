//! How small a residual rounding allows.

use crate::solver::iterate::Problem;
use crate::solver::kernel;
use crate::solver::system::Rows;

/// The size of `‖b − A x‖₂` that rounding alone can cause: `γ ‖|A| |x| + |b|‖₂` with
/// `γ = (k + 2) u`, `k` the longest row and `u = 2⁻⁵³`. Below it a measured residual says nothing.
///
/// One pass over `A`. Source: Higham, *Accuracy and Stability of Numerical Algorithms*, §3.5.
pub(crate) fn rounding_limit(problem: &Problem, x: &[f64]) -> f64 {
    let rows = problem.rows;
    let mut longest = 0;
    let sizes: Vec<f64> = (0..rows.count())
        .map(|i| {
            let (cols, values) = rows.row(i);
            longest = longest.max(cols.len());
            let products =
                cols.iter().zip(values).map(|(&col, value)| (value * x[col as usize]).abs());
            products.sum::<f64>() + problem.rhs[i].abs()
        })
        .collect();
    let unit = f64::EPSILON / 2.0;
    (longest as f64 + 2.0) * unit * kernel::norm2(&sizes)
}

/// `maxᵢ ‖aᵢ‖₂`, a lower bound of `‖A‖₂`.
pub(crate) fn row_norm_max(rows: Rows) -> f64 {
    (0..rows.count()).map(|i| kernel::norm2(rows.row(i).1)).fold(0.0, f64::max)
}
