//! Every message between actors, grouped by conversation, each headed by its route.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix::{Message, MessageResponse, Recipient};

use crate::actors::frame_channel::{FrameBatch, FrameSender};
use crate::actors::solve::{QuantumReport, Solve};
use crate::ids::{ProbeId, SessionId, SubscriptionId, SystemVersion, UpdateSource, WorkerId};
use crate::policy::admission::Overload;
use crate::policy::correcting::Drift;
use crate::policy::residuals::{Observation, ResidualHistory};
use crate::policy::scheduling::{Lane, Waiting};
use crate::policy::verification::{Claim, Verdict};
use crate::protocol::entries::EntriesOptions;
use crate::protocol::frame::{EndReason, Warning};
use crate::protocol::status::{NodeStatus, SessionStatus};
use crate::protocol::stream_options::StreamOptions;
use crate::runtime::clock::Moment;
use crate::runtime::event::ListenerLeft;
use crate::solver::correction::Correction;
use crate::solver::engine::Engine;
use crate::solver::live::{CostDelta, DeltaFault, SetUp, SetUpJob, StatedBound};
use crate::solver::proof::entry::EntryAnswer;

// ---- opening and finding sessions -------------------------------------------------------------

/// Node → SessionDirectory: start a session.
#[derive(Message)]
#[rtype(result = "Result<SessionId, OpenRefused>")]
pub struct OpenSession {
    pub engine: Box<Engine>,
    pub stream: StreamOptions,
    pub warnings: Vec<Warning>,
    /// Who listens from the first frame. A session opened without a listener runs to its end; one
    /// opened with a listener stops when the last one leaves.
    pub listener: Option<FrameSender>,
}

/// Why a session was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenRefused {
    #[error(transparent)]
    Overloaded(#[from] Overload),
    #[error("the node is shutting down")]
    Draining,
}

/// Node → SessionDirectory: how to reach a session, if there is one of this id.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Option<SessionHandle>")]
pub struct FindSession(pub SessionId);

/// Node → SessionDirectory: how to reach all sessions, oldest first.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<SessionHandle>")]
pub struct ListSessions;

/// Node → SessionDirectory: stop a session if it runs, and forget it.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "bool")]
pub struct DeleteSession(pub SessionId);

/// Node → SessionDirectory: what the node holds.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "NodeStatus")]
pub struct GetNodeStatus;

/// Node → SessionDirectory: take no more sessions, end those that run, answer when every stream has
/// got its end frame or the drain limit has passed.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Drain;

/// How to reach one session.
#[derive(Clone, MessageResponse)]
pub struct SessionHandle {
    pub session: SessionId,
    pub subscribe: Recipient<Subscribe>,
    pub status: Recipient<GetSessionStatus>,
    pub solution: Recipient<ReadSolution>,
    pub costs: Recipient<ApplyCosts>,
    pub entries: Recipient<AskEntries>,
    pub probes: Recipient<ProbeRows>,
    pub forget_residuals: Recipient<ForgetResiduals>,
    /// n.
    pub unknowns: usize,
    pub stop: Recipient<StopSession>,
}

/// SessionDirectory → the factory that `node` gave it: what a new session is made of.
pub struct SessionSeed {
    pub session: SessionId,
    pub engine: Box<Engine>,
    pub stream: StreamOptions,
    pub warnings: Vec<Warning>,
    pub listener: Option<FrameSender>,
}

// ---- a session and those who ask it -----------------------------------------------------------

/// Node → Session: one more listener. It gets the facts so far, then what follows.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    pub listener: FrameSender,
    pub include_solution: bool,
}

/// Node → Session.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "SessionStatus")]
pub struct GetSessionStatus;

/// Node → Session: the present `x`. While a quantum is out the answer waits for its return.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<SolutionState, SolutionUnavailable>")]
pub struct ReadSolution;

/// A state of `x` with the residual that was measured for it.
#[derive(Debug, Clone, PartialEq)]
pub struct SolutionState {
    pub system_version: SystemVersion,
    pub iteration: u64,
    /// `‖b − A x‖₂`, true.
    pub residual_norm: f64,
    pub relative_residual: f64,
    pub converged: bool,
    /// What is known of `x* − x` in a live session.
    pub error_bound: Option<StatedBound>,
    pub x: Arc<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SolutionUnavailable {
    #[error("the session is in a long set-up; its state can be read when that is done")]
    Preparing,
    #[error("{waiting} readers already wait for this session's state")]
    TooManyReaders { waiting: usize },
    #[error("the session ended before a state could be taken")]
    NeverReached,
}

/// Node → Session: work these changes in, in order, each of them as a whole or not at all. Answered when
/// all have been applied to the system, which is the sender's backpressure.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<CostVerdict>, CostsUnavailable>")]
pub struct ApplyCosts(pub Vec<SourcedDelta>);

/// A change of costs and who sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcedDelta {
    pub delta: CostDelta,
    /// Without one nothing tells a repetition from a second change.
    pub source: Option<UpdateSource>,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub enum CostVerdict {
    /// It counts from this version on.
    Accepted { system_version: SystemVersion },
    /// It was accepted before, and has counted since this version.
    Duplicate { system_version: SystemVersion },
    /// Nothing of it was applied.
    Refused(Vec<DeltaFault>),
    /// Its number is not above this one, up to which this session no longer knows what it has accepted.
    /// Nothing of it was applied.
    TooOld { forgotten_sequence: u64 },
}

/// Node → Session: some entries of the solution of the system as it is then, changes that were sent before
/// included. Answered by the next quantum that begins after those changes.
#[derive(Debug, Message)]
#[rtype(result = "Result<EntriesState, QuestionUnavailable>")]
pub struct AskEntries(pub EntriesQuestion);

/// What may be asked of a state.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    Entries(EntriesQuestion),
    Probes(Sample),
}

/// The answer to a [`Question`] of its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Entries(EntriesState),
    Probes(ProbedState),
}

/// Which entries, how close, and how dear they may be.
#[derive(Debug, Clone, PartialEq)]
pub struct EntriesQuestion {
    pub entries: Vec<usize>,
    pub options: EntriesOptions,
}

/// Entries of one state of a live session.
#[derive(Debug, Clone, PartialEq)]
pub struct EntriesState {
    pub system_version: SystemVersion,
    pub unknowns: usize,
    pub nonzeros: usize,
    /// Whether the kept `x` meets the session's tolerance.
    pub converged: bool,
    /// In the order in which they were asked for, each with the time it took.
    pub entries: Vec<(EntryAnswer, Duration)>,
    pub touched_entries: u64,
    pub took: Duration,
}

/// Verifier → Session: look at these rows afresh and judge the state by them, changes that were sent before
/// included. Answered by the next quantum that begins after those changes.
#[derive(Debug, Message)]
#[rtype(result = "Result<ProbedState, QuestionUnavailable>")]
pub struct ProbeRows(pub Sample);

/// Which rows are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    /// Distinct within each probe.
    Probes(Vec<Vec<u32>>),
    All,
}

/// What a look at some rows of a state came to.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbedState {
    pub system_version: SystemVersion,
    pub iteration: u64,
    pub claim: Claim,
    pub verdict: Verdict,
    /// Rows are not as they should be, and the session is going to mend that.
    pub is_being_corrected: bool,
    pub took: Duration,
}

/// Node → Verifier: check a session's state. Rows are drawn unless they are named; where what they show asks
/// for it, all of them are looked at.
#[derive(Message)]
#[rtype(result = "Result<Verification, QuestionUnavailable>")]
pub struct Verify {
    pub probes: Recipient<ProbeRows>,
    pub unknowns: usize,
    pub asked: Challenge,
}

/// How a state is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// So many probes of rows that the node draws.
    Random {
        probes: usize,
    },
    /// Rows that the asker has chosen, distinct.
    Rows(Vec<u32>),
    Exhaustive,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    pub probe_id: ProbeId,
    pub state: ProbedState,
    /// Whether the state was judged by all of its rows.
    pub looked_at_all: bool,
    /// It was because rows that were drawn or named asked for it.
    pub escalated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuestionUnavailable {
    /// It takes no changes either.
    #[error(transparent)]
    Session(#[from] CostsUnavailable),
    #[error("the session has {unknowns} unknowns")]
    OutOfRange { unknowns: usize },
    #[error("{waiting} questions already wait for this session")]
    TooManyWaiting { waiting: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CostsUnavailable {
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    #[error("the session was not opened with `live`")]
    NotLive,
    #[error("the session has ended")]
    Ended,
    #[error("{pending} edits already wait for this session, at most {pending_max} may")]
    TooManyPending { pending: usize, pending_max: usize },
    #[error("the node has stopped")]
    Stopped,
}

/// SessionDirectory → Session: end now. Answered when every listener has got its end frame or gone.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StopSession(pub EndReason);

/// Session → SessionDirectory: it has ended; its solution can be read until it is removed. While its
/// solve is still out, the memory of that counts; [`SessionGrew`] follows when it is back.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct SessionEnded {
    pub session: SessionId,
    pub memory_bytes: u64,
    /// Whether nothing of it is out any more.
    pub is_released: bool,
}

/// Session → SessionDirectory: it holds more or less memory than it did, or will as soon as its next
/// step begins. An ended session says it once, when what was out is back.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct SessionGrew {
    pub session: SessionId,
    pub memory_bytes: u64,
}

// ---- drift ------------------------------------------------------------------------------------

/// Session → DriftDetector: the states that it has announced, and how far the residual kept was off.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Observe {
    pub session: SessionId,
    pub states: Vec<Observation>,
    /// Whether a norm that grows means drift.
    pub judged_by_trend: bool,
    /// In parts of what it should be.
    pub gap: f64,
    /// Whether what came before says nothing of the method in force.
    pub is_new_run: bool,
    pub reply_to: Recipient<DriftFound>,
}

/// DriftDetector → Session: it drifts.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct DriftFound(pub Drift);

/// Node → DriftDetector: how the norm of a session has gone; empty for one that is not known.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "ResidualHistory")]
pub struct GetResiduals(pub SessionId);

/// SessionDirectory → DriftDetector: a session is no more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ForgetResiduals(pub SessionId);

// ---- solving ----------------------------------------------------------------------------------

/// Session → WorkQueue → SolverWorker: work on this solve for about `budget`, or one step if that is
/// longer. The solve travels; nothing of it stays behind.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RunQuantum {
    pub session: SessionId,
    pub solve: Box<Solve>,
    /// To be worked into the system first, in this order.
    pub changes: Vec<SourcedDelta>,
    /// To be answered then.
    pub questions: Vec<Question>,
    /// A set-up that has come home, to be taken over after the changes.
    pub set_up: Option<FinishedSetUp>,
    /// To be made after that.
    pub correction: Option<Correction>,
    pub lane: Lane,
    pub budget: Duration,
    /// Edits that wait for the session meanwhile.
    pub waiting_edits: Waiting,
    pub asked_at: Moment,
    /// Set by the session when it has ended: what was not begun yet need not be.
    pub unwanted: Arc<AtomicBool>,
    pub reply_to: Recipient<QuantumDone>,
}

/// SolverWorker → Session: the solve comes home, unless it failed on the way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct QuantumDone {
    pub returned: Result<(Box<Solve>, QuantumReport), WorkerFailure>,
}

/// A worker panicked; the solve is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFailure {
    pub message: String,
}

/// Session → WorkQueue → SolverWorker: make this set-up of a live session, whose solve stays at home and
/// goes on. Always of the heavy lane.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RunSetUp {
    pub session: SessionId,
    pub job: Box<SetUpJob>,
    pub asked_at: Moment,
    /// Set by the session when it has ended: what was not begun yet need not be.
    pub unwanted: Arc<AtomicBool>,
    pub reply_to: Recipient<SetUpDone>,
}

/// SolverWorker → Session: what came of a set-up; nothing of it is out any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetUpDone {
    /// None where nobody wanted it any more.
    pub finished: Option<FinishedSetUp>,
}

/// A set-up on its way home.
#[derive(Debug)]
pub struct FinishedSetUp {
    /// The job is lost where its worker panicked.
    pub made: Result<Box<SetUp>, WorkerFailure>,
    pub took: Duration,
}

/// SolverWorker → WorkQueue: ready for one unit of work of this lane.
#[derive(Message)]
#[rtype(result = "()")]
pub struct WorkerReady {
    pub worker: WorkerId,
    pub lane: Lane,
    pub run: Recipient<RunQuantum>,
    pub set_up: Recipient<RunSetUp>,
}

// ---- listening --------------------------------------------------------------------------------

/// Session → Subscription: frames for this listener, in order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Publish(pub FrameBatch);

/// Session → the factory that `node` gave it: what a new subscription is made of.
pub struct SubscriptionSeed {
    pub session: SessionId,
    pub subscription: SubscriptionId,
    pub listener: FrameSender,
    pub gone: Recipient<ListenerGone>,
}

/// Subscription → Session: this listener needs nothing more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ListenerGone {
    pub subscription: SubscriptionId,
    pub cause: ListenerLeft,
}
