//! Which method is in force: the first that suits the matrix as it was last analysed. When the matrix has
//! lost what the choice relies on it is analysed anew, on a snapshot in the background where that takes
//! long; what changes meanwhile is followed.

use super::{Aim, Iteration};
use crate::solver::analysis::Analysis;
use crate::solver::live::engine::flight::Landing;
use crate::solver::live::engine::report::{LiveEnd, LiveStop, LiveWork};
use crate::solver::live::engine::set_up::Snapshot;
use crate::solver::live::engine::standing::{Class, Standing};
use crate::solver::live::engine::wear::Wear;
use crate::solver::live::state::{EntryChange, LiveSystem};
use crate::solver::method::Method;
use crate::solver::method::hybrid::{self, Candidate};
use crate::solver::options::SolveOptions;
use crate::solver::outcome::{Preparation, Refusal, Work};
use crate::solver::system::Rows;

/// Passes over `A` that an analysis is foreseen to take.
const ANALYSIS_PASSES: u64 = 20;

/// Bytes that it takes beside the matrix, for each row and entry.
const ANALYSIS_ROW_BYTES: u64 = 24;
const ANALYSIS_ENTRY_BYTES: u64 = 4;

/// Changes that are remembered while the matrix is analysed elsewhere, 40 bytes each; when there are more,
/// the next analysis is made on the spot.
const FOLLOWED_MAX: usize = 1 << 18;

/// Where the next look at the matrix is taken.
#[derive(Debug)]
pub(super) enum Analysing {
    /// Apart, if it is long.
    Apart,
    /// It is being made, and this has changed since; none where it is too much.
    Out(Option<Vec<EntryChange>>),
    OnTheSpot,
}

/// A look at a matrix, to be taken apart from its engine.
#[derive(Debug)]
pub(in crate::solver::live::engine) struct AnalysisTask {
    snapshot: Snapshot,
    options: Box<SolveOptions>,
}

/// What a look at a matrix has found.
#[derive(Debug)]
pub(in crate::solver::live::engine) struct AnalysisParts {
    standing: Standing,
    candidates: Result<Vec<Candidate>, Refusal>,
    work: Work,
}

impl AnalysisTask {
    /// Reads the matrix, O(nnz), and where a method was asked for by name may search for a proof that
    /// it does not suit.
    pub fn run(self) -> AnalysisParts {
        AnalysisParts::of(self.snapshot.rows(), &self.options)
    }

    /// Of the snapshot.
    pub fn version(&self) -> u64 {
        self.snapshot.version()
    }

    /// What it is foreseen to take.
    pub fn work(&self) -> Work {
        analysis_work(self.snapshot.rows().values.len() as u64)
    }

    /// Bytes held at the peak, snapshot included.
    pub fn peak_bytes(&self) -> u64 {
        let rows = self.snapshot.rows();
        self.snapshot.memory_bytes() + analysis_bytes(rows.count(), rows.values.len())
    }
}

impl AnalysisParts {
    fn of(rows: Rows, options: &SolveOptions) -> Self {
        let analysis = Analysis::of_rows(rows);
        Self {
            standing: Standing::of(&analysis),
            candidates: hybrid::candidates(&analysis, rows, options),
            work: analysis_work(rows.values.len() as u64),
        }
    }

    /// Bytes held: what is remembered of pairs of entries.
    pub fn memory_bytes(&self) -> u64 {
        size_of::<Self>() as u64
    }

    /// What it took.
    pub fn work(&self) -> Work {
        self.work
    }
}

fn analysis_work(nonzeros: u64) -> Work {
    let nonzeros = ANALYSIS_PASSES * nonzeros;
    Work { nonzeros, flops: nonzeros }
}

fn analysis_bytes(order: usize, nonzeros: usize) -> u64 {
    ANALYSIS_ROW_BYTES * order as u64 + ANALYSIS_ENTRY_BYTES * nonzeros as u64
}

impl Analysing {
    fn is_out(&self) -> bool {
        matches!(self, Self::Out(_))
    }

    pub fn entry_changed(&mut self, change: &EntryChange) {
        let Self::Out(changes) = self else { return };
        match changes {
            Some(known) if known.len() < FOLLOWED_MAX => known.push(*change),
            Some(_) => *changes = None,
            None => {}
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::Out(Some(changes)) => (changes.capacity() * size_of::<EntryChange>()) as u64,
            Self::Apart | Self::Out(None) | Self::OnTheSpot => 0,
        }
    }
}

impl Iteration {
    /// Whether the matrix, of class `class` now, is to be analysed before the next flight.
    pub(super) fn wants_analysis(&self, class: Class) -> bool {
        class != self.class && self.flight.is_none() && !self.analysing.is_out()
    }

    /// Whether no method is known that may work on the matrix before an analysis comes home.
    pub(super) fn waits_for_analysis(&self, class: Class) -> bool {
        self.analysing.is_out() && class.lacks_what(self.class)
    }

    /// What an analysis is foreseen to take.
    pub(super) fn analysis_work(live: &LiveSystem) -> Work {
        analysis_work(live.matrix().nonzeros() as u64)
    }

    /// Whether an analysis may be made apart.
    pub fn can_analyse_apart(&self, live: &LiveSystem, class: Class) -> bool {
        let (order, nonzeros) = (live.order(), live.matrix().nonzeros());
        let bytes = Snapshot::bytes_of(live) + analysis_bytes(order, nonzeros);
        self.wants_analysis(class)
            && matches!(self.analysing, Analysing::Apart)
            && self.method.memory_bytes().saturating_add(bytes) <= self.options.memory_bytes_max
    }

    /// The analysis that is wanted, on a snapshot; none where it is to be made here, or none is wanted.
    pub fn detach_analysis(
        &mut self,
        live: &LiveSystem,
        standing: &Standing,
        version: u64,
    ) -> Option<AnalysisTask> {
        if !self.can_analyse_apart(live, standing.class()) {
            return None;
        }
        self.analysing = Analysing::Out(Some(vec![]));
        let options = Box::new(self.options.clone());
        Some(AnalysisTask { snapshot: Snapshot::of(live, version), options })
    }

    /// Takes over what an analysis in the background has found; where another method is next, a flight of
    /// the one in force lands.
    pub fn take_over_analysis(
        &mut self,
        live: &mut LiveSystem,
        standing: &mut Standing,
        aim: Aim,
        parts: AnalysisParts,
    ) -> (LiveWork, Option<Landing>) {
        let mut work = parts.work;
        let followed = match std::mem::replace(&mut self.analysing, Analysing::Apart) {
            Analysing::Out(followed) => followed,
            Analysing::Apart | Analysing::OnTheSpot => {
                unreachable!("an analysis that comes home was out")
            }
        };
        let Some(changes) = followed else {
            self.analysing = Analysing::OnTheSpot;
            let description = "more has changed meanwhile than an analysis takes in".to_owned();
            return (prepared(description, work), None);
        };
        let class = parts.standing.class();
        standing.analysed(parts.standing, live.matrix(), &changes);
        let found = parts.candidates.as_ref();
        let gives_way = found.is_ok_and(|next| !is_same(&next[0], &self.candidate));
        let lands = gives_way && self.flight.is_some();
        let landing = lands.then(|| self.land(live, aim, &mut work));
        let adopted = self.adopt(class, parts.candidates, changes.len() as u64);
        let description = match adopted {
            Ok(()) => self.analysed(),
            Err(stop) if changes.is_empty() => {
                self.stop = Some(stop.clone());
                return (LiveWork { work, end: LiveEnd::Failed(stop) }, landing);
            }
            // It may have been mended meanwhile.
            Err(stop) => format!("the matrix was analysed, and has changed since: {stop}"),
        };
        (prepared(description, work), landing)
    }

    /// An analysis will not come home.
    pub(super) fn has_lost_analysis(&mut self) -> bool {
        let is_lost = self.analysing.is_out();
        if is_lost {
            self.analysing = Analysing::OnTheSpot;
        }
        is_lost
    }

    /// Analyses the matrix here and now. O(nnz).
    pub(super) fn choose_anew(
        &mut self,
        live: &LiveSystem,
        standing: &mut Standing,
        work: &mut Work,
    ) -> LiveEnd {
        let parts = AnalysisParts::of(live.matrix().stored_rows(), &self.options);
        *work += parts.work;
        let class = parts.standing.class();
        standing.analysed(parts.standing, live.matrix(), &[]);
        if !self.analysing.is_out() {
            self.analysing = Analysing::Apart;
        }
        match self.adopt(class, parts.candidates, 0) {
            Ok(()) => {
                let (description, work) = (self.analysed(), *work);
                LiveEnd::Prepared(Preparation { description, work })
            }
            Err(stop) => {
                self.stop = Some(stop.clone());
                LiveEnd::Failed(stop)
            }
        }
    }

    fn analysed(&self) -> String {
        format!("the matrix was analysed anew: {}", self.candidate.method)
    }

    /// Takes the first of the methods that suit a matrix of class `class`, unless it is in force already;
    /// so many entries have changed since.
    fn adopt(
        &mut self,
        class: Class,
        found: Result<Vec<Candidate>, Refusal>,
        changed: u64,
    ) -> Result<(), LiveStop> {
        self.class = class;
        self.changed_since_analysis = changed;
        self.candidates = found.inspect_err(|_| self.class = Class::UNSUITED)?.into();
        let next = self.candidates.pop_front().expect("there is always a candidate");
        if !is_same(&next, &self.candidate) {
            self.take(next);
        }
        Ok(())
    }

    pub(super) fn take(&mut self, next: Candidate) {
        self.renewal.discard();
        self.generation += 1;
        self.method = Method::of(&next, &self.options);
        self.wear = Wear::unknown(&next);
        self.selection.method = next.method;
        self.selection.preconditioner = next.preconditioner;
        self.selection.reasons = vec![next.reason.clone()];
        self.candidate = next;
    }

    /// The method in force would take too long.
    pub(super) fn take_cheaper(&mut self, why: String) {
        let next = self.candidates.pop_front();
        let next = next.expect("the last candidate has no limit of operations");
        let reason = next.reason.clone();
        self.take(next);
        self.selection.reasons = vec![reason, why];
    }

    pub(super) fn next_candidate(&mut self) -> Option<Candidate> {
        let failed = (self.candidate.method, self.candidate.preconditioner);
        std::iter::from_fn(|| self.candidates.pop_front())
            .find(|next| (next.method, next.preconditioner) != failed)
    }
}

fn is_same(one: &Candidate, other: &Candidate) -> bool {
    (one.method, one.preconditioner, one.shape) == (other.method, other.preconditioner, other.shape)
}

fn prepared(description: String, work: Work) -> LiveWork {
    LiveWork { work, end: LiveEnd::Prepared(Preparation { description, work }) }
}
