//! Systems whose properties are known: test problems and the kinds that people solve. Everything random
//! comes from ChaCha8 seeded with the number given, so a seed names the same system everywhere.

mod coordinates;
mod draws;
mod range;

pub use range::GalleryError;

use crate::solver::assembly::assemble;
use crate::solver::system::{CsrMatrix, LinearSystem, MatrixArrays, Rows};
use coordinates::Coordinates;
use draws::{below, conductance, rmat_link, symmetric_uniform, uniform, uniform_vector};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use range::{grid, in_range, whole_in_range};

/// Entries of the largest system that is generated, about 2.4 GB.
pub const ENTRIES_MAX: usize = 200_000_000;

/// `−Δu` on a `side` by `side` grid with zero boundary: the 5-point stencil 4, −1, unscaled.
///
/// n = side². Symmetric positive definite M-matrix, irreducibly dominant, condition about `0.4 side²`.
/// `b` is uniform in [−1, 1).
///
/// # Errors
/// `side` is 0 or makes more than [`ENTRIES_MAX`] entries.
pub fn poisson_2d(side: usize, seed: u64) -> Result<LinearSystem, GalleryError> {
    let cells = grid("poisson_2d", side, 2)?;
    let rows = (0..cells).map(|cell| {
        let (x, y) = (cell % side, cell / side);
        [
            (y > 0).then(|| (cell - side, -1.0)),
            (x > 0).then(|| (cell - 1, -1.0)),
            Some((cell, 4.0)),
            (x + 1 < side).then(|| (cell + 1, -1.0)),
            (y + 1 < side).then(|| (cell + side, -1.0)),
        ]
    });
    Ok(joined(stencil(cells, rows), uniform_vector(cells, seed)))
}

/// `−Δu` on a `side`³ grid with zero boundary: the 7-point stencil 6, −1, unscaled. n = side³. Otherwise
/// as [`poisson_2d`].
///
/// # Errors
/// As [`poisson_2d`].
pub fn poisson_3d(side: usize, seed: u64) -> Result<LinearSystem, GalleryError> {
    let cells = grid("poisson_3d", side, 3)?;
    let layer = side * side;
    let rows = (0..cells).map(|cell| {
        let (x, y, z) = (cell % side, cell / side % side, cell / layer);
        [
            (z > 0).then(|| (cell - layer, -1.0)),
            (y > 0).then(|| (cell - side, -1.0)),
            (x > 0).then(|| (cell - 1, -1.0)),
            Some((cell, 6.0)),
            (x + 1 < side).then(|| (cell + 1, -1.0)),
            (y + 1 < side).then(|| (cell + side, -1.0)),
            (z + 1 < side).then(|| (cell + layer, -1.0)),
        ]
    });
    Ok(joined(stencil(cells, rows), uniform_vector(cells, seed)))
}

/// `−Δu + p (u_x + u_y / 2)` on the unit square, first-order upwind, `side` by `side`, times h²: a wind
/// of strength `peclet` carries what diffuses.
///
/// n = side². Nonsymmetric M-matrix, weakly dominant. `b` is uniform in [−1, 1).
///
/// # Errors
/// As [`poisson_2d`]; `peclet` is negative, above 1e9 or not a number.
pub fn convection_diffusion(
    side: usize,
    peclet: f64,
    seed: u64,
) -> Result<LinearSystem, GalleryError> {
    const KIND: &str = "convection_diffusion";
    let cells = grid(KIND, side, 2)?;
    in_range(KIND, "peclet", peclet, 0.0, 1e9)?;
    // Multiples of 2⁻²⁰ keep row sums exact, so that the matrix is as dominant as the operator is.
    let exact = |value: f64| (value * 1_048_576.0).round() / 1_048_576.0;
    let spacing = 1.0 / (side + 1) as f64;
    let (west, south) = (exact(peclet * spacing), exact(0.5 * peclet * spacing));
    let rows = (0..cells).map(|cell| {
        let (x, y) = (cell % side, cell / side);
        [
            (y > 0).then(|| (cell - side, -1.0 - south)),
            (x > 0).then(|| (cell - 1, -1.0 - west)),
            Some((cell, 4.0 + west + south)),
            (x + 1 < side).then(|| (cell + 1, -1.0)),
            (y + 1 < side).then(|| (cell + side, -1.0)),
        ]
    });
    Ok(joined(stencil(cells, rows), uniform_vector(cells, seed)))
}

/// Random asymmetric matrix, strictly dominant by rows, not by columns: `entries` in all, the
/// off-diagonal ones at uniform places with values uniform in [−1, 1), and
/// `a_ii = (1 + g_i) Σ |a_ij|` with `g_i` uniform in [0.05, 1).
///
/// Places drawn twice add up and places on the diagonal are left out, so slightly fewer than `entries`
/// are stored. An expander: direct factorisation fills in. `b` is uniform in [−1, 1).
///
/// # Errors
/// `order` is 0, or `entries` lies outside `order..=min(order², ENTRIES_MAX)`.
pub fn diagonally_dominant(
    order: usize,
    entries: usize,
    seed: u64,
) -> Result<LinearSystem, GalleryError> {
    const KIND: &str = "diagonally_dominant";
    whole_in_range(KIND, "order", order, 1, ENTRIES_MAX)?;
    let most = order.saturating_mul(order).min(ENTRIES_MAX);
    whole_in_range(KIND, "entries", entries, order, most)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut coordinates = Coordinates::with_diagonal(order, entries, 0.0);
    for _ in order..entries {
        let (row, col) = (below(&mut rng, order), below(&mut rng, order));
        let value = symmetric_uniform(&mut rng);
        if row != col {
            coordinates.push(row, col, value);
        }
    }
    let mut matrix = coordinates.assembled(order);
    let diagonals: Vec<f64> = (0..order)
        .map(|row| {
            let beside: f64 = Rows::of(&matrix).row(row).1.iter().map(|value| value.abs()).sum();
            let gap = 0.05 + 0.95 * uniform(&mut rng);
            if beside > 0.0 { beside * (1.0 + gap) } else { 1.0 }
        })
        .collect();
    set_diagonal(&mut matrix, &diagonals);
    Ok(joined(matrix, (0..order).map(|_| symmetric_uniform(&mut rng)).collect()))
}

/// PageRank `(I − α Pᵀ) x = (1 − α)/n` with α = 0.85 on an R-MAT graph of 2^`scale` pages and `links`
/// links drawn (Chakrabarti, Zhan and Faloutsos 2004; quadrants 0.57, 0.19, 0.19, 0.05).
///
/// Self-links and repeated links are dropped; a page without links passes its rank to nobody. Strictly
/// dominant by columns with gap 0.15; hubs make a few rows very long.
///
/// # Errors
/// `scale` lies outside 1..=27, `links` outside `0..=ENTRIES_MAX − 2^scale`.
pub fn page_rank(scale: u32, links: usize, seed: u64) -> Result<LinearSystem, GalleryError> {
    const KIND: &str = "page_rank";
    const ALPHA: f64 = 0.85;
    whole_in_range(KIND, "scale", scale as usize, 1, 27)?;
    let pages = 1usize << scale;
    whole_in_range(KIND, "links", links, 0, ENTRIES_MAX - pages)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut coordinates = Coordinates::with_diagonal(pages, pages + links, 1.0);
    for _ in 0..links {
        let (from, to) = rmat_link(&mut rng, scale);
        if from != to {
            coordinates.push(from, to, 1.0);
        }
    }
    let graph = coordinates.assembled(pages);
    let rows = Rows::of(&graph);
    let mut values = Vec::with_capacity(rows.values.len());
    for page in 0..pages {
        let targets = rows.cols(page);
        let share = ALPHA / (targets.len() - 1).max(1) as f64;
        values.extend(targets.iter().map(|&to| if to as usize == page { 1.0 } else { -share }));
    }
    let arrays = MatrixArrays::CompressedColumns {
        col_pointers: rows.pointers.to_vec(),
        row_indices: rows.indices.to_vec(),
        values,
    };
    let matrix = assemble(pages, pages, arrays).expect("columns of a graph are well formed");
    Ok(joined(matrix, vec![(1.0 - ALPHA) / pages as f64; pages]))
}

/// A `side` by `side` grid of nodes joined by resistors, one corner grounded, 1 A fed into the opposite
/// one: `x` holds voltages, its last entry the resistance between the corners.
///
/// n = side² − 1. Conductances are k/1024 S with k uniform in 64..=16384, so that row sums are exact:
/// symmetric positive definite M-matrix, irreducibly dominant.
///
/// # Errors
/// `side` is below 2 or makes more than [`ENTRIES_MAX`] entries.
pub fn resistor_grid(side: usize, seed: u64) -> Result<LinearSystem, GalleryError> {
    const KIND: &str = "resistor_grid";
    whole_in_range(KIND, "side", side, 2, usize::MAX)?;
    let nodes = grid(KIND, side, 2)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut network = Coordinates::with_diagonal(nodes - 1, 5 * nodes, 0.0);
    for node in 0..nodes {
        if (node + 1) % side != 0 {
            network.join_grounded(node, node + 1, conductance(&mut rng));
        }
        if node + side < nodes {
            network.join_grounded(node, node + side, conductance(&mut rng));
        }
    }
    Ok(driven(network, nodes - 1))
}

/// A random network: `nodes` in a ring, and `resistors − nodes` chords between uniform pairs. Node 0 is
/// grounded, 1 A is fed into the last; n = nodes − 1. Conductances and properties as
/// [`resistor_grid`], but an expander.
///
/// # Errors
/// `nodes` is below 3, or `resistors` lies outside `nodes..=ENTRIES_MAX / 4`.
pub fn resistor_graph(
    nodes: usize,
    resistors: usize,
    seed: u64,
) -> Result<LinearSystem, GalleryError> {
    const KIND: &str = "resistor_graph";
    whole_in_range(KIND, "nodes", nodes, 3, ENTRIES_MAX / 4)?;
    whole_in_range(KIND, "resistors", resistors, nodes, ENTRIES_MAX / 4)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut network = Coordinates::with_diagonal(nodes - 1, nodes + 4 * resistors, 0.0);
    for node in 0..nodes {
        network.join_grounded(node, (node + 1) % nodes, conductance(&mut rng));
    }
    for _ in nodes..resistors {
        let from = below(&mut rng, nodes);
        let onward = 1 + below(&mut rng, nodes - 1);
        network.join_grounded(from, (from + onward) % nodes, conductance(&mut rng));
    }
    Ok(driven(network, nodes - 1))
}

/// The system with `b` replaced by `A x` for a seeded `x` uniform in [−1, 1), and that `x`.
///
/// `b` is rounded, so `x` is the solution up to the condition number times 1e-16.
pub fn with_known_solution(system: LinearSystem, seed: u64) -> (LinearSystem, Vec<f64>) {
    let solution = uniform_vector(system.order(), seed);
    let rows = system.rows();
    let rhs = (0..system.order())
        .map(|row| {
            let (cols, values) = rows.row(row);
            cols.iter().zip(values).map(|(&col, value)| value * solution[col as usize]).sum()
        })
        .collect();
    (joined(system.into_parts().0, rhs), solution)
}

/// Unknowns that each equal one entry of `b`, in a cycle: `x[(i + 1) mod n] = b[i]`, `b = e₀`. Solved by
/// looking at it, and what restarted Krylov methods stand still on: of fewer than n products with `A` no
/// combination is nearer to `b` than zero is.
///
/// # Errors
/// `unknowns` is 0 or makes more than [`ENTRIES_MAX`] entries.
///
/// Source: Nachtigal, Reddy and Trefethen, *How fast are nonsymmetric matrix iterations?*, 1992, §4.
pub fn cycle(unknowns: usize) -> Result<LinearSystem, GalleryError> {
    whole_in_range("cycle", "unknowns", unknowns, 1, ENTRIES_MAX)?;
    let order = unknowns;
    let rows = (0..order).map(|row| [Some(((row + 1) % order, 1.0))]);
    let mut rhs = vec![0.0; order];
    rhs[0] = 1.0;
    Ok(joined(stencil(order, rows), rhs))
}

/// Rows given as cells in ascending order; `None` lies beyond the boundary.
fn stencil<const N: usize>(
    order: usize,
    rows: impl Iterator<Item = [Option<(usize, f64)>; N]>,
) -> CsrMatrix {
    let mut row_pointers = Vec::with_capacity(order + 1);
    let mut col_indices = Vec::with_capacity(order * N);
    let mut values = Vec::with_capacity(order * N);
    row_pointers.push(0);
    for row in rows {
        for (col, value) in row.into_iter().flatten() {
            col_indices.push(col as u32);
            values.push(value);
        }
        row_pointers.push(values.len() as u32);
    }
    let arrays = MatrixArrays::CompressedRows { row_pointers, col_indices, values };
    assemble(order, order, arrays).expect("a stencil is well formed")
}

fn joined(matrix: CsrMatrix, rhs: Vec<f64>) -> LinearSystem {
    LinearSystem::new(matrix, rhs).expect("a generated system is square and finite")
}

/// 1 A into the last node.
fn driven(network: Coordinates, order: usize) -> LinearSystem {
    let mut currents = vec![0.0; order];
    currents[order - 1] = 1.0;
    joined(network.assembled(order), currents)
}

fn set_diagonal(matrix: &mut CsrMatrix, diagonals: &[f64]) {
    for (row, &diagonal) in diagonals.iter().enumerate() {
        *matrix.get_mut(row, row).expect("the diagonal is stored") = diagonal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::analysis::{Analysis, Definiteness, DominanceKind, HMatrixProof};

    fn analysed(system: Result<LinearSystem, GalleryError>) -> Analysis {
        Analysis::of(&system.unwrap())
    }

    #[test]
    fn poisson_is_a_positive_definite_irreducible_m_matrix() {
        for (system, order, nonzeros) in
            [(poisson_2d(7, 1), 49, 5 * 49 - 4 * 7), (poisson_3d(4, 1), 64, 7 * 64 - 6 * 16)]
        {
            let found = analysed(system);
            assert_eq!((found.order, found.nonzeros), (order, nonzeros));
            assert_eq!(found.row_dominance.kind, DominanceKind::Irreducible);
            assert_eq!(found.definiteness, Definiteness::Positive);
            assert!(found.m_matrix);
        }
    }

    #[test]
    fn upwind_convection_is_an_asymmetric_m_matrix() {
        let found = analysed(convection_diffusion(20, 50.0, 1));
        assert!(found.m_matrix && found.symmetry.pattern && !found.symmetry.values);
        assert_eq!(found.row_dominance.kind, DominanceKind::Irreducible);
    }

    #[test]
    fn the_random_system_is_dominant_by_rows_and_not_by_columns() {
        let found = analysed(diagonally_dominant(1_000, 5_000, 1));
        assert_eq!(found.row_dominance.kind, DominanceKind::Strict);
        assert!(found.row_dominance.relative_gap_min > 0.047);
        assert_eq!(found.column_dominance.kind, DominanceKind::None);
        assert!((4_950..=5_000).contains(&found.nonzeros));
    }

    #[test]
    fn page_rank_is_dominant_by_columns_with_gap_one_minus_alpha() {
        let found = analysed(page_rank(10, 10_000, 1));
        assert_eq!(found.order, 1_024);
        assert_eq!(found.column_dominance.kind, DominanceKind::Strict);
        assert!((found.column_dominance.gap_min - 0.15).abs() < 1e-12);
        assert!(found.m_matrix && found.row_entries_max > 50);
    }

    #[test]
    fn resistor_networks_are_connected_positive_definite_m_matrices() {
        for system in [resistor_grid(9, 1), resistor_graph(80, 200, 1)] {
            let found = analysed(system);
            assert_eq!(found.components.count, 1);
            assert!(found.m_matrix);
            assert_eq!(found.definiteness, Definiteness::Positive);
            assert_eq!(found.h_matrix, Some(HMatrixProof::IrreducibleRows));
        }
    }

    #[test]
    fn two_resistors_in_a_row_add_up() {
        // A 2 by 2 grid: two paths of two resistors each between the corners.
        let system = resistor_grid(2, 3).unwrap();
        let held = |row, col| -system.matrix().get(row, col).copied().unwrap_or(0.0);
        let (right, down) = (held(0, 2), held(1, 2));
        let from_ground = [-held(0, 0) - right, -held(1, 1) - down];
        let path = |near: f64, far: f64| 1.0 / (1.0 / near + 1.0 / far);
        let conductance = path(from_ground[0], right) + path(from_ground[1], down);
        let voltage = 1.0 / conductance;
        let first = voltage * right / (right + from_ground[0]);
        let second = voltage * down / (down + from_ground[1]);
        for (row, x) in [(0, first), (1, second), (2, voltage)] {
            let (cols, values) = system.rows().row(row);
            let solution = [first, second, voltage];
            let product: f64 =
                cols.iter().zip(values).map(|(&col, a)| a * solution[col as usize]).sum();
            assert!((product - system.rhs()[row]).abs() < 1e-12, "row {row}, x {x}");
        }
    }

    #[test]
    fn a_seed_names_one_system() {
        assert_eq!(resistor_graph(50, 90, 4), resistor_graph(50, 90, 4));
        assert_ne!(resistor_graph(50, 90, 4), resistor_graph(50, 90, 5));
        assert_ne!(poisson_2d(3, 1), poisson_2d(3, 2));
    }

    #[test]
    fn the_known_solution_leaves_no_residual() {
        let (system, x) = with_known_solution(diagonally_dominant(200, 900, 2).unwrap(), 9);
        let worst = (0..200).map(|row| {
            let (cols, values) = system.rows().row(row);
            let product: f64 = cols.iter().zip(values).map(|(&col, a)| a * x[col as usize]).sum();
            (product - system.rhs()[row]).abs()
        });
        assert!(worst.fold(0.0, f64::max) < 1e-13);
    }

    #[test]
    fn sizes_outside_their_range_are_refused() {
        for (outcome, parameter) in [
            (poisson_2d(0, 1), "side"),
            (poisson_3d(usize::MAX, 1), "side"),
            (convection_diffusion(3, f64::NAN, 1), "peclet"),
            (diagonally_dominant(10, 9, 1), "entries"),
            (page_rank(40, 1, 1), "scale"),
            (resistor_grid(1, 1), "side"),
            (resistor_graph(3, usize::MAX, 1), "resistors"),
        ] {
            assert_eq!(outcome.unwrap_err().parameter, parameter);
        }
    }
}
