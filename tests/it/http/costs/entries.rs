//! Single entries of live sessions, judged by elimination of the system as it has become.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::live::{Judge, costs_path, dominant, open};
use super::{NOBODY, pointers, refused};
use crate::http::client::post_json;
use crate::http::server::TestServer;
use crate::support::dense_solution;

fn ask(address: SocketAddr, session: &str, members: Value) -> Value {
    let mut body = json!({"session_id": session});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let answer = post_json(address, "/api/v1/entries", &body.to_string());
    assert_eq!(answer.status, 200);
    answer.json()
}

impl Judge {
    /// Every entry lies within its bound, the elimination's own rounding aside.
    fn check_entries(&self, answer: &Value, asked: &[usize], part: f64) {
        let x = dense_solution(&self.dense, &self.rhs).expect("the system can be solved");
        let entries = answer["entries"].as_array().unwrap();
        assert_eq!(entries.len(), asked.len(), "{answer}");
        for (entry, &index) in entries.iter().zip(asked) {
            assert_eq!((&entry["entry"], &entry["end"]), (&json!(index), &json!("reached")));
            let (bound, value) = (&entry["error_bound"], entry["value"].as_f64().unwrap());
            assert_eq!(bound["kind"], "proven", "{entry}");
            let absolute = bound["absolute"].as_f64().unwrap();
            assert!((value - x[index]).abs() <= absolute + 1e-12, "{entry}, {}", x[index]);
            assert!(absolute <= part * x[index].abs() * (1.0 + 1e-6), "{entry}");
            assert!(entry["touched_entries"].as_u64().unwrap() > 0);
        }
    }
}

#[test]
fn entries_count_the_changes_that_were_accepted_before_they_were_asked_for() {
    let server = TestServer::start();
    let system = dominant(200);
    let mut judge = Judge::of(&system);
    let session = open(&server, &system);
    let asked = [0, 199, 7, 7];
    let first = ask(server.address, &session, json!({"entries": asked, "accuracy": 1e-6}));
    judge.check_entries(&first, &asked, 1e-6);
    assert_eq!((&first["session_id"], &first["system_version"]), (&json!(session), &json!(0)));
    assert_eq!((&first["unknowns"], &first["set_up"]), (&json!(200), &Value::Null));
    // New nonzeros and costs, asked for at once: nobody waits until they are worked in.
    for version in 1..=20 {
        let (row, col, value) = (7 * version % 200, 11 * version % 200, 0.01 * version as f64);
        let update = json!({
            "delta_costs": {"indices": [row], "values": [2.5]},
            "matrix_updates": [{"row": row, "col": col, "new_value": value}],
        });
        judge.rhs[row] += 2.5;
        judge.dense[row][col] = value;
        let accepted = post_json(server.address, &costs_path(&session), &update.to_string());
        assert_eq!(accepted.json()["system_version"], version);
        let asked = [row, col];
        let answer = ask(server.address, &session, json!({"entries": asked, "accuracy": 1e-4}));
        assert_eq!(answer["system_version"], version, "{answer}");
        judge.check_entries(&answer, &asked, 1e-4);
    }
}

#[test]
fn sessions_that_cannot_be_asked_say_why() {
    let server = TestServer::start();
    let path = "/api/v1/entries";
    let body = |session: &str| json!({"session_id": session, "entries": [0, 20, 21]}).to_string();
    refused(&server, path, &body(NOBODY), 404, "unknown-session");
    let session = open(&server, &dominant(20));
    let document = refused(&server, path, &body(&session), 422, "invalid-request");
    assert_eq!(pointers(&document), ["/entries/1", "/entries/2"]);
    let system = json!({"matrix": [[2, 1], [1, 3]], "vector": [1, 2]}).to_string();
    let created = post_json(server.address, "/api/v1/sessions", &system).json();
    let solved = created["session_id"].as_str().unwrap();
    let document = refused(&server, path, &body(solved), 409, "not-live");
    assert!(document["way_out"].as_str().unwrap().contains("live"), "{document}");
    let both = json!({"session_id": session, "matrix": [[1]], "vector": [1], "entries": [0]});
    let document = refused(&server, path, &both.to_string(), 422, "invalid-request");
    assert_eq!(pointers(&document), ["/matrix", "/vector"]);
    let document =
        refused(&server, path, r#"{"session_id": "7", "entries": []}"#, 422, "invalid-request");
    assert_eq!(pointers(&document), ["/session_id", "/entries"]);
}

#[test]
fn a_bound_that_is_not_reached_is_told_as_far_as_it_is() {
    let server = TestServer::start();
    let system = dominant(200);
    let session = open(&server, &system);
    let members = json!({
        "entries": [3],
        "accuracy": {"absolute": 1e-30},
        "touched_entries_max": 1_000,
    });
    let answer = ask(server.address, &session, members);
    let entry = &answer["entries"][0];
    assert!(
        ["over_budget", "precision_limit"].contains(&entry["end"].as_str().unwrap()),
        "{entry}"
    );
    let x = dense_solution(&Judge::of(&system).dense, system.rhs()).unwrap();
    let bound = entry["error_bound"]["absolute"].as_f64().unwrap();
    assert!((entry["value"].as_f64().unwrap() - x[3]).abs() <= bound + 1e-13, "{entry}");
    assert!(answer["touched_entries"].as_u64().unwrap() <= 1_001, "{answer}");
}
