//! One session's life: it sends its solve to a worker for a quantum, announces what came of it, and
//! asks for the next, until the engine finishes, a limit is reached, or nobody wants it any more.

mod ending;
mod facts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Recipient, ResponseFuture, SpawnHandle};
use tokio::sync::oneshot;

use crate::actors::announcer::Announcer;
use crate::actors::messages::{
    GetSessionStatus, ListenerGone, Publish, QuantumDone, ReadSolution, RunQuantum, SessionEnded,
    SessionGrew, SessionSeed, SolutionState, SolutionUnavailable, StopSession, Subscribe,
    SubscriptionSeed, WorkerFailure,
};
use crate::actors::solve::{QuantumReport, Report, Solve, Stage, StateReport};
use crate::ids::{SessionId, SubscriptionId, SystemVersion};
use crate::policy::convergence::Convergence;
use crate::policy::remedy;
use crate::policy::scheduling::Lane;
use crate::protocol::frame::{
    ConvergenceSignal, End, EndReason, FrameBody, Heartbeat, IterationUpdate, MethodChanged,
    Prepared, StreamError, Warning,
};
use crate::protocol::problem::ProblemKind;
use crate::protocol::status::{SessionState, SessionStatus};
use crate::protocol::stream_options::StreamOptions;
use crate::protocol::timestamp::Timestamp;
use crate::runtime::clock::Moment;
use crate::runtime::config::NodeConfig;
use crate::runtime::environment::Environment;
use crate::runtime::event::Event;
use crate::solver::change_tracker::XPartialMax;
use crate::solver::outcome::Outcome;
use ending::{end_reason, sentence};
use facts::{Facts, milliseconds, solution_of};

/// Starts the actor behind a new listener and tells how to reach it.
pub type StartSubscription = Box<dyn Fn(SubscriptionSeed) -> Recipient<Publish> + Send>;

/// What `node` connects a session to.
pub struct SessionLinks {
    pub queue: Recipient<RunQuantum>,
    pub ended: Recipient<SessionEnded>,
    pub grew: Recipient<SessionGrew>,
    pub start_subscription: StartSubscription,
}

/// Readers that may wait for one quantum to come home.
const WAITING_READERS_MAX: usize = 256;
/// States in a row below the threshold that count as converged.
const CONSECUTIVE_STATES: u64 = 1;
/// The actor that owns one `x`.
pub struct Session {
    id: SessionId,
    environment: Environment,
    heartbeat_interval: Duration,
    quantum: Duration,
    duration_max: Duration,
    stream: StreamOptions,
    links: SessionLinks,
    announcer: Announcer,
    facts: Facts,
    solve: Whereabouts,
    convergence: Convergence,
    progress: LastProgress,
    opened: Moment,
    ended_after: Option<Duration>,
    unwanted: Arc<AtomicBool>,
    opened_at: Timestamp,
    phase: Phase,
    /// A session that was opened for a listener ends when the last one leaves.
    is_attached: bool,
    readers: Vec<oneshot::Sender<Result<SolutionState, SolutionUnavailable>>>,
    newcomers: Vec<SubscriptionId>,
    stoppers: Vec<oneshot::Sender<()>>,
    memory_bytes: u64,
    timers: Vec<SpawnHandle>,
    beat_timer: Option<SpawnHandle>,
    first_listener: Option<Subscribe>,
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Copy, Default)]
struct LastProgress {
    iteration: u64,
    rate: Option<f64>,
    states_below_threshold: u64,
    flops: u64,
}

/// The solve travels; it is in exactly one place.
enum Whereabouts {
    Home(Box<Solve>),
    Away(Outing),
    /// It failed on the way, or is no longer needed.
    Gone,
}

/// What a solve that is away does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outing {
    /// At most one iteration: it is back soon.
    Brief,
    /// A set-up of the heavy lane, which may take long.
    SetUp,
}

enum Phase {
    Running,
    /// A limit fell while the solve was away; end when it is back.
    Ending(EndReason),
    Ended {
        reason: EndReason,
        solution: Option<SolutionState>,
    },
}

impl Session {
    pub fn new(
        seed: SessionSeed,
        environment: Environment,
        config: &NodeConfig,
        links: SessionLinks,
    ) -> Self {
        let SessionSeed { session, engine, stream, warnings, listener } = seed;
        let facts = Facts::of(&engine);
        let mut engine = *engine;
        let unwanted = Arc::<AtomicBool>::default();
        engine.heed(Arc::clone(&unwanted));
        let solve = Box::new(Solve::new(engine, stream.x_partial_max, stream.update_every));
        let first_listener = listener
            .map(|listener| Subscribe { listener, include_solution: stream.include_solution });
        Self {
            id: session,
            heartbeat_interval: config.heartbeat_interval,
            quantum: config.quantum,
            duration_max: config.session_duration_max,
            stream,
            links,
            announcer: Announcer::new(session, environment.clock.clone()),
            convergence: Convergence::new(facts.residual_threshold),
            facts,
            memory_bytes: solve.memory_bytes(),
            solve: Whereabouts::Home(solve),
            progress: LastProgress::default(),
            opened: environment.clock.now(),
            ended_after: None,
            unwanted,
            opened_at: environment.clock.wall(),
            phase: Phase::Running,
            is_attached: first_listener.is_some(),
            readers: Vec::new(),
            newcomers: Vec::new(),
            stoppers: Vec::new(),
            timers: Vec::new(),
            beat_timer: None,
            first_listener,
            warnings,
            environment,
        }
    }

    /// Time since the session opened, up to its end.
    fn uptime(&self) -> Duration {
        self.ended_after.unwrap_or_else(|| self.environment.clock.now().since(self.opened))
    }

    fn memory_usage_mb(&self) -> f64 {
        self.memory_bytes as f64 / 1e6
    }

    // ---- solving ----

    fn request_quantum(&mut self, ctx: &mut Context<Self>) {
        match std::mem::replace(&mut self.solve, Whereabouts::Gone) {
            Whereabouts::Home(solve) => {
                self.hold(solve.memory_bytes() + solve.next_step_bytes());
                let lane = solve.lane();
                self.solve = Whereabouts::Away(match (lane, solve.stage()) {
                    (Lane::Heavy, Stage::Preparing) => Outing::SetUp,
                    (Lane::Heavy, Stage::Iterating) | (Lane::Short, _) => Outing::Brief,
                });
                // One quantum is out per session, so the queue holds at most one of ours.
                self.links.queue.do_send(RunQuantum {
                    session: self.id,
                    solve,
                    lane,
                    budget: self.quantum,
                    asked_at: self.environment.clock.now(),
                    unwanted: Arc::clone(&self.unwanted),
                    reply_to: ctx.address().recipient(),
                });
            }
            elsewhere @ (Whereabouts::Away(_) | Whereabouts::Gone) => self.solve = elsewhere,
        }
    }

    /// Tells the directory what is held from now on, before it is taken and after it was given back.
    fn hold(&mut self, memory_bytes: u64) {
        if memory_bytes != self.memory_bytes {
            self.memory_bytes = memory_bytes;
            self.links.grew.do_send(SessionGrew { session: self.id, memory_bytes });
        }
    }

    fn take_home(&mut self, solve: Box<Solve>, report: QuantumReport) {
        self.hold(solve.memory_bytes());
        self.facts.method = solve.engine().selection().method;
        self.facts.preconditioner = solve.engine().selection().preconditioner;
        self.progress.iteration = solve.engine().iteration();
        self.progress.flops = solve.flops();
        self.solve = Whereabouts::Home(solve);
        let bodies = report.reports.into_iter().map(|report| self.body_of(report)).collect();
        self.announcer.announce(bodies);
        self.serve_newcomers();
    }

    fn body_of(&mut self, report: Report) -> FrameBody {
        match report {
            Report::Prepared { method, preconditioner, description, took } => {
                let event =
                    Event::Prepared { session: self.id, description: description.clone(), took };
                self.environment.recorder.record(event);
                FrameBody::Prepared(Prepared {
                    method,
                    preconditioner,
                    description,
                    preparation_time_ms: milliseconds(took),
                    memory_usage_mb: self.memory_usage_mb(),
                })
            }
            Report::State(state) => FrameBody::IterationUpdate(self.update_of(state)),
            Report::Switched { switch, preconditioner, iteration } => {
                let (from, to) = (switch.from, switch.to);
                let event = Event::MethodSwitched { session: self.id, from, to };
                self.environment.recorder.record(event);
                FrameBody::MethodChanged(MethodChanged {
                    iteration,
                    from,
                    to,
                    preconditioner,
                    reason: switch.reason,
                    residual_norm: self.convergence.residual_norm(),
                })
            }
        }
    }

    fn update_of(&mut self, state: StateReport) -> IterationUpdate {
        let observed = self.convergence.observe(state.iteration, state.residual_norm);
        self.progress.rate = observed.rate.or(self.progress.rate);
        self.progress.states_below_threshold = observed.states_below_threshold;
        self.facts.update(state, observed.rate, self.memory_usage_mb())
    }

    // ---- ending ----

    /// Ends now if the solve is at home or in a long set-up, else as soon as it is back.
    fn end_soon(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        match (&self.phase, &self.solve) {
            (Phase::Ended { .. }, _) => {}
            (_, Whereabouts::Away(Outing::Brief)) => self.phase = Phase::Ending(reason),
            (_, Whereabouts::Away(Outing::SetUp) | Whereabouts::Home(_) | Whereabouts::Gone) => {
                self.end(reason, sentence(reason), ctx);
            }
        }
    }

    fn end_with_outcome(&mut self, outcome: Outcome, ctx: &mut Context<Self>) {
        match outcome {
            Outcome::Converged { .. } => {
                self.end(EndReason::Converged, "the residual meets the tolerance".to_owned(), ctx);
            }
            Outcome::Stopped(stop) => {
                if let Some(way_out) = remedy::way_out(&stop) {
                    self.announcer.announce(vec![FrameBody::Error(StreamError {
                        kind: ProblemKind::of_stop(&stop),
                        detail: stop.to_string(),
                        way_out: Some(way_out.to_owned()),
                    })]);
                }
                self.end(end_reason(&stop), stop.to_string(), ctx);
            }
        }
    }

    fn end_with_failure(&mut self, failure: &WorkerFailure, ctx: &mut Context<Self>) {
        self.announcer.announce(vec![FrameBody::Error(StreamError {
            kind: ProblemKind::Internal,
            detail: format!("a solver worker failed: {}", failure.message),
            way_out: Some("try another method, and report this as a defect".to_owned()),
        })]);
        self.end(EndReason::InternalError, sentence(EndReason::InternalError), ctx);
    }

    fn end(&mut self, reason: EndReason, detail: String, ctx: &mut Context<Self>) {
        if matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        let solution = self.final_state(reason);
        let residual_norm =
            solution.as_ref().map(|state| state.residual_norm).or(self.convergence.residual_norm());
        let mut bodies = Vec::new();
        if let Some(residual_norm) = residual_norm {
            bodies.push(FrameBody::ConvergenceSignal(ConvergenceSignal {
                residual_threshold: self.facts.residual_threshold,
                consecutive_iterations: CONSECUTIVE_STATES,
                residual_norm,
                iterations_below_threshold: self.progress.states_below_threshold,
                converged: reason == EndReason::Converged,
            }));
        }
        bodies.extend(solution.as_ref().map(|state| FrameBody::Solution(solution_of(state))));
        bodies.push(FrameBody::End(End {
            reason,
            detail,
            iterations: self.progress.iteration,
            residual_norm,
            relative_residual: residual_norm.map(|norm| self.facts.relative(norm)),
            elapsed_ms: milliseconds(self.uptime()),
            flops: self.progress.flops,
        }));
        self.announcer.announce(bodies);
        self.close(reason, residual_norm, solution);
        // A pending timer would keep the actor alive after its last handle is gone.
        for timer in self.timers.drain(..).chain(self.beat_timer.take()) {
            ctx.cancel_future(timer);
        }
    }

    fn close(
        &mut self,
        reason: EndReason,
        residual_norm: Option<f64>,
        solution: Option<SolutionState>,
    ) {
        let (session, iteration) = (self.id, self.progress.iteration);
        let event = Event::SessionEnded { session, reason, iteration, residual_norm };
        self.environment.recorder.record(event);
        self.unwanted.store(true, Ordering::Relaxed);
        self.ended_after = Some(self.uptime());
        let kept_bytes = solution.as_ref().map_or(0, |state| 8 * state.x.len() as u64);
        // A solve that is out holds its memory until it is back.
        if !matches!(self.solve, Whereabouts::Away(_)) {
            self.memory_bytes = kept_bytes;
        }
        for reader in self.readers.drain(..) {
            let answer = solution.clone().ok_or(SolutionUnavailable::NeverReached);
            // A reader that has gone by now needs no answer.
            let _ = reader.send(answer);
        }
        self.phase = Phase::Ended { reason, solution };
        if matches!(self.solve, Whereabouts::Home(_)) {
            self.solve = Whereabouts::Gone;
        }
        let memory_bytes = self.memory_bytes;
        let is_released = matches!(self.solve, Whereabouts::Gone);
        self.links.ended.do_send(SessionEnded { session, memory_bytes, is_released });
        self.release_stoppers();
    }

    /// The state to leave behind, if the solve is at home. A session that is deleted and a node that
    /// drains leave none: nobody could read it.
    fn final_state(&mut self, reason: EndReason) -> Option<SolutionState> {
        match reason {
            EndReason::Draining | EndReason::Deleted => None,
            _ => self.present_state(),
        }
    }

    fn present_state(&mut self) -> Option<SolutionState> {
        let Whereabouts::Home(solve) = &mut self.solve else { return None };
        let iteration = solve.engine().iteration();
        let converged = matches!(solve.engine().outcome(), Some(Outcome::Converged { .. }));
        let (x, residual_norm) = solve.state();
        Some(SolutionState {
            system_version: SystemVersion::default(),
            iteration,
            residual_norm,
            relative_residual: self.facts.relative(residual_norm),
            converged,
            x: Arc::new(x.to_vec()),
        })
    }

    fn release_stoppers(&mut self) {
        if self.announcer.listeners() == 0 && matches!(self.phase, Phase::Ended { .. }) {
            for stopper in self.stoppers.drain(..) {
                let _ = stopper.send(());
            }
        }
    }

    // ---- listeners ----

    fn join(&mut self, subscribe: Subscribe, ctx: &mut Context<Self>) {
        let subscription = self.announcer.next_subscription();
        let publish = (self.links.start_subscription)(SubscriptionSeed {
            session: self.id,
            subscription,
            listener: subscribe.listener,
            gone: ctx.address().recipient(),
        });
        self.announcer.add(subscription, publish, subscribe.include_solution);
        self.newcomers.push(subscription);
    }

    /// Gives lossless listeners that came late the state from which the next updates go on.
    fn serve_newcomers(&mut self) {
        let newcomers = std::mem::take(&mut self.newcomers);
        let is_lossless = self.stream.x_partial_max == XPartialMax::All;
        if newcomers.is_empty() || !is_lossless || matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        if let Some(state) = self.present_state() {
            for subscription in newcomers {
                let snapshot = FrameBody::Snapshot(solution_of(&state));
                self.announcer.announce_to(subscription, snapshot);
            }
        }
    }

    fn announce_opening(&mut self) {
        let warnings = std::mem::take(&mut self.warnings);
        let opened = self.facts.opened(self.stream.time_budget, self.memory_usage_mb(), warnings);
        self.announcer.announce(vec![FrameBody::SessionOpened(Box::new(opened))]);
    }

    fn beat(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        let silence = self.environment.clock.now().since(self.announcer.last_published());
        let mut next = self.heartbeat_interval.saturating_sub(silence);
        if next.is_zero() {
            let uptime_ms = self.uptime().as_millis() as u64;
            let iteration = self.progress.iteration;
            self.announcer.announce(vec![FrameBody::Heartbeat(Heartbeat { iteration, uptime_ms })]);
            self.environment.recorder.record(Event::HeartbeatSent { session: self.id });
            next = self.heartbeat_interval;
        }
        self.beat_timer = Some(ctx.run_later(self.environment.clock.delay(next), Self::beat));
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.environment.recorder.record(Event::SessionOpened {
            session: self.id,
            unknowns: self.facts.unknowns,
            nonzeros: self.facts.nonzeros,
            method: self.facts.method,
        });
        self.announce_opening();
        if let Some(first) = self.first_listener.take() {
            self.join(first, ctx);
            // It is there from the opening state on and needs no snapshot.
            self.newcomers.clear();
        }
        let budget = self.stream.time_budget.filter(|&budget| budget <= self.duration_max);
        let (limit, reason) = match budget {
            Some(budget) => (budget, EndReason::TimeBudget),
            None => (self.duration_max, EndReason::Expired),
        };
        let limit = self.environment.clock.delay(limit);
        self.timers.push(ctx.run_later(limit, move |session, ctx| session.end_soon(reason, ctx)));
        let first_beat = self.environment.clock.delay(self.heartbeat_interval);
        self.beat_timer = Some(ctx.run_later(first_beat, Self::beat));
        self.request_quantum(ctx);
    }
}

impl Handler<QuantumDone> for Session {
    type Result = ();

    fn handle(&mut self, done: QuantumDone, ctx: &mut Self::Context) {
        if let Phase::Ended { solution, .. } = &self.phase {
            self.solve = Whereabouts::Gone;
            self.memory_bytes = solution.as_ref().map_or(0, |state| 8 * state.x.len() as u64);
            let (session, memory_bytes) = (self.id, self.memory_bytes);
            self.links.grew.do_send(SessionGrew { session, memory_bytes });
            return;
        }
        let (solve, mut report) = match done.returned {
            Ok(returned) => returned,
            Err(failure) => {
                // The solve is lost; nothing of it is out any more.
                self.solve = Whereabouts::Gone;
                return self.end_with_failure(&failure, ctx);
            }
        };
        let outcome = report.outcome.take();
        self.take_home(solve, report);
        match (outcome, &self.phase) {
            (Some(outcome), _) => self.end_with_outcome(outcome, ctx),
            (None, &Phase::Ending(reason)) => self.end(reason, sentence(reason), ctx),
            (None, Phase::Running | Phase::Ended { .. }) => {
                self.answer_readers();
                self.request_quantum(ctx);
            }
        }
    }
}

impl Session {
    fn answer_readers(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let answer = self.present_state().ok_or(SolutionUnavailable::NeverReached);
        for reader in self.readers.drain(..) {
            let _ = reader.send(answer.clone());
        }
    }
}

impl Handler<Subscribe> for Session {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, ctx: &mut Self::Context) {
        self.join(subscribe, ctx);
    }
}

impl Handler<ListenerGone> for Session {
    type Result = ();

    fn handle(&mut self, gone: ListenerGone, ctx: &mut Self::Context) {
        self.announcer.remove(gone.subscription);
        self.newcomers.retain(|&newcomer| newcomer != gone.subscription);
        if self.announcer.listeners() == 0 {
            if self.is_attached {
                self.end_soon(EndReason::ListenerGone, ctx);
            }
            self.release_stoppers();
        }
    }
}

impl Handler<StopSession> for Session {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, stop: StopSession, ctx: &mut Self::Context) -> Self::Result {
        let (stopper, stopped) = oneshot::channel();
        self.stoppers.push(stopper);
        self.end_soon(stop.0, ctx);
        self.release_stoppers();
        Box::pin(async move {
            // The sender is dropped unanswered only when the session itself is gone.
            let _ = stopped.await;
        })
    }
}

impl Handler<ReadSolution> for Session {
    type Result = ResponseFuture<Result<SolutionState, SolutionUnavailable>>;

    fn handle(&mut self, _: ReadSolution, _: &mut Self::Context) -> Self::Result {
        let answer = match (&self.phase, &self.solve) {
            (Phase::Ended { solution, .. }, _) => {
                solution.clone().ok_or(SolutionUnavailable::NeverReached)
            }
            (_, Whereabouts::Away(Outing::SetUp)) => Err(SolutionUnavailable::Preparing),
            (_, Whereabouts::Away(Outing::Brief)) => {
                if self.readers.len() >= WAITING_READERS_MAX {
                    Err(SolutionUnavailable::TooManyReaders { waiting: self.readers.len() })
                } else {
                    let (reader, answer) = oneshot::channel();
                    self.readers.push(reader);
                    return Box::pin(async move {
                        answer.await.unwrap_or(Err(SolutionUnavailable::NeverReached))
                    });
                }
            }
            (_, Whereabouts::Home(_) | Whereabouts::Gone) => {
                self.present_state().ok_or(SolutionUnavailable::NeverReached)
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Handler<GetSessionStatus> for Session {
    type Result = actix::MessageResult<GetSessionStatus>;

    fn handle(&mut self, _: GetSessionStatus, _: &mut Self::Context) -> Self::Result {
        let residual_norm = self.convergence.residual_norm();
        let (state, end_reason) = match &self.phase {
            Phase::Running | Phase::Ending(_) => (SessionState::Running, None),
            Phase::Ended { reason, .. } => (SessionState::Ended, Some(reason.as_str())),
        };
        actix::MessageResult(SessionStatus {
            session_id: self.id,
            state,
            end_reason,
            system_version: SystemVersion::default(),
            sequence: self.announcer.sequence(),
            opened_at: self.opened_at,
            elapsed_ms: milliseconds(self.uptime()),
            unknowns: self.facts.unknowns,
            nonzeros: self.facts.nonzeros,
            method: self.facts.method.as_str(),
            preconditioner: self.facts.preconditioner.as_str(),
            iteration: self.progress.iteration,
            residual_norm,
            relative_residual: residual_norm.map(|norm| self.facts.relative(norm)),
            convergence_rate: self.progress.rate,
            tolerance: self.facts.tolerance,
            flops: self.progress.flops,
            listeners: self.announcer.listeners(),
            memory_usage_mb: self.memory_usage_mb(),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_fn;
    use tokio::sync::mpsc;

    use super::*;
    use crate::ids::NodeId;
    use crate::runtime::clock::Clock;
    use crate::runtime::entropy::Entropy;
    use crate::runtime::recorder::{EventSink, Record, Recorder};
    use crate::runtime::stopwatch::WorkCost;
    use crate::solver::gallery;
    use crate::solver::options::SolveOptions;

    struct Unread;

    impl EventSink for Unread {
        fn accept(&self, _: Record) {}
    }

    /// A worker that loses every solve, and a directory that passes on what it is told.
    struct Surroundings {
        ended: mpsc::UnboundedSender<SessionEnded>,
    }

    impl Actor for Surroundings {
        type Context = Context<Self>;
    }

    impl Handler<RunQuantum> for Surroundings {
        type Result = ();

        fn handle(&mut self, quantum: RunQuantum, _: &mut Self::Context) {
            let failure = WorkerFailure { message: "lost".to_owned() };
            quantum.reply_to.do_send(QuantumDone { returned: Err(failure) });
        }
    }

    impl Handler<SessionEnded> for Surroundings {
        type Result = ();

        fn handle(&mut self, ended: SessionEnded, _: &mut Self::Context) {
            self.ended.send(ended).unwrap();
        }
    }

    impl Handler<SessionGrew> for Surroundings {
        type Result = ();

        fn handle(&mut self, _: SessionGrew, _: &mut Self::Context) {}
    }

    #[actix_web::test]
    async fn a_session_whose_solve_was_lost_holds_no_memory() {
        let node = NodeId::default();
        let clock = Clock::system();
        let environment = Environment {
            node,
            entropy: Entropy::seeded(1, node),
            recorder: Recorder::new(node, clock.clone(), Arc::new(Unread)),
            clock,
            work_cost: WorkCost::Measured,
        };
        let system = gallery::poisson_2d(4, 1).unwrap();
        let analysis = crate::solver::analysis::Analysis::of(&system);
        let engine =
            crate::solver::engine::Engine::new(system, analysis, None, SolveOptions::default());
        let seed = SessionSeed {
            session: SessionId::from_random_bits(1),
            engine: Box::new(engine.unwrap()),
            stream: StreamOptions::default(),
            warnings: vec![],
            listener: None,
        };
        let (sender, mut told) = mpsc::unbounded_channel();
        let around = Surroundings { ended: sender }.start();
        let links = SessionLinks {
            queue: around.clone().recipient(),
            ended: around.clone().recipient(),
            grew: around.recipient(),
            start_subscription: Box::new(|_| unreachable!("nobody listens")),
        };
        let session = Session::new(seed, environment, &NodeConfig::for_cores(1), links).start();
        let ended = poll_fn(|context| told.poll_recv(context)).await.unwrap();
        assert_eq!((ended.memory_bytes, ended.is_released), (0, true));
        let status = session.send(GetSessionStatus).await.unwrap();
        assert_eq!(status.end_reason, Some("internal_error"));
    }
}
