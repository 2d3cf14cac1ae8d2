//! Ordered sweeps, for when so many rows are active that picking them costs more than passing over
//! all, and the relaxation that changes between push and sweeps.

use crate::solver::huge_pages;
use crate::solver::kernel::Reach;
use crate::solver::live::licence::{Licence, RelaxationRefusal};
use crate::solver::live::node::Scale;
use crate::solver::live::push::{Interrupted, PushEnd, RelaxationEnd, Relaxed};
use crate::solver::live::state::LiveSystem;

/// When one round of push relaxes more than this part of the rows, sweeps take over: they read `x`
/// where push writes `r`, and need no set. On a random dominant matrix a row of a sweep costs a third
/// of a row of push, but a sweep takes every row: take-overs at a sixteenth, a quarter, a third and a
/// half of 10,000 rows made a single change cost 292, 147, 125 and 113 µs.
const CROWD_PART: usize = 2;

/// Sweeps stop when they find fewer than this part of the rows at or above their threshold: push ends it.
const LEFT_PART: usize = 8;

/// Fewer rows than this are no crowd.
const CROWD_MIN: usize = 64;

/// Rows are a crowd as well when their residuals over their thresholds add up to this many times the
/// entries of `A`: push would spread them over all rows first. A single change of a thousandth on the
/// matrix above comes to 2, a hundred to 200.
const CROWD_MASS: f64 = 16.0;

/// Rows that are looked at for it.
const CROWD_SAMPLE: usize = 1_024;

/// With a norm to be reached, rows at or above their threshold are left to push when they are fewer than
/// this part.
const LEFT_PART_BY_NORM: usize = 64;

/// Sweeps that leave more than this part of what they met may have come to the rounding of `x`.
const SLOW: f64 = 0.5;

/// Where relaxation may stop before every row is below its threshold.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormGoal {
    /// `‖r‖₂` as measured that is small enough.
    pub enough: f64,
    /// What sweeps aim at, below it: a little that changes afterwards then costs no sweep.
    pub aim: f64,
}

/// How a run of sweeps ended inside.
enum SweepEnd {
    /// Few rows are left.
    Few,
    /// `‖r‖₂` as measured is small enough.
    Near {
        norm: f64,
    },
    OverBudget,
    Failed(RelaxationEnd),
}

/// What a sweep has met, each row just before it was relaxed.
struct Met {
    /// `Σ rᵢ²`.
    square: f64,
    /// Rows at or above their threshold; where sweeps are slow those that could be moved.
    moving: usize,
}

impl LiveSystem {
    /// Makes every row fall below its threshold, by push while few rows are active and by ordered
    /// sweeps while many are.
    ///
    /// # Errors
    /// `licence` is for another version of `A`; nothing was done.
    pub fn relax(
        &mut self,
        licence: &Licence,
        entries_max: u64,
    ) -> Result<Relaxed, RelaxationRefusal> {
        self.relax_to(licence, entries_max, None)
    }

    /// The same, but sweeps end as soon as `‖r‖₂` is as small as the goal has it.
    ///
    /// # Errors
    /// As for [`relax`](Self::relax).
    pub(super) fn relax_to(
        &mut self,
        licence: &Licence,
        entries_max: u64,
        goal: Option<NormGoal>,
    ) -> Result<Relaxed, RelaxationRefusal> {
        licence.check(self.matrix.version())?;
        let crowd = (self.order() / CROWD_PART).max(CROWD_MIN);
        let mut done = Relaxed { steps: 0, entries: 0, end: RelaxationEnd::OverBudget };
        let mut is_crowded = self.is_crowded();
        loop {
            // What is too little for a sweep and its measurement is enough for some pushes.
            let has_passes = entries_max - done.entries >= 2 * self.matrix.nonzeros() as u64;
            if !(is_crowded && has_passes) {
                let (steps, entries, end) = self.push_until(entries_max - done.entries, crowd);
                done.steps += steps;
                done.entries += entries;
                if let PushEnd::Ended(end) = end {
                    return Ok(Relaxed { end, ..done });
                }
            }
            is_crowded = false;
            let (steps, entries, end) = self.sweep_until(entries_max - done.entries, goal);
            done.steps += steps;
            done.entries += entries;
            match end {
                SweepEnd::Few => {}
                // What is left of the budget may be enough for push.
                SweepEnd::OverBudget if entries > 0 && !self.is_crowded() => {}
                SweepEnd::OverBudget => {
                    if entries == 0 {
                        self.interrupted = Some(Interrupted::Sweeps);
                    }
                    return Ok(done);
                }
                SweepEnd::Near { norm } => {
                    return Ok(Relaxed { end: RelaxationEnd::Near { norm }, ..done });
                }
                SweepEnd::Failed(end) => return Ok(Relaxed { end, ..done }),
            }
        }
    }

    /// Whether so much is to be relaxed that sweeps do it sooner, by a thousand of the rows. A push that was
    /// interrupted goes on: what it serves in a round will tell.
    pub(super) fn is_crowded(&self) -> bool {
        match self.interrupted {
            Some(Interrupted::Push(_)) => return false,
            Some(Interrupted::Sweeps) => return true,
            None => {}
        }
        let (mut rows, mut mass) = (0.0, 0.0);
        self.sample_active(CROWD_SAMPLE, |node, stands_for| {
            rows += stands_for;
            mass += stands_for * node.r.abs() / node.threshold();
        });
        rows >= CROWD_MIN as f64
            && (rows >= (self.order() / CROWD_PART) as f64
                || mass >= CROWD_MASS * self.matrix.nonzeros() as f64)
    }

    /// Passes over `A` that sweeps and their measurement are foreseen to take to the goal; 0 where no sweep has
    /// told yet.
    pub(super) fn passes_to(&self, goal: NormGoal) -> u64 {
        let Some(contraction) = self.contraction else { return 0 };
        let sweeps = (goal.aim / self.active_norm_about()).ln() / contraction.ln();
        (sweeps.ceil().max(0.0) as u64).saturating_add(2)
    }

    /// Gauss-Seidel sweeps until few rows are left at or above their threshold or the goal is reached, and
    /// a measurement of what they leave; each costs one pass over `A`. After a failure `(x, r)` is what
    /// it was before, or what was measured last.
    ///
    /// What a sweep leaves is not what it has met: it is foreseen to be smaller by as much as when that was
    /// measured last, in this run or one before; until then by what the last sweep brought.
    fn sweep_until(&mut self, entries_max: u64, goal: Option<NormGoal>) -> (u64, u64, SweepEnd) {
        let product = self.matrix.nonzeros() as u64;
        let passes_max = entries_max / product.max(1);
        if passes_max < 2 {
            return (0, 0, SweepEnd::OverBudget);
        }
        let n = self.order() as u64;
        let few = self.order() / if goal.is_some() { LEFT_PART_BY_NORM } else { LEFT_PART };
        let ceiling = self.ceiling();
        let scales = self.scales();
        let is_without = |row: &usize| !scales[*row].has_diagonal();
        let without_diagonal: Vec<usize> = (0..scales.len()).filter(is_without).collect();
        let (mut x, mut fresh) = (self.copy_x(), vec![]);
        let (mut sweeps, mut passes, mut met_before, mut is_slow) = (0, 0, f64::INFINITY, false);
        loop {
            (sweeps, passes) = (sweeps + 1, passes + 1);
            let met = self.sweep_all(&scales, &mut x, ceiling, is_slow);
            let unsettled = without_diagonal.iter().find(|&&row| {
                let products = self.matrix.row(row).map(|(col, value)| value * x[col as usize]);
                scales[row].is_reached_by(self.rhs[row] - products.sum::<f64>())
            });
            let zero_diagonal = unsettled.map(|&row| RelaxationEnd::ZeroDiagonal { row });
            let met = match met.and_then(|met| zero_diagonal.map_or(Ok(met), Err)) {
                Ok(met) => met,
                Err(failure) => return (0, passes * product, SweepEnd::Failed(failure)),
            };
            let norm_met = met.square.sqrt();
            let foreseen = norm_met * self.fall.unwrap_or((norm_met / met_before).min(1.0));
            is_slow = norm_met > SLOW * met_before;
            self.contraction = Some(norm_met / met_before)
                .filter(|part| 0.0 < *part && *part < 1.0)
                .or(self.contraction);
            met_before = norm_met;
            let is_few = met.moving <= few;
            let is_last = passes + 2 > passes_max;
            if !(is_few || is_last || goal.is_some_and(|goal| foreseen <= goal.aim)) {
                continue;
            }
            fresh.resize(x.len(), 0.0);
            let norm = self.take_over(&x, &mut fresh);
            passes += 1;
            self.fall = Some(norm / norm_met).filter(|fall| fall.is_finite());
            let end = match goal {
                Some(goal) if norm <= goal.enough => SweepEnd::Near { norm },
                _ if is_few => SweepEnd::Few,
                // A sweep without its measurement would be lost.
                _ if passes + 2 > passes_max => SweepEnd::OverBudget,
                _ => continue,
            };
            return (sweeps * n, passes * product, end);
        }
    }

    /// What sweeps need of all rows, lying closer than it does in the nodes. O(n).
    fn scales(&self) -> Vec<Scale> {
        let mut scales = huge_pages::filled(Scale::EMPTY, self.order());
        scales.iter_mut().zip(&self.nodes).for_each(|(scale, node)| *scale = Scale::of(node));
        scales
    }

    /// One sweep over all rows; `is_slow` where rounding of `x` is to be looked at.
    fn sweep_all(
        &self,
        scales: &[Scale],
        x: &mut [f64],
        ceiling: f64,
        is_slow: bool,
    ) -> Result<Met, RelaxationEnd> {
        let met = match (self.matrix.stored_rows().reach(), is_slow) {
            (Reach::Cached, false) => self.sweep::<{ Reach::CACHED }, false>(scales, x),
            (Reach::Cached, true) => self.sweep::<{ Reach::CACHED }, true>(scales, x),
            (Reach::Streamed, false) => self.sweep::<{ Reach::STREAMED }, false>(scales, x),
            (Reach::Streamed, true) => self.sweep::<{ Reach::STREAMED }, true>(scales, x),
            (Reach::Scattered, false) => self.sweep::<{ Reach::SCATTERED }, false>(scales, x),
            (Reach::Scattered, true) => self.sweep::<{ Reach::SCATTERED }, true>(scales, x),
        };
        // At least the largest residual met; not a number where one was not.
        match met.square <= ceiling * ceiling && met.square.is_finite() {
            true => Ok(met),
            false => self.failure(x, ceiling).map_or(Ok(met), Err),
        }
    }

    /// One sweep over all rows, `xᵢ += (bᵢ − aᵢ · x) / aᵢᵢ`. Whether rows can be moved is counted where
    /// `COUNTS_LOST`: it takes a quarter of the time of a sweep in cache.
    fn sweep<const REACH: u8, const COUNTS_LOST: bool>(
        &self,
        scales: &[Scale],
        x: &mut [f64],
    ) -> Met {
        let rows = self.matrix.stored_rows();
        let overlay = self.matrix.overlay();
        let has_overlay = !overlay.is_empty();
        assert!(x.len() == self.order() && scales.len() == self.order());
        let mut met = Met { square: 0.0, moving: 0 };
        for (row, (scale, b)) in scales.iter().zip(&self.rhs).enumerate() {
            // SAFETY: `row` is below n, the length of `x`.
            let mut r = b - unsafe { rows.row_dot::<REACH>(row, x) };
            if has_overlay {
                let products = overlay.row(row).map(|entry| entry.value * x[entry.col as usize]);
                r -= products.sum::<f64>();
            }
            let update = r * scale.inverse_diagonal();
            // SAFETY: as above.
            let value = unsafe { x.get_unchecked_mut(row) };
            let before = *value;
            *value = before + update;
            met.square += r * r;
            let is_lost = COUNTS_LOST && update.abs() <= f64::EPSILON * before.abs();
            met.moving += usize::from(scale.is_reached_by(r) & !is_lost);
        }
        met
    }

    /// What has gone wrong in a sweep that left `x`, by the residuals now.
    #[cold]
    fn failure(&self, x: &[f64], ceiling: f64) -> Option<RelaxationEnd> {
        let mut fresh = vec![0.0; self.order()];
        self.matrix.residual(x, &self.rhs, &mut fresh);
        let of_row = |(row, &residual): (usize, &f64)| match () {
            () if !residual.is_finite() || !x[row].is_finite() => {
                Some(RelaxationEnd::NotFinite { row })
            }
            () if residual.abs() > ceiling => Some(RelaxationEnd::Diverging { row, residual }),
            () => None,
        };
        fresh.iter().enumerate().find_map(of_row)
    }
}
