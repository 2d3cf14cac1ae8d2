//! Diagonal dominance of rows or columns ("lines"), decided exactly: where rounding could decide, the
//! sum is taken without rounding.
//!
//! Strict: every line has `|a_ii| > Σ_{j≠i} |a_ij|`. Irreducible: every line has `≥`, one has `>`, and
//! the graph is strongly connected (Taussky). Weakly chained: every line has `≥` and leads, along
//! nonzeros, to one with `>` (Shivakumar and Chew 1974; Azimzadeh, Math. Comp. 2019). Each of the three
//! makes `A` a nonsingular H-matrix.

use serde::Serialize;
use std::cmp::Ordering;

/// How dominant the diagonal is, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DominanceKind {
    Strict,
    Irreducible,
    WeaklyChained,
    Weak,
    None,
}

/// Dominance over all rows, or over all columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dominance {
    pub kind: DominanceKind,
    /// The same when gaps that rounding explains count as 0: what the matrix is meant to be, where its
    /// diagonal was summed in floating point. Proves nothing.
    pub kind_up_to_rounding: DominanceKind,
    /// Smallest `g_i = |a_ii| − Σ_{j≠i} |a_ij|`, rounded down. When positive and taken over rows, every
    /// `x` has `‖x* − x‖∞ ≤ max |r_i| / g_i ≤ ‖r‖∞ / gap_min` (Ahlberg and Nilson; Varah).
    pub gap_min: f64,
    /// The line of `gap_min`.
    pub gap_min_line: usize,
    /// Smallest `g_i / max(|a_ii|, Σ)`, between −1 and 1. When positive and taken over rows, one Jacobi
    /// iteration shrinks the error by the factor `1 − relative_gap_min` or more.
    pub relative_gap_min: f64,
    /// Lines with `g_i > 0`.
    pub strict_lines: usize,
    /// Lines with `g_i < 0`.
    pub violated_lines: usize,
    /// Of these, the lines that fall short by no more than rounding explains.
    pub rounding_lines: usize,
    /// The first that rounding does not explain; without one, the first that it does.
    pub first_violation: Option<Violation>,
}

/// A line whose diagonal is smaller than what else it holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Violation {
    pub line: usize,
    pub diagonal: f64,
    pub off_diagonal_sum: f64,
}

/// Dominance of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Strict,
    /// Strict, by no more than rounding explains.
    BarelyStrict,
    Equal,
    /// Violated, by no more than rounding explains.
    BarelyViolated,
    Violated,
}

impl Standing {
    pub fn is_strict(self) -> bool {
        matches!(self, Self::Strict | Self::BarelyStrict)
    }

    pub fn is_strict_beyond_rounding(self) -> bool {
        self == Self::Strict
    }
}

/// One line's diagonal and the sum of the absolute values beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineSum {
    pub diagonal: f64,
    pub off_diagonal: f64,
    /// Bounds `|computed − true|` of `|diagonal| − off_diagonal`; 0 when no operation rounded.
    pub rounding: f64,
    /// What rounding can make of a gap of 0, here or where the line was made.
    tolerance: f64,
}

impl LineSum {
    pub fn of(line: u32, indices: &[u32], values: &[f64]) -> Self {
        let (mut diagonal, mut sum, mut lost) = (0.0, 0.0, 0.0);
        for (&index, &value) in indices.iter().zip(values) {
            diagonal = if index == line { value } else { diagonal };
            lost += add_beside(&mut sum, index == line, value).abs();
        }
        Self::of_parts(diagonal, sum, lost == 0.0, indices.len())
    }

    /// From a sum that was taken elsewhere: `exact` if no addition rounded, of `entries` stored ones.
    pub fn of_parts(diagonal: f64, sum: f64, exact: bool, entries: usize) -> Self {
        let (_, error) = two_sum(f64::abs(diagonal), -sum);
        let terms = entries as f64 + 2.0;
        // Scaled before they are added: their sum may overflow where neither does.
        let unit = terms * f64::EPSILON;
        let tolerance = unit * f64::abs(diagonal) + unit * sum;
        let rounding = if exact && error == 0.0 { 0.0 } else { tolerance };
        Self { diagonal, off_diagonal: sum, rounding, tolerance }
    }

    /// `|a_ii| − Σ`, rounded; never NaN, finite also where the sum overflows.
    pub fn gap(&self) -> f64 {
        (self.diagonal.abs() - self.off_diagonal).max(-f64::MAX)
    }

    /// A lower bound of the gap.
    pub fn gap_proven(&self) -> f64 {
        (self.gap() - self.rounding).max(-f64::MAX)
    }

    /// The sign of the gap, exact. Asks for the values beside the diagonal only when rounding could have
    /// turned it.
    pub fn standing<B: Iterator<Item = f64> + Clone>(
        &self,
        beside: impl FnOnce() -> B,
    ) -> Standing {
        let sign = if self.off_diagonal.is_infinite() {
            Ordering::Less
        } else if self.gap().abs() > self.rounding || self.rounding == 0.0 {
            self.gap().total_cmp(&0.0)
        } else {
            let terms = beside().map(|value| -value.abs());
            sign_of_sum(std::iter::once(self.diagonal.abs()).chain(terms))
        };
        let barely = self.gap().abs() <= self.tolerance && self.off_diagonal.is_finite();
        match sign {
            Ordering::Greater if barely => Standing::BarelyStrict,
            Ordering::Greater => Standing::Strict,
            Ordering::Equal => Standing::Equal,
            Ordering::Less if barely => Standing::BarelyViolated,
            Ordering::Less => Standing::Violated,
        }
    }
}

/// Adds `|value|` to what stands beside a diagonal, unless it is the diagonal; returns what rounding
/// lost. Without a branch: in most systems nobody can predict where the diagonal comes.
#[inline(always)]
pub(crate) fn add_beside(sum: &mut f64, is_diagonal: bool, value: f64) -> f64 {
    let kept = u64::from(is_diagonal).wrapping_sub(1);
    let (total, lost) = two_sum(*sum, f64::from_bits(value.abs().to_bits() & kept));
    *sum = total;
    lost
}

/// `a + b` rounded, and what the rounding lost (Knuth).
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_share = sum - a;
    (sum, (a - (sum - b_share)) + (b - b_share))
}

/// The sign of the exact sum. Two parts hold most sums; where they do not, an expansion does.
fn sign_of_sum(terms: impl Iterator<Item = f64> + Clone) -> Ordering {
    let (mut sum, mut low, mut lost_below) = (0.0, 0.0, false);
    for term in terms.clone() {
        let (total, lost) = two_sum(sum, term);
        let (low_total, lost_low) = two_sum(low, lost);
        lost_below |= lost_low != 0.0;
        (sum, low) = (total, low_total);
    }
    match lost_below {
        // A sum of two numbers is rounded to 0 only if it is 0, and never across it.
        false => (sum + low).partial_cmp(&0.0).unwrap_or(Ordering::Equal),
        true => sign_of_expansion(terms),
    }
}

/// The sign of the exact sum: an expansion of non-overlapping parts (Shewchuk 1997) loses nothing.
fn sign_of_expansion(terms: impl Iterator<Item = f64>) -> Ordering {
    let mut parts: Vec<f64> = vec![];
    for term in terms {
        let mut carried = term;
        let mut kept = 0;
        for at in 0..parts.len() {
            let (sum, lost) = two_sum(carried, parts[at]);
            if lost != 0.0 {
                parts[kept] = lost;
                kept += 1;
            }
            carried = sum;
        }
        parts.truncate(kept);
        if carried != 0.0 {
            parts.push(carried);
        }
    }
    parts.last().map_or(Ordering::Equal, |largest| largest.total_cmp(&0.0))
}

/// What a pass counts about lines; merged in order.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    gap_min: f64,
    gap_min_line: usize,
    relative_gap_min: f64,
    lines: usize,
    strict: usize,
    barely_strict: usize,
    violated: usize,
    barely_violated: usize,
    first_violation: Option<Violation>,
    first_barely_violated: Option<Violation>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            gap_min: f64::INFINITY,
            gap_min_line: 0,
            relative_gap_min: f64::INFINITY,
            lines: 0,
            strict: 0,
            barely_strict: 0,
            violated: 0,
            barely_violated: 0,
            first_violation: None,
            first_barely_violated: None,
        }
    }
}

impl Tally {
    pub fn count(&mut self, line: usize, sum: &LineSum, standing: Standing) {
        let gap = match standing {
            // Rounded down, but not below what the exact sign says.
            Standing::Strict | Standing::BarelyStrict => sum.gap_proven().max(0.0),
            Standing::Equal => 0.0,
            Standing::BarelyViolated | Standing::Violated => sum.gap().min(-f64::MIN_POSITIVE),
        };
        self.lines += 1;
        if gap < self.gap_min {
            (self.gap_min, self.gap_min_line) = (gap, line);
        }
        let scale = sum.diagonal.abs().max(sum.off_diagonal);
        let relative = if scale > 0.0 { (gap / scale).clamp(-1.0, 1.0) } else { 0.0 };
        self.relative_gap_min = self.relative_gap_min.min(relative);
        let shortfall = || Violation {
            line,
            diagonal: sum.diagonal,
            off_diagonal_sum: sum.off_diagonal.min(f64::MAX),
        };
        match standing {
            Standing::Strict => self.strict += 1,
            Standing::BarelyStrict => self.barely_strict += 1,
            Standing::Equal => {}
            Standing::BarelyViolated => {
                self.barely_violated += 1;
                self.first_barely_violated.get_or_insert_with(shortfall);
            }
            Standing::Violated => {
                self.violated += 1;
                self.first_violation.get_or_insert_with(shortfall);
            }
        }
    }

    pub fn merge(&mut self, later: Self) {
        if later.gap_min < self.gap_min {
            (self.gap_min, self.gap_min_line) = (later.gap_min, later.gap_min_line);
        }
        self.relative_gap_min = self.relative_gap_min.min(later.relative_gap_min);
        self.lines += later.lines;
        self.strict += later.strict;
        self.barely_strict += later.barely_strict;
        self.violated += later.violated;
        self.barely_violated += later.barely_violated;
        self.first_violation = self.first_violation.or(later.first_violation);
        self.first_barely_violated = self.first_barely_violated.or(later.first_barely_violated);
    }

    /// `reach` is told which lines count as strict, and asked only where the sums do not decide.
    pub fn finish(&self, reach: impl Fn(fn(Standing) -> bool) -> Reach) -> Dominance {
        let strict = self.strict + self.barely_strict;
        let violated = self.violated + self.barely_violated;
        let kind = self.kind(strict, violated, || reach(Standing::is_strict));
        let kind_up_to_rounding = match self.barely_strict + self.barely_violated {
            0 => kind,
            _ => {
                self.kind(self.strict, self.violated, || reach(Standing::is_strict_beyond_rounding))
            }
        };
        Dominance {
            kind,
            kind_up_to_rounding,
            gap_min: self.gap_min,
            gap_min_line: self.gap_min_line,
            relative_gap_min: self.relative_gap_min,
            strict_lines: strict,
            violated_lines: violated,
            rounding_lines: self.barely_violated,
            first_violation: self.first_violation.or(self.first_barely_violated),
        }
    }

    fn kind(&self, strict: usize, violated: usize, reach: impl FnOnce() -> Reach) -> DominanceKind {
        if violated > 0 {
            return DominanceKind::None;
        }
        if strict == self.lines {
            return DominanceKind::Strict;
        }
        if strict == 0 {
            return DominanceKind::Weak;
        }
        match reach() {
            Reach::StronglyConnected => DominanceKind::Irreducible,
            Reach::AllLeadToStrict => DominanceKind::WeaklyChained,
            Reach::SomeLeadNowhere => DominanceKind::Weak,
        }
    }
}

/// Where the nonzeros of weakly dominant lines lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    StronglyConnected,
    AllLeadToStrict,
    SomeLeadNowhere,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standing_of(values: &[f64]) -> Standing {
        let indices: Vec<u32> = (0..values.len() as u32).collect();
        LineSum::of(0, &indices, values).standing(|| values[1..].iter().copied())
    }

    #[test]
    fn a_gap_below_rounding_is_decided_exactly() {
        // 0.1 + 0.2 + 0.3 rounds to 0.6000000000000001, above 0.6; the exact sum of the three stored
        // numbers lies below that and above the stored 0.6.
        assert_eq!(standing_of(&[0.6, -0.1, -0.2, -0.3]), Standing::BarelyViolated);
        assert_eq!(standing_of(&[0.6000000000000001, -0.1, -0.2, -0.3]), Standing::BarelyStrict);
        assert_eq!(
            standing_of(&[1.0 + f64::EPSILON, 1.0, f64::EPSILON / 4.0]),
            Standing::BarelyStrict
        );
        assert_eq!(standing_of(&[1.0, 1.0, 1e-300]), Standing::BarelyViolated);
        assert_eq!(standing_of(&[1.0, 1.0, 1e-10]), Standing::Violated);
        assert_eq!(standing_of(&[4.0, -1.0, -1.0, -1.0, -1.0]), Standing::Equal);
    }

    #[test]
    fn the_proven_gap_never_exceeds_the_gap() {
        let values = [1.0, 0.1, 0.2, 0.3];
        let sum = LineSum::of(0, &[0, 1, 2, 3], &values);
        assert!(sum.gap_proven() <= sum.gap() && sum.gap_proven() > 0.399_999);
    }

    #[test]
    fn a_violation_near_the_largest_number_is_not_taken_for_rounding() {
        assert_eq!(standing_of(&[0.8e308, 1.2e308]), Standing::Violated);
    }

    proptest! {
        #[test]
        fn two_parts_and_an_expansion_agree_on_every_sign(
            mantissas in proptest::collection::vec(-3i32..4, 1..9),
            shifts in proptest::collection::vec(0i32..118, 9),
        ) {
            let scaled = mantissas.iter().zip(&shifts);
            let mut terms: Vec<f64> =
                scaled.map(|(&mantissa, &shift)| f64::from(mantissa) * 2f64.powi(shift)).collect();
            // Taken away again in part, so that little is left.
            terms.extend(terms.clone().into_iter().skip(1).map(|term| -term));
            let sign = sign_of_sum(terms.iter().copied());
            prop_assert_eq!(sign, sign_of_expansion(terms.iter().copied()));
            let exact: i128 = terms.iter().map(|&term| term as i128).sum();
            prop_assert_eq!(sign, exact.cmp(&0));
        }
    }

    #[test]
    fn a_sum_that_overflows_is_no_dominance() {
        assert_eq!(standing_of(&[1.0, f64::MAX, f64::MAX]), Standing::Violated);
    }
}
