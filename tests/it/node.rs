//! A node on real threads: what holds in a simulated world holds there too.

use std::num::NonZeroU64;

use futures_util::future::join_all;
use weir::actors::node::{NewSession, Node, NodeError, Opened};
use weir::ids::{NodeId, SessionId};
use weir::policy::announcing::UpdateEvery;
use weir::protocol::frame::{EndReason, Frame, FrameBody};
use weir::protocol::stream_options::StreamOptions;
use weir::runtime::config::NodeConfig;
use weir::solver::analysis::Analysis;
use weir::solver::change_tracker::XPartialMax;
use weir::solver::engine::Engine;
use weir::solver::gallery;
use weir::solver::options::{MethodName, SolveOptions};

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
        ["session_opened", "prepared", "iteration_update", "convergence_signal", "end"]
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
