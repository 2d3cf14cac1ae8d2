//! One session's life: it sends its solve to a worker for a quantum, announces what came of it, and
//! asks for the next, until the engine finishes, a limit is reached, or nobody wants it any more. A live
//! session rests when its system is solved, and goes on when a change comes. What its stream says of a
//! quantum is `telling`'s.

mod changes;
mod checks;
mod corrections;
mod ending;
mod facts;
mod listeners;
mod questions;
mod reading;
mod set_up;
mod telling;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Recipient, SpawnHandle};
use tokio::sync::oneshot;

use crate::actors::announcer::Announcer;
use crate::actors::messages::{
    Observe, Publish, QuantumDone, RunQuantum, RunSetUp, SessionEnded, SessionGrew, SessionSeed,
    SolutionState, SolutionUnavailable, Subscribe, SubscriptionSeed, Verify,
};
use crate::actors::solve::{QuantumReport, Report, Solve, Stage};
use crate::ids::{SessionId, SubscriptionId};
use crate::policy::convergence::Convergence;
use crate::policy::scheduling::Lane;
use crate::protocol::frame::{EndReason, FrameBody, Warning};
use crate::protocol::stream_options::StreamOptions;
use crate::protocol::timestamp::Timestamp;
use crate::runtime::clock::Moment;
use crate::runtime::config::NodeConfig;
use crate::runtime::environment::Environment;
use crate::runtime::event::Event;
use crate::solver::outcome::Outcome;
use changes::PendingChanges;
use checks::Checks;
use corrections::Corrections;
use ending::sentence;
use facts::Facts;
use questions::PendingQuestions;
use set_up::PendingSetUp;

/// Starts the actor behind a new listener and tells how to reach it.
pub type StartSubscription = Box<dyn Fn(SubscriptionSeed) -> Recipient<Publish> + Send>;

/// What `node` connects a session to.
pub struct SessionLinks {
    pub queue: Recipient<RunQuantum>,
    pub set_ups: Recipient<RunSetUp>,
    pub ended: Recipient<SessionEnded>,
    pub grew: Recipient<SessionGrew>,
    pub verify: Recipient<Verify>,
    pub observe: Recipient<Observe>,
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
    set_up: PendingSetUp,
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
    /// Whether it stays when its system is solved, and takes changes.
    is_live: bool,
    changes: PendingChanges,
    questions: PendingQuestions,
    checks: Checks,
    corrections: Corrections,
    /// What keeps the present system from being solved, as it was told.
    stuck: Option<String>,
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
        let solve = Solve::new(engine, stream.x_partial_max, stream.update_every);
        let solve = if stream.live { solve.live() } else { solve };
        let solve = if stream.verification_enabled { solve.checked() } else { solve };
        let solve = Box::new(solve);
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
            set_up: PendingSetUp::None,
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
            is_live: stream.live,
            changes: PendingChanges::default(),
            questions: PendingQuestions::default(),
            checks: Checks::of(&stream),
            corrections: Corrections::default(),
            stuck: None,
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

    fn request_quantum(&mut self, ctx: &mut Context<Self>) {
        match std::mem::replace(&mut self.solve, Whereabouts::Gone) {
            Whereabouts::Home(solve) => {
                if !solve.is_retired() {
                    let set_up_bytes = self.set_up.bytes();
                    self.hold(solve.memory_bytes() + solve.next_step_bytes() + set_up_bytes);
                }
                let changes = match solve.keeps_waiting(self.changes.edits()) {
                    true => vec![],
                    false => self.changes.take(),
                };
                let questions = self.questions.take(self.changes.batches_sent_out());
                let correction = self.corrections.take(&solve, self.uptime());
                let lane = solve.lane().max(solve.lane_of(&questions));
                self.solve = Whereabouts::Away(match (lane, solve.stage()) {
                    (Lane::Heavy, Stage::Preparing) => Outing::SetUp,
                    (Lane::Heavy, Stage::Iterating) | (Lane::Short, _) => Outing::Brief,
                });
                // One quantum is out per session, so the queue holds at most one of ours.
                self.links.queue.do_send(RunQuantum {
                    session: self.id,
                    solve,
                    changes,
                    questions,
                    set_up: self.set_up.take_back(),
                    correction,
                    lane,
                    budget: self.quantum,
                    waiting_edits: self.changes.waiting_edits(),
                    asked_at: self.environment.clock.now(),
                    unwanted: Arc::clone(&self.unwanted),
                    reply_to: ctx.address().recipient(),
                });
            }
            elsewhere @ (Whereabouts::Away(_) | Whereabouts::Gone) => self.solve = elsewhere,
        }
    }

    /// Answers who waits, and asks for the next quantum if there is anything to do.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.answer_readers();
        let wants_work = match &self.solve {
            Whereabouts::Home(solve) => solve.wants_work(),
            Whereabouts::Away(_) | Whereabouts::Gone => false,
        };
        let is_asked = !self.changes.is_empty() || !self.questions.is_empty();
        let is_due = self.set_up.is_back() || self.corrections.is_due();
        if wants_work || is_asked || is_due {
            self.request_quantum(ctx);
        }
    }

    /// Tells the directory what is held from now on, before it is taken and after it was given back.
    fn hold(&mut self, memory_bytes: u64) {
        if memory_bytes != self.memory_bytes {
            self.memory_bytes = memory_bytes;
            self.links.grew.do_send(SessionGrew { session: self.id, memory_bytes });
        }
    }

    fn take_home(
        &mut self,
        mut solve: Box<Solve>,
        mut report: QuantumReport,
        ctx: &mut Context<Self>,
    ) {
        if let Some(job) = solve.take_job() {
            self.send_set_up(job, ctx);
        }
        self.hold(solve.memory_bytes() + self.set_up.bytes());
        self.facts.follow(&solve);
        self.convergence.set_threshold(self.facts.residual_threshold);
        self.announcer.set_system_version(solve.system_version());
        self.progress.iteration = solve.iteration();
        self.progress.flops = solve.flops();
        let judged_by_trend = solve.is_judged_by_trend();
        self.solve = Whereabouts::Home(solve);
        self.observe(&report, judged_by_trend, ctx);
        self.settle_questions(&mut report);
        let took = report.took;
        let mut bodies: Vec<FrameBody> = self.settle_changes(&mut report).into_iter().collect();
        for report in report.reports {
            let signal = self.signal_of(&report);
            let correction = match &report {
                Report::Switched { switch, iteration, .. } => {
                    self.body_of_switch(switch, *iteration)
                }
                _ => None,
            };
            bodies.extend(self.body_of(report));
            bodies.extend(correction);
            bodies.extend(signal);
        }
        self.announcer.announce(bodies);
        self.serve_newcomers();
        self.check_if_due(took, ctx);
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
        if let Phase::Ended { .. } = &self.phase {
            return self.take_home_after_the_end(done, ctx);
        }
        let (solve, mut report) = match done.returned {
            Ok(returned) => returned,
            Err(failure) => {
                // The solve is lost; nothing of it is out any more.
                self.solve = Whereabouts::Gone;
                self.changes.refuse_all();
                self.questions.refuse_all();
                return self.end_with_failure(&failure, ctx);
            }
        };
        let outcome = report.outcome.take();
        self.take_home(solve, report, ctx);
        match (outcome, &self.phase) {
            (Some(Outcome::Converged { .. }), Phase::Running) if self.is_live => {
                self.announce_solved();
                self.go_on(ctx);
            }
            (Some(outcome), _) => self.end_with_outcome(outcome, ctx),
            (None, &Phase::Ending(reason)) => self.end(reason, sentence(reason), ctx),
            (None, Phase::Running | Phase::Ended { .. }) => self.go_on(ctx),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_fn;
    use tokio::sync::mpsc;

    use super::*;
    use crate::actors::messages::{
        CostsUnavailable, GetSessionStatus, QuestionUnavailable, Verification, WorkerFailure,
    };
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

    impl Handler<RunSetUp> for Surroundings {
        type Result = ();

        fn handle(&mut self, _: RunSetUp, _: &mut Self::Context) {}
    }

    impl Handler<SessionEnded> for Surroundings {
        type Result = ();

        fn handle(&mut self, ended: SessionEnded, _: &mut Self::Context) {
            self.ended.send(ended).unwrap();
        }
    }

    impl Handler<Verify> for Surroundings {
        type Result = Result<Verification, QuestionUnavailable>;

        fn handle(&mut self, _: Verify, _: &mut Self::Context) -> Self::Result {
            Err(CostsUnavailable::Stopped.into())
        }
    }

    impl Handler<Observe> for Surroundings {
        type Result = ();

        fn handle(&mut self, _: Observe, _: &mut Self::Context) {}
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
            faults: None,
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
            set_ups: around.clone().recipient(),
            ended: around.clone().recipient(),
            grew: around.clone().recipient(),
            verify: around.clone().recipient(),
            observe: around.recipient(),
            start_subscription: Box::new(|_| unreachable!("nobody listens")),
        };
        let session = Session::new(seed, environment, &NodeConfig::for_cores(1), links).start();
        let ended = poll_fn(|context| told.poll_recv(context)).await.unwrap();
        assert_eq!((ended.memory_bytes, ended.is_released), (0, true));
        let status = session.send(GetSessionStatus).await.unwrap();
        assert_eq!(status.end_reason, Some("internal_error"));
    }
}
