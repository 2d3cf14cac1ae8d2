//! Steps an engine to its end or to the end of its time, and keeps the times apart. Says nothing to
//! anybody: a watcher is told of every step.

use std::time::Duration;

use crate::runtime::clock::Clock;
use crate::solver::engine::Engine;
use crate::solver::outcome::{MethodSwitch, Outcome, Preparation, Progress, Step, StopReason};

/// How a solve on the command line ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Converged,
    Stopped(StopReason),
    TimeBudget(Duration),
}

/// What one run of an engine did.
#[derive(Debug, Clone, PartialEq)]
pub struct Driven {
    pub ending: Ending,
    pub preparations: Vec<String>,
    pub switches: Vec<MethodSwitch>,
    /// Time in preconditioners and factorisations.
    pub set_up: Duration,
    pub iterate: Duration,
}

/// Sees a solve as it runs.
pub trait Watcher {
    fn prepared(&mut self, preparation: &Preparation);
    /// Called after every iteration, so it must be cheap.
    fn iterated(&mut self, progress: Progress);
    fn switched(&mut self, switch: &MethodSwitch);
}

/// Steps until the engine has finished or `budget` has passed. The clock is read between steps, so one
/// long set-up can outlast the budget.
pub fn drive(
    engine: &mut Engine,
    budget: Option<Duration>,
    clock: &Clock,
    watcher: &mut dyn Watcher,
) -> Driven {
    let started = clock.now();
    let mut lap = started;
    let mut driven = Driven {
        ending: Ending::Converged,
        preparations: vec![],
        switches: vec![],
        set_up: Duration::ZERO,
        iterate: Duration::ZERO,
    };
    driven.ending = loop {
        let step = engine.step();
        let now = clock.now();
        let took = now.since(std::mem::replace(&mut lap, now));
        match step {
            Step::Prepared(preparation) => {
                driven.set_up += took;
                watcher.prepared(&preparation);
                driven.preparations.push(preparation.description);
            }
            Step::Iterated(progress) => {
                driven.iterate += took;
                watcher.iterated(progress);
            }
            Step::Switched(switch) => {
                driven.iterate += took;
                watcher.switched(&switch);
                driven.switches.push(switch);
            }
            Step::Finished(outcome) => {
                driven.iterate += took;
                break ending_of(outcome);
            }
        }
        if let Some(budget) = budget
            && now.since(started) >= budget
        {
            break out_of_time(engine, budget);
        }
    };
    driven
}

fn ending_of(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Converged { .. } => Ending::Converged,
        Outcome::Stopped(reason) => Ending::Stopped(reason),
    }
}

/// The last step before the end of the time may have been the one that converged.
fn out_of_time(engine: &mut Engine, budget: Duration) -> Ending {
    match engine.true_residual_norm() <= engine.residual_threshold() {
        true => Ending::Converged,
        false => Ending::TimeBudget(budget),
    }
}
