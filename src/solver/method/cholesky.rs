//! Cholesky by itself, for proofs: ordered once for a pattern, then run on values, to its end or not. What
//! solves systems with it is `direct`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::LltRegularization;
use faer::sparse::SparseColMatRef;
use faer::sparse::linalg::cholesky::{
    CholeskySymbolicParams, LltRef, SymbolicCholesky, SymmetricOrdering,
    factorize_symbolic_cholesky,
};
use faer::{Conj, MatMut, Par, Side};

use crate::solver::method::direct::pattern;
use crate::solver::method::fill::Fill;
use crate::solver::method::separator;
use crate::solver::method::stoppable::{Stoppable, unless_unwanted};
use crate::solver::outcome::Work;
use crate::solver::system::Rows;

/// A factorisation costs about this many times its widest front (see `hybrid`).
const FRONTS: f64 = 16.0;

/// What a factorisation may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CholeskyLimits {
    /// Of the factor, its structure and working storage.
    pub memory_bytes_max: u64,
    pub flops_max: f64,
}

/// Why nothing was factorised.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CholeskyRefusal {
    #[error("its factor would need {needed_bytes} bytes, the limit is {limit_bytes}")]
    Memory { needed_bytes: u64, limit_bytes: u64 },
    #[error("its factorisation would take {flops:.1e} operations, the limit is {limit:.1e}")]
    Work { flops: f64, limit: f64 },
    #[error("nobody wants it any more")]
    LeftOff,
}

/// The order and structure of a factor.
pub(crate) struct Cholesky {
    symbolic: SymbolicCholesky<u32>,
    fill: Fill,
}

/// `L` of values that were factorised to the end.
pub(crate) struct CholeskyFactor(Vec<f64>);

impl Cholesky {
    /// Orders a symmetric pattern, given by full rows, for little fill.
    pub fn order(rows: Rows, limits: CholeskyLimits) -> Result<Self, CholeskyRefusal> {
        let CholeskyLimits { memory_bytes_max: limit_bytes, flops_max: limit } = limits;
        // Minimum degree takes minutes on graphs without separators.
        let width_max = (3.0 * limit / FRONTS).cbrt();
        if rows.count() >= separator::ORDER_MIN {
            let width = separator::quick_front(rows, width_max as usize) as f64;
            if width > width_max {
                let flops = FRONTS / 3.0 * width.powi(3);
                return Err(CholeskyRefusal::Work { flops, limit });
            }
        }
        let params = CholeskySymbolicParams::default();
        let symbolic =
            factorize_symbolic_cholesky(pattern(rows), Side::Upper, SymmetricOrdering::Amd, params)
                .map_err(|_| CholeskyRefusal::Memory { needed_bytes: u64::MAX, limit_bytes })?;
        let scratch =
            symbolic.factorize_numeric_llt_scratch::<Stoppable>(Par::Seq, Default::default());
        let fill = Fill::of_cholesky(&symbolic, scratch.size_bytes() as u64);
        match () {
            () if fill.peak_bytes > limit_bytes => {
                Err(CholeskyRefusal::Memory { needed_bytes: fill.peak_bytes, limit_bytes })
            }
            () if fill.flops > limit => Err(CholeskyRefusal::Work { flops: fill.flops, limit }),
            () => Ok(Self { symbolic, fill }),
        }
    }

    /// Entries of `L`, those that are stored as zeros included.
    pub fn entries(&self) -> f64 {
        self.fill.entries
    }

    /// What one run takes.
    pub fn run_work(&self) -> Work {
        self.fill.numeric_work()
    }

    pub fn solve_work(&self) -> Work {
        self.fill.solve_work()
    }

    /// Factorises values of the pattern without regularisation; none where a pivot is not positive.
    ///
    /// # Errors
    /// [`CholeskyRefusal::LeftOff`] when `unwanted` was set.
    pub fn run(
        &self,
        rows: Rows,
        unwanted: &Arc<AtomicBool>,
    ) -> Result<Option<CholeskyFactor>, CholeskyRefusal> {
        let mut values = vec![0.0; self.symbolic.len_val()];
        let matrix = SparseColMatRef::new(pattern(rows), Stoppable::of(rows.values));
        let scratch =
            self.symbolic.factorize_numeric_llt_scratch::<Stoppable>(Par::Seq, Default::default());
        let mut memory = MemBuffer::new(scratch);
        let numbers = Stoppable::of_mut(&mut values);
        let done = unless_unwanted(unwanted, || {
            self.symbolic
                .factorize_numeric_llt(
                    numbers,
                    matrix,
                    Side::Upper,
                    LltRegularization::default(),
                    Par::Seq,
                    MemStack::new(&mut memory),
                    Default::default(),
                )
                .is_ok()
        });
        let is_done = done.map_err(|_| CholeskyRefusal::LeftOff)?;
        let is_finite = values.iter().all(|value| value.is_finite());
        Ok((is_done && is_finite).then_some(CholeskyFactor(values)))
    }

    /// `r ← (L Lᵀ)⁻¹ r`.
    pub fn solve(&self, factor: &CholeskyFactor, r: &mut [f64]) {
        let n = r.len();
        let scratch = self.symbolic.solve_in_place_scratch::<Stoppable>(1, Par::Seq);
        let mut memory = MemBuffer::new(scratch);
        LltRef::new(&self.symbolic, Stoppable::of(&factor.0)).solve_in_place_with_conj(
            Conj::No,
            MatMut::from_column_major_slice_mut(Stoppable::of_mut(r), n, 1),
            Par::Seq,
            MemStack::new(&mut memory),
        );
    }
}
