//! Entries of one system, asked for one after the other: finds a witness where that is cheap, chooses the
//! way to each entry, and takes another where the first does not get there in its budget. How the
//! whole system is solved when that is cheaper stands in `solved`.

use crate::solver::outcome::{Refusal, StopReason};
use crate::solver::proof::entry::choose::{EntryChoice, EntryClass, EntryMethod, choose};
use crate::solver::proof::entry::solved::Solved;
use crate::solver::proof::entry::{
    Accuracy, EntryEnd, EntryEstimate, EntryFault, EntryQuery, Known, Patience, PushSpace, Stored,
    bidirectional, push, walks,
};
use crate::solver::proof::search::{Search, SearchLimits, search};
use crate::solver::proof::{ErrorBound, Witness};
use crate::solver::system::{LinearSystem, Rows};

/// What an answer must be, and what everything together may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InquiryOptions {
    pub accuracy: Accuracy,
    /// The probability with which a bound may fail; 0 asks for proofs.
    pub failure: f64,
    /// Of the walks.
    pub seed: u64,
    /// Matrix and factor entries read or written. Hard for pushes and walks; a solve is looked at between
    /// its steps.
    pub entries_max: u64,
    /// For factors and what methods hold, beside two copies of the system.
    pub memory_bytes_max: u64,
}

/// What is known of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundKind {
    /// Every rounding is counted: it cannot fail.
    Proven,
    /// Fails with at most the probability allowed, over the draws of the walks.
    Probabilistic,
    /// What first-order analysis says; nothing is proven.
    Estimated,
    None,
}

impl BoundKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Probabilistic => "probabilistic",
            Self::Estimated => "estimated",
            Self::None => "none",
        }
    }
}

/// One entry, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryAnswer {
    pub entry: usize,
    /// None where the search ended before anything was known.
    pub value: Option<f64>,
    pub kind: BoundKind,
    /// `|x*_i − value|` is at most this, as `kind` says; infinite where that is none.
    pub bound: f64,
    /// 0 where the bound is proven.
    pub failure: f64,
    pub method: EntryMethod,
    /// For people, most important first.
    pub reasons: Vec<String>,
    /// Matrix and factor entries read or written for this entry.
    pub touched_entries: u64,
    pub pushes: u64,
    pub walks: u64,
    pub end: EntryEnd,
}

/// What was done before the first entry.
#[derive(Debug, Clone, PartialEq)]
pub struct SetUp {
    /// For people.
    pub finding: String,
    pub touched_entries: u64,
}

/// Why entries cannot be told at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InquiryFault {
    #[error(transparent)]
    Entry(#[from] EntryFault),
    /// Only a solve would tell the entry, and it was refused.
    #[error("the system has to be solved for this entry: {0}")]
    Refused(#[from] Refusal),
    #[error("the system has to be solved for this entry: {0}")]
    Stopped(#[from] StopReason),
}

/// Passes over `A` that the search for a witness may take before the first entry: few sweeps tell
/// whether pushes will pay.
const SEARCH_PASSES: u64 = 32;

/// Before anything is known of an entry, its size is guessed to be this part of what bounds it.
const LIKELY: f64 = 0.2;

/// Entries of `A x = b`, one at a time.
#[derive(Debug)]
pub struct Inquiry<'a> {
    system: LinearSystem,
    options: InquiryOptions,
    patience: Patience<'a>,
    ground: Result<Ground, String>,
    solved: Option<Solved>,
    set_up: SetUp,
    touched_entries: u64,
}

/// What local methods stand on.
#[derive(Debug)]
pub(super) struct Ground {
    pub witness: Witness,
    pub class: EntryClass,
    /// `max_k |b_k| / w_k`.
    pub quotient: f64,
    pub space: PushSpace,
}

impl<'a> Inquiry<'a> {
    /// Looks for a witness by a few passes over `A`.
    ///
    /// # Errors
    /// [`EntryFault::Option`] for an accuracy or a probability that is none.
    pub fn open(
        system: LinearSystem,
        options: InquiryOptions,
        patience: Patience<'a>,
    ) -> Result<Self, EntryFault> {
        check_options(&options)?;
        let passes = SEARCH_PASSES * system.nonzeros().max(1) as u64;
        let (ground, touched_entries) = Ground::search(&system, passes.min(options.entries_max));
        let finding = match &ground {
            Ok(ground) => ground.finding(),
            Err(finding) => finding.clone(),
        };
        let set_up = SetUp { finding, touched_entries };
        Ok(Self { system, options, patience, ground, solved: None, set_up, touched_entries })
    }

    pub fn set_up(&self) -> &SetUp {
        &self.set_up
    }

    pub fn system(&self) -> &LinearSystem {
        &self.system
    }

    /// Entries read or written so far, by everything.
    pub fn touched_entries(&self) -> u64 {
        self.touched_entries
    }

    /// Tells `x*_entry`. `entries_left` entries will be asked for, this one included: local methods may
    /// together take about half of what a solve would, then the system is solved once for all.
    ///
    /// # Errors
    /// See [`InquiryFault`]; with a witness, only an entry out of range is one.
    pub fn answer(
        &mut self,
        entry: usize,
        entries_left: usize,
    ) -> Result<EntryAnswer, InquiryFault> {
        let order = self.system.order();
        if entry >= order {
            return Err(EntryFault::OutOfRange { entry, order }.into());
        }
        let answer = match (&self.solved, &self.ground) {
            (None, Ok(_)) => self.answer_locally(entry, entries_left)?,
            (None, Err(finding)) => {
                let reasons = vec![finding.clone()];
                self.solve(entry, reasons)?
            }
            (Some(_), _) => self.read(entry, vec![])?,
        };
        self.touched_entries += answer.touched_entries;
        Ok(answer)
    }

    fn left(&self) -> u64 {
        self.options.entries_max.saturating_sub(self.touched_entries)
    }

    fn answer_locally(
        &mut self,
        entry: usize,
        entries_left: usize,
    ) -> Result<EntryAnswer, InquiryFault> {
        let left = self.left();
        let Ok(ground) = &mut self.ground else { unreachable!("the caller has seen a witness") };
        let known = ground.witness.v()[entry] * ground.quotient;
        let size = likely_size(self.system.rows(), self.system.rhs(), entry, known);
        let accuracy = self.options.accuracy.at_size(size);
        let EntryChoice { method, entries_max, mut reasons } = match known == 0.0 {
            true => EntryChoice::nothing_to_find(),
            false => choose(&ground.class, known, accuracy, self.options.failure),
        };
        if method == EntryMethod::Solve {
            return self.solve(entry, reasons);
        }
        let share = entries_max / entries_left.max(1) as u64;
        let query = EntryQuery {
            source: Stored {
                rows: self.system.rows(),
                known: Known::Nothing { rhs: self.system.rhs() },
            },
            witness: &ground.witness,
            quotient: ground.quotient,
            entry,
            accuracy: self.options.accuracy,
            entries_max: share.min(left),
            relaxation: ground.class.relaxation(),
            patience: self.patience,
        };
        let InquiryOptions { failure, seed, .. } = self.options;
        let seed = seed ^ (entry as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let space = &mut ground.space;
        let found = match method {
            EntryMethod::Read => push(&EntryQuery { entries_max: 0, ..query }, space)?,
            EntryMethod::BackwardPush => push(&query, space)?,
            EntryMethod::Walks => walks(&query, failure, seed, space)?,
            EntryMethod::Bidirectional => bidirectional(&query, failure, seed, space)?,
            EntryMethod::Path | EntryMethod::Solve => unreachable!("not local"),
        };
        let is_final = match found.end {
            EntryEnd::Reached | EntryEnd::OutOfTime | EntryEnd::Unknown => true,
            // A solve would meet the same rounding, and cost more.
            EntryEnd::PrecisionLimit => true,
            EntryEnd::OverBudget => left <= share,
        };
        if is_final {
            return Ok(answered(entry, method, reasons, &found));
        }
        reasons.insert(0, gave_up(method, &found));
        self.touched_entries += found.touched_entries;
        let solved = self.solve(entry, reasons)?;
        self.touched_entries -= found.touched_entries;
        let touched_entries = solved.touched_entries + found.touched_entries;
        Ok(EntryAnswer { touched_entries, ..better(solved, &found) })
    }

    /// Solves the whole system and reads the entry.
    fn solve(&mut self, entry: usize, reasons: Vec<String>) -> Result<EntryAnswer, InquiryFault> {
        let ground = self.ground.as_ref().ok();
        let (left, patience) = (self.left(), self.patience);
        let solved = Solved::of(&self.system, ground, &self.options, left, patience)?;
        let solve_entries = solved.touched_entries;
        self.solved = Some(solved);
        self.touched_entries += solve_entries;
        let mut answer = self.read(entry, reasons)?;
        self.touched_entries -= solve_entries;
        answer.touched_entries += solve_entries;
        Ok(answer)
    }

    fn read(
        &mut self,
        entry: usize,
        mut reasons: Vec<String>,
    ) -> Result<EntryAnswer, InquiryFault> {
        let left = self.left();
        let Some(solved) = &mut self.solved else { unreachable!("the caller has solved") };
        let mut answer = solved.read(&self.system, entry, &self.options, left, self.patience)?;
        reasons.append(&mut answer.reasons);
        Ok(EntryAnswer { reasons, ..answer })
    }
}

impl Ground {
    /// With what the search took.
    fn search(system: &LinearSystem, entries_max: u64) -> (Result<Self, String>, u64) {
        let limits = SearchLimits { entries_max, memory_bytes_max: 0 };
        let Search { found, touched_entries } = search(system.rows(), limits);
        let ground = found.map_err(|fault| fault.to_string());
        let ground = ground.and_then(|witness| Self::of(system, witness));
        let passes = if ground.is_ok() { 3 } else { 0 };
        (ground, touched_entries + passes * system.nonzeros() as u64)
    }

    fn of(system: &LinearSystem, witness: Witness) -> Result<Self, String> {
        let rows = system.rows();
        let class = EntryClass::of(rows, &witness);
        let zero = vec![0.0; system.order()];
        let mut bound = ErrorBound::new(witness, rows, system.rhs(), &zero);
        let quotient = bound.quotient_max();
        if !quotient.is_finite() {
            return Err("the right-hand side divided by the witness overflows".to_owned());
        }
        let space = PushSpace::new(system.order());
        Ok(Self { witness: bound.into_witness(), class, quotient, space })
    }

    fn finding(&self) -> String {
        format!(
            "A is an H-matrix with a relative gap of {:.1e}; no entry of x is above {:.1e}: proven",
            self.class.relative_gap,
            self.class.v_max * self.quotient
        )
    }
}

impl EntryChoice {
    fn nothing_to_find() -> Self {
        let reasons = vec!["b is 0, so x is 0".to_owned()];
        Self { method: EntryMethod::Read, entries_max: 0, reasons }
    }
}

/// A guess: what the entry would be without the others, else a part of what bounds it.
fn likely_size(rows: Rows, rhs: &[f64], entry: usize, known: f64) -> f64 {
    let alone = rhs[entry].abs() / rows.diagonal(entry).unwrap_or(0.0).abs();
    if alone > 0.0 && alone.is_finite() { alone.min(known) } else { LIKELY * known }
}

fn check_options(options: &InquiryOptions) -> Result<(), EntryFault> {
    let accuracy = options.accuracy.number();
    if !(accuracy >= 0.0 && accuracy.is_finite()) {
        let expected = "finite, 0 or more";
        return Err(EntryFault::Option { member: "accuracy", expected, found: accuracy });
    }
    if !(0.0..1.0).contains(&options.failure) {
        let expected = "at least 0, below 1";
        return Err(EntryFault::Option { member: "failure", expected, found: options.failure });
    }
    Ok(())
}

fn answered(
    entry: usize,
    method: EntryMethod,
    reasons: Vec<String>,
    found: &EntryEstimate,
) -> EntryAnswer {
    EntryAnswer {
        entry,
        value: Some(found.value),
        kind: kind_of(found),
        bound: found.bound,
        failure: found.failure,
        method,
        reasons,
        touched_entries: found.touched_entries,
        pushes: found.pushes,
        walks: found.walks,
        end: found.end,
    }
}

fn kind_of(found: &EntryEstimate) -> BoundKind {
    match found.failure > 0.0 {
        _ if !found.bound.is_finite() => BoundKind::None,
        true => BoundKind::Probabilistic,
        false => BoundKind::Proven,
    }
}

fn gave_up(method: EntryMethod, found: &EntryEstimate) -> String {
    format!(
        "{} touched {} entries, its share, and its bound is {:.1e} by then: the system is solved",
        method.as_str(),
        found.touched_entries,
        found.bound
    )
}

/// What a solve told, or what was known before it where that is closer.
fn better(solved: EntryAnswer, found: &EntryEstimate) -> EntryAnswer {
    let is_proof_lost = found.failure == 0.0 && solved.kind != BoundKind::Proven;
    if solved.bound <= found.bound && !is_proof_lost {
        return solved;
    }
    EntryAnswer {
        value: Some(found.value),
        kind: kind_of(found),
        bound: found.bound,
        failure: found.failure,
        ..solved
    }
}
