//! Hands quanta to workers, first come first served within a lane. Holds at most one quantum per
//! session, because a session asks for the next one only when it has the last one back.

use std::collections::VecDeque;

use actix::{Actor, Context, Handler, Recipient};

use crate::actors::messages::{RunQuantum, WorkerReady};
use crate::policy::scheduling::Lane;

/// The actor between sessions and workers.
#[derive(Default)]
pub struct WorkQueue {
    short: LaneQueue,
    heavy: LaneQueue,
}

#[derive(Default)]
struct LaneQueue {
    waiting: VecDeque<RunQuantum>,
    ready: VecDeque<Recipient<RunQuantum>>,
}

impl LaneQueue {
    fn dispatch(&mut self) {
        while !self.waiting.is_empty() && !self.ready.is_empty() {
            let (Some(quantum), Some(worker)) = (self.waiting.pop_front(), self.ready.pop_front())
            else {
                return;
            };
            // A worker that said it is ready has an empty mailbox: one message per `WorkerReady`.
            worker.do_send(quantum);
        }
    }
}

impl WorkQueue {
    fn lane(&mut self, lane: Lane) -> &mut LaneQueue {
        match lane {
            Lane::Short => &mut self.short,
            Lane::Heavy => &mut self.heavy,
        }
    }
}

impl Actor for WorkQueue {
    type Context = Context<Self>;
}

impl Handler<RunQuantum> for WorkQueue {
    type Result = ();

    fn handle(&mut self, quantum: RunQuantum, _: &mut Self::Context) {
        let lane = self.lane(quantum.lane);
        lane.waiting.push_back(quantum);
        lane.dispatch();
    }
}

impl Handler<WorkerReady> for WorkQueue {
    type Result = ();

    fn handle(&mut self, ready: WorkerReady, _: &mut Self::Context) {
        let lane = self.lane(ready.lane);
        lane.ready.push_back(ready.run);
        lane.dispatch();
    }
}
