//! A storm of changes against one live session in this process, and what its listener was told. Owns the
//! weather; what the picture makes of it is the chart's.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::actors::frame_channel::FrameReceiver;
use crate::actors::messages::{CostVerdict, CostsUnavailable, SourcedDelta};
use crate::actors::node::{NewSession, Node, NodeError};
use crate::cli::text::seconds;
use crate::ids::{NodeId, SessionId, SystemVersion};
use crate::protocol::frame::{FrameBody, IterationUpdate};
use crate::protocol::stream_options::StreamOptions;
use crate::runtime::clock::{Clock, Moment};
use crate::runtime::config::NodeConfig;
use crate::solver::analysis::Analysis;
use crate::solver::engine::Engine;
use crate::solver::live::{BoundKind, Change, CostDelta, EngineName};
use crate::solver::options::SolveOptions;
use crate::solver::outcome::Refusal;
use crate::solver::system::LinearSystem;

/// Each change multiplies what it meets by 1 plus or minus this.
const CHANGE: f64 = 1e-3;

/// What is due is sent this often.
const PACE: Duration = Duration::from_millis(1);

/// Changes that are sent at once at most; what is due beyond waits.
const BURST_MAX: usize = 4_096;

/// How hard it blows, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    /// Changes a second at its height.
    pub rate: f64,
    pub seconds: f64,
    pub seed: u64,
}

/// Parts of the time with the part of the rate that changes b, and that which changes A.
const WEATHER: [(f64, f64, f64); 5] = [
    (0.15, 0.002, 0.0),
    (0.35, 1.0, 0.0),
    (0.1, 0.002, 0.0),
    (0.25, 0.5, 0.05),
    (0.15, 0.002, 0.0),
];

/// A state that the session announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Since the first change.
    pub at: Duration,
    pub version: u64,
    pub relative_residual: f64,
    pub converged: bool,
    /// The latest version that it is known to solve.
    pub settled_version: Option<u64>,
    pub bound: BoundKind,
    /// Of `x`, against its largest entry.
    pub relative_bound: Option<f64>,
    /// Who worked since the state before.
    pub engine: Option<EngineName>,
}

/// Changes that were accepted together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    pub at: Duration,
    pub of_b: u64,
    pub of_a: u64,
    /// The version of the last of them.
    pub version: u64,
}

/// What the sender and the listener saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub tolerance: f64,
    pub bursts: Vec<Burst>,
    pub states: Vec<State>,
    /// Set-ups that came home, with what they are.
    pub set_ups: Vec<(Duration, String)>,
    pub took: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum StormError {
    #[error("the system cannot be solved: {0}")]
    Engine(#[from] Box<Refusal>),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("changes were refused: {0}")]
    Costs(#[from] CostsUnavailable),
    #[error("a change of what is held was refused")]
    Refused,
    #[error("the stream ended")]
    Ended,
}

impl Told {
    pub fn changes(&self) -> u64 {
        self.bursts.iter().map(|burst| burst.of_b + burst.of_a).sum()
    }

    /// How long each burst took from being sent to the first state that is converged for a version that
    /// holds it, ascending.
    pub fn staleness(&self) -> Vec<Duration> {
        let mut states = self.states.iter().peekable();
        let mut stale = vec![];
        for burst in &self.bursts {
            while states.next_if(|state| state.settled_version < Some(burst.version)).is_some() {}
            stale.extend(states.peek().map(|state| state.at.saturating_sub(burst.at)));
        }
        stale.sort_unstable();
        stale
    }

    pub fn staleness_in_words(&self) -> String {
        let stale = self.staleness();
        let Some(last) = stale.len().checked_sub(1) else { return "–".to_owned() };
        let at = |part: f64| seconds(stale[(last as f64 * part).round() as usize]);
        format!("{} (median), {} (99 %)", at(0.5), at(0.99))
    }
}

/// Opens a session, lets the storm pass and waits until its last change is settled.
///
/// # Errors
/// See [`StormError`].
pub async fn run(system: LinearSystem, storm: &Storm) -> Result<Told, StormError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let node = Node::launch(&NodeConfig::for_cores(cores), NodeId(0));
    let clock = Clock::system();
    let places = Places::of(&system);
    let options = SolveOptions::default();
    let tolerance = options.tolerance;
    let analysis = Analysis::of(&system);
    let engine = Engine::new(system, analysis, None, options).map_err(Box::new)?;
    let stream = StreamOptions { live: true, ..StreamOptions::default() };
    let new = NewSession { engine: Box::new(engine), stream, warnings: vec![], listen: true };
    let opened = node.open(new).await?;
    let frames = opened.frames.ok_or(StormError::Ended)?;
    let mut listener = Listener { frames, clock: clock.clone(), states: vec![], set_ups: vec![] };
    listener.until_settled(0).await?;
    let begun = clock.now();
    // What is said of the solve itself is not of the storm; its last state is where that begins.
    listener.states.drain(..listener.states.len().saturating_sub(1));
    listener.set_ups.clear();
    let sender = Sender { node: &node, session: opened.session, clock: &clock, begun };
    let (sent, heard) = futures_util::future::join(
        sender.send(storm, places),
        listener.until_settled(planned(storm)),
    )
    .await;
    let bursts = sent?;
    heard?;
    node.delete(opened.session).await?;
    let since = |at: Moment| at.since(begun);
    Ok(Told {
        tolerance,
        took: since(clock.now()),
        bursts,
        states: listener
            .states
            .into_iter()
            .map(|(at, state)| State { at: since(at), ..state })
            .collect(),
        set_ups: listener.set_ups.into_iter().map(|(at, what)| (since(at), what)).collect(),
    })
}

/// Changes of b and of A that are due after `elapsed` seconds.
fn due(storm: &Storm, elapsed: f64) -> (u64, u64) {
    let (mut of_b, mut of_a, mut from) = (0.0, 0.0, 0.0);
    for (part, rate_of_b, rate_of_a) in WEATHER {
        let length = part * storm.seconds;
        let passed = (elapsed - from).clamp(0.0, length);
        of_b += passed * rate_of_b * storm.rate;
        of_a += passed * rate_of_a * storm.rate;
        from += length;
    }
    (of_b as u64, of_a as u64)
}

fn planned(storm: &Storm) -> u64 {
    let (of_b, of_a) = due(storm, storm.seconds);
    of_b + of_a
}

/// Where changes go, and what is there by then.
struct Places {
    rhs: Vec<f64>,
    /// Row, column and value of every entry.
    entries: Vec<(u32, u32, f64)>,
}

impl Places {
    fn of(system: &LinearSystem) -> Self {
        let rows = system.rows();
        let mut entries = Vec::with_capacity(system.nonzeros());
        for row in 0..system.order() {
            let (cols, values) = rows.row(row);
            entries.extend(cols.iter().zip(values).map(|(col, value)| (row as u32, *col, *value)));
        }
        Self { rhs: system.rhs().to_vec(), entries }
    }

    fn change_rhs(&mut self, rng: &mut ChaCha8Rng) -> CostDelta {
        let row = below(rng, self.rhs.len());
        self.rhs[row] *= factor(rng);
        let mut delta = CostDelta::default();
        delta.edit_rhs(row, Change::Set(self.rhs[row]), None);
        delta
    }

    fn change_entry(&mut self, rng: &mut ChaCha8Rng) -> CostDelta {
        let at = below(rng, self.entries.len());
        let (row, col, value) = &mut self.entries[at];
        *value *= factor(rng);
        let mut delta = CostDelta::default();
        delta.edit_entry(*row as usize, *col as usize, Change::Set(*value), None);
        delta
    }
}

fn below(rng: &mut ChaCha8Rng, count: usize) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

fn factor(rng: &mut ChaCha8Rng) -> f64 {
    if rng.next_u64() & 1 == 0 { 1.0 + CHANGE } else { 1.0 - CHANGE }
}

struct Sender<'a> {
    node: &'a Node,
    session: SessionId,
    clock: &'a Clock,
    begun: Moment,
}

impl Sender<'_> {
    async fn send(&self, storm: &Storm, mut places: Places) -> Result<Vec<Burst>, StormError> {
        let mut rng = ChaCha8Rng::seed_from_u64(storm.seed);
        let (mut sent_of_b, mut sent_of_a, mut version) = (0, 0, 0);
        let mut bursts = vec![];
        loop {
            let elapsed = self.clock.now().since(self.begun).as_secs_f64();
            let (of_b, of_a) = due(storm, elapsed);
            let of_a_now = (of_a - sent_of_a).min(BURST_MAX as u64 / 4);
            let of_b_now = (of_b - sent_of_b).min(BURST_MAX as u64 - of_a_now);
            if of_a_now + of_b_now > 0 {
                let mut updates = Vec::with_capacity((of_a_now + of_b_now) as usize);
                updates.extend((0..of_b_now).map(|_| places.change_rhs(&mut rng)));
                updates.extend((0..of_a_now).map(|_| places.change_entry(&mut rng)));
                let at = self.clock.now().since(self.begun);
                version += updates.len() as u64;
                self.apply(updates).await?;
                bursts.push(Burst { at, of_b: of_b_now, of_a: of_a_now, version });
                (sent_of_b, sent_of_a) = (sent_of_b + of_b_now, sent_of_a + of_a_now);
            } else if elapsed >= storm.seconds {
                return Ok(bursts);
            }
            self.clock.sleep(PACE).await;
        }
    }

    async fn apply(&self, deltas: Vec<CostDelta>) -> Result<(), StormError> {
        let updates = deltas.into_iter().map(|delta| SourcedDelta { delta, source: None });
        let verdicts = self.node.apply_costs(self.session, updates.collect()).await?;
        let is_accepted = |verdict: &CostVerdict| matches!(verdict, CostVerdict::Accepted { .. });
        verdicts.iter().all(is_accepted).then_some(()).ok_or(StormError::Refused)
    }
}

struct Listener {
    frames: FrameReceiver,
    clock: Clock,
    states: Vec<(Moment, State)>,
    set_ups: Vec<(Moment, String)>,
}

impl Listener {
    /// Listens until convergence is signalled for `version`.
    async fn until_settled(&mut self, version: u64) -> Result<(), StormError> {
        let mut is_settled = false;
        while !is_settled {
            let batch = self.frames.next().await.ok_or(StormError::Ended)?;
            let at = self.clock.now();
            for published in &batch {
                let reached = published.frame.system_version.0;
                match &published.frame.body {
                    FrameBody::IterationUpdate(update) => {
                        self.states.push((at, state(reached, update)));
                    }
                    FrameBody::Prepared(prepared) => {
                        self.set_ups.push((at, prepared.description.clone()));
                    }
                    FrameBody::ConvergenceSignal(signal) => {
                        let settled = signal.settled_version.filter(|_| signal.converged);
                        is_settled |= settled >= Some(SystemVersion(version));
                    }
                    FrameBody::End(_) => return Err(StormError::Ended),
                    FrameBody::SessionOpened(_)
                    | FrameBody::CostsAccepted(_)
                    | FrameBody::MethodChanged(_)
                    | FrameBody::Correction(_)
                    | FrameBody::VerificationResult(_)
                    | FrameBody::Solution(_)
                    | FrameBody::Snapshot(_)
                    | FrameBody::Heartbeat(_)
                    | FrameBody::Error(_) => {}
                }
            }
        }
        Ok(())
    }
}

fn state(version: u64, update: &IterationUpdate) -> State {
    let live = update.live.as_ref();
    State {
        at: Duration::ZERO,
        version,
        relative_residual: update.relative_residual,
        converged: live.is_some_and(|live| live.converged),
        settled_version: live.and_then(|live| live.settled).map(|settled| settled.version.0),
        bound: live.map_or(BoundKind::None, |live| live.error_bound.kind),
        relative_bound: live.and_then(|live| live.error_bound.relative),
        engine: live.and_then(|live| live.engine).map(|engine| engine.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;

    #[test]
    fn the_weather_lasts_as_long_as_the_storm_and_no_change_is_lost() {
        let storm = Storm { rate: 1_000.0, seconds: 10.0, seed: 1 };
        let length: f64 = WEATHER.iter().map(|(part, _, _)| part).sum();
        assert!((length - 1.0).abs() < 1e-12);
        assert_eq!(due(&storm, 0.0), (0, 0));
        assert_eq!(due(&storm, 10.0), due(&storm, 1e3));
        let (mut before, mut seen) = ((0, 0), (0, 0));
        for step in 0..=1_000 {
            let now = due(&storm, f64::from(step) * 0.01);
            assert!(now.0 >= before.0 && now.1 >= before.1);
            seen = (seen.0 + now.0 - before.0, seen.1 + now.1 - before.1);
            before = now;
        }
        assert_eq!(seen.0 + seen.1, planned(&storm));
        assert!(seen.1 > 0);
    }

    #[test]
    fn what_a_listener_is_told_holds_every_change() {
        let system = gallery::diagonally_dominant(200, 1_000, 3).unwrap();
        let storm = Storm { rate: 2_000.0, seconds: 0.2, seed: 3 };
        let told = actix::System::new().block_on(run(system, &storm)).unwrap();
        assert_eq!(told.changes(), planned(&storm));
        let last = told.states.last().unwrap();
        assert_eq!(last.settled_version, Some(planned(&storm)));
        assert!(last.converged && last.version == planned(&storm));
        assert!(last.relative_residual <= told.tolerance && last.bound == BoundKind::Proven);
        assert_eq!(told.staleness().len(), told.bursts.len());
        assert!(told.states.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }
}
