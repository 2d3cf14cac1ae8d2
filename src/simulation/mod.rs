//! The same actors under virtual time: a scenario and a seed go in, a trace comes out, the same bytes
//! every time.

mod costs;
pub mod duration;
mod memory;
pub mod scenario;
pub mod trace;
pub mod world;
