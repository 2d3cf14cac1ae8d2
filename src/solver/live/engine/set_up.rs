//! A set-up that has left its engine: what is to be built, and the snapshot of the system that it is built
//! for. Owned and `Send`, so it runs wherever there is time while the engine goes on; the engine takes over
//! what came of it ([`LiveEngine::take_over`](super::LiveEngine::take_over)).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::coercive::{CoercivityTask, ProvenCoercivity};
use super::iteration::{AnalysisParts, AnalysisTask, MethodParts, MethodTask};
use super::path::{PathParts, PathTask};
use super::report::EngineName;
use super::witness::{Searched, WitnessTask};
use crate::solver::live::state::LiveSystem;
use crate::solver::outcome::{Preparation, Work};
use crate::solver::path::PathRefusal;
use crate::solver::system::{CsrMatrix, Rows};

/// `A` and `b` as they were at a version: 12 bytes for each entry, 12 for each row.
#[derive(Debug)]
pub(super) struct Snapshot {
    matrix: CsrMatrix,
    rhs: Vec<f64>,
    version: u64,
}

impl Snapshot {
    /// O(nnz + n): a copy, about as long as a product.
    pub fn of(live: &LiveSystem, version: u64) -> Self {
        Self { matrix: live.matrix().to_matrix(), rhs: live.rhs().to_vec(), version }
    }

    /// Deltas that had been accepted.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Bytes that a snapshot takes.
    pub fn bytes_of(live: &LiveSystem) -> u64 {
        12 * (live.matrix().nonzeros() + live.order() + 1) as u64
    }

    pub fn rows(&self) -> Rows<'_> {
        Rows::of(&self.matrix)
    }

    /// Length n.
    pub fn rhs(&self) -> &[f64] {
        &self.rhs
    }

    pub fn memory_bytes(&self) -> u64 {
        12 * (self.matrix.nnz() + self.rhs.len() + 1) as u64
    }
}

/// A set-up to be made apart from its engine.
#[derive(Debug)]
pub struct SetUpJob {
    pub(super) engine: EngineName,
    pub(super) task: Task,
    pub(super) unwanted: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) enum Task {
    Path(PathTask, Snapshot),
    Witness(WitnessTask, Snapshot),
    Coercivity(CoercivityTask, Snapshot),
    Analysis(AnalysisTask),
    /// A method keeps its snapshot from one step of its set-up to the next.
    Method(MethodTask),
}

/// What a job came to, to be taken over by the engine that gave it out.
#[derive(Debug)]
pub struct SetUp {
    pub(super) engine: EngineName,
    pub(super) parts: Parts,
    work: Work,
}

#[derive(Debug)]
pub(super) enum Parts {
    Path(Result<(PathParts, Preparation), PathRefusal>),
    Witness(Searched),
    Coercivity(ProvenCoercivity),
    Analysis(AnalysisParts),
    Method(MethodParts),
}

impl SetUpJob {
    /// Whose set-up it is.
    pub fn engine(&self) -> EngineName {
        self.engine
    }

    /// Deltas that had been accepted when the snapshot was taken.
    pub fn version(&self) -> u64 {
        match &self.task {
            Task::Path(_, snapshot)
            | Task::Witness(_, snapshot)
            | Task::Coercivity(_, snapshot) => snapshot.version,
            Task::Analysis(task) => task.version(),
            Task::Method(task) => task.version(),
        }
    }

    /// What it is foreseen to take.
    pub fn predicted(&self) -> Work {
        match &self.task {
            Task::Path(task, snapshot) => task.work(snapshot.matrix.nnz() as u64),
            Task::Witness(task, snapshot) => task.work(snapshot.matrix.nnz() as u64),
            Task::Coercivity(task, snapshot) => task.work(snapshot.matrix.nnz() as u64),
            Task::Analysis(task) => task.work(),
            Task::Method(task) => task.work(&self.unwanted),
        }
    }

    /// Bytes that it holds at its peak, snapshot included.
    pub fn peak_bytes(&self) -> u64 {
        match &self.task {
            Task::Path(task, snapshot) => {
                let (order, nonzeros) = (snapshot.rhs.len(), snapshot.matrix.nnz());
                snapshot.memory_bytes() + task.peak_bytes(order, nonzeros)
            }
            Task::Witness(_, snapshot) => {
                let (order, nonzeros) = (snapshot.rhs.len(), snapshot.matrix.nnz());
                snapshot.memory_bytes() + WitnessTask::peak_bytes(order as u64, nonzeros as u64)
            }
            Task::Coercivity(task, snapshot) => {
                let (order, nonzeros) = (snapshot.rhs.len(), snapshot.matrix.nnz());
                snapshot.memory_bytes() + task.peak_bytes(order as u64, nonzeros as u64)
            }
            Task::Analysis(task) => task.peak_bytes(),
            Task::Method(task) => task.peak_bytes(&self.unwanted),
        }
    }

    /// Builds. Pure: what comes of it depends on the snapshot alone, unless the session no longer wants
    /// it, which factorisations, hierarchies and searches notice within milliseconds and leave off.
    pub fn run(self) -> SetUp {
        let Self { engine, task, unwanted } = self;
        let parts = match task {
            Task::Path(task, snapshot) => {
                Parts::Path(task.run(snapshot.rows(), snapshot.rhs(), &unwanted))
            }
            Task::Witness(task, snapshot) => Parts::Witness(task.run(snapshot.rows(), &unwanted)),
            Task::Coercivity(task, snapshot) => {
                Parts::Coercivity(task.run(snapshot.rows(), &unwanted))
            }
            Task::Analysis(task) => Parts::Analysis(task.run()),
            Task::Method(task) => Parts::Method(task.run(&unwanted)),
        };
        let work = match &parts {
            Parts::Path(built) => {
                built.as_ref().map_or(Work::default(), |(_, preparation)| preparation.work)
            }
            Parts::Witness(searched) => searched.work,
            Parts::Coercivity(made) => made.work,
            Parts::Analysis(parts) => parts.work(),
            Parts::Method(parts) => parts.work(),
        };
        SetUp { engine, parts, work }
    }
}

impl SetUp {
    /// Whose set-up it is.
    pub fn engine(&self) -> EngineName {
        self.engine
    }

    /// What it took.
    pub fn work(&self) -> Work {
        self.work
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> u64 {
        match &self.parts {
            Parts::Path(built) => built.as_ref().map_or(0, |(parts, _)| parts.memory_bytes()),
            Parts::Witness(searched) => searched.memory_bytes(),
            Parts::Coercivity(made) => made.memory_bytes(),
            Parts::Analysis(parts) => parts.memory_bytes(),
            Parts::Method(parts) => parts.memory_bytes(),
        }
    }
}
