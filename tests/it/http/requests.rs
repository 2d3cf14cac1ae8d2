//! Requests that cannot be served: each gets the problem document that says why.

use std::io::Write;

use serde_json::Value;

use crate::http::client::{Response, get, post_json, request};
use crate::http::server::TestServer;
use crate::http::streaming::MENDED;

/// Checks that an answer is a problem document, and returns it.
fn problem(response: Response, status: u16, code: &str) -> Value {
    let found = response.status;
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{found}");
    let document = response.json();
    assert_eq!((found, &document["status"]), (status, &status.into()), "{document}");
    assert_eq!(document["type"], format!("/problems/{code}"), "{document}");
    document
}

fn pointers(document: &Value) -> Vec<&str> {
    let errors = document["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[test]
fn bodies_that_cannot_be_used_are_answered_with_the_member_at_fault() {
    let server = TestServer::start();
    let plan_9_1 = MENDED
        .replace("\"rows\": 3, \"cols\": 3", "\"rows\": 1000, \"cols\": 1000")
        .replace("[0, 1, 0, 1, 2, 1, 2]", "[0, 0, 1, 1, 1, 2, 2]");
    let cases: [(&str, u16, &str, &[&str]); 7] = [
        (
            &plan_9_1,
            422,
            "invalid-system",
            &["/matrix/data/col_pointers", "/matrix/data/row_indices/1", "/vector"],
        ),
        ("{", 400, "malformed-body", &[""]),
        ("{}", 422, "invalid-request", &["/matrix", "/vector"]),
        (r#"{"matrix": [[1]], "vector": [NaN]}"#, 400, "malformed-body", &["/vector/0"]),
        (
            r#"{"matrix": [[1]], "vector": [1], "method": "magic"}"#,
            422,
            "invalid-request",
            &["/method"],
        ),
        (
            r#"{"matrix": [[2, 1], [0, 2]], "vector": [1, 1], "method": "cg"}"#,
            422,
            "unsuitable-method",
            &["/method"],
        ),
        (r#"{"matrix": [[1, 0], [0, 0]], "vector": [1, 1]}"#, 422, "invalid-system", &["/matrix"]),
    ];
    for (body, status, code, expected) in cases {
        for path in ["/api/v1/solve-stream", "/api/v1/sessions"] {
            let document = problem(post_json(server.address, path, body), status, code);
            assert_eq!(pointers(&document), expected, "{document}");
        }
    }
}

#[test]
fn addresses_methods_and_types_that_are_not_served_say_what_is() {
    let server = TestServer::start();
    let at = server.address;
    problem(get(at, "/api/v2"), 404, "not-found");
    let refused = get(at, "/api/v1/solve-stream");
    assert_eq!(refused.header("allow"), Some("POST"));
    problem(refused, 405, "method-not-allowed");
    let json = ("content-type", "application/json");
    let post = "POST /api/v1/solve-stream";
    problem(request(at, post, &[json, ("accept", "text/html")], b"{}"), 406, "not-acceptable");
    problem(request(at, post, &[], b"{}"), 415, "unsupported-media-type");
    let text = ("content-type", "text/plain");
    problem(request(at, post, &[text], b"{}"), 415, "unsupported-media-type");
    let brotli = ("content-encoding", "br");
    problem(request(at, post, &[json, brotli], b"{}"), 415, "unsupported-media-type");
    for path in ["status/uuid-session-123", "sessions/4dbb51a1-2f0c-4d33-9a3f-0d2f6f2a7a11/stream"]
    {
        problem(get(at, &format!("/api/v1/{path}")), 404, "unknown-session");
    }
}

#[test]
fn queries_that_cannot_be_used_are_answered_with_the_parameter() {
    let server = TestServer::start();
    let created = post_json(server.address, "/api/v1/sessions", MENDED);
    let location = created.header("location").unwrap().to_owned();
    let cases: [(&str, u16, &str, &[&str]); 4] = [
        ("solution?indices=0,3,9", 404, "unknown-index", &["?indices/1", "?indices/2"]),
        ("solution?indices=0,x", 400, "invalid-query", &["?indices/1"]),
        ("solution?index=0", 400, "invalid-query", &["?index"]),
        ("stream?flush_interval_ms=0", 400, "invalid-query", &["?flush_interval_ms"]),
    ];
    for (rest, status, code, expected) in cases {
        let document = problem(get(server.address, &format!("{location}/{rest}")), status, code);
        assert_eq!(pointers(&document), expected, "{document}");
    }
}

#[test]
fn every_problem_explains_itself() {
    let server = TestServer::start();
    for kind in weir::protocol::problem::ProblemKind::ALL {
        let text = get(server.address, &format!("/problems/{}", kind.code())).text();
        assert!(text.contains(kind.explanation()), "{text}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_body_is_taken_up_to_the_limit_as_it_comes_and_as_it_inflates() {
    let server = TestServer::with(|http, _| http.body_bytes_max = 10_000);
    let post = "POST /api/v1/solve-stream";
    let json = ("content-type", "application/json");
    let padded = |size: usize| format!("{MENDED}{}", " ".repeat(size - MENDED.len()));
    let send = |body: &[u8], headers: &[(&str, &str)]| request(server.address, post, headers, body);
    assert_eq!(send(padded(10_000).as_bytes(), &[json]).status, 200);
    problem(send(padded(10_001).as_bytes(), &[json]), 413, "body-too-large");
    let zipped = ("content-encoding", "gzip");
    assert_eq!(send(&gzip(padded(10_000).as_bytes()), &[json, zipped]).status, 200);
    problem(send(&gzip(padded(10_001).as_bytes()), &[json, zipped]), 413, "body-too-large");
    problem(send(b"{}", &[json, zipped]), 400, "malformed-body");
}

#[test]
fn a_body_that_stops_arriving_is_given_up() {
    let server = TestServer::with(|http, _| {
        http.body_idle_limit = std::time::Duration::from_millis(100);
    });
    let mut socket = std::net::TcpStream::connect(server.address).unwrap();
    let head = "POST /api/v1/solve-stream HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    socket.write_all(head.as_bytes()).unwrap();
    problem(Response::read(socket), 408, "body-timeout");
}

#[test]
fn a_page_of_another_site_may_neither_change_nor_read_anything() {
    let server = TestServer::with(|http, _| http.cors_origins = vec!["https://a.example".into()]);
    let post = "POST /api/v1/solve-stream";
    let send = |origin: &str| {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        request(server.address, post, &headers, MENDED.as_bytes())
    };
    problem(send("https://evil.example"), 403, "foreign-origin");
    for origin in ["https://a.example", "http://localhost:5173"] {
        let response = send(origin);
        assert_eq!(
            (response.status, response.header("access-control-allow-origin")),
            (200, Some(origin))
        );
    }
    let headers = [("origin", "https://evil.example")];
    let read = request(server.address, "GET /api/v1/status", &headers, b"");
    assert_eq!(read.header("access-control-allow-origin"), None);
}

/// Asks for the health of a server under these names.
fn ask_as(address: std::net::SocketAddr, hosts: &[&str]) -> Response {
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let hosts: String = hosts.iter().map(|host| format!("host: {host}\r\n")).collect();
    socket.write_all(format!("GET /api/v1/health HTTP/1.1\r\n{hosts}\r\n").as_bytes()).unwrap();
    Response::read(socket)
}

#[test]
fn a_name_that_was_pointed_at_this_machine_reaches_nothing() {
    let server = TestServer::start();
    let port = server.address.port();
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), "192.0.2.1".to_owned()]
    {
        let document = problem(ask_as(server.address, &[&host]), 421, "unknown-host");
        assert!(document["way_out"].as_str().unwrap().contains("--allow-host"), "{document}");
    }
    for host in ["localhost".to_owned(), format!("weir.localhost:{port}"), format!("[::1]:{port}")]
    {
        assert_eq!(ask_as(server.address, &[&host]).status, 200, "{host}");
    }
    // A page under that name would count as the server's own: neither its forms nor its preflights.
    let mut socket = std::net::TcpStream::connect(server.address).unwrap();
    let head = "DELETE /api/v1/sessions/x HTTP/1.1\r\nhost: evil.example\r\n\
                origin: http://evil.example\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let response = Response::read(socket);
    assert_eq!(response.header("access-control-allow-origin"), None);
    problem(response, 421, "unknown-host");
}

#[test]
fn a_name_that_the_operator_allows_is_answered_and_its_pages_may_use_the_server() {
    let server = TestServer::with(|http, _| http.allowed_hosts = vec!["weir.example".into()]);
    assert_eq!(ask_as(server.address, &["weir.example"]).status, 200);
    assert_eq!(ask_as(server.address, &["localhost"]).status, 200);
    problem(ask_as(server.address, &["other.example"]), 421, "unknown-host");
    let mut socket = std::net::TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /api/v1/solve-stream HTTP/1.1\r\nhost: weir.example\r\norigin: https://weir.example\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{MENDED}",
        MENDED.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    let response = Response::read(socket);
    assert_eq!(response.header("access-control-allow-origin"), Some("https://weir.example"));
    assert_eq!(response.status, 200);
}

#[test]
fn a_server_that_is_not_on_loopback_checks_names_only_when_it_was_told_some() {
    let anywhere = "0.0.0.0:0".parse().unwrap();
    let local = |server: &TestServer| ([127, 0, 0, 1], server.address.port()).into();
    let open = TestServer::with(|http, _| http.bind = anywhere);
    assert_eq!(ask_as(local(&open), &["evil.example"]).status, 200);
    let named = TestServer::with(|http, _| {
        http.bind = anywhere;
        http.allowed_hosts = vec!["weir.example".into()];
    });
    assert_eq!(ask_as(local(&named), &["weir.example"]).status, 200);
    problem(ask_as(local(&named), &["evil.example"]), 421, "unknown-host");
}

#[test]
fn an_error_inside_a_stream_leads_to_its_explanation() {
    let server = TestServer::start();
    // Positive diagonal, eigenvalues 3 and -1: only the iteration finds out.
    let body = r#"{"matrix": [[1, 2], [2, 1]], "vector": [1, -1], "method": "cg"}"#;
    let frames: Vec<Value> =
        post_json(server.address, "/api/v1/solve-stream", body).frames().collect();
    let problem = &frames.iter().find(|frame| frame["type"] == "error").unwrap()["problem"];
    assert_eq!(frames.last().unwrap()["reason"], "indefinite");
    assert_eq!(
        (problem["type"].as_str(), problem["status"].as_u64()),
        (Some("/problems/indefinite"), Some(422))
    );
    let page = get(server.address, problem["type"].as_str().unwrap());
    assert_eq!(page.status, 200);
    assert!(page.text().starts_with(problem["title"].as_str().unwrap()));
}
