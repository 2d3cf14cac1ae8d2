//! A real browser: its EventSource, and the start page. And Node, which speaks HTTP/2.

use std::process::Command;

use serde_json::Value;

use crate::http::server::TestServer;

/// Runs a script of `tests/browser` against the server and returns what it prints.
fn browse(server: &TestServer, script: &str) -> Value {
    let output = Command::new("node")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([&format!("tests/browser/{script}"), &server.url("/")])
        .output()
        .expect("node is installed: `.ci/run setup` sees to it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

#[test]
fn an_event_source_follows_a_session_to_its_end_and_does_not_come_again() {
    let seen = browse(&TestServer::start(), "event_source.mjs");
    assert_eq!(seen["connections"], 1, "{seen}");
    let events = seen["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"session_opened"), "{kinds:?}");
    assert!(kinds.contains(&"iteration_update"), "{kinds:?}");
    assert!(kinds.ends_with(&["convergence_signal", "solution", "end"]), "{kinds:?}");
    assert_eq!(kinds.iter().filter(|&&kind| kind == "end").count(), 1, "{kinds:?}");
    for event in events {
        let expected = format!("{}:{}", event["session_id"].as_str().unwrap(), event["sequence"]);
        assert_eq!(event["id"], expected);
    }
}

#[test]
fn a_stalled_stream_of_http_2_is_reset_and_the_others_go_on() {
    let server = TestServer::with(|_, node| {
        node.stall_limit = std::time::Duration::from_millis(500);
    });
    let seen = browse(&server, "http2_stall.mjs");
    assert_eq!(seen["reason"], "listener_gone", "{seen}");
    assert!(seen["more"].as_u64() > Some(1_000_000), "the other stream went on: {seen}");
    assert!(seen["code"].as_u64() > Some(0), "the stalled one was reset: {seen}");
    assert_eq!(seen["connection_closed"], false, "{seen}");
}

#[test]
fn the_start_page_solves_an_example_and_draws_it() {
    let page = browse(&TestServer::start(), "start_page.mjs");
    assert_eq!(page["errors"], serde_json::json!([]));
    assert!(page["verdict"].as_str().unwrap().starts_with("Converged"), "{page}");
    assert!(page["points"].as_u64() > Some(20), "{page}");
    assert!(page["ink"].as_u64() > Some(500), "the curve is drawn: {page}");
    assert_eq!(page["sessions"], 1, "{page}");
    assert_eq!(page["foreign_requests"], serde_json::json!([]), "the page works offline");
}
