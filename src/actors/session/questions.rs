//! Questions about single entries: they wait until the solve can take them with all changes that came
//! before, go with its next quantum, and are answered when it is back.

use std::collections::VecDeque;

use actix::{Context, Handler, ResponseFuture};
use tokio::sync::oneshot;

use crate::actors::messages::{
    AskEntries, CostsUnavailable, EntriesQuestion, EntriesState, EntriesUnavailable,
};
use crate::actors::session::Session;
use crate::actors::solve::QuantumReport;

/// Questions that may wait for one session.
const WAITING_MAX: usize = 64;

type Answer = Result<EntriesState, EntriesUnavailable>;

/// The questions of one session that have no answer yet.
#[derive(Default)]
pub struct PendingQuestions {
    waiting: VecDeque<Waiting>,
    /// Who asked what is out, in order.
    out: Vec<oneshot::Sender<Answer>>,
}

struct Waiting {
    question: EntriesQuestion,
    /// Batches of changes that came before it.
    after: u64,
    asker: oneshot::Sender<Answer>,
}

impl PendingQuestions {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out what goes with the next quantum, with which `batches` batches of changes have gone.
    pub fn take(&mut self, batches: u64) -> Vec<EntriesQuestion> {
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
        for asker in self.questions.out.drain(..) {
            // A quantum that was not begun any more answers nothing.
            let _ = asker.send(answers.next().ok_or(CostsUnavailable::Ended.into()));
        }
    }

    fn take_question(
        &mut self,
        question: EntriesQuestion,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<Answer>, EntriesUnavailable> {
        if let Some(refusal) = self.refusal_of_changes() {
            return Err(refusal.into());
        }
        let unknowns = self.facts.unknowns;
        if question.entries.iter().any(|entry| *entry >= unknowns) {
            return Err(EntriesUnavailable::OutOfRange { unknowns });
        }
        let waiting = self.questions.waiting.len();
        if waiting >= WAITING_MAX {
            return Err(EntriesUnavailable::TooManyWaiting { waiting });
        }
        let (asker, answer) = oneshot::channel();
        let after = self.changes.batches_taken_in();
        self.questions.waiting.push_back(Waiting { question, after, asker });
        self.request_quantum(ctx);
        Ok(answer)
    }
}

impl Handler<AskEntries> for Session {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, ask: AskEntries, ctx: &mut Self::Context) -> Self::Result {
        let taken = self.take_question(ask.0, ctx);
        Box::pin(async move {
            match taken {
                Ok(answer) => answer.await.unwrap_or(Err(CostsUnavailable::Ended.into())),
                Err(refusal) => Err(refusal),
            }
        })
    }
}
