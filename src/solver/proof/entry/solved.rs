//! The whole system solved for the sake of some entries: by a path engine where its factor is small and
//! local methods have no ground, else by the engine. Owns `x`, what is proven of it, and reads.

use crate::solver::analysis::Analysis;
use crate::solver::engine::Engine;
use crate::solver::options::SolveOptions;
use crate::solver::path::{PathEngine, PathLimits, PathPlan, PathRefusal};
use crate::solver::proof::directed::mul_up;
use crate::solver::proof::entry::choose::has_m_signs;
use crate::solver::proof::entry::dual::Dual;
use crate::solver::proof::entry::inquiry::{
    BoundKind, EntryAnswer, Ground, InquiryFault, InquiryOptions,
};
use crate::solver::proof::entry::run::{Run, RunEnd};
use crate::solver::proof::entry::{
    Accuracy, EntryEnd, EntryMethod, EntryQuery, Known, Patience, PushSpace, Stored, push,
};
use crate::solver::proof::search::{SearchLimits, find};
use crate::solver::proof::{ErrorBound, Witness};
use crate::solver::system::LinearSystem;

/// Operations of a factorisation up to which a path is preferred: a third of a second or so. Beyond, the
/// engine's supernodal factorisations and multigrid are faster.
const PATH_FLOPS_MAX: f64 = 4e8;

/// Residual of a solve when nothing tells how small it must be.
const TOLERANCE: f64 = 1e-10;
const TOLERANCE_MIN: f64 = 1e-14;

/// Of the largest entry: smaller ones may need pushes on the residual.
const LIKELY: f64 = 0.1;

/// Solves, each from the `x` before, until the bound suffices.
const ROUNDS_MAX: u32 = 3;

const ESTIMATED: &str = "nothing is proven without a witness";
const CORRECTED: &str = "a solve with the transpose tells what the residual of x does to the entry";

/// An `x` of the whole system.
#[derive(Debug)]
pub(super) struct Solved {
    x: Vec<f64>,
    /// Of `x`, where there is a witness.
    bound: Option<ErrorBound>,
    path: Option<PathEngine>,
    dual: Dual,
    space: PushSpace,
    /// How it was solved, and what that says of entries.
    reasons: Vec<String>,
    end: EntryEnd,
    pub touched_entries: u64,
}

impl Solved {
    /// Solves, within about `left` entries.
    ///
    /// # Errors
    /// Where the system is refused, or the solve stops without an answer and no witness bounds what
    /// it got.
    pub fn of(
        system: &LinearSystem,
        ground: Option<&Ground>,
        options: &InquiryOptions,
        left: u64,
        patience: Patience,
    ) -> Result<Self, InquiryFault> {
        if ground.is_some_and(|ground| ground.class.is_local()) {
            return Self::by_engine(system, ground, options, left, patience, vec![]);
        }
        match Self::by_path(system, ground, options, left) {
            Ok(solved) => Ok(solved),
            Err(refusal) => {
                let reasons = vec![format!("no path is read: {refusal}")];
                Self::by_engine(system, ground, options, left, patience, reasons)
            }
        }
    }

    fn by_path(
        system: &LinearSystem,
        ground: Option<&Ground>,
        options: &InquiryOptions,
        left: u64,
    ) -> Result<Self, PathRefusal> {
        let limits = PathLimits {
            memory_bytes_max: options.memory_bytes_max,
            flops_max: PATH_FLOPS_MAX.min(4.0 * left as f64),
        };
        let (rows, rhs) = (system.rows(), system.rhs());
        let plan = PathPlan::of(rows, limits)?;
        let forecast = plan.forecast();
        let mut engine = PathEngine::factor(plan, rows, rhs)?;
        let mut x = vec![0.0; system.order()];
        let overflow = |_| PathRefusal::Inaccurate { backward_error: f64::INFINITY, limit: 1e-8 };
        engine.refine(rows, rhs).map_err(overflow)?;
        engine.solution(&mut x).map_err(overflow)?;
        let mut reasons = vec![format!(
            "an exact factorisation takes {:.1e} operations; an entry is then read along a path of at most {} entries",
            forecast.flops, forecast.path_entries_max
        )];
        let witness = match ground {
            Some(ground) => Some(ground.witness.clone()),
            None => witness_by_path(system, &mut engine),
        };
        if witness.is_none() {
            reasons.push(ESTIMATED.to_owned());
        }
        let bound = witness.map(|witness| ErrorBound::new(witness, rows, rhs, &x));
        // The factorisation, three solves with it and as many measurements.
        let factor_work = forecast.flops as u64 / 2 + 12 * forecast.entries;
        let touched_entries = factor_work + 6 * system.nonzeros() as u64;
        let dual = Dual::by_path(system, limits);
        let (space, path, end) = (PushSpace::default(), Some(engine), EntryEnd::Reached);
        Ok(Self { x, bound, path, dual, space, reasons, end, touched_entries })
    }

    fn by_engine(
        system: &LinearSystem,
        ground: Option<&Ground>,
        options: &InquiryOptions,
        left: u64,
        patience: Patience,
        mut reasons: Vec<String>,
    ) -> Result<Self, InquiryFault> {
        let mut run = Run { left, patience, touched_entries: 0 };
        // What few sweeps found is no measure elsewhere: a better witness is looked for.
        let local = ground.filter(|ground| ground.class.is_local());
        let mut tolerance = local.map_or(TOLERANCE, |ground| tolerance(system, ground, options));
        let solve_options = |tolerance| SolveOptions {
            tolerance,
            memory_bytes_max: options.memory_bytes_max,
            ..SolveOptions::default()
        };
        let mut guess = None;
        let mut witness = local.map(|ground| ground.witness.clone());
        for round in 1.. {
            let analysis = Analysis::of(system);
            let mut engine =
                Engine::new(system.clone(), analysis, guess.take(), solve_options(tolerance))?;
            let end = run.drive(&mut engine);
            let x = engine.solution().to_vec();
            if witness.is_none() {
                let known = ground.map(|ground| ground.witness.clone());
                witness = run.search(system, options.memory_bytes_max).or(known);
            }
            let is_known = matches!(end, RunEnd::Converged);
            if let (RunEnd::Stopped(reason), None) = (&end, &witness) {
                return Err(reason.clone().into());
            }
            let mut bound = witness
                .take()
                .map(|witness| ErrorBound::new(witness, system.rows(), system.rhs(), &x));
            let short = bound.as_mut().map_or(1.0, |bound| shortfall(bound, &x, options.accuracy));
            let next = (0.5 * tolerance * short).max(TOLERANCE_MIN);
            if short < 1.0 && round < ROUNDS_MAX && is_known && next < 0.5 * tolerance {
                tolerance = next;
                guess = Some(x);
                witness = bound.map(ErrorBound::into_witness);
                continue;
            }
            let residual = engine.true_residual_norm() / engine.rhs_norm().max(f64::MIN_POSITIVE);
            reasons.push(format!(
                "{} over the whole system, {} iterations, to a residual of {residual:.1e} of b",
                engine.selection().method,
                engine.iteration()
            ));
            if bound.is_none() {
                reasons.push(ESTIMATED.to_owned());
            }
            let dual = Dual::by_engine(system, solve_options(TOLERANCE));
            let (space, touched_entries) = (PushSpace::default(), run.touched_entries);
            let end = end.of_entries();
            return Ok(Self { x, bound, path: None, dual, space, reasons, end, touched_entries });
        }
        unreachable!("the last round returns")
    }

    /// One entry of `x` with its bound, brought closer by pushes on its residual where that is needed.
    pub fn read(
        &mut self,
        system: &LinearSystem,
        entry: usize,
        options: &InquiryOptions,
        left: u64,
        patience: Patience,
    ) -> Result<EntryAnswer, InquiryFault> {
        let value = self.x[entry];
        let (method, reading) = match &mut self.path {
            Some(engine) => {
                (EntryMethod::Path, engine.read(entry).map_or(0, |read| read.touched_entries))
            }
            None => (EntryMethod::Solve, 0),
        };
        let mut answer = EntryAnswer {
            entry,
            value: Some(value),
            kind: BoundKind::None,
            bound: f64::INFINITY,
            failure: 0.0,
            method,
            reasons: self.reasons.clone(),
            touched_entries: reading.max(1),
            pushes: 0,
            walks: 0,
            end: self.end,
        };
        let mut run = Run { left, patience, touched_entries: 0 };
        if let Some(of_entry) = self.bound.as_mut().and_then(|bound| bound.of_entry(entry)) {
            (answer.kind, answer.bound) = (BoundKind::Proven, of_entry);
            if of_entry > options.accuracy.of(value, of_entry) {
                self.correct(system, &mut answer, &mut run);
                self.tighten(system, options, &mut answer, &mut run)?;
            }
        } else {
            self.correct(system, &mut answer, &mut run);
            if answer.kind == BoundKind::None {
                answer.touched_entries += run.touched_entries;
                return Ok(self.unbounded(answer));
            }
        }
        answer.touched_entries += run.touched_entries;
        let reached = options.accuracy.of(answer.value.unwrap_or(0.0), answer.bound);
        answer.end = match answer.end {
            _ if answer.bound <= reached => EntryEnd::Reached,
            EntryEnd::Reached => EntryEnd::PrecisionLimit,
            end => end,
        };
        Ok(answer)
    }

    /// The entry of a solve that came to its end is worth telling without a bound; others are not.
    fn unbounded(&self, answer: EntryAnswer) -> EntryAnswer {
        match self.end {
            EntryEnd::Reached => EntryAnswer { end: EntryEnd::Unknown, ..answer },
            end => EntryAnswer { value: None, end, ..answer },
        }
    }

    /// By the transpose: where there is a witness what follows is proven, else an estimate, in which `|x|`
    /// stands for the errors.
    fn correct(&mut self, system: &LinearSystem, answer: &mut EntryAnswer, run: &mut Run) {
        let Self { x, bound, path, dual, .. } = self;
        let at = (system, x.as_slice(), answer.entry);
        let corrected = match bound {
            Some(_) if !dual.is_direct() => return,
            Some(bound) => {
                let quotient = bound.quotient_max();
                let v = bound.witness().v();
                dual.correct(path.as_mut(), at, |row| mul_up(v[row], quotient), run)
            }
            None => dual.correct(path.as_mut(), at, |row| x[row].abs(), run),
        };
        if let Some(corrected) = corrected.filter(|corrected| corrected.bound < answer.bound) {
            (answer.value, answer.bound) = (Some(corrected.value), corrected.bound);
            answer.kind = if bound.is_some() { BoundKind::Proven } else { BoundKind::Estimated };
            answer.reasons.push(CORRECTED.to_owned());
        }
    }

    /// Pushes on the residual of `x`, as many entries as a few products with `A` would read.
    fn tighten(
        &mut self,
        system: &LinearSystem,
        options: &InquiryOptions,
        answer: &mut EntryAnswer,
        run: &mut Run,
    ) -> Result<(), InquiryFault> {
        let accuracy = options.accuracy;
        let Some(bound) = &mut self.bound else { return Ok(()) };
        let quotient = bound.quotient_max();
        let is_enough =
            answer.value.is_some_and(|value| answer.bound <= accuracy.of(value, answer.bound));
        if is_enough || self.dual.is_direct() || !quotient.is_finite() {
            return Ok(());
        }
        let left = run.left.saturating_sub(run.touched_entries);
        let query = EntryQuery {
            source: Stored {
                rows: system.rows(),
                known: Known::Solution { rhs: system.rhs(), x: &self.x },
            },
            witness: bound.witness(),
            quotient,
            entry: answer.entry,
            accuracy,
            entries_max: left.min(8 * system.nonzeros() as u64),
            relaxation: 1.0,
            patience: run.patience,
        };
        let found = push(&query, &mut self.space)?;
        run.touched_entries += found.touched_entries;
        answer.pushes += found.pushes;
        if found.bound < answer.bound {
            (answer.value, answer.bound) = (Some(found.value), found.bound);
            answer.reasons.push(format!(
                "{} pushes on the residual of x brought the entry closer",
                found.pushes
            ));
        }
        Ok(())
    }
}

/// `‖r‖₂ ≤ tolerance ‖b‖₂` makes every entry's bound suffice, as far as that is known beforehand.
fn tolerance(system: &LinearSystem, ground: &Ground, options: &InquiryOptions) -> f64 {
    let known = ground.witness.v_max() * ground.quotient;
    let accuracy = options.accuracy.at_size(LIKELY * known);
    let residual = ground.witness.w_min().1 * accuracy / ground.witness.v_max();
    let rhs_norm = system.rhs().iter().map(|b| b * b).sum::<f64>().sqrt();
    let tolerance = residual / rhs_norm;
    if tolerance.is_finite() { tolerance.clamp(1e-13, 1e-3) } else { TOLERANCE }
}

/// By which part the worst bound must shrink to suffice everywhere in the measure of `‖x‖∞`; 1 where it
/// does.
fn shortfall(bound: &mut ErrorBound, x: &[f64], accuracy: Accuracy) -> f64 {
    let norm = x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let Some(overall) = bound.overall(norm) else { return 1.0 };
    let enough = accuracy.at_size(LIKELY * norm);
    if overall.absolute <= enough { 1.0 } else { enough / overall.absolute }
}

/// `A v = 1` solved by the factor that is there, where `⟨A⟩ = A`.
fn witness_by_path(system: &LinearSystem, engine: &mut PathEngine) -> Option<Witness> {
    if !has_m_signs(system.rows()) {
        let entries_max = 64 * system.nonzeros() as u64;
        let limits = SearchLimits { entries_max, memory_bytes_max: 0 };
        return find(system.rows(), limits).ok();
    }
    let mut v = vec![1.0; system.order()];
    engine.correct(&mut v).ok()?;
    Witness::prove(system.rows(), v).ok()
}
