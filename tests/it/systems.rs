//! Systems in: every form of the same matrix gives the same system, and every kind of damage is named.

use proptest::prelude::*;
use weir::solver::system::{LinearSystem, MatrixArrays, SystemFault, SystemMember as M};

/// A matrix as entries without duplicates, sorted by row and column.
#[derive(Debug, Clone)]
struct Entries {
    n: usize,
    entries: Vec<(u32, u32, f64)>,
}

impl Entries {
    fn arrays(&self, order: &[(u32, u32, f64)]) -> (Vec<u32>, Vec<u32>, Vec<f64>) {
        (
            order.iter().map(|entry| entry.0).collect(),
            order.iter().map(|entry| entry.1).collect(),
            order.iter().map(|entry| entry.2).collect(),
        )
    }

    fn pointers(&self, lines: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut pointers = vec![0; self.n + 1];
        lines.for_each(|line| pointers[line as usize + 1] += 1);
        (0..self.n).for_each(|line| pointers[line + 1] += pointers[line]);
        pointers
    }

    fn by_rows(&self) -> MatrixArrays {
        let (rows, col_indices, values) = self.arrays(&self.entries);
        let row_pointers = self.pointers(rows.into_iter());
        MatrixArrays::CompressedRows { row_pointers, col_indices, values }
    }

    fn by_columns(&self) -> MatrixArrays {
        let mut sorted = self.entries.clone();
        sorted.sort_by_key(|entry| (entry.1, entry.0));
        let (row_indices, cols, values) = self.arrays(&sorted);
        let col_pointers = self.pointers(cols.into_iter());
        MatrixArrays::CompressedColumns { col_pointers, row_indices, values }
    }

    /// Shuffled, and each entry whose place `halved` names split into two exact halves.
    fn coordinates(&self, seed: usize, halved: usize) -> MatrixArrays {
        let mut order: Vec<(u32, u32, f64)> = vec![];
        for (at, &(row, col, value)) in self.entries.iter().enumerate() {
            match (at + halved).is_multiple_of(3) {
                true => order.extend([(row, col, value / 2.0), (row, col, value / 2.0)]),
                false => order.push((row, col, value)),
            }
        }
        let count = order.len();
        for at in 0..count {
            order.swap(at, (at * 7 + seed) % count);
        }
        let (row_indices, col_indices, values) = self.arrays(&order);
        MatrixArrays::Coordinates { row_indices, col_indices, values }
    }

    fn dense(&self) -> MatrixArrays {
        let mut values = vec![0.0; self.n * self.n];
        for &(row, col, value) in &self.entries {
            values[row as usize * self.n + col as usize] = value;
        }
        MatrixArrays::Dense { values }
    }
}

fn entries() -> impl Strategy<Value = Entries> {
    (1usize..12).prop_flat_map(|n| {
        let place = (0..n as u32, 0..n as u32);
        let value = (-1e6..1e6f64).prop_filter("stored", |value| value.abs() > 1e-9);
        proptest::collection::btree_map(place, value, 1..40).prop_map(move |entries| Entries {
            n,
            entries: entries.into_iter().map(|((row, col), value)| (row, col, value)).collect(),
        })
    })
}

fn faults_of(n: usize, arrays: MatrixArrays) -> Vec<SystemFault> {
    LinearSystem::assemble(n, n, arrays, vec![0.0; n]).expect_err("damaged")
}

proptest! {
    #[test]
    fn every_form_gives_the_same_system(matrix in entries(), seed in 0usize..50, halved in 0usize..3) {
        let n = matrix.n;
        let rhs: Vec<f64> = (0..n).map(|row| row as f64).collect();
        let expected = LinearSystem::assemble(n, n, matrix.by_rows(), rhs.clone()).unwrap();
        for arrays in [matrix.by_columns(), matrix.coordinates(seed, halved), matrix.dense()] {
            let found = LinearSystem::assemble(n, n, arrays, rhs.clone()).unwrap();
            prop_assert_eq!(&found, &expected);
        }
        let back = matrix.entries.iter().map(|&(row, col, value)| {
            expected.matrix().get(row as usize, col as usize).copied() == Some(value)
        });
        prop_assert!(back.into_iter().all(|held| held));
        let twice = LinearSystem::new(expected.transposed(), rhs).unwrap().transposed();
        prop_assert_eq!(&twice, expected.matrix());
    }

    #[test]
    fn damage_is_named_with_its_member_and_place(matrix in entries(), at in 0usize..40, kind in 0usize..5) {
        let n = matrix.n;
        let count = matrix.entries.len();
        let at = at % count;
        let MatrixArrays::CompressedRows { mut row_pointers, mut col_indices, mut values } = matrix.by_rows() else {
            unreachable!("by_rows makes compressed rows")
        };
        let expected = match kind {
            0 => { values[at] = f64::NAN; (M::Values, Some(at)) }
            1 => { values[at] = f64::NEG_INFINITY; (M::Values, Some(at)) }
            2 => { col_indices[at] = n as u32; (M::ColIndices, Some(at)) }
            3 => { row_pointers[n] += 1; (M::RowPointers, Some(n)) }
            _ => { row_pointers.push(count as u32); (M::RowPointers, None) }
        };
        let faults = faults_of(n, MatrixArrays::CompressedRows { row_pointers, col_indices, values });
        prop_assert!(faults.iter().any(|fault| (fault.member, fault.index) == expected), "{faults:?}");
        prop_assert!(faults.iter().all(|fault| fault.member == expected.0), "{faults:?}");
    }
}
