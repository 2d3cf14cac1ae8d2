//! What rows of a state that were drawn and looked at say about all of it: whether it may be called
//! verified, and what a corruption had to look like to be missed.
//!
//! A verdict never calls a true state false: each row is judged by what a true state cannot exceed. What
//! it may miss is stated as a probability. When states are checked unasked is `schedule`'s.

mod schedule;

use crate::solver::probe::Probed;
pub use schedule::{Allowance, INTERVAL, Schedule, is_worth_all};

/// Rows of one probe, at most.
pub const PROBE_ROWS: usize = 100;

/// Probes of a check that nobody has asked for otherwise, and the most that may be asked for.
pub const PROBES: usize = 10;
pub const PROBES_MAX: usize = 100;

/// With so much confidence a statement about rows that were not looked at is made.
pub const CONFIDENCE: f64 = 0.99;

/// What is known of a state without looking at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// n.
    pub order: usize,
    /// `tolerance · ‖b‖₂`.
    pub residual_threshold: f64,
    /// Whether `‖b − A x‖₂` is said to be at most that.
    pub is_settled: bool,
}

/// What a check of a state came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The state is said to be settled, and nothing that was seen speaks against it.
    pub verified: bool,
    /// The part of the rows looked at that are within the tolerance and as they should be, also of a state
    /// that does not say so of itself; 1 where none was.
    pub score: f64,
    /// Distinct rows looked at.
    pub rows: usize,
    /// For each probe the largest `|bᵢ − aᵢ·x|`.
    pub components: Vec<f64>,
    /// `Σ (bᵢ − aᵢ·x)²` over the rows looked at, under the root: at most `‖b − A x‖₂`.
    pub residual_norm_seen: f64,
    /// What `‖b − A x‖₂` is by the rows looked at: exact when those are all.
    pub residual_norm_estimated: f64,
    pub faults: Faults,
    pub reach: Reach,
}

/// Rows that are not as they should be, by what is wrong with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Their residual alone exceeds what all of them together may come to.
    pub over_tolerance: usize,
    /// The residual that is kept is not theirs: `x` was altered, or the keeping is at fault.
    pub untracked: usize,
    /// They do not hold what was opened with and accepted: an entry was altered, or a change lost.
    pub altered: usize,
    /// The first of the rows with a fault.
    pub first_row: Option<usize>,
}

/// How far a look at some of the rows reaches: what it would have met, with which probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// n, and the distinct rows looked at.
    order: usize,
    rows: usize,
}

impl Verdict {
    /// Judges a state by rows of it, in probes; a row may be in several and counts once.
    pub fn of(claim: &Claim, probes: &[Vec<Probed>]) -> Self {
        let mut rows: Vec<Probed> = probes.iter().flatten().copied().collect();
        rows.sort_by_key(|probed| probed.row);
        rows.dedup_by_key(|probed| probed.row);
        let component = |probe: &Vec<Probed>| {
            probe.iter().fold(0.0, |max, probed| larger(max, probed.residual))
        };
        Self { components: probes.iter().map(component).collect(), ..Self::of_rows(claim, rows) }
    }

    /// Judges a state by distinct rows of it, all of one probe. Keeps none of them.
    pub fn of_rows(claim: &Claim, rows: impl IntoIterator<Item = Probed>) -> Self {
        // So that no square over- or underflows where it counts.
        let unit = claim.residual_threshold.max(f64::MIN_POSITIVE);
        let (mut faults, mut count, mut sound) = (Faults::default(), 0, 0);
        let (mut squares, mut max) = (0.0, 0.0);
        for probed in rows {
            count += 1;
            sound += usize::from(faults.note(claim, &probed));
            squares += (probed.residual / unit).powi(2);
            max = larger(max, probed.residual);
        }
        let seen = squares.sqrt() * unit;
        // Not so where a residual is no number.
        let is_within = seen <= claim.residual_threshold * (1.0 + ROUNDING);
        let share = claim.order as f64 / count.max(1) as f64;
        Self {
            verified: claim.is_settled && is_within && sound == count,
            score: if count == 0 { 1.0 } else { sound as f64 / count as f64 },
            rows: count,
            components: vec![max],
            residual_norm_seen: seen,
            residual_norm_estimated: seen * share.sqrt(),
            faults,
            reach: Reach::of(claim.order, count),
        }
    }

    /// Whether what was seen asks for a look at everything: a fault, or rows that make a residual above
    /// the tolerance likely.
    pub fn is_suspicious(&self, claim: &Claim) -> bool {
        let is_faulty = self.faults != Faults::default();
        let is_likely = self.residual_norm_estimated <= SUSPICIOUS * claim.residual_threshold;
        is_faulty || (claim.is_settled && !is_likely)
    }
}

/// What a sum of n squares can be rounded by, generously.
const ROUNDING: f64 = 1e-6;

/// A residual is estimated from some rows within a small factor, unless few rows hold nearly all of it.
const SUSPICIOUS: f64 = 4.0;

impl Faults {
    /// Notes what is wrong with a row, if anything is. Whether it is sound and within the tolerance, which
    /// only a state that says so of itself is at fault for not being.
    fn note(&mut self, claim: &Claim, probed: &Probed) -> bool {
        let allowed = claim.residual_threshold * (1.0 + ROUNDING);
        // Not so where the residual is no number.
        let is_within = probed.residual.abs() <= allowed;
        let is_over = claim.is_settled && !is_within;
        self.over_tolerance += usize::from(is_over);
        self.untracked += usize::from(!probed.is_tracked);
        self.altered += usize::from(!probed.is_intact);
        let is_faulty = is_over || !probed.is_tracked || !probed.is_intact;
        if is_faulty && self.first_row.is_none() {
            self.first_row = Some(probed.row);
        }
        is_within && !is_faulty
    }
}

impl Reach {
    pub fn of(order: usize, rows: usize) -> Self {
        Self { order, rows: rows.min(order) }
    }

    /// The probability that at least one of `faulty` faulty rows is among those looked at, which were drawn
    /// without regard to them: `1 − C(n − m, k) / C(n, k)`. O(min(k, m)).
    pub fn detection(self, faulty: usize) -> f64 {
        let (n, k, m) = (self.order, self.rows, faulty.min(self.order));
        let (few, many) = (k.min(m), k.max(m));
        if few + many > n {
            return 1.0;
        }
        // C(n − m, k) / C(n, k) is the same with k and m changed over.
        let missed: f64 = (0..few).map(|j| (-(many as f64) / (n - j) as f64).ln_1p()).sum();
        -missed.exp_m1()
    }

    /// The fewest faulty rows of which one would have been met with [`CONFIDENCE`]; so where none was met,
    /// fewer than this are faulty, with that confidence. None where even all of them would not do, because
    /// no row was looked at. O(log n · min(k, n)).
    pub fn detectable(self) -> Option<usize> {
        if self.rows == 0 {
            return None;
        }
        let (mut below, mut at) = (0, self.order);
        while at - below > 1 {
            let middle = below + (at - below) / 2;
            match self.detection(middle) >= CONFIDENCE {
                true => at = middle,
                false => below = middle,
            }
        }
        Some(at)
    }
}

/// A residual that is no number stays one.
fn larger(max: f64, residual: f64) -> f64 {
    if residual.abs() <= max || max.is_nan() { max } else { residual.abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim = Claim { order: 1_000, residual_threshold: 1e-6, is_settled: true };

    fn row(row: usize, residual: f64) -> Probed {
        Probed { row, residual, size: 1.0, entries: 5, is_tracked: true, is_intact: true }
    }

    /// `C(n − m, k) / C(n, k)` term by term, of whole numbers.
    fn missed(n: u128, m: u128, k: u128) -> f64 {
        let choose = |n: u128, k: u128| (0..k).fold(1, |product, j| product * (n - j) / (j + 1));
        if m + k > n { 0.0 } else { choose(n - m, k) as f64 / choose(n, k) as f64 }
    }

    #[test]
    fn the_probability_of_a_detection_is_the_one_of_the_formula() {
        for n in [1, 2, 10, 60] {
            for k in 0..=n.min(20) {
                for m in 0..=n {
                    let expected = 1.0 - missed(n as u128, m as u128, k as u128);
                    let found = Reach::of(n, k).detection(m);
                    assert!((found - expected).abs() < 1e-12, "{n} {k} {m}: {found} {expected}");
                }
            }
        }
        let far = Reach::of(10_000_000, 1_000).detection(100);
        assert!((far - 9.95e-3).abs() < 1e-4, "{far}");
    }

    #[test]
    fn what_is_detectable_is_just_detected() {
        for (n, k) in [(1, 1), (10, 3), (1_000, 100), (100_000, 1_000), (1_000_000, 10_000)] {
            let reach = Reach::of(n, k);
            let least = reach.detectable().unwrap();
            assert!(reach.detection(least) >= CONFIDENCE || least == n, "{n} {k}");
            assert!(least == 1 || reach.detection(least - 1) < CONFIDENCE, "{n} {k}");
        }
        assert_eq!(Reach::of(50, 50).detectable(), Some(1));
        assert_eq!(Reach::of(50, 0).detectable(), None);
    }

    #[test]
    fn a_true_state_is_verified_however_its_residual_is_spread() {
        let all_in_one = vec![vec![row(3, 1e-6), row(4, 0.0)], vec![row(3, 1e-6)]];
        let verdict = Verdict::of(&CLAIM, &all_in_one);
        assert!(verdict.verified, "{verdict:?}");
        assert_eq!((verdict.score, verdict.rows), (1.0, 2));
        assert_eq!(verdict.components, [1e-6, 1e-6]);
        assert!((verdict.residual_norm_seen - 1e-6).abs() < 1e-20, "a row counts once");
        let even: Vec<Probed> = (0..1_000).map(|i| row(i, 1e-6 / 1_000f64.sqrt())).collect();
        assert!(Verdict::of(&CLAIM, &[even]).verified);
    }

    #[test]
    fn each_fault_is_named_and_takes_the_verdict_away() {
        let with = |probed: Probed| Verdict::of(&CLAIM, &[vec![row(1, 0.0), probed]]);
        let over = with(row(7, 1.1e-6));
        assert_eq!((over.verified, over.score), (false, 0.5));
        assert_eq!(
            over.faults,
            Faults { over_tolerance: 1, first_row: Some(7), ..Faults::default() }
        );
        let lost = with(Probed { is_tracked: false, ..row(8, 0.0) });
        assert_eq!(lost.faults, Faults { untracked: 1, first_row: Some(8), ..Faults::default() });
        let altered = with(Probed { is_intact: false, ..row(9, 0.0) });
        assert_eq!(altered.faults, Faults { altered: 1, first_row: Some(9), ..Faults::default() });
        let odd = with(row(2, f64::NAN));
        assert!(odd.faults.over_tolerance == 1 && odd.components[0].is_nan());
        for verdict in [over, lost, altered, odd] {
            assert!(!verdict.verified && verdict.is_suspicious(&CLAIM));
        }
        // Together too much, each of them not.
        let crowd: Vec<Probed> = (0..4).map(|i| row(i, 0.9e-6)).collect();
        let crowd = Verdict::of(&CLAIM, &[crowd]);
        assert!(!crowd.verified && crowd.score == 1.0 && crowd.is_suspicious(&CLAIM));
    }

    #[test]
    fn a_state_that_claims_nothing_is_neither_verified_nor_suspicious() {
        let claim = Claim { is_settled: false, ..CLAIM };
        let verdict = Verdict::of(&claim, &[vec![row(1, 5.0)]]);
        assert!(!verdict.verified && !verdict.is_suspicious(&claim));
        assert_eq!((verdict.score, verdict.faults), (0.0, Faults::default()));
        let altered = vec![Probed { is_intact: false, ..row(9, 0.0) }];
        assert!(Verdict::of(&claim, &[altered]).is_suspicious(&claim));
    }
}
