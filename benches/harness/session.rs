//! A live system as a session runs it: the governor chooses among the engine's offers, sets up between
//! changes what has paid for itself, and learns.

use std::time::Duration;

use cpu_time::ProcessTime;
use weir::policy::planning::Governor;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::live::{EngineName, LiveEnd, LiveEngine};
use weir::solver::options::SolveOptions;
use weir::solver::outcome::Step;
use weir::solver::system::LinearSystem;

/// Solved to 1e-8 by `hybrid`.
pub fn solved(system: LinearSystem) -> LiveEngine {
    let analysis = Analysis::of(&system);
    let mut engine = Engine::new(system, analysis, None, SolveOptions::default()).expect("hybrid");
    while !matches!(engine.step(), Step::Finished(_)) {}
    LiveEngine::of(engine).expect("numbers of ordinary size")
}

/// Who settles.
pub enum Contender {
    Fixed(EngineName),
    Governed(Box<Governor>),
}

/// What work there was.
#[derive(Default)]
pub struct Tally {
    /// Calls of each engine, as in [`EngineName::ALL`].
    pub calls: [u64; 3],
    /// For set-ups, while changes waited.
    pub set_ups: Duration,
}

impl Contender {
    pub fn governor() -> Self {
        Self::Governed(Box::default())
    }

    /// Works until settled; false if that takes longer than `limit` or is not possible.
    pub fn settle(&mut self, live: &mut LiveEngine, tally: &mut Tally, limit: Duration) -> bool {
        let began = ProcessTime::now();
        while !live.is_settled() {
            if began.elapsed() > limit {
                return false;
            }
            let started = ProcessTime::now();
            let (engine, end) = match self {
                Self::Fixed(engine) => (*engine, live.work(*engine, 50_000_000).end),
                Self::Governed(governor) => {
                    let Some(plan) = governor.choose(&live.offers()) else { return false };
                    let done = live.work(plan.engine, plan.entries_max);
                    governor.learn(&plan, &done, started.elapsed());
                    (plan.engine, done.end)
                }
            };
            let at = EngineName::ALL.iter().position(|name| *name == engine).expect("one of all");
            tally.calls[at] += 1;
            match end {
                LiveEnd::Settled | LiveEnd::Paused => {}
                LiveEnd::Prepared(_) => tally.set_ups += started.elapsed(),
                LiveEnd::Failed(_) if matches!(self, Self::Fixed(_)) => return false,
                LiveEnd::Failed(_) => {}
            }
        }
        true
    }

    /// Set-ups between changes, which a session makes while nothing else is to be done; false where the
    /// engine cannot be set up.
    pub fn prepare(&mut self, live: &mut LiveEngine) -> bool {
        match self {
            Self::Fixed(engine) => loop {
                let Some(offer) = live.offers().into_iter().find(|offer| offer.engine == *engine)
                else {
                    return true;
                };
                if offer.set_up.nonzeros == 0 {
                    return true;
                }
                if let LiveEnd::Failed(_) = live.work(*engine, u64::MAX).end {
                    return false;
                }
            },
            Self::Governed(governor) => {
                while let Some(plan) = governor.choose(&live.offers()) {
                    let started = ProcessTime::now();
                    let done = live.work(plan.engine, plan.entries_max);
                    governor.learn(&plan, &done, started.elapsed());
                }
                true
            }
        }
    }
}
