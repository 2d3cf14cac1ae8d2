//! Single entries of a live system, brought closer than the kept `x` has them: what is known already, then
//! pushes on the present residual, then a solve with the factor that the session holds. Nothing of the
//! state is changed, so that asking costs only what is read.

use crate::solver::live::engine::LiveEngine;
use crate::solver::live::engine::proof::ErrorFactor;
use crate::solver::live::engine::report;
use crate::solver::live::state::LiveSystem;
use crate::solver::outcome::Work;
use crate::solver::proof::Residual;
use crate::solver::proof::entry::{
    BoundKind, EntryAnswer, EntryEnd, EntryEstimate, EntryMethod, EntryQuery, EntrySource,
    InquiryOptions, Patience, PushSpace, bidirectional, corrected, push,
};

/// Entries that the pushes of one inquiry may read, about 5 ms. Who wants more has the session settle the
/// whole system.
pub const PUSH_ENTRIES_MAX: u64 = 1 << 21;

/// Pushes may read this part of what a solve with the factor is foreseen to.
const PUSH_PART: u64 = 2;

/// Entries of one state of a live system, asked for one after the other.
#[derive(Debug)]
pub struct LiveInquiry<'a> {
    engine: &'a mut LiveEngine,
    options: InquiryOptions,
    patience: Patience<'a>,
    /// What bounds the errors of all rows, where something is proven.
    factor: Option<ErrorFactor>,
    space: Option<PushSpace>,
    touched_entries: u64,
    /// What pushes and solves may still read.
    pushes_left: u64,
}

impl LiveEngine {
    /// Opens an inquiry into the present state, changes that were accepted included. O(n), as
    /// [`error_bound`](Self::error_bound).
    pub fn inquire<'a>(
        &'a mut self,
        options: InquiryOptions,
        patience: Patience<'a>,
    ) -> LiveInquiry<'a> {
        let row_max = self.row_max();
        let factor = self.proof.error_factor(&mut self.live, row_max);
        LiveInquiry {
            engine: self,
            options,
            patience,
            factor,
            space: None,
            touched_entries: 0,
            pushes_left: PUSH_ENTRIES_MAX,
        }
    }

    /// What an inquiry into so many entries takes at most, foreseen.
    pub fn inquiry_work(&self, entries: usize) -> Work {
        let solves = self.entry_solve_entries().unwrap_or(0).saturating_mul(entries as u64);
        let pushes = if self.proof.holds() { PUSH_ENTRIES_MAX } else { 0 };
        let nonzeros = solves + pushes.min(8 * self.nonzeros() as u64) + self.order() as u64;
        Work { nonzeros, flops: 2 * nonzeros }
    }

    /// Entries that a solve for one entry would read: the factor twice, `A` by rows and by columns. Only a
    /// symmetric `A` is its own transpose.
    fn entry_solve_entries(&self) -> Option<u64> {
        let of_factor = self.path.as_ref()?.solve_entries()?;
        let is_symmetric = self.standing.class().is_symmetric;
        is_symmetric.then(|| of_factor + 2 * self.nonzeros() as u64)
    }
}

impl LiveInquiry<'_> {
    /// Tells `x*_entry` of the present system; none beyond the last row. `entries_left` entries will be
    /// asked for, this one included, and share what pushes may read.
    pub fn answer(&mut self, entry: usize, entries_left: usize) -> Option<EntryAnswer> {
        let mut answer = self.read(entry)?;
        if self.suffices(&answer) {
            answer.end = EntryEnd::Reached;
            return Some(answer);
        }
        let mut end = EntryEnd::Unknown;
        if let Some(found) = self.push(entry, entries_left) {
            answer.touched_entries += found.touched_entries;
            (answer.pushes, answer.walks) = (found.pushes, found.walks);
            end = found.end;
            take_closer(&mut answer, &found);
        }
        if !self.suffices(&answer) {
            end = self.correct(&mut answer).unwrap_or(end);
        }
        answer.end = match () {
            () if self.suffices(&answer) => EntryEnd::Reached,
            () if answer.kind == BoundKind::None => EntryEnd::Unknown,
            () if !self.patience.lasts() => EntryEnd::OutOfTime,
            () if end == EntryEnd::Unknown => EntryEnd::PrecisionLimit,
            () => end,
        };
        Some(answer)
    }

    /// Entries read so far, by everything.
    pub fn touched_entries(&self) -> u64 {
        self.touched_entries
    }

    fn suffices(&self, answer: &EntryAnswer) -> bool {
        let value = answer.value.unwrap_or(0.0);
        answer.kind != BoundKind::None
            && answer.bound <= self.options.accuracy.of(value, answer.bound)
    }

    fn left(&self) -> u64 {
        self.options.entries_max.saturating_sub(self.touched_entries)
    }

    /// The entry of the kept `x`.
    fn read(&mut self, entry: usize) -> Option<EntryAnswer> {
        let (value, stated) = self.engine.read(entry)?;
        let kind = match stated.kind {
            report::BoundKind::Proven => BoundKind::Proven,
            report::BoundKind::Estimated => BoundKind::Estimated,
            report::BoundKind::None => BoundKind::None,
        };
        let reason = match kind {
            BoundKind::None => "nothing bounds the error of the kept x".to_owned(),
            _ => format!("the kept x has it to {:.1e}, {}", stated.absolute, kind.as_str()),
        };
        self.touched_entries += 1;
        Some(EntryAnswer {
            entry,
            value: Some(value),
            kind,
            bound: stated.absolute,
            failure: 0.0,
            method: EntryMethod::Read,
            reasons: vec![reason],
            touched_entries: 1,
            pushes: 0,
            walks: 0,
            end: EntryEnd::Unknown,
        })
    }

    /// Pushes on the present residual, with walks from what is left where a bound may fail.
    fn push(&mut self, entry: usize, entries_left: usize) -> Option<EntryEstimate> {
        // Without a witness nothing says what is left over.
        let Some(ErrorFactor::Witness(quotient)) = self.factor else { return None };
        let solve = self.engine.entry_solve_entries();
        let share = self.pushes_left / entries_left.max(1) as u64;
        let entries_max = share.min(self.left()).min(solve.unwrap_or(u64::MAX) / PUSH_PART);
        let query = EntryQuery {
            source: &self.engine.live,
            witness: self.engine.proof.witness()?,
            quotient,
            entry,
            accuracy: self.options.accuracy,
            entries_max,
            relaxation: 1.0,
            patience: self.patience,
        };
        let space = self.space.get_or_insert_default();
        let InquiryOptions { failure, seed, .. } = self.options;
        let seed = seed ^ (entry as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let found = match failure > 0.0 {
            true => bidirectional(&query, failure, seed, space),
            false => push(&query, space),
        };
        let found = found.ok()?;
        self.pushes_left = self.pushes_left.saturating_sub(found.touched_entries);
        self.touched_entries += found.touched_entries;
        Some(found)
    }

    /// Solves `Aᵀ z = e_i` with the factor: `x_i + zᵀ r` is then exact up to rounding and what `z` is off
    /// by, which is bounded where the error of `x` is.
    fn correct(&mut self, answer: &mut EntryAnswer) -> Option<EntryEnd> {
        let foreseen = self.engine.entry_solve_entries()?;
        if foreseen > self.left() || !self.patience.lasts() {
            return Some(EntryEnd::OverBudget);
        }
        let entry = answer.entry;
        let LiveEngine { live, path, proof, .. } = &mut *self.engine;
        let mut z = vec![0.0; live.order()];
        z[entry] = 1.0;
        path.as_mut()?.solve_for(live, &mut z)?;
        self.touched_entries += foreseen;
        answer.touched_entries += foreseen;
        let live = &*live;
        // Without a proof the size of `x` stands for its error.
        let factor = self.factor;
        let error_of = |row: usize| match factor {
            Some(factor) => proof.error_of(factor, row),
            None => live.x(row).abs(),
        };
        let found = corrected(live, entry, &z, |row| rest_of(live, entry, &z, row), error_of)?;
        if found.bound < answer.bound {
            (answer.value, answer.bound) = (Some(found.value), found.bound);
            answer.kind = if factor.is_some() { BoundKind::Proven } else { BoundKind::Estimated };
            (answer.failure, answer.method) = (0.0, EntryMethod::Path);
            answer.reasons.push(
                "a solve with the session's factor tells what the residual does to it".to_owned(),
            );
        }
        Some(EntryEnd::PrecisionLimit)
    }
}

/// `(e_entry − Aᵀ z)` in one row.
fn rest_of(live: &LiveSystem, entry: usize, z: &[f64], row: usize) -> Residual {
    let unit = if row == entry { 1.0 } else { 0.0 };
    let terms = live.matrix().column(row).map(|(other, value)| (value, z[other as usize]));
    Residual::of_terms(unit, terms)
}

/// What pushes have found, where it is closer. With a `confidence` it may take the place of a proof.
fn take_closer(answer: &mut EntryAnswer, found: &EntryEstimate) {
    if found.bound >= answer.bound {
        return;
    }
    (answer.value, answer.bound, answer.failure) = (Some(found.value), found.bound, found.failure);
    (answer.kind, answer.method) = match found.failure > 0.0 {
        true => (BoundKind::Probabilistic, EntryMethod::Bidirectional),
        false => (BoundKind::Proven, EntryMethod::BackwardPush),
    };
    answer.reasons.push(format!("{} pushes on the present residual", found.pushes));
}

impl EntrySource for &LiveSystem {
    fn order(self) -> usize {
        LiveSystem::order(self)
    }

    fn entries_of(self, row: usize) -> usize {
        self.matrix().row_entries(row)
    }

    fn diagonal(self, row: usize) -> Option<f64> {
        let diagonal = self.matrix().value(row, row);
        (diagonal != 0.0).then_some(diagonal)
    }

    fn row(self, row: usize) -> impl Iterator<Item = (u32, f64)> {
        self.matrix().row(row)
    }

    fn rhs(self, row: usize) -> Residual {
        let terms = self.matrix().row(row).map(|(col, value)| (value, self.x(col as usize)));
        Residual::of_terms(LiveSystem::rhs(self)[row], terms)
    }

    fn base(self, entry: usize) -> f64 {
        self.x(entry)
    }

    fn lengths(self) -> Vec<(&'static str, usize)> {
        vec![]
    }
}
