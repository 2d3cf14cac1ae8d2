//! Entries of a generated matrix in any order, and networks of resistors made of them.

use crate::solver::assembly::assemble;
use crate::solver::system::{CsrMatrix, MatrixArrays};

pub(super) struct Coordinates {
    rows: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

impl Coordinates {
    pub(super) fn with_diagonal(order: usize, capacity: usize, value: f64) -> Self {
        let mut coordinates = Self {
            rows: Vec::with_capacity(capacity),
            cols: Vec::with_capacity(capacity),
            values: Vec::with_capacity(capacity),
        };
        (0..order).for_each(|at| coordinates.push(at, at, value));
        coordinates
    }

    pub(super) fn push(&mut self, row: usize, col: usize, value: f64) {
        self.rows.push(row as u32);
        self.cols.push(col as u32);
        self.values.push(value);
    }

    /// A resistor between two nodes; node 0 is the ground, so node k is unknown k − 1.
    pub(super) fn join_grounded(&mut self, one: usize, other: usize, conductance: f64) {
        for (near, far) in [(one, other), (other, one)] {
            if near > 0 {
                self.push(near - 1, near - 1, conductance);
                if far > 0 {
                    self.push(near - 1, far - 1, -conductance);
                }
            }
        }
    }

    pub(super) fn assembled(self, order: usize) -> CsrMatrix {
        let Self { rows, cols, values } = self;
        let arrays = MatrixArrays::Coordinates { row_indices: rows, col_indices: cols, values };
        assemble(order, order, arrays).expect("generated coordinates are in range")
    }
}
