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
use crate::solver::outcome::Work;
use crate::solver::probe::Probed;
use crate::solver::proof::entry::Patience;

impl Solve {
    /// The queue for a quantum that has these questions to answer.
    pub fn lane_of(&self, questions: &[Question]) -> Lane {
        let entries = questions.iter().map(|question| match question {
            Question::Entries(asked) => asked.entries.len(),
            Question::Probes(_) => 0,
        });
        let entries: usize = entries.sum();
        let probed = questions.iter().map(|question| match question {
            Question::Entries(_) => 0,
            Question::Probes(sample) => probe_work(sample, self.size()),
        });
        let nonzeros = probed.sum();
        let inquiry = match &self.solver {
            _ if entries == 0 => Work::default(),
            Solver::Live(live) => live.engine().inquiry_work(entries),
            // It is handed over first.
            Solver::Solving(engine) => {
                Work { nonzeros: 4 * engine.system().nonzeros() as u64, flops: 0 }
            }
            Solver::Moving => unreachable!("{MOVING}"),
        };
        scheduling::lane(inquiry + Work { nonzeros, flops: 2 * nonzeros })
    }

    /// Answers one question after the other. A solve that has not converged yet is handed over for its
    /// entries, as for a change.
    pub(super) fn answer_all(
        &mut self,
        questions: Vec<Question>,
        stopwatch: &mut Stopwatch,
        unwanted: &AtomicBool,
    ) -> Vec<Answer> {
        let answer = |question| match question {
            Question::Entries(asked) => {
                self.become_live();
                Answer::Entries(self.answer(&asked, stopwatch, unwanted))
            }
            Question::Probes(sample) => Answer::Probes(self.probe(&sample, stopwatch)),
        };
        questions.into_iter().map(answer).collect()
    }

    /// Looks at rows and judges the state by them.
    pub(super) fn probe(&mut self, sample: &Sample, stopwatch: &mut Stopwatch) -> ProbedState {
        let started = stopwatch.elapsed();
        let (system_version, iteration) = (self.system_version(), self.iteration());
        let claim = Claim {
            order: self.size().0,
            residual_threshold: self.residual_threshold(),
            is_settled: self.is_converged(),
        };
        let verdict = match &mut self.solver {
            Solver::Solving(engine) => judge(&claim, sample, engine.probe()),
            Solver::Live(live) => {
                let live = live.engine().live();
                judge(&claim, sample, |row| live.probe(row))
            }
            Solver::Moving => unreachable!("{MOVING}"),
        };
        let nonzeros = probe_work(sample, self.size());
        stopwatch.lap(Work { nonzeros, flops: 2 * nonzeros });
        let took = stopwatch.elapsed().saturating_sub(started);
        let is_being_corrected = false;
        ProbedState { system_version, iteration, claim, verdict, is_being_corrected, took }
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
        let (system_version, converged) = (SystemVersion(engine.version()), engine.is_settled());
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
            system_version,
            unknowns,
            nonzeros,
            converged,
            entries: answers,
            touched_entries,
            took: stopwatch.elapsed().saturating_sub(started),
        }
    }
}

fn judge(claim: &Claim, sample: &Sample, look: impl Fn(usize) -> Probed) -> Verdict {
    match sample {
        Sample::All => Verdict::of_rows(claim, (0..claim.order).map(look)),
        Sample::Probes(probes) => {
            let look = |rows: &Vec<u32>| rows.iter().map(|row| look(*row as usize)).collect();
            Verdict::of(claim, &probes.iter().map(look).collect::<Vec<_>>())
        }
    }
}

/// Entries that a look at these rows of a matrix of this order and so many entries reads, each for its
/// product and for its digest.
fn probe_work(sample: &Sample, (order, nonzeros): (usize, usize)) -> u64 {
    let rows = match sample {
        Sample::All => order,
        Sample::Probes(probes) => probes.iter().map(Vec::len).sum(),
    };
    2 * (rows * (1 + nonzeros / order.max(1))) as u64
}
