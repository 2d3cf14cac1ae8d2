//! One flight of a method: from the state that is kept to a better one, while changes go on. The method
//! works on the `b` of its departure, so that changes on the way disturb no conjugacy; what they leave
//! is for the next flight.

use crate::solver::iterate::{Iterate, Problem};
use crate::solver::live::state::LiveSystem;
use crate::solver::method::Method;
use crate::solver::options::MethodName;
use crate::solver::outcome::{StopReason, Work};
use crate::solver::watch::{Outlook, Watch};

/// Iterations between two measurements on the way.
const MEASURE_INTERVAL: u64 = 50;

/// A method on its way. 24 bytes a row.
#[derive(Debug)]
pub(super) struct Flight {
    course: Course,
    /// `b` as it was at departure.
    rhs: Vec<f64>,
    norm_at_departure: f64,
    has_changed: bool,
}

/// What moves on a flight.
#[derive(Debug)]
pub(super) struct Course {
    pub iterate: Iterate,
    watch: Watch,
    iterations: u64,
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
}

impl Flight {
    /// From `(x, r)` as kept. O(n).
    pub fn depart(live: &LiveSystem, method: MethodName, patience: u64) -> Self {
        let (x, r) = (live.copy_x(), live.copy_residual());
        let norm = crate::solver::kernel::norm2(&r);
        // Kept residuals are true up to the rounding that their keeper accounts for.
        let iterate = Iterate { x, r, norm, is_true: true };
        let watch = Watch::new(method, patience, 0, norm);
        Self {
            course: Course { iterate, watch, iterations: 0 },
            rhs: live.rhs().to_vec(),
            norm_at_departure: norm,
            has_changed: false,
        }
    }

    pub fn note_change(&mut self) {
        self.has_changed = true;
    }

    /// `‖r‖₂` as tracked.
    pub fn norm(&self) -> f64 {
        self.course.iterate.norm
    }

    /// Iterations so far, and `ln` of what the residual has fallen by.
    pub fn progress(&self) -> (u64, f64) {
        (self.course.iterations, (self.norm_at_departure / self.course.iterate.norm).ln())
    }

    pub fn parts(&mut self) -> (&[f64], &mut Course) {
        (&self.rhs, &mut self.course)
    }

    /// Hands `x` over if its residual, measured against the system as it is now, is smaller than that
    /// of the `x` that is kept. One product, two if it is not.
    pub fn land(self, live: &mut LiveSystem) -> Landing {
        let norm_before = live.residual_norm();
        let Course { iterate, iterations, .. } = self.course;
        let fall = self.norm_at_departure / iterate.norm;
        let mut landing = Landing {
            norm: norm_before,
            norm_before,
            fall,
            iterations,
            has_changed: self.has_changed,
            is_better: false,
        };
        let kept = live.copy_x();
        if live.replace_x(&iterate.x).is_err() {
            return landing;
        }
        landing.norm = live.residual_norm();
        landing.is_better = landing.norm < norm_before;
        if !landing.is_better {
            live.write_x(&kept);
            landing.norm = live.residual_norm();
        }
        landing
    }

    pub fn memory_bytes(&self) -> u64 {
        let Iterate { x, r, .. } = &self.course.iterate;
        8 * (x.len() + r.len() + self.rhs.len()) as u64
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
