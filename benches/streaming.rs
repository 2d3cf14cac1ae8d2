//! What a client waits for: how fast a body is read, how soon the first line comes, how many updates a
//! second go through one stream and through a hundred, over real loopback HTTP, server and clients on the
//! same machine.
//!
//! ```text
//! cargo bench --bench streaming                       everything
//! cargo bench --bench streaming -- parse first one hundred
//! ```

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use harness::http::start_server;
use harness::{Contender, Timed, print_race, quantile, race, timed};
use weir::protocol::request_text::json_request;
use weir::protocol::solve::SolveRequest;
use weir::runtime::clock::Clock;
use weir::solver::gallery;

/// Reading a body into a system's arrays, against a generic reader and against copying the bytes.
fn race_parsers(clock: &Clock) {
    let system = gallery::diagonally_dominant(250_000, 1_250_000, 1).expect("in range");
    let body = json_request(&system, "hybrid", &serde_json::json!({}));
    let mut copy = vec![0u8; body.len()];
    let rate = |took: Duration| Timed {
        took,
        note: format!("{:.0} MB/s", body.len() as f64 / took.as_secs_f64() / 1e6),
    };
    let measured = race(
        9,
        true,
        vec![
            Contender::new("memcpy", || rate(timed(clock, || copy.copy_from_slice(&body)).0)),
            Contender::new("weir: body to validated arrays", || {
                let (took, read) = timed(clock, || SolveRequest::from_json(&body));
                assert_eq!(read.expect("a request").vector, system.rhs());
                rate(took)
            }),
            Contender::new("serde_json::Value", || {
                let (took, value) =
                    timed(clock, || serde_json::from_slice::<serde_json::Value>(&body));
                assert!(value.expect("JSON").is_object());
                rate(took)
            }),
        ],
    );
    print_race(
        &format!("parse: {:.0} MB of JSON, n = 250,000", body.len() as f64 / 1e6),
        &measured,
    );
}

fn post(address: SocketAddr, body: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("connects");
    socket.set_nodelay(true).expect("a socket option");
    let head = format!(
        "POST /api/v1/solve-stream HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).expect("written");
    socket.write_all(body).expect("written");
    socket
}

/// Reads until the response holds `text`.
fn read_until(socket: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    let mut read = vec![];
    let mut piece = [0u8; 1 << 16];
    while !read.windows(text.len()).any(|window| window == text) {
        let bytes = socket.read(&mut piece).expect("readable");
        assert!(bytes > 0, "ended early: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..bytes]);
    }
    read
}

/// From the last byte of the body to the end of the first line, 10,000 rows and 50,000 entries.
fn measure_first_line(clock: &Clock, address: SocketAddr) {
    let system = gallery::diagonally_dominant(10_000, 50_000, 1).expect("in range");
    let body = json_request(&system, "hybrid", &serde_json::json!({ "include_solution": false }));
    let mut first = vec![];
    let mut whole = vec![];
    for _ in 0..101 {
        let mut socket = post(address, &body);
        let started = clock.now();
        let mut read = read_until(&mut socket, b"}\n");
        first.push(clock.now().since(started));
        socket.read_to_end(&mut read).expect("readable");
        whole.push(clock.now().since(started));
        assert!(String::from_utf8_lossy(&read).contains(r#""reason":"converged""#));
    }
    let first = &first[1..];
    println!(
        "\nfirst: n = 10,000, nnz = 50,000, {:.1} MB of JSON, 100 requests",
        body.len() as f64 / 1e6
    );
    for (name, fraction) in [("median", 0.5), ("p99", 0.99)] {
        println!(
            "  {name:>6}: last body byte to first line {}, to the end of the converged stream {}",
            harness::milliseconds(quantile(first, fraction)),
            harness::milliseconds(quantile(&whole[1..], fraction))
        );
    }
}

/// A chain of `order` unknowns: Jacobi needs hundreds of thousands of short iterations.
fn chain(order: usize, iterations: u64) -> Vec<u8> {
    let (mut values, mut cols, mut pointers) = (vec![], vec![], vec![0]);
    for row in 0..order {
        for (present, col, value) in [
            (row > 0, row.wrapping_sub(1), -1.0),
            (true, row, 2.0),
            (row + 1 < order, row + 1, -1.0),
        ] {
            if present {
                cols.push(col);
                values.push(value);
            }
        }
        pointers.push(cols.len());
    }
    serde_json::to_vec(&serde_json::json!({
        "matrix": {
            "rows": order,
            "cols": order,
            "data": { "values": values, "col_indices": cols, "row_pointers": pointers },
        },
        "vector": vec![1.0; order],
        "method": "jacobi",
        "options": {
            "max_iterations": iterations, "update_every": 1, "x_partial_max": 4,
            "tolerance": 1e-12, "include_solution": false,
        },
    }))
    .expect("numbers and strings only")
}

/// What one reader of one stream got.
struct Received {
    lines: u64,
    bytes: u64,
    ended: String,
}

/// Reads a stream to its end, counting lines.
fn receive(mut socket: TcpStream) -> Received {
    let mut piece = vec![0u8; 1 << 18];
    let (mut lines, mut bytes, mut last) = (0, 0, 0u8);
    let mut tail: Vec<u8> = vec![];
    loop {
        let read = socket.read(&mut piece).expect("readable");
        if read == 0 {
            break;
        }
        // A line ends in `}\n`; the ends of HTTP's chunks do not.
        let inside = piece[..read].windows(2).filter(|pair| pair == b"}\n").count();
        lines += inside as u64 + u64::from(last == b'}' && piece[0] == b'\n');
        bytes += read as u64;
        last = piece[read - 1];
        tail.extend_from_slice(&piece[read.saturating_sub(1_024)..read]);
        tail.drain(..tail.len().saturating_sub(1_024));
    }
    let tail = String::from_utf8_lossy(&tail).into_owned();
    let at = tail.find("\"reason\":").map_or(tail.len(), |at| at + 9);
    Received { lines, bytes, ended: tail[at..].chars().take(24).collect() }
}

/// Updates a second over `streams` streams at once.
#[allow(clippy::disallowed_methods, reason = "each client is a thread")]
fn measure_updates(clock: &Clock, address: SocketAddr, streams: usize, iterations: u64) {
    let body = chain(200, iterations);
    for turn in 0..4 {
        let started = clock.now();
        let readers: Vec<_> = (0..streams)
            .map(|_| {
                let socket = post(address, &body);
                std::thread::spawn(move || receive(socket))
            })
            .collect();
        let received: Vec<Received> =
            readers.into_iter().map(|reader| reader.join().expect("a reader ends")).collect();
        let took = clock.now().since(started).as_secs_f64();
        if turn == 0 {
            continue;
        }
        let lines: u64 = received.iter().map(|received| received.lines).sum();
        let bytes: u64 = received.iter().map(|received| received.bytes).sum();
        println!(
            "  {streams} stream(s): {:>9.0} updates/s, {:.0} MB/s, {} of {} states arrived, {:.2} s, ended {}",
            lines as f64 / took,
            bytes as f64 / took / 1e6,
            lines,
            iterations * streams as u64,
            took,
            received[0].ended
        );
    }
}

fn main() {
    let clock = Clock::system();
    let arguments = harness::arguments();
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|found| found == name);
    if wanted("parse") {
        race_parsers(&clock);
    }
    let address = start_server();
    if wanted("first") {
        measure_first_line(&clock, address);
    }
    if wanted("one") || wanted("hundred") {
        println!(
            "\nupdates: jacobi on a chain of 200, every iteration announced with 4 entries of x"
        );
    }
    if wanted("one") {
        measure_updates(&clock, address, 1, 400_000);
    }
    if wanted("hundred") {
        measure_updates(&clock, address, 100, 10_000);
    }
}
