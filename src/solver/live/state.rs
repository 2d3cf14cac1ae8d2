//! The live state: `A`, `b`, `x` and `r = b − A x`, kept together under changes of `A` and `b`. Owns
//! that a delta counts as a whole and that `r` is true; making `r` small is for `push.rs` and `sweep.rs`.

mod changes;

use crate::solver::digest::RowDigests;
use crate::solver::huge_pages;
use crate::solver::iterate::Iterate;
use crate::solver::kernel;
use crate::solver::live::active::ActiveRows;
use crate::solver::live::matrix::LiveMatrix;
use crate::solver::live::node::Node;
use crate::solver::live::push::Interrupted;
use crate::solver::loss::Loss;
use crate::solver::system::LinearSystem;

/// Overlaid entries of a line that are counted to know its length.
const COUNTED_MAX: usize = 64;

/// More than what an inverse of 20 bits can be too small by.
const INVERSE_SLACK: f64 = 1.000_01;

/// A kept residual is doubted when rounding of the largest number that went through it, this many
/// times, could reach a threshold.
const ROUNDINGS: f64 = 256.0;

/// A system under change: `A` n by n, `b`, `x` and `r = b − A x` of length n.
///
/// `r` follows every change in O(1) per entry. Rows whose residual has reached their threshold are known
/// at any time, so that relaxing them costs nothing for the others.
///
/// 32 bytes for each stored entry and at most 69 for each row, so below 40 and 64 wherever the diagonal
/// is stored; what the overlay takes is in [`LiveMatrix`]. Measuring takes 16 bytes a row more while it
/// runs, sweeping 24.
#[derive(Debug, Clone)]
pub struct LiveSystem {
    pub(super) matrix: LiveMatrix,
    pub(super) rhs: Vec<f64>,
    pub(super) nodes: Vec<Node>,
    pub(super) active: ActiveRows,
    threshold_min: f64,
    /// `Σᵢ` of the thresholds: what all settled rows together can amount to.
    pub(super) threshold_sum: f64,
    /// The largest number that `r` has been in touch with since it was measured.
    pub(super) largest: f64,
    /// How far rounding can have taken any entry of `r` since it was measured.
    pub(super) drift: f64,
    /// At least the entries of the longest row, and of the longest column.
    pub(super) row_entries_max: usize,
    pub(super) column_entries_max: usize,
    /// At least `|aₖᵢ| / |aᵢᵢ|` of every entry whose column has a diagonal.
    pub(super) growth: f64,
    /// What a sweep left of the norm that it had met, when that was measured last.
    pub(super) fall: Option<f64>,
    /// What the last sweep met, to what the one before it had met.
    pub(super) contraction: Option<f64>,
    measurements: u64,
    /// How far a kept residual was off at most when it was measured, beyond what it may have drifted.
    surprise: f64,
    /// For each row the largest number that changes have put through its residual since that was measured:
    /// the upper quarter of it, rounded up.
    passed: Vec<u16>,
    /// Relaxation that was interrupted, while nothing else has moved `r`.
    pub(super) interrupted: Option<Interrupted>,
    /// What each row of `A` and `b` should hold.
    pub(super) digests: RowDigests,
}

/// The upper quarter of infinity.
const NOT_FINITE: u16 = 0x7FF0;

/// How large `|rᵢ|` may be: below its threshold a row is left alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Thresholds<'a> {
    Uniform(f64),
    PerRow(&'a [f64]),
}

/// Why a live state cannot be made of its parts.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LiveFault {
    #[error("{member} has {found} entries, the system has {expected} unknowns")]
    Length { member: &'static str, expected: usize, found: usize },
    #[error("x[{row}] is {value}, it must be finite")]
    NotFinite { row: usize, value: f64 },
    #[error("threshold {row} is {value:e}, it must be finite and at least {:e}", f64::MIN_POSITIVE)]
    Threshold { row: usize, value: f64 },
    #[error("the matrix has {found} entries, at most {entries_max} are allowed")]
    TooManyEntries { found: usize, entries_max: usize },
}

/// What a delta changed, for those who keep something about `A` or `b`: each place once, ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    pub rhs: Vec<RhsChange>,
    pub entries: Vec<EntryChange>,
}

/// `b[row]` was `old` and is `new`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RhsChange {
    pub row: usize,
    pub old: f64,
    pub new: f64,
}

/// `A[row, col]` was `old` and is `new`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntryChange {
    pub row: usize,
    pub col: usize,
    pub old: f64,
    pub new: f64,
    /// Nothing was stored there before.
    pub is_new: bool,
}

/// A residual measured as `b − A x`, beside the one that was kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// `‖r‖∞` as measured; not finite where `b − A x` is not.
    pub residual_max: f64,
    /// `maxᵢ |rᵢ kept − rᵢ measured|`.
    pub drift_max: f64,
    /// Rows at or above their threshold.
    pub active_rows: usize,
}

impl LiveSystem {
    /// Takes the system over, with `x` of length n. O(nnz + n). `entries_max` bounds what changes may
    /// add to `A`.
    ///
    /// # Errors
    /// Lengths do not agree, an entry of `x` is not finite, a threshold is not a positive normal number,
    /// or `A` has too many entries.
    pub fn new(
        system: LinearSystem,
        x: &[f64],
        thresholds: Thresholds,
        entries_max: usize,
    ) -> Result<Self, LiveFault> {
        let order = system.order();
        check_x(order, x)?;
        thresholds.check(order)?;
        let found = system.nonzeros();
        let (matrix, rhs) = system.into_parts();
        let matrix = LiveMatrix::new(matrix, entries_max)
            .map_err(|_| LiveFault::TooManyEntries { found, entries_max })?;
        huge_pages::gather(&rhs);
        let mut live = Self {
            digests: RowDigests::of(&rhs, |row| matrix.row(row)),
            nodes: huge_pages::filled(Node::EMPTY, order),
            active: ActiveRows::none(order),
            matrix,
            rhs,
            threshold_min: 0.0,
            threshold_sum: 0.0,
            largest: 0.0,
            drift: 0.0,
            row_entries_max: 0,
            column_entries_max: 0,
            growth: 0.0,
            fall: None,
            contraction: None,
            measurements: 0,
            surprise: 0.0,
            passed: vec![0; order],
            interrupted: None,
        };
        live.place_columns();
        for (row, node) in live.nodes.iter_mut().enumerate() {
            node.set_diagonal(live.matrix.stored_rows().diagonal(row).unwrap_or(0.0));
        }
        live.write_thresholds(thresholds);
        let matrix = &live.matrix;
        let row_len = |row| matrix.row_len_up_to(row, 0).unwrap_or(0);
        let column_len = |col| matrix.column_len_up_to(col, 0).unwrap_or(0);
        live.row_entries_max = (0..order).map(row_len).max().unwrap_or(0);
        live.column_entries_max = (0..order).map(column_len).max().unwrap_or(0);
        live.growth = (0..order).map(|col| live.column_growth(col)).fold(0.0, f64::max);
        live.write_x(x);
        Ok(live)
    }

    /// n.
    pub fn order(&self) -> usize {
        self.nodes.len()
    }

    pub fn matrix(&self) -> &LiveMatrix {
        &self.matrix
    }

    /// `b`, length n.
    pub fn rhs(&self) -> &[f64] {
        &self.rhs
    }

    /// `x[row]`.
    pub fn x(&self, row: usize) -> f64 {
        self.nodes[row].x
    }

    /// `r[row]` as kept.
    pub fn residual(&self, row: usize) -> f64 {
        self.nodes[row].r
    }

    /// All of `x`. O(n).
    pub fn copy_x(&self) -> Vec<f64> {
        let mut x = huge_pages::zeros(self.order());
        x.iter_mut().zip(&self.nodes).for_each(|(x, node)| *x = node.x);
        x
    }

    /// All of `r` as kept. O(n).
    pub fn copy_residual(&self) -> Vec<f64> {
        self.nodes.iter().map(|node| node.r).collect()
    }

    /// `‖r‖∞` of the residual kept; not a number if one of its entries is not. O(n).
    pub fn residual_max(&self) -> f64 {
        largest(self.nodes.iter().map(|node| node.r))
    }

    /// `‖r‖₂` of the residual kept; not a number if one of its entries is not. O(n).
    pub fn residual_norm(&self) -> f64 {
        let square = kernel::chunk_sum(self.order(), |row| self.nodes[row].r * self.nodes[row].r);
        match square.is_normal() && square < f64::MAX {
            true => square.sqrt(),
            // Squares that leave the range of numbers are scaled there.
            false => kernel::norm2(&self.copy_residual()),
        }
    }

    /// That of the rows at or above their threshold, at about, from some of them.
    pub(super) fn active_norm_about(&self) -> f64 {
        let mut squares = 0.0;
        self.sample_active(256, |row, stands_for| squares += stands_for * row.r.powi(2));
        squares.sqrt()
    }

    /// At least the distance of any entry of the kept residual from `b − A x`, beside the rounding of the
    /// last measurement itself. O(1).
    pub fn drift(&self) -> f64 {
        self.drift
    }

    /// Counts measurements of the whole residual.
    pub fn measurements(&self) -> u64 {
        self.measurements
    }

    /// Rows at or above their threshold, ascending.
    pub(super) fn active(&self) -> impl Iterator<Item = usize> + '_ {
        let after = |row: &usize| self.active.next_from(row + 1);
        std::iter::successors(self.active.next_from(0), after)
    }

    /// Shows at most `rows_max` of them, each with the number of rows that it stands for.
    pub(super) fn sample_active(&self, rows_max: usize, mut look: impl FnMut(&Node, f64)) {
        self.active.sample(rows_max, |row, stands_for| look(&self.nodes[row], stands_for));
    }

    /// Rows at or above their threshold. O(n / 4,096 + words of the set that are not empty).
    pub fn active_rows(&self) -> usize {
        self.active.count()
    }

    /// Whether every row is below its threshold, by the residual kept. O(1 + n / 2¹⁸).
    pub fn is_settled(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether rounding of what went through the residual kept may have moved it by a threshold, so
    /// that only [`LiveSystem::measure`] tells.
    pub fn is_doubtful(&self) -> bool {
        let doubt = self.largest * f64::EPSILON * ROUNDINGS;
        doubt.is_nan() || doubt >= self.threshold_min
    }

    /// Whether `r` is the last measurement as it was: nothing has gone through it since.
    pub(super) fn is_fresh(&self) -> bool {
        self.measurements > 0 && self.largest == 0.0 && self.drift == 0.0
    }

    /// A copy of the system as it stands. O(nnz).
    pub fn to_system(&self) -> LinearSystem {
        LinearSystem::new(self.matrix.to_matrix(), self.rhs.clone())
            .expect("values are checked before they are held")
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> u64 {
        let rows = self.rhs.capacity() * size_of::<f64>()
            + self.nodes.capacity() * size_of::<Node>()
            + self.passed.capacity() * size_of::<u16>()
            + self.digests.memory_bytes()
            + self.active.memory_bytes();
        self.matrix.memory_bytes() + rows as u64
    }

    /// Brings new entries of `A` into the compressed arrays now. O(nnz + n); no value changes.
    pub fn merge(&mut self) {
        self.matrix.merge();
        self.place_columns();
    }

    /// Measures `r = b − A x` and keeps it. O(nnz + n).
    pub fn measure(&mut self) -> Measurement {
        let x = self.copy_x();
        self.measure_kept(&x)
    }

    /// Measures the residual of the `x` that it was kept for.
    fn measure_kept(&mut self, x: &[f64]) -> Measurement {
        let drift = self.drift;
        let measurement = self.measure_at(x);
        if self.measurements > 1 {
            self.surprise = larger(self.surprise, (measurement.drift_max - drift).max(0.0));
        }
        measurement
    }

    /// An `x` that was taken over has a measured residual beside the one that was tracked for it.
    pub(super) fn note_landing(&mut self, tracked: &Iterate, way: Loss) {
        let scale = self.threshold_sum.max(f64::MIN_POSITIVE);
        let norms = (tracked.norm, self.residual_norm());
        let limit = || kernel::norm2(&self.measurement_slacks(&tracked.x));
        let excess = way.excess(norms, scale, limit);
        self.surprise = larger(self.surprise, excess);
    }

    /// How far a kept residual was off when it was measured, beyond what it may have drifted and the
    /// rounding of both measurements: the most since the last call.
    pub(super) fn take_surprise(&mut self) -> f64 {
        std::mem::take(&mut self.surprise)
    }

    /// The same, unless what is kept is what was measured last; with what rounding of that measurement
    /// can come to in each row. One pass more.
    pub(super) fn measure_with_slacks(&mut self) -> Vec<f64> {
        let x = self.copy_x();
        if !self.is_fresh() {
            self.measure_kept(&x);
        }
        self.measurement_slacks(&x)
    }

    fn measure_at(&mut self, x: &[f64]) -> Measurement {
        let mut fresh = huge_pages::zeros(self.order());
        self.matrix.residual(x, &self.rhs, &mut fresh);
        let (mut residual_max, mut drift_max, mut active_rows) = (0.0, 0.0, 0);
        let Self { nodes, active, .. } = self;
        active.rewrite(nodes.len(), |row| {
            let node = &mut nodes[row];
            drift_max = larger(drift_max, node.r - fresh[row]);
            residual_max = larger(residual_max, fresh[row]);
            node.r = fresh[row];
            active_rows += node.is_active() as usize;
            node.is_active()
        });
        self.note_measured();
        Measurement { residual_max, drift_max, active_rows }
    }

    /// Takes over `x` of length n, finite, and measures `r`; returns `‖r‖₂`. One pass over `A`, and
    /// `fresh` of length n for what is measured.
    pub(super) fn take_over(&mut self, x: &[f64], fresh: &mut [f64]) -> f64 {
        self.matrix.residual(x, &self.rhs, fresh);
        self.keep(x, fresh);
        kernel::norm2(fresh)
    }

    /// `x` with the residual that was just measured for it.
    fn keep(&mut self, x: &[f64], measured: &[f64]) {
        let Self { nodes, active, .. } = self;
        active.rewrite(nodes.len(), |row| {
            let node = &mut nodes[row];
            (node.x, node.r) = (x[row], measured[row]);
            node.is_active()
        });
        self.note_measured();
    }

    fn note_measured(&mut self) {
        self.largest = 0.0;
        self.drift = 0.0;
        self.interrupted = None;
        self.measurements += 1;
        self.passed.fill(0);
    }

    /// Measures `r` of one row and keeps it; returns how far the kept one was off. O(entries of the row).
    pub fn measure_row(&mut self, row: usize) -> f64 {
        let kept = self.nodes[row].r;
        self.measure_afresh(row);
        self.mark(row);
        (kept - self.nodes[row].r).abs()
    }

    /// Takes over an `x` that was found elsewhere, and measures `r`. O(nnz + n).
    ///
    /// # Errors
    /// Its length is not n, or an entry is not finite; nothing has changed then.
    pub fn replace_x(&mut self, x: &[f64]) -> Result<(), LiveFault> {
        check_x(self.order(), x)?;
        self.write_x(x);
        Ok(())
    }

    /// Sets other thresholds. O(n).
    ///
    /// # Errors
    /// There is not one for each row, or one is not a positive normal number; nothing has changed then.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) -> Result<(), LiveFault> {
        thresholds.check(self.order())?;
        self.write_thresholds(thresholds);
        self.mark_all();
        Ok(())
    }

    pub(super) fn write_x(&mut self, x: &[f64]) {
        self.nodes.iter_mut().zip(x).for_each(|(node, x)| node.x = *x);
        self.measure_at(x);
    }

    fn write_thresholds(&mut self, thresholds: Thresholds) {
        for (row, node) in self.nodes.iter_mut().enumerate() {
            node.set_threshold(thresholds.of(row));
        }
        let smallest = self.nodes.iter().map(Node::threshold).fold(f64::INFINITY, f64::min);
        self.threshold_min = smallest;
        self.interrupted = None;
        self.threshold_sum = self.nodes.iter().map(Node::threshold).sum();
    }

    fn measure_afresh(&mut self, row: usize) {
        let (mut rest, mut size) = (self.rhs[row], self.rhs[row].abs());
        for (col, value) in self.matrix.row(row) {
            let term = value * self.nodes[col as usize].x;
            rest -= term;
            size += term.abs();
        }
        self.nodes[row].r = rest;
        self.interrupted = None;
        self.passed[row] = 0;
        self.drift += self.row_entries_max as f64 * f64::EPSILON * size;
    }

    /// Remembers what goes through the residual of a row; returns the largest there was since it was
    /// measured, or a little more.
    pub(super) fn pass(&mut self, row: usize, part: f64) -> f64 {
        let passed = &mut self.passed[row];
        // No sign bit, and more than the rest of the number counts; infinity and what is none stay so.
        *passed = (*passed).max(((part.to_bits() >> 48) as u16).saturating_add(1).min(NOT_FINITE));
        f64::from_bits(u64::from(*passed) << 48)
    }

    /// The largest `|aₖᵢ| / |aᵢᵢ|` of a column; 0 without a diagonal.
    fn column_growth(&self, col: usize) -> f64 {
        let inverse = self.nodes[col].inverse_diagonal().abs();
        let growth = |(_, value): (u32, f64)| value.abs() * inverse * INVERSE_SLACK;
        self.matrix.column(col).map(growth).fold(0.0, f64::max)
    }

    fn mark(&mut self, row: usize) {
        match self.nodes[row].is_active() {
            0 => self.active.remove(row),
            _ => self.active.insert(row),
        }
    }

    pub(super) fn mark_all(&mut self) {
        self.active.rewrite(self.nodes.len(), |row| self.nodes[row].is_active());
    }

    /// Tells the nodes where their columns are.
    pub(super) fn place_columns(&mut self) {
        for (col, node) in self.nodes.iter_mut().enumerate() {
            node.set_column(self.matrix.column_range(col));
        }
        for entry in self.matrix.overlay().entries() {
            self.nodes[entry.col as usize].mark_overlaid();
        }
    }
}

impl Thresholds<'_> {
    fn of(&self, row: usize) -> f64 {
        match self {
            Self::Uniform(value) => *value,
            Self::PerRow(values) => values[row],
        }
    }

    fn check(&self, order: usize) -> Result<(), LiveFault> {
        let values = match self {
            Self::Uniform(value) => std::slice::from_ref(value),
            Self::PerRow(values) if values.len() == order => values,
            Self::PerRow(values) => {
                let found = values.len();
                return Err(LiveFault::Length { member: "thresholds", expected: order, found });
            }
        };
        match values.iter().position(|value| !value.is_normal() || *value <= 0.0) {
            Some(row) => Err(LiveFault::Threshold { row, value: values[row] }),
            None => Ok(()),
        }
    }
}

fn check_x(order: usize, x: &[f64]) -> Result<(), LiveFault> {
    if x.len() != order {
        return Err(LiveFault::Length { member: "x", expected: order, found: x.len() });
    }
    match x.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(LiveFault::NotFinite { row, value: x[row] }),
        None => Ok(()),
    }
}

/// The largest magnitude; not a number if one of the values is not.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, larger)
}

#[inline(always)]
fn larger(largest: f64, value: f64) -> f64 {
    let size = value.abs();
    // What is not a number is never left again.
    if size > largest || size.is_nan() { size } else { largest }
}
