//! Answers to questions about single entries and rows, given where the solve is.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::actors::messages::{
    Answer, EntriesQuestion, EntriesState, ProbedState, Question, Sample,
};
use crate::actors::solve::{MOVING, Solve, Solver};
use crate::ids::SystemVersion;
use crate::policy::scheduling::{self, Lane};
use crate::policy::verification::{Claim, Verdict};
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::live::LiveSystem;
use crate::solver::outcome::Work;
use crate::solver::proof::entry::Patience;

impl Solve {
    /// The queue for a quantum that has these questions to answer.
    pub fn lane_of(&self, questions: &[Question]) -> Lane {
        let entries = questions.iter().map(|question| match question {
            Question::Entries(asked) => asked.entries.len(),
            Question::Probes(_) => 0,
        });
        let entries: usize = entries.sum();
        match &self.solver {
            _ if questions.is_empty() => Lane::Short,
            Solver::Live(live) => {
                let engine = live.engine();
                let probed = questions.iter().map(|question| match question {
                    Question::Entries(_) => 0,
                    Question::Probes(sample) => probe_work(sample, engine.live()),
                });
                let nonzeros = probed.sum();
                let inquiry = match entries {
                    0 => Work::default(),
                    _ => engine.inquiry_work(entries),
                };
                scheduling::lane(inquiry + Work { nonzeros, flops: 2 * nonzeros })
            }
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
        questions: Vec<Question>,
        stopwatch: &mut Stopwatch,
        unwanted: &AtomicBool,
    ) -> Vec<Answer> {
        if questions.is_empty() {
            return vec![];
        }
        self.become_live();
        let answer = |question| match question {
            Question::Entries(asked) => Answer::Entries(self.answer(&asked, stopwatch, unwanted)),
            Question::Probes(sample) => Answer::Probes(self.probe(&sample, stopwatch)),
        };
        questions.into_iter().map(answer).collect()
    }

    /// Looks at rows and judges the state by them.
    fn probe(&self, sample: &Sample, stopwatch: &mut Stopwatch) -> ProbedState {
        let Solver::Live(live) = &self.solver else { unreachable!("{MOVING}") };
        let started = stopwatch.elapsed();
        let engine = live.engine();
        let claim = Claim {
            order: engine.order(),
            residual_threshold: engine.residual_threshold(),
            is_settled: engine.is_settled(),
        };
        let look = |row| engine.live().probe(row);
        let verdict = match sample {
            Sample::All => Verdict::of_rows(&claim, (0..claim.order).map(look)),
            Sample::Probes(probes) => {
                let look = |rows: &Vec<u32>| rows.iter().map(|row| look(*row as usize)).collect();
                Verdict::of(&claim, &probes.iter().map(look).collect::<Vec<_>>())
            }
        };
        let nonzeros = probe_work(sample, engine.live());
        stopwatch.lap(Work { nonzeros, flops: 2 * nonzeros });
        ProbedState {
            system_version: SystemVersion(engine.version()),
            iteration: engine.iteration(),
            claim,
            verdict,
            took: stopwatch.elapsed().saturating_sub(started),
        }
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

/// Entries that a look at these rows reads, each for its product and for its digest.
fn probe_work(sample: &Sample, live: &LiveSystem) -> u64 {
    let (order, nonzeros) = (live.order() as u64, live.matrix().nonzeros() as u64);
    let rows = match sample {
        Sample::All => order,
        Sample::Probes(probes) => probes.iter().map(|rows| rows.len() as u64).sum(),
    };
    2 * rows * (1 + nonzeros / order.max(1))
}
