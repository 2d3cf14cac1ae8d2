//! The path engine of a live system: planned and factorised when asked, then kept true by working each
//! change into the factor along its path, just before `x` is wanted. Owns what waits to be worked in and
//! when the factor is made anew; the factor itself is `solver::path`'s.

mod dual;

use std::collections::BTreeMap;

use crate::solver::live::engine::report::{LiveEnd, LiveStop, LiveWork};
use crate::solver::live::state::{EntryChange, LiveSystem, RhsChange};
use crate::solver::method::separator;
use crate::solver::outcome::{Preparation, Work};
use crate::solver::path::{
    ChangeRefusal, PathEngine, PathForecast, PathLimits, PathPlan, PathRefusal,
};
use crate::solver::system::Rows;

/// Operations of a factorisation that a live system may ask for: some ten seconds.
const FLOPS_MAX: f64 = 3e10;

/// A factorisation costs about this many times its widest front (see `method::hybrid`).
const FRONTS: f64 = 16.0;

/// Operations that take as long as touching one entry.
const FLOPS_PER_ENTRY: f64 = 4.0;

/// Entries touched, in passes over `A`, by ordering and counting.
const PLAN_PASSES: u64 = 60;

/// A changed entry of `A` costs this many times its path: both triangles, read and written.
const CHANGE_PASSES: f64 = 4.0;

/// A factor that has lost so many digits is made anew.
const WEAR_MAX: f64 = 1e-7;

/// Corrections by what is left, in one call.
const CORRECTIONS_MAX: u32 = 4;

/// After a refusal, entries that must change before another attempt; twice as many after each.
const RETRY_MIN: u64 = 64;

/// Where the path engine stands.
#[derive(Debug)]
enum Stage {
    Unplanned,
    Planned(Box<PathPlan>),
    Ready(Box<Ready>),
    /// Not to be tried again before so many entries have changed.
    Refused {
        changed: u64,
    },
}

/// A factor and what has changed since it was last true.
#[derive(Debug)]
struct Ready {
    engine: PathEngine,
    forecast: PathForecast,
    /// For each place that has changed, what the factor and `y` hold there.
    entries: BTreeMap<(u32, u32), f64>,
    rhs: BTreeMap<u32, f64>,
    /// All of it is to be made anew.
    is_outdated: bool,
    rhs_is_outdated: bool,
}

/// The path engine of a live system, or what became of it.
#[derive(Debug)]
pub(super) struct Path {
    stage: Stage,
    limits: PathLimits,
    retry_after: u64,
}

impl Path {
    pub fn new(memory_bytes_max: u64) -> Self {
        let limits = PathLimits { memory_bytes_max, flops_max: FLOPS_MAX };
        Self { stage: Stage::Unplanned, limits, retry_after: RETRY_MIN }
    }

    pub fn limit_memory(&mut self, bytes_max: u64) {
        self.limits.memory_bytes_max = self.limits.memory_bytes_max.min(bytes_max.max(1));
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    pub fn rhs_changed(&mut self, change: &RhsChange) {
        if let Stage::Ready(ready) = &mut self.stage {
            ready.rhs_changed(change);
        }
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        match &mut self.stage {
            Stage::Ready(ready) => ready.entry_changed(change),
            // A plan is of a pattern.
            Stage::Planned(_) if change.is_new => self.stage = Stage::Unplanned,
            Stage::Refused { changed } => {
                *changed += 1;
                if *changed >= self.retry_after {
                    self.stage = Stage::Unplanned;
                }
            }
            Stage::Planned(_) | Stage::Unplanned => {}
        }
    }

    /// Foreseen work and set-up; none where a path is refused.
    pub fn predicted(&self, live: &LiveSystem) -> Option<(Work, Work)> {
        let (n, nonzeros) = (live.order() as u64, live.matrix().nonzeros() as u64);
        let measured = nonzeros + 4 * n;
        match &self.stage {
            Stage::Refused { .. } => None,
            Stage::Unplanned => {
                // About what nested dissection leaves of a plane.
                let entries = n * (2 + 2 * u64::from(n.max(2).ilog2()));
                Some((touching(entries + measured), touching(PLAN_PASSES * nonzeros)))
            }
            Stage::Planned(plan) => {
                let forecast = plan.forecast();
                Some((touching(forecast.entries + measured), factorising(&forecast)))
            }
            Stage::Ready(ready) => {
                let set_up = match ready.wants_factor() {
                    true => factorising(&ready.forecast),
                    false => Work::default(),
                };
                Some((
                    touching(ready.waiting_entries() + ready.forecast.entries + measured),
                    set_up,
                ))
            }
        }
    }

    /// What a set-up takes at its peak beyond what is held.
    pub fn next_step_bytes(&self) -> u64 {
        match &self.stage {
            Stage::Planned(plan) => plan.forecast().peak_bytes,
            Stage::Ready(ready) if ready.wants_factor() => {
                ready.forecast.peak_bytes - ready.forecast.memory_bytes
            }
            Stage::Ready(_) | Stage::Unplanned | Stage::Refused { .. } => 0,
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        match &self.stage {
            Stage::Ready(ready) => {
                ready.engine.memory_bytes() + 48 * (ready.entries.len() + ready.rhs.len()) as u64
            }
            Stage::Planned(plan) => plan.forecast().memory_bytes / 2,
            Stage::Unplanned | Stage::Refused { .. } => 0,
        }
    }

    /// Sets up what is missing, or works in what waits and solves; returns the residual norm where `x`
    /// moved.
    pub fn work(
        &mut self,
        live: &mut LiveSystem,
        threshold: f64,
        entries_max: u64,
    ) -> (LiveWork, Option<f64>) {
        let done = match std::mem::replace(&mut self.stage, Stage::Unplanned) {
            Stage::Unplanned => self.plan(live).map(|work| (work, None)),
            Stage::Planned(plan) => self.factor(live, *plan).map(|work| (work, None)),
            Stage::Ready(ready) => self.solve(live, ready, threshold, entries_max),
            Stage::Refused { changed } => {
                self.stage = Stage::Refused { changed };
                let evidence = "an attempt was refused".to_owned();
                let end = LiveEnd::Failed(LiveStop::NoPath { evidence });
                return (LiveWork { work: Work::default(), end }, None);
            }
        };
        done.unwrap_or_else(|stop| {
            self.stage = Stage::Refused { changed: 0 };
            self.retry_after *= 2;
            let end = LiveEnd::Failed(stop);
            (LiveWork { work: Work::default(), end }, None)
        })
    }

    fn plan(&mut self, live: &mut LiveSystem) -> Result<LiveWork, LiveStop> {
        live.merge();
        let rows = live.matrix().stored_rows();
        refuse_wide(rows)?;
        let plan = PathPlan::of(rows, self.limits)?;
        let PathForecast { entries, path_entries_mean, .. } = plan.forecast();
        let description =
            format!("plan of a path engine: {entries} entries, {path_entries_mean:.0} on a path");
        self.stage = Stage::Planned(Box::new(plan));
        Ok(prepared(description, touching(PLAN_PASSES * rows.values.len() as u64)))
    }

    fn factor(&mut self, live: &mut LiveSystem, plan: PathPlan) -> Result<LiveWork, LiveStop> {
        live.merge();
        let forecast = plan.forecast();
        let engine = PathEngine::factor(plan, live.matrix().stored_rows(), live.rhs())?;
        let negative = engine.negative_pivots();
        let description =
            format!("path engine: {} entries, {negative} negative pivots", forecast.entries);
        self.stage = Stage::Ready(Box::new(Ready {
            engine,
            forecast,
            entries: BTreeMap::new(),
            rhs: BTreeMap::new(),
            is_outdated: false,
            rhs_is_outdated: false,
        }));
        Ok(prepared(description, factorising(&forecast)))
    }

    fn solve(
        &mut self,
        live: &mut LiveSystem,
        mut ready: Box<Ready>,
        threshold: f64,
        entries_max: u64,
    ) -> Result<(LiveWork, Option<f64>), LiveStop> {
        let done = if ready.wants_factor() {
            (ready.refactorise(live)?, None)
        } else {
            match ready.catch_up(live, entries_max) {
                Caught::All(work) => ready.settle(live, threshold, work)?,
                Caught::Some(work) => (LiveWork { work, end: LiveEnd::Paused }, None),
                Caught::Refused(ChangeRefusal::OutsideFill { .. }, work) => {
                    let description = "an entry outside the fill: the path is planned anew";
                    return Ok((prepared(description.to_owned(), work), None));
                }
                Caught::Refused(_, work) => {
                    ready.is_outdated = true;
                    let description = "a change was refused: the path is factorised anew";
                    (prepared(description.to_owned(), work), None)
                }
            }
        };
        self.stage = Stage::Ready(ready);
        Ok(done)
    }
}

/// What became of changes that waited.
enum Caught {
    All(Work),
    /// Not all of them yet.
    Some(Work),
    Refused(ChangeRefusal, Work),
}

impl Ready {
    fn rhs_changed(&mut self, change: &RhsChange) {
        if self.rhs_is_outdated || self.is_outdated {
            return;
        }
        self.rhs.entry(change.row as u32).or_insert(change.old);
        let path = self.forecast.path_entries_mean;
        if self.rhs.len() as f64 * path > self.forecast.entries as f64 + path {
            // A pass over all of `L` is shorter.
            self.rhs.clear();
            self.rhs_is_outdated = true;
        }
    }

    fn entry_changed(&mut self, change: &EntryChange) {
        if self.is_outdated {
            return;
        }
        self.entries.entry((change.row as u32, change.col as u32)).or_insert(change.old);
        let flops = self.entries.len() as f64 * CHANGE_PASSES * self.forecast.path_entries_mean;
        if flops * FLOPS_PER_ENTRY > self.forecast.flops + 1e5 {
            self.entries.clear();
            self.is_outdated = true;
        }
    }

    fn wants_factor(&self) -> bool {
        self.is_outdated || self.engine.wear() > WEAR_MAX
    }

    /// Entries to be touched before the factor is true.
    fn waiting_entries(&self) -> u64 {
        let mean = self.forecast.path_entries_mean;
        let changes = CHANGE_PASSES * self.entries.len() as f64 + self.rhs.len() as f64;
        let whole = if self.rhs_is_outdated { self.forecast.entries } else { 0 };
        (changes * mean) as u64 + whole
    }

    fn refactorise(&mut self, live: &mut LiveSystem) -> Result<LiveWork, PathRefusal> {
        live.merge();
        self.engine.refactorise(live.matrix().stored_rows(), live.rhs())?;
        self.entries.clear();
        self.rhs.clear();
        (self.is_outdated, self.rhs_is_outdated) = (false, false);
        let description = "path engine: factorised anew".to_owned();
        Ok(prepared(description, factorising(&self.forecast)))
    }

    /// Works changes in until none waits or `entries_max` is used up.
    fn catch_up(&mut self, live: &LiveSystem, entries_max: u64) -> Caught {
        let mut touched = 0;
        while let Some(((row, col), held)) = self.entries.pop_first() {
            let (row, col) = (row as usize, col as usize);
            match self.engine.change_entry(row, col, live.matrix().value(row, col) - held) {
                Ok(done) => touched += (CHANGE_PASSES * done.touched_entries as f64) as u64,
                Err(refusal) => return Caught::Refused(refusal, touching(touched)),
            }
            if touched >= entries_max {
                return Caught::Some(touching(touched));
            }
        }
        if self.rhs_is_outdated {
            if self.engine.replace_rhs(live.rhs()).is_err() {
                unreachable!("the system keeps its order");
            }
            touched += self.forecast.entries;
            self.rhs_is_outdated = false;
        }
        while let Some((row, held)) = self.rhs.pop_first() {
            match self.engine.change_rhs(row as usize, live.rhs()[row as usize] - held) {
                Ok(entries) => touched += entries,
                Err(refusal) => return Caught::Refused(refusal, touching(touched)),
            }
        }
        Caught::All(touching(touched))
    }

    /// Takes `x` over, measures it and corrects it until it is settled.
    fn settle(
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
            return Ok((LiveWork { work, end: LiveEnd::Settled }, Some(reached)));
        }
        if before < reached || !reached.is_finite() {
            live.write_x(&kept);
        }
        let left = Some(live.residual_norm());
        if self.engine.wear() > 0.0 {
            // The factor has been changed since it was made: it may be what is wrong.
            self.is_outdated = true;
            let description = "the factor has worn: the path is factorised anew".to_owned();
            return Ok((prepared(description, work), left));
        }
        let evidence = format!("it leaves a residual of {reached:.3e}, above {threshold:.3e}");
        Err(LiveStop::NoPath { evidence })
    }
}

/// Refuses a graph that is so wide that the ordering alone would take long.
fn refuse_wide(rows: Rows) -> Result<(), PathRefusal> {
    if rows.count() < separator::ORDER_MIN {
        return Ok(());
    }
    let width_max = (3.0 * FLOPS_MAX / FRONTS).cbrt();
    let width = separator::quick_front(rows, width_max as usize) as f64;
    match width > width_max {
        true => {
            let flops = FRONTS / 3.0 * width.powi(3);
            Err(PathRefusal::OutOfWorkBudget { flops, limit: FLOPS_MAX })
        }
        false => Ok(()),
    }
}

fn prepared(description: String, work: Work) -> LiveWork {
    LiveWork { work, end: LiveEnd::Prepared(Preparation { description, work }) }
}

fn touching(nonzeros: u64) -> Work {
    Work { nonzeros, flops: 2 * nonzeros }
}

fn factorising(forecast: &PathForecast) -> Work {
    let nonzeros = (forecast.flops / FLOPS_PER_ENTRY) as u64 + 6 * forecast.entries;
    Work { nonzeros, flops: forecast.flops as u64 }
}
