//! Runs one quantum at a time on an arbiter of its own. Owns no state between quanta; a panic in
//! numeric code loses that one solve and is reported, the worker goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Recipient};

use crate::actors::messages::{QuantumDone, RunQuantum, WorkerFailure, WorkerReady};
use crate::actors::solve::{QuantumReport, Solve};
use crate::ids::{SessionId, WorkerId};
use crate::policy::scheduling::Lane;
use crate::runtime::environment::Environment;
use crate::runtime::event::Event;

/// The actor that computes.
pub struct SolverWorker {
    worker: WorkerId,
    lane: Lane,
    environment: Environment,
    queue: Recipient<WorkerReady>,
    /// The queue drops its handle with the quantum that it sends. An actor without a handle anywhere
    /// stops at its next look, perhaps before it has seen that quantum.
    own_address: Option<Addr<Self>>,
}

impl SolverWorker {
    pub fn new(
        worker: WorkerId,
        lane: Lane,
        environment: Environment,
        queue: Recipient<WorkerReady>,
    ) -> Self {
        Self { worker, lane, environment, queue, own_address: None }
    }

    fn report_ready(&self, ctx: &Context<Self>) {
        let run = ctx.address().recipient();
        self.queue.do_send(WorkerReady { worker: self.worker, lane: self.lane, run });
    }

    fn deliver(&self, answer: Answer, ctx: &Context<Self>) {
        let Answer { session, reply_to, returned } = answer;
        let worker = self.worker;
        self.environment.recorder.record(match &returned {
            Ok((solve, report)) => Event::QuantumDone {
                session,
                worker,
                iteration: solve.iteration(),
                updates: report.reports.len() as u64,
                took: report.took,
            },
            Err(WorkerFailure { message }) => {
                Event::QuantumFailed { session, worker, message: message.clone() }
            }
        });
        // One reply per request. A session that is gone by now no longer wants it.
        reply_to.do_send(QuantumDone { returned });
        self.report_ready(ctx);
    }
}

/// A quantum that was run and waits until its time has passed.
struct Answer {
    session: SessionId,
    reply_to: Recipient<QuantumDone>,
    returned: Result<(Box<Solve>, QuantumReport), WorkerFailure>,
}

impl Actor for SolverWorker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.own_address = Some(ctx.address());
        self.report_ready(ctx);
    }
}

impl Handler<RunQuantum> for SolverWorker {
    type Result = ();

    fn handle(&mut self, quantum: RunQuantum, ctx: &mut Self::Context) {
        let RunQuantum {
            session,
            mut solve,
            changes,
            questions,
            budget,
            asked_at,
            unwanted,
            reply_to,
            lane: _,
        } = quantum;
        let waited = self.environment.clock.now().since(asked_at);
        let started = Event::QuantumStarted { session, worker: self.worker, waited };
        self.environment.recorder.record(started);

        let mut stopwatch = self.environment.stopwatch();
        let ran = catch_unwind(AssertUnwindSafe(|| match unwanted.load(Ordering::Relaxed) {
            true => QuantumReport::default(),
            false => solve.run(changes, questions, budget, &mut stopwatch, &unwanted),
        }));
        let returned = match ran {
            Ok(report) => Ok((solve, report)),
            Err(panic) => Err(WorkerFailure { message: panic_message(panic.as_ref()) }),
        };
        let answer = Answer { session, reply_to, returned };
        let unpaid = stopwatch.unpaid();
        if unpaid.is_zero() {
            self.deliver(answer, ctx);
        } else {
            ctx.run_later(self.environment.clock.delay(unpaid), move |worker, ctx| {
                worker.deliver(answer, ctx);
            });
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;
    use crate::ids::NodeId;
    use crate::runtime::clock::Clock;
    use crate::runtime::entropy::Entropy;
    use crate::runtime::recorder::{EventSink, Record, Recorder};
    use crate::runtime::stopwatch::WorkCost;

    /// Stands where the queue stands, and keeps no handle to a worker.
    struct Forgetful(mpsc::UnboundedSender<actix::WeakRecipient<RunQuantum>>);

    impl Actor for Forgetful {
        type Context = Context<Self>;
    }

    impl Handler<WorkerReady> for Forgetful {
        type Result = ();

        fn handle(&mut self, ready: WorkerReady, _: &mut Self::Context) {
            self.0.send(ready.run.downgrade()).unwrap();
        }
    }

    struct Silent;

    impl EventSink for Silent {
        fn accept(&self, _: Record) {}
    }

    #[test]
    fn a_worker_to_which_nobody_holds_a_handle_goes_on() {
        actix::System::new().block_on(async {
            let (sent, mut received) = mpsc::unbounded_channel();
            let clock = Clock::system();
            let node = NodeId(0);
            let environment = Environment {
                node,
                entropy: Entropy::system(node),
                recorder: Recorder::new(node, clock.clone(), Arc::new(Silent)),
                clock,
                work_cost: WorkCost::Measured,
            };
            let queue = Forgetful(sent).start().recipient();
            SolverWorker::new(WorkerId(0), Lane::Short, environment, queue).start();
            let worker = received.recv().await.expect("a worker reports when it starts");
            // Long enough for its context to look around once more.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(worker.upgrade().is_some_and(|worker| worker.connected()));
        });
    }
}
