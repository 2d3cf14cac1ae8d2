//! A server in process, on a thread and a port of its own.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use weir::actors::node::Node;
use weir::http::server::{HttpConfig, serve};
use weir::ids::NodeId;
use weir::runtime::config::NodeConfig;

/// A running server; dropping it drains and joins it.
pub struct TestServer {
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub fn start() -> Self {
        Self::with(|_, _| {})
    }

    /// Starts a server whose defaults `change` has changed.
    #[allow(clippy::disallowed_methods, reason = "a server in a test lives beside its clients")]
    pub fn with(change: impl FnOnce(&mut HttpConfig, &mut NodeConfig)) -> Self {
        let mut http = HttpConfig::new("127.0.0.1:0".parse().unwrap(), 2);
        let mut node = NodeConfig::for_cores(2);
        change(&mut http, &mut node);
        let (started, address) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let running = serve(&http, Node::launch(&node, NodeId(0))).unwrap();
                started.send(running.address).unwrap();
                let _ = stopped.await;
                running.drain().await.unwrap();
            });
        });
        let address = address.recv().expect("the server starts");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// The address of `path`, for clients that take one.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Begins to drain, without waiting for the end.
    pub fn begin_drain(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_drain();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server ended well");
        }
    }
}
