//! Which way to an entry suits a system and an accuracy, with reasons. Predictions are in matrix entries
//! read, the unit of every budget here.

use crate::solver::proof::search::relative_gap_min;
use crate::solver::proof::witness::Witness;
use crate::solver::system::Rows;

/// What decides about single entries, found once for a matrix in O(n).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntryClass {
    pub order: usize,
    pub nonzeros: usize,
    /// `min_i w_i / (|a_ii| v_i)`: a sweep shrinks the error by 1 less this.
    pub relative_gap: f64,
    /// Entries that a walk from a row in the middle reads, about.
    pub entries_per_walk: f64,
    pub v_max: f64,
    /// Positive on the diagonal, nowhere beside it: pushes may over-relax.
    pub has_m_signs: bool,
}

/// A way to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryMethod {
    /// What is known already suffices.
    Read,
    BackwardPush,
    Walks,
    Bidirectional,
    /// An exact factorisation, whose elimination tree is read along one path.
    Path,
    /// The whole system, because that is cheaper.
    Solve,
}

impl EntryMethod {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::BackwardPush => "backward_push",
            Self::Walks => "walks",
            Self::Bidirectional => "bidirectional",
            Self::Path => "path",
            Self::Solve => "solve",
        }
    }
}

/// The way chosen, its budget and why.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryChoice {
    pub method: EntryMethod,
    /// What it may read before a solve would have been cheaper.
    pub entries_max: u64,
    /// For people, most important first.
    pub reasons: Vec<String>,
}

/// What an entry read here and there costs, in entries read in order: 4 on grids, 15 on expanders.
const SCATTERED: f64 = 6.0;

const M_RELAXATION: f64 = 1.3;

/// Below this relative gap walks hardly end and pushes reach everything.
const GAP_MIN: f64 = 1e-4;

impl EntryClass {
    pub fn of(rows: Rows, witness: &Witness) -> Self {
        let (order, nonzeros) = (rows.count(), rows.values.len());
        let steps = |row: usize| {
            let diagonal = rows.diagonal(row).unwrap_or(0.0).abs();
            (diagonal * witness.v()[row] / witness.w()[row]).max(1.0)
        };
        let mean_steps = (0..order).map(steps).sum::<f64>() / order as f64;
        let mean_entries = nonzeros as f64 / order as f64;
        Self {
            order,
            nonzeros,
            relative_gap: relative_gap_min(rows, witness),
            entries_per_walk: mean_steps * mean_entries,
            v_max: witness.v_max(),
            has_m_signs: has_m_signs(rows),
        }
    }

    /// Whether entries can be told from what is around them at all.
    pub fn is_local(&self) -> bool {
        self.relative_gap >= GAP_MIN
    }

    /// Weight of a push: more than 1 takes fewer pushes where nothing cancels.
    pub fn relaxation(&self) -> f64 {
        if self.has_m_signs { M_RELAXATION } else { 1.0 }
    }

    /// Entries that sweeps to the part `ratio` of what is known would read.
    ///
    /// A sweep of Gauss–Seidel takes about twice the mean gap of the rows from the error, and a Krylov
    /// method some square root of the smallest.
    pub fn solve_entries(&self, ratio: f64) -> f64 {
        let decades = (1.0 / ratio).ln().max(0.0);
        let mean_entries = self.nonzeros as f64 / self.order.max(1) as f64;
        let sweeps = decades * 0.5 * self.entries_per_walk / mean_entries.max(1.0);
        let products = 2.0 * decades / self.relative_gap.clamp(1e-6, 1.0).sqrt();
        self.nonzeros as f64 * (4.0 + sweeps.min(products))
    }
}

/// Whether `A` has the signs of an M-matrix. One pass.
pub(super) fn has_m_signs(rows: Rows) -> bool {
    (0..rows.count()).all(|row| {
        let (cols, values) = rows.row(row);
        let of_entry = |(&col, &value): (&u32, &f64)| {
            if col as usize == row { value > 0.0 } else { value <= 0.0 }
        };
        cols.iter().zip(values).all(of_entry)
    })
}

/// Chooses for an absolute accuracy, where what is known already bounds the entry by `known_bound`
/// (`v_i q`). `failure` is the probability with which the bound may fail, 0 for a proof.
pub fn choose(class: &EntryClass, known_bound: f64, accuracy: f64, failure: f64) -> EntryChoice {
    let ratio = accuracy / known_bound;
    let solve = class.solve_entries(ratio);
    let choice = |method, budget: f64, reason: String| EntryChoice {
        method,
        entries_max: budget.min(9e18) as u64,
        reasons: vec![
            reason,
            format!("sweeps over the whole system would read {solve:.1e} entries"),
        ],
    };
    if known_bound <= accuracy {
        let reason = format!("what is known bounds the entry by {known_bound:.1e} already");
        return choice(EntryMethod::Read, 0.0, reason);
    }
    if !class.is_local() || !ratio.is_normal() {
        let reason = format!(
            "rows are dominant by {:.1e} only, so pushes and walks reach far: solve",
            class.relative_gap
        );
        return choice(EntryMethod::Solve, solve, reason);
    }
    let budget = 0.5 * solve / SCATTERED;
    if failure <= 0.0 {
        let reason = format!("a proof is asked for: pushes, up to {budget:.1e} entries");
        return choice(EntryMethod::BackwardPush, budget, reason);
    }
    let walks = 2.0 * (8.0 / failure).ln() / (ratio * ratio);
    let entries = walks * class.entries_per_walk;
    if walks <= 256.0 {
        let reason = format!("{walks:.0} walks suffice, which read about {entries:.1e} entries");
        return choice(EntryMethod::Walks, budget.max(2.0 * entries), reason);
    }
    let reason = format!(
        "walks alone would read up to {entries:.1e} entries: pushes first, walks from what is left"
    );
    choice(EntryMethod::Bidirectional, budget, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(order: usize, relative_gap: f64) -> EntryClass {
        let entries_per_walk = 5.0 / relative_gap;
        EntryClass {
            order,
            nonzeros: 5 * order,
            relative_gap,
            entries_per_walk,
            v_max: 1.0,
            has_m_signs: false,
        }
    }

    #[test]
    fn the_way_follows_class_accuracy_and_what_may_fail() {
        let check = |gap, accuracy, failure, expected| {
            let choice = choose(&class(1_000_000, gap), 1.0, accuracy, failure);
            assert_eq!(choice.method, expected, "{:?}", choice.reasons);
        };
        check(0.1, 2.0, 0.0, EntryMethod::Read);
        check(0.1, 1e-3, 0.0, EntryMethod::BackwardPush);
        check(0.1, 1e-3, 0.01, EntryMethod::Bidirectional);
        check(0.1, 0.5, 0.01, EntryMethod::Walks);
        check(1e-6, 1e-3, 0.01, EntryMethod::Solve);
        check(0.1, 0.0, 0.0, EntryMethod::Solve);
    }
}
