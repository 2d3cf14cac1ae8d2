//! The actors of a node. Each owns its state, asks `policy`, sends typed messages, records events.
//! They import messages, never each other; `node` alone knows who is connected to whom.

mod announcer;
mod drift_detector;
pub mod frame_channel;
pub mod messages;
pub mod node;
mod outbound_queue;
mod owed_entries;
pub mod recorder;
mod session;
mod session_directory;
pub mod solve;
mod solver_worker;
mod subscription;
mod verifier;
mod work_queue;
