//! The closed set of problem types, with their titles, statuses and explanations. How one is written is
//! decided in `problem`.

use crate::solver::live::LiveStop;
use crate::solver::outcome::StopReason;

/// The kind of a problem: last segment of its `type`, title, status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    MalformedBody,
    InvalidRequest,
    InvalidSystem,
    UnsuitableMethod,
    InvalidQuery,
    UnknownSession,
    UnknownIndex,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    UnsupportedMediaType,
    BodyTooLarge,
    BodyTimeout,
    TooManySessions,
    Busy,
    Draining,
    ServerMemory,
    NoSolution,
    SolutionNotReady,
    InvalidCosts,
    StaleCosts,
    UpdateTooOld,
    NotLive,
    SessionEnded,
    TooManyChanges,
    ForeignOrigin,
    UnknownHost,
    Internal,
    // Why a solve stopped; these stand in streams.
    IterationLimit,
    Breakdown,
    Indefinite,
    Diverged,
    Stagnated,
    Singular,
    PrecisionLimit,
    UnsuitedPreconditioner,
    MemoryBudget,
    Corrupted,
}

impl ProblemKind {
    pub const ALL: [Self; 38] = [
        Self::MalformedBody,
        Self::InvalidRequest,
        Self::InvalidSystem,
        Self::UnsuitableMethod,
        Self::InvalidQuery,
        Self::UnknownSession,
        Self::UnknownIndex,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::TooManySessions,
        Self::Busy,
        Self::Draining,
        Self::ServerMemory,
        Self::NoSolution,
        Self::SolutionNotReady,
        Self::InvalidCosts,
        Self::StaleCosts,
        Self::UpdateTooOld,
        Self::NotLive,
        Self::SessionEnded,
        Self::TooManyChanges,
        Self::ForeignOrigin,
        Self::UnknownHost,
        Self::Internal,
        Self::IterationLimit,
        Self::Breakdown,
        Self::Indefinite,
        Self::Diverged,
        Self::Stagnated,
        Self::Singular,
        Self::PrecisionLimit,
        Self::UnsuitedPreconditioner,
        Self::MemoryBudget,
        Self::Corrupted,
    ];

    /// The kind of a solve that stopped without an answer. Its code is the reason of the stream's end,
    /// spelt as an address.
    pub fn of_stop(stop: &StopReason) -> Self {
        match stop {
            StopReason::IterationLimit { .. } => Self::IterationLimit,
            StopReason::Breakdown { .. } => Self::Breakdown,
            StopReason::Indefinite { .. } => Self::Indefinite,
            StopReason::Diverged { .. } => Self::Diverged,
            StopReason::Stagnated { .. } => Self::Stagnated,
            StopReason::Singular { .. } => Self::Singular,
            StopReason::PrecisionLimit { .. } => Self::PrecisionLimit,
            StopReason::Unsuited { .. } => Self::UnsuitedPreconditioner,
            StopReason::OutOfMemoryBudget { .. } => Self::MemoryBudget,
            StopReason::Corrupted { .. } => Self::Corrupted,
        }
    }

    /// The kind of a changed system that nothing solves before its next change.
    pub fn of_live_stop(stop: &LiveStop) -> Self {
        match stop {
            LiveStop::Method(stop) => Self::of_stop(stop),
            LiveStop::Refused(_)
            | LiveStop::DominanceLost { .. }
            | LiveStop::NoLicence { .. }
            | LiveStop::Relaxation(_)
            | LiveStop::Path(_)
            | LiveStop::NoPath { .. } => Self::UnsuitableMethod,
            LiveStop::SetUpLost { .. } => Self::Internal,
        }
    }

    /// The last segment of the problem's `type`.
    pub fn code(self) -> &'static str {
        self.facts().0
    }

    pub fn status(self) -> u16 {
        self.facts().1
    }

    pub fn title(self) -> &'static str {
        self.facts().2
    }

    /// What the problem means and what to do about it, for people.
    pub fn explanation(self) -> &'static str {
        self.facts().3
    }

    fn facts(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::MalformedBody => (
                "malformed-body",
                400,
                "The body could not be read",
                "The body is not JSON (RFC 8259), not UTF-8, not a Matrix Market file or not a form, \
                 as its content type says. The detail tells the line and column where reading stopped.",
            ),
            Self::InvalidRequest => (
                "invalid-request",
                422,
                "The request has members that cannot be used",
                "The body is JSON, but some members are missing, of the wrong type or out of range. \
                 `errors` names each by JSON pointer with what was expected and what was found.",
            ),
            Self::InvalidSystem => (
                "invalid-system",
                422,
                "The arrays are not a linear system",
                "The matrix arrays and the vector contradict each other or themselves: lengths, \
                 pointers, indices or values. `errors` names each fault by JSON pointer.",
            ),
            Self::UnsuitableMethod => (
                "unsuitable-method",
                422,
                "The method cannot work on this system",
                "The analysis of the matrix proves that the chosen method must fail, for example `cg` \
                 on a matrix that is not symmetric. `way_out` names one that works.",
            ),
            Self::InvalidQuery => (
                "invalid-query",
                400,
                "The query string cannot be used",
                "A parameter of the address is unknown or has a value that it cannot have.",
            ),
            Self::UnknownSession => (
                "unknown-session",
                404,
                "There is no such session",
                "No session has this id: it was never opened here, was deleted, or ended long enough \
                 ago to be forgotten.",
            ),
            Self::UnknownIndex => (
                "unknown-index",
                404,
                "The solution has no such entry",
                "An index was asked for that is not below the number of unknowns. Indices count from 0.",
            ),
            Self::NotFound => (
                "not-found",
                404,
                "There is nothing here",
                "The address names no resource of this server. The start page lists what there is.",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                405,
                "The resource does not take this HTTP method",
                "The header `Allow` lists the methods that it takes.",
            ),
            Self::NotAcceptable => (
                "not-acceptable",
                406,
                "No acceptable representation",
                "The header `Accept` excludes every representation that this resource has. `way_out` \
                 lists them.",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                415,
                "The body's type or encoding is not understood",
                "`way_out` lists the content types and encodings that this resource takes.",
            ),
            Self::BodyTooLarge => (
                "body-too-large",
                413,
                "The body is too large",
                "The body, or what it inflates to, is larger than this server takes. Send the matrix \
                 in a denser form, or ask the operator to raise the limit.",
            ),
            Self::BodyTimeout => (
                "body-timeout",
                408,
                "The body did not arrive in time",
                "The body stopped arriving. Send it again over a connection that keeps up.",
            ),
            Self::TooManySessions => (
                "too-many-sessions",
                429,
                "The limit of sessions is reached",
                "Wait for the time that `Retry-After` says, or end a session that is no longer needed.",
            ),
            Self::Busy => (
                "busy",
                503,
                "The server is reading as many systems as it can",
                "Too many large bodies are being read at once. Try again after `Retry-After`.",
            ),
            Self::Draining => (
                "draining",
                503,
                "The server is shutting down",
                "It finishes what it has and takes nothing new. Try another node.",
            ),
            Self::ServerMemory => (
                "server-memory",
                503,
                "The server's memory for sessions is used up",
                "Wait for other sessions to end, or send a smaller system.",
            ),
            Self::NoSolution => (
                "no-solution",
                404,
                "The session has no solution",
                "The session ended before it reached any state that could be announced.",
            ),
            Self::SolutionNotReady => (
                "solution-not-ready",
                503,
                "The solution cannot be read just now",
                "The session is in the middle of a long step. Ask again after `Retry-After`.",
            ),
            Self::InvalidCosts => (
                "invalid-costs",
                422,
                "The update cannot be made to this system",
                "Edits of the update lie outside the system, or would make a value that no 64-bit float \
                 can hold. Nothing of the update was applied. `errors` names each edit by JSON pointer.",
            ),
            Self::StaleCosts => (
                "stale-costs",
                409,
                "Values have changed since the sender last knew them",
                "An `old_value` differs from the value held, so the sender has missed a change. Nothing of \
                 the update was applied. `errors` names each edit, with the value that is `held`.",
            ),
            Self::UpdateTooOld => (
                "update-too-old",
                409,
                "The update is too old to tell whether it was accepted",
                "A session remembers the latest updates of each sender, so that one sent twice counts once. \
                 This one is older than those. Nothing of it was applied. If it never was accepted, send \
                 it under a new number.",
            ),
            Self::NotLive => (
                "not-live",
                409,
                "The session is not live",
                "Only a session that was opened with the option `live` (or `swarm_enabled`) stays to have \
                 its costs changed and to be asked for single entries. Open one, and send the changes \
                 there.",
            ),
            Self::SessionEnded => (
                "session-ended",
                409,
                "The session has ended",
                "The session was live and is no more: it was stopped, failed or ran out of time. Its end \
                 frame and `GET /api/v1/status/{id}` say why.",
            ),
            Self::TooManyChanges => (
                "too-many-changes",
                429,
                "Too many changes wait for this session",
                "The senders of changes are faster than the session works them in. Nothing was applied. \
                 Try again after `Retry-After`, or send a stream of lines, which waits for its turn.",
            ),
            Self::ForeignOrigin => (
                "foreign-origin",
                403,
                "Pages of this origin may not change anything here",
                "The request was sent by a web page of another site. The operator can allow origins.",
            ),
            Self::UnknownHost => (
                "unknown-host",
                421,
                "The server does not answer to this name",
                "A server on loopback answers to `localhost`, 127.0.0.1 and [::1] only, so that a web \
                 page whose name was pointed at this machine cannot use it. The operator can add names \
                 with `--allow-host`, for example those under which a proxy reaches the server.",
            ),
            Self::Internal => (
                "internal-error",
                500,
                "A defect of the server",
                "Something failed that should not. Please report what you sent.",
            ),
            Self::IterationLimit => (
                "max-iterations",
                422,
                "The solve reached its limit of iterations",
                "The residual was still above the tolerance after `max_iterations`. If it was falling, \
                 raise the limit; if not, choose another method or preconditioner.",
            ),
            Self::Breakdown => (
                "breakdown",
                422,
                "The method broke down",
                "A quantity by which the method divides vanished, which can happen to `bicgstab` on \
                 any matrix. `gmres` and `direct` do not divide by it.",
            ),
            Self::Indefinite => (
                "indefinite",
                422,
                "The matrix is not positive definite",
                "`cg` and its preconditioners need xᵀ A x > 0 for every x, and the iteration found an \
                 x for which it is not. `gmres`, `bicgstab` and `direct` do without.",
            ),
            Self::Diverged => (
                "diverged",
                422,
                "The iteration diverges",
                "The residual grew instead of falling. `jacobi` and `gauss_seidel` converge for \
                 certain where the diagonal dominates; elsewhere use another method.",
            ),
            Self::Stagnated => (
                "stagnated",
                422,
                "The iteration makes no progress",
                "The residual hardly fell over many iterations. Another preconditioner, a longer \
                 `restart` of `gmres`, or `direct` may bring it down.",
            ),
            Self::Singular => (
                "singular",
                422,
                "The matrix is numerically singular",
                "Some combination of its rows is zero, or too close to zero for the tolerance: there \
                 is no solution, or no single one. Check the model that the matrix comes from.",
            ),
            Self::PrecisionLimit => (
                "precision-limit",
                422,
                "The tolerance is below what rounding allows",
                "`x` is as good as 64-bit floats make it, yet its residual is above the tolerance. \
                 Take it as it is, raise the tolerance, or scale the system.",
            ),
            Self::UnsuitedPreconditioner => (
                "unsuited-preconditioner",
                422,
                "The preconditioner does not suit the matrix",
                "Multigrid (`amg`) needs a positive diagonal and entries beside it that are mostly \
                 negative, as heat, resistors and networks have them. `ilu` asks for less, `hybrid` \
                 chooses by itself.",
            ),
            Self::MemoryBudget => (
                "memory-budget",
                422,
                "The solve would need more memory than it may have",
                "The factors or the basis of the method would exceed `memory_bytes_max`, or what the \
                 server has left. An iterative method with a weaker preconditioner needs less.",
            ),
            Self::Corrupted => (
                "corrupted",
                500,
                "The session's system is no longer what was accepted",
                "Numbers in the server's memory became others, as a failing module or a defect makes them, \
                 and no second copy of them was at hand. What the session had announced before was \
                 checked; nothing was announced since. Open the session again, and have the memory of \
                 that machine looked at.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::protocol::frame::EndReason;
    use crate::solver::options::{MethodName, PreconditionerName};

    #[test]
    fn codes_differ_and_statuses_are_errors() {
        let codes: BTreeSet<_> = ProblemKind::ALL.into_iter().map(ProblemKind::code).collect();
        assert_eq!(codes.len(), ProblemKind::ALL.len());
        assert!(ProblemKind::ALL.into_iter().all(|kind| (400..600).contains(&kind.status())));
    }

    #[test]
    fn every_reason_to_stop_has_an_explanation_under_its_own_name() {
        let (method, iteration, evidence) = (MethodName::Cg, 1, String::new());
        let stops = [
            StopReason::IterationLimit { iterations_max: 1, residual_norm: 1.0 },
            StopReason::Breakdown { method, iteration, quantity: "" },
            StopReason::Indefinite { method, iteration, evidence: evidence.clone() },
            StopReason::Diverged { method, iteration, from: 1.0, to: 2.0 },
            StopReason::Stagnated {
                method,
                residual_norm: 1.0,
                window: 1,
                expected_fall_percent: 1,
            },
            StopReason::Singular { evidence },
            StopReason::PrecisionLimit { residual_norm: 1.0, rounding_limit: 1.0 },
            StopReason::Unsuited {
                preconditioner: PreconditionerName::Amg,
                evidence: String::new(),
            },
            StopReason::OutOfMemoryBudget { needed_bytes: 2, limit_bytes: 1 },
            StopReason::Corrupted { rows: 1, first_row: 0 },
        ];
        for stop in stops {
            let kind = ProblemKind::of_stop(&stop);
            assert_eq!(kind.code(), stop.code().replace('_', "-"));
            assert!(ProblemKind::ALL.contains(&kind), "{kind:?} is explained");
        }
        let internal = EndReason::InternalError.as_str().replace('_', "-");
        assert_eq!(ProblemKind::Internal.code(), internal);
    }

    #[test]
    fn codes_are_spelt_as_addresses() {
        for kind in ProblemKind::ALL {
            assert!(kind.code().bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()));
        }
    }
}
