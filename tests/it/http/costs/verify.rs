//! Checks of a state that a client asks for, judged by the client's own residual of what it was given.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::live::{Judge, costs_path, dominant, open, open_with, settled};
use super::{NOBODY, pointers, refused};
use crate::http::client::{get, post_json};
use crate::http::server::TestServer;

const PATH: &str = "/api/v1/verify";

fn verify(address: SocketAddr, session: &str, members: Value) -> Value {
    let mut body = json!({"session_id": session});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let answer = post_json(address, PATH, &body.to_string());
    assert_eq!(answer.status, 200);
    answer.json()
}

fn number(answer: &Value, member: &str) -> f64 {
    answer[member].as_f64().unwrap_or_else(|| panic!("{member}: {answer}"))
}

/// `b − A x`, row by row.
fn residuals(judge: &Judge, x: &[f64]) -> Vec<f64> {
    let rows = judge.dense.iter().zip(&judge.rhs);
    rows.map(|(row, b)| b - row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>()).collect()
}

#[test]
fn a_settled_state_is_verified_by_numbers_that_a_client_can_work_out() {
    let server = TestServer::start();
    let system = dominant(400);
    let mut judge = Judge::of(&system);
    let session = open(&server, &system);
    for version in 0..4 {
        if version > 0 {
            let update = json!({
                "delta_costs": {"indices": [version], "values": [0.5]},
                "matrix_updates": [{"row": version, "col": 40 + version, "new_value": 0.125}],
            });
            judge.rhs[version] += 0.5;
            judge.dense[version][40 + version] = 0.125;
            post_json(server.address, &costs_path(&session), &update.to_string());
        }
        let x = settled(&server, &session, version as u64);
        let residuals = residuals(&judge, &x);
        let threshold = 1e-10 * judge.rhs.iter().map(|b| b * b).sum::<f64>().sqrt();
        let drawn = verify(server.address, &session, json!({}));
        assert_eq!(
            (&drawn["type"], &drawn["session_id"]),
            (&json!("verification_result"), &json!(session))
        );
        assert_eq!((&drawn["verified"], &drawn["system_version"]), (&json!(true), &json!(version)));
        assert_eq!(drawn["verification_score"], 1.0, "{drawn}");
        assert_eq!(drawn["residual_components"].as_array().unwrap().len(), 10, "{drawn}");
        assert!((number(&drawn, "residual_threshold") / threshold - 1.0).abs() < 1e-12, "{drawn}");
        let rows = number(&drawn, "rows_probed");
        assert!((100.0..=400.0).contains(&rows), "{drawn}");
        assert!((number(&drawn["detection"], "one_row") - rows / 400.0).abs() < 1e-12, "{drawn}");

        let named = verify(server.address, &session, json!({"rows": [3, 399, 3, 41]}));
        let largest =
            [3, 399, 41].map(|row: usize| residuals[row].abs()).into_iter().fold(0.0, f64::max);
        let found = named["residual_components"][0].as_f64().unwrap();
        assert!((found - largest).abs() < 1e-14, "{named}, {largest:e}");
        assert_eq!(named["rows_probed"], 3);

        let all = verify(server.address, &session, json!({"exhaustive": true}));
        let norm = residuals.iter().map(|r| r * r).sum::<f64>().sqrt();
        assert!((number(&all, "residual_norm_seen") - norm).abs() < 1e-13, "{all}, {norm:e}");
        assert_eq!((&all["rows_probed"], &all["verified"]), (&json!(400), &json!(true)));
        assert_eq!((&all["exhaustive"], &all["escalated"]), (&json!(true), &json!(false)));
        assert_eq!(all["detection"]["one_row"], 1.0);
        assert_ne!(all["probe_id"], named["probe_id"]);
    }
}

#[test]
fn a_session_can_be_checked_for_as_long_as_its_solution_can_be_read() {
    let server = TestServer::start();
    let system = dominant(300);
    for options in [
        json!({"tolerance": 1e-10}),
        json!({"tolerance": 1e-10, "method": "gmres"}),
        json!({"tolerance": 1e-10, "method": "direct"}),
        json!({"tolerance": 1e-10, "method": "jacobi", "max_iterations": 3}),
    ] {
        let is_cut_short = options.get("max_iterations").is_some();
        let session = open_with(&server, &system, options);
        let path = format!("/api/v1/sessions/{session}");
        while get(server.address, &path).json()["end_reason"].is_null() {}
        let read = get(server.address, &format!("{path}/solution")).json();
        let x: Vec<f64> =
            read["x"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let norm = residuals(&Judge::of(&system), &x).iter().map(|r| r * r).sum::<f64>().sqrt();
        // Questions that come together are answered one after the other.
        for _ in 0..3 {
            let all = verify(server.address, &session, json!({"exhaustive": true}));
            assert!((number(&all, "residual_norm_seen") - norm).abs() < 1e-13, "{all}, {norm:e}");
            assert_eq!(all["verified"], json!(!is_cut_short), "{all}");
            assert_eq!(all["converged"], all["verified"], "{all}");
            let drawn = verify(server.address, &session, json!({"probe_count": 1}));
            assert_eq!((&drawn["rows_probed"], &drawn["escalated"]), (&json!(100), &json!(false)));
        }
        let asked = json!({"session_id": session, "entries": [0]});
        refused(&server, "/api/v1/entries", &asked.to_string(), 409, "not-live");
    }
}

#[test]
fn a_solve_that_is_on_its_way_is_checked_without_being_disturbed() {
    let server = TestServer::start();
    let options = json!({"method": "jacobi", "tolerance": 1e-10, "max_iterations": 1_000_000_000});
    let slow = weir::solver::gallery::poisson_2d(120, 3).unwrap();
    let session = open_with(&server, &slow, options);
    let early = verify(server.address, &session, json!({"exhaustive": true}));
    let late = verify(server.address, &session, json!({"rows": [0, 14_399]}));
    for check in [&early, &late] {
        assert_eq!((&check["verified"], &check["converged"]), (&json!(false), &json!(false)));
        assert_eq!(check["faults"]["first_row"], Value::Null, "{check}");
    }
    assert!(number(&early, "iteration") <= number(&late, "iteration"), "{early} {late}");
    assert!(number(&early, "verification_score") < 1.0, "{early}");
    assert_eq!(early["rows_probed"], 14_400);
    let status = get(server.address, &format!("/api/v1/sessions/{session}")).json();
    assert_eq!(status["end_reason"], Value::Null, "{status}");
}

#[test]
fn checks_that_cannot_be_made_are_refused_by_the_member_at_fault() {
    let server = TestServer::start();
    let session = open(&server, &dominant(20));
    settled(&server, &session, 0);
    let of = |members: &str| format!(r#"{{"session_id": "{session}", {members}}}"#);
    let cases = [
        (of(r#""rows": [19, 20]"#), 422, "invalid-request", "/rows"),
        (of(r#""probe_count": 1000"#), 422, "invalid-request", "/probe_count"),
        (of(r#""exhaustive": "yes""#), 422, "invalid-request", "/exhaustive"),
        ("{}".to_owned(), 422, "invalid-request", "/session_id"),
    ];
    for (body, status, code, pointer) in cases {
        let problem = refused(&server, PATH, &body, status, code);
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
    refused(&server, PATH, &format!(r#"{{"session_id": "{NOBODY}"}}"#), 404, "unknown-session");
    let small = verify(server.address, &session, json!({"probe_count": 1}));
    assert_eq!((&small["rows_probed"], &small["verified"]), (&json!(20), &json!(true)));
}
