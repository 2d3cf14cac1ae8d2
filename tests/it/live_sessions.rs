//! Live sessions on a node with real threads: changes that arrive while they are solved, and what their
//! listeners and senders are told.

use futures_util::future::join_all;
use weir::actors::frame_channel::FrameReceiver;
use weir::actors::messages::{CostVerdict, CostsUnavailable, SourcedDelta};
use weir::actors::node::{NewSession, Node, Opened};
use weir::ids::{NodeId, SessionId, SystemVersion, UpdateKey, UpdateSource};
use weir::protocol::frame::{EndReason, Frame, FrameBody};
use weir::protocol::status::SessionState;
use weir::protocol::stream_options::StreamOptions;
use weir::runtime::config::NodeConfig;
use weir::solver::analysis::Analysis;
use weir::solver::change_tracker::XPartialMax;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::live::{BoundKind, Change, CostDelta, EditFault};
use weir::solver::options::{MethodName, SolveOptions};
use weir::solver::system::LinearSystem;

use crate::support::dense_solution;

const TOLERANCE: f64 = 1e-10;

/// The same system as a table, to be changed and solved by other means.
struct Judge {
    dense: Vec<Vec<f64>>,
    rhs: Vec<f64>,
}

impl Judge {
    fn of(system: &LinearSystem) -> Self {
        let order = system.order();
        let mut dense = vec![vec![0.0; order]; order];
        for (row, entries) in dense.iter_mut().enumerate() {
            let (cols, values) = system.rows().row(row);
            cols.iter().zip(values).for_each(|(&col, &value)| entries[col as usize] = value);
        }
        Self { dense, rhs: system.rhs().to_vec() }
    }

    fn solution(&self) -> Vec<f64> {
        dense_solution(&self.dense, &self.rhs).expect("the system can be solved")
    }
}

fn live_session(system: LinearSystem, method: MethodName) -> NewSession {
    let options = SolveOptions { method, tolerance: TOLERANCE, ..SolveOptions::default() };
    let analysis = Analysis::of(&system);
    let engine = Engine::new(system, analysis, None, options).unwrap();
    let stream =
        StreamOptions { live: true, x_partial_max: XPartialMax::All, ..StreamOptions::default() };
    NewSession { engine: Box::new(engine), stream, warnings: vec![], listen: true }
}

fn cost(row: usize, added: f64) -> SourcedDelta {
    let mut delta = CostDelta::default();
    delta.edit_rhs(row, Change::Add(added), None);
    SourcedDelta { delta, source: None }
}

fn entry(row: usize, col: usize, value: f64, old_value: Option<f64>) -> SourcedDelta {
    let mut delta = CostDelta::default();
    delta.edit_entry(row, col, Change::Set(value), old_value);
    SourcedDelta { delta, source: None }
}

fn accepted(version: u64) -> CostVerdict {
    CostVerdict::Accepted { system_version: SystemVersion(version) }
}

/// A listener that applies what it is sent.
struct Listener {
    frames: FrameReceiver,
    read: Vec<Frame>,
    x: Vec<f64>,
}

impl Listener {
    fn new(opened: Opened, order: usize) -> (SessionId, Self) {
        let frames = opened.frames.expect("the session was opened with a listener");
        (opened.session, Self { frames, read: vec![], x: vec![0.0; order] })
    }

    /// Reads on until a frame is what it waits for; frames that came with it are read, too.
    async fn until(&mut self, is_awaited: impl Fn(&Frame) -> bool) {
        loop {
            let batch = self.frames.next().await.expect("the stream goes on");
            let mut is_there = false;
            for published in &batch {
                let frame = &published.frame;
                if let FrameBody::IterationUpdate(update) = &frame.body {
                    let partial = &update.x_partial;
                    for (&index, &value) in partial.indices.iter().zip(&partial.values) {
                        self.x[index as usize] = value;
                    }
                }
                is_there |= is_awaited(frame);
                self.read.push(frame.clone());
            }
            if is_there {
                return;
            }
        }
    }

    async fn until_converged(&mut self, version: u64) {
        self.until(|frame| {
            let FrameBody::ConvergenceSignal(signal) = frame.body else { return false };
            signal.converged && signal.settled_version == Some(SystemVersion(version))
        })
        .await;
    }

    /// The last state, against the judge: within the bound where one is proven.
    fn check(&self, judge: &Judge) {
        let expected = judge.solution();
        let error = self.x.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0f64, f64::max);
        let size = expected.iter().fold(0.0f64, |size, x| size.max(x.abs()));
        assert!(error <= 1e-6 * size, "error {error:e} of {size:e}");
        let last = self.read.iter().rev().find_map(|frame| match &frame.body {
            FrameBody::IterationUpdate(update) => update.live,
            _ => None,
        });
        let bound = last.expect("a live state was announced").error_bound;
        let judged = 1e-13 * size;
        assert!(bound.kind != BoundKind::Proven || error <= bound.absolute + judged, "{bound:?}");
    }
}

fn node() -> Node {
    Node::launch(&NodeConfig::for_cores(2), NodeId::default())
}

#[actix_web::test]
async fn a_session_follows_changes_of_costs_and_of_the_matrix() {
    let node = node();
    let system = gallery::diagonally_dominant(60, 300, 3).unwrap();
    let mut judge = Judge::of(&system);
    let opened = node.open(live_session(system, MethodName::Hybrid)).await.unwrap();
    let (session, mut listener) = Listener::new(opened, 60);
    listener.until_converged(0).await;

    judge.rhs[7] += 2.5;
    let verdicts = node.apply_costs(session, vec![cost(7, 2.5)]).await.unwrap();
    assert_eq!(verdicts, [accepted(1)]);
    listener.until_converged(1).await;
    listener.check(&judge);

    judge.dense[3][59] = 0.01;
    judge.dense[3][3] *= 2.0;
    let changes = vec![entry(3, 59, 0.01, None), entry(3, 3, judge.dense[3][3], None)];
    let verdicts = node.apply_costs(session, changes).await.unwrap();
    assert_eq!(verdicts, [accepted(2), accepted(3)]);
    listener.until_converged(3).await;
    listener.check(&judge);
    let told: u64 = listener
        .read
        .iter()
        .map(|frame| match &frame.body {
            FrameBody::CostsAccepted(accepted) => accepted.updates,
            _ => 0,
        })
        .sum();
    assert_eq!(told, 3);

    let status = node.status(session).await.unwrap();
    assert_eq!((status.state, status.system_version), (SessionState::Live, SystemVersion(3)));
    let solution = node.solution(session).await.unwrap();
    assert_eq!((solution.system_version, solution.converged), (SystemVersion(3), true));
    assert_eq!(*solution.x, listener.x);
}

#[actix_web::test]
async fn a_change_is_applied_as_a_whole_or_not_at_all_and_once() {
    let node = node();
    let system = gallery::diagonally_dominant(40, 200, 5).unwrap();
    let mut judge = Judge::of(&system);
    let opened = node.open(live_session(system, MethodName::Hybrid)).await.unwrap();
    let (session, mut listener) = Listener::new(opened, 40);
    listener.until_converged(0).await;

    let mut half_bad = CostDelta::default();
    half_bad.edit_rhs(0, Change::Add(1.0), None);
    half_bad.edit_rhs(40, Change::Add(1.0), None);
    let half_bad = SourcedDelta { delta: half_bad, source: None };
    let stale = entry(2, 2, 9.0, Some(judge.dense[2][2] + 1.0));
    let source = UpdateSource { node: "a".to_owned(), key: UpdateKey::Sequence(4) };
    let named = SourcedDelta { source: Some(source), ..cost(1, 0.5) };
    let sent = vec![half_bad, named.clone(), stale, named];
    let verdicts = node.apply_costs(session, sent).await.unwrap();
    let CostVerdict::Refused(faults) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!(faults[0].fault, EditFault::RowOutOfRange { row: 40, order: 40 });
    assert_eq!(verdicts[1], accepted(1));
    let CostVerdict::Refused(faults) = &verdicts[2] else { panic!("{verdicts:?}") };
    let (held, expected) = (judge.dense[2][2], judge.dense[2][2] + 1.0);
    assert_eq!(faults[0].fault, EditFault::Stale { held, expected });
    assert_eq!(verdicts[3], CostVerdict::Duplicate { system_version: SystemVersion(1) });

    judge.rhs[1] += 0.5;
    listener.until_converged(1).await;
    listener.check(&judge);
}

#[actix_web::test]
async fn changes_that_arrive_during_the_first_solve_or_together_all_count() {
    let node = node();
    let system = gallery::poisson_2d(12, 3).unwrap();
    let mut judge = Judge::of(&system);
    let opened = node.open(live_session(system, MethodName::Cg)).await.unwrap();
    let (session, mut listener) = Listener::new(opened, 144);
    let sent = (0..200).map(|k| {
        let (row, added) = (k * 37 % 144, 0.01 * k as f64);
        judge.rhs[row] += added;
        node.apply_costs(session, vec![cost(row, added)])
    });
    let answers = join_all(sent).await;
    let mut versions: Vec<u64> = answers
        .iter()
        .map(|answer| match answer.as_deref() {
            Ok([CostVerdict::Accepted { system_version }]) => system_version.0,
            other => panic!("{other:?}"),
        })
        .collect();
    versions.sort_unstable();
    assert!(versions.into_iter().eq(1..=200));
    listener.until_converged(200).await;
    listener.check(&judge);
}

#[actix_web::test]
async fn a_system_that_became_singular_is_told_and_can_be_mended() {
    let node = node();
    let system = gallery::diagonally_dominant(30, 120, 8).unwrap();
    let mut judge = Judge::of(&system);
    let opened = node.open(live_session(system, MethodName::Hybrid)).await.unwrap();
    let (session, mut listener) = Listener::new(opened, 30);
    listener.until_converged(0).await;

    let gone: Vec<SourcedDelta> = (0..30).map(|col| entry(4, col, 0.0, None)).collect();
    node.apply_costs(session, gone).await.unwrap();
    listener.until(|frame| matches!(frame.body, FrameBody::Error(_))).await;
    judge.dense[4] = vec![0.0; 30];
    judge.dense[4][4] = 3.0;
    let verdicts = node.apply_costs(session, vec![entry(4, 4, 3.0, Some(0.0))]).await.unwrap();
    assert_eq!(verdicts, [accepted(31)]);
    listener.until_converged(31).await;
    listener.check(&judge);
}

#[actix_web::test]
async fn only_a_live_session_that_runs_takes_changes() {
    let node = node();
    let system = gallery::poisson_2d(5, 3).unwrap();
    let mut once = live_session(system.clone(), MethodName::Cg);
    once.stream.live = false;
    let session = node.open(once).await.unwrap().session;
    let refused = node.apply_costs(session, vec![cost(0, 1.0)]).await;
    assert_eq!(refused, Err(CostsUnavailable::NotLive));

    let opened = node.open(live_session(system, MethodName::Cg)).await.unwrap();
    let (session, mut listener) = Listener::new(opened, 25);
    listener.until_converged(0).await;
    let reading = async move {
        while let Some(batch) = listener.frames.next().await {
            listener.read.extend(batch.iter().map(|published| published.frame.clone()));
        }
        listener.read
    };
    let ((), read) = futures_util::future::join(node.drain(), reading).await;
    let Some(FrameBody::End(end)) = read.last().map(|frame| &frame.body) else {
        panic!("the last frame is an end")
    };
    assert_eq!(end.reason, EndReason::Draining);
    let refused = node.apply_costs(session, vec![cost(0, 1.0)]).await;
    assert_eq!(refused, Err(CostsUnavailable::Ended));

    let nobody = SessionId::from_random_bits(9);
    let refused = node.apply_costs(nobody, vec![]).await;
    assert_eq!(refused, Err(CostsUnavailable::UnknownSession(nobody)));
}
