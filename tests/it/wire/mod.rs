//! What goes over the wire: requests as they are read, frames as they are written.

mod frames;
mod requests;
