//! Says what a client can do when a solve stopped short.

use crate::solver::live::LiveStop;
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
        StopReason::Unsuited { .. } => Some(
            "use preconditioner `ilu`, or method `hybrid` without a preconditioner, or `direct`",
        ),
        StopReason::Corrupted { .. } => Some(
            "open the session again with the system as it should be, and check this machine's memory",
        ),
        StopReason::OutOfMemoryBudget { .. } => {
            Some("use an iterative method such as `bicgstab` or `gmres`, or raise the memory limit")
        }
    }
}

/// What can be done where no engine settles a changed system.
pub fn way_out_of_live_stop(stop: &LiveStop) -> String {
    let change = "change the system again: the session goes on, and tries anew with every change";
    match stop {
        LiveStop::Method(reason) => match way_out(reason) {
            Some(way_out) => format!("{change}; or {way_out}"),
            None => change.to_owned(),
        },
        LiveStop::Refused(_) | LiveStop::DominanceLost { .. } => {
            format!("{change}; or open a session with method `hybrid`, which changes its method")
        }
        LiveStop::NoLicence { .. }
        | LiveStop::Relaxation(_)
        | LiveStop::Path(_)
        | LiveStop::NoPath { .. }
        | LiveStop::SetUpLost { .. } => change.to_owned(),
    }
}
