//! The bytes of one frame in a stream, taken piece by piece: short frames share one rendered line
//! among all listeners; a solution, and an update with many entries, is rendered only as fast as its
//! socket takes it, so that nothing else on that thread waits for the whole.

use std::sync::Arc;

use crate::protocol::frame::{Frame, FrameBody, IterationUpdate, Solution};
use crate::protocol::json::{write_f64, write_u64};
use crate::protocol::ndjson::{self, SOLUTION_TAIL, UPDATE_MIDDLE};
use crate::protocol::published::PublishedFrame;
use crate::protocol::sse;

/// How frames are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    Ndjson,
    Sse,
}

/// One frame on its way into a socket.
#[derive(Debug)]
pub struct FrameText {
    published: Arc<PublishedFrame>,
    format: StreamFormat,
    stage: Stage,
}

/// Updates with more entries are rendered in pieces, for each listener again; about 50 kB of text.
const SHARED_ENTRIES_MAX: usize = 2_048;

#[derive(Debug, Clone, Copy)]
enum Stage {
    Head,
    /// The indices of an update from here on.
    Indices(usize),
    /// The values of an update, or the entries of `x`, from here on.
    Values(usize),
}

impl FrameText {
    pub fn new(published: Arc<PublishedFrame>, format: StreamFormat) -> Self {
        Self { published, format, stage: Stage::Head }
    }

    /// Appends what comes next and tells whether that was all. A solution, or an update with many
    /// entries, stops soon after `out` holds `bytes_max`; other frames are never cut.
    pub fn append(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> bool {
        let Self { published, format, stage } = self;
        let frame = &published.frame;
        if let (Stage::Head, StreamFormat::Sse) = (*stage, *format) {
            sse::write_event_head(out, frame);
        }
        let is_done = match &frame.body {
            FrameBody::Solution(solution) | FrameBody::Snapshot(solution) => {
                append_solution(out, bytes_max, stage, frame, solution)
            }
            FrameBody::IterationUpdate(update)
                if update.x_partial.indices.len() > SHARED_ENTRIES_MAX =>
            {
                append_update(out, bytes_max, stage, frame, update)
            }
            FrameBody::SessionOpened(_)
            | FrameBody::Prepared(_)
            | FrameBody::IterationUpdate(_)
            | FrameBody::CostsAccepted(_)
            | FrameBody::MethodChanged(_)
            | FrameBody::Correction(_)
            | FrameBody::ConvergenceSignal(_)
            | FrameBody::VerificationResult(_)
            | FrameBody::Heartbeat(_)
            | FrameBody::Error(_)
            | FrameBody::End(_) => {
                out.extend_from_slice(published.line(ndjson::line));
                true
            }
        };
        if is_done && *format == StreamFormat::Sse {
            out.extend_from_slice(sse::EVENT_END);
        }
        is_done
    }
}

fn append_solution(
    out: &mut Vec<u8>,
    bytes_max: usize,
    stage: &mut Stage,
    frame: &Frame,
    solution: &Solution,
) -> bool {
    let from = match *stage {
        Stage::Indices(from) | Stage::Values(from) => from,
        Stage::Head => {
            ndjson::write_solution_head(out, frame, solution);
            0
        }
    };
    let next = append_items(out, &solution.x, from, bytes_max, write_f64);
    *stage = Stage::Values(next);
    if next < solution.x.len() {
        return false;
    }
    out.extend_from_slice(SOLUTION_TAIL);
    out.push(b'\n');
    true
}

fn append_update(
    out: &mut Vec<u8>,
    bytes_max: usize,
    stage: &mut Stage,
    frame: &Frame,
    update: &IterationUpdate,
) -> bool {
    let (indices, values) = (&update.x_partial.indices, &update.x_partial.values);
    if let Stage::Head = *stage {
        ndjson::write_update_head(out, frame, update);
        *stage = Stage::Indices(0);
    }
    if let Stage::Indices(from) = *stage {
        let write_index = |out: &mut Vec<u8>, index| write_u64(out, u64::from(index));
        let next = append_items(out, indices, from, bytes_max, write_index);
        *stage = Stage::Indices(next);
        if next < indices.len() {
            return false;
        }
        out.extend_from_slice(UPDATE_MIDDLE);
        *stage = Stage::Values(0);
        if out.len() >= bytes_max {
            return false;
        }
    }
    if let Stage::Values(from) = *stage {
        let next = append_items(out, values, from, bytes_max, write_f64);
        *stage = Stage::Values(next);
        if next < values.len() {
            return false;
        }
    }
    ndjson::write_update_tail(out, update);
    out.push(b'\n');
    true
}

/// Appends items from `from` on until `out` holds `bytes_max`, at least one; returns the next to write.
fn append_items<T: Copy>(
    out: &mut Vec<u8>,
    items: &[T],
    from: usize,
    bytes_max: usize,
    write: impl Fn(&mut Vec<u8>, T),
) -> usize {
    let mut next = from;
    for &item in &items[from..] {
        if next > 0 {
            out.push(b',');
        }
        write(out, item);
        next += 1;
        if out.len() >= bytes_max {
            break;
        }
    }
    next
}
