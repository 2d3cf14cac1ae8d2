//! Brings a scenario to life: one node of the real actors on a paused clock, clients that open
//! sessions, read and leave, all on one thread and from one seed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::actors::frame_channel::FrameReceiver;
use crate::actors::node::{NewSession, Node, NodeError, Opened, Placement};
use crate::ids::{NodeId, SessionId, SystemVersion};
use crate::protocol::frame::{CorrectionMade, Frame, FrameBody};
use crate::protocol::timestamp::Timestamp;
use crate::runtime::clock::Clock;
use crate::runtime::config::NodeConfig;
use crate::runtime::entropy::Entropy;
use crate::runtime::environment::Environment;
use crate::runtime::recorder::Recorder;
use crate::runtime::stopwatch::WorkCost;
use crate::simulation::costs::CostSender;
use crate::simulation::memory::PlannedFaults;
use crate::simulation::scenario::{LinkPlan, Scenario, ScenarioError, SessionPlan};
use crate::simulation::trace::Trace;
use crate::solver::analysis::Analysis;
use crate::solver::engine::Engine;
use crate::solver::gallery::GalleryError;
use crate::solver::outcome::Refusal;

/// 2025-01-01T00:00:00Z: where every world's wall clock starts.
const EPOCH: Timestamp = Timestamp { unix_microseconds: 1_735_689_600_000_000 };

/// How long a world goes on after its last client is done.
const SETTLING: Duration = Duration::from_millis(5);

/// What came of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldOutcome {
    /// Every event and what every client saw, the same bytes for the same scenario and seed.
    pub trace: String,
    /// Simulated time until the last client was done.
    pub elapsed: Duration,
    /// Clients that got their end frame or left as planned.
    pub clients_done: usize,
    pub clients: usize,
}

/// Why a world could not be made, or did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("session `{session}`: {fault}")]
    Gallery { session: String, fault: GalleryError },
    #[error("session `{session}`: {refusal}")]
    Refused { session: String, refusal: Refusal },
}

/// Runs a scenario to its end, or to its time limit.
///
/// # Errors
/// When a session of the scenario cannot be built.
pub fn run(scenario: &Scenario, seed: u64) -> Result<WorldOutcome, WorldError> {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime with a time driver alone needs nothing from the system")
    };
    let system = actix::System::with_tokio_rt(runtime);
    let plans = build_engines(scenario, seed)?;
    Ok(system.block_on(live(scenario.clone(), plans, seed)))
}

fn build_engines(scenario: &Scenario, seed: u64) -> Result<Vec<(SessionPlan, Engine)>, WorldError> {
    let mut draws = Entropy::seeded(seed, NodeId::default()).stream("systems");
    let mut plans = Vec::new();
    for plan in &scenario.sessions {
        let session = || plan.name.clone();
        let system = plan
            .system
            .build(draws.random())
            .map_err(|fault| WorldError::Gallery { session: session(), fault })?;
        let analysis = Analysis::of(&system);
        let engine = Engine::new(system, analysis, None, plan.solve_options()?)
            .map_err(|refusal| WorldError::Refused { session: session(), refusal })?;
        plans.push((plan.clone(), engine));
    }
    Ok(plans)
}

async fn live(scenario: Scenario, plans: Vec<(SessionPlan, Engine)>, seed: u64) -> WorldOutcome {
    let trace = Trace::default();
    let faults = Arc::new(PlannedFaults::new(trace.clone()));
    let environment = environment(&scenario, seed, &trace, Arc::clone(&faults));
    let clock = environment.clock.clone();
    let config = NodeConfig {
        workers: scenario.node.workers,
        heavy_workers: scenario.node.heavy_workers,
        stall_limit: scenario.node.stall_limit.0,
        heartbeat_interval: scenario.node.heartbeat_interval.0,
        ended_session_retention: scenario.node.retention.0,
        memory_bytes_max: scenario.node.memory_limit,
        ..NodeConfig::for_cores(2)
    };
    let entropy = environment.entropy.clone();
    let node = Node::start(&config, environment, Placement::OneThread);
    let clients = plans.len();
    let visits = plans.into_iter().map(|(plan, engine)| {
        let client = Client {
            who: format!("client/{}", plan.name),
            draws: entropy.stream(&format!("link/{}", plan.name)),
            cost_draws: entropy.stream(&format!("costs/{}", plan.name)),
            link: scenario.link,
            clock: clock.clone(),
            trace: trace.clone(),
            faults: Arc::clone(&faults),
        };
        client.visit(node.clone(), plan, engine)
    });
    let done = std::cell::Cell::new(0);
    let everyone = join_all(visits.map(|visit| async {
        let came_to_its_end = visit.await;
        done.set(done.get() + usize::from(came_to_its_end));
    }));
    let limit = clock.sleep(scenario.time_limit.0);
    if let Either::Right(_) = select(Box::pin(everyone), Box::pin(limit)).await {
        trace.note(clock.now(), "world", "time limit reached");
    }
    let elapsed = clock.now().since(Default::default());
    // What the last departure sets off is part of the story.
    clock.sleep(SETTLING).await;
    WorldOutcome { trace: trace.render(), elapsed, clients_done: done.get(), clients }
}

fn environment(
    scenario: &Scenario,
    seed: u64,
    trace: &Trace,
    faults: Arc<PlannedFaults>,
) -> Environment {
    let node = NodeId::default();
    let clock = Clock::scenario(EPOCH);
    let picoseconds_per_nonzero = scenario.node.picoseconds_per_nonzero;
    Environment {
        node,
        entropy: Entropy::seeded(seed, node),
        recorder: Recorder::new(node, clock.clone(), Arc::new(trace.clone())),
        clock,
        work_cost: WorkCost::Charged { picoseconds_per_nonzero },
        faults: Some(faults),
    }
}

/// Someone outside the node, behind a link.
struct Client {
    who: String,
    draws: ChaCha8Rng,
    cost_draws: ChaCha8Rng,
    link: LinkPlan,
    clock: Clock,
    trace: Trace,
    faults: Arc<PlannedFaults>,
}

impl Client {
    /// Opens the session and reads until the end or until it is time to leave. Whether it came to
    /// the end that the plan foresees.
    async fn visit(mut self, node: Node, plan: SessionPlan, engine: Engine) -> bool {
        let order = engine.system().order();
        self.clock.sleep(plan.client.opens_at.0).await;
        self.travel().await;
        let opened = node
            .open(NewSession {
                engine: Box::new(engine),
                stream: plan.stream_options(),
                warnings: Vec::new(),
                listen: true,
            })
            .await;
        match opened {
            Ok(Opened { session, frames }) => {
                self.trace.name(session, &plan.name);
                self.faults.plan(session, &plan.memory_faults);
                let frames = frames.expect("the client asked to listen");
                match plan.costs {
                    None => self.listen(frames, &plan).await,
                    Some(costs) => {
                        let sender = self.sender(node, session, order);
                        let sending = sender.send(costs);
                        let (is_served, ()) = join(self.listen(frames, &plan), sending).await;
                        is_served
                    }
                }
            }
            Err(error) => self.note_refusal(&error),
        }
    }

    fn sender(&self, node: Node, session: SessionId, order: usize) -> CostSender {
        CostSender {
            who: format!("{}/costs", self.who),
            draws: self.cost_draws.clone(),
            clock: self.clock.clone(),
            trace: self.trace.clone(),
            node,
            session,
            order,
        }
    }

    fn note_refusal(&self, error: &NodeError) -> bool {
        self.note(format!("refused: {error}"));
        false
    }

    async fn listen(&mut self, mut frames: FrameReceiver, plan: &SessionPlan) -> bool {
        let leaving = plan.client.leaves_at.map(|at| at.0);
        loop {
            let left =
                leaving.map(|at| at.saturating_sub(self.clock.now().since(Default::default())));
            let batch = match left {
                None => frames.next().await,
                Some(left) => {
                    let leave = Box::pin(self.clock.sleep(left));
                    match select(leave, Box::pin(frames.next())).await {
                        Either::Left(((), _)) => {
                            self.note("leaves");
                            return true;
                        }
                        Either::Right((batch, _)) => batch,
                    }
                }
            };
            let Some(batch) = batch else {
                self.note("stream closed without an end");
                return false;
            };
            self.travel().await;
            for published in &batch {
                self.note(describe(&published.frame));
            }
            if batch.iter().any(|published| matches!(published.frame.body, FrameBody::End(_))) {
                return true;
            }
            if batch.iter().any(|published| plan.is_last_state(&published.frame)) {
                self.note("has what it came for");
                return true;
            }
            self.clock.sleep(plan.client.pause.0).await;
        }
    }

    /// Lets a message cross the link.
    async fn travel(&mut self) {
        let (least, most) = (self.link.latency_min.0, self.link.latency_max.0);
        let latency = least + (most - least).mul_f64(self.draws.random::<f64>());
        self.clock.sleep(latency).await;
    }

    fn note(&self, what: impl Into<String>) {
        self.trace.note(self.clock.now(), &self.who, what);
    }
}

/// Which version is solved, where it is one before the frame's.
fn solved_before(frame: &Frame, settled: Option<SystemVersion>) -> String {
    match settled.filter(|version| *version < frame.system_version) {
        Some(version) => format!(", solves version {}", version.0),
        None => String::new(),
    }
}

/// One frame as a person reads it, numbers to three digits.
fn describe(frame: &Frame) -> String {
    let name = frame.body.type_name();
    let sequence = frame.sequence.0;
    let rest = match &frame.body {
        FrameBody::SessionOpened(opened) => format!(
            "{} asked, {} with {} chosen",
            opened.method_requested, opened.method, opened.preconditioner
        ),
        FrameBody::Prepared(prepared) => prepared.description.clone(),
        FrameBody::IterationUpdate(update) => {
            let skipped = match update.skipped {
                0 => String::new(),
                count => format!(", {count} skipped"),
            };
            format!(
                "iteration {} residual {:.2e} {} entries{skipped}{}",
                update.iteration,
                update.residual_norm,
                update.x_partial.indices.len(),
                solved_before(
                    frame,
                    update.live.and_then(|live| live.settled).map(|it| it.version)
                ),
            )
        }
        FrameBody::CostsAccepted(accepted) => format!(
            "{} updates up to version {}: {} costs, {} entries",
            accepted.updates, frame.system_version.0, accepted.costs, accepted.entries
        ),
        FrameBody::MethodChanged(changed) => format!("{} to {}", changed.from, changed.to),
        FrameBody::Correction(made) => describe_correction(made),
        FrameBody::ConvergenceSignal(signal) => format!(
            "residual {:.2e} threshold {:.2e} converged {}{}",
            signal.residual_norm,
            signal.residual_threshold,
            signal.converged,
            solved_before(frame, signal.settled_version),
        ),
        FrameBody::VerificationResult(result) => format!(
            "verified {} at version {} iteration {}: {} of {} rows, score {:.3}{}",
            result.verdict.verified,
            result.checked_version.0,
            result.iteration,
            result.verdict.rows,
            result.claim.order,
            result.verdict.score,
            if result.escalated { ", escalated" } else { "" },
        ),
        FrameBody::Solution(solution) | FrameBody::Snapshot(solution) => {
            format!("{} entries, residual {:.2e}", solution.x.len(), solution.residual_norm)
        }
        FrameBody::Heartbeat(heartbeat) => format!("iteration {}", heartbeat.iteration),
        FrameBody::Error(error) => error.detail.clone(),
        FrameBody::End(end) => {
            format!("{} after {} iterations", end.reason.as_str(), end.iterations)
        }
    };
    format!("#{sequence} {name}: {rest}")
}

fn describe_correction(made: &CorrectionMade) -> String {
    let severity = made.severity.map_or_else(String::new, |severity| format!(" of {severity:.3}"));
    let norm = match (made.believed_norm, made.residual_norm) {
        (Some(believed), Some(norm)) => format!("residual {believed:.2e} to {norm:.2e}, "),
        (None, Some(norm)) => format!("residual {norm:.2e}, "),
        (_, None) => String::new(),
    };
    let weight = made.damping.map_or_else(String::new, |weight| format!(", weight {weight:.3}"));
    let repaired = match made.repaired_rows {
        0 => String::new(),
        rows => format!(", {rows} rows repaired"),
    };
    let (action, cause) = (made.action.as_str(), made.cause.as_str());
    let (method, preconditioner) = (made.method, made.preconditioner);
    format!(
        "{action} for {cause}{severity}: {norm}{method} with {preconditioner}{weight}{repaired}"
    )
}
