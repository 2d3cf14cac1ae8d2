//! A node: who is connected to whom, on which thread. The only place that knows all actors. A server
//! and a simulated world start the same node with a different environment and placement.

use std::sync::Arc;

use actix::{Actor, Addr, Arbiter, ArbiterHandle, MailboxError};
use futures_util::future::join_all;

use crate::actors::drift_detector::DriftDetector;
use crate::actors::frame_channel::{FrameReceiver, frame_channel};
use crate::actors::messages::{
    ApplyCosts, AskEntries, Challenge, CostVerdict, CostsUnavailable, DeleteSession, Drain,
    EntriesQuestion, EntriesState, FindSession, GetNodeStatus, GetResiduals, GetSessionStatus,
    ListSessions, OpenRefused, OpenSession, QuestionUnavailable, ReadSolution, SessionHandle,
    SessionSeed, SolutionState, SolutionUnavailable, SourcedDelta, Subscribe, SubscriptionSeed,
    Verification, Verify,
};
use crate::actors::recorder::{Totals, recorder};
use crate::actors::session::{Session, SessionLinks};
use crate::actors::session_directory::SessionDirectory;
use crate::actors::solver_worker::SolverWorker;
use crate::actors::subscription::Subscription;
use crate::actors::verifier::Verifier;
use crate::actors::work_queue::WorkQueue;
use crate::ids::{NodeId, SessionId, WorkerId};
use crate::policy::residuals::ResidualHistory;
use crate::policy::scheduling::{Lane, Waiting};
use crate::protocol::frame::Warning;
use crate::protocol::status::{NodeStatus, SessionStatus};
use crate::protocol::stream_options::StreamOptions;
use crate::runtime::clock::Clock;
use crate::runtime::config::NodeConfig;
use crate::runtime::entropy::Entropy;
use crate::runtime::environment::Environment;
use crate::runtime::recorder::Recorder;
use crate::runtime::stopwatch::WorkCost;
use crate::solver::engine::Engine;

/// Where actors run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Sessions and workers on threads of their own.
    Threads,
    /// Everything on the thread that starts the node, as virtual time needs it.
    OneThread,
}

impl Placement {
    fn arbiter(self) -> ArbiterHandle {
        match self {
            Self::Threads => Arbiter::new().handle(),
            Self::OneThread => Arbiter::current(),
        }
    }
}

/// A session to be opened.
pub struct NewSession {
    pub engine: Box<Engine>,
    pub stream: StreamOptions,
    pub warnings: Vec<Warning>,
    /// Whether the caller listens from the first frame.
    pub listen: bool,
}

/// A session that was opened.
#[derive(Debug)]
pub struct Opened {
    pub session: SessionId,
    pub frames: Option<FrameReceiver>,
}

/// Why a node did not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Refused(#[from] OpenRefused),
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    #[error(transparent)]
    SolutionUnavailable(#[from] SolutionUnavailable),
    #[error("the node has stopped")]
    Stopped,
}

impl From<MailboxError> for NodeError {
    fn from(_: MailboxError) -> Self {
        Self::Stopped
    }
}

/// A handle to a running node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    directory: Addr<SessionDirectory>,
    verifier: Addr<Verifier>,
    detector: Addr<DriftDetector>,
    totals: Option<Arc<Totals>>,
}

impl Node {
    /// Starts the actors of a node. To be called inside a running actix system.
    pub fn start(config: &NodeConfig, environment: Environment, placement: Placement) -> Self {
        let queue = WorkQueue::default();
        let short = (0..config.workers).map(|_| (Lane::Short, queue.length(Lane::Short)));
        let heavy = (0..config.heavy_workers).map(|_| (Lane::Heavy, queue.length(Lane::Heavy)));
        let workers: Vec<(Lane, Waiting)> = short.chain(heavy).collect();
        let threads: Vec<ArbiterHandle> =
            (0..config.session_threads.max(1)).map(|_| placement.arbiter()).collect();
        // Beside all sessions it needs no thread: what they ask of it need not wake one.
        let thread = match threads.as_slice() {
            [thread] => thread.clone(),
            _ => placement.arbiter(),
        };
        let queue = WorkQueue::start_in_arbiter(&thread, |_| queue);
        for (number, lane) in (0..).zip(workers) {
            let ready = queue.clone().recipient();
            let worker = SolverWorker::new(WorkerId(number), lane, environment.clone(), ready);
            SolverWorker::start_in_arbiter(&placement.arbiter(), |_| worker);
        }
        let verifier = Verifier::new(&environment);
        let verifier = Verifier::start_in_arbiter(&thread, |_| verifier);
        let detector = DriftDetector::start_in_arbiter(&thread, |_| DriftDetector::default());
        let (config, checks, drifts) = (config.clone(), verifier.clone(), detector.clone());
        let directory = SessionDirectory::create(|ctx| {
            let directory = actix::AsyncContext::address(ctx);
            let around = Around { threads, queue, directory, verifier: checks, detector: drifts };
            let start_session = session_factory(config.clone(), environment.clone(), around);
            SessionDirectory::new(environment, &config, Box::new(start_session))
        });
        Self { directory, verifier, detector, totals: None }
    }

    /// Starts a node on the real clock, with chance from the operating system and a recorder that
    /// counts and logs. To be called inside a running actix system.
    pub fn launch(config: &NodeConfig, node: NodeId) -> Self {
        let clock = Clock::system();
        let (sink, records, totals) = recorder();
        records.start();
        let environment = Environment {
            node,
            entropy: Entropy::system(node),
            recorder: Recorder::new(node, clock.clone(), sink),
            clock,
            work_cost: WorkCost::Measured,
            faults: None,
        };
        let started = Self::start(config, environment, Placement::Threads);
        Self { totals: Some(totals), ..started }
    }

    /// Starts a session; the caller holds the first listener if it asked to listen.
    ///
    /// # Errors
    /// [`NodeError::Refused`] when the node is full or draining.
    pub async fn open(&self, new: NewSession) -> Result<Opened, NodeError> {
        let (listener, frames) = match new.listen {
            true => {
                let (sender, receiver) = frame_channel();
                (Some(sender), Some(receiver))
            }
            false => (None, None),
        };
        let NewSession { engine, stream, warnings, .. } = new;
        let open = OpenSession { engine, stream, warnings, listener };
        let session = self.directory.send(open).await??;
        Ok(Opened { session, frames })
    }

    /// One more listener for a session: the facts so far, then what follows.
    ///
    /// # Errors
    /// [`NodeError::UnknownSession`].
    pub async fn subscribe(
        &self,
        session: SessionId,
        include_solution: bool,
    ) -> Result<FrameReceiver, NodeError> {
        let (listener, frames) = frame_channel();
        self.find(session).await?.subscribe.send(Subscribe { listener, include_solution }).await?;
        Ok(frames)
    }

    /// # Errors
    /// [`NodeError::UnknownSession`].
    pub async fn status(&self, session: SessionId) -> Result<SessionStatus, NodeError> {
        let status = self.find(session).await?.status.send(GetSessionStatus).await?;
        let residual_trend = self.detector.send(GetResiduals(session)).await?.trend();
        Ok(SessionStatus { residual_trend: residual_trend.map(Into::into), ..status })
    }

    /// The norms of the states that a session has announced last, oldest first, at most 1,000.
    ///
    /// # Errors
    /// [`NodeError::UnknownSession`].
    pub async fn residuals(&self, session: SessionId) -> Result<ResidualHistory, NodeError> {
        self.find(session).await?;
        Ok(self.detector.send(GetResiduals(session)).await?)
    }

    /// All sessions, oldest first, at most `limit`.
    pub async fn list(&self, limit: usize) -> Result<Vec<SessionStatus>, NodeError> {
        let handles = self.directory.send(ListSessions).await?;
        let asked = handles.iter().take(limit).map(|handle| handle.status.send(GetSessionStatus));
        // A session that stopped while it was asked is no longer one.
        Ok(join_all(asked).await.into_iter().flatten().collect())
    }

    /// The present `x` of a session, with the residual measured for it.
    ///
    /// # Errors
    /// [`NodeError::UnknownSession`], [`NodeError::SolutionUnavailable`].
    pub async fn solution(&self, session: SessionId) -> Result<SolutionState, NodeError> {
        Ok(self.find(session).await?.solution.send(ReadSolution).await??)
    }

    /// Works changes into a live session, in order, each as a whole or not at all; one verdict for each.
    /// Resolves when all have been applied.
    ///
    /// # Errors
    /// The session takes no changes, or not that many at a time; none was applied then.
    pub async fn apply_costs(
        &self,
        session: SessionId,
        updates: Vec<SourcedDelta>,
    ) -> Result<Vec<CostVerdict>, CostsUnavailable> {
        let stopped = |_| CostsUnavailable::Stopped;
        let found = self.directory.send(FindSession(session)).await.map_err(stopped)?;
        let handle = found.ok_or(CostsUnavailable::UnknownSession(session))?;
        handle.costs.send(ApplyCosts(updates)).await.map_err(stopped)?
    }

    /// Some entries of the solution of a live session, each as close as is asked or as the session's x,
    /// proof and factor allow.
    ///
    /// # Errors
    /// The session is not live, or has no such entries.
    pub async fn ask_entries(
        &self,
        session: SessionId,
        question: EntriesQuestion,
    ) -> Result<EntriesState, QuestionUnavailable> {
        let stopped = |_| CostsUnavailable::Stopped;
        let found = self.directory.send(FindSession(session)).await.map_err(stopped)?;
        let handle = found.ok_or(CostsUnavailable::UnknownSession(session))?;
        handle.entries.send(AskEntries(question)).await.map_err(stopped)?
    }

    /// Checks the present state of a live session by rows of it.
    ///
    /// # Errors
    /// The session is not live, or has no such rows.
    pub async fn verify(
        &self,
        session: SessionId,
        asked: Challenge,
    ) -> Result<Verification, QuestionUnavailable> {
        let stopped = |_| CostsUnavailable::Stopped;
        let found = self.directory.send(FindSession(session)).await.map_err(stopped)?;
        let handle = found.ok_or(CostsUnavailable::UnknownSession(session))?;
        let SessionHandle { probes, unknowns, .. } = handle;
        self.verifier.send(Verify { probes, unknowns, asked }).await.map_err(stopped)?
    }

    /// Stops a session if it runs, and forgets it.
    ///
    /// # Errors
    /// [`NodeError::UnknownSession`].
    pub async fn delete(&self, session: SessionId) -> Result<(), NodeError> {
        match self.directory.send(DeleteSession(session)).await? {
            true => Ok(()),
            false => Err(NodeError::UnknownSession(session)),
        }
    }

    /// What the node holds.
    ///
    /// # Errors
    /// [`NodeError::Stopped`].
    pub async fn health(&self) -> Result<NodeStatus, NodeError> {
        let status = self.directory.send(GetNodeStatus).await?;
        Ok(NodeStatus { totals: self.totals.as_deref().map(Totals::read), ..status })
    }

    /// Takes no more sessions and ends those that run; resolves when every stream has got its end
    /// frame or the drain limit has passed.
    pub async fn drain(&self) {
        // A node that has stopped has nothing left to drain.
        let _ = self.directory.send(Drain).await;
    }

    async fn find(&self, session: SessionId) -> Result<SessionHandle, NodeError> {
        let found = self.directory.send(FindSession(session)).await?;
        found.ok_or(NodeError::UnknownSession(session))
    }
}

/// Whom a session has to do with, and where it may run.
struct Around {
    threads: Vec<ArbiterHandle>,
    queue: Addr<WorkQueue>,
    directory: Addr<SessionDirectory>,
    verifier: Addr<Verifier>,
    detector: Addr<DriftDetector>,
}

fn session_factory(
    config: NodeConfig,
    environment: Environment,
    around: Around,
) -> impl Fn(SessionSeed) -> SessionHandle + Send {
    let Around { threads, queue, directory, verifier, detector } = around;
    let opened = std::cell::Cell::new(0usize);
    move |mut seed| {
        let order = seed.engine.system().order();
        seed.stream.x_partial_max = seed.stream.x_partial_max.for_order(order);
        let thread = threads[opened.get() % threads.len()].clone();
        opened.set(opened.get().wrapping_add(1));
        let session = seed.session;
        let links = SessionLinks {
            queue: queue.clone().recipient(),
            set_ups: queue.clone().recipient(),
            ended: directory.clone().recipient(),
            grew: directory.clone().recipient(),
            verify: verifier.clone().recipient(),
            observe: detector.clone().recipient(),
            start_subscription: Box::new(subscription_factory(
                &config,
                &environment,
                seed.stream,
                thread.clone(),
            )),
        };
        let (environment, config) = (environment.clone(), config.clone());
        let address = Session::start_in_arbiter(&thread, move |_| {
            Session::new(seed, environment, &config, links)
        });
        SessionHandle {
            session,
            subscribe: address.clone().recipient(),
            status: address.clone().recipient(),
            solution: address.clone().recipient(),
            costs: address.clone().recipient(),
            entries: address.clone().recipient(),
            probes: address.clone().recipient(),
            forget_residuals: detector.clone().recipient(),
            unknowns: order,
            stop: address.recipient(),
        }
    }
}

/// A session and its subscriptions share a thread: frames pass from one to the other in 40 ns.
fn subscription_factory(
    config: &NodeConfig,
    environment: &Environment,
    stream: StreamOptions,
    thread: ArbiterHandle,
) -> impl Fn(SubscriptionSeed) -> actix::Recipient<crate::actors::messages::Publish> + Send + use<>
{
    let (environment, stall_limit) = (environment.clone(), config.stall_limit);
    move |seed| {
        let environment = environment.clone();
        Subscription::start_in_arbiter(&thread, move |_| {
            Subscription::new(seed, environment, stall_limit, stream.x_partial_max)
        })
        .recipient()
    }
}
