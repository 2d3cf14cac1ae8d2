//! Shutting down: the built binary, a running stream, a signal.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::client::{Response, get, post_json};
use crate::http::systems::endless;

/// A server process; killed when the test is over.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> (Process, std::net::SocketAddr) {
    let child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["serve", "--bind", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("weir listens on http://").unwrap().parse().unwrap();
    (process, address)
}

fn signal(process: &Process, name: &str) {
    let status = Command::new("kill").args([name, &process.0.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[allow(clippy::disallowed_methods, reason = "the time that a process takes to end is the claim")]
fn check(name: &str) {
    let (mut process, address) = start(&[]);
    let mut streams: Vec<_> = (0..3)
        .map(|_| {
            let mut frames = post_json(address, "/api/v1/solve-stream", &endless(20)).frames();
            assert_eq!(frames.next().unwrap()["type"], "session_opened");
            frames
        })
        .collect();
    signal(&process, name);
    for frames in &mut streams {
        let last = frames.last().unwrap();
        assert_eq!((&last["type"], &last["reason"]), (&"end".into(), &"draining".into()), "{last}");
    }
    let streams_done = Instant::now();
    assert!(process.0.wait().unwrap().success(), "a drained server ends with code 0");
    let rest = streams_done.elapsed();
    assert!(rest < Duration::from_secs(2), "gone soon after its last stream, not after {rest:?}");
}

#[test]
fn sigterm_ends_every_stream_with_its_frame_and_then_the_process() {
    check("-TERM");
}

#[test]
fn sigint_does_the_same() {
    check("-INT");
}

#[test]
fn a_draining_server_says_so_and_takes_nothing_new() {
    let (mut process, address) = start(&["--drain-limit", "20s", "--stall-limit", "15s"]);
    // A reader that takes nothing holds the drain up.
    let stalled = post_json(address, "/api/v1/solve-stream", &endless(50));
    let session = stalled.header("weir-session-id").unwrap().to_owned();
    loop {
        let status = get(address, &format!("/api/v1/status/{session}")).json();
        if status["iteration"].as_u64() >= Some(1_000) {
            break;
        }
    }
    signal(&process, "-TERM");
    let health = await_draining(address);
    assert_eq!(
        (&health["status"], &health["node"]["draining"]),
        (&"draining".into(), &true.into())
    );
    let refused = post_json(address, "/api/v1/solve-stream", &endless(2));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["type"], "/problems/draining");
    let last = stalled.frames().last().unwrap();
    assert_eq!(last["reason"], "draining");
    assert!(process.0.wait().unwrap().success());
}

fn await_draining(address: std::net::SocketAddr) -> Value {
    loop {
        let health: Response = get(address, "/api/v1/health");
        if health.status == 503 {
            return health.json();
        }
    }
}

#[test]
fn a_duration_that_would_end_everything_at_once_is_refused() {
    let flags =
        ["--heartbeat", "--stall-limit", "--max-session-duration", "--retention", "--drain-limit"];
    for flag in flags {
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            // An address that nobody has: if the flag were taken, the server still would not start.
            .args(["serve", "--bind", "192.0.2.1:9", flag, "0s"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(flag) && said.contains("expected at least"), "{said}");
    }
}
