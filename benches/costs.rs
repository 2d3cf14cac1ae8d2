//! Changes of costs over HTTP: how fast lines are read, how many a second go through one request, and how
//! long each waits for its acknowledgement at a steady rate. Real loopback HTTP, server and client on the
//! same machine.
//!
//! ```text
//! cargo bench --bench costs                        everything, systems a and e
//! cargo bench --bench costs -- read                reading of lines alone
//! cargo bench --bench costs -- a e --seconds 60    steady and as fast as it goes
//! ```
//! The client writes what is due each millisecond and reads acknowledgements on a thread of its own.
//! Waiting counts from when a line was due, not from when it was written: a client that is held up does
//! not hide it.

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use cpu_time::ProcessTime;
use harness::{Contender, Timed, arguments, flag, print_race, quantile, race, timed};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::actors::node::Node;
use weir::http::server::{HttpConfig, serve};
use weir::ids::{NodeId, SessionId};
use weir::protocol::costs::read_line;
use weir::protocol::request_text::json_request;
use weir::runtime::clock::Clock;
use weir::runtime::config::NodeConfig;
use weir::solver::assembly::assemble;
use weir::solver::gallery;
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};
use weir::solver::system::LinearSystem;

/// Changes a second that a session is to take.
const RATE: u64 = 50_000;

fn system(letter: &str) -> LinearSystem {
    match letter {
        "a" => gallery::diagonally_dominant(10_000, 50_000, 1).expect("the sizes are in range"),
        "e" => grid(),
        other => panic!("there is no system `{other}`"),
    }
}

/// The European grid.
fn grid() -> LinearSystem {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/systems");
    let open = |name: &str| {
        let file =
            std::fs::File::open(directory.join(name)).expect("the grid is in the repository");
        std::io::BufReader::new(file)
    };
    let read = read_matrix(open("case9241pegase.mtx"), ReadLimits::default()).expect("a matrix");
    let (rows, cols) = (read.rows, read.cols);
    let matrix = assemble(rows, cols, read.arrays).expect("a matrix");
    let rhs = read_rhs(open("case9241pegase_b.mtx"), rows).expect("a vector");
    LinearSystem::new(matrix, rhs).expect("a system")
}

/// Appends the next update: one entry of `b` goes up or down a little, and back later.
fn write_update(out: &mut Vec<u8>, rng: &mut ChaCha8Rng, order: usize, scale: f64, sequence: u64) {
    let row = ((u128::from(rng.next_u64()) * order as u128) >> 64) as usize;
    let value = if rng.next_u64() & 1 == 0 { 1e-4 * scale } else { -1e-4 * scale };
    let line = format!(
        r#"{{"type":"cost_update","delta_costs":{{"indices":[{row}],"values":[{value}]}},"source_node":"bench","sequence":{sequence}}}"#
    );
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

/// Reading of lines, against a generic reader.
fn race_readers(clock: &Clock) {
    const LINES: usize = 50_000;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut text = vec![];
    (0..LINES).for_each(|at| write_update(&mut text, &mut rng, 10_000, 1.0, at as u64));
    let session = Some(SessionId::from_random_bits(1));
    let rate = |took: Duration| Timed {
        took,
        note: format!("{:.2} us a line", took.as_secs_f64() * 1e6 / LINES as f64),
    };
    let lines = || text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let measured = race(
        9,
        true,
        vec![
            Contender::new("weir: line to checked update", || {
                let (took, read) = timed(clock, || {
                    lines().filter(|line| read_line(line, session).is_ok()).count()
                });
                assert_eq!(read, LINES);
                rate(took)
            }),
            Contender::new("serde_json::Value", || {
                let (took, read) = timed(clock, || {
                    let is_object = |line: &&[u8]| {
                        serde_json::from_slice::<serde_json::Value>(line)
                            .is_ok_and(|value| value.is_object())
                    };
                    lines().filter(is_object).count()
                });
                assert_eq!(read, LINES);
                rate(took)
            }),
        ],
    );
    print_race(
        &format!(
            "read: {LINES} lines of one edit, {:.0} bytes each",
            text.len() as f64 / LINES as f64
        ),
        &measured,
    );
}

/// Starts a server on threads of its own; it lives until the bench ends.
#[allow(clippy::disallowed_methods, reason = "the server lives beside its clients")]
fn start_server() -> SocketAddr {
    let (started, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix::System::new().block_on(async move {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let node = Node::launch(&NodeConfig::for_cores(cores), NodeId(0));
            let anywhere = "127.0.0.1:0".parse().expect("an address");
            let running = serve(&HttpConfig::new(anywhere, cores), node).expect("listens");
            started.send(running.address).expect("the bench waits");
            std::future::pending::<()>().await;
        });
    });
    address.recv().expect("the server starts")
}

/// Sends a request and reads the whole answer.
fn exchange(address: SocketAddr, line: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).expect("connects");
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).expect("written");
    socket.write_all(body).expect("written");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("readable");
    answer
}

/// Opens a live session for `system` and waits until it is solved.
fn open_session(address: SocketAddr, system: &LinearSystem) -> String {
    let options = serde_json::json!({"live": true, "tolerance": 1e-8, "include_solution": false});
    let body = json_request(system, "hybrid", &options);
    let answer = exchange(address, "POST /api/v1/sessions", &body);
    let id = answer.split("location: /api/v1/sessions/").nth(1).expect("a session is opened");
    let id = id.split("\r\n").next().expect("a line").to_owned();
    loop {
        let solution =
            exchange(address, &format!("GET /api/v1/sessions/{id}/solution?indices=0"), b"");
        if solution.contains(r#""converged":true"#) {
            return id;
        }
    }
}

/// When each of the first acknowledgements came, how many said `accepted`.
struct Acknowledged {
    at: Vec<Duration>,
    accepted: u64,
    last: String,
}

/// Reads acknowledgements until the stream ends.
fn receive(mut socket: TcpStream, clock: &Clock, lines: usize) -> Acknowledged {
    let mut piece = vec![0u8; 1 << 18];
    let (mut at, mut accepted) = (Vec::with_capacity(lines), 0);
    let mut rest: Vec<u8> = vec![];
    let origin = clock_origin();
    loop {
        let read = socket.read(&mut piece).expect("readable");
        if read == 0 {
            break;
        }
        let now = clock.now().since(origin);
        rest.extend_from_slice(&piece[..read]);
        let end = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for line in rest[..end].split(|&byte| byte == b'\n') {
            let is_answer = line.starts_with(br#"{"type":"cost_acknowledgement""#);
            at.extend(is_answer.then_some(now));
            let word = br#""status":"accepted""#;
            accepted += u64::from(line.windows(word.len()).any(|window| window == word));
        }
        let tail = rest[..end].split(|&byte| byte == b'\n').rfind(|line| line.starts_with(b"{"));
        if let Some(tail) = tail.filter(|tail| tail.starts_with(br#"{"type":"end""#)) {
            return Acknowledged { at, accepted, last: String::from_utf8_lossy(tail).into_owned() };
        }
        rest.drain(..end);
    }
    Acknowledged { at, accepted, last: "broken off".to_owned() }
}

fn clock_origin() -> weir::runtime::clock::Moment {
    weir::runtime::clock::Moment::default()
}

/// Sends `lines` updates, `rate` a second or as fast as they are taken, through one request.
#[allow(
    clippy::disallowed_methods,
    reason = "the client writes on one thread and reads on another"
)]
fn storm(clock: &Clock, address: SocketAddr, letter: &str, rate: Option<u64>, seconds: u64) {
    let system = system(letter);
    let (order, scale) = (system.order(), norm_infinity(system.rhs()));
    let id = open_session(address, &system);
    let lines = (RATE * seconds) as usize;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut socket = TcpStream::connect(address).expect("connects");
    socket.set_nodelay(true).expect("a socket option");
    let head = format!(
        "POST /api/v1/sessions/{id}/costs HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("written");
    let reading = socket.try_clone().expect("a second handle");
    let reader = {
        let clock = clock.clone();
        std::thread::spawn(move || receive(reading, &clock, lines))
    };
    let processor = ProcessTime::now();
    let started = clock.now();
    let mut due = Vec::with_capacity(lines);
    let mut piece = vec![];
    while due.len() < lines {
        let elapsed = clock.now().since(started);
        let target = match rate {
            Some(rate) => (elapsed.as_micros() as u64 * rate / 1_000_000) as usize,
            None => due.len() + 256,
        };
        piece.clear();
        while due.len() < target.min(lines) {
            let number = due.len() as u64;
            write_update(&mut piece, &mut rng, order, scale, number + 1);
            due.push(match rate {
                Some(rate) => started
                    .after(Duration::from_micros(number * 1_000_000 / rate))
                    .since(clock_origin()),
                None => clock.now().since(clock_origin()),
            });
        }
        if !piece.is_empty() {
            write!(socket, "{:x}\r\n", piece.len()).expect("written");
            piece.extend_from_slice(b"\r\n");
            socket.write_all(&piece).expect("written");
        }
        if rate.is_some() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    socket.write_all(b"0\r\n\r\n").expect("written");
    let acknowledged = reader.join().expect("the reader ends");
    let took = clock.now().since(started).as_secs_f64();
    let processor = processor.elapsed().as_secs_f64();
    let mut waited: Vec<Duration> =
        acknowledged.at.iter().zip(&due).map(|(at, due)| at.saturating_sub(*due)).collect();
    waited.sort_unstable();
    assert_eq!(waited.len(), lines, "{}", acknowledged.last);
    println!(
        "  {letter}, {}: {:>9.0} updates/s, {} of {lines} accepted, acknowledged after {} (median), \
         {} (p99), {} (worst); {:.0} % of a core, client and server",
        rate.map_or("as fast as it goes".to_owned(), |rate| format!("{rate} a second")),
        lines as f64 / took,
        acknowledged.accepted,
        harness::milliseconds(quantile(&waited, 0.5)),
        harness::milliseconds(quantile(&waited, 0.99)),
        harness::milliseconds(*waited.last().expect("there are lines")),
        100.0 * processor / took,
    );
    println!(
        "    {}",
        exchange(address, &format!("GET /api/v1/sessions/{id}/solution?indices=0"), b"")
            .lines()
            .rfind(|line| line.starts_with('{'))
            .unwrap_or_default()
    );
    exchange(address, &format!("DELETE /api/v1/sessions/{id}"), b"");
}

fn norm_infinity(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

fn main() {
    let clock = Clock::system();
    let arguments = arguments();
    let seconds = flag(&arguments, "--seconds");
    let seconds: u64 = seconds.map_or(10, |seconds| seconds.parse().expect("whole seconds"));
    let names: Vec<&String> =
        arguments.iter().filter(|argument| argument.chars().all(char::is_alphabetic)).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|found| *found == name);
    if wanted("read") {
        race_readers(&clock);
    }
    let systems: Vec<&str> = ["a", "e"].into_iter().filter(|letter| wanted(letter)).collect();
    if systems.is_empty() {
        return;
    }
    let address = start_server();
    println!("\ncosts: additions to one entry of b each, through one request");
    for letter in systems {
        storm(&clock, address, letter, Some(RATE), seconds);
        storm(&clock, address, letter, None, seconds);
    }
}
