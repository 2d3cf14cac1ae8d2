//! Relaxation as an engine: foreseen from the rows that are to be relaxed, run on the licence that the
//! proof gives, measured where rounding leaves doubt.

use crate::solver::live::engine::report::{LiveEnd, LiveStop, LiveWork, RelaxationFailure};
use crate::solver::live::engine::tolerance::Tolerance;
use crate::solver::live::licence::Licence;
use crate::solver::live::push::RelaxationEnd;
use crate::solver::live::state::LiveSystem;
use crate::solver::live::sweep::NormGoal;
use crate::solver::outcome::Work;

/// Pushes grow with the residual over the threshold to this power: what a push leaves is shared out,
/// and much of it ends below the threshold (fitted to changes of random dominant systems).
const POWER: f64 = 0.9;

/// Rows that are looked at to foresee the work.
const LOOKED_AT_MAX: usize = 256;

/// Sweeps that bring a residual down by half, where more are active than push is good for.
const SWEEPS_PER_HALVING: f64 = 1.5;

/// Sweeps aim at this part of the norm that is enough.
const AIM: f64 = 0.3;

/// Passes over `A` that a call may make at least where most rows are to be relaxed: a measurement is one,
/// and worth some sweeps. It may make as many as a whole run is foreseen to take, and of a small `A` as
/// many as any run takes.
const PASSES_MIN: u64 = 8;
const PASSES_OF_A_RUN: u64 = 16;
const SMALL_RUN_ENTRIES: u64 = 1 << 20;

/// Measurements in one call after which rounding is taken for the reason that rows stay active.
const MEASUREMENTS_MAX: u32 = 3;

/// Foreseen for making every row fall below its threshold: the sum over active rows of
/// `(|rᵢ| / threshold)^0.9` times the entries of their columns, at most that of sweeps over all.
pub(super) fn predicted(live: &LiveSystem, threshold: f64) -> Work {
    let (mut pushes, mut largest) = (0.0, 0.0_f64);
    live.sample_active(LOOKED_AT_MAX, |node, stands_for| {
        let over = node.r.abs() / threshold;
        pushes += stands_for * to_the_power(over) * node.column().len().max(1) as f64;
        largest = largest.max(over);
    });
    let entries = live.matrix().nonzeros() as f64;
    let sweeps = entries * (3.0 + SWEEPS_PER_HALVING * largest.max(1.0).log2());
    let nonzeros = pushes.min(sweeps).ceil() as u64;
    Work { nonzeros, flops: 2 * nonzeros }
}

/// `over ^ POWER` for a positive `over`, within 7 parts in a hundred: on the bits of a number, which are nearly
/// its logarithm.
///
/// Source: J. N. Mitchell 1962.
fn to_the_power(over: f64) -> f64 {
    let one = 1.0_f64.to_bits() as i64;
    let bits = ((over.to_bits() as i64 - one) as f64 * POWER) as i64 + one;
    f64::from_bits(bits.max(0) as u64)
}

/// The least that a call may use up.
pub(super) fn step_work(live: &LiveSystem, tolerance: &Tolerance) -> Work {
    let nonzeros = least(live, goal(tolerance));
    Work { nonzeros, flops: 2 * nonzeros }
}

fn goal(tolerance: &Tolerance) -> NormGoal {
    let enough = tolerance.certain_threshold();
    NormGoal { enough, aim: AIM * enough }
}

fn least(live: &LiveSystem, goal: NormGoal) -> u64 {
    if !live.is_crowded() {
        return 4 * live.column_entries_max as u64;
    }
    let product = live.matrix().nonzeros() as u64;
    let passes = live.passes_to(goal).clamp(PASSES_MIN, PASSES_OF_A_RUN);
    (PASSES_OF_A_RUN * product).min(SMALL_RUN_ENTRIES).max(passes * product)
}

/// Relaxes until settled or until `entries_max` is used up; the longest column is always allowed, and some
/// sweeps where most rows are to be relaxed.
pub(super) fn work(
    live: &mut LiveSystem,
    licence: &Licence,
    tolerance: &Tolerance,
    entries_max: u64,
) -> (LiveWork, Option<f64>) {
    let product = live.matrix().nonzeros() as u64;
    let goal = goal(tolerance);
    let enough = goal.enough;
    let entries_max = entries_max.max(least(live, goal));
    let mut entries = 0;
    let mut measurements = 0;
    let (end, norm) = loop {
        let relaxed = match live.relax_to(licence, entries_max.saturating_sub(entries), Some(goal))
        {
            Ok(relaxed) => relaxed,
            Err(refusal) => {
                let evidence = refusal.to_string();
                break (LiveEnd::Failed(LiveStop::NoLicence { evidence }), None);
            }
        };
        entries += relaxed.entries;
        let is_certain = tolerance.is_met_by_rows(live.drift());
        match relaxed.end {
            RelaxationEnd::Settled if is_certain => break (LiveEnd::Settled, None),
            RelaxationEnd::Near { norm } => break (LiveEnd::Settled, Some(norm)),
            RelaxationEnd::OverBudget => break (LiveEnd::Paused, None),
            RelaxationEnd::Settled
            | RelaxationEnd::Doubtful
            | RelaxationEnd::RoundingLimit { .. } => {
                live.measure();
                entries += product;
                measurements += 1;
                let norm = live.residual_norm();
                if norm <= enough {
                    break (LiveEnd::Settled, Some(norm));
                }
                let is_stuck = matches!(relaxed.end, RelaxationEnd::RoundingLimit { .. });
                if is_stuck || measurements >= MEASUREMENTS_MAX {
                    let failure = RelaxationFailure(relaxed.end);
                    break (LiveEnd::Failed(LiveStop::Relaxation(failure)), Some(norm));
                }
            }
            end @ (RelaxationEnd::ZeroDiagonal { .. }
            | RelaxationEnd::NotFinite { .. }
            | RelaxationEnd::Diverging { .. }) => {
                let failure = RelaxationFailure(end);
                break (LiveEnd::Failed(LiveStop::Relaxation(failure)), None);
            }
        }
    };
    (LiveWork { work: Work { nonzeros: entries, flops: 2 * entries }, end }, norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_by_bits_are_near_the_powers() {
        for step in 0..10_000 {
            let over = 1.003_f64.powi(step);
            let ratio = to_the_power(over) / over.powf(POWER);
            assert!((0.93..=1.07).contains(&ratio), "{over}: {ratio}");
        }
    }
}
