//! A path that is set up: works in what waits along its paths, solves, and measures what came of it.

use super::waiting::{CHANGE_PASSES, Waiting};
use super::{prepared, touching};
use crate::solver::live::engine::report::{LiveEnd, LiveStop, LiveWork};
use crate::solver::live::state::LiveSystem;
use crate::solver::outcome::Work;
use crate::solver::path::{ChangeRefusal, PathEngine, PathForecast};

/// A factor that has lost so many digits is made anew.
const WEAR_MAX: f64 = 1e-7;

/// Corrections by what is left, in one call.
const CORRECTIONS_MAX: u32 = 4;

/// A factor and what has changed since it was last true.
#[derive(Debug)]
pub(super) struct Ready {
    pub engine: Box<PathEngine>,
    pub forecast: PathForecast,
    pub waiting: Waiting,
    /// Whether it has settled the system since it was made.
    pub has_served: bool,
}

/// What became of changes that waited.
pub(super) enum Caught {
    All(Work),
    /// Not all of them yet.
    Some(Work),
    Refused(ChangeRefusal, Work),
}

impl Ready {
    pub fn wants_factor(&self) -> bool {
        self.waiting.is_outdated || self.engine.wear() > WEAR_MAX
    }

    /// Entries until settled: what waits, and one pass over the factor.
    pub fn work(&self) -> u64 {
        self.waiting.work(&self.forecast) + self.forecast.entries
    }

    pub fn memory_bytes(&self) -> u64 {
        self.engine.memory_bytes() + self.waiting.memory_bytes()
    }

    /// Works changes in until none waits or `entries_max` is used up.
    pub fn catch_up(&mut self, live: &LiveSystem, entries_max: u64) -> Caught {
        let mut touched = 0;
        while let Some(((row, col), held)) = self.waiting.entries.pop_first() {
            let (row, col) = (row as usize, col as usize);
            match self.engine.change_entry(row, col, live.matrix().value(row, col) - held) {
                Ok(done) => touched += (CHANGE_PASSES * done.touched_entries as f64) as u64,
                Err(refusal) => return Caught::Refused(refusal, touching(touched)),
            }
            if touched >= entries_max {
                return Caught::Some(touching(touched));
            }
        }
        if self.waiting.rhs_is_outdated {
            if self.engine.replace_rhs(live.rhs()).is_err() {
                unreachable!("the system keeps its order");
            }
            touched += self.forecast.entries;
            self.waiting.rhs_is_outdated = false;
        }
        while let Some((row, held)) = self.waiting.rhs.pop_first() {
            match self.engine.change_rhs(row as usize, live.rhs()[row as usize] - held) {
                Ok(entries) => touched += entries,
                Err(refusal) => return Caught::Refused(refusal, touching(touched)),
            }
        }
        Caught::All(touching(touched))
    }

    /// Takes `x` over, measures it and corrects it until it is settled.
    pub fn settle(
        &mut self,
        live: &mut LiveSystem,
        threshold: f64,
        mut work: Work,
    ) -> Result<(LiveWork, Option<f64>), LiveStop> {
        let measured = live.matrix().nonzeros() as u64 + 4 * live.order() as u64;
        let before = live.residual_norm();
        let kept = live.copy_x();
        let mut x = vec![0.0; live.order()];
        let mut best = f64::INFINITY;
        work += touching(self.forecast.entries + measured);
        if self.engine.solution(&mut x).is_ok() && live.replace_x(&x).is_ok() {
            best = live.residual_norm();
        }
        for _ in 0..CORRECTIONS_MAX {
            if best <= threshold || !best.is_finite() {
                break;
            }
            let mut correction = live.copy_residual();
            work += touching(2 * self.forecast.entries + measured);
            if self.engine.correct(&mut correction).is_err() {
                break;
            }
            let corrected: Vec<f64> = x.iter().zip(&correction).map(|(x, c)| x + c).collect();
            if live.replace_x(&corrected).is_err() || live.residual_norm() > 0.5 * best {
                break;
            }
            x = corrected;
            best = live.residual_norm();
        }
        let reached = live.residual_norm();
        if reached <= threshold {
            self.has_served = true;
            return Ok((LiveWork { work, end: LiveEnd::Settled }, Some(reached)));
        }
        if before < reached || !reached.is_finite() {
            live.write_x(&kept);
        }
        let left = Some(live.residual_norm());
        if self.engine.wear() > 0.0 {
            // The factor has been changed since it was made: it may be what is wrong.
            self.waiting.outdate();
            let description = "the factor has worn: the path is to be factorised anew";
            return Ok((prepared(description.to_owned(), work), left));
        }
        let evidence = format!("it leaves a residual of {reached:.3e}, above {threshold:.3e}");
        Err(LiveStop::NoPath { evidence })
    }
}
