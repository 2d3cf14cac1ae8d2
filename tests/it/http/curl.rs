//! curl, as the README calls it.

use std::process::Command;

use serde_json::Value;

use crate::http::server::TestServer;
use crate::http::streaming::MENDED;

const GRID: &str = "scenarios/systems/ieee118";

pub fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--silent", "--show-error", "--no-buffer"])
        .args(arguments)
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn frames(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_plans_command_streams_lines() {
    let server = TestServer::start();
    let url = server.url("/api/v1/solve-stream");
    let headers = ["-H", "Content-Type: application/json", "-H", "Authorization: Bearer token"];
    let text = curl(&[&["-X", "POST", &url][..], &headers, &["-d", MENDED]].concat());
    assert_eq!(frames(&text).last().unwrap()["reason"], "converged");
}

#[test]
fn files_are_uploaded_as_a_form() {
    let server = TestServer::start();
    let url = server.url("/api/v1/solve-stream");
    let matrix = format!("matrix=@{GRID}.mtx");
    let vector = format!("vector=@{GRID}_b.mtx");
    let options = r#"options={"method": "bicgstab", "tolerance": 1e-10}"#;
    let frames = frames(&curl(&["-F", &matrix, "-F", &vector, "-F", options, &url]));
    assert_eq!(frames[0]["method"], "bicgstab");
    assert_eq!(frames[0]["tolerance"], 1e-10);
    assert_eq!(frames[0]["warnings"], serde_json::json!([]));
    assert_eq!(frames.last().unwrap()["reason"], "converged");
}

#[test]
fn a_matrix_alone_is_solved_for_ones_with_a_warning() {
    let server = TestServer::start();
    let url = server.url("/api/v1/solve-stream?method=direct");
    let body = format!("@{GRID}.mtx");
    let kind = "content-type: text/x-matrix-market";
    let frames = frames(&curl(&["--data-binary", &body, "-H", kind, &url]));
    assert_eq!(frames[0]["method"], "direct");
    let warning = frames[0]["warnings"][0]["detail"].as_str().unwrap();
    assert!(warning.contains("all ones"), "{warning}");
    assert_eq!(frames.last().unwrap()["reason"], "converged");
}

#[test]
fn forms_that_cannot_be_used_name_the_part() {
    let server = TestServer::start();
    let url = server.url("/api/v1/solve-stream");
    let cases: [(&[&str], &str, &str); 5] = [
        (&["-F", "vector=1"], "invalid-request", "matrix"),
        (&["-F", "matrix=hello"], "malformed-body", "matrix"),
        (&["-F", "matrix=1", "-F", "matrix=2"], "invalid-request", "matrix"),
        (&["-F", "colour=red"], "invalid-request", "colour"),
        (
            &["-F", "matrix=@scenarios/systems/ieee118.mtx", "-F", "options={\"tolerance\": 7}"],
            "invalid-request",
            "options/tolerance",
        ),
    ];
    for (parts, code, pointer) in cases {
        let answer: Value = serde_json::from_str(&curl(&[parts, &[&url]].concat())).unwrap();
        assert_eq!(answer["type"], format!("/problems/{code}"), "{answer}");
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{answer}");
    }
}

#[test]
fn a_rebound_name_is_refused_over_either_version_of_http() {
    let server = TestServer::start();
    let resolve = format!("evil.example:{}:127.0.0.1", server.address.port());
    let url = format!("http://evil.example:{}/api/v1/status", server.address.port());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let answer = curl(&[version, "--resolve", &resolve, "-w", "\n%{http_code}", &url]);
        let (document, status) = answer.rsplit_once('\n').unwrap();
        assert_eq!(status, "421", "{version}: {answer}");
        let document: Value = serde_json::from_str(document).unwrap();
        assert_eq!(document["type"], "/problems/unknown-host");
    }
}

#[test]
fn http_2_without_tls_is_spoken_too() {
    let server = TestServer::start();
    let url = server.url("/api/v1/solve-stream");
    let kind = "content-type: application/json";
    let text = curl(&["--http2-prior-knowledge", "-H", kind, "-d", MENDED, &url]);
    assert_eq!(frames(&text).last().unwrap()["reason"], "converged");
}
