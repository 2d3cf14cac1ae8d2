//! Checks of a session's states: how long one that is asked for takes, at rest and under a storm of changes;
//! how many probes a second are served meanwhile; what a session's own checks cost it. Real loopback HTTP,
//! server and client on the same machine.
//!
//! ```text
//! cargo bench --bench verification
//! cargo bench --bench verification -- --seconds 20
//! ```

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cpu_time::ProcessTime;
use harness::http::{Storm, norm_infinity, open_session_with, send_storm, start_server};
use harness::systems::system;
use harness::{arguments, flag, milliseconds, quantile};
use serde_json::{Value, json};
use weir::runtime::clock::Clock;
use weir::solver::system::LinearSystem;

/// Changes a second while checks are asked for, and while a session checks itself.
const RATE: u64 = 10_000;

/// Probes a second that are to be served.
const PROBES: u64 = 1_000;

/// Storms with and without checks, in turns.
const TURNS: usize = 5;

/// A connection that stays open.
struct Client(TcpStream);

impl Client {
    fn of(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("connects");
        socket.set_nodelay(true).expect("a socket option");
        Self(socket)
    }

    fn verify(&mut self, session: &str, probes: u64) -> Value {
        let body = json!({"session_id": session, "probe_count": probes}).to_string();
        let request = format!(
            "POST /api/v1/verify HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).expect("written");
        let (mut answer, mut piece) = (vec![], [0u8; 1 << 14]);
        loop {
            let read = self.0.read(&mut piece).expect("readable");
            assert!(read > 0, "the connection is kept");
            answer.extend_from_slice(&piece[..read]);
            if let Some(body) = body_of(&answer) {
                assert!(
                    answer.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
                return serde_json::from_slice(body).expect("an answer is JSON");
            }
        }
    }
}

/// The body of an answer that is there in full.
fn body_of(answer: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let length: usize = length.parse().ok()?;
    (body.len() >= length).then_some(body.as_bytes())
}

/// Sends changes at [`RATE`] until the flag falls.
#[allow(clippy::disallowed_methods, reason = "the storm blows beside who asks")]
fn blow(
    clock: &Clock,
    address: SocketAddr,
    id: &str,
    system: &LinearSystem,
) -> (Arc<AtomicBool>, std::thread::JoinHandle<()>) {
    let blows = Arc::new(AtomicBool::new(true));
    let storm = Storm {
        order: system.order(),
        scale: norm_infinity(system.rhs()),
        rate: Some(RATE),
        lines: RATE as usize / 4,
    };
    let (clock, id, goes_on) = (clock.clone(), id.to_owned(), Arc::clone(&blows));
    let handle = std::thread::spawn(move || {
        while goes_on.load(Ordering::Relaxed) {
            send_storm(&clock, address, &id, &storm);
        }
    });
    (blows, handle)
}

#[allow(clippy::disallowed_methods, reason = "a client that waits, on a thread of its own")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Asks for checks of so many probes for `seconds`: every so often, or one after the other.
fn ask(
    clock: &Clock,
    (address, id): (SocketAddr, &str),
    probes: u64,
    every: Option<Duration>,
    seconds: u64,
) {
    let mut client = Client::of(address);
    let started = clock.now();
    let (mut waited, mut worked, mut verified) = (vec![], 0.0, 0);
    while clock.now().since(started) < Duration::from_secs(seconds) {
        let at = clock.now();
        let answer = client.verify(id, probes);
        let took = clock.now().since(at);
        waited.push(took);
        worked += answer["verification_time_ms"].as_f64().expect("a time");
        verified += u64::from(answer["verified"] == true);
        if let Some(every) = every {
            pause(every.saturating_sub(took));
        }
    }
    let (count, elapsed) = (waited.len(), clock.now().since(started).as_secs_f64());
    waited.sort_unstable();
    println!(
        "    {probes:>3} probes a check: {:>6.0} probes/s, {} median, {} p99, {} worst; {:.3} ms of it \
         looking at rows; {verified} of {count} verified",
        (count as u64 * probes) as f64 / elapsed,
        milliseconds(quantile(&waited, 0.5)),
        milliseconds(quantile(&waited, 0.99)),
        milliseconds(*waited.last().expect("there was time for one")),
        worked / count as f64,
    );
}

/// Processor time of a storm into a session that checks itself, against one that does not, in turns.
fn own_checks(clock: &Clock, address: SocketAddr, letter: &str, seconds: u64) {
    let system = system(letter);
    let storm = Storm {
        order: system.order(),
        scale: norm_infinity(system.rhs()),
        rate: Some(RATE),
        lines: (RATE * seconds) as usize,
    };
    let mut took = [Duration::ZERO; 2];
    for turn in 0..TURNS {
        for at in [turn % 2, 1 - turn % 2] {
            let options = json!({
                "live": true, "tolerance": 1e-8, "include_solution": false, "x_partial_max": 4,
                "verification_enabled": at == 1,
            });
            let id = open_session_with(address, &system, &options);
            let started = ProcessTime::now();
            send_storm(clock, address, &id, &storm);
            took[at] += started.elapsed();
            harness::http::exchange(address, &format!("DELETE /api/v1/sessions/{id}"), b"");
        }
    }
    let [without, with] = took.map(|took| took.as_secs_f64() / (TURNS as f64 * seconds as f64));
    println!(
        "  {letter}: {:.3} of a core with its own checks, {:.3} without: {:+.1} %",
        with,
        without,
        100.0 * (with / without - 1.0)
    );
}

fn main() {
    let clock = Clock::system();
    let arguments = arguments();
    let seconds = flag(&arguments, "--seconds");
    let seconds: u64 = seconds.map_or(5, |seconds| seconds.parse().expect("whole seconds"));
    let address = start_server();
    println!(
        "\nverification: {RATE} changes a second in a storm, client and server on one machine"
    );
    for letter in ["a", "e"] {
        let system = system(letter);
        let options = json!({"live": true, "tolerance": 1e-8, "x_partial_max": 4});
        let id = open_session_with(address, &system, &options);
        println!("  {letter}, {} rows, at rest", system.order());
        let session = (address, id.as_str());
        ask(&clock, session, 10, None, seconds);
        ask(&clock, session, 100, None, seconds);
        println!("  {letter}, in a storm");
        let (blows, storm) = blow(&clock, address, &id, &system);
        ask(&clock, session, 10, None, seconds);
        ask(&clock, session, 100, None, seconds);
        ask(&clock, session, 10, Some(Duration::from_micros(10_000_000 / PROBES)), seconds);
        blows.store(false, Ordering::Relaxed);
        storm.join().expect("the storm ends");
    }
    println!("\nown checks: processor time of server and client in a storm, {TURNS} turns");
    for letter in ["a", "e"] {
        own_checks(&clock, address, letter, seconds);
    }
}
