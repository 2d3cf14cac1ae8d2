//! One row looked at afresh, from what is stored and from nothing that was kept about it: whether its
//! residual is small, whether the one that is kept is true, and whether the row is what was accepted.

use crate::solver::live::slack::slack;
use crate::solver::live::state::LiveSystem;
use crate::solver::probe::{Probed, look_at};

/// A kept residual is based on a measurement that may have rounded by as much as one of now; both may have
/// been taken with another `x`, and the bound of a row is exact to a factor.
const SLACKS: f64 = 4.0;

impl LiveSystem {
    /// Looks at a row. O(its entries); nothing changes.
    pub fn probe(&self, row: usize) -> Probed {
        let entries = self.matrix.row(row).map(|(col, value)| (value, self.x(col as usize)));
        let seen = look_at(row, self.rhs[row], entries);
        let allowed = self.drift() + SLACKS * slack(seen.entries, seen.size);
        Probed {
            // Not so where one of them is no number.
            is_tracked: (self.residual(row) - seen.residual).abs() <= allowed,
            is_intact: self.is_intact(row),
            ..seen
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::solver::gallery;
    use crate::solver::live::delta::{Change, CostDelta};
    use crate::solver::live::licence::{Ground, Licence};
    use crate::solver::live::state::Thresholds;

    const ORDER: usize = 2_000;

    fn live() -> LiveSystem {
        let system = gallery::diagonally_dominant(ORDER, 10_000, 3).unwrap();
        LiveSystem::new(system, &[0.0; ORDER], Thresholds::Uniform(1e-9), 50_000).unwrap()
    }

    fn suspicious(live: &LiveSystem) -> Vec<usize> {
        let probes = (0..live.order()).map(|row| live.probe(row));
        probes.filter(|probed| !(probed.is_tracked && probed.is_intact)).map(|p| p.row).collect()
    }

    fn settle(live: &mut LiveSystem) {
        let ground = Ground::HMatrix { margin: 1e-3 };
        let licence = Licence::new(ground, live.matrix().version()).unwrap();
        live.relax(&licence, 1 << 40).unwrap();
    }

    /// Thousands of changes of every size, new entries and deletions, with relaxation in between.
    #[test]
    fn nothing_that_was_done_rightly_is_suspicious() {
        let mut live = live();
        let mut draws = ChaCha8Rng::seed_from_u64(5);
        for round in 0..40 {
            for _ in 0..100 {
                let (row, col) = (draws.random_range(0..ORDER), draws.random_range(0..ORDER));
                let mut delta = CostDelta::default();
                let size = 10f64.powi(draws.random_range(-9..9));
                delta.edit_rhs(row, Change::Set(size * (draws.random::<f64>() - 0.5)), None);
                // Small beside the diagonal, so that it stays dominant.
                let value = if draws.random() { 1e-4 * draws.random::<f64>() } else { 0.0 };
                if row != col {
                    delta.edit_entry(row, col, Change::Set(value), None);
                }
                live.apply(&delta).unwrap();
            }
            if round % 2 == 0 {
                settle(&mut live);
            }
            if round % 10 == 0 {
                live.merge();
            }
            assert_eq!(suspicious(&live), [0; 0], "round {round}");
        }
    }

    #[test]
    fn an_x_that_was_altered_is_seen_in_every_row_that_it_enters() {
        let mut live = live();
        settle(&mut live);
        let mut rows: Vec<usize> = live.matrix().column(700).map(|(row, _)| row as usize).collect();
        live.nodes[700].x += 1e-6;
        rows.sort_unstable();
        assert_eq!(suspicious(&live), rows);
        // A measurement makes it what it is: an x that is off by a little more, and says so.
        live.measure();
        assert_eq!(suspicious(&live), [0; 0]);
        assert!(!live.is_settled());
    }

    #[test]
    fn a_matrix_that_was_altered_is_seen_even_after_its_residual_was_measured() {
        for by in [f64::EPSILON, 1e-3, -2.0] {
            let mut live = live();
            let (col, value) = live.matrix().row(31).nth(1).unwrap();
            let slot = live.matrix.locate(31, col as usize);
            live.matrix.set(31, col as usize, slot, value * (1.0 + by));
            live.measure();
            settle(&mut live);
            assert_eq!(suspicious(&live), [31]);
        }
    }

    #[test]
    fn a_change_that_was_accepted_and_not_stored_is_seen() {
        let mut live = live();
        let (old, row) = (live.rhs()[8], 8);
        let mut delta = CostDelta::default();
        delta.edit_rhs(row, Change::Set(old + 1.0), None);
        live.apply(&delta).unwrap();
        live.rhs[row] = old;
        live.measure();
        settle(&mut live);
        assert_eq!(suspicious(&live), [row]);
    }

    /// `1 − C(n − m, k) / C(n, k)` for `m` rows that show it, `k` rows drawn out of `n`.
    #[test]
    fn what_is_altered_is_met_as_often_as_the_formula_has_it() {
        let mut live = live();
        settle(&mut live);
        live.nodes[700].x += 1e-6;
        let slot = live.matrix.locate(31, 31);
        let value = live.matrix().value(31, 31);
        live.matrix.set(31, 31, slot, value * (1.0 + 1e-9));
        let shown = suspicious(&live).len();
        let mut draws = ChaCha8Rng::seed_from_u64(8);
        for rows in [20, 100, 400] {
            let met = (0..4_000).filter(|_| {
                let drawn = rand::seq::index::sample(&mut draws, ORDER, rows);
                let mut probed = drawn.iter().map(|row| live.probe(row));
                probed.any(|probed| !(probed.is_tracked && probed.is_intact))
            });
            let found = met.count() as f64 / 4_000.0;
            let missed = (0..shown).map(|j| (ORDER - rows - j) as f64 / (ORDER - j) as f64);
            let expected = 1.0 - missed.product::<f64>();
            // Five standard deviations of as many draws.
            let off = 5.0 * (expected * (1.0 - expected) / 4_000.0).sqrt();
            assert!((found - expected).abs() <= off, "{rows} rows: {found}, by formula {expected}");
        }
    }
}
