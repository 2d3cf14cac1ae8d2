//! Sessions that are streamed: what arrives, in which order, in which form.

use serde_json::Value;

use crate::http::client::{Response, get, post_json, request};
use crate::http::server::TestServer;
use crate::http::systems::poisson;

/// The plan's example 9.1, mended, and without a swarm: with one the session would stay.
pub const MENDED: &str = r#"{
    "matrix": {
        "rows": 3, "cols": 3,
        "data": {
            "values": [2, -1, -1, 2, -1, -1, 2],
            "row_indices": [0, 1, 0, 1, 2, 1, 2],
            "col_pointers": [0, 2, 5, 7]
        },
        "format": "csr"
    },
    "vector": [1, 2, 3],
    "method": "hybrid",
    "options": {"tolerance": 1e-8, "swarm_enabled": false}
}"#;

fn check_solution(x: &Value) {
    let x: Vec<f64> = serde_json::from_value(x.clone()).unwrap();
    assert_eq!(x.len(), 3);
    for (found, expected) in x.iter().zip([2.5, 4.0, 3.5]) {
        assert!((found - expected).abs() < 1e-7, "{x:?}");
    }
}

#[test]
fn the_mended_example_streams_to_its_solution() {
    let server = TestServer::start();
    let response = post_json(server.address, "/api/v1/solve-stream", MENDED);
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(response.header("cache-control"), Some("no-store, no-transform"));
    assert_eq!(response.header("x-accel-buffering"), Some("no"));
    let session = response.header("weir-session-id").unwrap().to_owned();
    let frames: Vec<Value> = response.frames().collect();
    for (position, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence"], position as u64 + 1, "{frame}");
        assert_eq!(frame["session_id"], session.as_str());
    }
    let kinds: Vec<&str> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "session_opened");
    assert!(kinds.contains(&"iteration_update"), "{kinds:?}");
    assert!(kinds.ends_with(&["convergence_signal", "solution", "end"]), "{kinds:?}");
    check_solution(&frames[frames.len() - 2]["x"]);
    let end = &frames[frames.len() - 1];
    assert_eq!(end["reason"], "converged", "{end}");
    assert!(end["residual_norm"].as_f64().unwrap() <= 1e-8 * 14f64.sqrt());
    let warnings = frames[0]["warnings"].as_array().unwrap();
    assert_eq!(warnings[0]["pointer"], "/matrix/format");
}

#[test]
fn events_carry_the_same_frames_under_ids_of_their_own() {
    let server = TestServer::start();
    let headers = [("content-type", "application/json"), ("accept", "text/event-stream")];
    let response =
        request(server.address, "POST /api/v1/solve-stream", &headers, MENDED.as_bytes());
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let session = response.header("weir-session-id").unwrap().to_owned();
    let text = response.text();
    let mut events = text.split("\n\n").filter(|event| !event.is_empty());
    assert_eq!(events.next(), Some("retry: 2000"));
    let mut last = String::new();
    for (position, event) in events.enumerate() {
        let lines: Vec<&str> = event.lines().collect();
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        last = data["type"].as_str().unwrap().to_owned();
        assert_eq!(lines[0], format!("event: {last}"));
        assert_eq!(lines[1], format!("id: {session}:{}", position + 1));
    }
    assert_eq!(last, "end");
}

#[test]
fn a_session_can_be_opened_asked_listened_to_and_deleted() {
    let server = TestServer::start();
    let created = post_json(server.address, "/api/v1/sessions", MENDED);
    assert_eq!(created.status, 201);
    let location = created.header("location").unwrap().to_owned();
    let status = created.json();
    assert_eq!(location, format!("/api/v1/sessions/{}", status["session_id"].as_str().unwrap()));

    let frames: Vec<Value> = get(server.address, &format!("{location}/stream")).frames().collect();
    assert_eq!(frames.first().unwrap()["type"], "session_opened");
    assert_eq!(frames.last().unwrap()["type"], "end");

    let status = get(server.address, &location).json();
    assert_eq!((&status["state"], &status["end_reason"]), (&"ended".into(), &"converged".into()));
    let listed = get(server.address, "/api/v1/status").json();
    assert_eq!(listed["sessions"][0]["session_id"], status["session_id"]);

    let solution = get(server.address, &format!("{location}/solution")).json();
    check_solution(&solution["x"]);
    assert_eq!(solution["converged"], true);
    let chosen = get(server.address, &format!("{location}/solution?indices=2,0")).json();
    assert_eq!(chosen["indices"], serde_json::json!([2, 0]));
    assert_eq!(chosen["x"], serde_json::json!([solution["x"][2], solution["x"][0]]));
    check_binary(&server, &location, &solution);

    let deleted = request(server.address, &format!("DELETE {location}"), &[], b"");
    assert_eq!(deleted.status, 204);
    assert_eq!(get(server.address, &location).status, 404);
}

fn check_binary(server: &TestServer, location: &str, solution: &Value) {
    let line = format!("GET {location}/solution");
    let accept = [("accept", "application/octet-stream")];
    let response: Response = request(server.address, &line, &accept, b"");
    let residual: f64 = response.header("weir-residual-norm").unwrap().parse().unwrap();
    assert_eq!(Some(residual), solution["residual_norm"].as_f64());
    assert_eq!(response.header("weir-system-version"), Some("0"));
    let bytes = response.bytes();
    let x: Vec<f64> =
        bytes.chunks(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect();
    assert_eq!(serde_json::json!(x), solution["x"]);
}

#[test]
fn a_hundred_streams_at_once_all_come_to_their_end() {
    let server = TestServer::start();
    let options = serde_json::json!({
        "tolerance": 1e-15, "max_iterations": 2_000, "update_every": 1, "damping": 1e-4,
    });
    let body = poisson(4, "jacobi", options);
    std::thread::scope(|scope| {
        let streams: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let response = post_json(server.address, "/api/v1/solve-stream", &body);
                    response.frames().last().unwrap()
                })
            })
            .collect();
        for stream in streams {
            let last = stream.join().unwrap();
            assert_eq!(last["reason"], "max_iterations", "{last}");
            assert_eq!(last["iterations"], 2_000);
        }
    });
}
