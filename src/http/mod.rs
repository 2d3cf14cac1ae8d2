//! HTTP: thin adapters between requests and a [`Node`](crate::actors::node::Node). A request becomes
//! a message, frames become bytes; what happens is decided elsewhere.

mod body;
mod connection;
mod costs;
mod cross_origin;
mod entries;
mod error;
mod form;
mod hosts;
mod intake;
mod negotiation;
mod pages;
pub mod received;
mod routes;
pub mod server;
mod sessions;
mod solution;
mod solve_stream;
mod stream_body;
mod verify;
