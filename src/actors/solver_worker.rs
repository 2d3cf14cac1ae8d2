//! Runs one quantum at a time on an arbiter of its own. Owns no state between quanta; a panic in
//! numeric code loses that one solve and is reported, the worker goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use actix::{Actor, AsyncContext, Context, Handler, Recipient};

use crate::actors::messages::{QuantumDone, RunQuantum, WorkerFailure, WorkerReady};
use crate::actors::solve::{QuantumReport, Solve};
use crate::ids::{SessionId, WorkerId};
use crate::policy::scheduling::Lane;
use crate::runtime::environment::Environment;
use crate::runtime::event::Event;

/// The actor that computes.
pub struct SolverWorker {
    pub worker: WorkerId,
    pub lane: Lane,
    pub environment: Environment,
    pub queue: Recipient<WorkerReady>,
}

impl SolverWorker {
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
                iteration: solve.engine().iteration(),
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
        self.report_ready(ctx);
    }
}

impl Handler<RunQuantum> for SolverWorker {
    type Result = ();

    fn handle(&mut self, quantum: RunQuantum, ctx: &mut Self::Context) {
        let RunQuantum { session, mut solve, budget, asked_at, unwanted, reply_to, lane: _ } =
            quantum;
        let waited = self.environment.clock.now().since(asked_at);
        let started = Event::QuantumStarted { session, worker: self.worker, waited };
        self.environment.recorder.record(started);

        let mut stopwatch = self.environment.stopwatch();
        let ran = catch_unwind(AssertUnwindSafe(|| match unwanted.load(Ordering::Relaxed) {
            true => QuantumReport::default(),
            false => solve.run(budget, &mut stopwatch, &unwanted),
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
