//! The server as its clients meet it: a real one, in process on a free port, and real clients.

mod browser;
pub mod client;
mod costs;
mod curl;
mod drain;
mod drift;
mod entries;
mod large_bodies;
mod listeners;
mod requests;
mod server;
mod streaming;
mod systems;
