//! The connection under a request, so that a client that takes nothing can be cut off. A response body
//! is polled only while its socket takes data, so it cannot do this itself.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;

/// A second handle to a connection's socket.
#[derive(Debug, Clone)]
pub struct Connection(Arc<OwnedFd>);

impl Connection {
    /// Remembers the socket of a new connection in its extensions.
    pub fn remember(io: &dyn Any, extensions: &mut Extensions) {
        let socket = io.downcast_ref::<TcpStream>();
        // Without a spare descriptor the connection is served, but a stalled client stays until
        // the system gives up on it.
        if let Some(Ok(descriptor)) = socket.map(|socket| socket.as_fd().try_clone_to_owned()) {
            extensions.insert(Self(Arc::new(descriptor)));
        }
    }

    /// Ends the connection in both directions; what is still queued is lost.
    pub fn shut_down(&self) {
        // It fails only when the peer has ended the connection first, which is what we want.
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }
}
