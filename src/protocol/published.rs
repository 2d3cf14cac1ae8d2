//! A frame that has been announced, shared by all who listen, with its NDJSON line rendered at most
//! once.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::protocol::frame::Frame;

/// A frame and, once somebody asked for it, its line.
#[derive(Debug)]
pub struct PublishedFrame {
    pub frame: Frame,
    line: OnceLock<Bytes>,
}

impl PublishedFrame {
    pub fn new(frame: Frame) -> Self {
        Self { frame, line: OnceLock::new() }
    }

    /// The rendered line; `render` runs at most once, whoever asks first.
    pub fn line(&self, render: impl FnOnce(&Frame) -> Bytes) -> &Bytes {
        self.line.get_or_init(|| render(&self.frame))
    }
}
