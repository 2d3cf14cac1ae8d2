//! Runs one quantum, or one set-up of a live session, at a time on an arbiter of its own. Owns no state
//! between them; a panic in numeric code loses that one solve or set-up and is reported, the worker goes
//! on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Recipient};

use crate::actors::messages::{
    FinishedSetUp, QuantumDone, RunQuantum, RunSetUp, SetUpDone, WorkerFailure, WorkerReady,
};
use crate::actors::solve::{Errand, QuantumReport, Solve};
use crate::ids::{SessionId, WorkerId};
use crate::policy::scheduling::{Lane, QuantumBudget, Waiting};
use crate::runtime::environment::Environment;
use crate::runtime::event::Event;
use crate::runtime::stopwatch::Stopwatch;
use crate::solver::live::EngineName;
use crate::solver::outcome::Work;

/// The actor that computes.
pub struct SolverWorker {
    worker: WorkerId,
    lane: Lane,
    /// Work that waits in its lane.
    queue_length: Waiting,
    environment: Environment,
    queue: Recipient<WorkerReady>,
    /// The queue drops its handle with the quantum that it sends. An actor without a handle anywhere
    /// stops at its next look, perhaps before it has seen that quantum.
    own_address: Option<Addr<Self>>,
}

impl SolverWorker {
    pub fn new(
        worker: WorkerId,
        (lane, queue_length): (Lane, Waiting),
        environment: Environment,
        queue: Recipient<WorkerReady>,
    ) -> Self {
        Self { worker, lane, queue_length, environment, queue, own_address: None }
    }

    fn report_ready(&self, ctx: &Context<Self>) {
        let (run, set_up) = (ctx.address().recipient(), ctx.address().recipient());
        let (worker, lane) = (self.worker, self.lane);
        self.queue.do_send(WorkerReady { worker, lane, run, set_up });
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

impl SolverWorker {
    fn deliver_set_up(
        &self,
        session: SessionId,
        engine: EngineName,
        reply_to: &Recipient<SetUpDone>,
        finished: Option<FinishedSetUp>,
        ctx: &Context<Self>,
    ) {
        let worker = self.worker;
        self.environment.recorder.record(match &finished {
            Some(FinishedSetUp { made: Err(WorkerFailure { message }), .. }) => {
                Event::QuantumFailed { session, worker, message: message.clone() }
            }
            Some(FinishedSetUp { made: Ok(_), took }) => {
                Event::SetUpDone { session, worker, engine, took: *took }
            }
            None => Event::SetUpDone { session, worker, engine, took: Duration::ZERO },
        });
        // One reply per request. A session that is gone by now no longer wants it.
        reply_to.do_send(SetUpDone { finished });
        self.report_ready(ctx);
    }

    /// Goes on when what the work was charged has passed; at once where time is measured.
    fn when_paid(
        &mut self,
        stopwatch: &Stopwatch,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) {
        let unpaid = stopwatch.unpaid();
        if unpaid.is_zero() {
            then(self, ctx);
        } else {
            ctx.run_later(self.environment.clock.delay(unpaid), then);
        }
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
            set_up,
            correction,
            budget,
            waiting_edits,
            asked_at,
            unwanted,
            reply_to,
            lane: _,
        } = quantum;
        let waited = self.environment.clock.now().since(asked_at);
        let started = Event::QuantumStarted { session, worker: self.worker, waited };
        self.environment.recorder.record(started);

        let queue = self.queue_length.clone();
        let budget = QuantumBudget { fair: budget, queue, edits: waiting_edits };
        let mut stopwatch = self.environment.stopwatch();
        for fault in self.environment.memory_faults(session) {
            solve.suffer(fault);
        }
        let errand = Errand { changes, questions, set_up, correction };
        let ran = catch_unwind(AssertUnwindSafe(|| match unwanted.load(Ordering::Relaxed) {
            true => QuantumReport::default(),
            false => solve.run(errand, &budget, &mut stopwatch, &unwanted),
        }));
        let returned = match ran {
            Ok(report) => Ok((solve, report)),
            Err(panic) => Err(WorkerFailure { message: panic_message(panic.as_ref()) }),
        };
        let answer = Answer { session, reply_to, returned };
        self.when_paid(&stopwatch, ctx, move |worker, ctx| worker.deliver(answer, ctx));
    }
}

impl Handler<RunSetUp> for SolverWorker {
    type Result = ();

    fn handle(&mut self, set_up: RunSetUp, ctx: &mut Self::Context) {
        let RunSetUp { session, job, asked_at, unwanted, reply_to } = set_up;
        let (engine, waited) = (job.engine(), self.environment.clock.now().since(asked_at));
        let started = Event::SetUpStarted { session, worker: self.worker, engine, waited };
        self.environment.recorder.record(started);

        let mut stopwatch = self.environment.stopwatch();
        let made = match unwanted.load(Ordering::Relaxed) {
            true => None,
            false => Some(catch_unwind(AssertUnwindSafe(|| Box::new(job.run())))),
        };
        let finished = made.map(|made| match made {
            Ok(made) => {
                let took = stopwatch.lap(made.work());
                FinishedSetUp { made: Ok(made), took }
            }
            Err(panic) => {
                let took = stopwatch.lap(Work::default());
                let failure = WorkerFailure { message: panic_message(panic.as_ref()) };
                FinishedSetUp { made: Err(failure), took }
            }
        });
        self.when_paid(&stopwatch, ctx, move |worker, ctx| {
            worker.deliver_set_up(session, engine, &reply_to, finished, ctx);
        });
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
                faults: None,
            };
            let queue = Forgetful(sent).start().recipient();
            SolverWorker::new(WorkerId(0), (Lane::Short, Waiting::default()), environment, queue)
                .start();
            let worker = received.recv().await.expect("a worker reports when it starts");
            // Long enough for its context to look around once more.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(worker.upgrade().is_some_and(|worker| worker.connected()));
        });
    }
}
