//! How a session's residual norm goes (plan 5.2, 5.3): a bounded history, its trend, and whether the norm
//! drifts away from where it was. What follows is decided by `correcting`.

use std::collections::VecDeque;

/// States that are remembered.
pub const HISTORY: usize = 1_000;

/// States that a trend is read from, at most.
const WINDOW: usize = 50;

/// A norm that changes by less than this part over the window stays where it is.
const FLAT: f64 = 0.01;

/// Weight of the newest norm in the smoothed one.
const EWMA_WEIGHT: f64 = 0.1;

/// The smoothed norm may be so much above its baseline, in parts of that.
pub const DRIFT_MIN: f64 = 0.1;

/// A state as it was announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    pub iteration: u64,
    /// `‖b − A x‖₂`, true.
    pub residual_norm: f64,
}

/// Where the norm goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    Falling,
    Flat,
    Rising,
}

impl Course {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Falling => "falling",
            Self::Flat => "flat",
            Self::Rising => "rising",
        }
    }
}

/// What the latest states have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    pub course: Course,
    /// The factor by which the norm changes from one state to the next, fitted to all of them.
    pub factor: f64,
    /// States that it is read from.
    pub states: usize,
}

/// The norms of the last [`HISTORY`] states.
#[derive(Debug, Clone, Default)]
pub struct ResidualHistory(VecDeque<Observation>);

impl ResidualHistory {
    pub fn push(&mut self, observation: Observation) {
        if self.0.len() == HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(observation);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Observation> {
        self.0.iter()
    }

    /// The trend of the last states, at most 50, by least squares of the norm's logarithm: relative, so
    /// that a small residual is judged as a large one. None before the third state, and for norms that
    /// have none.
    pub fn trend(&self) -> Option<Trend> {
        let states = self.0.len().min(WINDOW);
        if states < 3 {
            return None;
        }
        let mean_at = (states - 1) as f64 / 2.0;
        let logs = || self.0.iter().rev().take(states).rev().map(|it| it.residual_norm.ln());
        let mean: f64 = logs().sum::<f64>() / states as f64;
        let (mut along, mut square) = (0.0, 0.0);
        for (at, log) in logs().enumerate() {
            let from_middle = at as f64 - mean_at;
            along += from_middle * (log - mean);
            square += from_middle * from_middle;
        }
        let slope = along / square;
        let over_window = slope * (states - 1) as f64;
        let course = match () {
            () if !slope.is_finite() => return None,
            () if over_window < (1.0 - FLAT).ln() => Course::Falling,
            () if over_window > (1.0 + FLAT).ln() => Course::Rising,
            () => Course::Flat,
        };
        Some(Trend { course, factor: slope.exp(), states })
    }
}

/// The smoothed norm of one run of a method, beside the lowest it has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DriftWatch {
    /// Smoothed norm and baseline, once there was a state.
    level: Option<(f64, f64)>,
}

impl DriftWatch {
    /// Takes in the norm of a state; how far the smoothed norm is above its baseline, in parts of that.
    /// Both start at the first norm, and the baseline follows the smoothed norm down: a norm that falls
    /// is no drift.
    pub fn observe(&mut self, residual_norm: f64) -> f64 {
        let (smoothed, baseline) = self.level.unwrap_or((residual_norm, residual_norm));
        let smoothed = EWMA_WEIGHT * residual_norm + (1.0 - EWMA_WEIGHT) * smoothed;
        let baseline = baseline.min(smoothed);
        self.level = Some((smoothed, baseline));
        match () {
            () if smoothed <= baseline => 0.0,
            () if baseline > 0.0 => (smoothed - baseline) / baseline,
            () => f64::INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(norms: impl IntoIterator<Item = f64>) -> ResidualHistory {
        let mut history = ResidualHistory::default();
        for (iteration, residual_norm) in (0..).zip(norms) {
            history.push(Observation { iteration, residual_norm });
        }
        history
    }

    fn check(norms: impl IntoIterator<Item = f64>, course: Course, factor: f64) {
        let trend = history(norms).trend().unwrap();
        assert_eq!(trend.course, course);
        assert!((trend.factor - factor).abs() < 1e-9, "{trend:?}");
    }

    #[test]
    fn a_trend_is_relative_to_the_norm() {
        for size in [1e-300, 1e-9, 1.0, 1e200] {
            check((0..80).map(|k| size * 0.9_f64.powi(k)), Course::Falling, 0.9);
            check((0..80).map(|k| size * 1.1_f64.powi(k)), Course::Rising, 1.1);
            check((0..80).map(|_| size), Course::Flat, 1.0);
        }
        // What was before the window no longer counts.
        let turned = (0..200).map(|k| 0.5_f64.powi(k)).chain((0..50).map(|k| 1.5_f64.powi(k)));
        check(turned, Course::Rising, 1.5);
    }

    #[test]
    fn what_has_no_trend_is_given_none() {
        assert_eq!(history([1.0, 0.5]).trend(), None);
        assert_eq!(history([1.0, f64::NAN, 0.5, 0.2]).trend(), None);
        assert_eq!(history([1.0, 0.0, 0.0]).trend(), None);
    }

    #[test]
    fn only_the_last_thousand_states_are_kept() {
        let history = history((0..2_500).map(f64::from));
        assert_eq!(history.iter().count(), HISTORY);
        assert_eq!(history.iter().next().unwrap().iteration, 1_500);
    }

    fn drifts(norms: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut watch = DriftWatch::default();
        norms.into_iter().map(|norm| watch.observe(norm)).collect()
    }

    #[test]
    fn what_falls_or_stays_does_not_drift() {
        assert!(drifts((0..300).map(|k| 0.97_f64.powi(k))).iter().all(|drift| *drift == 0.0));
        assert!(drifts([7e-9; 300]).iter().all(|drift| *drift < 1e-12));
    }

    #[test]
    fn the_smoothed_norm_leaves_its_baseline_by_the_weights_of_what_came() {
        // 10 % over the baseline after the norm has doubled once, 19 % after twice as long.
        let found = drifts([1.0, 1.0, 2.0, 2.0, 2.0]);
        let expected = [0.0, 0.0, 0.1, 0.19, 0.271];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert!(drifts([1.0, f64::INFINITY])[1].is_infinite());
    }
}
