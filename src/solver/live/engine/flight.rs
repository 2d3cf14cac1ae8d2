//! One flight of a method: from the state that is kept to a better one, while changes go on. The method
//! works on the `b` and the `A` of its departure, so that changes on the way disturb no conjugacy; what
//! they leave is for the next flight.

use crate::solver::iterate::{Iterate, Problem};
use crate::solver::live::engine::departure::Departure;
use crate::solver::live::engine::iteration::Aim;
use crate::solver::live::engine::report::Settlement;
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::loss::Loss;
use crate::solver::method::Method;
use crate::solver::options::MethodName;
use crate::solver::outcome::{StopReason, Work};
use crate::solver::watch::{Outlook, Watch};

/// Iterations between two measurements on the way.
const MEASURE_INTERVAL: u64 = 50;

/// A method on its way. 24 bytes a row, and what [`Departure`] keeps of changes of `A`.
#[derive(Debug)]
pub(super) struct Flight {
    course: Course,
    departure: Departure,
    norm_at_departure: f64,
    /// The residual norm that was aimed at when it departed.
    target: f64,
    has_changed: bool,
}

/// What moves on a flight.
#[derive(Debug)]
pub(super) struct Course {
    pub iterate: Iterate,
    watch: Watch,
    iterations: u64,
    /// The largest tracked norm.
    peak: f64,
}

/// What a flight came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Landing {
    /// `‖b − A x‖₂` of what is kept now, measured.
    pub norm: f64,
    /// Of what was kept before, against the system as it is now.
    pub norm_before: f64,
    /// By how much the residual of the system of the departure fell, as the method tracked it.
    pub fall: f64,
    pub iterations: u64,
    /// Whether the system changed on the way.
    pub has_changed: bool,
    /// Whether the flight's `x` was taken over.
    pub is_better: bool,
    /// That the `x` taken over solves the system of the departure, where that is certain.
    pub settles: Option<Settlement>,
}

impl Landing {
    /// This landing after an earlier one of the same call: an `x` that is not taken over leaves the other.
    pub fn after(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) if !self.is_better => Self { norm: self.norm, ..earlier },
            Some(_) | None => self,
        }
    }
}

impl Flight {
    /// From `(x, r)` as kept. O(n).
    pub fn depart(live: &LiveSystem, aim: Aim, method: MethodName, patience: u64) -> Self {
        let (x, r) = (live.copy_x(), live.copy_residual());
        let norm = crate::solver::kernel::norm2(&r);
        // Kept residuals are true up to the rounding that their keeper accounts for.
        let iterate = Iterate { x, r, norm, is_true: true };
        let watch = Watch::new(method, patience, 0, norm);
        Self {
            course: Course { iterate, watch, iterations: 0, peak: norm },
            departure: Departure::of(live, aim.version, aim.threshold),
            norm_at_departure: norm,
            target: aim.target,
            has_changed: false,
        }
    }

    pub fn note_change(&mut self) {
        self.has_changed = true;
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        self.departure.entry_changed(change);
    }

    /// The residual norm at which it lands: small enough for the version of its departure, and for the
    /// present one where less has changed than that.
    pub fn target(&self, aim: Aim) -> f64 {
        self.target.min(aim.target)
    }

    /// `‖r‖₂` as tracked.
    pub fn norm(&self) -> f64 {
        self.course.iterate.norm
    }

    /// Iterations so far, and `ln` of what the residual has fallen by.
    pub fn progress(&self) -> (u64, f64) {
        (self.course.iterations, (self.norm_at_departure / self.course.iterate.norm).ln())
    }

    /// The system that it works on, and its way.
    pub fn parts(&mut self, live: &LiveSystem) -> (&Departure, &mut Course) {
        self.departure.follow(live);
        (&self.departure, &mut self.course)
    }

    /// Hands `x` over if its residual, measured against the system as it is now, is smaller than that
    /// of the `x` that is kept. One product, two if it is not; one pass over `A` more where the system
    /// has changed and `x` solves that of the departure.
    pub fn land(self, live: &mut LiveSystem) -> Landing {
        let norm_before = live.residual_norm();
        let Course { iterate, iterations, peak, .. } = self.course;
        let fall = self.norm_at_departure / iterate.norm;
        let mut landing = Landing {
            norm: norm_before,
            norm_before,
            fall,
            iterations,
            has_changed: self.has_changed,
            is_better: false,
            settles: None,
        };
        let kept = live.copy_x();
        if live.replace_x(&iterate.x).is_err() {
            return landing;
        }
        landing.norm = live.residual_norm();
        if !self.has_changed {
            live.note_landing(&iterate, Loss { peak, iterations });
        }
        landing.is_better = landing.norm < norm_before;
        if !landing.is_better {
            live.write_x(&kept);
            landing.norm = live.residual_norm();
        } else if self.has_changed {
            landing.settles = self.departure.settled_by(live);
        }
        landing
    }

    pub fn memory_bytes(&self) -> u64 {
        let Iterate { x, r, .. } = &self.course.iterate;
        8 * (x.len() + r.len()) as u64 + self.departure.memory_bytes()
    }
}

impl Course {
    /// Counts an iteration, measures now and then and watches the fall; returns the work of measuring.
    ///
    /// # Errors
    /// The method diverges or stagnates.
    pub fn after_iteration(
        &mut self,
        problem: &Problem,
        method: &mut Method,
        iterations_left: u64,
    ) -> Result<Work, StopReason> {
        self.iterations += 1;
        self.peak = self.peak.max(self.iterate.norm);
        let mut work = Work::default();
        let is_due = self.iterations.is_multiple_of(MEASURE_INTERVAL);
        if is_due && !self.iterate.is_true && !method.holds_back() {
            self.iterate.measure(problem);
            method.residual_replaced();
            work = problem.product_work();
        }
        let (iteration, threshold) = (self.iterations, problem.threshold);
        let outlook = Outlook { iteration, iterations_left, threshold };
        self.watch.observe(self.iterate.norm, outlook).map_or(Ok(work), Err)
    }
}
