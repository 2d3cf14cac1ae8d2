//! `weir serve`: a node and its HTTP server, until a signal ends them.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::actors::node::Node;
use crate::cli::bytes::parse_bytes;
use crate::cli::duration::{parse_interval, parse_limit};
use crate::http::server::{HttpConfig, Running, serve};
use crate::ids::NodeId;
use crate::runtime::config::NodeConfig;

const EXAMPLES: &str = "\
Every flag can be set through the environment instead, as its help says.

Signals:
  SIGTERM, SIGINT  take no more sessions, end every stream with its end frame, then exit
  a second one     exit at once

Examples:
  weir serve
  curl -N http://127.0.0.1:3000/api/v1/solve-stream -H 'content-type: application/json' \\
       -d '{\"matrix\": [[4, 1], [1, 3]], \"vector\": [1, 2]}'
  curl -N http://127.0.0.1:3000/api/v1/solve-stream -F matrix=@A.mtx -F vector=@b.mtx";

/// Solve and stream over HTTP
///
/// Takes systems at POST /api/v1/solve-stream and streams each solution as it converges; the start
/// page at / lets you try it in a browser.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArguments {
    /// Where to listen; port 0 takes a free one. There is no access control: keep it on loopback
    #[arg(
        short,
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3000",
        env = "WEIR_BIND"
    )]
    bind: SocketAddr,
    #[command(flatten)]
    limits: LimitArguments,
    /// Threads that serve connections [default: one for each core, at most 8]
    #[arg(long, value_name = "COUNT", env = "WEIR_HTTP_THREADS", value_parser = clap::value_parser!(u16).range(1..=256))]
    http_threads: Option<u16>,
    /// Threads that iterate [default: one for each core]
    #[arg(long, value_name = "COUNT", env = "WEIR_WORKERS", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// An origin whose pages may use this server, beside those of this machine; * allows all. May be
    /// given several times, or with commas
    #[arg(long, value_name = "ORIGIN", env = "WEIR_CORS_ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<String>,
    /// A name under which this server may be asked for, beside those of this machine, such as the one
    /// that a proxy passes on; * allows all. May be given several times, or with commas
    #[arg(long, value_name = "NAME", env = "WEIR_ALLOW_HOST", value_delimiter = ',', value_parser = parse_host)]
    allow_host: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// Sessions at work at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, env = "WEIR_MAX_SESSIONS")]
    max_sessions: usize,
    /// Memory that all sessions together may hold
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = parse_bytes, env = "WEIR_MAX_MEMORY")]
    max_memory: u64,
    /// Largest body taken, as it comes and as it inflates
    #[arg(long, value_name = "SIZE", default_value = "50MiB", value_parser = parse_bytes, env = "WEIR_MAX_BODY")]
    max_body: u64,
    /// Memory that all bodies being read together may hold, and as much again what they become
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_bytes, env = "WEIR_MAX_BODIES")]
    max_bodies: u64,
    /// A listener that takes nothing for this long is ended
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_interval, env = "WEIR_STALL_LIMIT")]
    stall_limit: Duration,
    /// A session ends after this long
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_limit, env = "WEIR_MAX_SESSION_DURATION")]
    max_session_duration: Duration,
    /// The solution of an ended session can be read for this long
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_limit, env = "WEIR_RETENTION")]
    retention: Duration,
    /// Silence after which a stream gets a heartbeat
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_interval, env = "WEIR_HEARTBEAT")]
    heartbeat: Duration,
    /// Streams get this long to take their end frames at shutdown
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_limit, env = "WEIR_DRAIN_LIMIT")]
    drain_limit: Duration,
}

impl ServeArguments {
    /// The settings of the node and of the server on a machine with `cores` cores.
    fn settings(&self, cores: usize) -> (NodeConfig, HttpConfig) {
        let Self { bind, limits, http_threads, workers, cors_origin, allow_host } = self;
        let defaults = NodeConfig::for_cores(cores);
        let node = NodeConfig {
            workers: workers.unwrap_or(defaults.workers),
            heavy_workers: workers.unwrap_or(defaults.heavy_workers),
            running_sessions_max: limits.max_sessions,
            memory_bytes_max: limits.max_memory,
            stall_limit: limits.stall_limit,
            session_duration_max: limits.max_session_duration,
            ended_session_retention: limits.retention,
            heartbeat_interval: limits.heartbeat,
            drain_limit: limits.drain_limit,
            ..defaults
        };
        let defaults = HttpConfig::new(*bind, cores);
        let body_bytes_max = usize::try_from(limits.max_body).unwrap_or(usize::MAX);
        let bodies_bytes_max = usize::try_from(limits.max_bodies).unwrap_or(usize::MAX);
        let http = HttpConfig {
            threads: http_threads.map_or(defaults.threads, usize::from),
            body_bytes_max,
            bodies_bytes_max: bodies_bytes_max.max(body_bytes_max),
            cors_origins: cors_origin.clone(),
            allowed_hosts: allow_host.clone(),
            ..defaults
        };
        (node, http)
    }
}

/// What goes to standard error by default. A client of HTTP/2 that was given up is no error of ours.
const DEFAULT_LOG: &str = "weir=warn,actix_http::h2=off,error";

/// A host without scheme, port or path, so that what is written is what is compared.
fn parse_host(text: &str) -> Result<String, String> {
    let name = text.trim().strip_suffix('.').unwrap_or(text.trim());
    let is_address = name.starts_with('[') && name.ends_with(']');
    let is_name = !name.is_empty() && !name.contains([':', '/', '@', ' ']);
    match is_address || is_name {
        true => Ok(name.to_owned()),
        false => Err("a name alone, without scheme and port, such as weir.example".to_owned()),
    }
}

/// Serves until a signal; exit code 0 after a drain, 2 when the address cannot be had.
pub fn run(arguments: &ServeArguments) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (node, http) = arguments.settings(cores);
    actix::System::new().block_on(async move {
        // Before anything is announced, so that no signal finds us deaf.
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(terminate), Ok(interrupt)) = signals else {
            eprintln!("weir: signals cannot be received here");
            return ExitCode::FAILURE;
        };
        let running = match serve(&http, Node::launch(&node, NodeId(0))) {
            Ok(running) => running,
            Err(error) => {
                eprintln!("weir: cannot listen on {}: {error}", http.bind);
                eprintln!("      try another address with --bind, such as --bind 127.0.0.1:0");
                return ExitCode::from(2);
            }
        };
        announce(&running);
        until_signal(running, terminate, interrupt).await
    })
}

fn announce(running: &Running) {
    let address = running.address;
    if !address.ip().is_loopback() {
        eprintln!(
            "weir: warning: {address} can be reached from outside this machine, and there is no \
             access control: anybody who reaches it can use, read and end every session"
        );
    }
    // Nobody needs to read this: a closed standard output does not end the server.
    let _ = writeln!(
        io::stdout(),
        "weir listens on http://{address}\n\
         try: curl -N http://{address}/api/v1/solve-stream -H 'content-type: application/json' \
         -d '{{\"matrix\": [[4, 1], [1, 3]], \"vector\": [1, 2]}}'"
    );
}

/// Drains at the first signal, gives up at the second.
async fn until_signal(running: Running, mut terminate: Signal, mut interrupt: Signal) -> ExitCode {
    next_signal(&mut terminate, &mut interrupt).await;
    eprintln!("weir: draining; a second signal ends at once");
    let drained = std::pin::pin!(running.drain());
    let again = std::pin::pin!(next_signal(&mut terminate, &mut interrupt));
    match futures_util::future::select(drained, again).await {
        futures_util::future::Either::Left((Ok(()), _)) => ExitCode::SUCCESS,
        futures_util::future::Either::Left((Err(error), _)) => {
            eprintln!("weir: the server failed: {error}");
            ExitCode::FAILURE
        }
        futures_util::future::Either::Right(_) => ExitCode::FAILURE,
    }
}

async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) {
    let (terminate, interrupt) =
        (std::pin::pin!(terminate.recv()), std::pin::pin!(interrupt.recv()));
    futures_util::future::select(terminate, interrupt).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_alone() {
        for (text, expected) in [
            ("weir.example", Some("weir.example")),
            (" weir.example. ", Some("weir.example")),
            ("[2001:db8::1]", Some("[2001:db8::1]")),
            ("*", Some("*")),
            ("weir.example:3000", None),
            ("https://weir.example", None),
            ("", None),
        ] {
            assert_eq!(parse_host(text).ok().as_deref(), expected, "`{text}`");
        }
    }
}
