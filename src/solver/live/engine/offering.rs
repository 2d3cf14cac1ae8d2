//! Who may work on a live system, and what that is foreseen to take. An engine whose set-up is made in the
//! background offers what it can do without it, or nothing.

use super::report::{EngineName, Offer};
use super::{LiveEngine, relaxation};
use crate::solver::options::MethodName;
use crate::solver::outcome::Work;

impl LiveEngine {
    /// Who may work now and what that is foreseen to take, in no order. Empty while the system is
    /// settled, but for what is worth setting up meanwhile, and where nothing can settle it.
    pub fn offers(&self) -> Vec<Offer> {
        let is_settled = self.is_settled();
        if is_settled && self.tolerance.norm() == 0.0 {
            return vec![];
        }
        EngineName::ALL.into_iter().filter_map(|engine| self.offer(engine, is_settled)).collect()
    }

    fn offer(&self, engine: EngineName, is_settled: bool) -> Option<Offer> {
        let offer = match engine {
            EngineName::Relaxation => self.offer_relaxation(is_settled)?,
            EngineName::Path => self.offer_path(is_settled)?,
            EngineName::Iteration => self.offer_iteration(is_settled)?,
        };
        (!is_settled || offer.set_up.nonzeros > 0).then_some(offer)
    }

    fn offer_relaxation(&self, is_settled: bool) -> Option<Offer> {
        if self.relaxation_failed || !self.relaxation_is_allowed() {
            return None;
        }
        let set_up = match self.proof.holds() {
            true => Work::default(),
            false if self.proof.is_worth_a_search() => {
                self.proof.search_work(self.live.matrix().stored_rows())
            }
            false => return None,
        };
        let (predicted, step) = match is_settled {
            true => Default::default(),
            false => (
                relaxation::predicted(&self.live, self.tolerance.row_threshold()),
                relaxation::step_work(&self.live, &self.tolerance),
            ),
        };
        Some(Offer {
            engine: EngineName::Relaxation,
            predicted,
            set_up,
            step,
            version: self.version,
        })
    }

    /// Methods that were asked for by name do all the work themselves, but those that relax.
    fn relaxation_is_allowed(&self) -> bool {
        match self.iteration.options().method {
            MethodName::Hybrid | MethodName::GaussSeidel => true,
            MethodName::Jacobi
            | MethodName::Cg
            | MethodName::Bicgstab
            | MethodName::Gmres
            | MethodName::Direct => false,
        }
    }

    fn offer_path(&self, is_settled: bool) -> Option<Offer> {
        let (predicted, set_up) = self.path.as_ref()?.predicted(&self.live)?;
        let predicted = if is_settled { Work::default() } else { predicted };
        Some(Offer {
            engine: EngineName::Path,
            predicted,
            set_up,
            step: predicted,
            version: self.version,
        })
    }

    fn offer_iteration(&self, is_settled: bool) -> Option<Offer> {
        if is_settled || self.iteration.stop().is_some() {
            return None;
        }
        let norm = self.residual_norm_about();
        let (predicted, mut set_up) =
            self.iteration.predicted(&self.live, self.standing.class(), norm, self.aim())?;
        if self.dominance_is_in_doubt() {
            if self.proof.is_out() {
                return None;
            }
            if self.proof.has_changed_since_search() {
                set_up = self.proof.search_work(self.live.matrix().stored_rows());
            }
        }
        let step = self.iteration.step_work(&self.live);
        Some(Offer {
            engine: EngineName::Iteration,
            predicted,
            set_up,
            step,
            version: self.version,
        })
    }

    /// `‖r‖₂` at about, from a few of the rows that are above their threshold.
    fn residual_norm_about(&self) -> f64 {
        let settled = self.tolerance.rows_norm(0.0);
        self.live.active_norm_about().max(settled).min(f64::MAX)
    }

    pub(super) fn is_settled_but_for_set_ups(&self, engine: EngineName) -> bool {
        let sets_up = match engine {
            EngineName::Relaxation => !self.proof.holds(),
            EngineName::Path => self.offer_path(true).is_some_and(|o| o.set_up.nonzeros > 0),
            EngineName::Iteration => false,
        };
        self.is_settled() && !sets_up
    }
}
