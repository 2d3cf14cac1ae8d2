//! What the analysis says, against the definitions written out on dense matrices, and on real grids.

use proptest::prelude::*;
use weir::solver::analysis::{Analysis, Definiteness, DominanceKind, StructuralRank, Verdict};
use weir::solver::options::MethodName;
use weir::solver::system::{LinearSystem, MatrixArrays};

use crate::support::grid;

type Dense = Vec<Vec<f64>>;

fn analysed(dense: &Dense) -> Analysis {
    let n = dense.len();
    let arrays = MatrixArrays::Dense { values: dense.concat() };
    Analysis::of(&LinearSystem::assemble(n, n, arrays, vec![0.0; n]).unwrap())
}

fn transposed(dense: &Dense) -> Dense {
    let n = dense.len();
    (0..n).map(|i| (0..n).map(|j| dense[j][i]).collect()).collect()
}

/// `|a_ii| − Σ |a_ij|`; exact for small whole numbers.
fn gaps(dense: &Dense) -> Vec<f64> {
    let beside = |i: usize| -> f64 {
        dense[i].iter().enumerate().filter(|(j, _)| *j != i).map(|(_, a)| a.abs()).sum()
    };
    (0..dense.len()).map(|i| dense[i][i].abs() - beside(i)).collect()
}

/// Which nodes can be reached from which: Warshall.
fn reachable(dense: &Dense) -> Vec<Vec<bool>> {
    let n = dense.len();
    let mut reach: Vec<Vec<bool>> =
        (0..n).map(|i| (0..n).map(|j| i == j || dense[i][j] != 0.0).collect()).collect();
    for through in 0..n {
        for from in 0..n {
            for to in 0..n {
                reach[from][to] |= reach[from][through] && reach[through][to];
            }
        }
    }
    reach
}

fn expected_dominance(dense: &Dense) -> DominanceKind {
    let gaps = gaps(dense);
    let reach = reachable(dense);
    let n = dense.len();
    let leads_to_strict = |i: usize| (0..n).any(|j| reach[i][j] && gaps[j] > 0.0);
    if gaps.iter().any(|gap| *gap < 0.0) {
        DominanceKind::None
    } else if gaps.iter().all(|gap| *gap > 0.0) {
        DominanceKind::Strict
    } else if !(0..n).all(leads_to_strict) {
        DominanceKind::Weak
    } else if reach.iter().flatten().all(|reached| *reached) {
        DominanceKind::Irreducible
    } else {
        DominanceKind::WeaklyChained
    }
}

/// Inverse by Gauss-Jordan with pivoting; `None` when singular.
fn inverse(dense: &Dense) -> Option<Dense> {
    let n = dense.len();
    let mut work: Dense = (0..n)
        .map(|i| {
            let unit = (0..n).map(|j| f64::from(u8::from(i == j)));
            dense[i].iter().copied().chain(unit).collect()
        })
        .collect();
    for col in 0..n {
        let pivot = (col..n).max_by(|i, j| work[*i][col].abs().total_cmp(&work[*j][col].abs()))?;
        if work[pivot][col].abs() < 1e-10 {
            return None;
        }
        work.swap(col, pivot);
        let pivot_row: Vec<f64> = work[col].iter().map(|a| a / work[col][col]).collect();
        for row in (0..n).filter(|row| *row != col) {
            let factor = work[row][col];
            work[row].iter_mut().zip(&pivot_row).for_each(|(a, p)| *a -= factor * p);
        }
        work[col] = pivot_row;
    }
    Some(work.into_iter().map(|row| row[n..].to_vec()).collect())
}

/// H-matrix by definition: the comparison matrix has an inverse without negative entry.
fn is_h_matrix(dense: &Dense) -> bool {
    let n = dense.len();
    let entry = |i: usize, j: usize| if i == j { dense[i][j].abs() } else { -dense[i][j].abs() };
    let comparison: Dense = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
    inverse(&comparison).is_some_and(|inverse| inverse.iter().flatten().all(|a| *a > -1e-9))
}

/// Cholesky gets through.
fn is_positive_definite(dense: &Dense) -> bool {
    let n = dense.len();
    let mut factor = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| factor[i][k] * factor[j][k]).sum();
            if i == j {
                let pivot = dense[i][i] - sum;
                if pivot <= 1e-12 {
                    return false;
                }
                factor[i][i] = pivot.sqrt();
            } else {
                factor[i][j] = (dense[i][j] - sum) / factor[j][j];
            }
        }
    }
    true
}

/// Error of Jacobi or forward Gauss-Seidel on `A x = 0` after many iterations, starting from ones.
fn stationary_error(dense: &Dense, method: MethodName) -> f64 {
    let n = dense.len();
    let mut x = vec![1.0; n];
    for _ in 0..3_000 {
        let before = x.clone();
        for i in 0..n {
            let source = if method == MethodName::Jacobi { &before } else { &x };
            let beside: f64 = (0..n).filter(|j| *j != i).map(|j| dense[i][j] * source[j]).sum();
            x[i] = -beside / dense[i][i];
        }
    }
    x.iter().fold(0.0, |worst: f64, a| worst.max(a.abs()))
}

fn components(dense: &Dense) -> (usize, usize) {
    let n = dense.len();
    let both: Dense =
        (0..n).map(|i| (0..n).map(|j| dense[i][j].abs() + dense[j][i].abs()).collect()).collect();
    let reach = reachable(&both);
    let sizes: Vec<usize> = reach.iter().map(|row| row.iter().filter(|r| **r).count()).collect();
    let count = (0..n).filter(|i| (0..*i).all(|j| !reach[*i][j])).count();
    (count, sizes.into_iter().max().unwrap())
}

/// Small whole numbers, sparse, with a diagonal that is often as large as what stands beside it.
fn small_matrix() -> impl Strategy<Value = Dense> {
    let cell = prop_oneof![4 => Just(0.0), 1 => Just(-1.0), 1 => Just(1.0), 1 => Just(-2.0)];
    let kind = (any::<bool>(), -1i32..3, any::<bool>());
    (1usize..7, proptest::collection::vec(cell, 36), kind, proptest::collection::vec(0i32..9, 6))
        .prop_map(|(n, cells, (symmetric, slack, negative), extra)| {
            let mut dense: Dense = (0..n).map(|i| cells[i * n..(i + 1) * n].to_vec()).collect();
            if symmetric {
                let mirror = transposed(&dense);
                for i in 0..n {
                    for j in 0..i {
                        dense[i][j] = mirror[i][j];
                    }
                }
            }
            for i in 0..n {
                dense[i][i] = 0.0;
                let beside: f64 = dense[i].iter().map(|a| a.abs()).sum();
                let more = if extra[i] > 5 { f64::from(slack) } else { 0.0 };
                dense[i][i] =
                    if negative && extra[i] == 0 { -beside - more } else { beside + more };
            }
            dense
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn findings_agree_with_the_definitions(dense in small_matrix()) {
        let n = dense.len();
        let found = analysed(&dense);
        let mirror = transposed(&dense);
        prop_assert_eq!(found.row_dominance.kind, expected_dominance(&dense));
        prop_assert_eq!(found.column_dominance.kind, expected_dominance(&mirror));
        let smallest = gaps(&dense).into_iter().fold(f64::INFINITY, f64::min);
        prop_assert_eq!(found.row_dominance.gap_min, smallest);
        prop_assert_eq!(found.symmetry.values, dense == mirror);
        prop_assert_eq!(found.symmetry.pattern, (0..n).all(|i| (0..n).all(|j| (dense[i][j] != 0.0) == (mirror[i][j] != 0.0))));
        if let Some(first) = found.symmetry.first_asymmetry {
            prop_assert_eq!((first.value, first.mirrored), (dense[first.row][first.col], dense[first.col][first.row]));
        }
        let distance = |i: usize, j: usize| if dense[i][j] != 0.0 { i.saturating_sub(j) } else { 0 };
        prop_assert_eq!(found.bandwidth.lower, (0..n).flat_map(|i| (0..n).map(move |j| distance(i, j))).max().unwrap());
        prop_assert_eq!((found.components.count, found.components.largest), components(&dense));
        prop_assert_eq!(found.diagonal.first_zero, (0..n).find(|i| dense[*i][*i] == 0.0));
        prop_assert_eq!(found.diagonal.negatives, (0..n).filter(|i| dense[*i][*i] < 0.0).count());
        prop_assert_eq!(found.structure.empty_rows, dense.iter().filter(|row| row.iter().all(|a| *a == 0.0)).count());
        prop_assert_eq!(found.structure.empty_columns, mirror.iter().filter(|row| row.iter().all(|a| *a == 0.0)).count());
        let z_matrix = (0..n).all(|i| (0..n).all(|j| i == j || dense[i][j] <= 0.0));
        prop_assert_eq!(found.signs.z_matrix, z_matrix);
    }

    #[test]
    fn what_is_proven_is_true(dense in small_matrix()) {
        let found = analysed(&dense);
        if found.h_matrix.is_some() {
            prop_assert!(is_h_matrix(&dense), "{:?}", found.h_matrix);
        }
        if found.m_matrix {
            let inverse = inverse(&dense).unwrap();
            prop_assert!(inverse.iter().flatten().all(|a| *a > -1e-9));
        }
        let negated: Dense = dense.iter().map(|row| row.iter().map(|a| -a).collect()).collect();
        match found.definiteness {
            Definiteness::Positive => prop_assert!(is_positive_definite(&dense)),
            Definiteness::Negative => prop_assert!(is_positive_definite(&negated)),
            Definiteness::RefutedByDiagonal { .. } | Definiteness::RefutedByMinor { .. } => {
                prop_assert!(!is_positive_definite(&dense) && !is_positive_definite(&negated));
            }
            Definiteness::NotSymmetric => prop_assert!(dense != transposed(&dense)),
            Definiteness::Unknown => {}
        }
        if let StructuralRank::Deficient { .. } = found.structure.rank {
            prop_assert!(inverse(&dense).is_none());
        }
        if found.nonsingular() {
            prop_assert!(inverse(&dense).is_some());
        }
        for method in [MethodName::Jacobi, MethodName::GaussSeidel] {
            match found.prospect(method).verdict {
                Verdict::Certain => prop_assert!(stationary_error(&dense, method) < 0.5, "{method}"),
                Verdict::Impossible if found.diagonal.zeros == 0 && inverse(&dense).is_some() => {
                    // A component of the starting error lies in the growing direction, or rounding is.
                    let ones = stationary_error(&dense, method);
                    prop_assert!(!is_positive_definite(&dense) && !is_positive_definite(&negated), "{ones}");
                }
                Verdict::Possible | Verdict::Impossible => {}
            }
        }
    }
}

/// Places with values, stored zeros among them: often mirrored, sometimes with another value, and with
/// sums that rounding spoils.
fn stored_matrix() -> impl Strategy<Value = (usize, Vec<(u32, u32, f64)>)> {
    let value =
        prop::sample::select(vec![0.0, 0.1, -0.1, 0.3, -0.7, 1.0, -1.0, 1.0 + f64::EPSILON]);
    let place = (0u32..12, 0u32..12, value.clone(), value, 0u8..4);
    (1usize..13, prop::collection::vec(place, 0..50)).prop_map(|(n, places)| {
        let mut stored = std::collections::BTreeMap::new();
        for (row, col, value, other, kind) in places {
            if row as usize >= n || col as usize >= n {
                continue;
            }
            stored.insert((row, col), value);
            match kind {
                0 | 1 => stored.insert((col, row), value),
                2 => stored.insert((col, row), other),
                _ => None,
            };
        }
        (n, stored.into_iter().map(|((row, col), value)| (row, col, value)).collect())
    })
}

fn analysis_of_stored(n: usize, stored: impl Iterator<Item = (u32, u32, f64)>) -> Analysis {
    let (mut row_indices, mut col_indices, mut values) = (vec![], vec![], vec![]);
    for (row, col, value) in stored {
        row_indices.push(row);
        col_indices.push(col);
        values.push(value);
    }
    let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
    Analysis::of(&LinearSystem::assemble(n, n, arrays, vec![0.0; n]).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn symmetry_is_what_every_pair_of_stored_entries_says((n, stored) in stored_matrix()) {
        let found = analysis_of_stored(n, stored.iter().copied()).symmetry;
        let at = |row: u32, col: u32| {
            stored.iter().find(|entry| (entry.0, entry.1) == (row, col)).map(|entry| entry.2)
        };
        let (mut pattern, mut largest, mut first) = (true, 0.0_f64, None);
        for row in 0..n as u32 {
            for col in 0..n as u32 {
                pattern &= at(row, col).is_some() == at(col, row).is_some();
                let (value, mirrored) = (at(row, col).unwrap_or(0.0), at(col, row).unwrap_or(0.0));
                if value != mirrored {
                    let scale = value.abs().max(mirrored.abs());
                    largest = largest.max((value / scale - mirrored / scale).abs());
                    first = first.or(Some((row as usize, col as usize, value, mirrored)));
                }
            }
        }
        prop_assert_eq!((found.pattern, found.values), (pattern, first.is_none()));
        prop_assert_eq!(found.relative_difference_max, largest);
        let named = found.first_asymmetry.map(|it| (it.row, it.col, it.value, it.mirrored));
        prop_assert_eq!(named, first);
    }

    /// Rows are summed one by one and columns all at once: two ways to the same numbers, to the bit.
    #[test]
    fn columns_are_the_rows_of_the_transpose((n, stored) in stored_matrix()) {
        let found = analysis_of_stored(n, stored.iter().copied());
        let turned = analysis_of_stored(n, stored.iter().map(|&(row, col, value)| (col, row, value)));
        prop_assert_eq!(&found.column_dominance, &turned.row_dominance);
        prop_assert_eq!(&found.row_dominance, &turned.column_dominance);
        prop_assert_eq!(found.column_entries_max, turned.row_entries_max);
        prop_assert_eq!(found.norm_one, turned.norm_infinity);
        prop_assert_eq!(found.symmetric_part_gap, turned.symmetric_part_gap);
        prop_assert_eq!(found.structure.empty_columns, turned.structure.empty_rows);
        prop_assert_eq!(found.structure.first_empty_column, turned.structure.first_empty_row);
        prop_assert_eq!(found.components, turned.components);
        prop_assert_eq!(found.signs.positive_off_diagonals, turned.signs.positive_off_diagonals);
        prop_assert_eq!(found.signs.first_positive, stored.iter()
            .find(|(row, col, value)| row != col && *value > 0.0)
            .map(|&(row, col, value)| weir::solver::analysis::Entry { row: row as usize, col: col as usize, value }));
    }
}

#[test]
fn the_shipped_grids_are_what_their_readme_says() {
    for (name, order, nonzeros, negatives) in [
        ("ieee118", 117, 463, 0),
        ("case300", 299, 1_115, 1),
        ("case1354pegase", 1_353, 4_763, 0),
        ("case2869pegase", 2_868, 10_794, 0),
        ("case6470rte", 6_469, 22_597, 89),
        ("case6515rte", 6_514, 22_714, 89),
        ("case9241pegase", 9_240, 37_644, 15),
    ] {
        let found = Analysis::of(&grid(name));
        assert_eq!((found.order, found.nonzeros), (order, nonzeros), "{name}");
        assert!(found.symmetry.pattern && found.symmetry.values, "{name}");
        assert_eq!(found.diagonal.negatives, negatives, "{name}");
        assert_eq!(found.components.count, 1, "{name}");
    }
}

#[test]
fn the_indefinite_grid_is_no_case_for_cg_and_says_why() {
    let found = Analysis::of(&grid("case9241pegase"));
    let cg = found.prospect(MethodName::Cg);
    assert_eq!(cg.verdict, Verdict::Impossible);
    assert!(cg.reason.contains("is -"), "{}", cg.reason);
    assert_eq!(found.prospect(MethodName::Direct).verdict, Verdict::Possible);
    assert_eq!(found.prospect(MethodName::Jacobi).verdict, Verdict::Possible);
}

#[test]
fn a_grid_summed_in_floating_point_is_dominant_up_to_rounding() {
    let found = Analysis::of(&grid("ieee118"));
    let dominance = &found.row_dominance;
    assert_eq!(dominance.kind, DominanceKind::None);
    assert_eq!(dominance.kind_up_to_rounding, DominanceKind::Irreducible);
    assert_eq!(dominance.violated_lines, dominance.rounding_lines);
    assert!(found.h_matrix.is_none() && found.h_matrix_up_to_rounding.is_some());
    assert_eq!(found.prospect(MethodName::Cg).verdict, Verdict::Possible);
    assert!(found.prospect(MethodName::Cg).reason.starts_with("to be expected"));
}

#[test]
fn rounding_explains_none_of_the_violations_that_make_a_grid_indefinite() {
    let found = Analysis::of(&grid("case9241pegase"));
    let dominance = &found.row_dominance;
    assert_eq!(dominance.violated_lines - dominance.rounding_lines, 25);
    assert_eq!(dominance.kind_up_to_rounding, DominanceKind::None);
    let first = dominance.first_violation.unwrap();
    assert!(first.diagonal.abs() < 0.9 * first.off_diagonal_sum, "{first:?}");
}
