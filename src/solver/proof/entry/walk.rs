//! Walks that end: from row `k` to `j` with probability `|a_kj| v_j / (|a_kk| v_k)`, to an end with what
//! is left. Owns one walk and the statistics of many with their bound; where walks start is the caller's.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::solver::proof::directed::sum_slack;
use crate::solver::proof::entry::{EntryQuery, EntrySource};

/// What a walk brought home.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Its mean over walks from `k` is `x*_k / v_k`; within `±q` but for `slack`.
    pub value: f64,
    /// How far rounding can have taken it.
    pub slack: f64,
}

/// Uniform in [0, 1), multiples of 2⁻⁵³.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Walks from `row` to an end. `left` is what may be read, and falls by what was; none when it does not
/// suffice.
pub(super) fn walk<S: EntrySource>(
    query: &EntryQuery<S>,
    mut row: usize,
    rng: &mut ChaCha8Rng,
    left: &mut u64,
) -> Option<Share> {
    let (source, v) = (query.source, query.witness.v());
    let mut sign = 1.0;
    loop {
        *left = left.checked_sub(source.entries_of(row) as u64)?;
        let diagonal = source.diagonal(row)?;
        let total = diagonal.abs() * v[row];
        let draw = uniform(rng) * total;
        let (mut beside, mut onward) = (0.0, None);
        for (col, value) in source.row(row) {
            let is_beside = col as usize != row;
            beside += if is_beside { value.abs() * v[col as usize] } else { 0.0 };
            if is_beside && draw < beside {
                onward = Some((col as usize, value));
                break;
            }
        }
        let Some((col, value)) = onward else {
            return Some(share(query, row, sign * diagonal.signum(), total, beside));
        };
        sign *= -(value.signum() * diagonal.signum());
        row = col;
    }
}

/// What a walk that ends in `row` brings home: `± b_row / (⟨A⟩ v)_row`.
fn share<S: EntrySource>(
    query: &EntryQuery<S>,
    row: usize,
    sign: f64,
    total: f64,
    beside: f64,
) -> Share {
    let rhs = query.source.rhs(row);
    let gap_min = query.witness.w()[row];
    let gap = (total - beside).max(gap_min);
    let gap_slack = sum_slack(query.source.entries_of(row), total + beside);
    let value = rhs.value / gap;
    let rounding = 4.0 * f64::EPSILON * value.abs() + f64::MIN_POSITIVE;
    let slack = value.abs() * (gap_slack / gap_min) + rhs.slack / gap_min + rounding;
    Share { value: sign * value, slack: slack * (1.0 + 8.0 * f64::EPSILON) }
}

/// Mean and spread of what walks brought home.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub walks: u64,
    mean: f64,
    /// `Σ (value − mean)²` (Welford 1962).
    squares: f64,
    slack: f64,
    slack_squares: f64,
}

impl Tally {
    pub fn add(&mut self, share: Share) {
        self.walks += 1;
        let from_old = share.value - self.mean;
        self.mean += from_old / self.walks as f64;
        self.squares += from_old * (share.value - self.mean);
        self.slack += share.slack;
        self.slack_squares += share.slack * share.slack;
    }

    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// How far rounding can have taken the mean, of values within `±range`.
    pub fn slack(&self, range: f64) -> f64 {
        let walks = self.walks.max(1) as f64;
        2.0 * self.slack / walks + 4.0 * f64::EPSILON * range * (walks + 8.0)
    }

    pub fn standard_error(&self) -> f64 {
        let walks = self.walks as f64;
        if self.walks < 2 { 0.0 } else { (self.squares / (walks - 1.0) / walks).max(0.0).sqrt() }
    }

    /// Bounds `|mean − expectation|` but for probability `failure`, for values within `±range`: the less of
    /// Hoeffding's bound and the empirical Bernstein bound (Maurer and Pontil 2009, Theorem 4), each with
    /// half of `failure`.
    pub fn half_width(&self, range: f64, failure: f64) -> f64 {
        if self.walks < 2 {
            return 2.0 * range;
        }
        let walks = self.walks as f64;
        let hoeffding = range * (2.0 * (4.0 / failure).ln() / walks).sqrt();
        let logarithm = (8.0 / failure).ln();
        // The spread of the exact values may be larger by that of what rounding did to them.
        let rounding = (self.slack_squares / (walks - 1.0) / walks).sqrt();
        let spread = (self.standard_error() + rounding) * (2.0 * logarithm).sqrt();
        let bernstein = spread + 14.0 * range * logarithm / (3.0 * (walks - 1.0));
        hoeffding.min(bernstein).min(2.0 * range)
    }
}
