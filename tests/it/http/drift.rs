//! Sessions that go astray, as a client sees them: what was done, and how the residual went.

use serde_json::{Value, json};

use crate::http::client::{get, post_json};
use crate::http::server::TestServer;
use crate::http::systems::poisson;

/// Jacobi with steps that are half as long again as they may be.
fn overrelaxed(auto_correction: bool) -> String {
    let options = json!({
        "damping": 1.5,
        "tolerance": 1e-6,
        "update_every": 1,
        "auto_correction": auto_correction,
        "include_solution": false,
    });
    poisson(12, "jacobi", options)
}

fn of_type<'f>(frames: &'f [Value], name: &str) -> Vec<&'f Value> {
    frames.iter().filter(|frame| frame["type"] == name).collect()
}

#[test]
fn a_solve_that_diverges_is_brought_back_and_says_how() {
    let server = TestServer::start();
    let response = post_json(server.address, "/api/v1/solve-stream", &overrelaxed(true));
    let session = response.header("weir-session-id").unwrap().to_owned();
    let frames: Vec<Value> = response.frames().collect();
    let end = frames.last().unwrap();
    assert_eq!(end["reason"], "converged", "{end}");
    let corrections = of_type(&frames, "correction");
    assert!(!corrections.is_empty());
    for correction in corrections {
        let kind = correction["cause"]["kind"].as_str().unwrap();
        assert!(["residual_trend", "divergence"].contains(&kind), "{correction}");
        assert!(correction["action"].is_string() && correction["iteration"].is_u64());
        let effect = &correction["effect"];
        assert!(effect["method"].is_string() && effect["residual_norm"].is_f64(), "{effect}");
    }

    let updates = of_type(&frames, "iteration_update");
    let course = get(server.address, &format!("/api/v1/sessions/{session}/residuals")).json();
    let norms: Vec<&Value> = updates.iter().map(|update| &update["residual_norm"]).collect();
    let kept: Vec<&Value> = course["residual_norms"].as_array().unwrap().iter().collect();
    // A slow reader may have been given fewer.
    assert!(kept.len() >= norms.len() && kept.last() == norms.last(), "{course}");
    assert_eq!(course["iterations"].as_array().unwrap().len(), kept.len());
    assert_eq!(course["trend"]["states"].as_u64().unwrap(), kept.len().min(50) as u64);
    let status = get(server.address, &format!("/api/v1/status/{session}")).json();
    assert_eq!(status["residual_trend"], course["trend"], "{status}");
    let node = get(server.address, "/api/v1/status").json();
    assert!(node["sessions"][0]["session_id"] == session.as_str(), "{node}");
}

#[test]
fn who_wants_the_method_and_no_other_is_told_why_it_fails() {
    let server = TestServer::start();
    let response = post_json(server.address, "/api/v1/solve-stream", &overrelaxed(false));
    let frames: Vec<Value> = response.frames().collect();
    assert_eq!(frames.last().unwrap()["reason"], "diverged");
    assert!(of_type(&frames, "correction").is_empty());
    let problem = &of_type(&frames, "error")[0]["problem"];
    assert_eq!(problem["type"], "/problems/diverged", "{problem}");
}

#[test]
fn residuals_of_no_session_are_not_found() {
    let server = TestServer::start();
    let nobody = "01234567-89ab-4def-8123-456789abcdef";
    let answer = get(server.address, &format!("/api/v1/sessions/{nobody}/residuals"));
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["type"], "/problems/unknown-session");
}
