//! The witness that is held, with what is known of its smallest row and of the rounding of the last
//! measurement. Owns how both are kept under changes in O(1), and when a pass over `A` is worth its cost.

use crate::solver::live::slack::slack;
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::proof::Witness;

/// Up to this order the bound is always taken over all rows.
const EXACT_ORDER_MAX: usize = 1 << 15;

/// Rounding of a measurement that is at most this part of the bound is not looked at more closely.
const ROUNDING_PART: f64 = 1.0 / 64.0;

/// Bounds are rounded up by this, which is more than the few operations behind them round.
pub(super) const UP: f64 = 1.0 + 16.0 * f64::EPSILON;

/// The witness with what is known of its smallest row.
#[derive(Debug)]
pub(super) struct Held {
    witness: Witness,
    /// At most `minᵢ wᵢ` and `minᵢ wᵢ / vᵢ`.
    w_least: f64,
    margin_least: f64,
    /// Whether the least may have risen since.
    is_loose: bool,
    /// What rounding of the last measurement can come to.
    rounding: Option<Rounding>,
}

/// At least `maxᵢ sᵢ / wᵢ`, `sᵢ` being the rounding of the measurement that this is of.
#[derive(Debug, Clone, Copy)]
struct Rounding {
    measurement: u64,
    quotient: f64,
    /// By a pass over `A`, so that none would find less.
    is_close: bool,
}

impl Held {
    pub fn of(witness: Witness) -> Self {
        let mut held =
            Self { witness, w_least: 0.0, margin_least: 0.0, is_loose: true, rounding: None };
        held.find_least();
        held
    }

    fn find_least(&mut self) {
        let (v, w) = (self.witness.v(), self.witness.w());
        self.w_least = w.iter().copied().fold(f64::INFINITY, f64::min);
        self.margin_least = v.iter().zip(w).map(|(v, w)| w / v).fold(f64::INFINITY, f64::min);
        self.is_loose = false;
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        let before = self.witness.w()[change.row];
        self.witness.entry_changed(change.row, change.col, change.old, change.new);
        let after = self.witness.w()[change.row];
        self.is_loose |= after > before && before <= self.w_least;
        self.w_least = self.w_least.min(after);
        self.margin_least = self.margin_least.min(after / self.witness.v()[change.row]);
        if after < before {
            // The row's quotient grows, if it was the largest: by this much.
            self.rounding = self.rounding.filter(|_| after > 0.0).map(|rounding| Rounding {
                quotient: rounding.quotient * (before / after) * UP,
                ..rounding
            });
        }
    }

    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// At most `minᵢ wᵢ / vᵢ`. O(1), O(n) after a row sank and rose again.
    pub fn margin(&mut self) -> f64 {
        if self.margin_least <= 0.0 {
            self.find_least();
        }
        self.margin_least
    }

    /// At least `maxᵢ |b − A x|ᵢ / wᵢ`, of a witness that holds; `row_max` is at least every `|rᵢ|` as kept.
    /// O(n), and a product where the residual is measured.
    pub fn quotient(&mut self, live: &mut LiveSystem, row_max: f64) -> f64 {
        if self.is_loose {
            self.find_least();
        }
        // What is measured now may be larger by what the kept one had drifted.
        let row_max = row_max + live.drift();
        if self.rounding_of(live).is_none() && !live.is_fresh() {
            live.measure();
        }
        let mut kept = self.kept(live, row_max);
        let measurements = live.measurements();
        let rounding = self.rounding_beside(kept, live);
        if live.measurements() != measurements {
            kept = self.kept(live, row_max);
        }
        (kept + live.drift() / self.w_least + rounding) * UP
    }

    /// `maxᵢ |rᵢ| / wᵢ` of the residual as kept. O(n).
    fn kept_exactly(&self, live: &LiveSystem) -> f64 {
        let rows = live.nodes.iter().zip(self.witness.w());
        greatest(rows.map(|(node, w)| node.r.abs() / w)) * UP
    }

    /// The same, by the largest alone where the system is large.
    fn kept(&self, live: &LiveSystem, row_max: f64) -> f64 {
        match live.order() <= EXACT_ORDER_MAX || !row_max.is_finite() {
            true => self.kept_exactly(live),
            false => row_max / self.w_least * UP,
        }
    }

    /// What is known of the rounding of the last measurement.
    fn rounding_of(&self, live: &LiveSystem) -> Option<Rounding> {
        self.rounding.filter(|rounding| rounding.measurement == live.measurements())
    }

    /// What rounding of the last measurement can come to: a guess from above where that is next to nothing
    /// beside `kept`, O(n) for a residual that is fresh; else with a pass over `A`, by which a residual that
    /// is not fresh is measured. Once for each measurement, then O(1).
    fn rounding_beside(&mut self, kept: f64, live: &mut LiveSystem) -> f64 {
        if self.rounding_of(live).is_none() && live.is_fresh() {
            let (measurement, quotient) = (live.measurements(), self.rounding_at_most(live));
            self.rounding = Some(Rounding { measurement, quotient, is_close: false });
        }
        let known = self.rounding_of(live);
        let is_enough = |known: &Rounding| known.is_close || known.quotient <= ROUNDING_PART * kept;
        match known.filter(is_enough) {
            Some(known) => known.quotient,
            None => {
                let slacks = live.measure_with_slacks();
                self.note_measurement(live.measurements(), &slacks)
            }
        }
    }

    /// At least `maxᵢ sᵢ / wᵢ` for a measurement of the `x` that is kept, without a look at `A`: as
    /// `Σⱼ |aᵢⱼ| vⱼ = 2 |aᵢᵢ| vᵢ − wᵢ`, the sum of a row's products is at most that times `maxⱼ |xⱼ| / vⱼ`.
    /// O(n).
    fn rounding_at_most(&self, live: &LiveSystem) -> f64 {
        let (v, w) = (self.witness.v(), self.witness.w());
        let over_v = greatest(live.nodes.iter().zip(v).map(|(node, v)| node.x.abs() / v));
        let of_row = |row: usize| {
            let products = 2.0 * live.nodes[row].diagonal_at_most() * v[row] - w[row];
            let size = over_v * products + live.rhs()[row].abs();
            slack(live.row_entries_max, size * UP) / w[row]
        };
        greatest((0..live.order()).map(of_row)) * UP
    }

    fn note_measurement(&mut self, measurement: u64, slacks: &[f64]) -> f64 {
        let quotients = slacks.iter().zip(self.witness.w()).map(|(slack, w)| slack / w);
        let quotient = greatest(quotients) * UP;
        self.rounding = Some(Rounding { measurement, quotient, is_close: true });
        quotient
    }
}

/// The maximum; infinite if one of the values is not a number.
pub(super) fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |max: f64, value| max.max(if value.is_nan() { f64::INFINITY } else { value }))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;
    use crate::solver::gallery;
    use crate::solver::live::state::Thresholds;

    #[test]
    fn rounding_that_is_bounded_without_a_look_at_the_matrix_covers_that_of_every_row() {
        let wave = |at: usize| (PI * (at + 1) as f64 / 21.0).sin();
        let systems = [
            (gallery::diagonally_dominant(400, 2_000, 5), vec![1.0; 400]),
            (
                gallery::poisson_2d(20, 5),
                (0..400).map(|at| wave(at / 20) * wave(at % 20)).collect(),
            ),
        ];
        for (system, v) in systems {
            let system = system.expect("the size is in range");
            let mut held = Held::of(Witness::prove(system.rows(), v).expect("an H-matrix"));
            let x: Vec<f64> = (0..400).map(|row| ((row % 9) as f64 - 4.0) * 1e3).collect();
            let thresholds = Thresholds::Uniform(1e-8);
            let mut live = LiveSystem::new(system, &x, thresholds, 10_000).unwrap();
            let slacks = live.measure_with_slacks();
            let bound = held.rounding_at_most(&live);
            let by_rows = held.note_measurement(live.measurements(), &slacks);
            assert!(by_rows <= bound && bound <= 1e4 * by_rows, "{by_rows:e} and {bound:e}");
        }
    }
}
