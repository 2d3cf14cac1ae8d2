//! Requests that stay open: many changes, slow readers, clients that leave.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::live::{Judge, costs_path, dominant, open};
use crate::http::client::{Response, get, request};
use crate::http::server::TestServer;

const LINES: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

/// An addition to `b`, as a line of a stream.
fn line(row: usize, value: f64, sequence: u64) -> String {
    let update = json!({
        "delta_costs": {"indices": [row], "values": [value]},
        "source_node": "storm",
        "sequence": sequence,
    });
    format!("{update}\n")
}

/// Opens a request whose body is still to be written, in chunks.
fn begin(server: &TestServer, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\n\r\n",
        server.address
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[test]
fn ten_thousand_lines_of_curl_are_acknowledged_in_their_order() {
    let server = TestServer::start();
    let system = dominant(50);
    let mut judge = Judge::of(&system);
    let session = open(&server, &system);
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--no-buffer", "-T", ".", "-X", "POST"])
        .args(["-H", "content-type: application/x-ndjson", &server.url(&costs_path(&session))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is installed");
    let mut sending = curl.stdin.take().unwrap();
    let mut answers = BufReader::new(curl.stdout.take().unwrap()).lines();
    // The first is answered while the request stays open: `-T .` reads answers while it waits for input.
    sending.write_all(line(0, 1.0, 1).as_bytes()).unwrap();
    sending.flush().unwrap();
    let first: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
    assert_eq!((&first["line"], &first["status"]), (&json!(1), &json!("accepted")));
    judge.rhs[0] += 1.0;
    let mut rest = String::new();
    for number in 2..=10_000u64 {
        let row = number as usize % 50;
        rest += &line(row, 0.001, number);
        judge.rhs[row] += 0.001;
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "curl's output is read while its input is written"
    )]
    let writer = std::thread::spawn(move || sending.write_all(rest.as_bytes()).unwrap());
    let answers: Vec<Value> =
        answers.map(|answer| serde_json::from_str(&answer.unwrap()).unwrap()).collect();
    writer.join().unwrap();
    assert!(curl.wait().unwrap().success());
    assert_eq!(answers.len(), 10_000);
    for (answer, number) in answers.iter().zip(2..=10_000u64) {
        assert_eq!(answer["line"], number, "{answer}");
        assert_eq!(answer["sequence"], number, "{answer}");
        assert_eq!(answer["status"], "accepted", "{answer}");
        assert_eq!(answer["system_version"], number, "{answer}");
    }
    let end = json!({"type": "end", "accepted": 10_000, "duplicates": 0, "refused": 0});
    assert_eq!(answers.last().unwrap(), &end);
    judge.check(&server, &session, 10_000);
}

#[test]
fn lines_that_are_refused_leave_the_others_alone() {
    let server = TestServer::start();
    let system = dominant(20);
    let mut judge = Judge::of(&system);
    let session = open(&server, &system);
    let held = judge.dense[1][1];
    let stale = json!({
        "matrix_updates": [{"row": 1, "col": 1, "old_value": held + 1.0, "new_value": 1}],
    });
    let body =
        [&line(3, 1.0, 1), &format!("{stale}\nnot json\n"), &line(3, 1.0, 1), &line(4, 2.0, 2)];
    let body = body.map(String::as_str).concat();
    let answer = |query: &str| -> Vec<Value> {
        let post = format!("POST {}{query}", costs_path(&session));
        request(server.address, &post, &LINES, body.as_bytes()).frames().collect()
    };
    let answers = answer("");
    let statuses: Vec<&str> =
        answers.iter().filter_map(|answer| answer["status"].as_str()).collect();
    assert_eq!(statuses, ["accepted", "refused", "refused", "duplicate", "accepted"]);
    assert_eq!(answers[1]["problem"]["errors"][0]["held"], held);
    judge.rhs[3] += 1.0;
    judge.rhs[4] += 2.0;
    judge.check(&server, &session, 2);
    // A sender that does not read meanwhile hears of what was refused, and how many there were.
    let answers = answer("?acknowledge=refused");
    let lines: Vec<u64> = answers.iter().filter_map(|answer| answer["line"].as_u64()).collect();
    assert_eq!(lines, [2, 3]);
    let end = json!({"type": "end", "accepted": 0, "duplicates": 3, "refused": 2});
    assert_eq!(answers.last().unwrap(), &end);
    judge.check(&server, &session, 2);
}

#[test]
fn lines_of_several_sessions_go_each_to_its_own() {
    let server = TestServer::start();
    let system = dominant(20);
    let mut judges = [Judge::of(&system), Judge::of(&system)];
    let sessions = [open(&server, &system), open(&server, &system)];
    let mut body = String::new();
    for number in 0..200usize {
        let (which, row) = (number % 2, number % 20);
        let update = json!({
            "session_id": sessions[which],
            "delta_costs": {"indices": [row], "values": [number]},
        });
        body += &format!("{update}\n");
        judges[which].rhs[row] += number as f64;
    }
    let answers: Vec<Value> =
        request(server.address, "POST /api/v1/swarm/costs", &LINES, body.as_bytes())
            .frames()
            .collect();
    for (number, answer) in answers[..200].iter().enumerate() {
        assert_eq!(answer["session_id"], sessions[number % 2], "{answer}");
        assert_eq!(answer["system_version"], number / 2 + 1, "{answer}");
    }
    for (judge, session) in judges.iter().zip(&sessions) {
        judge.check(&server, session, 100);
    }
}

#[test]
fn a_sender_that_does_not_read_is_made_to_wait_and_loses_nothing() {
    let server = TestServer::start();
    let session = open(&server, &dominant(20));
    let mut socket = begin(&server, &costs_path(&session));
    // Long ids make long acknowledgements, which fill the way back sooner.
    let id = "i".repeat(115);
    let mut sent = 0u64;
    let mut unwritten: Vec<u8> = vec![];
    socket.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    loop {
        let mut text = String::new();
        for _ in 0..500 {
            sent += 1;
            let name = format!(r#""source_node":"w","update_id":"{id}{sent}""#);
            text += &format!("{{\"matrix_updates\":[],{name}}}\n");
        }
        unwritten.extend_from_slice(chunk(&text).as_bytes());
        if !written(&mut socket, &mut unwritten) {
            break;
        }
        assert!(sent < 1_000_000, "the server reads on without end");
    }
    // Now it reads: everything that was sent is acknowledged, the rest of the body included.
    let mut writing = socket.try_clone().unwrap();
    writing.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a client that reads while it writes")]
    let writer = std::thread::spawn(move || {
        writing.write_all(&unwritten).unwrap();
        writing.write_all(b"0\r\n\r\n").unwrap();
    });
    let mut expected = 0;
    let mut last = String::new();
    for answer in Response::read(socket).lines() {
        expected += u64::from(answer.contains(&format!("\"line\":{},", expected + 1)));
        last = answer;
    }
    writer.join().unwrap();
    assert_eq!(expected, sent, "{last}");
    let end: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&end["accepted"], &end["refused"]), (&json!(sent), &json!(0)));
}

/// Writes as much as is taken within the timeout; whether that is all.
fn written(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(taken) => drop(bytes.drain(..taken)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(error) => panic!("{error}"),
        }
    }
    true
}

#[test]
fn a_client_that_leaves_loses_nothing_that_was_acknowledged() {
    let server = TestServer::start();
    let system = dominant(20);
    let mut judge = Judge::of(&system);
    let session = open(&server, &system);
    let body: String = (1..=2_000).map(|number| line(number as usize % 20, 0.5, number)).collect();
    (1..=2_000).for_each(|number: usize| judge.rhs[number % 20] += 0.5);

    let mut socket = begin(&server, &costs_path(&session));
    socket.write_all(chunk(&body).as_bytes()).unwrap();
    let answers: Vec<String> = Response::read(socket).lines().take(700).collect();
    assert!(answers[699].contains(r#""line":700,"#), "{}", answers[699]);
    let status = get(server.address, &format!("/api/v1/status/{session}")).json();
    assert!(status["system_version"].as_u64().unwrap() >= 700, "{status}");

    // Sent again, what counted does not count twice.
    let post = format!("POST {}", costs_path(&session));
    let answers: Vec<Value> =
        request(server.address, &post, &LINES, body.as_bytes()).frames().collect();
    assert!(answers[..700].iter().all(|answer| answer["status"] == "duplicate"));
    assert_eq!(answers[2_000]["refused"], 0);
    judge.check(&server, &session, 2_000);
}

#[test]
fn a_stream_ends_with_its_session() {
    let server = TestServer::start();
    let session = open(&server, &dominant(20));
    let mut socket = begin(&server, &costs_path(&session));
    socket.write_all(chunk(&line(0, 1.0, 1)).as_bytes()).unwrap();
    let mut writing = socket.try_clone().unwrap();
    let mut answers = Response::read(socket).lines();
    assert!(answers.next().unwrap().contains("accepted"));
    let deleted = request(server.address, &format!("DELETE /api/v1/sessions/{session}"), &[], b"");
    assert_eq!(deleted.status, 204);
    writing.write_all(chunk(&line(0, 1.0, 2)).as_bytes()).unwrap();
    let refused: Value = serde_json::from_str(&answers.next().unwrap()).unwrap();
    assert_eq!((&refused["line"], &refused["status"]), (&json!(2), &json!("refused")));
    let end: Value = serde_json::from_str(&answers.next().unwrap()).unwrap();
    assert_eq!((&end["type"], &end["accepted"]), (&json!("end"), &json!(1)));
    assert_eq!(end["problem"]["type"], refused["problem"]["type"], "{end}");
    assert!(answers.next().is_none());
    // The server closes, for the rest of the request means nothing to it.
    let mut rest = vec![];
    writing.read_to_end(&mut rest).unwrap();
}
