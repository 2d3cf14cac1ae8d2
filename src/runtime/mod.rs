//! What a node learns from outside: time, randomness, the price of work, settings, and where events
//! go. The same types serve a server and a simulated world.

pub mod clock;
pub mod config;
pub mod entropy;
pub mod environment;
pub mod event;
pub mod recorder;
pub mod stopwatch;
