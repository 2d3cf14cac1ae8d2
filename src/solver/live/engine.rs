//! The engine of a live system: takes a solve over and keeps it solved while its costs change. Owns who
//! may work (`offers`), that all who work share `(x, r)`, and what may be said of the state: settled,
//! residual, error bound. Who works, and for how long, is decided by the caller (`policy::planning`).

mod background;
mod coercive;
mod departure;
mod estimate;
mod flight;
mod healing;
mod inquiry;
mod iteration;
mod offering;
mod path;
mod proof;
mod relaxation;
mod report;
mod set_up;
mod standing;
mod tolerance;
mod wear;
mod witness;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::solver::analysis::Analysis;
use crate::solver::engine::{Engine, Selection};
use crate::solver::live::delta::{CostDelta, DeltaFault, EditFault};
use crate::solver::live::engine::estimate::NormEstimate;
use crate::solver::live::engine::flight::Landing;
use crate::solver::live::engine::iteration::{Aim, Iteration};
use crate::solver::live::engine::path::Path;
use crate::solver::live::engine::proof::Proof;
use crate::solver::live::engine::standing::Standing;
use crate::solver::live::engine::tolerance::Tolerance;
use crate::solver::live::matrix::ENTRIES_MAX;
use crate::solver::live::state::{Applied, LiveFault, LiveSystem, Thresholds};
use crate::solver::options::{MethodName, SolveOptions};
use crate::solver::outcome::Work;
use crate::solver::proof::SearchLimits;

pub use inquiry::{LiveInquiry, PUSH_ENTRIES_MAX};
pub use report::{
    BoundKind, EngineName, LiveEnd, LiveRefusal, LiveStop, LiveWork, Offer, RelaxationFailure,
    Settlement, StatedBound,
};
pub use set_up::{SetUp, SetUpJob};

/// A matrix may grow to this many times its entries, and by so many for each row.
const GROWTH_MAX: usize = 4;
const GROWTH_ROW_MAX: usize = 64;

/// Bytes of an entry with its place in the overlay, by which growth is held within the memory limit.
const ENTRY_BYTES: u64 = 84;

/// Where relaxation may work, iterations aim at this part of the threshold: few rows then stay above
/// theirs, which relaxation would have to serve.
const TARGET_BESIDE_RELAXATION: f64 = 0.2;
const TARGET: f64 = 0.5;

/// From this dominance on, no factorisation competes.
const COMFORTABLE_GAP: f64 = 0.02;

/// Entries that a search for a witness may touch, in products with `A`.
const SEARCH_PRODUCTS_MAX: u64 = 4_000;

/// A system under change with everything that keeps it solved.
///
/// Memory: that of [`LiveSystem`], the method's preconditioner or factor, 24 bytes a row while a
/// method is on its way, and 24 for a witness.
#[derive(Debug)]
pub struct LiveEngine {
    live: LiveSystem,
    tolerance: Tolerance,
    standing: Standing,
    proof: Proof,
    /// What stands where nothing is proven.
    estimate: NormEstimate,
    /// The largest that rounding can have come to in a row, and in which measurement.
    slack: Option<(u64, f64)>,
    iteration: Iteration,
    /// Where a factorisation is worth a try.
    path: Option<Path>,
    /// Deltas accepted.
    version: u64,
    /// At least `‖b − A x‖₂`; infinite where nothing is known.
    norm_at_most: f64,
    /// A version before the present one that `x` is known to solve: `x` has not moved since that was
    /// found out.
    solved: Option<Settlement>,
    /// Flights whose `x` was taken over.
    landings: u64,
    /// Relaxation ran into its limits, and is not offered before the next change.
    relaxation_failed: bool,
    /// The method asked for was taken because `A` was proven to be an H-matrix.
    relies_on_dominance: bool,
    /// Whose set-up is being made in the background.
    out: Option<EngineName>,
    unwanted: Arc<AtomicBool>,
}

impl LiveEngine {
    /// Whether [`of`](Self::of) takes this solve.
    ///
    /// # Errors
    /// See [`LiveRefusal`].
    pub fn admits(engine: &Engine) -> Result<(), LiveRefusal> {
        let entries_max = ENTRIES_MAX;
        match () {
            () if !engine.is_unscaled() => Err(LiveRefusal::Magnitude),
            () if engine.system().nonzeros() > entries_max => {
                Err(EditFault::TooManyEntries { entries_max }.into())
            }
            () => Ok(()),
        }
    }

    /// Takes a solve over in whatever state it is: system, `x`, options, and the method with what it
    /// has set up. O(nnz + n).
    ///
    /// # Errors
    /// See [`LiveRefusal`]; [`admits`](Self::admits) tells before.
    pub fn of(engine: Engine) -> Result<Self, LiveRefusal> {
        Self::admits(&engine)?;
        let handover = engine.hand_over();
        let unwanted = Arc::clone(&handover.unwanted);
        let (iteration, rest) = Iteration::of(handover);
        let (system, options) = (rest.system, iteration.options());
        let tolerance = Tolerance::new(options.tolerance, system.rhs());
        let limits = SearchLimits {
            entries_max: SEARCH_PRODUCTS_MAX * system.nonzeros().max(system.order()) as u64,
            memory_bytes_max: options.memory_bytes_max,
        };
        let proof = Proof::of(&rest.analysis, system.rows(), limits);
        let entries_max = entries_max(system.nonzeros(), system.order(), options);
        let thresholds = Thresholds::Uniform(tolerance.row_threshold());
        let live = LiveSystem::new(system, &rest.x, thresholds, entries_max).map_err(refused)?;
        let iterates_by_diagonal =
            matches!(iteration.options().method, MethodName::Jacobi | MethodName::GaussSeidel);
        let relies_on_dominance = iterates_by_diagonal && rest.analysis.h_matrix.is_some();
        let path = path_is_allowed(iteration.options().method)
            && (iteration.is_direct() || gap(&rest.analysis) < COMFORTABLE_GAP);
        let path =
            path.then(|| Path::new(iteration.options().memory_bytes_max, live.matrix().nonzeros()));
        let mut new = Self {
            norm_at_most: live.residual_norm(),
            standing: Standing::of(&rest.analysis),
            live,
            tolerance,
            proof,
            estimate: NormEstimate::default(),
            slack: None,
            iteration,
            path,
            version: 0,
            solved: None,
            landings: 0,
            relaxation_failed: false,
            relies_on_dominance,
            out: None,
            unwanted,
        };
        new.rest_at_zero();
        Ok(new)
    }

    /// Makes all of a delta's changes or none; residual, thresholds and bounds follow at once, O(1) for
    /// each edit (see [`LiveSystem::apply`]).
    ///
    /// # Errors
    /// What is wrong with the edits; nothing has changed then.
    pub fn apply(&mut self, delta: &CostDelta) -> Result<Applied, Vec<DeltaFault>> {
        let solved = self.settlement();
        let applied = self.live.apply(delta)?;
        self.solved = solved;
        self.version += 1;
        for change in &applied.rhs {
            self.tolerance.rhs_changed(change.old, change.new);
            self.path.iter_mut().for_each(|path| path.rhs_changed(change));
            self.widen((change.new - change.old).abs());
        }
        for change in &applied.entries {
            self.standing.entry_changed(self.live.matrix(), change);
            self.proof.entry_changed(change, self.live.matrix().nonzeros());
            self.estimate.entry_changed(change);
            self.iteration.entry_changed(change);
            self.path.iter_mut().for_each(|path| path.entry_changed(change));
            self.widen((change.new - change.old).abs() * self.live.x(change.col).abs());
        }
        if !applied.rhs.is_empty() && self.tolerance.follow(self.live.rhs()) {
            let thresholds = Thresholds::Uniform(self.tolerance.row_threshold());
            self.live.set_thresholds(thresholds).expect("a row threshold is positive and normal");
        }
        if !(applied.rhs.is_empty() && applied.entries.is_empty()) {
            self.iteration.system_changed();
            self.relaxation_failed = false;
        }
        Ok(applied)
    }

    fn widen(&mut self, by: f64) {
        self.norm_at_most = (self.norm_at_most + by) * (1.0 + 8.0 * f64::EPSILON);
    }

    /// Deltas accepted so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether `‖b − A x‖₂ ≤ tolerance · ‖b‖₂` holds for certain. O(1).
    pub fn is_settled(&self) -> bool {
        self.norm_at_most <= self.tolerance.certain_threshold()
            || (self.live.is_settled() && self.tolerance.is_met_by_rows(self.live.drift()))
    }

    /// The latest version of the system that `x` is known to solve, the present one where it is
    /// [settled](Self::is_settled). None where an engine has moved `x` since without settling. O(1).
    pub fn settlement(&self) -> Option<Settlement> {
        if !self.is_settled() {
            return self.solved;
        }
        let by_rows = match self.live.is_settled() {
            true => self.tolerance.rows_norm(self.live.drift()),
            false => f64::INFINITY,
        };
        Some(Settlement {
            version: self.version,
            residual_norm: self.norm_at_most.min(by_rows),
            residual_threshold: self.tolerance.threshold(),
        })
    }

    /// Counts flights whose `x` was taken over: see [`EngineName::Iteration`].
    pub fn landings(&self) -> u64 {
        self.landings
    }

    fn landed(&mut self, landing: &Landing) {
        self.norm_at_most = landing.norm;
        if landing.is_better {
            self.solved = landing.settles;
            self.landings += 1;
        }
    }

    fn aim(&self) -> Aim {
        let threshold = self.tolerance.certain_threshold();
        let part = if self.proof.holds() { TARGET_BESIDE_RELAXATION } else { TARGET };
        Aim { threshold, target: part * threshold, version: self.version }
    }

    /// Frees what only further work would need, for good; rows can still be looked at.
    pub fn retire(&mut self) {
        self.path = None;
        self.iteration.retire();
    }

    /// Lets an engine work on about `entries_max` matrix entries, at least one step and never more than
    /// about one iteration beyond. `(x, r)` is valid after every end.
    pub fn work(&mut self, engine: EngineName, entries_max: u64) -> LiveWork {
        if self.rest_at_zero() || self.is_settled_but_for_set_ups(engine) {
            return LiveWork { work: Work::default(), end: LiveEnd::Settled };
        }
        let (done, norm) = match engine {
            EngineName::Relaxation => self.relax(entries_max),
            EngineName::Path => self.follow_path(entries_max),
            EngineName::Iteration => self.iterate(entries_max),
        };
        match (norm, &done.end) {
            (Some(norm), _) => self.norm_at_most = norm,
            (None, LiveEnd::Settled) => {
                self.norm_at_most = self.tolerance.rows_norm(self.live.drift());
            }
            (None, LiveEnd::Paused | LiveEnd::Prepared(_) | LiveEnd::Failed(_)) => {}
        }
        done
    }

    fn follow_path(&mut self, entries_max: u64) -> (LiveWork, Option<f64>) {
        let Some(path) = &mut self.path else {
            let evidence = "another method was asked for, or iterations are fast".to_owned();
            let end = LiveEnd::Failed(LiveStop::NoPath { evidence });
            return (LiveWork { work: Work::default(), end }, None);
        };
        self.iteration.abandon();
        let threshold = self.tolerance.certain_threshold();
        let was_ready = path.is_ready();
        let measurements = self.live.measurements();
        let done = path.work(&mut self.live, threshold, entries_max, &self.unwanted);
        if self.live.measurements() != measurements {
            // Every `x` that a path tries is measured.
            self.solved = None;
        }
        if path.is_ready() && !was_ready {
            // Two factors of one matrix would be one too many.
            self.iteration.release_factor();
        }
        done
    }

    fn relax(&mut self, entries_max: u64) -> (LiveWork, Option<f64>) {
        let Some(licence) = self.proof.licence(self.live.matrix().version()) else {
            if self.proof.is_worth_a_search() {
                return (self.search(), None);
            }
            let evidence = self.proof.evidence();
            let end = LiveEnd::Failed(LiveStop::NoLicence { evidence });
            return (LiveWork { work: Work::default(), end }, None);
        };
        self.iteration.abandon();
        self.norm_at_most = f64::INFINITY;
        self.solved = None;
        let (done, norm) = relaxation::work(&mut self.live, &licence, &self.tolerance, entries_max);
        self.relaxation_failed = matches!(done.end, LiveEnd::Failed(_));
        if done.end == LiveEnd::Settled {
            self.iteration.release_vectors();
        }
        (done, norm)
    }

    fn search(&mut self) -> LiveWork {
        let preparation = self.proof.search(&mut self.live, &self.unwanted);
        LiveWork { work: preparation.work, end: LiveEnd::Prepared(preparation) }
    }

    fn iterate(&mut self, entries_max: u64) -> (LiveWork, Option<f64>) {
        if self.dominance_is_in_doubt() {
            if self.proof.has_changed_since_search() {
                return (self.search(), None);
            }
            let end = LiveEnd::Failed(self.dominance_lost());
            return (LiveWork { work: Work::default(), end }, None);
        }
        let aim = self.aim();
        let (done, landing) =
            self.iteration.work(&mut self.live, &mut self.standing, aim, entries_max);
        landing.iter().for_each(|landing| self.landed(landing));
        (done, landing.map(|landing| landing.norm))
    }

    /// Whether the method that was asked for may have lost what it relies on.
    fn dominance_is_in_doubt(&self) -> bool {
        self.relies_on_dominance && self.live.matrix().version() > 0 && !self.proof.holds()
    }

    /// It has, as far as a search could tell.
    fn dominance_lost(&mut self) -> LiveStop {
        self.iteration.abandon();
        let (method, evidence) = (self.iteration.options().method, self.proof.evidence());
        let stop = LiveStop::DominanceLost { method, evidence, instead: MethodName::Hybrid };
        self.iteration.stop_with(stop.clone());
        stop
    }

    /// `b = 0` has the solution 0, which is taken at once; whether that is so.
    fn rest_at_zero(&mut self) -> bool {
        if self.tolerance.norm() > 0.0 {
            return false;
        }
        if self.norm_at_most > 0.0 {
            self.iteration.abandon();
            self.live.write_x(&vec![0.0; self.live.order()]);
            self.norm_at_most = 0.0;
            self.solved = None;
        }
        true
    }

    /// Makes sure that what is kept of `b − A x` is measured; returns its norm. One pass at most.
    pub fn measure(&mut self) -> f64 {
        if !self.live.is_fresh() {
            self.live.measure();
        }
        self.norm_at_most = self.live.residual_norm();
        self.norm_at_most
    }

    /// What [`measure`](Self::measure) and [`error_bound`](Self::error_bound) will take, at about.
    pub fn announce_work(&self) -> Work {
        let product = self.live.matrix().nonzeros() as u64;
        let measurement = if self.live.is_fresh() { 0 } else { product };
        // Where there is no witness: two passes for the rounding of the measurement.
        let rounding = if self.proof.holds() { 0 } else { 2 * product };
        let nonzeros = self.live.order() as u64 + measurement + rounding;
        Work { nonzeros, flops: 2 * nonzeros }
    }

    /// The largest that rounding can have come to in a row of the last measurement, where that is known.
    fn slack_of_measurement(&self) -> Option<f64> {
        self.slack.filter(|(of, _)| *of == self.live.measurements()).map(|(_, slack)| slack)
    }

    /// `‖r‖₂` of the residual kept. O(n).
    pub fn residual_norm(&self) -> f64 {
        self.live.residual_norm()
    }

    /// The residual norm at which the system is settled: `tolerance · ‖b‖₂` of the present `b`.
    pub fn residual_threshold(&self) -> f64 {
        self.tolerance.threshold()
    }

    /// `‖b‖₂`.
    pub fn rhs_norm(&self) -> f64 {
        self.tolerance.norm()
    }

    /// What is known about `‖x* − x‖∞`, also while changes wait to be worked in. O(n); two products more
    /// the first time after a measurement by an engine. Where nothing is proven and a factor is at hand, now and then a solve
    /// more, by which `‖A⁻¹‖` is estimated.
    pub fn error_bound(&mut self) -> StatedBound {
        let row_max = self.row_max();
        let proven = self.proof.overall(&mut self.live, row_max);
        if proven.kind != BoundKind::None {
            return proven;
        }
        let is_symmetric = self.standing.class().is_symmetric;
        if let Some(path) = &mut self.path {
            self.estimate.advance(path, &self.live, is_symmetric);
        }
        let x_max =
            (0..self.live.order()).fold(0.0, |max: f64, row| max.max(self.live.x(row).abs()));
        self.estimated(x_max)
    }

    /// The estimate for something that is `size`. O(n), two products more the first time after a
    /// measurement by another: what rounding can have done to it counts.
    fn estimated(&mut self, size: f64) -> StatedBound {
        if !self.estimate.is_begun() {
            return StatedBound::NONE;
        }
        if self.slack_of_measurement().is_none() {
            let slacks = self.live.measure_with_slacks();
            self.slack = Some((self.live.measurements(), slacks.into_iter().fold(0.0, f64::max)));
            self.norm_at_most = self.live.residual_norm();
        }
        let slack = self.slack_of_measurement().unwrap_or(f64::INFINITY);
        match self.estimate.error(self.live.residual_max() + slack + self.live.drift()) {
            Some(error) => StatedBound::stated(BoundKind::Estimated, error, size),
            None => StatedBound::NONE,
        }
    }

    /// `x[row]` with what is known about its error, O(1) for large systems that are settled; none
    /// beyond the last row.
    pub fn read(&mut self, row: usize) -> Option<(f64, StatedBound)> {
        if row >= self.live.order() {
            return None;
        }
        let row_max = self.row_max();
        let proven = self.proof.of_row(&mut self.live, row, row_max);
        let x = self.live.x(row);
        let bound = match proven.kind {
            BoundKind::None => self.estimated(x),
            BoundKind::Proven | BoundKind::Estimated => proven,
        };
        Some((x, bound))
    }

    /// At least every `|rᵢ|` as kept. O(active rows).
    fn row_max(&self) -> f64 {
        let active = self.live.active().map(|row| self.live.residual(row).abs());
        let over = active.fold(self.tolerance.row_threshold(), f64::max);
        // What is kept differs from what is true by the drift.
        over.min(self.norm_at_most + self.live.drift())
    }

    /// Copies `x` into `solution`.
    ///
    /// # Panics
    /// Unless it has length n.
    pub fn solution_into(&self, solution: &mut [f64]) {
        assert!(solution.len() == self.live.order(), "a solution has n entries");
        for (row, value) in solution.iter_mut().enumerate() {
            *value = self.live.x(row);
        }
    }

    /// A copy of `x`.
    pub fn copy_x(&self) -> Vec<f64> {
        self.live.copy_x()
    }

    /// The system as it stands.
    pub fn live(&self) -> &LiveSystem {
        &self.live
    }

    /// n.
    pub fn order(&self) -> usize {
        self.live.order()
    }

    /// Stored entries of `A`.
    pub fn nonzeros(&self) -> usize {
        self.live.matrix().nonzeros()
    }

    pub fn options(&self) -> &SolveOptions {
        self.iteration.options()
    }

    /// The method that [`EngineName::Iteration`] stands for, with the reasons.
    pub fn selection(&self) -> &Selection {
        self.iteration.selection()
    }

    /// Iterations of all methods, the solve included.
    pub fn iteration(&self) -> u64 {
        self.iteration.iteration()
    }

    /// Lowers the memory that factors may take to what there is.
    pub fn limit_memory(&mut self, bytes_max: u64) {
        self.iteration.limit_memory(bytes_max);
        self.path.iter_mut().for_each(|path| path.limit_memory(bytes_max));
    }

    /// Leaves a factorisation off as soon as `unwanted` is set.
    pub fn heed(&mut self, unwanted: Arc<AtomicBool>) {
        self.iteration.heed(Arc::clone(&unwanted));
        self.unwanted = unwanted;
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        let path = self.path.as_ref().map_or(0, Path::memory_bytes);
        self.live.memory_bytes() + self.proof.memory_bytes() + self.iteration.memory_bytes() + path
    }
}

/// Methods that were asked for by name do all the work themselves; a path is a factorisation.
fn path_is_allowed(method: MethodName) -> bool {
    match method {
        MethodName::Hybrid | MethodName::Direct => true,
        MethodName::Jacobi
        | MethodName::GaussSeidel
        | MethodName::Cg
        | MethodName::Bicgstab
        | MethodName::Gmres => false,
    }
}

fn gap(analysis: &Analysis) -> f64 {
    analysis.row_dominance.relative_gap_min.max(analysis.column_dominance.relative_gap_min)
}

/// The entries that a matrix may come to hold under changes.
fn entries_max(nonzeros: usize, order: usize, options: &SolveOptions) -> usize {
    let by_memory = usize::try_from(options.memory_bytes_max / ENTRY_BYTES).unwrap_or(ENTRIES_MAX);
    let by_growth = (GROWTH_MAX * nonzeros).saturating_add(GROWTH_ROW_MAX * order);
    by_growth.min(by_memory).max(nonzeros).min(ENTRIES_MAX)
}

fn refused(fault: LiveFault) -> LiveRefusal {
    match fault {
        LiveFault::TooManyEntries { entries_max, .. } => {
            EditFault::TooManyEntries { entries_max }.into()
        }
        LiveFault::Length { .. } | LiveFault::NotFinite { .. } | LiveFault::Threshold { .. } => {
            unreachable!("a solve hands over a finite x of its system's order: {fault}")
        }
    }
}
