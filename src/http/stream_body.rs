//! A session's frames as a response body: gathers what is there into chunks, renders long frames piece
//! by piece, and writes each frame as soon as it is there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::Stream;
use tokio::time::Sleep;

use crate::actors::frame_channel::FrameReceiver;
use crate::http::connection::Connection;
use crate::ids::{FrameSequence, SessionId};
use crate::protocol::frame_text::{FrameText, StreamFormat};
use crate::protocol::published::PublishedFrame;
use crate::protocol::sse;
use crate::runtime::clock::Clock;

/// Frames are gathered into chunks of about this size where they come faster than they are written.
const CHUNK_BYTES: usize = 16 << 10;
/// After this many full chunks in a row the other connections of the thread get their turn.
const FULL_CHUNKS_IN_A_ROW: u32 = 4;

/// The body of a stream.
pub struct StreamBody {
    frames: FrameReceiver,
    format: StreamFormat,
    waiting: VecDeque<Arc<PublishedFrame>>,
    rendering: Option<FrameText>,
    gathered: Vec<u8>,
    /// The number of the last frame that the client has had already.
    seen: Option<FrameSequence>,
    full_chunks: u32,
    ended: bool,
    flush: Option<FlushTimer>,
    cut_watch: Option<JoinHandle<()>>,
}

/// Holds gathered frames back until an interval has passed since the last chunk.
struct FlushTimer {
    clock: Clock,
    interval: Duration,
    /// `None` before the first chunk, which is never held back.
    running: Option<Pin<Box<Sleep>>>,
}

/// What is to be streamed, and how.
#[derive(Debug)]
pub struct Listening {
    pub session: SessionId,
    pub frames: FrameReceiver,
    pub format: StreamFormat,
    pub flush_interval: Option<Duration>,
    /// Frames up to this one are left out.
    pub seen: Option<FrameSequence>,
}

/// The response that streams a session to the client of `request`.
pub fn stream_response(request: &HttpRequest, listening: Listening, clock: &Clock) -> HttpResponse {
    let Listening { session, frames, format, flush_interval, seen } = listening;
    let content_type = match format {
        StreamFormat::Ndjson => "application/x-ndjson",
        StreamFormat::Sse => "text/event-stream",
    };
    let body = StreamBody {
        cut_watch: watch_for_cut(request, &frames),
        frames,
        format,
        waiting: VecDeque::new(),
        rendering: None,
        gathered: match format {
            StreamFormat::Ndjson => Vec::new(),
            StreamFormat::Sse => sse::STREAM_START.to_vec(),
        },
        seen,
        full_chunks: 0,
        ended: false,
        flush: flush_interval.map(|interval| FlushTimer {
            clock: clock.clone(),
            interval,
            running: None,
        }),
    };
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(("cache-control", "no-store, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        .insert_header(("vary", "Accept"))
        .insert_header(("weir-session-id", session.to_string()))
        .streaming(body)
}

/// Shuts the connection down when the session gives this listener up.
fn watch_for_cut(request: &HttpRequest, frames: &FrameReceiver) -> Option<JoinHandle<()>> {
    let connection = request.conn_data::<Connection>()?.clone();
    let signal = frames.cut_signal();
    Some(actix_web::rt::spawn(async move {
        signal.fired().await;
        connection.shut_down();
    }))
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(watch) = self.cut_watch.take() {
            watch.abort();
        }
    }
}

impl Stream for StreamBody {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = self.get_mut();
        if body.full_chunks >= FULL_CHUNKS_IN_A_ROW {
            body.full_chunks = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if body.gathered.len() >= CHUNK_BYTES {
                body.full_chunks += 1;
                return body.chunk();
            }
            if body.render() {
                continue;
            }
            if body.ended {
                return if body.gathered.is_empty() { Poll::Ready(None) } else { body.chunk() };
            }
            match body.frames.poll_next(context) {
                Poll::Ready(Some(batch)) => {
                    let seen = body.seen;
                    let unseen = |published: &Arc<PublishedFrame>| {
                        seen.is_none_or(|seen| published.frame.sequence > seen)
                    };
                    body.waiting.extend(batch.into_iter().filter(unseen));
                }
                Poll::Ready(None) => body.ended = true,
                Poll::Pending => {
                    body.full_chunks = 0;
                    if body.gathered.is_empty() || body.holds_back(context) {
                        return Poll::Pending;
                    }
                    return body.chunk();
                }
            }
        }
    }
}

impl StreamBody {
    /// Renders the next piece, if there is a frame to render.
    fn render(&mut self) -> bool {
        let text = match (&mut self.rendering, self.waiting.pop_front()) {
            (Some(text), None) => text,
            (rendering @ None, Some(next)) => rendering.insert(FrameText::new(next, self.format)),
            (Some(text), Some(next)) => {
                self.waiting.push_front(next);
                text
            }
            (None, None) => return false,
        };
        if text.append(&mut self.gathered, CHUNK_BYTES) {
            self.rendering = None;
        } else {
            self.frames.note_taken();
        }
        true
    }

    fn chunk(&mut self) -> Poll<Option<Result<Bytes, Infallible>>> {
        let capacity = self.gathered.len().min(CHUNK_BYTES) + CHUNK_BYTES / 16;
        let chunk = std::mem::replace(&mut self.gathered, Vec::with_capacity(capacity));
        if let Some(FlushTimer { clock, interval, running }) = &mut self.flush {
            *running = Some(Box::pin(clock.sleep(*interval)));
        }
        Poll::Ready(Some(Ok(Bytes::from(chunk))))
    }

    /// Whether what is gathered must wait for the flush interval to pass.
    fn holds_back(&mut self, context: &mut Context<'_>) -> bool {
        let Some(timer) = self.flush.as_mut().and_then(|flush| flush.running.as_mut()) else {
            return false;
        };
        timer.as_mut().poll(context).is_pending()
    }
}
