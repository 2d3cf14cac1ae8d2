//! JSON as the wire needs it: a reader that streams large arrays to where they are kept and keeps going
//! after a wrong type, and a writer for frames. What the members mean is decided by their readers.

mod fault;
mod list;
mod number;
mod reader;
mod string;
mod writer;

pub use fault::{Fault, Faults, Malformed};
pub use reader::{JsonReader, Kind};
pub use writer::{JsonObject, write_f64, write_string, write_u64};
