//! A solve that has gone astray: how far the tracked residual was off, and what is done about it.

use crate::solver::analysis::Definiteness;
use crate::solver::correction::{Corrected, Correction, DAMPING, Remedies};
use crate::solver::engine::Engine;
use crate::solver::engine::claims::FalseClaims;
use crate::solver::kernel;
use crate::solver::loss::Loss;
use crate::solver::memory_fault::{FaultPlace, MemoryFault};
use crate::solver::method::Method;
use crate::solver::method::hybrid::{self, Candidate};
use crate::solver::options::{MethodName, PreconditionerName, SolveOptions};
use crate::solver::outcome::{Outcome, StopReason};
use crate::solver::residual;

impl Engine {
    /// How far the residual norm that the method tracked was off when it was measured, beyond what rounding
    /// explains, in parts of what it was said to be: the most since the last call.
    pub fn take_gap(&mut self) -> f64 {
        std::mem::take(&mut self.gap)
    }

    /// The residual was `tracked` and is measured now. One pass more where they differ by more than a
    /// method loses on its way.
    pub(super) fn note_gap(&mut self, tracked: f64) {
        let iterations = self.iteration - self.measured_at + 1;
        let way = Loss { peak: std::mem::replace(&mut self.peak, self.iterate.norm), iterations };
        let scale = tracked.max(self.threshold());
        let limit = || residual::rounding_limit(&self.problem(), &self.iterate.x);
        let excess = way.excess((tracked, self.iterate.norm), scale, limit);
        self.gap = self.gap.max(excess / scale);
    }

    /// Whether a residual norm that grows means that the method goes astray: a relaxation of which it is
    /// not certain that it converges. The norms of Krylov methods may wander, and are watched for whether
    /// they arrive.
    pub fn is_judged_by_trend(&self) -> bool {
        self.outcome.is_none()
            && self.is_relaxing()
            && !hybrid::certain(&self.analysis, &self.candidate, &self.options)
    }

    fn is_relaxing(&self) -> bool {
        matches!(self.candidate.method, MethodName::Jacobi | MethodName::GaussSeidel)
    }

    /// Which corrections would change anything.
    pub fn remedies(&self) -> Remedies {
        let is_on = self.outcome.is_none();
        let divides = self.analysis.diagonal.first_zero.is_none();
        let iterates = self.candidate.method != MethodName::Direct;
        Remedies {
            damps: is_on && self.is_relaxing() && self.options.method != MethodName::Hybrid,
            preconditions: is_on
                && divides
                && iterates
                && self.candidate.preconditioner != PreconditionerName::Ilu,
            changes_method: is_on
                && (!self.candidates.is_empty() || self.options.method != MethodName::Hybrid),
        }
    }

    /// Brings the solve back, from the best `x` that is known. One product, set-ups left to the next
    /// steps. Does the next stronger thing where what is asked would change nothing.
    ///
    /// # Errors
    /// [`StopReason::Corrupted`] where rows are not what was accepted: there is one copy of them.
    pub fn correct(&mut self, correction: Correction) -> Result<Corrected, StopReason> {
        if let Some(reason) = self.corruption() {
            return Err(reason);
        }
        let remedies = self.remedies();
        let believed_norm = self.scaling.unscale_norm(self.iterate.norm);
        match correction {
            Correction::Damp if remedies.damps => self.options.damping *= DAMPING,
            Correction::Damp | Correction::Precondition if remedies.preconditions => {
                self.candidate = self.preconditioned();
                self.note_choice();
            }
            Correction::OtherMethod if remedies.changes_method => {
                self.seek_alternatives();
                if let Some(next) = self.next_candidate() {
                    self.candidate = next;
                    self.note_choice();
                }
            }
            Correction::Measure
            | Correction::Damp
            | Correction::Precondition
            | Correction::Restart
            | Correction::OtherMethod
            | Correction::Repair => {}
        }
        self.begin_anew(correction == Correction::Measure);
        Ok(Corrected {
            method: self.candidate.method,
            preconditioner: self.candidate.preconditioner,
            damping: self.is_relaxing().then(|| hybrid::damping(&self.options)),
            believed_norm,
            residual_norm: self.scaling.unscale_norm(self.iterate.norm),
            repaired_rows: 0,
        })
    }

    /// The method in force with ILU; in the place of a relaxation, which takes none, the Krylov method for
    /// its matrix.
    fn preconditioned(&self) -> Candidate {
        let is_definite = match self.analysis.definiteness {
            Definiteness::Positive => true,
            Definiteness::Unknown => self.analysis.diagonal.smallest > 0.0,
            Definiteness::NotSymmetric
            | Definiteness::Negative
            | Definiteness::RefutedByDiagonal { .. }
            | Definiteness::RefutedByMinor { .. } => false,
        };
        let method = match self.candidate.method {
            MethodName::Jacobi | MethodName::GaussSeidel if is_definite => MethodName::Cg,
            MethodName::Jacobi | MethodName::GaussSeidel => MethodName::Bicgstab,
            krylov => krylov,
        };
        let reason = "it went astray with less";
        let any = f64::INFINITY;
        hybrid::candidate(&self.analysis, method, PreconditionerName::Ilu, reason, any)
    }

    /// What stands behind the method in force; `hybrid`'s methods behind one that was asked for by name,
    /// which the solve then no longer keeps to.
    pub(super) fn seek_alternatives(&mut self) {
        if self.options.method == MethodName::Hybrid {
            return;
        }
        let options = SolveOptions {
            method: MethodName::Hybrid,
            preconditioner: None,
            ..self.options.clone()
        };
        if let Ok(found) = hybrid::candidates(&self.analysis, self.system.rows(), &options) {
            self.candidates = found.into();
            self.options = options;
        }
    }

    /// The candidate in force is another than it was.
    pub(super) fn note_choice(&mut self) {
        self.selection.method = self.candidate.method;
        self.selection.preconditioner = self.candidate.preconditioner;
        self.selection.reasons.insert(0, self.candidate.reason.clone());
    }

    /// Starts the method from the best `x` that is known, or from zero where that is worth more, with what
    /// it has set up or without.
    fn begin_anew(&mut self, keeps_set_up: bool) {
        self.announced = None;
        self.outcome = None;
        let (problem, method, iterate) = self.parts();
        method.settle(&problem, iterate);
        iterate.measure(&problem);
        self.restore_best();
        // Not so where it is no number.
        let is_worth_something = self.iterate.norm <= self.problem_norm();
        if !is_worth_something {
            self.iterate.x.fill(0.0);
            let (problem, _, iterate) = self.parts();
            iterate.measure(&problem);
        }
        if keeps_set_up {
            self.method.restart();
        } else {
            self.method = Method::of(&self.candidate, &self.options);
        }
        self.measured_at = self.iteration;
        self.measured_norm = self.iterate.norm;
        (self.gap, self.peak) = (0.0, self.iterate.norm);
        self.claims = FalseClaims::default();
        self.keep_best();
        self.begin_watch();
    }

    /// `‖b‖₂` in the engine's scale.
    fn problem_norm(&self) -> f64 {
        kernel::norm2(self.problem().rhs)
    }

    /// Rows that are not what the solve was opened with. O(nnz).
    pub fn corruption(&self) -> Option<StopReason> {
        let (rows, rhs) = (self.system.rows(), self.system.rhs());
        let mut altered = (0..rhs.len()).filter(|&row| !self.is_intact(row, rows, rhs[row]));
        let first_row = altered.next()?;
        Some(StopReason::Corrupted { rows: 1 + altered.count(), first_row })
    }

    /// What was called solved is not: its system was altered.
    pub fn revoke(&mut self, reason: StopReason) -> Outcome {
        let outcome = Outcome::Stopped(reason);
        self.outcome = Some(outcome.clone());
        outcome
    }

    /// Lets a number in memory become another one.
    pub fn suffer(&mut self, fault: MemoryFault) {
        let row = fault.row % self.system.order();
        match fault.place {
            FaultPlace::Solution => self.iterate.x[row] += fault.by,
            FaultPlace::Matrix | FaultPlace::Cost => self.system.suffer(fault.place, row, fault.by),
        }
    }
}
