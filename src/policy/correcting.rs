//! What is done about a session that drifts (plan 5.4): the detector recommends by how far it is off,
//! this decides by what would help, what was tried, and how often. One session's state each.

use std::time::Duration;

use crate::policy::residuals::DRIFT_MIN;
use crate::solver::correction::{Correction, Remedies};

/// Below these parts of drift it is damped, or begun with ILU; from the larger on it is begun anew.
const MINOR: f64 = 0.2;
const MODERATE: f64 = 0.5;

/// Corrections that may follow one another at once.
const BURST: f64 = 4.0;

/// Until one more may follow.
const REGAINED: Duration = Duration::from_secs(10);

/// Which drift there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftKind {
    /// The residual norm grows away from its baseline.
    Trend,
    /// The residual that is kept is not the true one.
    Gap,
    /// Rows that were looked at have another residual than the one kept.
    Untracked,
    /// Rows that were looked at do not hold what was accepted.
    Altered,
}

impl DriftKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trend => "residual_trend",
            Self::Gap => "residual_gap",
            Self::Untracked => "untracked_rows",
            Self::Altered => "altered_rows",
        }
    }
}

/// Why a session was corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Drift(DriftKind),
    Stagnation,
    Divergence,
}

impl Cause {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drift(kind) => kind.as_str(),
            Self::Stagnation => "stagnation",
            Self::Divergence => "divergence",
        }
    }
}

/// A drift that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    pub kind: DriftKind,
    /// In parts of what it should be; of rows that were altered, the part of those looked at.
    pub severity: f64,
}

impl Drift {
    /// Whether it is worth a correction.
    pub fn is_news(&self) -> bool {
        match self.kind {
            DriftKind::Trend | DriftKind::Gap => self.severity > DRIFT_MIN,
            DriftKind::Untracked | DriftKind::Altered => self.severity > 0.0,
        }
    }

    /// What its size asks for, before anything is known of the session.
    pub fn recommended(&self) -> Correction {
        match self.kind {
            DriftKind::Altered => Correction::Repair,
            DriftKind::Trend | DriftKind::Gap | DriftKind::Untracked => match () {
                () if self.severity < MINOR && self.kind == DriftKind::Trend => Correction::Damp,
                () if self.severity < MINOR => Correction::Measure,
                () if self.severity < MODERATE => Correction::Precondition,
                () => Correction::Restart,
            },
        }
    }
}

/// What was tried, and what may still be.
#[derive(Debug, Clone)]
pub struct Corrector {
    /// The strongest correction since the session was last solved.
    tried: Option<Correction>,
    /// Corrections that may be made at once, and as of when.
    left: f64,
    counted_at: Duration,
}

impl Default for Corrector {
    fn default() -> Self {
        Self { tried: None, left: BURST, counted_at: Duration::ZERO }
    }
}

impl Corrector {
    /// The session has come to a state that meets its tolerance: what was tried has helped.
    pub fn settled(&mut self) {
        self.tried = None;
    }

    /// What is done about a drift, `at` so long after the session's opening. None where too much was done
    /// lately. Where something was tried since the session was last solved, something stronger follows.
    pub fn decide(&mut self, drift: Drift, remedies: Remedies, at: Duration) -> Option<Correction> {
        let regained = at.saturating_sub(self.counted_at).as_secs_f64() / REGAINED.as_secs_f64();
        self.left = (self.left + regained).min(BURST);
        self.counted_at = self.counted_at.max(at);
        if self.left < 1.0 {
            return None;
        }
        self.left -= 1.0;
        let recommended = drift.recommended();
        if recommended == Correction::Repair {
            return Some(Correction::Repair);
        }
        let asked = self.tried.map(stronger).map_or(recommended, |next| next.max(recommended));
        let decided = available(asked, remedies);
        self.tried = Some(decided);
        Some(decided)
    }
}

/// What follows where a correction has not helped.
fn stronger(tried: Correction) -> Correction {
    match tried {
        Correction::Measure | Correction::Damp => Correction::Precondition,
        Correction::Precondition => Correction::Restart,
        Correction::Restart | Correction::OtherMethod | Correction::Repair => {
            Correction::OtherMethod
        }
    }
}

/// The mildest from `asked` on that changes anything.
fn available(asked: Correction, remedies: Remedies) -> Correction {
    match asked {
        Correction::Measure => Correction::Measure,
        Correction::Damp if remedies.damps => Correction::Damp,
        Correction::Damp | Correction::Precondition if remedies.preconditions => {
            Correction::Precondition
        }
        Correction::OtherMethod if remedies.changes_method => Correction::OtherMethod,
        Correction::Damp
        | Correction::Precondition
        | Correction::Restart
        | Correction::OtherMethod
        | Correction::Repair => Correction::Restart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Remedies = Remedies { damps: true, preconditions: true, changes_method: true };

    fn trend(severity: f64) -> Drift {
        Drift { kind: DriftKind::Trend, severity }
    }

    #[test]
    fn the_size_of_a_drift_decides_what_is_done() {
        let check = |kind, severity, expected| {
            let drift = Drift { kind, severity };
            assert_eq!(Corrector::default().decide(drift, ALL, Duration::ZERO), Some(expected));
        };
        check(DriftKind::Trend, 0.15, Correction::Damp);
        check(DriftKind::Gap, 0.15, Correction::Measure);
        for kind in [DriftKind::Trend, DriftKind::Gap, DriftKind::Untracked] {
            check(kind, 0.3, Correction::Precondition);
            check(kind, 0.5, Correction::Restart);
            check(kind, f64::INFINITY, Correction::Restart);
        }
        check(DriftKind::Altered, 0.001, Correction::Repair);
    }

    #[test]
    fn a_tenth_is_no_drift_and_a_row_that_was_altered_always_is() {
        assert!(!trend(0.1).is_news() && trend(0.11).is_news());
        assert!(!Drift { kind: DriftKind::Gap, severity: 0.1 }.is_news());
        assert!(Drift { kind: DriftKind::Altered, severity: 1e-6 }.is_news());
    }

    #[test]
    fn what_has_not_helped_is_followed_by_something_stronger() {
        let mut corrector = Corrector::default();
        let decide = |corrector: &mut Corrector| corrector.decide(trend(0.15), ALL, Duration::ZERO);
        assert_eq!(decide(&mut corrector), Some(Correction::Damp));
        assert_eq!(decide(&mut corrector), Some(Correction::Precondition));
        corrector.settled();
        assert_eq!(decide(&mut corrector), Some(Correction::Damp));
        let mut at_the_end = Corrector { tried: Some(Correction::Restart), ..Corrector::default() };
        assert_eq!(decide(&mut at_the_end), Some(Correction::OtherMethod));
    }

    #[test]
    fn what_would_change_nothing_is_passed_over() {
        let decide = |remedies, severity| {
            Corrector::default().decide(trend(severity), remedies, Duration::ZERO)
        };
        let krylov = Remedies { damps: false, ..ALL };
        assert_eq!(decide(krylov, 0.15), Some(Correction::Precondition));
        assert_eq!(decide(Remedies::default(), 0.15), Some(Correction::Restart));
    }

    #[test]
    fn a_storm_of_drifts_is_no_storm_of_corrections() {
        let mut corrector = Corrector::default();
        let mut made = 0;
        for second in 0..600 {
            let at = Duration::from_secs(second);
            for _ in 0..100 {
                made += usize::from(corrector.decide(trend(0.3), ALL, at).is_some());
            }
        }
        // Four at once, then one in ten seconds.
        assert_eq!(made, 4 + 59);
    }
}
