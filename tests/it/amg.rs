//! Algebraic multigrid: the cycle is a symmetric linear operator, iterations hardly grow with n, answers
//! agree with an independent solution, and what it is not for is refused by type.

use crate::support::{dense_solution, residual_norm, system_of};
use proptest::prelude::*;
use weir::solver::amg::{
    AmgRefusal, Ended, Goal, Hierarchy, Solved, Symmetry, bicgstab, conjugate_gradients,
};
use weir::solver::gallery;
use weir::solver::system::{LinearSystem, MatrixArrays};

const UNLIMITED: u64 = 1 << 34;
const GOAL: Goal = Goal { tolerance: 1e-8, iterations_max: 500 };

/// Entries in any order; duplicates are summed.
#[derive(Debug, Clone, Default)]
struct Entries {
    n: usize,
    rows: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

impl Entries {
    fn of(n: usize) -> Self {
        Self { n, ..Self::default() }
    }

    fn push(&mut self, row: usize, col: usize, value: f64) {
        self.rows.push(row as u32);
        self.cols.push(col as u32);
        self.values.push(value);
    }

    /// An edge of a weighted graph, as its Laplacian has it.
    fn join(&mut self, one: usize, other: usize, weight: f64) {
        for (near, far) in [(one, other), (other, one)] {
            self.push(near, near, weight);
            self.push(near, far, -weight);
        }
    }

    fn ground(&mut self, leak: impl Fn(usize) -> f64) {
        (0..self.n).for_each(|node| self.push(node, node, leak(node)));
    }

    fn system(self) -> LinearSystem {
        let rhs = (0..self.n).map(|i| noise(i as u64)).collect();
        let Self { n, rows, cols, values } = self;
        let arrays = MatrixArrays::Coordinates { row_indices: rows, col_indices: cols, values };
        LinearSystem::assemble(n, n, arrays, rhs).unwrap()
    }
}

/// In [−1, 1), a fixed function of `at`.
fn noise(at: u64) -> f64 {
    let mut bits = at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn vector(n: usize, seed: u64) -> Vec<f64> {
    (0..n as u64).map(|i| noise(i + (seed << 32))).collect()
}

fn build(system: &LinearSystem, symmetry: Symmetry) -> Result<Hierarchy, AmgRefusal> {
    Hierarchy::build(system.rows(), symmetry, UNLIMITED)
}

fn solved(system: &LinearSystem, symmetry: Symmetry) -> Solved {
    let mut hierarchy = build(system, symmetry).unwrap();
    let x = vec![0.0; system.order()];
    let method = match symmetry {
        Symmetry::Symmetric => conjugate_gradients,
        Symmetry::General => bicgstab,
    };
    let solved = method(system, &mut hierarchy, x, GOAL);
    let measured = residual_norm(system, &solved.x);
    assert!((measured - solved.residual_norm).abs() <= 1e-6 * measured, "the claim is measured");
    solved
}

/// Solves to 1e-8 in at most `iterations_max`.
fn check(name: &str, system: &LinearSystem, symmetry: Symmetry, iterations_max: u64) {
    let solved = solved(system, symmetry);
    assert_eq!(
        solved.ended,
        Ended::Converged,
        "{name}, n = {}: {}",
        system.order(),
        solved.iterations
    );
    assert!(
        solved.iterations <= iterations_max,
        "{name}, n = {}: {} iterations, not {iterations_max}",
        system.order(),
        solved.iterations
    );
}

/// `side` by `side` nodes; `weight(x, y, is_down)` of the edge to the right or down; Dirichlet all round.
fn grid(side: usize, weight: impl Fn(usize, usize, bool) -> f64) -> LinearSystem {
    let mut entries = Entries::of(side * side);
    for node in 0..side * side {
        let (x, y) = (node % side, node / side);
        for is_down in [false, true] {
            let (at, step) = if is_down { (y, side) } else { (x, 1) };
            if at + 1 < side {
                entries.join(node, node + step, weight(x, y, is_down));
            } else {
                entries.push(node, node, weight(x, y, is_down));
            }
            if at == 0 {
                entries.push(node, node, weight(x, y, is_down));
            }
        }
    }
    entries.system()
}

/// Squares of 7 by 7 nodes of conductivity 1 and `jump`; edges take the harmonic mean.
fn chessboard(side: usize, jump: f64) -> LinearSystem {
    let conductivity =
        |x: usize, y: usize| if (x / 7 + y / 7).is_multiple_of(2) { 1.0 } else { jump };
    grid(side, |x, y, is_down| {
        let (here, there) =
            (conductivity(x, y), conductivity(x + usize::from(!is_down), y + usize::from(is_down)));
        2.0 * here * there / (here + there)
    })
}

/// A connected random graph with `degree` edges a node to near numbers and weights over four decades,
/// grounded by `leak` everywhere.
fn graph(n: usize, degree: usize, leak: f64) -> LinearSystem {
    let mut entries = Entries::of(n);
    for node in 1..n {
        for edge in 0..degree {
            let draw = noise((node * degree + edge) as u64);
            let back = 1 + ((draw.abs() * 40.0) as usize).min(node - 1);
            entries.join(node, node - back, 10_f64.powf(2.0 * draw));
        }
    }
    entries.ground(|_| leak);
    entries.system()
}

#[test]
fn iterations_hardly_grow_with_n() {
    use Symmetry::{General, Symmetric};
    for side in [30, 90, 270] {
        check("poisson 2d", &gallery::poisson_2d(side, 1).unwrap(), Symmetric, 14);
        for jump in [1e2, 1e4] {
            check("chessboard", &chessboard(side, jump), Symmetric, 25);
        }
        check(
            "anisotropic",
            &grid(side, |_, _, is_down| if is_down { 1e-3 } else { 1.0 }),
            Symmetric,
            18,
        );
        for wind in [0.0, 50.0, 300.0, 2_000.0, 1e5] {
            let system = gallery::convection_diffusion(side, wind, 1).unwrap();
            check(&format!("wind {wind}"), &system, General, 11);
        }
    }
    for side in [10, 20, 40] {
        check("poisson 3d", &gallery::poisson_3d(side, 1).unwrap(), Symmetric, 14);
    }
    for n in [1_000, 10_000, 50_000] {
        check("graph", &graph(n, 3, 1e-3), Symmetric, 25);
    }
    check("resistors", &gallery::resistor_grid(200, 1).unwrap(), Symmetric, 22);
}

#[test]
fn the_hierarchy_stays_small() {
    for (system, complexity) in
        [(gallery::poisson_2d(200, 1).unwrap(), 1.4), (gallery::poisson_3d(40, 1).unwrap(), 1.7)]
    {
        let hierarchy = build(&system, Symmetry::Symmetric).unwrap();
        let found = hierarchy.operator_complexity();
        assert!((1.1..complexity).contains(&found), "{found}");
        let sizes = hierarchy.sizes();
        assert_eq!((sizes[0].rows, sizes[0].entries), (system.order(), system.nonzeros()));
        assert!(sizes.windows(2).all(|pair| 4 * pair[1].rows < pair[0].rows), "{sizes:?}");
    }
}

#[test]
fn the_peak_of_memory_is_predicted_within_a_factor() {
    for (system, symmetry) in [
        (gallery::poisson_2d(300, 1).unwrap(), Symmetry::Symmetric),
        (gallery::poisson_3d(50, 1).unwrap(), Symmetry::Symmetric),
        (gallery::convection_diffusion(300, 50.0, 1).unwrap(), Symmetry::General),
        (graph(50_000, 3, 1e-3), Symmetry::Symmetric),
    ] {
        let hierarchy = build(&system, symmetry).unwrap();
        let predicted = Hierarchy::predicted_peak_bytes(system.nonzeros() as u64);
        let (held, peak) = (hierarchy.memory_bytes(), hierarchy.peak_bytes());
        assert!(held < peak && peak <= predicted && predicted < 4 * peak, "{peak} {predicted}");
        assert!(held <= 26 * system.nonzeros() as u64 + (1 << 20), "{held}");
    }
}

#[test]
fn memory_is_refused_before_it_is_taken() {
    let system = gallery::poisson_3d(20, 1).unwrap();
    let peak = build(&system, Symmetry::Symmetric).unwrap().peak_bytes();
    let within = |bytes| Hierarchy::build(system.rows(), Symmetry::Symmetric, bytes);
    assert_eq!(within(peak).unwrap().peak_bytes(), peak);
    for limit_bytes in (0..peak).step_by(peak as usize / 37).chain([peak - 1]) {
        match within(limit_bytes) {
            Err(AmgRefusal::OutOfMemoryBudget { needed_bytes, limit_bytes: limit }) => {
                assert_eq!(limit, limit_bytes);
                assert!(needed_bytes > limit && needed_bytes <= peak);
            }
            other => panic!("{limit_bytes} of {peak}: {:?}", other.map(|_| "a hierarchy")),
        }
    }
}

fn apply(hierarchy: &mut Hierarchy, r: &[f64]) -> Vec<f64> {
    let mut z = vec![f64::NAN; r.len()];
    hierarchy.apply(r, &mut z);
    z
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[test]
fn the_cycle_is_symmetric_and_positive_for_a_symmetric_matrix() {
    let systems = [
        gallery::poisson_2d(40, 1).unwrap(),
        gallery::poisson_3d(12, 1).unwrap(),
        chessboard(42, 1e4),
        graph(3_000, 4, 1e-4),
        gallery::poisson_2d(10, 1).unwrap(),
    ];
    for system in systems {
        let mut hierarchy = build(&system, Symmetry::Symmetric).unwrap();
        for seed in 0..4 {
            let (r, s) = (vector(system.order(), seed), vector(system.order(), seed + 10));
            let (mr, ms) = (apply(&mut hierarchy, &r), apply(&mut hierarchy, &s));
            let (here, there) = (dot(&s, &mr), dot(&r, &ms));
            let size = (dot(&r, &mr) * dot(&s, &ms)).sqrt();
            assert!(size > 0.0 && (here - there).abs() <= 1e-5 * size, "{here} {there} {size}");
        }
    }
}

#[test]
fn the_cycle_is_linear_at_every_scale() {
    for (system, symmetry) in [
        (gallery::poisson_2d(40, 1).unwrap(), Symmetry::Symmetric),
        (gallery::convection_diffusion(40, 80.0, 1).unwrap(), Symmetry::General),
    ] {
        let mut hierarchy = build(&system, symmetry).unwrap();
        let (r, s) = (vector(system.order(), 1), vector(system.order(), 2));
        let (mr, ms) = (apply(&mut hierarchy, &r), apply(&mut hierarchy, &s));
        let sum: Vec<f64> = r.iter().zip(&s).map(|(r, s)| 3.0 * r - 0.5 * s).collect();
        let msum = apply(&mut hierarchy, &sum);
        let largest = msum.iter().fold(0.0_f64, |largest, z| largest.max(z.abs()));
        for i in 0..r.len() {
            assert!((msum[i] - (3.0 * mr[i] - 0.5 * ms[i])).abs() <= 1e-5 * largest);
        }
        // Powers of two change no bit.
        for exponent in [-900, -300, -1, 5, 300, 900] {
            let power = 2_f64.powi(exponent);
            let scaled: Vec<f64> = r.iter().map(|r| r * power).collect();
            let found = apply(&mut hierarchy, &scaled);
            assert!(found.iter().zip(&mr).all(|(z, mr)| *z == mr * power), "2^{exponent}");
        }
        assert!(apply(&mut hierarchy, &vec![0.0; r.len()]).iter().all(|z| *z == 0.0));
        let mut broken = r.clone();
        broken[7] = f64::NAN;
        assert!(apply(&mut hierarchy, &broken).iter().all(|z| z.is_nan()));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let symmetric = gallery::poisson_3d(30, 3).unwrap();
            let general = gallery::convection_diffusion(150, 30.0, 3).unwrap();
            let (one, other) =
                (solved(&symmetric, Symmetry::Symmetric), solved(&general, Symmetry::General));
            [one.x, other.x].map(|x| x.into_iter().map(f64::to_bits).collect::<Vec<_>>())
        })
    };
    let alone = run(1);
    assert!(alone == run(2) && alone == run(5));
}

/// `S A S` and `S b` with `S = diag(scaling)`.
fn scaled(plain: &LinearSystem, scaling: impl Fn(usize) -> f64) -> LinearSystem {
    let mut entries = Entries::of(plain.order());
    for row in 0..plain.order() {
        let (cols, values) = plain.rows().row(row);
        for (&col, value) in cols.iter().zip(values) {
            entries.push(row, col as usize, value * scaling(row) * scaling(col as usize));
        }
    }
    let rhs = plain.rhs().iter().enumerate().map(|(i, b)| b * scaling(i)).collect();
    LinearSystem::new(entries.system().into_parts().0, rhs).unwrap()
}

#[test]
fn the_size_of_a_matrix_changes_no_iteration() {
    for (plain, symmetry) in [
        (gallery::poisson_2d(60, 1).unwrap(), Symmetry::Symmetric),
        (gallery::convection_diffusion(60, 20.0, 1).unwrap(), Symmetry::General),
    ] {
        let expected = solved(&plain, symmetry);
        for exponent in [-450, -100, 100, 450] {
            let power = 2_f64.powi(exponent);
            let found = solved(&scaled(&plain, |_| power), symmetry);
            assert_eq!((found.ended, found.iterations), (Ended::Converged, expected.iterations));
            assert!(found.x.iter().zip(&expected.x).all(|(x, known)| *x == known / power));
        }
    }
}

#[test]
fn wild_scalings_of_the_unknowns_leave_every_number_finite() {
    let plain = gallery::poisson_2d(40, 1).unwrap();
    for decades in [1, 40, 400] {
        let scaling = |i: usize| 2_f64.powi((i * 7 % 41) as i32 * decades / 40 - decades / 2);
        let system = scaled(&plain, scaling);
        let mut hierarchy = build(&system, Symmetry::Symmetric).unwrap();
        for seed in 0..3 {
            let r: Vec<f64> =
                vector(1_600, seed).iter().enumerate().map(|(i, r)| r * scaling(i)).collect();
            let z = apply(&mut hierarchy, &r);
            assert!(z.iter().all(|z| z.is_finite()) && dot(&r, &z) > 0.0, "{decades}");
        }
        if decades == 1 {
            assert_eq!(solved(&system, Symmetry::Symmetric).ended, Ended::Converged);
        }
    }
}

#[test]
fn small_and_odd_shapes_are_solved() {
    let single = system_of(&vec![vec![4.0]], vec![8.0]);
    assert_eq!(solved(&single, Symmetry::Symmetric).x, [2.0]);
    assert_eq!(solved(&single, Symmetry::General).x, [2.0]);

    let identity = {
        let mut entries = Entries::of(1_000);
        entries.ground(|i| 1.0 + i as f64);
        entries.system()
    };
    check("diagonal", &identity, Symmetry::Symmetric, 2);

    let apart = {
        let mut entries = Entries::of(3_000);
        // 30 chains of 50 nodes, one of 1,000, and 500 nodes alone.
        for node in 1..2_500 {
            if node > 1_500 || node % 50 != 0 {
                entries.join(node - 1, node, 1.0);
            }
        }
        entries.ground(|node| if node < 2_500 { 1e-4 } else { 3.0 });
        entries.system()
    };
    check("apart", &apart, Symmetry::Symmetric, 15);

    let star = {
        let mut entries = Entries::of(5_000);
        (1..5_000).for_each(|leaf| entries.join(0, leaf, 1.0));
        entries.ground(|_| 1e-5);
        entries.system()
    };
    check("star", &star, Symmetry::Symmetric, 8);

    let hubs = {
        let mut entries = Entries::of(10_000);
        for node in 100..10_000 {
            entries.join(node, node - 1 - (noise(node as u64).abs() * 80.0) as usize, 1.0);
            entries.join(node, node % 7, 0.1);
        }
        entries.ground(|_| 1e-3);
        entries.system()
    };
    check("hubs", &hubs, Symmetry::Symmetric, 25);
    check("hubs", &hubs, Symmetry::General, 16);
}

#[test]
fn stored_zeros_change_nothing() {
    let plain = gallery::poisson_2d(40, 1).unwrap();
    let mut entries = Entries::of(plain.order());
    for row in 0..plain.order() {
        let (cols, values) = plain.rows().row(row);
        cols.iter().zip(values).for_each(|(&col, value)| entries.push(row, col as usize, *value));
        entries.push(row, (row + 700) % plain.order(), 0.0);
    }
    let with_zeros =
        LinearSystem::new(entries.system().into_parts().0, plain.rhs().to_vec()).unwrap();
    let one = apply(&mut build(&plain, Symmetry::Symmetric).unwrap(), plain.rhs());
    let other = apply(&mut build(&with_zeros, Symmetry::Symmetric).unwrap(), plain.rhs());
    assert_eq!(one, other);
}

#[test]
fn a_changed_system_is_solved_from_its_last_solution_with_the_old_hierarchy() {
    let system = gallery::poisson_2d(120, 1).unwrap();
    let mut hierarchy = build(&system, Symmetry::Symmetric).unwrap();
    let x = vec![0.0; system.order()];
    let cold = conjugate_gradients(&system, &mut hierarchy, x, GOAL);
    // A hundredth of the diagonal grows by a tenth, and b in one place.
    let (mut matrix, mut rhs) = system.into_parts();
    for i in (0..rhs.len()).step_by(100) {
        *matrix.get_mut(i, i).unwrap() *= 1.1;
    }
    rhs[5_000] *= 1.001;
    let changed = LinearSystem::new(matrix, rhs).unwrap();
    let warm = conjugate_gradients(&changed, &mut hierarchy, cold.x.clone(), GOAL);
    assert_eq!(warm.ended, Ended::Converged);
    assert!(
        residual_norm(&changed, &warm.x) <= 1.0001e-8 * dot(changed.rhs(), changed.rhs()).sqrt()
    );
    assert!(
        warm.iterations <= cold.iterations + 5,
        "{} after {}",
        warm.iterations,
        cold.iterations
    );
    let again = conjugate_gradients(&changed, &mut hierarchy, warm.x.clone(), GOAL);
    assert_eq!((again.iterations, again.x), (0, warm.x));
}

#[test]
fn a_tolerance_beyond_rounding_ends_as_stagnation() {
    let system = gallery::poisson_2d(60, 1).unwrap();
    for symmetry in [Symmetry::Symmetric, Symmetry::General] {
        let mut hierarchy = build(&system, symmetry).unwrap();
        let goal = Goal { tolerance: 1e-17, iterations_max: 2_000 };
        let x = vec![0.0; system.order()];
        let solved = match symmetry {
            Symmetry::Symmetric => conjugate_gradients(&system, &mut hierarchy, x, goal),
            Symmetry::General => bicgstab(&system, &mut hierarchy, x, goal),
        };
        assert!(
            matches!(solved.ended, Ended::Stagnated | Ended::Breakdown { .. }),
            "{:?} after {}",
            solved.ended,
            solved.iterations
        );
        assert!(residual_norm(&system, &solved.x) < 1e-13 * dot(system.rhs(), system.rhs()).sqrt());
    }
}

fn refusal(system: &LinearSystem, symmetry: Symmetry) -> AmgRefusal {
    build(system, symmetry).map(|_| "a hierarchy").unwrap_err()
}

#[test]
fn matrices_it_is_not_for_are_refused_by_type() {
    let chain = |diagonal: fn(usize) -> f64, beside: f64| {
        let mut entries = Entries::of(600);
        for i in 0..600 {
            entries.push(i, i, diagonal(i));
            if i > 0 {
                entries.push(i, i - 1, beside);
                entries.push(i - 1, i, beside);
            }
        }
        entries.system()
    };
    for symmetry in [Symmetry::Symmetric, Symmetry::General] {
        let holed = chain(|i| if i == 77 { 0.0 } else { 2.5 }, -1.0);
        assert_eq!(refusal(&holed, symmetry), AmgRefusal::Diagonal { row: 77, value: 0.0 });
        let negative = chain(|i| if i == 30 { -2.5 } else { 2.5 }, -1.0);
        assert_eq!(refusal(&negative, symmetry), AmgRefusal::Diagonal { row: 30, value: -2.5 });
        let positive = chain(|_| 2.5, 1.0);
        let found = refusal(&positive, symmetry);
        assert!(matches!(found, AmgRefusal::PositiveOffDiagonals { share: 1.0, .. }), "{found}");
    }
    let found = refusal(&chain(|_| 0.5, -1.0), Symmetry::Symmetric);
    assert!(matches!(found, AmgRefusal::OffDiagonal { row: 0, col: 1, .. }), "{found}");
    // Poisson less a shift between its first and its second eigenvalue.
    let mut entries = Entries::of(900);
    let plain = gallery::poisson_2d(30, 1).unwrap();
    for row in 0..900 {
        let (cols, values) = plain.rows().row(row);
        cols.iter().zip(values).for_each(|(&col, value)| entries.push(row, col as usize, *value));
        entries.push(row, row, -0.04);
    }
    let shifted = entries.system();
    let found = refusal(&shifted, Symmetry::Symmetric);
    assert!(matches!(found, AmgRefusal::Indefinite { level: 1.., .. }), "{found}");
}

#[test]
fn coarsening_that_fills_in_is_refused() {
    // An expander: every coarse matrix is nearly full.
    let mut entries = Entries::of(20_000);
    for node in 0..20_000_usize {
        for edge in 0..4 {
            let other = ((noise((node * 4 + edge) as u64) + 1.0) * 10_000.0) as usize;
            if other != node {
                entries.join(node, other, 1.0);
            }
        }
    }
    entries.ground(|_| 1e-3);
    let found = refusal(&entries.system(), Symmetry::Symmetric);
    assert!(matches!(found, AmgRefusal::Densified { .. }), "{found}");
}

#[test]
fn no_progress_is_said_and_not_hidden() {
    // Symmetric indefinite behind a positive diagonal, taken for definite by its owner.
    let mut entries = Entries::of(200);
    for i in 0..200 {
        entries.push(i, i, 1.0);
        if i % 2 == 1 {
            entries.push(i, i - 1, -0.999);
            entries.push(i - 1, i, -0.999);
        }
    }
    let definite = entries.clone().system();
    let mut hierarchy = build(&definite, Symmetry::Symmetric).unwrap();
    // The hierarchy of another matrix: −A has no positive curvature.
    entries.values.iter_mut().for_each(|value| *value = -*value);
    let opposite = entries.system();
    let x = vec![0.0; 200];
    let solved = conjugate_gradients(&opposite, &mut hierarchy, x.clone(), GOAL);
    assert!(matches!(solved.ended, Ended::Indefinite { curvature } if curvature < 0.0));
    assert_eq!(solved.x, x);
    let few = Goal { iterations_max: 2, ..GOAL };
    let plain = gallery::poisson_2d(50, 1).unwrap();
    for symmetry in [Symmetry::Symmetric, Symmetry::General] {
        let mut hierarchy = build(&plain, symmetry).unwrap();
        let x = vec![0.0; plain.order()];
        let solved = match symmetry {
            Symmetry::Symmetric => conjugate_gradients(&plain, &mut hierarchy, x, few),
            Symmetry::General => bicgstab(&plain, &mut hierarchy, x, few),
        };
        assert_eq!((solved.ended, solved.iterations), (Ended::IterationLimit, 2));
        let measured = residual_norm(&plain, &solved.x);
        assert!((measured - solved.residual_norm).abs() <= 1e-9 * measured);
    }
}

/// A random M-matrix: edges with weights over `decades`, other weights in the other direction unless
/// `symmetric`, a leak at some nodes, numbered at random.
fn m_matrix() -> impl Strategy<Value = (Vec<Vec<f64>>, Symmetry)> {
    let edge = (0..1_000_usize, 0..1_000_usize, -1.5..1.5f64, -1.5..1.5f64);
    (1..420_usize, proptest::collection::vec(edge, 0..1_500), any::<bool>(), 0..7usize).prop_map(
        |(n, edges, is_symmetric, every)| {
            let mut dense = vec![vec![0.0; n]; n];
            for (one, other, there, back) in edges {
                let (one, other) = (one % n, other % n);
                if one == other {
                    continue;
                }
                let back = if is_symmetric { there } else { back };
                for (row, col, decade) in [(one, other, there), (other, one, back)] {
                    let weight = 10_f64.powf(decade);
                    dense[row][col] -= weight;
                    dense[row][row] += weight;
                }
            }
            for (row, values) in dense.iter_mut().enumerate() {
                values[row] += if row % (every + 1) == 0 { 1.0 } else { 0.1 };
            }
            let symmetry = if is_symmetric { Symmetry::Symmetric } else { Symmetry::General };
            (dense, symmetry)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_m_matrices_are_solved_or_refused((dense, symmetry) in m_matrix()) {
        let n = dense.len();
        let rhs = vector(n, 9);
        let system = system_of(&dense, rhs.clone());
        let mut hierarchy = match build(&system, symmetry) {
            Ok(hierarchy) => hierarchy,
            Err(refusal) => {
                // Only irregular graphs that are too large for one dense factor.
                let is_expected = match refusal {
                    AmgRefusal::Densified { .. } => true,
                    AmgRefusal::Indefinite { level: 1.., .. } => symmetry == Symmetry::General,
                    _ => false,
                };
                prop_assert!(is_expected && n > 256, "{refusal}");
                return Ok(());
            }
        };
        let goal = Goal { tolerance: 1e-10, iterations_max: 200 };
        let x = vec![0.0; n];
        let solved = match symmetry {
            Symmetry::Symmetric => conjugate_gradients(&system, &mut hierarchy, x, goal),
            Symmetry::General => bicgstab(&system, &mut hierarchy, x, goal),
        };
        prop_assert_eq!(solved.ended, Ended::Converged, "after {}", solved.iterations);
        let expected = dense_solution(&dense, &rhs).unwrap();
        let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
        for (found, expected) in solved.x.iter().zip(&expected) {
            prop_assert!((found - expected).abs() <= 1e-5 * scale, "{} {}", found, expected);
        }
    }
}
