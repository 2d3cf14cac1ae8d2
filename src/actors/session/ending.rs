//! Why a session ended, as its stream says it.

use crate::protocol::frame::EndReason;
use crate::solver::outcome::StopReason;

/// What a stop of the engine is called in the stream.
pub fn end_reason(stop: &StopReason) -> EndReason {
    match stop {
        StopReason::IterationLimit { .. } => EndReason::MaxIterations,
        StopReason::Breakdown { .. } => EndReason::Breakdown,
        StopReason::Indefinite { .. } => EndReason::Indefinite,
        StopReason::Diverged { .. } => EndReason::Diverged,
        StopReason::Stagnated { .. } => EndReason::Stagnated,
        StopReason::Singular { .. } => EndReason::Singular,
        StopReason::PrecisionLimit { .. } => EndReason::PrecisionLimit,
        StopReason::OutOfMemoryBudget { .. } => EndReason::MemoryBudget,
    }
}

/// Ends that a limit or a client brings about, in a sentence.
pub fn sentence(reason: EndReason) -> String {
    let text = match reason {
        EndReason::TimeBudget => "the time budget is spent",
        EndReason::Expired => "the session reached its longest duration",
        EndReason::Deleted => "the session was deleted",
        EndReason::ListenerGone => "nobody listens any more",
        EndReason::MemoryBudget => "the node has no memory left for what the solve needs",
        EndReason::Draining => "the node is shutting down",
        EndReason::InternalError => "a solver worker failed",
        EndReason::Converged
        | EndReason::MaxIterations
        | EndReason::Breakdown
        | EndReason::Indefinite
        | EndReason::Diverged
        | EndReason::Stagnated
        | EndReason::Singular
        | EndReason::PrecisionLimit => "the solve ended",
    };
    text.to_owned()
}
