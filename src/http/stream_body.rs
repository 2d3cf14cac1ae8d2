//! A session's frames as a response body: gathers what is there into chunks, renders long frames piece
//! by piece, and writes each frame as soon as it is there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::Stream;
use tokio::time::Sleep;

use crate::actors::frame_channel::{CutSignal, FrameReceiver};
use crate::http::connection::{Connection, ConnectionShare};
use crate::ids::{FrameSequence, SessionId};
use crate::protocol::frame_text::{FrameText, StreamFormat};
use crate::protocol::published::PublishedFrame;
use crate::protocol::sse;
use crate::runtime::clock::Clock;

/// Frames are gathered into chunks of about this size where they come faster than they are written.
const CHUNK_BYTES: usize = 16 << 10;
/// After this many full chunks in a row the other connections of the thread get their turn.
const FULL_CHUNKS_IN_A_ROW: u32 = 4;

/// The body of a stream. It is polled only while its client takes data, so what it holds is shared with
/// the task that gives a stalled client up.
pub struct StreamBody {
    /// `None` when this listener was given up.
    pump: Rc<RefCell<Option<Pump>>>,
    cut_watch: Option<JoinHandle<()>>,
}

/// The session gave this listener up because it took nothing for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client took nothing for too long")]
pub struct GivenUp;

/// Frames on their way into a body.
struct Pump {
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
    _share: Option<ConnectionShare>,
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
    let connection = request.conn_data::<Connection>();
    let signal = frames.cut_signal();
    let pump = Rc::new(RefCell::new(Some(Pump {
        _share: connection.map(Connection::share),
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
    })));
    let cut_watch = connection.map(|connection| give_up_on(signal, connection, &pump));
    let body = StreamBody { pump, cut_watch };
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(("cache-control", "no-store, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        .insert_header(("vary", "Accept"))
        .insert_header(("weir-session-id", session.to_string()))
        .streaming(body)
}

/// When the session gives this listener up, lets go of what its body holds and shuts the connection
/// down. HTTP/2 carries several streams: there the others go on, and this one is reset as soon as its
/// client takes data again.
fn give_up_on(
    signal: CutSignal,
    connection: &Connection,
    pump: &Rc<RefCell<Option<Pump>>>,
) -> JoinHandle<()> {
    let (connection, pump) = (connection.clone(), Rc::clone(pump));
    actix_web::rt::spawn(async move {
        signal.fired().await;
        drop(pump.take());
        connection.shut_down_if_unused();
    })
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(watch) = self.cut_watch.take() {
            watch.abort();
        }
    }
}

impl Stream for StreamBody {
    type Item = Result<Bytes, GivenUp>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self.pump.borrow_mut() {
            Some(pump) => pump.poll_next(context).map(|chunk| chunk.map(Ok)),
            None => Poll::Ready(Some(Err(GivenUp))),
        }
    }
}

impl Pump {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.full_chunks >= FULL_CHUNKS_IN_A_ROW {
            self.full_chunks = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if self.gathered.len() >= CHUNK_BYTES {
                self.full_chunks += 1;
                return self.chunk();
            }
            if self.render() {
                continue;
            }
            if self.ended {
                return if self.gathered.is_empty() { Poll::Ready(None) } else { self.chunk() };
            }
            match self.frames.poll_next(context) {
                Poll::Ready(Some(batch)) => {
                    let seen = self.seen;
                    let unseen = |published: &Arc<PublishedFrame>| {
                        seen.is_none_or(|seen| published.frame.sequence > seen)
                    };
                    self.waiting.extend(batch.into_iter().filter(unseen));
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => {
                    self.full_chunks = 0;
                    if self.gathered.is_empty() || self.holds_back(context) {
                        return Poll::Pending;
                    }
                    return self.chunk();
                }
            }
        }
    }

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

    fn chunk(&mut self) -> Poll<Option<Bytes>> {
        let capacity = self.gathered.len().min(CHUNK_BYTES) + CHUNK_BYTES / 16;
        let chunk = std::mem::replace(&mut self.gathered, Vec::with_capacity(capacity));
        if let Some(FlushTimer { clock, interval, running }) = &mut self.flush {
            *running = Some(Box::pin(clock.sleep(*interval)));
        }
        Poll::Ready(Some(Bytes::from(chunk)))
    }

    /// Whether what is gathered must wait for the flush interval to pass.
    fn holds_back(&mut self, context: &mut Context<'_>) -> bool {
        let Some(timer) = self.flush.as_mut().and_then(|flush| flush.running.as_mut()) else {
            return false;
        };
        timer.as_mut().poll(context).is_pending()
    }
}
