//! The wire: what clients send and what they are sent, as types that exist to be serialised. Each
//! type converts to and from the domain in its own file. No I/O.

pub mod costs;
pub mod entries;
pub mod frame;
pub mod frame_text;
pub mod json;
pub mod matrix;
pub mod ndjson;
pub mod options;
pub mod problem;
pub mod published;
pub mod request_text;
pub mod solve;
pub mod spelling;
pub mod sse;
pub mod status;
pub mod stream_options;
pub mod timestamp;
pub mod upload;
pub mod verification;
