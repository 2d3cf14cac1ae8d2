//! One entry of the solution without solving: backward push (proven), walks (with a confidence), both
//! joined, and which of them suits. Cost is counted in matrix entries touched, never in n.
//!
//! Everything rests on a witness: `|x*_k| ≤ v_k q` turns what is left over into a bound. Where the
//! caller holds an `x` with residual `r`, the same is done for the error `e = x* − x`, which solves
//! `A e = r` and has a far smaller `q`.

mod accuracy;
mod choose;
mod dual;
mod inquiry;
mod join;
mod push;
mod run;
mod solved;
mod source;
mod walk;

pub use accuracy::{Accuracy, Patience};
pub use choose::{EntryChoice, EntryClass, EntryMethod, choose};
pub(in crate::solver) use dual::corrected;
pub use inquiry::{BoundKind, EntryAnswer, Inquiry, InquiryFault, InquiryOptions, SetUp};
pub use push::PushSpace;
pub use source::{EntrySource, Known, Stored};

use crate::solver::proof::witness::Witness;

/// What is asked: `x*_i` of `A x* = b` to an accuracy, within a budget.
#[derive(Debug, Clone, Copy)]
pub struct EntryQuery<'a, S = Stored<'a>> {
    pub source: S,
    /// Must hold for the matrix of `source`.
    pub witness: &'a Witness,
    /// At least `max_k |b_k| / w_k`, or `max_k |b − A x|_k / w_k` where an `x` is known: the
    /// [`quotient_max`](super::ErrorBound::quotient_max) of that `x` (of `x = 0`).
    pub quotient: f64,
    pub entry: usize,
    pub accuracy: Accuracy,
    /// Matrix entries that may be read; hard.
    pub entries_max: u64,
    /// Weight of a push, in (0, 2). 1 is safe; more is faster where `A` is an M-matrix.
    pub relaxation: f64,
    pub patience: Patience<'a>,
}

/// An answer. `|x*_i − value| ≤ bound`, always or with a confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntryEstimate {
    pub value: f64,
    pub bound: f64,
    /// The bound may fail with at most this probability; 0 where it is proven.
    pub failure: f64,
    /// Standard error of the part that was sampled, 0 where nothing was.
    pub standard_error: f64,
    /// Matrix entries read.
    pub touched_entries: u64,
    pub pushes: u64,
    pub walks: u64,
    pub end: EntryEnd,
}

/// How an estimate ended. The bound is true in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryEnd {
    /// The bound is at most the accuracy asked for.
    Reached,
    /// The budget was used up before.
    OverBudget,
    /// The caller's patience was.
    OutOfTime,
    /// Rounding alone keeps the bound above the accuracy.
    PrecisionLimit,
    /// Nothing bounds the error.
    Unknown,
}

impl EntryEnd {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::OverBudget => "over_budget",
            Self::OutOfTime => "out_of_time",
            Self::PrecisionLimit => "precision_limit",
            Self::Unknown => "unknown",
        }
    }
}

/// A query that cannot be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EntryFault {
    #[error("entry {entry} lies outside the {order} unknowns")]
    OutOfRange { entry: usize, order: usize },
    #[error("{member} has length {found}, the system has order {expected}")]
    Length { member: &'static str, expected: usize, found: usize },
    #[error("the witness is sunk in {rows} rows, so nothing bounds the rest")]
    NoWitness { rows: usize },
    #[error("`{member}` must be {expected}, found {found}")]
    Option { member: &'static str, expected: &'static str, found: f64 },
}

/// Backward push: a proven bound.
///
/// Solves `Aᵀ z = e_i` by pushes on rows, `z_k += s_k / a_kk`, and keeps `s = e_i − Aᵀ z`, so that
/// `x*_i = zᵀ b + sᵀ x*`, of which the second part is at most `q Σ |s_k| v_k`. Every rounding is in the
/// bound. `space` is scratch that many queries of one order can share.
///
/// # Errors
/// See [`EntryFault`].
///
/// Source: Andersen, Borgs, Chayes, Hopcroft, Mirrokni and Teng, *Local computation of PageRank
/// contributions*, WAW 2007, for general `A`.
pub fn push<S: EntrySource>(
    query: &EntryQuery<S>,
    space: &mut PushSpace,
) -> Result<EntryEstimate, EntryFault> {
    check(query)?;
    Ok(join::push_only(query, space))
}

/// Walks that end in a row and bring home its share of `b` (Ulam and von Neumann): the bound holds with
/// probability `1 − failure` over the draws of ChaCha8 from `seed`.
///
/// # Errors
/// See [`EntryFault`]; `failure` must lie in (0, 1).
pub fn walks<S: EntrySource>(
    query: &EntryQuery<S>,
    failure: f64,
    seed: u64,
    space: &mut PushSpace,
) -> Result<EntryEstimate, EntryFault> {
    check(query)?;
    check_failure(failure)?;
    Ok(join::walks_only(query, failure, seed, space))
}

/// Pushes until the walks that finish the job are predicted to cost no more than the pushes so far, then
/// walks from what is left. Unbiased, because the invariant of [`push`] is exact.
///
/// # Errors
/// As [`walks`].
///
/// Source: Lofgren, Banerjee and Goel, *Personalized PageRank estimation and search: a bidirectional
/// approach*, WSDM 2016, for general `A`.
pub fn bidirectional<S: EntrySource>(
    query: &EntryQuery<S>,
    failure: f64,
    seed: u64,
    space: &mut PushSpace,
) -> Result<EntryEstimate, EntryFault> {
    check(query)?;
    check_failure(failure)?;
    Ok(join::push_and_walk(query, failure, seed, space))
}

fn check<S: EntrySource>(query: &EntryQuery<S>) -> Result<(), EntryFault> {
    let order = query.source.order();
    let length = |member, found| match found == order {
        true => Ok(()),
        false => Err(EntryFault::Length { member, expected: order, found }),
    };
    length("witness", query.witness.order())?;
    query.source.lengths().into_iter().try_for_each(|(member, found)| length(member, found))?;
    if query.entry >= order {
        return Err(EntryFault::OutOfRange { entry: query.entry, order });
    }
    if !query.witness.holds() {
        return Err(EntryFault::NoWitness { rows: query.witness.sunk_rows() });
    }
    let option = |member, expected, found, is_good| match is_good {
        true => Ok(()),
        false => Err(EntryFault::Option { member, expected, found }),
    };
    let (quotient, weight) = (query.quotient, query.relaxation);
    option("quotient", "finite, 0 or more", quotient, quotient >= 0.0 && quotient.is_finite())?;
    let accuracy = query.accuracy.number();
    option("accuracy", "0 or more", accuracy, accuracy >= 0.0)?;
    option("relaxation", "between 0 and 2", weight, weight > 0.0 && weight < 2.0)
}

fn check_failure(failure: f64) -> Result<(), EntryFault> {
    if failure > 0.0 && failure < 1.0 {
        return Ok(());
    }
    Err(EntryFault::Option { member: "failure", expected: "between 0 and 1", found: failure })
}
