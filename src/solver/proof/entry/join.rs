//! Pushes and walks joined into an answer: how much of each, what may fail, and the bound of both.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::solver::proof::directed::add_up;
use crate::solver::proof::entry::push::{Pause, Push, PushSpace, Pushed};
use crate::solver::proof::entry::walk::{Share, Tally, uniform, walk};
use crate::solver::proof::entry::{Accuracy, EntryEnd, EntryEstimate, EntryQuery, EntrySource};

/// The number of walks doubles from check to check, at most this often.
const CHECKS_MAX: u32 = 32;

/// Walks before the first check.
const WALKS_MIN: u64 = 64;

/// Walks from which the cost of one is predicted.
const TRIAL_WALKS: u64 = 32;

/// The spread of walks is mostly this part of their range, or less; what a check may stop early by.
const SPREAD: f64 = 0.3;

pub(super) fn push_only<S: EntrySource>(
    query: &EntryQuery<S>,
    space: &mut PushSpace,
) -> EntryEstimate {
    let mut push = Push::start(query, space);
    let pause = push.run(|push| is_done(query, push));
    let proven = proven(query, &push);
    let end = match pause {
        _ if is_reached(query, &proven) => EntryEnd::Reached,
        Pause::OverBudget => EntryEnd::OverBudget,
        Pause::OutOfTime => EntryEnd::OutOfTime,
        Pause::Enough | Pause::Exhausted => EntryEnd::PrecisionLimit,
    };
    EntryEstimate { end, ..proven }
}

/// Whether what is left may be left.
fn is_done<S: EntrySource>(query: &EntryQuery<S>, push: &Push<S>) -> bool {
    let (value, rest) = push.known();
    rest <= 0.999 * query.accuracy.of(value, rest)
}

fn is_reached<S: EntrySource>(query: &EntryQuery<S>, estimate: &EntryEstimate) -> bool {
    estimate.bound <= query.accuracy.of(estimate.value, estimate.bound)
}

pub(super) fn walks_only<S: EntrySource>(
    query: &EntryQuery<S>,
    failure: f64,
    seed: u64,
    space: &mut PushSpace,
) -> EntryEstimate {
    let push = Push::start(query, space);
    finish_by_walks(query, &push, failure, &mut ChaCha8Rng::seed_from_u64(seed))
}

pub(super) fn push_and_walk<S: EntrySource>(
    query: &EntryQuery<S>,
    failure: f64,
    seed: u64,
    space: &mut PushSpace,
) -> EntryEstimate {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut push = Push::start(query, space);
    let Some(entries_of_walk) = trial(query, &mut push, &mut rng) else {
        return EntryEstimate { end: EntryEnd::OverBudget, ..proven(query, &push) };
    };
    let is_enough = |push: &Push<S>| {
        let (value, rest) = push.known();
        let ratio = rest / query.accuracy.at_size(value);
        let walks = SPREAD * SPREAD * 2.0 * ratio * ratio * (8.0 / failure).ln();
        is_done(query, push)
            || (walks + WALKS_MIN as f64) * entries_of_walk <= push.touched_entries as f64
    };
    match push.run(is_enough) {
        Pause::OverBudget => EntryEstimate { end: EntryEnd::OverBudget, ..proven(query, &push) },
        Pause::OutOfTime => EntryEstimate { end: EntryEnd::OutOfTime, ..proven(query, &push) },
        Pause::Enough | Pause::Exhausted => finish_by_walks(query, &push, failure, &mut rng),
    }
}

/// Entries that a walk from the entry reads, by a few that count for nothing else.
fn trial<S: EntrySource>(
    query: &EntryQuery<S>,
    push: &mut Push<S>,
    rng: &mut ChaCha8Rng,
) -> Option<f64> {
    let mut left = query.entries_max;
    for _ in 0..TRIAL_WALKS {
        walk(query, query.entry, rng, &mut left)?;
    }
    push.touched_entries = query.entries_max - left;
    Some(push.touched_entries as f64 / TRIAL_WALKS as f64)
}

fn proven<S: EntrySource>(query: &EntryQuery<S>, push: &Push<S>) -> EntryEstimate {
    let Pushed { estimate, rest, slack } = push.pushed();
    let value = query.source.base(query.entry) + estimate;
    let bound = add_up(add_up(rest, slack), last_rounding(value));
    let bound = if bound.is_nan() { f64::INFINITY } else { bound };
    EntryEstimate {
        value,
        bound,
        failure: 0.0,
        standard_error: 0.0,
        touched_entries: push.touched_entries,
        pushes: push.pushes,
        walks: 0,
        end: EntryEnd::Reached,
    }
}

/// Of the sum of what was known and what was found; nothing where that is 0.
fn last_rounding(value: f64) -> f64 {
    2.0 * f64::EPSILON * value.abs()
}

fn finish_by_walks<S: EntrySource>(
    query: &EntryQuery<S>,
    push: &Push<S>,
    failure: f64,
    rng: &mut ChaCha8Rng,
) -> EntryEstimate {
    let pushed = proven(query, push);
    if is_reached(query, &pushed) {
        return pushed;
    }
    let Pushed { estimate, rest, slack } = push.pushed();
    let starts = Starts::of(query, push);
    let plan = Plan::of(query, push, &starts, failure);
    let (mut tally, mut left) = (Tally::default(), plan.entries);
    let mut best = pushed;
    for check in 0..plan.checks {
        let walks = WALKS_MIN << check;
        if is_reached(query, &best) || !starts.walk_until(walks, query, rng, &mut left, &mut tally)
        {
            break;
        }
        let range = query.quotient;
        let spread = tally.half_width(range, plan.failure_each) + tally.slack(range);
        // The sum of what is left was rounded, too.
        let width = starts.total * spread + rest * f64::EPSILON * (starts.rows.len() + 8) as f64;
        let mean = starts.total * tally.mean();
        let value = query.source.base(query.entry) + (estimate + mean);
        let rounding = 4.0 * f64::EPSILON * (estimate.abs() + mean.abs()) + last_rounding(value);
        let bound = add_up(add_up(width * (1.0 + 1e-9), slack), rounding);
        if bound < best.bound {
            let standard_error = starts.total * tally.standard_error();
            best = EntryEstimate { value, bound, failure, standard_error, ..best };
        }
    }
    let touched_entries = push.touched_entries + (plan.entries - left);
    let end = match () {
        () if is_reached(query, &best) => EntryEnd::Reached,
        () if plan.checks == 0 || slack > query.accuracy.of(best.value, 0.0) => {
            EntryEnd::PrecisionLimit
        }
        () if !query.patience.lasts() => EntryEnd::OutOfTime,
        () => EntryEnd::OverBudget,
    };
    EntryEstimate { touched_entries, walks: tally.walks, end, ..best }
}

/// How walks are spent.
struct Plan {
    /// After each the walks may stop, because each may fail with an equal part of the probability.
    checks: u32,
    failure_each: f64,
    entries: u64,
}

impl Plan {
    /// Enough checks for Hoeffding's bound to reach the accuracy at the last.
    fn of<S: EntrySource>(
        query: &EntryQuery<S>,
        push: &Push<S>,
        starts: &Starts,
        failure: f64,
    ) -> Self {
        let (value, _) = push.known();
        // An entry may turn out smaller than it looks, so a relative accuracy gets more checks.
        let margin = if let Accuracy::Relative(_) = query.accuracy { 0.1 } else { 1.0 };
        let accuracy = margin * query.accuracy.at_size(value);
        let ratio = starts.total * query.quotient / accuracy;
        let walks = 2.0 * ratio * ratio * (4.0 * f64::from(CHECKS_MAX) / failure).ln();
        let doublings = (walks / WALKS_MIN as f64).log2().ceil();
        let checks = 1 + doublings.clamp(0.0, f64::from(CHECKS_MAX - 1)) as u32;
        // Draws follow rounded probabilities: that a single one would have gone elsewhere with exact
        // ones is `odd` at most. Of `failure` it may take half.
        let odd_per_entry = 8.0 * f64::EPSILON;
        let entries_max = (0.25 * failure / odd_per_entry) as u64;
        let entries = (query.entries_max - push.touched_entries).min(entries_max);
        let walks_max = ((WALKS_MIN << (checks - 1)) as f64).min(entries as f64);
        let odd_starts = 2.0 * f64::EPSILON * walks_max * (starts.rows.len() + 8) as f64;
        let odd = odd_per_entry * entries as f64 + odd_starts;
        let failure_each = (failure - odd) / f64::from(checks);
        let is_possible = starts.total > 0.0 && starts.total.is_finite() && failure_each > 0.0;
        Self { checks: if is_possible { checks } else { 0 }, failure_each, entries }
    }
}

/// Where walks start: at `k` with probability `|s_k| v_k / Σ`.
struct Starts {
    rows: Vec<u32>,
    signs: Vec<f64>,
    /// Sums of `|s_k| v_k` up to each row.
    sums: Vec<f64>,
    total: f64,
}

impl Starts {
    fn of<S: EntrySource>(query: &EntryQuery<S>, push: &Push<S>) -> Self {
        let v = query.witness.v();
        let (mut rows, mut signs, mut sums, mut total) = (vec![], vec![], vec![], 0.0);
        for (row, s) in push.left().filter(|(_, s)| *s != 0.0) {
            total += s.abs() * v[row as usize];
            rows.push(row);
            signs.push(s.signum());
            sums.push(total);
        }
        Self { rows, signs, sums, total }
    }

    /// Walks until there are `walks`; whether the entries left sufficed.
    fn walk_until<S: EntrySource>(
        &self,
        walks: u64,
        query: &EntryQuery<S>,
        rng: &mut ChaCha8Rng,
        left: &mut u64,
        tally: &mut Tally,
    ) -> bool {
        while tally.walks < walks {
            if tally.walks.is_multiple_of(WALKS_MIN) && !query.patience.lasts() {
                return false;
            }
            let draw = uniform(rng) * self.total;
            let at = self.sums.partition_point(|sum| *sum <= draw).min(self.rows.len() - 1);
            let Some(share) = walk(query, self.rows[at] as usize, rng, left) else { return false };
            tally.add(Share { value: self.signs[at] * share.value, ..share });
        }
        true
    }
}
