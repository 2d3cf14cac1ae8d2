//! A node on real threads: what holds in a simulated world holds there too.

use std::num::NonZeroU64;
use std::time::Duration;

use futures_util::future::join_all;
use weir::actors::node::{NewSession, Node, NodeError, Opened};
use weir::ids::{NodeId, SessionId};
use weir::policy::announcing::UpdateEvery;
use weir::protocol::frame::{EndReason, Frame, FrameBody};
use weir::protocol::stream_options::StreamOptions;
use weir::runtime::clock::Clock;
use weir::runtime::config::NodeConfig;
use weir::solver::analysis::Analysis;
use weir::solver::change_tracker::XPartialMax;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::options::{MethodName, SolveOptions};
use weir::solver::system::{LinearSystem, MatrixArrays};

fn engine(side: usize, options: SolveOptions) -> Box<Engine> {
    let system = gallery::poisson_2d(side, 3).unwrap();
    let analysis = Analysis::of(&system);
    Box::new(Engine::new(system, analysis, None, options).unwrap())
}

fn listened(side: usize, method: MethodName, stream: StreamOptions) -> NewSession {
    let options = SolveOptions { method, ..SolveOptions::default() };
    NewSession { engine: engine(side, options), stream, warnings: vec![], listen: true }
}

async fn read_to_end(opened: Opened) -> Vec<Frame> {
    let mut frames = opened.frames.unwrap();
    let mut read = Vec::new();
    while let Some(batch) = frames.next().await {
        read.extend(batch.iter().map(|published| published.frame.clone()));
    }
    read
}

fn end_of(frames: &[Frame]) -> EndReason {
    match &frames.last().unwrap().body {
        FrameBody::End(end) => end.reason,
        other => panic!("the last frame is {other:?}"),
    }
}

/// Numbered from 1 without a gap, but for updates that say how many they replace.
fn assert_gapless(frames: &[Frame]) {
    let mut expected = 1;
    for frame in frames {
        if let FrameBody::IterationUpdate(update) = &frame.body {
            expected += update.skipped;
        }
        assert_eq!(frame.sequence.0, expected, "{:?}", frame.body.type_name());
        expected += 1;
    }
}

#[actix_web::test]
async fn a_thousand_sessions_at_once_all_get_their_answer() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let visits = (0..1_000).map(|_| {
        let node = node.clone();
        async move {
            let new = listened(12, MethodName::Cg, StreamOptions::default());
            read_to_end(node.open(new).await.unwrap()).await
        }
    });
    for frames in join_all(visits).await {
        assert_eq!(end_of(&frames), EndReason::Converged);
        assert_gapless(&frames);
    }
}

#[actix_web::test]
async fn a_lossless_listener_can_rebuild_x_from_the_updates_alone() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let stream = StreamOptions {
        x_partial_max: XPartialMax::All,
        update_every: UpdateEvery::Every(NonZeroU64::MIN),
        ..StreamOptions::default()
    };
    let opened = node.open(listened(20, MethodName::Jacobi, stream)).await.unwrap();
    let frames = read_to_end(opened).await;
    assert_gapless(&frames);
    let mut held = vec![0.0; 400];
    let mut solution = None;
    for frame in frames {
        match frame.body {
            FrameBody::IterationUpdate(update) => {
                for (&index, &value) in
                    update.x_partial.indices.iter().zip(&update.x_partial.values)
                {
                    held[index as usize] = value;
                }
            }
            FrameBody::Solution(answer) => solution = Some(answer.x),
            _ => {}
        }
    }
    assert_eq!(held, *solution.unwrap());
}

#[actix_web::test]
async fn a_session_whose_listener_goes_stops_and_can_still_be_asked() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let opened = node.open(listened(300, MethodName::Jacobi, StreamOptions::default())).await;
    let Opened { session, frames } = opened.unwrap();
    assert_eq!(node.status(session).await.unwrap().end_reason, None);
    drop(frames);
    let ended = loop {
        let status = node.status(session).await.unwrap();
        if let Some(reason) = status.end_reason {
            break reason;
        }
        actix_web::rt::task::yield_now().await;
    };
    assert_eq!(ended, "listener_gone");
    assert_eq!(node.solution(session).await.unwrap().x.len(), 90_000);
}

#[actix_web::test]
async fn a_full_node_refuses_and_a_deleted_session_makes_room() {
    let config = NodeConfig { running_sessions_max: 1, ..NodeConfig::for_cores(2) };
    let node = Node::launch(&config, NodeId::default());
    let endless = || listened(300, MethodName::Jacobi, StreamOptions::default());
    let first = node.open(endless()).await.unwrap();
    assert!(matches!(node.open(endless()).await, Err(NodeError::Refused(_))));
    let session = first.session;
    node.delete(session).await.unwrap();
    assert_eq!(end_of(&read_to_end(first).await), EndReason::Deleted);
    assert_eq!(node.delete(session).await, Err(NodeError::UnknownSession(session)));
    assert!(node.open(endless()).await.is_ok());
}

#[actix_web::test]
async fn a_draining_node_ends_every_stream_and_takes_no_more() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let endless = || listened(300, MethodName::Jacobi, StreamOptions::default());
    let streams = [node.open(endless()).await.unwrap(), node.open(endless()).await.unwrap()];
    let reading = join_all(streams.into_iter().map(read_to_end));
    let (ends, ()) = futures_util::future::join(reading, node.drain()).await;
    for frames in ends {
        assert_eq!(end_of(&frames), EndReason::Draining);
    }
    assert!(node.health().await.unwrap().draining);
    assert!(matches!(node.open(endless()).await, Err(NodeError::Refused(_))));
}

#[actix_web::test]
async fn a_late_listener_learns_what_happened_before_it_came() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let new =
        NewSession { listen: false, ..listened(16, MethodName::Cg, StreamOptions::default()) };
    let session = node.open(new).await.unwrap().session;
    while node.status(session).await.unwrap().end_reason.is_none() {
        actix_web::rt::task::yield_now().await;
    }
    let frames = node.subscribe(session, false).await.unwrap();
    let frames = read_to_end(Opened { session, frames: Some(frames) }).await;
    let kinds: Vec<&str> = frames.iter().map(|frame| frame.body.type_name()).collect();
    assert_eq!(
        kinds,
        [
            "session_opened",
            "prepared",
            "iteration_update",
            "verification_result",
            "convergence_signal",
            "end"
        ]
    );
    let stranger = SessionId::from_random_bits(1);
    let refused = node.subscribe(stranger, true).await.unwrap_err();
    assert_eq!(refused, NodeError::UnknownSession(stranger));
}

#[actix_web::test]
async fn ended_sessions_give_way_when_memory_is_short() {
    let config = NodeConfig { memory_bytes_max: 2_000_000, ..NodeConfig::for_cores(2) };
    let node = Node::launch(&config, NodeId::default());
    for _ in 0..60 {
        let opened =
            node.open(listened(64, MethodName::Cg, StreamOptions::default())).await.unwrap();
        assert_eq!(end_of(&read_to_end(opened).await), EndReason::Converged);
    }
    let status = node.health().await.unwrap();
    assert_eq!(status.opened_sessions_total, 60);
    assert!(status.ended_sessions < 60, "{status:?}");
    let huge = listened(200, MethodName::Cg, StreamOptions::default());
    assert!(matches!(node.open(huge).await, Err(NodeError::Refused(_))));
}

/// What every stream must keep, whatever its end: the solution's residual is that of its `x`, and the
/// updates of a lossless listener lead to that `x`.
async fn assert_truthful(
    node: &Node,
    dense: &[Vec<f64>],
    rhs: &[f64],
    options: SolveOptions,
    guess: Option<Vec<f64>>,
) {
    let n = rhs.len();
    let values = dense.concat();
    let system =
        LinearSystem::assemble(n, n, MatrixArrays::Dense { values }, rhs.to_vec()).unwrap();
    let analysis = Analysis::of(&system);
    let engine = Engine::new(system, analysis, guess.clone(), options.clone()).unwrap();
    let stream = StreamOptions { x_partial_max: XPartialMax::All, ..StreamOptions::default() };
    let new = NewSession { engine: Box::new(engine), stream, warnings: vec![], listen: true };
    let frames = read_to_end(node.open(new).await.unwrap()).await;
    let mut held = guess.unwrap_or_else(|| vec![0.0; n]);
    let mut last_norm = f64::NAN;
    for frame in &frames {
        match &frame.body {
            FrameBody::IterationUpdate(update) => {
                for (&index, &value) in
                    update.x_partial.indices.iter().zip(&update.x_partial.values)
                {
                    held[index as usize] = value;
                }
                last_norm = update.residual_norm;
                assert_residual(dense, rhs, &held, update.residual_norm, &options);
            }
            FrameBody::Solution(solution) => {
                assert_eq!(held, *solution.x, "{options:?}");
                assert_eq!(solution.residual_norm, last_norm, "{options:?}");
                assert_residual(dense, rhs, &solution.x, solution.residual_norm, &options);
            }
            FrameBody::End(end) => assert_eq!(end.residual_norm, Some(last_norm), "{options:?}"),
            _ => {}
        }
    }
}

fn assert_residual(dense: &[Vec<f64>], rhs: &[f64], x: &[f64], claimed: f64, of: &SolveOptions) {
    let product = |row: &Vec<f64>| row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>();
    let residual: f64 = dense.iter().zip(rhs).map(|(row, b)| (b - product(row)).powi(2)).sum();
    let scale: f64 = dense.iter().flatten().chain(rhs).chain(x).map(|a| a.abs()).sum();
    let difference = (residual.sqrt() - claimed).abs();
    assert!(
        difference <= 1e-13 * scale * scale,
        "{of:?}: claimed {claimed}, is {}",
        residual.sqrt()
    );
}

#[actix_web::test]
async fn whatever_the_end_the_solution_carries_its_own_residual() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let diverging = vec![vec![1.0, 2.0], vec![3.0, 1.0]];
    let sound = vec![vec![2.0, 0.0], vec![0.0, 2.0]];
    let awkward = vec![vec![3.0, -1.0, 0.5], vec![1.0, 4.0, -1.0], vec![0.25, 1.0, 5.0]];
    for method in MethodName::ALL {
        let options = |tolerance, iterations_max| SolveOptions {
            method,
            tolerance,
            iterations_max,
            ..SolveOptions::default()
        };
        if method != MethodName::Cg {
            assert_truthful(&node, &diverging, &[1.0, 1.0], options(1e-8, 5), None).await;
            assert_truthful(&node, &awkward, &[1.0, 2.0, 3.0], options(1e-15, 40), None).await;
            assert_truthful(&node, &awkward, &[1.0, 2.0, 3.0], options(1e-8, 1), None).await;
        }
        let guess = Some(vec![1.0, 1.0]);
        assert_truthful(&node, &sound, &[0.0, 0.0], options(1e-8, 100), guess.clone()).await;
        assert_truthful(&node, &sound, &[2.0, 2.0], options(1e-8, 100), guess).await;
    }
}

#[actix_web::test]
async fn a_session_alone_is_told_what_it_may_take_and_keeps_to_it() {
    let config = NodeConfig { memory_bytes_max: 3_000_000, ..NodeConfig::for_cores(2) };
    let node = Node::launch(&config, NodeId::default());
    let options = SolveOptions {
        method: MethodName::Gmres,
        restart: 1_000,
        memory_bytes_max: u64::MAX,
        ..SolveOptions::default()
    };
    let stream = StreamOptions::default();
    let new = NewSession { engine: engine(90, options), stream, warnings: vec![], listen: true };
    let frames = read_to_end(node.open(new).await.unwrap()).await;
    assert_eq!(end_of(&frames), EndReason::Converged);
    let shortened = frames.iter().any(|frame| match &frame.body {
        FrameBody::Prepared(prepared) => prepared.description.contains("restart shortened"),
        _ => false,
    });
    assert!(shortened, "a basis of 1,000 vectors would take 65 MB");
}

#[actix_web::test]
async fn a_deleted_session_is_off_the_books_when_its_solve_is_back() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let opened = node.open(listened(300, MethodName::Jacobi, StreamOptions::default())).await;
    let Opened { session, frames } = opened.unwrap();
    node.delete(session).await.unwrap();
    drop(frames);
    assert_eq!(node.status(session).await, Err(NodeError::UnknownSession(session)));
    loop {
        let status = node.health().await.unwrap();
        if status.running_sessions == 0 && status.memory_usage_mb == 0.0 {
            assert_eq!(status.ended_sessions, 0);
            break;
        }
        actix_web::rt::task::yield_now().await;
    }
}

#[actix_web::test]
async fn the_time_of_an_ended_session_stands_still() {
    let node = Node::launch(&NodeConfig::for_cores(2), NodeId::default());
    let opened = node.open(listened(12, MethodName::Cg, StreamOptions::default())).await.unwrap();
    let session = opened.session;
    read_to_end(opened).await;
    let first = node.status(session).await.unwrap().elapsed_ms;
    let second = node.status(session).await.unwrap().elapsed_ms;
    assert_eq!(first, second);
}

#[actix_web::test]
async fn a_factorisation_whose_session_is_deleted_frees_its_worker_at_once() {
    let config = NodeConfig { heavy_workers: 1, ..NodeConfig::for_cores(1) };
    let clock = Clock::system();
    let node = Node::launch(&config, NodeId::default());
    // More than 10¹² operations: a quarter of a minute at the least.
    let system = gallery::diagonally_dominant(16_000, 80_000, 1).unwrap();
    let analysis = Analysis::of(&system);
    let options = SolveOptions { method: MethodName::Direct, ..SolveOptions::default() };
    let engine = Box::new(Engine::new(system, analysis, None, options).unwrap());
    let stream = StreamOptions::default();
    let new = NewSession { engine, stream, warnings: vec![], listen: true };
    let Opened { session, frames } = node.open(new).await.unwrap();
    let mut frames = frames.unwrap();
    let is_ordered = |frame: &FrameBody| matches!(frame, FrameBody::Prepared(_));
    while !frames.next().await.unwrap().iter().any(|published| is_ordered(&published.frame.body)) {}
    node.delete(session).await.unwrap();
    let deleted = clock.now();
    let next = node.open(listened(400, MethodName::Direct, stream)).await.unwrap();
    assert_eq!(end_of(&read_to_end(next).await), EndReason::Converged);
    let waited = clock.now().since(deleted);
    assert!(waited < Duration::from_secs(8), "the next one waited {waited:?} for its worker");
    let status = node.health().await.unwrap();
    assert_eq!(status.running_sessions, 0);
    assert_eq!(status.ended_sessions, 1, "the deleted one is off the books: {status:?}");
}
