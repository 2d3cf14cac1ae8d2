//! JSON as the wire needs it: a reader that streams large arrays into typed vectors and keeps going
//! after a wrong type, and a writer for frames. What the members mean is decided by their readers.

mod number;
mod reader;
mod writer;

pub use reader::{Fault, Faults, JsonReader, Kind, Malformed};
pub use writer::{JsonObject, write_f64, write_string, write_u64};
