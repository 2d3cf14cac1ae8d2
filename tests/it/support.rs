//! Set-up shared by the themes: systems, and an independent dense solver to compare with.

use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};
use weir::solver::options::SolveOptions;
use weir::solver::outcome::{Outcome, Refusal, Step};
use weir::solver::system::{LinearSystem, MatrixArrays};

/// A dense matrix, row by row.
pub type Dense = Vec<Vec<f64>>;

/// The system of a dense matrix, stored without its zeros.
pub fn system_of(dense: &Dense, rhs: Vec<f64>) -> LinearSystem {
    let n = dense.len();
    let (mut row_indices, mut col_indices, mut values) = (vec![], vec![], vec![]);
    for (row, entries) in dense.iter().enumerate() {
        for (col, &value) in entries.iter().enumerate() {
            if value != 0.0 {
                row_indices.push(row as u32);
                col_indices.push(col as u32);
                values.push(value);
            }
        }
    }
    let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
    LinearSystem::assemble(n, n, arrays, rhs).expect("the test's system is well formed")
}

/// A power grid that is shipped with weir, by the name of its file.
pub fn grid(name: &str) -> LinearSystem {
    let at = format!("{}/scenarios/systems/{name}", env!("CARGO_MANIFEST_DIR"));
    let matrix = std::fs::read(format!("{at}.mtx")).unwrap();
    let rhs = std::fs::read(format!("{at}_b.mtx")).unwrap();
    let read = read_matrix(&matrix[..], ReadLimits::default()).unwrap();
    let rhs = read_rhs(&rhs[..], read.rows).unwrap();
    LinearSystem::assemble(read.rows, read.cols, read.arrays, rhs).unwrap()
}

/// Solves `A x = b` by Gaussian elimination with partial pivoting, none when a pivot is zero.
/// Shares no code with the methods it judges.
pub fn dense_solution(dense: &Dense, rhs: &[f64]) -> Option<Vec<f64>> {
    let n = rhs.len();
    let mut rows: Vec<Vec<f64>> =
        dense.iter().zip(rhs).map(|(row, b)| row.iter().copied().chain([*b]).collect()).collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs()))?;
        rows.swap(k, pivot);
        if rows[k][k] == 0.0 {
            return None;
        }
        for i in k + 1..n {
            let factor = rows[i][k] / rows[k][k];
            let pivot_row = rows[k].clone();
            for (entry, pivot) in rows[i][k..].iter_mut().zip(&pivot_row[k..]) {
                *entry -= factor * pivot;
            }
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| rows[k][j] * x[j]).sum();
        x[k] = (rows[k][n] - known) / rows[k][k];
    }
    Some(x)
}

/// `‖b − A x‖₂`, entry by entry from the assembled system.
pub fn residual_norm(system: &LinearSystem, x: &[f64]) -> f64 {
    let squares = system.matrix().outer_iterator().zip(system.rhs()).map(|(row, b)| {
        let product: f64 = row.iter().map(|(col, value)| value * x[col]).sum();
        (b - product).powi(2)
    });
    squares.sum::<f64>().sqrt()
}

/// How a solve went.
#[derive(Debug)]
pub struct Solved {
    pub outcome: Outcome,
    pub x: Vec<f64>,
    pub iterations: u64,
    pub steps: Vec<Step>,
}

/// Runs a solve to its end.
pub fn solve(
    system: LinearSystem,
    guess: Option<Vec<f64>>,
    options: SolveOptions,
) -> Result<Solved, Refusal> {
    let analysis = Analysis::of(&system);
    let steps_max = options.iterations_max + 100;
    let mut engine = Engine::new(system, analysis, guess, options)?;
    let mut steps = vec![];
    loop {
        let step = engine.step();
        steps.push(step.clone());
        assert!(steps.len() as u64 <= steps_max, "the solve does not end");
        if let Step::Finished(outcome) = step {
            let x = engine.solution().to_vec();
            let iterations = engine.iteration();
            return Ok(Solved { outcome, x, iterations, steps });
        }
    }
}
