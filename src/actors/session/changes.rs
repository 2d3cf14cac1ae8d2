//! Changes of costs on their way into the system: they wait while the solve is out, go with its next
//! quantum, and their senders are answered when it is back.

use std::collections::VecDeque;

use actix::{Context, Handler, ResponseFuture};
use tokio::sync::oneshot;

use crate::actors::messages::{ApplyCosts, CostVerdict, CostsUnavailable, SourcedDelta};
use crate::actors::session::{Phase, Session};
use crate::actors::solve::QuantumReport;
use crate::policy::scheduling::Waiting;
use crate::protocol::frame::{CostsAccepted, FrameBody};
use crate::runtime::event::Event;

/// Edits that may wait for one session: a million costs at a time, about 50 MB.
const PENDING_EDITS_MAX: usize = 1 << 20;

/// Edits that go with one quantum, unless one batch holds more.
const QUANTUM_EDITS_MAX: usize = 1 << 17;

type Answer = Result<Vec<CostVerdict>, CostsUnavailable>;

/// The batches of one session that have no answer yet.
#[derive(Default)]
pub struct PendingChanges {
    waiting: VecDeque<Batch>,
    edits: usize,
    /// The same number, for the worker that has the solve.
    waiting_edits: Waiting,
    /// Batches that were ever taken in, and those that have gone out.
    taken_in: u64,
    sent_out: u64,
    /// Senders whose changes are out, in order, and how many each sent.
    out: Vec<(usize, oneshot::Sender<Answer>)>,
}

struct Batch {
    changes: Vec<SourcedDelta>,
    edits: usize,
    sender: oneshot::Sender<Answer>,
}

impl PendingChanges {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a batch in, as a whole or not at all.
    fn push(
        &mut self,
        changes: Vec<SourcedDelta>,
        sender: oneshot::Sender<Answer>,
    ) -> Result<(), CostsUnavailable> {
        // An update without edits waits as long as any other.
        let edits = changes.iter().map(|change| change.delta.len().max(1)).sum();
        if self.edits > 0 && self.edits + edits > PENDING_EDITS_MAX {
            let (pending, pending_max) = (self.edits, PENDING_EDITS_MAX);
            return Err(CostsUnavailable::TooManyPending { pending, pending_max });
        }
        self.edits += edits;
        self.waiting_edits.tell(self.edits);
        self.taken_in += 1;
        self.waiting.push_back(Batch { changes, edits, sender });
        Ok(())
    }

    /// Edits that wait.
    pub fn edits(&self) -> usize {
        self.edits
    }

    /// The same, to be read by others at any time.
    pub fn waiting_edits(&self) -> Waiting {
        self.waiting_edits.clone()
    }

    pub fn batches_taken_in(&self) -> u64 {
        self.taken_in
    }

    pub fn batches_sent_out(&self) -> u64 {
        self.sent_out
    }

    /// What goes with the next quantum.
    pub fn take(&mut self) -> Vec<SourcedDelta> {
        let mut taken = Vec::new();
        let mut edits = 0;
        while let Some(batch) = self.waiting.front() {
            if edits > 0 && edits + batch.edits > QUANTUM_EDITS_MAX {
                break;
            }
            let Some(Batch { changes, edits: more, sender }) = self.waiting.pop_front() else {
                break;
            };
            edits += more;
            self.edits -= more;
            self.sent_out += 1;
            self.out.push((changes.len(), sender));
            taken.extend(changes);
        }
        self.waiting_edits.tell(self.edits);
        taken
    }

    /// Answers those whose changes were out. A sender that has gone by now needs no answer.
    fn answer(&mut self, verdicts: Vec<CostVerdict>) {
        let mut verdicts = verdicts.into_iter();
        for (count, sender) in self.out.drain(..) {
            let own: Vec<CostVerdict> = verdicts.by_ref().take(count).collect();
            // A quantum that was not begun any more applied nothing.
            let answer = if own.len() == count { Ok(own) } else { Err(CostsUnavailable::Ended) };
            let _ = sender.send(answer);
        }
    }

    /// Answers everybody that nothing will be applied any more.
    pub fn refuse_all(&mut self) {
        let waiting = self.waiting.drain(..).map(|batch| batch.sender);
        for sender in self.out.drain(..).map(|(_, sender)| sender).chain(waiting) {
            let _ = sender.send(Err(CostsUnavailable::Ended));
        }
        self.edits = 0;
        self.waiting_edits.tell(0);
    }
}

impl Session {
    /// Answers the senders whose changes have come home, and tells what was accepted.
    pub(super) fn settle_changes(&mut self, report: &mut QuantumReport) -> Option<FrameBody> {
        self.changes.answer(std::mem::take(&mut report.verdicts));
        let accepted = report.accepted;
        if accepted.updates == 0 {
            return None;
        }
        self.environment.recorder.record(Event::CostsAccepted {
            session: self.id,
            system_version: self.announcer.system_version(),
            updates: accepted.updates,
        });
        Some(FrameBody::CostsAccepted(CostsAccepted {
            updates: accepted.updates,
            costs: accepted.costs,
            entries: accepted.entries,
            new_entries: accepted.new_entries,
            skipped: 0,
        }))
    }

    pub(super) fn refusal_of_changes(&self) -> Option<CostsUnavailable> {
        match &self.phase {
            _ if !self.is_live => Some(CostsUnavailable::NotLive),
            Phase::Ended { .. } | Phase::Ending(_) => Some(CostsUnavailable::Ended),
            Phase::Running => None,
        }
    }

    fn take_in(
        &mut self,
        changes: Vec<SourcedDelta>,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<Answer>, CostsUnavailable> {
        if let Some(refusal) = self.refusal_of_changes() {
            return Err(refusal);
        }
        let (sender, answer) = oneshot::channel();
        self.changes.push(changes, sender)?;
        // While the solve is out they go with its next quantum.
        self.request_quantum(ctx);
        Ok(answer)
    }
}

impl Handler<ApplyCosts> for Session {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, apply: ApplyCosts, ctx: &mut Self::Context) -> Self::Result {
        let taken_in = self.take_in(apply.0, ctx);
        Box::pin(async move {
            match taken_in {
                Ok(answer) => answer.await.unwrap_or(Err(CostsUnavailable::Ended)),
                Err(refusal) => Err(refusal),
            }
        })
    }
}
