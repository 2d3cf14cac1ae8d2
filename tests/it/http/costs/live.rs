//! Changes that live sessions work in, judged by solving the changed system by other means.

use serde_json::{Value, json};
use weir::solver::gallery;
use weir::solver::system::LinearSystem;

use super::{curl, pointers, refused};
use crate::http::client::{get, post_json, request};
use crate::http::server::TestServer;
use crate::support::dense_solution;

/// The plan's 2.2, word for word.
const PLAN_2_2: &str = r#"{
"type": "cost_update",
"session_id": "uuid-v4",
"timestamp": "2025-09-19T19:26:51.605Z",
"delta_costs": {
"indices": [100, 205, 1337],
"values": [0.01, -0.003, 0.007]
},
"matrix_updates": [
{
"row": 100,
"col": 205,
"old_value": 1.5,
"new_value": 1.51
}
],
"source_node": "node-abc123",
"propagation_depth": 3
}"#;

/// A system as a table, changed beside the session and solved by elimination.
pub struct Judge {
    pub dense: Vec<Vec<f64>>,
    pub rhs: Vec<f64>,
}

impl Judge {
    pub fn of(system: &LinearSystem) -> Self {
        let order = system.order();
        let mut dense = vec![vec![0.0; order]; order];
        for (row, entries) in dense.iter_mut().enumerate() {
            let (cols, values) = system.rows().row(row);
            cols.iter().zip(values).for_each(|(&col, &value)| entries[col as usize] = value);
        }
        Self { dense, rhs: system.rhs().to_vec() }
    }

    /// Checks the state that the session holds when it has settled at `version`.
    pub fn check(&self, server: &TestServer, session: &str, version: u64) {
        let expected = dense_solution(&self.dense, &self.rhs).expect("the system can be solved");
        let x = settled(server, session, version);
        let size = expected.iter().fold(0.0f64, |size, x| size.max(x.abs()));
        for (row, (found, expected)) in x.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() <= 1e-7 * size, "row {row}: {found} for {expected}");
        }
    }
}

/// Opens a live session.
pub fn open(server: &TestServer, system: &LinearSystem) -> String {
    open_with(server, system, json!({"live": true, "tolerance": 1e-10}))
}

pub fn open_with(server: &TestServer, system: &LinearSystem, options: Value) -> String {
    let (mut rows, mut cols, mut values) = (vec![], vec![], vec![]);
    for row in 0..system.order() {
        let (found_cols, found_values) = system.rows().row(row);
        rows.extend(found_cols.iter().map(|_| row));
        cols.extend_from_slice(found_cols);
        values.extend_from_slice(found_values);
    }
    let data = json!({"values": values, "row_indices": rows, "col_indices": cols});
    let body = json!({
        "matrix": {"rows": system.order(), "cols": system.order(), "data": data},
        "vector": system.rhs(),
        "options": options,
    });
    let created = post_json(server.address, "/api/v1/sessions", &body.to_string());
    assert_eq!(created.status, 201);
    created.json()["session_id"].as_str().unwrap().to_owned()
}

/// `x` of a session when all it was asked has been worked in, which makes `version`.
pub fn settled(server: &TestServer, session: &str, version: u64) -> Vec<f64> {
    for _ in 0..10_000 {
        let state = get(server.address, &format!("/api/v1/sessions/{session}/solution")).json();
        assert!(state["system_version"].as_u64().is_none_or(|found| found <= version), "{state}");
        if state["system_version"] == version && state["converged"] == true {
            return serde_json::from_value(state["x"].clone()).unwrap();
        }
    }
    panic!("the session does not settle at version {version}");
}

pub fn costs_path(session: &str) -> String {
    format!("/api/v1/sessions/{session}/costs")
}

fn accept(server: &TestServer, session: &str, update: &Value) -> Value {
    let answer = post_json(server.address, &costs_path(session), &update.to_string());
    assert_eq!(answer.status, 200);
    answer.json()
}

pub fn dominant(order: usize) -> LinearSystem {
    gallery::diagonally_dominant(order, 5 * order, 3).unwrap()
}

#[test]
fn the_plans_update_counts_from_the_version_that_it_is_told() {
    let order = 1_400;
    let (mut rows, mut cols, mut values) = ((0..order).collect::<Vec<_>>(), vec![], vec![]);
    cols.extend(0..order);
    values.extend(vec![10.0; order]);
    rows.push(100);
    cols.push(205);
    values.push(1.5);
    let data = json!({"values": values, "row_indices": rows, "col_indices": cols});
    let body = json!({
        "matrix": {"rows": order, "cols": order, "data": data},
        "vector": vec![1.0; order],
        "options": {"tolerance": 1e-12, "swarm_enabled": true},
    });
    let server = TestServer::start();
    let created = post_json(server.address, "/api/v1/sessions", &body.to_string()).json();
    let session = created["session_id"].as_str().unwrap();
    let update = PLAN_2_2.replace("uuid-v4", session);
    let url = server.url("/api/v1/swarm/costs");
    let (status, answer) = curl(&[&url, "-H", "Content-Type: application/json", "-d", &update]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let expected = json!({
        "type": "cost_acknowledgement", "session_id": session, "status": "accepted",
        "system_version": 1,
    });
    assert_eq!((status, &answer), (200, &expected));

    let x = settled(&server, session, 1);
    let mut expected = vec![0.1; order];
    expected[205] = (1.0 - 0.003) / 10.0;
    expected[1337] = 1.007 / 10.0;
    expected[100] = (1.01 - 1.51 * expected[205]) / 10.0;
    for (row, (found, expected)) in x.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() < 1e-11, "row {row}: {found} for {expected}");
    }
    // What it says of the old value is not true any more.
    let document = refused(&server, "/api/v1/swarm/costs", &update, 409, "stale-costs");
    assert_eq!(pointers(&document), ["/matrix_updates/0/old_value"]);
    assert_eq!(document["errors"][0]["held"], 1.51);
    assert_eq!(settled(&server, session, 1), x);
}

#[test]
fn changed_systems_have_the_solutions_that_elimination_finds() {
    let server = TestServer::start();
    let system = dominant(60);
    let mut judge = Judge::of(&system);
    let session = open(&server, &system);
    let diagonal = judge.dense[7][7];
    let one = json!({
        "delta_costs": {"indices": [3, 3, 9], "values": [0.5, 0.25, -2]},
        "rhs_updates": [{"index": 4, "old_value": judge.rhs[4], "new_value": 8}],
        "matrix_updates": [
            {"row": 7, "col": 7, "old_value": diagonal, "new_value": 1.5 * diagonal},
            {"row": 0, "col": 59, "new_value": 0.25},
        ],
    });
    assert_eq!(accept(&server, &session, &one)["system_version"], 1);
    judge.rhs[3] += 0.75;
    judge.rhs[9] -= 2.0;
    judge.rhs[4] = 8.0;
    judge.dense[7][7] = 1.5 * diagonal;
    judge.dense[0][59] = 0.25;
    judge.check(&server, &session, 1);

    let array = json!([
        {"matrix_updates": [{"row": 0, "col": 59, "old_value": 0.25, "new_value": 0}]},
        {"matrix_updates": [{"row": 60, "col": 0, "new_value": 1}]},
        {"delta_costs": {"indices": [59], "values": [1]}, "source_node": "a", "sequence": 1},
        {"delta_costs": {"indices": [59], "values": [1]}, "source_node": "a", "sequence": 1},
    ]);
    let answer = accept(&server, &session, &array);
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(2), &json!(1)), "{answer}");
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<&str> =
        results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "refused", "accepted", "duplicate"]);
    assert_eq!(results[1]["problem"]["type"], "/problems/invalid-costs");
    assert_eq!(pointers(&results[1]["problem"]), ["/1/matrix_updates/0/row"]);
    assert_eq!(results[3]["system_version"], results[2]["system_version"]);
    judge.dense[0][59] = 0.0;
    judge.rhs[59] += 1.0;
    judge.check(&server, &session, 3);
}

#[test]
fn an_update_of_which_one_edit_is_wrong_is_not_applied_at_all() {
    let server = TestServer::start();
    let system = dominant(20);
    let judge = Judge::of(&system);
    let session = open(&server, &system);
    let path = costs_path(&session);
    let (held, order) = (judge.dense[2][2], 20);
    let stale = json!({
        "delta_costs": {"indices": [1], "values": [5]},
        "matrix_updates": [{"row": 2, "col": 2, "old_value": held + 1.0, "new_value": 0}],
    });
    let document = refused(&server, &path, &stale.to_string(), 409, "stale-costs");
    assert_eq!(document["errors"][0]["held"], held);
    let outside = json!({
        "delta_costs": {"indices": [0, order], "values": [5, 5]},
        "rhs_updates": [{"index": 0, "new_value": 1}, {"index": 99, "new_value": 1}],
        "matrix_updates": [
            {"row": 0, "col": order, "new_value": 1},
            {"row": 2, "col": 2, "old_value": held + 1.0, "new_value": 0},
        ],
    });
    let document = refused(&server, &path, &outside.to_string(), 422, "invalid-costs");
    let expected = [
        "/delta_costs/indices/1",
        "/rhs_updates/1/index",
        "/matrix_updates/0/col",
        "/matrix_updates/1/old_value",
    ];
    assert_eq!(pointers(&document), expected);
    let huge = json!({"delta_costs": {"indices": [0, 0], "values": [1e308, 1e308]}});
    let document = refused(&server, &path, &huge.to_string(), 422, "invalid-costs");
    assert_eq!(pointers(&document), ["/delta_costs/values/1"]);
    judge.check(&server, &session, 0);
}

#[test]
fn an_update_sent_twice_counts_once() {
    let server = TestServer::start();
    let system = dominant(20);
    let mut judge = Judge::of(&system);
    let session = open(&server, &system);
    let update = |name: Value| {
        let mut update =
            json!({"delta_costs": {"indices": [4], "values": [1]}, "source_node": "a"});
        update.as_object_mut().unwrap().extend(name.as_object().unwrap().clone());
        accept(&server, &session, &update)
    };
    assert_eq!(update(json!({"sequence": 1}))["status"], "accepted");
    let again = update(json!({"sequence": 1}));
    assert_eq!((&again["status"], &again["system_version"]), (&json!("duplicate"), &json!(1)));
    assert_eq!(update(json!({"update_id": "1"}))["system_version"], 2);
    assert_eq!(update(json!({"update_id": "1"}))["status"], "duplicate");
    assert_eq!(update(json!({"sequence": 2}))["system_version"], 3);
    // Without a number nothing tells a repetition from a second change.
    assert_eq!(update(json!({}))["system_version"], 4);
    assert_eq!(update(json!({}))["system_version"], 5);
    judge.rhs[4] += 5.0;
    judge.check(&server, &session, 5);
}

#[test]
fn sessions_that_are_not_live_or_not_any_more_say_so() {
    let server = TestServer::with(|_, node| {
        node.session_duration_max = std::time::Duration::from_millis(300);
    });
    let update = r#"{"delta_costs": {"indices": [0], "values": [1]}}"#;
    let system = json!({"matrix": [[2, 1], [1, 3]], "vector": [1, 2]}).to_string();
    let created = post_json(server.address, "/api/v1/sessions", &system).json();
    let path = costs_path(created["session_id"].as_str().unwrap());
    let document = refused(&server, &path, update, 409, "not-live");
    assert!(document["way_out"].as_str().unwrap().contains("live"), "{document}");
    let lines = [("content-type", "application/x-ndjson")];
    let answer = request(server.address, &format!("POST {path}"), &lines, update.as_bytes());
    assert_eq!(answer.status, 409);

    let session = open(&server, &dominant(20));
    let stream = get(server.address, &format!("/api/v1/sessions/{session}/stream"));
    assert_eq!(stream.frames().last().unwrap()["type"], "end");
    refused(&server, &costs_path(&session), update, 409, "session-ended");
}
