//! A weir on this machine and a client of it: real loopback HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use weir::actors::node::Node;
use weir::http::server::{HttpConfig, serve};
use weir::ids::NodeId;
use weir::protocol::request_text::json_request;
use weir::runtime::clock::{Clock, Moment};
use weir::runtime::config::NodeConfig;
use weir::solver::system::LinearSystem;

use super::changes::Draws;

/// Systems of a million rows come in one body.
const BODY_BYTES_MAX: usize = 1 << 30;

/// Starts a server on threads of its own; it lives until the bench ends.
#[allow(clippy::disallowed_methods, reason = "the server lives beside its clients")]
pub fn start_server() -> SocketAddr {
    let (started, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix::System::new().block_on(async move {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let node = Node::launch(&NodeConfig::for_cores(cores), NodeId(0));
            let anywhere = "127.0.0.1:0".parse().expect("an address");
            let config = HttpConfig {
                body_bytes_max: BODY_BYTES_MAX,
                bodies_bytes_max: 2 * BODY_BYTES_MAX,
                ..HttpConfig::new(anywhere, cores)
            };
            let running = serve(&config, node).expect("listens");
            started.send(running.address).expect("the bench waits");
            std::future::pending::<()>().await;
        });
    });
    address.recv().expect("the server starts")
}

/// Sends a request and reads the whole answer.
pub fn exchange(address: SocketAddr, line: &str, body: &[u8]) -> String {
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
pub fn open_session(address: SocketAddr, system: &LinearSystem) -> String {
    let options = serde_json::json!({"live": true, "tolerance": 1e-8, "include_solution": false, "x_partial_max": 4});
    open_session_with(address, system, &options)
}

/// The same with options of one's own.
pub fn open_session_with(
    address: SocketAddr,
    system: &LinearSystem,
    options: &serde_json::Value,
) -> String {
    let body = json_request(system, "hybrid", options);
    let answer = exchange(address, "POST /api/v1/sessions", &body);
    let location = answer.split("location: /api/v1/sessions/").nth(1);
    let id = location.unwrap_or_else(|| panic!("no session is opened: {answer}"));
    let id = id.split("\r\n").next().expect("a line").to_owned();
    loop {
        let solution =
            exchange(address, &format!("GET /api/v1/sessions/{id}/solution?indices=0"), b"");
        if solution.contains(r#""converged":true"#) {
            return id;
        }
    }
}

/// Appends the next update: one entry of `b` goes up or down a little, and back later.
pub fn write_update(out: &mut Vec<u8>, draws: &mut Draws, order: usize, scale: f64, sequence: u64) {
    let row = draws.below(order);
    let value = 1e-4 * scale * if draws.factor() > 1.0 { 1.0 } else { -1.0 };
    let line = format!(
        r#"{{"type":"cost_update","delta_costs":{{"indices":[{row}],"values":[{value}]}},"source_node":"bench","sequence":{sequence}}}"#
    );
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

pub fn norm_infinity(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

/// When each of the first acknowledgements came, how many said `accepted`.
pub struct Acknowledged {
    pub at: Vec<Duration>,
    pub accepted: u64,
    pub last: String,
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

/// Where durations of a storm are counted from.
fn clock_origin() -> Moment {
    Moment::default()
}

/// Updates that are sent through one request: additions to one entry of `b` each.
#[derive(Clone, Copy)]
pub struct Storm {
    pub order: usize,
    pub scale: f64,
    /// A second; none as fast as they are taken.
    pub rate: Option<u64>,
    pub lines: usize,
}

/// What became of a storm. `due` are the times at which lines were to be sent.
pub struct Sent {
    pub due: Vec<Duration>,
    pub acknowledged: Acknowledged,
    pub took: Duration,
}

/// What is due is written this often.
const PACE: Duration = Duration::from_millis(1);

/// Up to so many changes a second each is written when it is due.
const SELDOM: u64 = 1_000;

/// Writes what is due, and reads acknowledgements on a thread of its own.
#[allow(
    clippy::disallowed_methods,
    reason = "the client writes on one thread and reads on another"
)]
pub fn send_storm(clock: &Clock, address: SocketAddr, id: &str, storm: &Storm) -> Sent {
    let Storm { order, scale, rate, lines } = *storm;
    let mut draws = Draws::seeded(7);
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
    let started = clock.now();
    let mut due = Vec::with_capacity(lines);
    let mut piece = vec![];
    while due.len() < lines {
        let elapsed = clock.now().since(started);
        let target = match rate {
            // The first is due at once.
            Some(rate) => (elapsed.as_micros() as u64 * rate / 1_000_000) as usize + 1,
            None => due.len() + 256,
        };
        piece.clear();
        while due.len() < target.min(lines) {
            let number = due.len() as u64;
            write_update(&mut piece, &mut draws, order, scale, number + 1);
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
        if let Some(rate) = rate {
            let next = Duration::from_micros((due.len() as u64 * 1_000_000).div_ceil(rate));
            let is_seldom = rate <= SELDOM;
            let pause = next.saturating_sub(clock.now().since(started));
            std::thread::sleep(if is_seldom { pause } else { PACE });
        }
    }
    socket.write_all(b"0\r\n\r\n").expect("written");
    let acknowledged = reader.join().expect("the reader ends");
    Sent { due, acknowledged, took: clock.now().since(started) }
}

/// A state that was announced: when, and the latest version of the system that it is converged for.
pub type Announced = (Duration, u64);

/// Reads a session's stream until a state is announced that is converged for `version`, on a thread of its
/// own; none where the stream ends before.
#[allow(clippy::disallowed_methods, reason = "the listener reads beside the sender")]
pub fn listen(
    clock: &Clock,
    address: SocketAddr,
    id: &str,
    version: u64,
) -> std::thread::JoinHandle<Option<Vec<Announced>>> {
    let mut socket = TcpStream::connect(address).expect("connects");
    socket.set_nodelay(true).expect("a socket option");
    let head = format!(
        "GET /api/v1/sessions/{id}/stream HTTP/1.1\r\nhost: {address}\r\n\
         accept: application/x-ndjson\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("written");
    let clock = clock.clone();
    std::thread::spawn(move || {
        let mut announced = vec![];
        let mut rest: Vec<u8> = vec![];
        let mut piece = vec![0u8; 1 << 18];
        loop {
            let read = socket.read(&mut piece).expect("readable");
            if read == 0 {
                return None;
            }
            let now = clock.now().since(clock_origin());
            rest.extend_from_slice(&piece[..read]);
            let end = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            let text = String::from_utf8_lossy(&rest[..end]);
            for line in
                text.lines().filter(|line| line.starts_with(r#"{"type":"iteration_update""#))
            {
                announced.extend(settled_version(line).map(|version| (now, version)));
            }
            if announced.last().is_some_and(|(_, seen)| *seen >= version) {
                return Some(announced);
            }
            rest.drain(..end);
        }
    })
}

fn settled_version(line: &str) -> Option<u64> {
    let digits = line.split(r#""settled_version":"#).nth(1)?;
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    Some(digits.parse().expect("a version is a number"))
}
