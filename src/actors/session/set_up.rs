//! A set-up of a live session that is made in the background while its solve goes on: sent out, taken home,
//! handed to the solve with its next quantum. At most one at a time.

use std::sync::Arc;

use actix::{AsyncContext, Context, Handler};

use crate::actors::messages::{FinishedSetUp, RunSetUp, SessionGrew, SetUpDone};
use crate::actors::session::{Phase, Session, Whereabouts};
use crate::solver::live::SetUpJob;

/// Where the set-up is, and the bytes that count for it until the solve has taken it over.
pub enum PendingSetUp {
    None,
    Out {
        bytes: u64,
    },
    /// To go with the next quantum.
    Back {
        finished: Box<FinishedSetUp>,
        bytes: u64,
    },
}

impl PendingSetUp {
    pub fn bytes(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Out { bytes } | Self::Back { bytes, .. } => *bytes,
        }
    }

    pub fn is_back(&self) -> bool {
        matches!(self, Self::Back { .. })
    }

    pub fn is_out(&self) -> bool {
        matches!(self, Self::Out { .. })
    }

    /// What is back, to be taken over by the solve; it counts as the solve's from then on.
    pub fn take_back(&mut self) -> Option<FinishedSetUp> {
        match std::mem::replace(self, Self::None) {
            Self::Back { finished, .. } => Some(*finished),
            elsewhere @ (Self::None | Self::Out { .. }) => {
                *self = elsewhere;
                None
            }
        }
    }
}

impl Session {
    pub(super) fn send_set_up(&mut self, job: Box<SetUpJob>, ctx: &Context<Self>) {
        self.set_up = PendingSetUp::Out { bytes: job.peak_bytes() };
        // A solve gives none out before the last one is back.
        self.links.set_ups.do_send(RunSetUp {
            session: self.id,
            job,
            asked_at: self.environment.clock.now(),
            unwanted: Arc::clone(&self.unwanted),
            reply_to: ctx.address().recipient(),
        });
    }

    /// Tells the directory what an ended session still holds, once nothing of it is out any more.
    pub(super) fn give_back(&mut self) {
        if matches!(self.solve, Whereabouts::Away(_)) || self.set_up.is_out() {
            return;
        }
        self.memory_bytes = self.bytes_left_behind();
        let (session, memory_bytes) = (self.id, self.memory_bytes);
        self.links.grew.do_send(SessionGrew { session, memory_bytes });
    }
}

impl Handler<SetUpDone> for Session {
    type Result = ();

    fn handle(&mut self, done: SetUpDone, ctx: &mut Self::Context) {
        let bytes = self.set_up.bytes();
        if matches!(self.phase, Phase::Ended { .. }) {
            self.set_up = PendingSetUp::None;
            return self.give_back();
        }
        self.set_up = match done.finished {
            Some(finished) => PendingSetUp::Back { finished: Box::new(finished), bytes },
            None => PendingSetUp::None,
        };
        // While the solve is out it goes with the next quantum.
        self.request_quantum(ctx);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use actix::{Actor, Recipient};
    use tokio::sync::mpsc;

    use super::*;
    use crate::actors::messages::{
        ApplyCosts, CostsUnavailable, GetSessionStatus, Observe, QuantumDone, QuestionUnavailable,
        RunQuantum, SessionEnded, SessionSeed, SourcedDelta, StopSession, Verification, Verify,
        WorkerFailure,
    };
    use crate::actors::session::SessionLinks;
    use crate::actors::solve::Errand;
    use crate::ids::{NodeId, SessionId};
    use crate::policy::scheduling::{QuantumBudget, Waiting};
    use crate::protocol::frame::EndReason;
    use crate::protocol::stream_options::StreamOptions;
    use crate::runtime::clock::Clock;
    use crate::runtime::config::NodeConfig;
    use crate::runtime::entropy::Entropy;
    use crate::runtime::environment::Environment;
    use crate::runtime::recorder::{EventSink, Record, Recorder};
    use crate::runtime::stopwatch::WorkCost;
    use crate::solver::analysis::Analysis;
    use crate::solver::engine::Engine;
    use crate::solver::gallery;
    use crate::solver::live::{Change, CostDelta};
    use crate::solver::options::SolveOptions;

    struct Unread;

    impl EventSink for Unread {
        fn accept(&self, _: Record) {}
    }

    /// What the directory was told of memory.
    #[derive(Debug, PartialEq, Eq)]
    enum Told {
        Ended { memory_bytes: u64, is_released: bool },
        Grew { memory_bytes: u64 },
    }

    /// A worker that runs quanta, and holds set-ups back until it is asked; and the directory.
    struct Surroundings {
        environment: Environment,
        told: mpsc::UnboundedSender<Told>,
        held: VecDeque<RunSetUp>,
        arrived: mpsc::UnboundedSender<()>,
    }

    /// What is to become of the set-up that is held back.
    #[derive(actix::Message)]
    #[rtype(result = "()")]
    enum Release {
        Panic,
        Run,
    }

    impl Actor for Surroundings {
        type Context = Context<Self>;
    }

    impl Handler<RunQuantum> for Surroundings {
        type Result = ();

        fn handle(&mut self, quantum: RunQuantum, _: &mut Self::Context) {
            let RunQuantum { mut solve, changes, questions, set_up, correction, budget, .. } =
                quantum;
            let errand = Errand { changes, questions, set_up, correction };
            let (queue, edits) = (Waiting::default(), Waiting::default());
            let budget = QuantumBudget { fair: budget, queue, edits };
            let mut stopwatch = self.environment.stopwatch();
            let unwanted = &quantum.unwanted;
            let report = solve.run(errand, &budget, &mut stopwatch, unwanted);
            quantum.reply_to.do_send(QuantumDone { returned: Ok((solve, report)) });
        }
    }

    impl Handler<Observe> for Surroundings {
        type Result = ();

        fn handle(&mut self, _: Observe, _: &mut Self::Context) {}
    }

    impl Handler<RunSetUp> for Surroundings {
        type Result = ();

        fn handle(&mut self, set_up: RunSetUp, _: &mut Self::Context) {
            self.held.push_back(set_up);
            self.arrived.send(()).unwrap();
        }
    }

    impl Handler<Release> for Surroundings {
        type Result = ();

        fn handle(&mut self, release: Release, _: &mut Self::Context) {
            let set_up = self.held.pop_front().expect("a set-up is held back");
            let made = match release {
                Release::Panic => Err(WorkerFailure { message: "lost".to_owned() }),
                Release::Run => Ok(Box::new(set_up.job.run())),
            };
            let finished = Some(FinishedSetUp { made, took: Duration::from_millis(3) });
            set_up.reply_to.do_send(SetUpDone { finished });
        }
    }

    impl Handler<SessionEnded> for Surroundings {
        type Result = ();

        fn handle(&mut self, ended: SessionEnded, _: &mut Self::Context) {
            let SessionEnded { memory_bytes, is_released, .. } = ended;
            self.told.send(Told::Ended { memory_bytes, is_released }).unwrap();
        }
    }

    impl Handler<Verify> for Surroundings {
        type Result = Result<Verification, QuestionUnavailable>;

        fn handle(&mut self, _: Verify, _: &mut Self::Context) -> Self::Result {
            Err(CostsUnavailable::Stopped.into())
        }
    }

    impl Handler<SessionGrew> for Surroundings {
        type Result = ();

        fn handle(&mut self, grew: SessionGrew, _: &mut Self::Context) {
            self.told.send(Told::Grew { memory_bytes: grew.memory_bytes }).unwrap();
        }
    }

    struct World {
        session: actix::Addr<Session>,
        release: Recipient<Release>,
        told: mpsc::UnboundedReceiver<Told>,
        arrived: mpsc::UnboundedReceiver<()>,
    }

    fn live_world() -> World {
        let node = NodeId::default();
        let clock = Clock::system();
        let environment = Environment {
            node,
            entropy: Entropy::seeded(1, node),
            recorder: Recorder::new(node, clock.clone(), Arc::new(Unread)),
            clock,
            work_cost: WorkCost::Measured,
            faults: None,
        };
        let system = gallery::poisson_2d(30, 1).unwrap();
        let analysis = Analysis::of(&system);
        let engine = Engine::new(system, analysis, None, SolveOptions::default());
        let seed = SessionSeed {
            session: SessionId::from_random_bits(1),
            engine: Box::new(engine.unwrap()),
            stream: StreamOptions { live: true, ..StreamOptions::default() },
            warnings: vec![],
            listener: None,
        };
        let (telling, told) = mpsc::unbounded_channel();
        let (arriving, arrived) = mpsc::unbounded_channel();
        let around = Surroundings {
            environment: environment.clone(),
            told: telling,
            held: VecDeque::new(),
            arrived: arriving,
        };
        let around = around.start();
        let links = SessionLinks {
            queue: around.clone().recipient(),
            set_ups: around.clone().recipient(),
            ended: around.clone().recipient(),
            grew: around.clone().recipient(),
            verify: around.clone().recipient(),
            observe: around.clone().recipient(),
            start_subscription: Box::new(|_| unreachable!("nobody listens")),
        };
        let session = Session::new(seed, environment, &NodeConfig::for_cores(1), links).start();
        World { session, release: around.recipient(), told, arrived }
    }

    fn cost(row: usize) -> ApplyCosts {
        let mut delta = CostDelta::default();
        delta.edit_rhs(row, Change::Add(1.0), None);
        ApplyCosts(vec![SourcedDelta { delta, source: None }])
    }

    #[actix_web::test]
    async fn changes_are_worked_in_while_a_set_up_is_out_and_after_it_was_lost() {
        let World { session, release, mut arrived, told: _told } = live_world();
        arrived.recv().await.expect("a witness is searched in the background");
        for row in 0..3 {
            let verdicts = session.send(cost(row)).await.unwrap().unwrap();
            assert_eq!(verdicts.len(), 1, "accepted while the set-up is out");
        }
        release.send(Release::Panic).await.unwrap();
        for row in 3..6 {
            session.send(cost(row)).await.unwrap().unwrap();
        }
        let status = session.send(GetSessionStatus).await.unwrap();
        assert_eq!((status.system_version.0, status.end_reason), (6, None));
        assert!(status.relative_residual.unwrap() <= 1e-8, "{:?}", status.relative_residual);
    }

    #[actix_web::test]
    async fn a_session_that_ends_holds_the_memory_of_its_set_up_until_that_is_home() {
        let World { session, release, mut told, mut arrived } = live_world();
        arrived.recv().await.expect("a witness is searched in the background");
        // Nothing else of it is out when it ends.
        session.send(cost(0)).await.unwrap().unwrap();
        let _stopped = session.send(StopSession(EndReason::Deleted)).await;
        let ended = loop {
            match told.recv().await.unwrap() {
                Told::Grew { .. } => {}
                ended @ Told::Ended { .. } => break ended,
            }
        };
        let Told::Ended { memory_bytes, is_released } = ended else { unreachable!() };
        assert!(memory_bytes > 12 * 900 && !is_released, "{ended:?}");
        release.send(Release::Run).await.unwrap();
        assert_eq!(told.recv().await, Some(Told::Grew { memory_bytes: 0 }));
    }
}
