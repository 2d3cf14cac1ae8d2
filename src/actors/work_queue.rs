//! Hands quanta and set-ups to workers, first come first served within a lane, to whom has rested least: a
//! session that is alone keeps its worker, and with it what the worker's core has cached of it. Holds at
//! most one of each per session, because a session asks for the next one only when it has the last one
//! back.

use std::collections::VecDeque;

use actix::{Actor, Context, Handler};

use crate::actors::messages::{RunQuantum, RunSetUp, WorkerReady};
use crate::policy::scheduling::{Lane, Waiting};

/// The actor between sessions and workers.
#[derive(Default)]
pub struct WorkQueue {
    short: LaneQueue,
    heavy: LaneQueue,
}

#[derive(Default)]
struct LaneQueue {
    waiting: VecDeque<Unit>,
    /// What the workers of the lane see of it.
    length: Waiting,
    /// Who has rested least is last.
    ready: Vec<WorkerReady>,
}

/// What a worker does at a time.
enum Unit {
    Quantum(RunQuantum),
    SetUp(RunSetUp),
}

impl LaneQueue {
    fn dispatch(&mut self) {
        self.dispatch_all();
        self.length.tell(self.waiting.len());
    }

    fn dispatch_all(&mut self) {
        while !self.waiting.is_empty() && !self.ready.is_empty() {
            let (Some(unit), Some(worker)) = (self.waiting.pop_front(), self.ready.pop()) else {
                return;
            };
            // A worker that said it is ready has an empty mailbox: one message per `WorkerReady`.
            match unit {
                Unit::Quantum(quantum) => worker.run.do_send(quantum),
                Unit::SetUp(set_up) => worker.set_up.do_send(set_up),
            }
        }
    }
}

impl WorkQueue {
    /// How much waits in a lane, for its workers.
    pub fn length(&self, lane: Lane) -> Waiting {
        match lane {
            Lane::Short => self.short.length.clone(),
            Lane::Heavy => self.heavy.length.clone(),
        }
    }

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
        lane.waiting.push_back(Unit::Quantum(quantum));
        lane.dispatch();
    }
}

impl Handler<RunSetUp> for WorkQueue {
    type Result = ();

    fn handle(&mut self, set_up: RunSetUp, _: &mut Self::Context) {
        self.heavy.waiting.push_back(Unit::SetUp(set_up));
        self.heavy.dispatch();
    }
}

impl Handler<WorkerReady> for WorkQueue {
    type Result = ();

    fn handle(&mut self, ready: WorkerReady, _: &mut Self::Context) {
        let lane = self.lane(ready.lane);
        lane.ready.push(ready);
        lane.dispatch();
    }
}
