//! Single entries as a client asks for them: curl against a real server, dense elimination as the judge.

use serde_json::{Value, json};
use weir::http::server::HttpConfig;
use weir::protocol::request_text::json_request;
use weir::solver::gallery;
use weir::solver::system::{LinearSystem, Rows};

use crate::http::client::post_json;
use crate::http::curl::curl;
use crate::http::server::TestServer;
use crate::support::dense_solution;

const KIND: [&str; 2] = ["-H", "content-type: application/json"];

/// Sends the system with `members` beside it, by curl, from a file where it is large.
fn ask(server: &TestServer, system: &LinearSystem, members: Value) -> Value {
    let mut body: Value =
        serde_json::from_slice(&json_request(system, "hybrid", &Value::Null)).unwrap();
    body.as_object_mut().unwrap().remove("method");
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body.to_string()).unwrap();
    let data = format!("@{}", file.path().display());
    let url = server.url("/api/v1/entries");
    serde_json::from_str(&curl(&[&KIND[..], &["--data-binary", &data, &url]].concat())).unwrap()
}

fn oracle(system: &LinearSystem) -> Vec<f64> {
    let rows: Rows = system.rows();
    let dense = (0..system.order()).map(|row| {
        let mut entries = vec![0.0; system.order()];
        let (cols, values) = rows.row(row);
        cols.iter().zip(values).for_each(|(&col, value)| entries[col as usize] = *value);
        entries
    });
    dense_solution(&dense.collect(), system.rhs()).unwrap()
}

/// Every entry is there in the order asked, within its bound and as close as asked.
fn check(answer: &Value, x: &[f64], asked: &[usize], part: f64, rounding: f64) {
    let entries = answer["entries"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(entries.len(), asked.len(), "{answer}");
    for (entry, &index) in entries.iter().zip(asked) {
        assert_eq!((&entry["entry"], &entry["end"]), (&json!(index), &json!("reached")), "{entry}");
        let value = entry["value"].as_f64().unwrap();
        let bound = entry["error_bound"]["absolute"].as_f64().unwrap();
        assert!((value - x[index]).abs() <= bound + rounding, "{entry}, {}", x[index]);
        assert!(bound <= part * x[index].abs() * (1.0 + 1e-9), "{entry}");
        assert!(entry["error_bound"]["relative"].as_f64().unwrap() <= part * (1.0 + 1e-9));
        assert!(entry["touched_entries"].as_u64().unwrap() > 0 && entry["took_ms"].is_number());
        assert!(!entry["reasons"].as_array().unwrap().is_empty());
    }
}

#[test]
fn entries_of_a_dominant_system_come_with_proven_bounds() {
    let server = TestServer::start();
    let system = gallery::diagonally_dominant(300, 1_500, 4).unwrap();
    let x = oracle(&system);
    let asked = [0, 17, 299, 17];
    let answer = ask(&server, &system, json!({"entries": asked, "accuracy": 1e-4}));
    check(&answer, &x, &asked, 1e-4, 1e-12);
    assert_eq!(answer["accuracy"], json!({"relative": 1e-4}));
    assert!(answer["entries"].as_array().unwrap().iter().all(|entry| {
        entry["error_bound"]["kind"] == "proven" && entry["error_bound"]["confidence"].is_null()
    }));
    assert_eq!((&answer["unknowns"], &answer["warnings"]), (&json!(300), &json!([])));
}

#[test]
fn with_a_confidence_bounds_may_be_probable_and_equal_seeds_agree() {
    let server = TestServer::start();
    let (matrix, _) = gallery::diagonally_dominant(20_000, 100_000, 4).unwrap().into_parts();
    let rhs = matrix.diag().to_dense().iter().map(|d| d * (3.0 * d).sin()).collect();
    let system = LinearSystem::new(matrix, rhs).unwrap();
    let members = |confidence: Value, seed: u64| json!({"entries": [77], "accuracy": 0.05, "confidence": confidence, "seed": seed});
    let truth = ask(&server, &system, json!({"entries": [77], "accuracy": 1e-9}));
    let truth = truth["entries"][0]["value"].as_f64().unwrap();
    let of = |answer: Value| answer["entries"][0].clone();
    let first = of(ask(&server, &system, members(json!(0.999), 1)));
    assert_eq!(first["error_bound"]["kind"], "probabilistic", "{first}");
    assert_eq!(first["error_bound"]["confidence"], 0.999);
    let bound = first["error_bound"]["absolute"].as_f64().unwrap();
    assert!((first["value"].as_f64().unwrap() - truth).abs() <= bound, "{first}, {truth}");
    let again = of(ask(&server, &system, members(json!(0.999), 1)));
    let other = of(ask(&server, &system, members(json!(0.999), 2)));
    assert!(first["value"] == again["value"] && first["value"] != other["value"]);
    let proven = of(ask(&server, &system, members(Value::Null, 1)));
    assert_eq!(proven["error_bound"]["kind"], "proven", "{proven}");
}

#[test]
fn a_grid_uploaded_as_files_is_read_along_a_path() {
    let server = TestServer::start();
    let grid = "scenarios/systems/case9241pegase";
    let (matrix, vector) = (format!("matrix=@{grid}.mtx"), format!("vector=@{grid}_b.mtx"));
    let options = r#"options={"entries": [0, 9000], "accuracy": {"absolute": 1e-6}}"#;
    let url = server.url("/api/v1/entries");
    let text = curl(&["-F", &matrix, "-F", &vector, "-F", options, &url]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    for entry in answer["entries"].as_array().unwrap_or_else(|| panic!("{answer}")) {
        assert_eq!((&entry["method"], &entry["end"]), (&json!("path"), &json!("reached")));
        assert_eq!(entry["error_bound"]["kind"], "estimated", "{entry}");
        assert!(entry["error_bound"]["absolute"].as_f64().unwrap() <= 1e-6, "{entry}");
    }
    assert!(answer["set_up"]["finding"].as_str().unwrap().contains("no witness"), "{answer}");
    let again = curl(&["-F", &matrix, "-F", &vector, "-F", "options={}", &url]);
    let problem: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(problem["errors"][0]["pointer"], "options/entries", "{problem}");
}

#[test]
fn weakly_dominant_systems_are_solved_and_proven_and_the_answer_says_so() {
    let server = TestServer::start();
    let system = gallery::poisson_2d(20, 3).unwrap();
    let x = oracle(&system);
    let answer = ask(&server, &system, json!({"entries": [210, 0], "accuracy": 1e-6}));
    check(&answer, &x, &[210, 0], 1e-6, 1e-11);
    for entry in answer["entries"].as_array().unwrap() {
        assert_eq!(entry["error_bound"]["kind"], "proven", "{entry}");
        assert!(["path", "solve"].contains(&entry["method"].as_str().unwrap()), "{entry}");
    }
}

#[test]
fn bad_requests_name_the_place() {
    let server = TestServer::start();
    let system = r#""matrix": [[4, 1], [1, 3]], "vector": [1, 2]"#;
    let many = format!(r#""entries": [{}0]"#, "0,".repeat(1_000));
    let cases = [
        (r#""entries": [0, 2]"#, 422, "invalid-request", "/entries/1"),
        (r#""entries": [0, -1]"#, 422, "invalid-request", "/entries/1"),
        (r#""entries": []"#, 422, "invalid-request", "/entries"),
        (many.as_str(), 422, "invalid-request", "/entries"),
        (r#""accuracy": 1e-3"#, 422, "invalid-request", "/entries"),
        (r#""entries": [0], "accuracy": 0"#, 422, "invalid-request", "/accuracy"),
        (r#""entries": [0], "confidence": 1.5"#, 422, "invalid-request", "/confidence"),
        (r#""entries": [0], "time_budget_ms": 1e9"#, 422, "invalid-request", "/time_budget_ms"),
    ];
    for (members, status, code, pointer) in cases {
        let response =
            post_json(server.address, "/api/v1/entries", &format!("{{{system}, {members}}}"));
        assert_eq!(response.status, status, "{members}");
        let problem = response.json();
        assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let singular = r#"{"matrix": [[1, -1], [-1, 1]], "vector": [1, 0], "entries": [0]}"#;
    let response = post_json(server.address, "/api/v1/entries", singular);
    assert_eq!(response.status, 422);
    assert_eq!(response.json()["type"], "/problems/singular");
    let unread = curl(&[
        "-X",
        "GET",
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
        &server.url("/api/v1/entries"),
    ]);
    assert_eq!(unread, "405");
}

#[test]
fn budgets_end_the_search_with_what_is_known() {
    let server = TestServer::start();
    let (mut matrix, rhs) = gallery::poisson_2d(60, 5).unwrap().into_parts();
    for (row, mut entries) in matrix.outer_iterator_mut().enumerate() {
        entries.iter_mut().filter(|(col, _)| *col == row).for_each(|(_, value)| *value = 4.4);
    }
    let system = LinearSystem::new(matrix, rhs).unwrap();
    let members = json!({"entries": [1830], "accuracy": 1e-9, "touched_entries_max": 90_000});
    let answer = ask(&server, &system, members);
    let entry = &answer["entries"][0];
    assert_eq!(
        (&entry["end"], &entry["error_bound"]["kind"]),
        (&json!("over_budget"), &json!("proven"))
    );
    assert!(answer["touched_entries"].as_u64().unwrap() <= 90_000, "{answer}");
    // Nothing bounds this one before it is solved, and for that there is no time.
    let system = gallery::poisson_2d(300, 3).unwrap();
    let answer = ask(&server, &system, json!({"entries": [45_150], "time_budget_ms": 1}));
    let entry = &answer["entries"][0];
    assert_eq!(entry["end"], "out_of_time", "{answer}");
}

#[test]
fn requests_beyond_those_under_way_are_told_to_come_again() {
    let server = TestServer::with(|http: &mut HttpConfig, _| http.decoding_max = 1);
    // Each that is let in holds its place from its first byte on; more than there are places, because a
    // short one below may be in the way of one.
    let head = format!(
        "POST /api/v1/entries HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n",
        server.address
    );
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            use std::io::Write;
            let mut socket = std::net::TcpStream::connect(server.address).unwrap();
            socket.write_all(head.as_bytes()).unwrap();
            socket
        })
        .collect();
    let small = r#"{"matrix": [[4, 1], [1, 3]], "vector": [1, 2], "entries": [0]}"#;
    let status = || post_json(server.address, "/api/v1/entries", small).status;
    let refused = (0..1_000).any(|_| status() == 503);
    assert!(refused, "sixteen requests under way are all there may be");
    drop(waiting);
    assert!((0..10_000).any(|_| status() == 200), "those who left make room");
}
