//! How a flight ends: its `x` is taken over where it measures better, and a method that failed gives way
//! to a fresh set-up, to the next method, or to an end by type.

use super::{Aim, Iteration, problem};
use crate::solver::iterate::Problem;
use crate::solver::live::engine::flight::Landing;
use crate::solver::live::engine::report::{LiveEnd, LiveStop};
use crate::solver::live::engine::standing::Class;
use crate::solver::live::state::LiveSystem;
use crate::solver::options::MethodName;
use crate::solver::outcome::{StopReason, Work};

impl Iteration {
    /// Takes `x` over and measures it against the system as it is now.
    pub(super) fn arrive(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        work: &mut Work,
        landed: &mut Option<Landing>,
    ) -> Option<LiveEnd> {
        let landing = self.land(live, aim, work);
        *landed = Some(landing.after(*landed));
        if landing.norm <= aim.threshold {
            self.wear.arrived(&landing);
            self.iterations_since = 0;
            return Some(LiveEnd::Settled);
        }
        if landing.has_changed {
            // What came on the way is left: the next flight takes it up, when this one has been told of.
            self.wear.arrived(&landing);
            return landing.is_better.then_some(LiveEnd::Paused);
        }
        let reason = StopReason::Stagnated {
            method: self.candidate.method,
            residual_norm: landing.norm,
            window: landing.iterations,
            expected_fall_percent: 50,
        };
        match landing.norm <= 0.5 * landing.norm_before {
            true => None,
            false => self.give_up(live, aim, reason),
        }
    }

    pub(super) fn land(&mut self, live: &mut LiveSystem, aim: Aim, work: &mut Work) -> Landing {
        let mut flight = self.flight.take().expect("a flight that lands has departed");
        let limits = (&self.options, &self.unwanted);
        let (departure, course) = flight.parts(live);
        let problem = problem(live, departure.rhs(), aim.target, limits, self.iteration);
        let problem = Problem { corrections: departure.corrections(), ..problem };
        self.method.settle(&problem, &mut course.iterate);
        let product = problem.product_work() + problem.vector_work(4);
        self.method.restart();
        let landing = flight.land(live);
        *work += product;
        if !landing.is_better || landing.settles.is_some() {
            *work += product;
        }
        landing
    }

    /// A method failed: keep what it has reached, and find out who goes on.
    pub(super) fn fail(
        &mut self,
        live: &mut LiveSystem,
        aim: Aim,
        work: &mut Work,
        landed: &mut Option<Landing>,
        reason: StopReason,
    ) -> Option<LiveEnd> {
        let landing = self.land(live, aim, work);
        *landed = Some(landing.after(*landed));
        if landing.norm <= aim.threshold {
            self.iterations_since = 0;
            return Some(LiveEnd::Settled);
        }
        self.give_up(live, aim, reason)
    }

    /// A worn preconditioner is renewed, then `hybrid` goes on with the next method; a matrix that has
    /// changed since it was analysed gets another analysis.
    pub(super) fn give_up(
        &mut self,
        live: &LiveSystem,
        aim: Aim,
        reason: StopReason,
    ) -> Option<LiveEnd> {
        let is_limit = matches!(reason, StopReason::IterationLimit { .. });
        if !is_limit && self.wear.is_worn() {
            self.rebuild();
            return None;
        }
        let limit = self.precision_limit(live, aim);
        let may_go_on = !is_limit && limit.is_none() && self.options.method == MethodName::Hybrid;
        if may_go_on && let Some(next) = self.next_candidate() {
            self.take(next);
            return None;
        }
        if may_go_on && self.changed_since_analysis > 0 {
            self.class = Class::UNSUITED;
            return None;
        }
        // The next change starts from the first method again.
        self.class = Class::UNSUITED;
        let stop = LiveStop::Method(limit.unwrap_or(reason));
        self.stop = Some(stop.clone());
        Some(LiveEnd::Failed(stop))
    }

    /// Whether rounding explains why the state kept is not settled. One product.
    fn precision_limit(&self, live: &LiveSystem, aim: Aim) -> Option<StopReason> {
        let limits = (&self.options, &self.unwanted);
        let problem = problem(live, live.rhs(), aim.target, limits, self.iteration);
        let x = live.copy_x();
        let residual_norm = live.residual_norm();
        let rounding_limit = crate::solver::residual::rounding_limit(&problem, &x);
        let is_reached = residual_norm <= rounding_limit
            && rounding_limit <= crate::solver::kernel::norm2(live.rhs());
        is_reached.then_some(StopReason::PrecisionLimit { residual_norm, rounding_limit })
    }
}
