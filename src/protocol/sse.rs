//! Server-sent events (WHATWG HTML §9.2) around a frame's JSON line.

use crate::ids::{FrameSequence, SessionId};
use crate::protocol::frame::Frame;

/// First bytes of a stream of events: how long a browser waits before it connects again.
pub const STREAM_START: &[u8] = b"retry: 2000\n\n";

/// The number in a `Last-Event-ID` that this session gave; `None` for any other text.
pub fn sequence_of(last_event_id: &str, session: SessionId) -> Option<FrameSequence> {
    let (named, sequence) = last_event_id.split_once(':')?;
    (named.parse() == Ok(session)).then(|| sequence.parse().ok().map(FrameSequence))?
}

/// Appends what stands before the frame's JSON line. The id is the session's and the frame's, so that
/// one session's id means nothing in another.
pub fn write_event_head(out: &mut Vec<u8>, frame: &Frame) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(frame.body.type_name().as_bytes());
    out.extend_from_slice(b"\nid: ");
    let mut id = [0; 36];
    out.extend_from_slice(frame.session_id.hyphenated(&mut id));
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(frame.sequence.0).as_bytes());
    out.extend_from_slice(b"\ndata: ");
}

/// What ends an event after its line and the line's own newline.
pub const EVENT_END: &[u8] = b"\n";
