//! The HTTP server: its settings, how it is started beside a node, how it drains and stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use actix_web::web::Data;
use actix_web::{App, HttpServer, middleware};
use tokio::sync::Semaphore;

use crate::actors::node::Node;
use crate::http::body::BodyLimits;
use crate::http::connection::Connection;
use crate::http::cross_origin::{self, AllowedOrigins};
use crate::http::hosts::{self, AllowedHosts};
use crate::http::intake::Intake;
use crate::http::routes;
use crate::runtime::clock::Clock;

/// How the server listens and what it takes, with the plan's figures as defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Port 0 takes any free one.
    pub bind: SocketAddr,
    /// Threads that serve connections.
    pub threads: usize,
    /// Of one body, as it arrives and as it inflates (plan 4.1).
    pub body_bytes_max: usize,
    /// Of all bodies being read together; and as much again of what they are decoded into.
    pub bodies_bytes_max: usize,
    /// Bodies decoded at the same time; further ones wait.
    pub decoding_max: usize,
    /// Bodies that may wait to be decoded.
    pub decoding_waiting_max: usize,
    /// A body from which nothing arrives for this long is given up.
    pub body_idle_limit: Duration,
    /// An idle connection is closed after this long (plan 1.4).
    pub keep_alive: Duration,
    /// Origins whose pages may use the server, beside those of this machine; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Names under which the server answers, beside those of this machine; `*` allows all. With none, a
    /// server that is not on loopback does not check.
    pub allowed_hosts: Vec<String>,
}

impl HttpConfig {
    /// The defaults on a machine with this many cores.
    pub fn new(bind: SocketAddr, cores: usize) -> Self {
        Self {
            bind,
            threads: cores.clamp(1, 8),
            body_bytes_max: 50 << 20,
            bodies_bytes_max: 512 << 20,
            decoding_max: cores.clamp(1, 4),
            decoding_waiting_max: 256,
            body_idle_limit: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            cors_origins: vec![],
            allowed_hosts: vec![],
        }
    }
}

/// What all handlers share.
#[derive(Debug, Clone)]
pub struct Shared {
    pub(super) node: Node,
    pub(super) intake: Intake,
    pub(super) clock: Clock,
    pub(super) origins: AllowedOrigins,
    pub(super) hosts: AllowedHosts,
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; the port is the one it got.
    pub address: SocketAddr,
    node: Node,
    handle: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

/// Starts to serve `node`. To be called inside a running actix system; returns as soon as the socket
/// listens.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(config: &HttpConfig, node: Node) -> io::Result<Running> {
    let clock = Clock::system();
    let limits = BodyLimits {
        bytes_max: config.body_bytes_max,
        idle_limit: config.body_idle_limit,
        budget: Arc::new(Semaphore::new(config.bodies_bytes_max.div_ceil(1024))),
        clock: clock.clone(),
    };
    let origins = AllowedOrigins { named: config.cors_origins.clone() };
    let hosts = AllowedHosts::new(config.bind.ip(), &config.allowed_hosts);
    let intake = Intake::new(
        limits,
        config.decoding_max,
        config.bodies_bytes_max,
        config.decoding_waiting_max,
    );
    let shared =
        Data::new(Shared { node: node.clone(), intake, clock, origins: origins.clone(), hosts });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .wrap(middleware::from_fn(cross_origin::refuse_foreign_changes))
            .wrap(cross_origin::cors(&origins))
            .wrap(middleware::from_fn(hosts::refuse_unknown_hosts))
            .configure(routes::register)
    })
    .workers(config.threads)
    .keep_alive(config.keep_alive)
    // With the default a client that has gone is noticed only when something is written to it.
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .on_connect(Connection::remember)
    .disable_signals()
    .shutdown_timeout(1)
    .bind_auto_h2c(config.bind)?;
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    Ok(Running { address, node, handle, serving: actix_web::rt::spawn(server) })
}

impl Running {
    /// Takes no more sessions, gives every stream its end frame, then stops listening. Meanwhile
    /// `/api/v1/health` answers 503.
    ///
    /// # Errors
    /// When the server had failed before.
    pub async fn drain(self) -> io::Result<()> {
        self.node.drain().await;
        self.handle.stop(true).await;
        self.serving.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
