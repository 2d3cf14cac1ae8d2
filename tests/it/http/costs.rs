//! Changes of costs over HTTP.

mod entries;
mod live;
mod storms;
mod verify;

use std::process::Command;

use serde_json::{Value, json};

use crate::http::client::{post_json, request};
use crate::http::server::TestServer;

const NOBODY: &str = "4dbb51a1-2f0c-4d33-9a3f-0d2f6f2a7a11";

/// Runs curl; its status and body.
fn curl(arguments: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--no-buffer", "-w", "\n%{http_code}"])
        .args(arguments)
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Posts an update with curl; the problem that answers it.
fn refused(server: &TestServer, path: &str, body: &str, status: u16, code: &str) -> Value {
    let url = server.url(path);
    let (found, document) = curl(&[&url, "-H", "content-type: application/json", "-d", body]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (found, &document["type"]),
        (status, &json!(format!("/problems/{code}"))),
        "{document}"
    );
    document
}

fn pointers(document: &Value) -> Vec<&str> {
    let errors = document["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[test]
fn updates_that_cannot_be_read_are_answered_with_the_members_at_fault() {
    let server = TestServer::start();
    let path = format!("/api/v1/swarm/costs?session_id={NOBODY}");
    let cases: [(&str, u16, &str, &[&str]); 6] = [
        ("{", 400, "malformed-body", &[""]),
        ("{}", 422, "invalid-request", &[""]),
        ("7", 422, "invalid-request", &[""]),
        (
            r#"{"delta_costs": {"indices": [1, -2], "values": [1]}, "matrix_updates": [{}]}"#,
            422,
            "invalid-request",
            &[
                "/delta_costs/indices/1",
                "/delta_costs/values",
                "/matrix_updates/0/row",
                "/matrix_updates/0/col",
                "/matrix_updates/0/new_value",
            ],
        ),
        (
            r#"{"delta_costs": {"indices": [0], "values": [NaN]}}"#,
            400,
            "malformed-body",
            &["/delta_costs/values/0"],
        ),
        (
            r#"{"type": "solve_request", "rhs_updates": [{"index": 0, "new_value": 1e400}]}"#,
            422,
            "invalid-request",
            &["/type", "/rhs_updates/0/new_value"],
        ),
    ];
    for (body, status, code, expected) in cases {
        let document = refused(&server, &path, body, status, code);
        assert_eq!(pointers(&document), expected, "{document}");
    }
}

#[test]
fn sessions_that_are_not_there_are_told_of_before_a_stream_begins() {
    let server = TestServer::start();
    let update = r#"{"delta_costs": {"indices": [0], "values": [1]}}"#;
    for path in [
        format!("/api/v1/swarm/costs?session_id={NOBODY}"),
        format!("/api/v1/sessions/{NOBODY}/costs"),
    ] {
        refused(&server, &path, update, 404, "unknown-session");
        let url = server.url(&path);
        let lines = ["-H", "content-type: application/x-ndjson", "-d", update, &url];
        let (status, document) = curl(&lines);
        assert_eq!(status, 404, "{document}");
    }
    refused(&server, "/api/v1/sessions/7/costs", update, 404, "unknown-session");
    refused(&server, "/api/v1/swarm/costs", update, 422, "invalid-request");
    let named = json!({"session_id": NOBODY, "matrix_updates": []}).to_string();
    refused(&server, "/api/v1/swarm/costs", &named, 404, "unknown-session");
}

#[test]
fn addresses_and_types_that_are_not_served_say_what_is() {
    let server = TestServer::start();
    let update = r#"{"matrix_updates": []}"#;
    for (query, pointer) in [
        ("session_id=7", "?session_id"),
        ("acknowledge=none", "?acknowledge"),
        ("colour=red", "?colour"),
    ] {
        let path = format!("/api/v1/swarm/costs?{query}");
        let document = refused(&server, &path, update, 400, "invalid-query");
        assert_eq!(pointers(&document), [pointer]);
    }
    let twice = format!("/api/v1/sessions/{NOBODY}/costs?session_id={NOBODY}");
    refused(&server, &twice, update, 400, "invalid-query");
    let post = "POST /api/v1/swarm/costs";
    for headers in [
        &[("content-type", "text/plain")][..],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[("content-type", "application/x-ndjson"), ("content-encoding", "gzip")],
    ] {
        let refused = request(server.address, post, headers, update.as_bytes());
        assert_eq!(refused.status, 415);
        let way_out = refused.json()["way_out"].as_str().unwrap().to_owned();
        assert!(way_out.contains("application/x-ndjson"), "{way_out}");
    }
    let refused = request(server.address, "GET /api/v1/swarm/costs", &[], b"");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
}

#[test]
fn each_update_of_an_array_and_each_line_is_answered_for_itself() {
    let server = TestServer::start();
    let path = "/api/v1/swarm/costs";
    let lines = [
        json!({"session_id": NOBODY, "matrix_updates": [], "source_node": "a", "sequence": 7}),
        json!({"session_id": NOBODY, "matrix_updates": 7}),
        json!(7),
    ];
    let answer = post_json(server.address, path, &json!(lines).to_string());
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(0), &json!(3)), "{answer}");
    let problems: Vec<&Value> =
        answer["results"].as_array().unwrap().iter().map(|result| &result["problem"]).collect();
    assert_eq!(problems[0]["type"], "/problems/unknown-session");
    assert_eq!(answer["results"][0]["sequence"], 7);
    assert_eq!(pointers(problems[1]), ["/1/matrix_updates"]);
    assert_eq!(pointers(problems[2]), ["/2"]);

    let text = lines.map(|line| line.to_string()).join("\n");
    let kind = [("content-type", "application/x-ndjson")];
    let answer =
        request(server.address, &format!("POST {path}"), &kind, format!("\n{text}\n{{").as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let answers: Vec<Value> = answer.frames().collect();
    let numbers: Vec<&Value> = answers.iter().map(|answer| &answer["line"]).collect();
    assert_eq!(numbers[..4], [&json!(2), &json!(3), &json!(4), &json!(5)]);
    let types: Vec<&Value> = answers.iter().map(|answer| &answer["problem"]["status"]).collect();
    assert_eq!(types[..4], [&json!(404), &json!(422), &json!(422), &json!(400)]);
    let end = json!({"type": "end", "accepted": 0, "duplicates": 0, "refused": 4});
    assert_eq!(answers[4], end);
}

#[test]
fn lines_without_end_are_refused_and_the_next_ones_read() {
    let server = TestServer::start();
    let kind = [("content-type", "application/x-ndjson")];
    let large =
        format!(r#"{{"session_id": "{NOBODY}", "matrix_updates": [{}]}}"#, " ".repeat(200_000));
    let body = format!("{}\n{large}\n7\n{}", "[".repeat(3 << 20), "x".repeat(2 << 20));
    let answer = request(server.address, "POST /api/v1/swarm/costs", &kind, body.as_bytes());
    let answers: Vec<Value> = answer.frames().collect();
    let found: Vec<(u64, u64)> = answers[..4]
        .iter()
        .map(|answer| {
            (answer["line"].as_u64().unwrap(), answer["problem"]["status"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(found, [(1, 413), (2, 404), (3, 422), (4, 413)]);
}
