//! How a method, and with it perhaps the solve, ends: with the answer, with the next candidate of
//! `hybrid`, or with the reason why there is none.

use crate::solver::engine::Engine;
use crate::solver::engine::claims::FalseClaims;
use crate::solver::method::Method;
use crate::solver::method::hybrid::Candidate;
use crate::solver::options::MethodName;
use crate::solver::outcome::{MethodSwitch, Outcome, Step, StopReason};
use crate::solver::residual;

impl Engine {
    /// Ends a method that failed: with the answer, if it is one; with the next candidate of `hybrid`;
    /// or for good.
    pub(super) fn give_up(&mut self, reason: StopReason) -> Step {
        self.settle();
        self.restore_best();
        if self.iterate.norm <= self.threshold() {
            return self.finish_converged();
        }
        if let Some(limit) = self.precision_limit(&reason) {
            return self.stop(limit);
        }
        if self.candidate.method == MethodName::Direct {
            // No later factorisation would find anything else.
            self.candidates.retain(|next| next.method != MethodName::Direct);
            self.factorisation_failed = Some(reason.clone());
        }
        if let StopReason::Unsuited { preconditioner, .. } = &reason {
            self.candidates.retain(|next| next.preconditioner != *preconditioner);
        }
        match self.next_candidate() {
            Some(next) => self.switch(next, reason.to_string(), Some(reason)),
            None if self.may_leave_method(&reason) => {
                self.seek_alternatives();
                match self.next_candidate() {
                    Some(next) => self.switch(next, reason.to_string(), Some(reason)),
                    None => self.stop(reason),
                }
            }
            None => {
                let reason = self.factorisation_failed.take().unwrap_or(reason);
                self.stop(reason)
            }
        }
    }

    /// Whether a method that was asked for by name gives way to another one.
    fn may_leave_method(&self, reason: &StopReason) -> bool {
        let is_astray =
            matches!(reason, StopReason::Stagnated { .. } | StopReason::Diverged { .. });
        is_astray && self.options.auto_correction && self.options.method != MethodName::Hybrid
    }

    /// The next candidate that is not the one that failed.
    pub(super) fn next_candidate(&mut self) -> Option<Candidate> {
        let failed = (self.candidate.method, self.candidate.preconditioner);
        std::iter::from_fn(|| self.candidates.pop_front())
            .find(|next| (next.method, next.preconditioner) != failed)
    }

    /// Whether rounding explains why the residual does not fall.
    pub(super) fn precision_limit(&self, reason: &StopReason) -> Option<StopReason> {
        match reason {
            StopReason::Stagnated { .. }
            | StopReason::Breakdown { .. }
            | StopReason::Indefinite { .. }
            | StopReason::Diverged { .. } => {}
            StopReason::IterationLimit { .. }
            | StopReason::Singular { .. }
            | StopReason::PrecisionLimit { .. }
            | StopReason::Unsuited { .. }
            | StopReason::OutOfMemoryBudget { .. }
            | StopReason::Corrupted { .. } => return None,
        }
        let limit = residual::limit_reached(&self.problem(), &self.iterate)?;
        Some(StopReason::PrecisionLimit {
            residual_norm: self.scaling.unscale_norm(self.iterate.norm),
            rounding_limit: self.scaling.unscale_norm(limit),
        })
    }

    pub(super) fn switch(
        &mut self,
        next: Candidate,
        reason: String,
        cause: Option<StopReason>,
    ) -> Step {
        let from = self.candidate.method;
        self.method = Method::of(&next, &self.options);
        let to = next.method;
        self.candidate = next;
        self.note_choice();
        self.claims = FalseClaims::default();
        (self.gap, self.peak) = (0.0, self.iterate.norm);
        self.keep_best();
        self.begin_watch();
        Step::Switched(MethodSwitch { from, to, cause, reason })
    }

    /// Ends for a reason that no other method can mend. `x` becomes the best state.
    pub(super) fn stop(&mut self, reason: StopReason) -> Step {
        self.settle();
        self.restore_best();
        if self.iterate.norm <= self.threshold() {
            return self.finish_converged();
        }
        self.fit_to_range();
        let found = self.scaling.unscale_norm(self.iterate.norm);
        let reason = match reason {
            StopReason::IterationLimit { iterations_max, .. } => {
                StopReason::IterationLimit { iterations_max, residual_norm: found }
            }
            StopReason::PrecisionLimit { rounding_limit, .. } => {
                StopReason::PrecisionLimit { residual_norm: found, rounding_limit }
            }
            other @ (StopReason::Breakdown { .. }
            | StopReason::Indefinite { .. }
            | StopReason::Diverged { .. }
            | StopReason::Stagnated { .. }
            | StopReason::Singular { .. }
            | StopReason::Unsuited { .. }
            | StopReason::OutOfMemoryBudget { .. }
            | StopReason::Corrupted { .. }) => other,
        };
        self.finish(Outcome::Stopped(reason))
    }

    /// Claims the answer, if it is still one where the caller sees it: a scaled solution may lie outside
    /// the range of f64.
    pub(super) fn finish_converged(&mut self) -> Step {
        let overflowed = self.fit_to_range();
        let residual_norm = self.scaling.unscale_norm(self.iterate.norm);
        if overflowed {
            let evidence = "the solution exceeds the largest f64".to_owned();
            return self.finish(Outcome::Stopped(StopReason::Singular { evidence }));
        }
        if self.iterate.norm > self.threshold() {
            let rounding_limit = residual_norm;
            let reason = StopReason::PrecisionLimit { residual_norm, rounding_limit };
            return self.finish(Outcome::Stopped(reason));
        }
        self.finish(Outcome::Converged { residual_norm })
    }

    fn finish(&mut self, outcome: Outcome) -> Step {
        self.best = None;
        self.outcome = Some(outcome.clone());
        Step::Finished(outcome)
    }

    /// A reason found in the engine's scale, in the caller's.
    pub(super) fn in_callers_scale(&self, reason: StopReason) -> StopReason {
        let outward = |norm| self.scaling.unscale_norm(norm);
        match reason {
            StopReason::Diverged { method, iteration, from, to } => {
                StopReason::Diverged { method, iteration, from: outward(from), to: outward(to) }
            }
            StopReason::Stagnated { method, residual_norm, window, expected_fall_percent } => {
                let residual_norm = outward(residual_norm);
                StopReason::Stagnated { method, residual_norm, window, expected_fall_percent }
            }
            StopReason::PrecisionLimit { residual_norm, rounding_limit } => {
                StopReason::PrecisionLimit {
                    residual_norm: outward(residual_norm),
                    rounding_limit: outward(rounding_limit),
                }
            }
            other @ (StopReason::IterationLimit { .. }
            | StopReason::Breakdown { .. }
            | StopReason::Indefinite { .. }
            | StopReason::Singular { .. }
            | StopReason::Unsuited { .. }
            | StopReason::OutOfMemoryBudget { .. }
            | StopReason::Corrupted { .. }) => other,
        }
    }
}
