//! Predictions of a factorisation from its symbolic phase: entries, operations, bytes.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::perm::PermRef;
use faer::sparse::SymbolicSparseColMatRef;
use faer::sparse::linalg::cholesky::{SymbolicCholesky, SymbolicCholeskyRaw};
use faer::sparse::linalg::qr;

use crate::solver::outcome::Work;

/// Bytes of LU that stay for each entry of the bound: 8 for the value, the rest for indices, explicit
/// zeros of dense blocks and spare capacity. Measured: 7.2 to 10.3.
const LU_FACTOR_BYTES: f64 = 11.0;

/// Bytes of LU at its peak for each entry of the bound: with the update blocks that wait for their
/// parents, vectors that move as they grow, and freed pages that the allocator keeps. Measured as
/// resident memory on grids, cubes, random graphs and rings of 1,000 to 490,000 unknowns, beyond the
/// fixed part: 9 to 15.7, and far less where no dense blocks are formed.
const LU_PEAK_BYTES: f64 = 16.0;

/// What the dense blocks of LU and the allocator need however large the matrix, unless it is small.
const LU_SCRATCH_BYTES: u64 = 16 << 20;

/// The same for each entry of the bound of a small matrix.
const LU_SCRATCH_ENTRY_BYTES: f64 = 32.0;

/// What a factorisation will need. For Cholesky it is exact; for LU entries and operations are bounds
/// over all pivot choices, and bytes are what was measured for so many entries, rounded up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fill {
    /// Entries of the factors. A float, because a bound for LU can exceed every integer type.
    pub entries: f64,
    /// Additions and multiplications of the numeric phase.
    pub flops: f64,
    pub symbolic_bytes: u64,
    pub factor_bytes: u64,
    /// Factor, symbolic structure and working storage together.
    pub peak_bytes: u64,
}

impl Fill {
    /// Counts from the columns of the symbolic factor. O(n + supernodes).
    pub fn of_cholesky(symbolic: &SymbolicCholesky<u32>, scratch_bytes: u64) -> Self {
        let (mut entries, mut flops, mut indices) = (0.0, 0.0, 0_u64);
        let mut column = |count: f64| {
            entries += count;
            flops += count * count;
        };
        match symbolic.raw() {
            SymbolicCholeskyRaw::Simplicial(simplicial) => {
                for pair in simplicial.col_ptr().windows(2) {
                    column(f64::from(pair[1] - pair[0]));
                }
                indices += simplicial.row_idx().len() as u64;
            }
            SymbolicCholeskyRaw::Supernodal(supernodal) => {
                for number in 0..supernodal.n_supernodes() {
                    let width =
                        supernodal.supernode_end()[number] - supernodal.supernode_begin()[number];
                    let below = supernodal.supernode(number).pattern().len() as f64;
                    (1..=width).for_each(|own| column(f64::from(own) + below));
                }
                indices += supernodal.row_idx().len() as u64;
            }
        }
        let factor_bytes = 8 * symbolic.len_val() as u64;
        let symbolic_bytes = 4 * (indices + 6 * symbolic.nrows() as u64);
        let peak_bytes = factor_bytes + symbolic_bytes + scratch_bytes;
        Self { entries, flops, symbolic_bytes, factor_bytes, peak_bytes }
    }

    /// Bounds for LU with partial pivoting from the Cholesky factor of `AᵀA`, whose pattern holds that
    /// of `U` (George and Ng 1985). `rows` and `columns` are the patterns of `Aᵀ` and `A` by columns.
    pub fn of_lu(
        rows: SymbolicSparseColMatRef<'_, u32>,
        columns: SymbolicSparseColMatRef<'_, u32>,
        order: PermRef<'_, u32>,
        n: usize,
    ) -> Self {
        let (upper, lower) = lu_column_counts(rows, columns, order, n);
        let (mut entries, mut flops) = (0.0, 0.0);
        for (upper, lower) in upper.iter().zip(&lower) {
            let (upper, lower) = (f64::from(*upper), f64::from(*lower));
            entries += upper + lower;
            flops += lower + 2.0 * upper * lower;
        }
        let symbolic_bytes = 4 * 8 * n as u64;
        let factor_bytes = (LU_FACTOR_BYTES * entries) as u64;
        let transposed_bytes = 12 * rows.row_idx().len() as u64;
        let peak_bytes = ((LU_PEAK_BYTES * entries) as u64)
            .saturating_add(transposed_bytes)
            .saturating_add(symbolic_bytes)
            .saturating_add(LU_SCRATCH_BYTES.min((LU_SCRATCH_ENTRY_BYTES * entries) as u64));
        Self { entries, flops, symbolic_bytes, factor_bytes, peak_bytes }
    }

    /// The work of the numeric phase.
    pub fn numeric_work(&self) -> Work {
        // Dense blocks reuse an entry about ten times while it is in cache.
        Work { nonzeros: (self.flops / 10.0 + self.entries) as u64, flops: self.flops as u64 }
    }

    /// The work of one forward and backward substitution.
    pub fn solve_work(&self) -> Work {
        let entries = self.entries as u64;
        Work { nonzeros: 2 * entries, flops: 4 * entries }
    }
}

/// Column counts of the bounds on `U` and `L`.
fn lu_column_counts(
    rows: SymbolicSparseColMatRef<'_, u32>,
    columns: SymbolicSparseColMatRef<'_, u32>,
    order: PermRef<'_, u32>,
    n: usize,
) -> (Vec<u32>, Vec<u32>) {
    let request = StackReq::any_of(&[
        qr::col_etree_scratch::<u32>(n, n),
        qr::postorder_scratch::<u32>(n),
        qr::column_counts_aat_scratch::<u32>(n, n),
    ]);
    let mut memory = MemBuffer::new(request);
    let stack = MemStack::new(&mut memory);
    let mut tree = vec![0_u32; n];
    let mut postorder = vec![0_u32; n];
    let mut upper = vec![0_u32; n];
    let mut first_col = vec![0_u32; n];
    let tree = qr::col_etree(columns, Some(order), &mut tree, stack);
    qr::postorder(&mut postorder, tree, stack);
    qr::column_counts_ata(&mut upper, &mut first_col, rows, Some(order), tree, &postorder, stack);
    let mut lower = vec![0_u32; n];
    for &col in first_col.iter().filter(|&&col| (col as usize) < n) {
        lower[col as usize] += 1;
    }
    for (col, &parent) in tree.into_inner().iter().enumerate() {
        if let Ok(parent) = usize::try_from(parent) {
            lower[parent] = lower[parent].saturating_add(lower[col].saturating_sub(1));
        }
    }
    (upper, lower)
}

/// How many pivots of `L D Lᵀ` are negative, which by Sylvester's law is the number of negative
/// eigenvalues of `A`.
pub(super) fn negative_pivots(symbolic: &SymbolicCholesky<u32>, values: &[f64]) -> usize {
    match symbolic.raw() {
        SymbolicCholeskyRaw::Simplicial(simplicial) => {
            let starts = &simplicial.col_ptr()[..simplicial.ncols()];
            starts.iter().filter(|&&start| values[start as usize] < 0.0).count()
        }
        SymbolicCholeskyRaw::Supernodal(supernodal) => {
            let widths = supernodal.supernode_begin().iter().zip(supernodal.supernode_end());
            let starts = supernodal.col_ptr_for_val();
            let blocks = widths.enumerate().map(|(number, (begin, end))| {
                let width = (end - begin) as usize;
                let height = width + supernodal.supernode(number).pattern().len();
                let first = starts[number] as usize;
                (0..width).filter(|own| values[first + own * (height + 1)] < 0.0).count()
            });
            blocks.sum()
        }
    }
}
