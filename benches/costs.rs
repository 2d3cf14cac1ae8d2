//! Changes of costs over HTTP: how fast lines are read, how many a second go through one request, and how
//! long each waits for its acknowledgement at a steady rate. Real loopback HTTP, server and client on the
//! same machine.
//!
//! ```text
//! cargo bench --bench costs                        everything, systems a and e
//! cargo bench --bench costs -- read                reading of lines alone
//! cargo bench --bench costs -- a e --seconds 60    steady and as fast as it goes
//! cargo bench --bench costs -- g --rate 200        steady alone, at another rate; beside long set-ups
//! ```
//! The client writes what is due each millisecond and reads acknowledgements on a thread of its own.
//! Waiting counts from when a line was due, not from when it was written: a client that is held up does
//! not hide it.

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use cpu_time::ProcessTime;
use harness::changes::Draws;
use harness::http::{
    Sent, Storm, exchange, norm_infinity, open_session, send_storm, start_server, write_update,
};
use harness::systems::system;
use harness::{Contender, Timed, arguments, flag, print_race, quantile, race, timed};
use weir::ids::SessionId;
use weir::protocol::costs::read_line;
use weir::runtime::clock::Clock;

/// Changes a second that a session is to take.
const RATE: u64 = 50_000;

/// Reading of lines, against a generic reader.
fn race_readers(clock: &Clock) {
    const LINES: usize = 50_000;
    let mut draws = Draws::seeded(1);
    let mut text = vec![];
    (0..LINES).for_each(|at| write_update(&mut text, &mut draws, 10_000, 1.0, at as u64));
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

/// Sends updates for so many seconds at [`RATE`], or as many as fast as they are taken, through one request.
fn storm(clock: &Clock, address: SocketAddr, letter: &str, rate: Option<u64>, seconds: u64) {
    let system = system(letter);
    let id = open_session(address, &system);
    let lines = (rate.unwrap_or(RATE) * seconds) as usize;
    let storm = Storm { order: system.order(), scale: norm_infinity(system.rhs()), rate, lines };
    let processor = ProcessTime::now();
    let Sent { due, acknowledged, took } = send_storm(clock, address, &id, &storm);
    let (took, processor) = (took.as_secs_f64(), processor.elapsed().as_secs_f64());
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

fn main() {
    let clock = Clock::system();
    let arguments = arguments();
    let seconds = flag(&arguments, "--seconds");
    let seconds: u64 = seconds.map_or(10, |seconds| seconds.parse().expect("whole seconds"));
    let rate = flag(&arguments, "--rate").map(|rate| rate.parse().expect("changes a second"));
    let names: Vec<&String> =
        arguments.iter().filter(|argument| argument.chars().all(char::is_alphabetic)).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|found| *found == name);
    if wanted("read") {
        race_readers(&clock);
    }
    let is_named = |letter: &str| names.iter().any(|name| *name == letter);
    let all = ["a", "e"].into_iter().filter(|letter| wanted(letter));
    let systems: Vec<&str> = all.chain(["g"].into_iter().filter(|name| is_named(name))).collect();
    if systems.is_empty() {
        return;
    }
    let address = start_server();
    println!("\ncosts: additions to one entry of b each, through one request");
    for letter in systems {
        storm(&clock, address, letter, Some(rate.unwrap_or(RATE)), seconds);
        if rate.is_none() {
            storm(&clock, address, letter, None, seconds);
        }
    }
}
