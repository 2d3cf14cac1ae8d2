//! Updates that are worked in together: handed to their sessions at once, answered in their order.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;

use crate::actors::messages::{CostVerdict, CostsUnavailable, SourcedDelta};
use crate::actors::node::Node;
use crate::ids::SessionId;
use crate::protocol::costs::{CostAnswer, CostUpdate, ReadUpdate, Receipt, Unreadable};
use crate::protocol::problem::{Problem, ProblemKind};
use crate::runtime::clock::Clock;

/// A batch takes no more updates when it holds this many,
const UPDATES_MAX: usize = 4_096;
/// or edits and faults of about this weight,
const WEIGHT_MAX: usize = 1 << 16;
/// or updates of this many sessions.
const SESSIONS_MAX: usize = 64;
/// A session that is full is asked again after this time: a few of its quanta.
const TIME_BETWEEN_OFFERS: Duration = Duration::from_millis(5);
/// A fault weighs as much as this many edits.
const FAULT_WEIGHT: usize = 8;

/// Updates in the order in which they came, some of which are refused already.
#[derive(Debug, Default)]
pub struct Batch {
    slots: Vec<Slot>,
    groups: Vec<Group>,
    weight: usize,
}

#[derive(Debug)]
struct Slot {
    line: Option<u64>,
    receipt: Receipt,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    /// Its verdict is the next one of this group.
    Asked {
        group: usize,
    },
    Refused(Box<Problem>),
}

/// The updates of one session.
#[derive(Debug)]
struct Group {
    session: SessionId,
    updates: Vec<SourcedDelta>,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Applied {
    /// In the order of the updates, each with its line.
    pub answers: Vec<(Option<u64>, Receipt, CostAnswer)>,
    /// Why one of the sessions takes no changes any more.
    pub closed: Option<Problem>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.slots.len() < UPDATES_MAX
            && self.weight < WEIGHT_MAX
            && self.groups.len() < SESSIONS_MAX
    }

    /// Appends an update, or the refusal of one.
    pub fn push(&mut self, line: Option<u64>, read: ReadUpdate) {
        let (receipt, fate) = match read {
            Ok(CostUpdate { session, delta, source, receipt }) => {
                self.weight += delta.len();
                let group = self.group_of(session);
                self.groups[group].updates.push(SourcedDelta { delta, source });
                (receipt, Fate::Asked { group })
            }
            Err(unreadable) => {
                let Unreadable { receipt, problem } = *unreadable;
                self.weight += FAULT_WEIGHT * (1 + problem.errors.len());
                (receipt, Fate::Refused(Box::new(problem)))
            }
        };
        self.slots.push(Slot { line, receipt, fate });
    }

    fn group_of(&mut self, session: SessionId) -> usize {
        let known = self.groups.iter().rposition(|group| group.session == session);
        known.unwrap_or_else(|| {
            self.groups.push(Group { session, updates: vec![] });
            self.groups.len() - 1
        })
    }

    /// Works the updates in and waits until all of them are. Those that find their session full are
    /// offered again for as long as `patience` lasts.
    pub async fn apply(self, node: &Node, clock: &Clock, patience: Duration) -> Applied {
        let asked = self.groups.into_iter().map(|group| group.apply(node, clock, patience));
        let mut verdicts: Vec<Result<VecDeque<CostVerdict>, CostsUnavailable>> =
            join_all(asked).await.into_iter().map(|group| group.map(VecDeque::from)).collect();
        let closed = verdicts.iter().find_map(|group| match group {
            Err(CostsUnavailable::TooManyPending { .. }) | Ok(_) => None,
            Err(closed) => Some(Problem::from(*closed)),
        });
        let answers = self.slots.into_iter().map(|Slot { line, receipt, fate }| {
            let answer = match fate {
                Fate::Refused(problem) => CostAnswer::Refused(problem),
                Fate::Asked { group } => answer(&receipt, &mut verdicts[group]),
            };
            (line, receipt, answer)
        });
        Applied { answers: answers.collect(), closed }
    }
}

impl Group {
    async fn apply(
        self,
        node: &Node,
        clock: &Clock,
        patience: Duration,
    ) -> Result<Vec<CostVerdict>, CostsUnavailable> {
        let Self { session, updates } = self;
        let began = clock.now();
        while clock.now().since(began) < patience {
            match node.apply_costs(session, updates.clone()).await {
                Err(CostsUnavailable::TooManyPending { .. }) => {
                    clock.sleep(TIME_BETWEEN_OFFERS).await;
                }
                verdicts => return verdicts,
            }
        }
        node.apply_costs(session, updates).await
    }
}

fn answer(
    receipt: &Receipt,
    verdicts: &mut Result<VecDeque<CostVerdict>, CostsUnavailable>,
) -> CostAnswer {
    let refused = |problem| CostAnswer::Refused(Box::new(problem));
    match verdicts {
        Err(unavailable) => refused(Problem::from(*unavailable)),
        Ok(verdicts) => match verdicts.pop_front() {
            Some(CostVerdict::Accepted { system_version }) => CostAnswer::Accepted(system_version),
            Some(CostVerdict::Duplicate { system_version }) => {
                CostAnswer::Duplicate(system_version)
            }
            Some(CostVerdict::Refused(faults)) => refused(receipt.refusal(&faults)),
            Some(CostVerdict::TooOld { forgotten_sequence }) => {
                refused(receipt.too_old(forgotten_sequence))
            }
            None => refused(Problem::new(
                ProblemKind::Internal,
                "the session gave no verdict on this update",
            )),
        },
    }
}
