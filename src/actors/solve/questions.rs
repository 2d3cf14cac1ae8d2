//! Answers to questions about single entries, given where the solve is.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::actors::messages::{EntriesQuestion, EntriesState};
use crate::actors::solve::{MOVING, Solve, Solver};
use crate::ids::SystemVersion;
use crate::policy::scheduling::{self, Lane};
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::outcome::Work;
use crate::solver::proof::entry::Patience;

impl Solve {
    /// The queue for a quantum that has these questions to answer.
    pub fn lane_of(&self, questions: &[EntriesQuestion]) -> Lane {
        let entries = questions.iter().map(|question| question.entries.len()).sum();
        match &self.solver {
            _ if entries == 0 => Lane::Short,
            Solver::Live(live) => scheduling::lane(live.engine().inquiry_work(entries)),
            // It is handed over first.
            Solver::Solving(engine) => {
                let nonzeros = 4 * engine.system().nonzeros() as u64;
                scheduling::lane(Work { nonzeros, flops: 0 })
            }
            Solver::Moving => unreachable!("{MOVING}"),
        }
    }

    /// Answers one question after the other. A solve that has not converged yet is handed over for it, as
    /// for a change.
    pub(super) fn answer_all(
        &mut self,
        questions: Vec<EntriesQuestion>,
        stopwatch: &mut Stopwatch,
        unwanted: &AtomicBool,
    ) -> Vec<EntriesState> {
        if questions.is_empty() {
            return vec![];
        }
        self.become_live();
        questions.iter().map(|question| self.answer(question, stopwatch, unwanted)).collect()
    }

    fn answer(
        &mut self,
        question: &EntriesQuestion,
        stopwatch: &mut Stopwatch,
        unwanted: &AtomicBool,
    ) -> EntriesState {
        let Solver::Live(live) = &mut self.solver else { unreachable!("{MOVING}") };
        let EntriesQuestion { entries, options } = question;
        let started = stopwatch.elapsed();
        let engine = live.engine_mut();
        let (unknowns, nonzeros) = (engine.order(), engine.nonzeros());
        let (version, converged) = (engine.version(), engine.is_settled());
        let deadline = started.saturating_add(options.time_budget);
        let is_patient = || stopwatch.running() < deadline && !unwanted.load(Ordering::Relaxed);
        let mut inquiry = engine.inquire(options.inquiry, Patience(&is_patient));
        let mut answers = Vec::with_capacity(entries.len());
        let mut lap = stopwatch.running();
        for (at, &entry) in entries.iter().enumerate() {
            // Those beyond the last row were refused before.
            let Some(answer) = inquiry.answer(entry, entries.len() - at) else { continue };
            let now = stopwatch.running();
            answers.push((answer, now.saturating_sub(std::mem::replace(&mut lap, now))));
        }
        let touched_entries = inquiry.touched_entries();
        stopwatch.lap(Work { nonzeros: touched_entries, flops: 2 * touched_entries });
        EntriesState {
            system_version: SystemVersion(version),
            unknowns,
            nonzeros,
            converged,
            entries: answers,
            touched_entries,
            took: stopwatch.elapsed().saturating_sub(started),
        }
    }
}
