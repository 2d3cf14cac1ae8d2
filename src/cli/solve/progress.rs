//! A bar for a person at a terminal: how many of the decades between the first residual and the
//! tolerance are done. Nothing is drawn when standard error is piped.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::solve::drive::Watcher;
use crate::policy::convergence::{Convergence, Measured};
use crate::runtime::clock::{Clock, Moment};
use crate::solver::engine::Engine;
use crate::solver::outcome::{MethodSwitch, Preparation, Progress};

const TICKS: u64 = 1_000;
const REDRAW: Duration = Duration::from_millis(50);

/// Decades of residual between where a solve starts and where it has converged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decades {
    start: f64,
    target: f64,
}

impl Decades {
    pub fn new(residual_norm: f64, residual_threshold: f64) -> Self {
        Self { start: residual_norm.log10(), target: residual_threshold.log10() }
    }

    /// The share of the way that `residual_norm` has come, in [0, 1].
    pub fn share(&self, residual_norm: f64) -> f64 {
        if residual_norm.is_nan() {
            return 0.0;
        }
        // A residual that was below the tolerance from the start leaves no way to go.
        let share = (self.start - residual_norm.log10()) / (self.start - self.target);
        if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) }
    }
}

/// Draws at most twenty times a second.
pub struct ProgressDisplay {
    bar: ProgressBar,
    decades: Decades,
    convergence: Convergence,
    relative_to: f64,
    clock: Clock,
    drawn: Moment,
}

impl ProgressDisplay {
    /// On standard error if that is a terminal, otherwise invisible.
    pub fn start(engine: &mut Engine, clock: &Clock) -> Self {
        let residual_norm = engine.true_residual_norm();
        let threshold = engine.residual_threshold();
        let mut convergence = Convergence::new(threshold);
        convergence.observe(Measured::of(0, residual_norm));
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::with_draw_target(Some(TICKS), ProgressDrawTarget::stderr()),
            false => ProgressBar::hidden(),
        };
        bar.set_style(style());
        bar.set_message(format!("setting up {}", engine.selection().method));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar,
            decades: Decades::new(residual_norm, threshold),
            convergence,
            relative_to: engine.rhs_norm(),
            clock: clock.clone(),
            drawn: clock.now(),
        }
    }

    /// Removes the bar; the summary says what it said, and more.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

impl Watcher for ProgressDisplay {
    fn prepared(&mut self, preparation: &Preparation) {
        self.bar.set_message(preparation.description.clone());
    }

    fn iterated(&mut self, progress: Progress) {
        let now = self.clock.now();
        if self.bar.is_hidden() || now.since(self.drawn) < REDRAW {
            return;
        }
        self.drawn = now;
        let rate =
            self.convergence.observe(Measured::of(progress.iteration, progress.residual_norm)).rate;
        let rate = rate.map_or(String::new(), |rate| format!(", ×{rate:.3}"));
        let relative = progress.residual_norm / self.relative_to;
        self.bar.set_position((self.decades.share(progress.residual_norm) * TICKS as f64) as u64);
        self.bar.set_message(format!(
            "iteration {}, residual {relative:.1e}{rate}",
            progress.iteration
        ));
    }

    fn switched(&mut self, switch: &MethodSwitch) {
        self.bar.println(format!("{} → {}: {}", switch.from, switch.to, switch.reason));
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{elapsed:>4} [{bar:24.cyan/dim}] {percent:>3} % {wide_msg}")
        .expect("the template is well formed")
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_counts_decades_and_stays_within_its_ends() {
        let decades = Decades::new(1e2, 1e-6);
        for (residual_norm, share) in
            [(1e2, 0.0), (1e-2, 0.5), (1e-6, 1.0), (1e9, 0.0), (0.0, 1.0), (f64::NAN, 0.0)]
        {
            let found = decades.share(residual_norm);
            assert!((found - share).abs() < 1e-12, "{residual_norm:e}: {found}");
        }
    }

    #[test]
    fn a_solve_that_starts_at_its_goal_is_all_done() {
        assert_eq!(Decades::new(0.0, 0.0).share(0.0), 1.0);
    }
}
