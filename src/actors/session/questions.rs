//! Questions about a state, its entries and its rows: they wait until the solve can take them with all
//! changes that came before, go with its next quantum, and are answered when it is back.

use std::collections::VecDeque;

use actix::{Context, Handler, ResponseFuture};
use tokio::sync::oneshot;

use crate::actors::messages::{
    Answer, AskEntries, CostsUnavailable, EntriesState, ProbeRows, ProbedState, QuantumDone,
    Question, QuestionUnavailable, Sample,
};
use crate::actors::session::{Phase, Session, Whereabouts};
use crate::actors::solve::QuantumReport;

/// Questions that may wait for one session.
const WAITING_MAX: usize = 64;

type Answered = Result<Answer, QuestionUnavailable>;

/// The questions of one session that have no answer yet.
#[derive(Default)]
pub struct PendingQuestions {
    waiting: VecDeque<Waiting>,
    /// Who asked what is out, in order.
    out: Vec<oneshot::Sender<Answered>>,
}

struct Waiting {
    question: Question,
    /// Batches of changes that came before it.
    after: u64,
    asker: oneshot::Sender<Answered>,
}

impl PendingQuestions {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out what goes with the next quantum, with which `batches` batches of changes have gone.
    pub fn take(&mut self, batches: u64) -> Vec<Question> {
        let mut taken = Vec::new();
        while self.waiting.front().is_some_and(|waiting| waiting.after <= batches) {
            let Some(Waiting { question, asker, .. }) = self.waiting.pop_front() else { break };
            // Who has gone by now needs no answer.
            if !asker.is_closed() {
                taken.push(question);
                self.out.push(asker);
            }
        }
        taken
    }

    /// Answers everybody that there will be no answer.
    pub fn refuse_all(&mut self) {
        let waiting = self.waiting.drain(..).map(|waiting| waiting.asker);
        for asker in self.out.drain(..).chain(waiting) {
            let _ = asker.send(Err(CostsUnavailable::Ended.into()));
        }
    }
}

impl Session {
    /// Answers those whose questions have come home.
    pub(super) fn settle_questions(&mut self, report: &mut QuantumReport) {
        let mut answers = std::mem::take(&mut report.answers).into_iter();
        for asker in std::mem::take(&mut self.questions.out) {
            let mut answer = answers.next();
            if let Some(Answer::Probes(state)) = &mut answer {
                state.is_being_corrected = self.note_faults(state);
            }
            // A quantum that was not begun any more answers nothing.
            let _ = asker.send(answer.ok_or(CostsUnavailable::Ended.into()));
        }
    }

    /// Whether an ended session has kept the system that its solution is of.
    fn can_be_checked(&self) -> bool {
        match &self.solve {
            Whereabouts::Home(_) => true,
            // A check, if it was kept.
            Whereabouts::Away(_) => !self.questions.out.is_empty(),
            Whereabouts::Gone => false,
        }
    }

    /// A solve that comes home to an ended session: with answers if it was sent for them, or with nothing
    /// that anybody still wants.
    pub(super) fn take_home_after_the_end(&mut self, done: QuantumDone, ctx: &mut Context<Self>) {
        self.changes.refuse_all();
        match done.returned {
            Ok((solve, mut report)) if solve.is_retired() => {
                self.settle_questions(&mut report);
                self.solve = Whereabouts::Home(solve);
                if !self.questions.is_empty() {
                    self.request_quantum(ctx);
                }
            }
            Ok(_) | Err(_) => {
                self.questions.refuse_all();
                self.solve = Whereabouts::Gone;
                self.give_back();
            }
        }
    }

    fn take_question(
        &mut self,
        question: Question,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<Answered>, QuestionUnavailable> {
        let refusal = match (&question, &self.phase) {
            (Question::Entries(_), _) => self.refusal_of_changes(),
            (Question::Probes(_), Phase::Running) => None,
            (Question::Probes(_), Phase::Ended { .. }) if self.can_be_checked() => None,
            (Question::Probes(_), Phase::Ending(_) | Phase::Ended { .. }) => {
                Some(CostsUnavailable::Ended)
            }
        };
        if let Some(refusal) = refusal {
            return Err(refusal.into());
        }
        let unknowns = self.facts.unknowns;
        let is_beyond = |row: &u32| *row as usize >= unknowns;
        let is_out_of_range = match &question {
            Question::Entries(asked) => asked.entries.iter().any(|entry| *entry >= unknowns),
            Question::Probes(Sample::Probes(probes)) => probes.iter().flatten().any(is_beyond),
            Question::Probes(Sample::All) => false,
        };
        if is_out_of_range {
            return Err(QuestionUnavailable::OutOfRange { unknowns });
        }
        let waiting = self.questions.waiting.len();
        if waiting >= WAITING_MAX {
            return Err(QuestionUnavailable::TooManyWaiting { waiting });
        }
        let (asker, answer) = oneshot::channel();
        let after = self.changes.batches_taken_in();
        self.questions.waiting.push_back(Waiting { question, after, asker });
        self.request_quantum(ctx);
        Ok(answer)
    }

    /// The answer when it has come home; `of_kind` takes it for what was asked for.
    fn answer<T: 'static>(
        &mut self,
        question: Question,
        of_kind: fn(Answer) -> Option<T>,
        ctx: &mut Context<Self>,
    ) -> ResponseFuture<Result<T, QuestionUnavailable>> {
        let taken = self.take_question(question, ctx);
        Box::pin(async move {
            let ended = || CostsUnavailable::Ended.into();
            let answered = taken?.await.unwrap_or_else(|_| Err(ended()))?;
            of_kind(answered).ok_or_else(ended)
        })
    }
}

impl Handler<AskEntries> for Session {
    type Result = ResponseFuture<Result<EntriesState, QuestionUnavailable>>;

    fn handle(&mut self, ask: AskEntries, ctx: &mut Self::Context) -> Self::Result {
        let entries = |answer| match answer {
            Answer::Entries(state) => Some(state),
            Answer::Probes(_) => None,
        };
        self.answer(Question::Entries(ask.0), entries, ctx)
    }
}

impl Handler<ProbeRows> for Session {
    type Result = ResponseFuture<Result<ProbedState, QuestionUnavailable>>;

    fn handle(&mut self, ask: ProbeRows, ctx: &mut Self::Context) -> Self::Result {
        let probes = |answer| match answer {
            Answer::Probes(state) => Some(state),
            Answer::Entries(_) => None,
        };
        self.answer(Question::Probes(ask.0), probes, ctx)
    }
}
