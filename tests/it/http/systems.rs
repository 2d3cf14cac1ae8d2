//! Requests for systems of a known kind.

use serde_json::{Value, json};
use weir::solver::gallery;

/// The request to solve `-Δu = 1` on a square grid, `side` by `side`.
pub fn poisson(side: usize, method: &str, options: Value) -> String {
    let n = side * side;
    let system = gallery::poisson_2d(side, 0).unwrap();
    let (rows, cols, values) = triplets(system.matrix());
    let data = json!({"values": values, "row_indices": rows, "col_indices": cols});
    json!({
        "matrix": {"rows": n, "cols": n, "format": "coo", "data": data},
        "vector": vec![1.0; n],
        "method": method,
        "options": options,
    })
    .to_string()
}

/// A solve that takes minutes, announced at each iteration.
pub fn endless(side: usize) -> String {
    let options = json!({
        "tolerance": 1e-12, "max_iterations": 100_000_000u64, "update_every": 1,
        "x_partial_max": "all", "damping": 0.01,
    });
    poisson(side, "jacobi", options)
}

fn triplets(matrix: &weir::solver::system::CsrMatrix) -> (Vec<u32>, Vec<u32>, Vec<f64>) {
    let (mut rows, mut cols, mut values) = (vec![], vec![], vec![]);
    for (row, entries) in matrix.outer_iterator().enumerate() {
        for (col, &value) in entries.iter() {
            rows.push(row as u32);
            cols.push(col as u32);
            values.push(value);
        }
    }
    (rows, cols, values)
}
