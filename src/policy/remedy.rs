//! Says what a client can do when a solve stopped short.

use crate::solver::outcome::StopReason;

/// A way out for people, or `None` where the client set the limit that was reached.
pub fn way_out(reason: &StopReason) -> Option<&'static str> {
    match reason {
        StopReason::IterationLimit { .. } | StopReason::PrecisionLimit { .. } => None,
        StopReason::Indefinite { .. } => {
            Some("use method `hybrid` or `direct`, which do not need a positive definite matrix")
        }
        StopReason::Breakdown { .. } | StopReason::Stagnated { .. } => {
            Some("use method `hybrid`, which changes the method, or `direct`")
        }
        StopReason::Diverged { .. } => {
            Some("use method `hybrid` or `direct`; this method does not converge on this matrix")
        }
        StopReason::Singular { .. } => {
            Some("ground the system (fix one unknown of each component) or check for missing rows")
        }
        StopReason::OutOfMemoryBudget { .. } => {
            Some("use an iterative method such as `bicgstab` or `gmres`, or raise the memory limit")
        }
    }
}
