//! What a simulated world contains: one node, its sessions, and the clients that open them. Owns the
//! grammar and its limits; `world` brings it to life.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use serde::Deserialize;

use crate::policy::announcing::UpdateEvery;
use crate::protocol::stream_options::StreamOptions;
use crate::simulation::duration::ScenarioDuration;
use crate::solver::change_tracker::XPartialMax;
use crate::solver::gallery::{self, GalleryError};
use crate::solver::memory_fault::{FaultPlace, MemoryFault};
use crate::solver::options::{
    MethodName, OptionFault, PreconditionerName, SolveOptions, UnknownName,
};
use crate::solver::system::LinearSystem;

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What the scenario shows, in a sentence.
    pub name: String,
    /// The simulated time at which the world stops if clients are still busy.
    pub time_limit: ScenarioDuration,
    #[serde(default)]
    pub node: NodePlan,
    #[serde(default)]
    pub link: LinkPlan,
    pub sessions: Vec<SessionPlan>,
}

/// The machine that a node runs on.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodePlan {
    pub workers: u16,
    pub heavy_workers: u16,
    /// What a stored entry costs to touch.
    pub picoseconds_per_nonzero: u64,
    pub stall_limit: ScenarioDuration,
    pub heartbeat_interval: ScenarioDuration,
    /// How long the solution of an ended session stays readable.
    pub retention: ScenarioDuration,
    /// Bytes that all sessions together may hold.
    pub memory_limit: u64,
}

impl Default for NodePlan {
    fn default() -> Self {
        use std::time::Duration;
        Self {
            workers: 2,
            heavy_workers: 1,
            picoseconds_per_nonzero: 1_500,
            stall_limit: ScenarioDuration(Duration::from_secs(30)),
            heartbeat_interval: ScenarioDuration(Duration::from_secs(15)),
            retention: ScenarioDuration(Duration::from_secs(600)),
            memory_limit: 8 << 30,
        }
    }
}

/// How long a message between a client and the node is under way: drawn evenly between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkPlan {
    pub latency_min: ScenarioDuration,
    pub latency_max: ScenarioDuration,
}

impl Default for LinkPlan {
    fn default() -> Self {
        use std::time::Duration;
        Self {
            latency_min: ScenarioDuration(Duration::from_micros(50)),
            latency_max: ScenarioDuration(Duration::from_micros(200)),
        }
    }
}

/// A session and the client that opens it and listens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionPlan {
    /// Stands for the session in the trace.
    pub name: String,
    pub system: SystemPlan,
    #[serde(default = "default_method")]
    pub method: String,
    pub preconditioner: Option<String>,
    pub tolerance: Option<f64>,
    pub max_iterations: Option<u64>,
    /// Announce each k-th iteration; where measuring is cheap, if absent.
    pub update_every: Option<NonZeroU64>,
    pub time_budget: Option<ScenarioDuration>,
    /// Iterations between checks of its states, to begin with; 0 for none.
    pub verification_interval: Option<u64>,
    #[serde(default)]
    pub client: ClientPlan,
    /// Whether it mends itself; it does unless told not to.
    pub auto_correction: Option<bool>,
    /// Weight of the steps of `jacobi` and `gauss_seidel`.
    pub damping: Option<f64>,
    /// Numbers in the session's memory that become others.
    #[serde(default)]
    pub memory_faults: Vec<FaultPlan>,
    /// Makes the session live: its client sends changes, and leaves when the last one is worked in.
    pub costs: Option<CostsPlan>,
}

/// A number in a session's memory that becomes another one, with the first quantum that begins after `at`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    pub at: ScenarioDuration,
    pub place: FaultPlacePlan,
    #[serde(default)]
    pub row: usize,
    /// Is added to the number.
    pub by: f64,
}

/// Which number of the row is altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultPlacePlan {
    /// Its entry of `x`.
    Solution,
    /// Its first entry of `A`.
    Matrix,
    /// Its entry of `b`, as if a change that was accepted had been lost.
    Cost,
}

impl From<FaultPlan> for MemoryFault {
    fn from(plan: FaultPlan) -> Self {
        let place = match plan.place {
            FaultPlacePlan::Solution => FaultPlace::Solution,
            FaultPlacePlan::Matrix => FaultPlace::Matrix,
            FaultPlacePlan::Cost => FaultPlace::Cost,
        };
        Self { place, row: plan.row, by: plan.by }
    }
}

/// Updates of costs that a client sends, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostsPlan {
    pub starts_at: ScenarioDuration,
    /// Time between an answer and the next update.
    pub every: ScenarioDuration,
    pub updates: u64,
    /// Changes of `b` in an update, each by up to `magnitude` either way.
    #[serde(default)]
    pub costs: u32,
    /// Changes of `A` in an update, by turns a diagonal entry that grows and an entry anywhere.
    #[serde(default)]
    pub entries: u32,
    #[serde(default = "default_magnitude")]
    pub magnitude: f64,
}

fn default_magnitude() -> f64 {
    0.1
}

fn default_method() -> String {
    MethodName::Hybrid.as_str().to_owned()
}

/// When the client comes, how fast it reads, when it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientPlan {
    pub opens_at: ScenarioDuration,
    /// Time from one read to the next.
    pub pause: ScenarioDuration,
    /// Closes the connection then, whatever is still to come.
    pub leaves_at: Option<ScenarioDuration>,
}

/// A system from the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SystemPlan {
    #[serde(rename = "poisson_2d")]
    Poisson2d {
        side: usize,
    },
    #[serde(rename = "poisson_3d")]
    Poisson3d {
        side: usize,
    },
    DiagonallyDominant {
        unknowns: usize,
        nonzeros: usize,
    },
    ConvectionDiffusion {
        side: usize,
        peclet: f64,
    },
    ResistorGrid {
        side: usize,
    },
    PageRank {
        scale: u32,
        links: usize,
    },
    Cycle {
        unknowns: usize,
    },
}

impl SystemPlan {
    /// The system, its numbers drawn from `seed`.
    pub fn build(self, seed: u64) -> Result<LinearSystem, GalleryError> {
        match self {
            Self::Poisson2d { side } => gallery::poisson_2d(side, seed),
            Self::Poisson3d { side } => gallery::poisson_3d(side, seed),
            Self::DiagonallyDominant { unknowns, nonzeros } => {
                gallery::diagonally_dominant(unknowns, nonzeros, seed)
            }
            Self::ConvectionDiffusion { side, peclet } => {
                gallery::convection_diffusion(side, peclet, seed)
            }
            Self::ResistorGrid { side } => gallery::resistor_grid(side, seed),
            Self::PageRank { scale, links } => gallery::page_rank(scale, links, seed),
            Self::Cycle { unknowns } => gallery::cycle(unknowns),
        }
    }
}

/// What is wrong with a scenario file.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Names line and column.
    #[error("{0}")]
    Yaml(#[from] serde_saphyr::Error),
    #[error("a scenario has 1 to {limit} sessions, found {found}")]
    SessionCount { found: usize, limit: usize },
    #[error("two sessions are named `{name}`")]
    RepeatedName { name: String },
    #[error("node.workers and node.heavy_workers must be 1 to 64")]
    Workers,
    #[error("session `{session}`: costs.{member} must be {expected}")]
    Costs { session: String, member: &'static str, expected: &'static str },
    #[error("link.latency_min is longer than link.latency_max")]
    Latency,
    #[error("session `{session}`: {fault}")]
    Name { session: String, fault: UnknownName },
    #[error("session `{session}`: {fault}")]
    Option { session: String, fault: OptionFault },
}

/// Sessions in one scenario.
const SESSIONS_MAX: usize = 1_000;

impl Scenario {
    /// Reads and checks a scenario.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn from_yaml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_saphyr::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        if self.sessions.is_empty() || self.sessions.len() > SESSIONS_MAX {
            let found = self.sessions.len();
            return Err(ScenarioError::SessionCount { found, limit: SESSIONS_MAX });
        }
        let is_sound = |workers| (1..=64).contains(&workers);
        if !is_sound(self.node.workers) || !is_sound(self.node.heavy_workers) {
            return Err(ScenarioError::Workers);
        }
        if self.link.latency_min > self.link.latency_max {
            return Err(ScenarioError::Latency);
        }
        let mut names = BTreeSet::new();
        for session in &self.sessions {
            if !names.insert(session.name.as_str()) {
                return Err(ScenarioError::RepeatedName { name: session.name.clone() });
            }
            session.solve_options()?;
            session.check_costs()?;
        }
        Ok(())
    }
}

/// Edits in one update of a scenario, and updates in all.
const EDITS_MAX: u32 = 100_000;
const UPDATES_MAX: u64 = 1_000_000;

impl SessionPlan {
    fn check_costs(&self) -> Result<(), ScenarioError> {
        let Some(costs) = self.costs else { return Ok(()) };
        let fault = |member, expected| {
            Err(ScenarioError::Costs { session: self.name.clone(), member, expected })
        };
        match () {
            () if !(1..=UPDATES_MAX).contains(&costs.updates) => fault("updates", "1 to 1,000,000"),
            () if costs.costs > EDITS_MAX || costs.entries > EDITS_MAX => {
                fault("costs and costs.entries", "at most 100,000")
            }
            () if !costs.magnitude.is_finite() => fault("magnitude", "a finite number"),
            () => Ok(()),
        }
    }

    /// What the session is asked to solve with.
    ///
    /// # Errors
    /// The first name or value that is wrong.
    pub fn solve_options(&self) -> Result<SolveOptions, ScenarioError> {
        let name = |fault| ScenarioError::Name { session: self.name.clone(), fault };
        let preconditioner: Option<PreconditionerName> =
            self.preconditioner.as_deref().map(str::parse).transpose().map_err(name)?;
        let defaults = SolveOptions::default();
        let options = SolveOptions {
            method: self.method.parse().map_err(name)?,
            preconditioner,
            tolerance: self.tolerance.unwrap_or(defaults.tolerance),
            iterations_max: self.max_iterations.unwrap_or(defaults.iterations_max),
            damping: self.damping.unwrap_or(defaults.damping),
            auto_correction: self.auto_correction.unwrap_or(true),
            ..defaults
        };
        match options.faults().into_iter().next() {
            Some(fault) => Err(ScenarioError::Option { session: self.name.clone(), fault }),
            None => Ok(options),
        }
    }

    /// What the client asks of its stream.
    pub fn stream_options(&self) -> StreamOptions {
        let defaults = StreamOptions::default();
        let interval = self.verification_interval.map(NonZeroU64::new);
        StreamOptions {
            verification_enabled: interval != Some(None),
            verification_interval: interval.flatten().unwrap_or(defaults.verification_interval),
            time_budget: self.time_budget.map(|budget| budget.0),
            x_partial_max: XPartialMax::AtMost(4),
            update_every: self.update_every.map_or(UpdateEvery::Auto, UpdateEvery::Every),
            live: self.costs.is_some(),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "
name: two sessions
time_limit: 2 s
sessions:
  - name: grid
    system: { kind: poisson_2d, side: 8 }
    method: cg
    client: { opens_at: 1 ms }
";

    fn check(change: (&str, &str), expected: &str) {
        let text = SOUND.replace(change.0, change.1);
        assert_ne!(text, SOUND);
        let error = Scenario::from_yaml(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_scenario_is_read_with_its_defaults() {
        let scenario = Scenario::from_yaml(SOUND).unwrap();
        assert_eq!(scenario.sessions[0].system, SystemPlan::Poisson2d { side: 8 });
        assert_eq!(scenario.node, NodePlan::default());
    }

    #[test]
    fn faults_are_named() {
        check(("method: cg", "method: newton"), "session `grid`: `newton` is not one of");
        check(
            ("method: cg", "tolerance: 2"),
            "session `grid`: `tolerance` must be between 0 and 1",
        );
        check(("opens_at: 1 ms", "opens_at: 1"), "found `1`");
        check(("opens_at", "open_at"), "open_at");
        check(("kind: poisson_2d", "kind: poisson_4d"), "poisson_4d");
        check(("sessions:", "node: { workers: 0 }\nsessions:"), "1 to 64");
    }

    #[test]
    fn a_fault_of_form_has_its_line() {
        check(("opens_at: 1 ms", "opens_at: soon"), "line 8");
    }
}
