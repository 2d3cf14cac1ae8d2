//! Requests to solve, as bodies: what they are read as, or the problem that answers them.

use proptest::prelude::*;
use weir::protocol::problem::{Problem, ProblemKind};
use weir::protocol::solve::{PreparedSession, SolveRequest};
use weir::solver::engine::Engine;
use weir::solver::options::{MethodName, PreconditionerName};
use weir::solver::outcome::{Outcome, Step};
use weir::solver::system::MatrixArrays;

/// The plan's example 9.1, word for word.
const PLAN_9_1: &str = r#"{
"matrix": {
"rows": 1000,
"cols": 1000,
"data": {
"values": [2, -1, -1, 2, -1, -1, 2],
"row_indices": [0, 0, 1, 1, 1, 2, 2],
"col_pointers": [0, 2, 5, 7]
},
"format": "csr"
},
"vector": [1, 2, 3],
"method": "hybrid",
"options": {
"tolerance": 1e-8,
"swarm_enabled": true
}
}"#;

/// Example 9.1 made a system; with every member of the plan's 2.1.
const PLAN_2_1: &str = r#"{
"type": "solve_request",
"session_id": "4dbb51a1-2f0c-4d33-9a3f-0d2f6f2a7a11",
"matrix": {
"rows": 3, "cols": 3, "nnz": 7,
"data": {
"values": [2, -1, -1, 2, -1, -1, 2],
"row_indices": [0, 1, 0, 1, 2, 1, 2],
"col_pointers": [0, 2, 5, 7]
},
"format": "csr"
},
"vector": [1.0, 2.0, 3.0],
"method": "hybrid",
"options": {
"tolerance": 1e-8,
"max_iterations": 10000,
"preconditioner": "jacobi",
"swarm_enabled": true,
"verification_interval": 100
},
"flow_nexus": {
"swarm_topology": "mesh",
"cost_aggregation": "weighted_average",
"verification_strategy": "random_probe"
}
}"#;

fn prepared(body: &str) -> Result<PreparedSession, Problem> {
    SolveRequest::from_json(body.as_bytes())?.prepare()
}

fn problem(body: &str) -> Problem {
    match prepared(body) {
        Ok(_) => panic!("accepted: {body}"),
        Err(problem) => problem,
    }
}

fn solved(mut engine: Engine) -> Vec<f64> {
    loop {
        match engine.step() {
            Step::Finished(Outcome::Converged { .. }) => return engine.solution().to_vec(),
            Step::Finished(Outcome::Stopped(reason)) => panic!("{reason}"),
            Step::Prepared(_) | Step::Iterated(_) | Step::Switched(_) => {}
        }
    }
}

#[test]
fn the_plans_example_is_answered_with_each_of_its_faults() {
    let problem = problem(PLAN_9_1);
    assert_eq!(problem.kind, ProblemKind::InvalidSystem);
    insta::assert_snapshot!(pretty(&problem));
}

#[test]
fn the_plans_request_is_accepted_and_says_what_it_ignores() {
    let session = prepared(PLAN_2_1).map_err(|problem| problem.detail).unwrap();
    let warnings: Vec<String> = session
        .warnings
        .iter()
        .map(|warning| format!("{}: {}", warning.pointer, warning.detail))
        .collect();
    insta::assert_snapshot!(warnings.join("\n"));
    assert!(session.stream.live, "`swarm_enabled` makes a session live");
    let options = session.engine.options();
    assert_eq!(options.preconditioner, Some(PreconditionerName::Jacobi));
    assert_eq!((options.method, options.iterations_max), (MethodName::Hybrid, 10_000));
    let x = solved(*session.engine);
    for (found, expected) in x.iter().zip([2.5, 4.0, 3.5]) {
        assert!((found - expected).abs() < 1e-7, "{x:?}");
    }
}

fn pretty(problem: &Problem) -> String {
    let value: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// A request around `matrix` with a vector of two.
fn of_matrix(matrix: &str) -> String {
    format!(r#"{{"matrix": {matrix}, "vector": [1, 2]}}"#)
}

#[test]
fn every_form_of_one_matrix_is_the_same_system() {
    let forms = [
        r#"[[4, 1], [0, 3]]"#,
        r#"{"data": [[4, 1], [0, 3]]}"#,
        r#"{"rows": 2, "cols": 2, "data": [4, 1, 0, 3], "format": "dense"}"#,
        r#"{"rows": 2, "cols": 2, "data": {"values": [4, 1, 0, 3]}}"#,
        r#"{"rows": 2, "cols": 2, "data": {"values": [[4, 1], [0, 3]]}, "nnz": 3}"#,
        r#"{"rows": 2, "cols": 2, "nnz": 3, "format": "csr",
            "data": {"values": [4, 1, 3], "col_indices": [0, 1, 1], "row_pointers": [0, 2, 3]}}"#,
        r#"{"rows": 2, "cols": 2, "format": "CSC",
            "data": {"values": [4, 1, 3], "row_indices": [0, 0, 1], "col_pointers": [0, 1, 3]}}"#,
        r#"{"rows": 2, "cols": 2, "format": "coo",
            "data": {"values": [3, 1, 3, 1], "row_indices": [1, 0, 0, 0], "col_indices": [1, 1, 0, 0]}}"#,
    ];
    let expected = prepared(&of_matrix(forms[0])).unwrap_or_else(|p| panic!("{}", p.detail));
    for form in forms {
        let session = prepared(&of_matrix(form)).unwrap_or_else(|p| panic!("{}", p.detail));
        assert_eq!(session.engine.system(), expected.engine.system(), "{form}");
        assert_eq!(session.warnings, [], "{form}");
    }
}

/// The pointers of the faults of `body`.
fn check(body: &str, kind: ProblemKind, pointers: &[&str]) {
    let problem = problem(body);
    let found: Vec<_> = problem.errors.iter().map(|entry| entry.pointer.as_str()).collect();
    assert_eq!((problem.kind, found.as_slice()), (kind, pointers), "{body}\n{}", pretty(&problem));
}

#[test]
fn members_that_are_missing_or_of_the_wrong_type_are_all_named() {
    use ProblemKind::InvalidRequest;
    check("7", InvalidRequest, &[""]);
    check("{}", InvalidRequest, &["/matrix", "/vector"]);
    check(r#"{"matrix": 7, "vector": "b"}"#, InvalidRequest, &["/matrix", "/vector"]);
    check(
        r#"{"matrix": {"rows": "2", "cols": 2.5, "data": {"values": [1, null]}}, "vector": [1, true]}"#,
        InvalidRequest,
        &["/matrix/rows", "/matrix/cols", "/matrix/data/values/1", "/vector/1"],
    );
    check(
        &of_matrix(r#"{"data": {"values": [1]}}"#),
        InvalidRequest,
        &["/matrix/rows", "/matrix/cols"],
    );
    check(&of_matrix(r#"{"rows": 2, "cols": 2}"#), InvalidRequest, &["/matrix/data/values"]);
    check(&of_matrix("[]"), InvalidRequest, &["/matrix"]);
    check(&of_matrix("[1, 2]"), InvalidRequest, &["/matrix"]);
    check(&of_matrix("[[1, 2], [3]]"), InvalidRequest, &["/matrix/1"]);
    check(&of_matrix(r#"[[1, 2], "x"]"#), InvalidRequest, &["/matrix/1"]);
    check(
        &of_matrix(r#"{"rows": 3, "cols": 2, "data": [[1, 2], [3, 4]]}"#),
        InvalidRequest,
        &["/matrix/rows"],
    );
    check(
        &of_matrix(r#"{"rows": 2, "cols": 2, "data": {"values": [1], "row_indices": [0]}}"#),
        InvalidRequest,
        &["/matrix/data"],
    );
    check(
        &of_matrix(
            r#"{"rows": 2, "cols": 2, "nnz": 5,
                "data": {"values": [1, 1], "row_indices": [0, 1], "col_indices": [0, 4294967296]}}"#,
        ),
        InvalidRequest,
        &["/matrix/data/col_indices/1", "/matrix/nnz"],
    );
    check(r#"{"matrix": [[1]], "matrix": [[1]], "vector": [1]}"#, InvalidRequest, &["/matrix"]);
}

#[test]
fn options_out_of_range_are_all_named() {
    check(
        r#"{"matrix": [[1]], "vector": [1], "method": "conjugate", "type": "cost_update", "options": {
            "tolerance": 0, "max_iterations": 0, "damping": 2, "restart": 1001, "sweep": 1,
            "preconditioner": "agm", "memory_bytes_max": 0, "time_budget_ms": 0, "x_partial_max": -1,
            "update_every": "often", "include_solution": "no", "flush_interval_ms": 1001}}"#,
        ProblemKind::InvalidRequest,
        &[
            "/method",
            "/type",
            "/options/max_iterations",
            "/options/restart",
            "/options/sweep",
            "/options/preconditioner",
            "/options/memory_bytes_max",
            "/options/time_budget_ms",
            "/options/x_partial_max",
            "/options/update_every",
            "/options/include_solution",
            "/options/flush_interval_ms",
            "/options/tolerance",
            "/options/damping",
        ],
    );
}

#[test]
fn a_misspelt_option_is_ignored_with_a_hint() {
    let body = r#"{"matrix": [[1]], "vector": [1], "options": {"tolerence": 0.5, "colour": 1}}"#;
    let session = prepared(body).unwrap_or_else(|p| panic!("{}", p.detail));
    let details: Vec<_> = session.warnings.iter().map(|w| w.detail.as_str()).collect();
    assert_eq!(
        details,
        ["unknown member, ignored; did you mean `tolerance`?", "unknown member, ignored"]
    );
}

#[test]
fn arrays_that_are_no_system_are_located() {
    use ProblemKind::InvalidSystem;
    let compressed = |values, row_indices, col_pointers| {
        of_matrix(&format!(
            r#"{{"rows": 2, "cols": 2, "data": {{"values": {values}, "row_indices": {row_indices},
                "col_pointers": {col_pointers}}}}}"#
        ))
    };
    check(
        &compressed("[1, 1]", "[0, 2]", "[0, 1, 2]"),
        InvalidSystem,
        &["/matrix/data/row_indices/1"],
    );
    check(
        &compressed("[1, 1]", "[0, 1]", "[0, 1]"),
        InvalidSystem,
        &["/matrix/data/col_pointers", "/matrix/data/col_pointers/1"],
    );
    check(&of_matrix("[[1, 2, 3], [3, 4, 5]]"), InvalidSystem, &["/matrix/cols"]);
    check(&of_matrix("[[]]"), InvalidSystem, &["/matrix/cols", "/matrix/cols", "/vector"]);
    check(r#"{"matrix": [[1, 0], [0, 1]], "vector": [1]}"#, InvalidSystem, &["/vector"]);
}

#[test]
fn a_method_that_must_fail_is_refused_with_a_way_out() {
    let problem = problem(r#"{"matrix": [[2, 1], [0, 2]], "vector": [1, 1], "method": "cg"}"#);
    assert_eq!(problem.kind, ProblemKind::UnsuitableMethod);
    assert!(problem.way_out.is_some_and(|way_out| way_out.contains("hybrid")));
}

#[test]
fn texts_that_are_not_json_are_located() {
    let not_finite = problem(r#"{"matrix": [[NaN]], "vector": [1]}"#);
    assert_eq!(not_finite.kind, ProblemKind::MalformedBody);
    assert_eq!(not_finite.errors[0].pointer, "/matrix/0/0");
    assert!(not_finite.detail.contains("must be finite"), "{}", not_finite.detail);
    assert_eq!(problem("").kind, ProblemKind::MalformedBody);
    let not_utf8 = SolveRequest::from_json(b"{\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(not_utf8.detail, "the body is not UTF-8 from byte 7 on");
}

fn json_of(arrays: &MatrixArrays, order: usize) -> String {
    let data = match arrays {
        MatrixArrays::Coordinates { row_indices, col_indices, values } => serde_json::json!({
            "values": values, "row_indices": row_indices, "col_indices": col_indices,
        }),
        other => panic!("{other:?}"),
    };
    let matrix = serde_json::json!({"rows": order, "cols": order, "data": data, "nnz": null});
    serde_json::json!({"matrix": matrix, "vector": vec![0.5; order]}).to_string()
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_read(
        entries in prop::collection::vec((0u32..9, 0u32..9, -1e300..1e300), 0..40)
    ) {
        let arrays = MatrixArrays::Coordinates {
            row_indices: entries.iter().map(|entry| entry.0).collect(),
            col_indices: entries.iter().map(|entry| entry.1).collect(),
            values: entries.iter().map(|entry| entry.2).collect(),
        };
        let request = SolveRequest::from_json(json_of(&arrays, 9).as_bytes());
        let request = request.map_err(|problem| TestCaseError::fail(problem.detail))?;
        prop_assert_eq!(&request.arrays, &arrays);
        prop_assert_eq!((request.rows, request.cols, request.vector.len()), (9, 9, 9));
    }

    #[test]
    fn no_cut_of_a_request_is_a_panic(cut in 0usize..PLAN_2_1.len(), with in "\\PC{0,4}") {
        let body = format!("{}{with}{}", &PLAN_2_1[..cut], &PLAN_2_1[(cut + 1).min(PLAN_2_1.len())..]);
        let _ = prepared(&body);
    }
}
