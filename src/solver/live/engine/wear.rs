//! How fast a method converges, and when its preconditioner or factor has worn out under changes of
//! `A`. Never a matter of truth: residuals are measured; only of time.

use crate::solver::live::engine::flight::Landing;
use crate::solver::live::state::EntryChange;
use crate::solver::method::hybrid::Candidate;
use crate::solver::options::{MethodName, PreconditionerName};
use crate::solver::outcome::Work;

/// Weight of the latest flight in what is expected of the next.
const LATEST: f64 = 0.3;

/// The speed of a method on a matrix under change.
#[derive(Debug, Clone)]
pub(super) struct Wear {
    /// `−ln` of the factor by which an iteration shrinks the residual, as seen lately and as seen with
    /// a fresh set-up.
    fall: f64,
    fresh_fall: Option<f64>,
    /// Entries, and diagonal entries, changed since the set-up.
    changed: u64,
    changed_diagonals: u64,
    /// Work of iterations that a fresh set-up would have saved, and what a set-up takes.
    wasted: u64,
    set_up: Work,
    set_up_begun: Work,
    step: Work,
}

/// A set-up that nobody has seen is taken for this many iterations.
const SET_UP_STEPS: u64 = 16;

impl Wear {
    /// After a solve that took so many iterations.
    pub fn after(candidate: &Candidate, iterations: u64, tolerance: f64) -> Self {
        let mut new = Self::unknown(candidate);
        if candidate.method != MethodName::Direct && iterations > 0 {
            new.fall = -tolerance.ln() / iterations as f64;
        }
        new
    }

    /// Of a method that has not run yet.
    pub fn unknown(candidate: &Candidate) -> Self {
        let fall = match candidate.method {
            MethodName::Direct | MethodName::Hybrid => 25.0,
            MethodName::Jacobi | MethodName::GaussSeidel => 0.2,
            MethodName::Cg | MethodName::Bicgstab | MethodName::Gmres => 0.5,
        };
        Self {
            fall,
            fresh_fall: None,
            changed: 0,
            changed_diagonals: 0,
            wasted: 0,
            set_up: Work::default(),
            set_up_begun: Work::default(),
            step: Work::default(),
        }
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        self.changed += 1;
        self.changed_diagonals += u64::from(change.row == change.col);
    }

    /// A part of a set-up was made.
    pub fn set_up_took(&mut self, work: Work) {
        self.set_up_begun += work;
    }

    pub fn iterated(&mut self, step: Work) {
        self.step = step;
    }

    pub fn rebuilt(&mut self) {
        self.fall = self.fresh_fall.unwrap_or(self.fall);
        self.changed = 0;
        self.changed_diagonals = 0;
        self.wasted = 0;
    }

    pub fn arrived(&mut self, landing: &Landing) {
        let begun = std::mem::take(&mut self.set_up_begun);
        self.set_up = if begun.nonzeros > 0 { begun } else { self.set_up };
        if landing.iterations == 0 || !(landing.fall > 1.0 && landing.fall.is_finite()) {
            return;
        }
        let fall = landing.fall.ln() / landing.iterations as f64;
        self.fall += LATEST * (fall - self.fall);
        match self.fresh_fall {
            _ if self.changed == 0 => self.fresh_fall = Some(self.fall),
            Some(fresh) => {
                let needed = (landing.fall.ln() / fresh).ceil() as u64;
                let excess = landing.iterations.saturating_sub(needed);
                self.wasted += excess * self.step.nonzeros;
            }
            None => self.fresh_fall = Some(self.fall),
        }
    }

    /// Iterations that shrink the residual by `ratio`, at least 1.
    pub fn iterations(&self, ratio: f64) -> u64 {
        let needed = ratio.max(1.0).ln() / self.fall;
        (needed.ceil() as u64).clamp(1, 1 << 20)
    }

    /// What a set-up took when it was last made.
    pub fn set_up(&self) -> Work {
        self.set_up
    }

    /// Whether `A` has changed since the set-up at all.
    pub fn is_worn(&self) -> bool {
        self.changed > 0
    }

    /// Whether a fresh set-up pays: at once where it is a pass over the diagonal, else when the
    /// iterations that it would have saved have cost as much as it does.
    pub fn is_out(&self, candidate: &Candidate) -> bool {
        let by_diagonal = self.changed_diagonals > 0;
        match (candidate.method, candidate.preconditioner) {
            (MethodName::Jacobi | MethodName::GaussSeidel, _) => by_diagonal,
            (_, PreconditionerName::Jacobi) => by_diagonal,
            (MethodName::Direct, _) => self.is_wasteful(),
            (_, PreconditionerName::None) => false,
            (_, _) => self.is_wasteful(),
        }
    }

    fn is_wasteful(&self) -> bool {
        let unseen = SET_UP_STEPS * self.step.nonzeros;
        let set_up = if self.set_up.nonzeros > 0 { self.set_up.nonzeros } else { unseen };
        self.changed > 0 && self.wasted > set_up
    }
}
