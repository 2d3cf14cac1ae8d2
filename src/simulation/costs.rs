//! A client that changes the costs of a live session: draws its updates, sends one at a time, and tells
//! the trace what became of each.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::actors::messages::{CostVerdict, SourcedDelta};
use crate::actors::node::Node;
use crate::ids::{SessionId, UpdateKey, UpdateSource};
use crate::protocol::frame::{Frame, FrameBody};
use crate::runtime::clock::Clock;
use crate::simulation::scenario::{CostsPlan, SessionPlan};
use crate::simulation::trace::Trace;
use crate::solver::live::{Change, CostDelta};

/// The sending half of a client.
pub struct CostSender {
    pub who: String,
    pub draws: ChaCha8Rng,
    pub clock: Clock,
    pub trace: Trace,
    pub node: Node,
    pub session: SessionId,
    /// n.
    pub order: usize,
}

impl CostSender {
    /// Sends the planned updates, each when the one before it was answered.
    pub async fn send(mut self, plan: CostsPlan) {
        let now = self.clock.now().since(Default::default());
        self.clock.sleep(plan.starts_at.0.saturating_sub(now)).await;
        for sequence in 1..=plan.updates {
            let source =
                UpdateSource { node: self.who.clone(), key: UpdateKey::Sequence(sequence) };
            let update = SourcedDelta { delta: self.draw(plan), source: Some(source) };
            let told = match self.node.apply_costs(self.session, vec![update]).await {
                Ok(verdicts) => verdicts.iter().map(describe).collect(),
                Err(refusal) => format!("not taken: {refusal}"),
            };
            self.trace.note(self.clock.now(), &self.who, format!("update {sequence} {told}"));
            self.clock.sleep(plan.every.0).await;
        }
    }

    fn draw(&mut self, plan: CostsPlan) -> CostDelta {
        let mut delta = CostDelta::default();
        for _ in 0..plan.costs {
            let change = plan.magnitude * self.draws.random_range(-1.0..1.0);
            delta.edit_rhs(self.draw_row(), Change::Add(change), None);
        }
        for edit in 0..plan.entries {
            let change = plan.magnitude * self.draws.random::<f64>();
            let row = self.draw_row();
            let col = if edit % 2 == 0 { row } else { self.draw_row() };
            delta.edit_entry(row, col, Change::Add(change), None);
        }
        delta
    }

    fn draw_row(&mut self) -> usize {
        self.draws.random_range(0..self.order)
    }
}

fn describe(verdict: &CostVerdict) -> String {
    match verdict {
        CostVerdict::Accepted { system_version } => {
            format!("counts from version {}", system_version.0)
        }
        CostVerdict::Duplicate { system_version } => {
            format!("has counted since version {}", system_version.0)
        }
        CostVerdict::Refused(faults) => match faults.first() {
            Some(fault) => format!("refused: {fault}"),
            None => "refused".to_owned(),
        },
        CostVerdict::TooOld { forgotten_sequence } => {
            format!("refused: sequences up to {forgotten_sequence} are forgotten")
        }
    }
}

impl SessionPlan {
    /// Whether this frame says that the last planned update was worked in.
    pub fn is_last_state(&self, frame: &Frame) -> bool {
        let FrameBody::ConvergenceSignal(signal) = frame.body else { return false };
        let settled = signal.settled_version.filter(|_| signal.converged);
        self.costs.zip(settled).is_some_and(|(costs, version)| version.0 >= costs.updates)
    }
}
