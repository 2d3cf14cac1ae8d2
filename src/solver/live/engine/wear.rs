//! How fast a method converges, and when its preconditioner or factor has worn out under changes of
//! `A`. Never a matter of truth: residuals are measured; only of time.

use crate::solver::live::engine::flight::Landing;
use crate::solver::method::hybrid::Candidate;
use crate::solver::options::MethodName;
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
    /// Entries of `A` changed since the set-up.
    changed: u64,
    /// Since the snapshot that a set-up in the background works on.
    changed_since_snapshot: u64,
    /// Work of iterations that a fresh set-up would have saved, and what a set-up takes.
    wasted: u64,
    set_up: Work,
    set_up_begun: Work,
    step: Work,
}

/// Iterations of a flight before its pace is taken for what is to come; a factor shows its pace at once.
const PACE_MIN: u64 = 8;

impl Wear {
    /// After a solve that took so many iterations.
    pub fn after(candidate: &Candidate, iterations: u64, tolerance: f64) -> Self {
        let mut new = Self::unknown(candidate);
        if candidate.method != MethodName::Direct && iterations > 0 {
            new.fall = -tolerance.ln() / iterations as f64;
            // The set-up of the solve is fresh.
            new.fresh_fall = Some(new.fall);
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
            fresh_fall: (candidate.method == MethodName::Direct).then_some(fall),
            changed: 0,
            changed_since_snapshot: 0,
            wasted: 0,
            set_up: Work::default(),
            set_up_begun: Work::default(),
            step: Work::default(),
        }
    }

    pub fn entry_changed(&mut self) {
        self.changed += 1;
        self.changed_since_snapshot += 1;
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
        self.wasted = 0;
    }

    /// A snapshot was taken for a set-up in the background.
    pub fn snapshot_taken(&mut self) {
        self.changed_since_snapshot = 0;
    }

    /// The set-up of the snapshot is in force now.
    pub fn rebuilt_in_background(&mut self) {
        self.rebuilt();
        self.changed = self.changed_since_snapshot;
    }

    /// A renewal came to nothing: another has to pay for itself from now on.
    pub fn put_off(&mut self) {
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
        iterations(ratio, self.fall)
    }

    /// The same with a fresh set-up.
    pub fn fresh_iterations(&self, ratio: f64) -> u64 {
        iterations(ratio, self.fresh_fall.unwrap_or(self.fall))
    }

    /// What the last iteration took; nothing where none was made.
    pub fn step(&self) -> Work {
        self.step
    }

    /// What a set-up took when it was last made.
    pub fn set_up(&self) -> Work {
        self.set_up
    }

    /// Whether `A` has changed since the set-up at all.
    pub fn is_worn(&self) -> bool {
        self.changed > 0
    }

    /// Entries that a flight will have touched in vain when it arrives at its present pace: after
    /// `iterations` its residual has fallen by `e^fall`, and is `ratio` times what it is to be.
    pub fn foreseen_waste(
        &self,
        candidate: &Candidate,
        iterations: u64,
        fall: f64,
        ratio: f64,
    ) -> u64 {
        let is_seen =
            iterations >= PACE_MIN || candidate.method == MethodName::Direct && iterations > 0;
        let (true, true, Some(fresh)) = (is_seen, self.is_worn(), self.fresh_fall) else {
            return 0;
        };
        let left = ratio.max(1.0).ln();
        let pace = (fall / iterations as f64).max(1e-6);
        let needed = ((fall + left) / fresh).ceil().max(1.0);
        let excess = (iterations as f64 + left / pace - needed).clamp(0.0, 1e6);
        excess as u64 * self.step.nonzeros
    }

    /// Whether a fresh set-up, which would take `set_up`, pays: when the iterations that it would have
    /// saved, and those that it would save on the present flight (`foreseen`), cost as much as it does.
    pub fn is_out(&self, set_up: Work, foreseen: u64) -> bool {
        self.is_worn() && self.wasted + foreseen > set_up.nonzeros
    }
}

fn iterations(ratio: f64, fall: f64) -> u64 {
    let needed = ratio.max(1.0).ln() / fall;
    (needed.ceil() as u64).clamp(1, 1 << 20)
}
