//! Those who listen badly: who leave, who read slowly, who stop reading.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::client::{get, post_json, request};
use crate::http::server::TestServer;
use crate::http::streaming::MENDED;
use crate::http::systems::endless;

/// Asks for a session's status until `enough`, and returns it.
#[allow(clippy::disallowed_methods, reason = "the deadline of a test against a real server")]
fn await_status(
    server: &TestServer,
    session: &str,
    limit: Duration,
    enough: impl Fn(&Value) -> bool,
) -> Value {
    let start = Instant::now();
    loop {
        let status = get(server.address, &format!("/api/v1/status/{session}")).json();
        if enough(&status) {
            return status;
        }
        assert!(start.elapsed() < limit, "after {limit:?}: {status}");
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    1_024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
}

#[test]
fn a_client_that_leaves_stops_its_work() {
    let server = TestServer::start();
    let response = post_json(server.address, "/api/v1/solve-stream", &endless(30));
    let session = response.header("weir-session-id").unwrap().to_owned();
    let mut frames = response.frames();
    assert_eq!(frames.next().unwrap()["type"], "session_opened");
    assert_eq!(frames.next().unwrap()["type"], "iteration_update");
    drop(frames);
    let ended = await_status(&server, &session, Duration::from_secs(3), |status| {
        status["state"] == "ended"
    });
    assert_eq!(ended["end_reason"], "listener_gone");
}

#[test]
fn a_reader_that_pauses_slows_nobody_and_misses_no_fact() {
    let server = TestServer::start();
    let response = post_json(server.address, "/api/v1/solve-stream", &endless(50));
    let session = response.header("weir-session-id").unwrap().to_owned();
    let mut frames = response.frames();
    assert_eq!(frames.next().unwrap()["type"], "session_opened");

    // 2,500 unknowns are about 60 kB an update: 1,000 of them fill every buffer on the way.
    let long = Duration::from_secs(60);
    await_status(&server, &session, long, |status| status["iteration"].as_u64() >= Some(1_000));
    let before = resident_bytes();
    let other: Vec<Value> =
        post_json(server.address, "/api/v1/solve-stream", MENDED).frames().collect();
    assert_eq!(other.last().unwrap()["reason"], "converged");
    await_status(&server, &session, long, |status| status["iteration"].as_u64() >= Some(21_000));
    let grown = resident_bytes().saturating_sub(before);
    // 20,000 updates are 1 GB as numbers and 1.2 GB as text. The queue may hold 3 MB of numbers, two
    // quanta 15 MB, and the allocator keeps some of what one thread took and another gave back.
    assert!(grown < 192 << 20, "20,000 updates grew the process by {grown} bytes");

    let deleted = request(server.address, &format!("DELETE /api/v1/sessions/{session}"), &[], b"");
    assert_eq!(deleted.status, 204);
    let (mut last_sequence, mut skipped, mut kinds) = (1, 0, vec![]);
    for frame in frames {
        let sequence = frame["sequence"].as_u64().unwrap();
        assert!(sequence > last_sequence, "{sequence} after {last_sequence}");
        last_sequence = sequence;
        skipped += frame["skipped"].as_u64().unwrap_or(0);
        kinds.push(frame["type"].as_str().unwrap().to_owned());
    }
    assert!(skipped > 500, "the updates that were merged are counted: {skipped}");
    assert_eq!(kinds.last().unwrap(), "end");
}

#[test]
fn a_reader_that_stops_is_cut_off_and_its_session_ends() {
    let server = TestServer::with(|_, node| node.stall_limit = Duration::from_millis(500));
    let response = post_json(server.address, "/api/v1/solve-stream", &endless(50));
    let session = response.header("weir-session-id").unwrap().to_owned();
    let ended = await_status(&server, &session, Duration::from_secs(60), |status| {
        status["state"] == "ended"
    });
    assert_eq!(ended["end_reason"], "listener_gone");
    // The connection is over, whatever is still on the way: it ends without an orderly last chunk.
    let mut rest = vec![];
    let mut response = response;
    assert!(response.read_to_end(&mut rest).is_err(), "the stream was cut in the middle");
}

#[test]
fn two_listeners_of_one_session_get_the_same_facts() {
    let server = TestServer::start();
    let created = post_json(server.address, "/api/v1/sessions", &endless(20));
    let location = created.header("location").unwrap().to_owned();
    let stream = format!("{location}/stream");
    let mut first = get(server.address, &stream).frames();
    let mut second = get(server.address, &stream).frames();
    assert_eq!(first.next().unwrap(), second.next().unwrap());
    assert_eq!(request(server.address, &format!("DELETE {location}"), &[], b"").status, 204);
    let (first, second) = (first.last().unwrap(), second.last().unwrap());
    assert_eq!(first["reason"], "deleted");
    assert_eq!(first, second);
}

#[test]
fn a_listener_that_comes_again_gets_only_what_it_has_not_had() {
    let server = TestServer::start();
    let created = post_json(server.address, "/api/v1/sessions", MENDED);
    let session = created.json()["session_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sessions/{session}/stream");
    // The first sees updates as they come; whoever comes after the end gets the facts alone.
    assert_eq!(get(server.address, &path).frames().last().unwrap()["type"], "end");
    let all: Vec<Value> = get(server.address, &path).frames().collect();
    let end = all.last().unwrap();
    assert_eq!(end["type"], "end");
    let again = |last_event_id: &str| {
        let headers = [("last-event-id", last_event_id)];
        request(server.address, &format!("GET {path}"), &headers, b"")
    };

    let last = end["sequence"].as_u64().unwrap();
    assert_eq!(again(&format!("{session}:{last}")).status, 204);
    assert_eq!(again(&format!("{session}:{}", last + 1)).status, 204);
    let missed: Vec<Value> = again(&format!("{session}:{}", last - 1)).frames().collect();
    assert_eq!(missed, std::slice::from_ref(end));
    // What this session never said counts for nothing.
    let foreign = "01234567-89ab-4def-8123-456789abcdef";
    for id in [format!("{foreign}:{last}"), last.to_string(), format!("{session}:x")] {
        let response = again(&id);
        assert_eq!(response.status, 200, "{id}");
        assert_eq!(response.frames().collect::<Vec<_>>(), all, "{id}");
    }
}
