//! The bytes of one frame in a stream, taken piece by piece: short frames share one rendered line
//! among all listeners, a solution is rendered only as fast as its socket takes it.

use std::sync::Arc;

use crate::protocol::frame::{FrameBody, Solution};
use crate::protocol::json::write_f64;
use crate::protocol::ndjson::{self, SOLUTION_TAIL};
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

#[derive(Debug, Clone, Copy)]
enum Stage {
    Head,
    /// The entries of `x` from here on.
    Entries(usize),
}

impl FrameText {
    pub fn new(published: Arc<PublishedFrame>, format: StreamFormat) -> Self {
        Self { published, format, stage: Stage::Head }
    }

    /// Appends what comes next and tells whether that was all. A solution stops soon after `out`
    /// holds `bytes_max`; other frames are never cut.
    pub fn append(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> bool {
        let frame = &self.published.frame;
        match &frame.body {
            FrameBody::Solution(solution) | FrameBody::Snapshot(solution) => {
                let from = match self.stage {
                    Stage::Entries(from) => from,
                    Stage::Head => {
                        self.append_event_head(out);
                        ndjson::write_solution_head(out, frame, solution);
                        0
                    }
                };
                let next = append_entries(out, solution, from, bytes_max);
                self.stage = Stage::Entries(next);
                if next < solution.x.len() {
                    return false;
                }
                out.extend_from_slice(SOLUTION_TAIL);
                out.push(b'\n');
            }
            FrameBody::SessionOpened(_)
            | FrameBody::Prepared(_)
            | FrameBody::IterationUpdate(_)
            | FrameBody::MethodChanged(_)
            | FrameBody::ConvergenceSignal(_)
            | FrameBody::Heartbeat(_)
            | FrameBody::Error(_)
            | FrameBody::End(_) => {
                self.append_event_head(out);
                out.extend_from_slice(self.published.line(ndjson::line));
            }
        }
        if self.format == StreamFormat::Sse {
            out.extend_from_slice(sse::EVENT_END);
        }
        true
    }

    fn append_event_head(&self, out: &mut Vec<u8>) {
        if self.format == StreamFormat::Sse {
            sse::write_event_head(out, &self.published.frame);
        }
    }
}

/// Appends entries of `x` from `from` on until `out` holds `bytes_max`, at least one; returns the
/// next to write.
fn append_entries(out: &mut Vec<u8>, solution: &Solution, from: usize, bytes_max: usize) -> usize {
    let mut next = from;
    for &value in &solution.x[from..] {
        if next > 0 {
            out.push(b',');
        }
        write_f64(out, value);
        next += 1;
        if out.len() >= bytes_max {
            break;
        }
    }
    next
}
