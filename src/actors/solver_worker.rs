//! Runs one quantum at a time on an arbiter of its own. Owns no state between quanta; a panic in
//! numeric code loses that one solve and is reported, the worker goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::{Actor, AsyncContext, Context, Handler, Recipient};

use crate::actors::messages::{QuantumDone, RunQuantum, WorkerFailure, WorkerReady};
use crate::ids::WorkerId;
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

    fn answer(&self, reply_to: &Recipient<QuantumDone>, done: QuantumDone, ctx: &Context<Self>) {
        // One reply per request. A session that is gone by now no longer wants it.
        reply_to.do_send(done);
        self.report_ready(ctx);
    }
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
        let RunQuantum { session, mut solve, budget, asked_at, reply_to, lane: _ } = quantum;
        let (worker, recorder) = (self.worker, self.environment.recorder.clone());
        let waited = self.environment.clock.now().since(asked_at);
        recorder.record(Event::QuantumStarted { session, worker, waited });

        let mut stopwatch = self.environment.stopwatch();
        let ran = catch_unwind(AssertUnwindSafe(|| solve.run(budget, &mut stopwatch)));
        let returned = match ran {
            Ok(report) => Ok((solve, report)),
            Err(panic) => Err(WorkerFailure { message: panic_message(panic.as_ref()) }),
        };
        match &returned {
            Ok((solve, report)) => recorder.record(Event::QuantumDone {
                session,
                worker,
                iteration: solve.engine().iteration(),
                updates: report.reports.len() as u64,
                took: report.took,
            }),
            Err(failure) => {
                let message = failure.message.clone();
                recorder.record(Event::QuantumFailed { session, worker, message });
            }
        }

        let done = QuantumDone { returned };
        let unpaid = stopwatch.unpaid();
        if unpaid.is_zero() {
            self.answer(&reply_to, done, ctx);
        } else {
            ctx.run_later(self.environment.clock.delay(unpaid), move |worker, ctx| {
                worker.answer(&reply_to, done, ctx);
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
