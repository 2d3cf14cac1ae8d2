//! The connection under a request, so that a client that takes nothing can be cut off. A response body
//! is polled only while its socket takes data, so it cannot do this itself.

use std::any::Any;
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;

/// A second handle to a connection's socket, and how many streams go over it: several in HTTP/2.
#[derive(Debug, Clone)]
pub struct Connection {
    socket: Rc<OwnedFd>,
    streams: Rc<Cell<usize>>,
}

/// One stream's share in a connection, for as long as it is served.
#[derive(Debug)]
pub struct ConnectionShare(Connection);

impl Connection {
    /// Remembers the socket of a new connection in its extensions.
    pub fn remember(io: &dyn Any, extensions: &mut Extensions) {
        let socket = io.downcast_ref::<TcpStream>();
        // Without a spare descriptor the connection is served, but a stalled client stays until
        // the system gives up on it.
        if let Some(Ok(descriptor)) = socket.map(|socket| socket.as_fd().try_clone_to_owned()) {
            extensions.insert(Self { socket: Rc::new(descriptor), streams: Rc::default() });
        }
    }

    /// Counts one more stream until its share is dropped.
    pub fn share(&self) -> ConnectionShare {
        self.streams.set(self.streams.get() + 1);
        ConnectionShare(self.clone())
    }

    /// Ends the connection in both directions, unless other streams are served over it; what is still
    /// queued is lost.
    pub fn shut_down_if_unused(&self) {
        if self.streams.get() == 0 {
            // It fails only when the peer has ended the connection first, which is what we want.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        }
    }
}

impl Drop for ConnectionShare {
    fn drop(&mut self) {
        let ConnectionShare(Connection { streams, .. }) = self;
        streams.set(streams.get() - 1);
    }
}
