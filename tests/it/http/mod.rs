//! The server as its clients meet it: a real one, in process on a free port, and real clients.

mod client;
mod requests;
mod server;
mod streaming;
