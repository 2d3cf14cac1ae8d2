//! A request that stays open: its lines are worked in as they arrive and acknowledged in their order.
//! While one batch is out the next is gathered, so batches grow with the time that they take; when both
//! are full nothing more is read, which the sender feels.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::rt::task::JoinHandle;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::http::connection::{Connection, ConnectionShare};
use crate::http::costs::batch::{Applied, Batch};
use crate::http::costs::{Acknowledge, Addressed};
use crate::http::intake::DECODED_IN_PLACE_BYTES;
use crate::http::server::Shared;
use crate::protocol::costs::{
    CostAnswer, LINE_BYTES_MAX, Line, LineBuffer, ReadUpdate, Receipt, Tally, Unreadable,
    read_line, write_answer, write_end,
};
use crate::protocol::problem::{Problem, ProblemKind};

/// What has arrived is read up to about this much before others get their turn.
const READ_AT_ONCE_BYTES: usize = 32 << 10;
/// A stream on which nothing arrives for this long is ended.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// A client that takes no acknowledgement for this long is cut off.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// How long after our end of a stream its sender may go on.
const LINGER: Duration = Duration::from_secs(1);
/// How long a batch waits for room in its session.
const PATIENCE: Duration = Duration::from_secs(30);
/// Things of which a stream is warned once each; of more it is not warned.
const WARNINGS_MAX: usize = 64;

/// The response that works the lines of a request in and acknowledges them.
pub fn answer_lines(
    request: &HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
    addressed: Addressed,
) -> HttpResponse {
    let connection = request.conn_data::<Connection>().cloned();
    let (acknowledgements, taken) = mpsc::channel(1);
    let lines = CostLines {
        shared,
        addressed,
        payload,
        has_ended: false,
        buffer: LineBuffer::new(LINE_BYTES_MAX),
        room: None,
        gathered: Batch::default(),
        warned: BTreeSet::new(),
        tally: Tally::default(),
        acknowledgements,
        share: connection.as_ref().map(Connection::share),
        connection,
    };
    let serving = Serving(actix_web::rt::spawn(lines.serve()));
    let body = stream::unfold((taken, serving), |(mut taken, serving)| async move {
        taken.recv().await.map(|chunk| (Ok::<Bytes, Infallible>(chunk), (taken, serving)))
    });
    HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header(("cache-control", "no-store, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        // Nothing follows a stream, whoever ends it.
        .force_close()
        .streaming(body)
}

/// The task behind a body; it ends with it.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The lines of one request on their way in, and their acknowledgements on their way out.
struct CostLines {
    shared: Data<Shared>,
    addressed: Addressed,
    payload: Payload,
    has_ended: bool,
    buffer: LineBuffer,
    /// For a line that is longer than what is read at once.
    room: Option<OwnedSemaphorePermit>,
    gathered: Batch,
    /// Pointers of the warnings that were given.
    warned: BTreeSet<String>,
    tally: Tally,
    acknowledgements: mpsc::Sender<Bytes>,
    share: Option<ConnectionShare>,
    connection: Option<Connection>,
}

/// The client is gone, or takes nothing.
struct Gone;

/// What a stream waits for.
enum Event {
    /// The batch that was out has been worked in.
    Applied(Applied),
    /// A piece of the body, or its end.
    Arrived(Option<Result<Bytes, PayloadError>>),
    /// Nothing for a long time.
    Idle,
}

/// A line that was cut from the stream.
enum Cut {
    Read(ReadUpdate),
    /// Too large to be read where it arrived.
    Large(Vec<u8>),
}

impl CostLines {
    async fn serve(mut self) {
        if let Ok(problem) = self.work().await {
            let mut end = vec![];
            write_end(&mut end, self.tally, problem.as_ref());
            // A client that left before the end needs none.
            if self.send(end).await.is_ok() && !self.has_ended {
                self.stop_sender();
            }
        }
    }

    /// Shuts the connection of a sender that goes on after the end, when it has had time to read why.
    fn stop_sender(&mut self) {
        drop(self.share.take());
        if let Some(connection) = self.connection.take() {
            let linger = self.shared.clock.sleep(LINGER);
            actix_web::rt::spawn(async move {
                linger.await;
                connection.shut_down_if_unused();
            });
        }
    }

    /// Works until the stream ends; the answer is why, if not because the sender ended it.
    async fn work(&mut self) -> Result<Option<Problem>, Gone> {
        let mut out: Option<LocalBoxFuture<'static, Applied>> = None;
        loop {
            if out.is_none() && !self.gathered.is_empty() {
                out = Some(self.begin_batch());
            }
            if out.is_none() && self.has_ended {
                return Ok(None);
            }
            match self.next_event(&mut out).await {
                Event::Applied(applied) => {
                    out = None;
                    let closed = self.acknowledge(applied).await?;
                    if closed.is_some() && self.addressed.session.is_some() {
                        return Ok(closed);
                    }
                }
                Event::Arrived(piece) => {
                    if let Err(problem) = self.take(piece).await {
                        // What was gathered before it counts; what is out is answered.
                        return self.finish(out, problem).await;
                    }
                }
                Event::Idle => {
                    let detail = format!("nothing arrived for {} s", IDLE_LIMIT.as_secs());
                    return Ok(Some(Problem::new(ProblemKind::BodyTimeout, detail)));
                }
            }
        }
    }

    /// Waits for the batch that is out, and for the next piece where there is room for it.
    async fn next_event(&mut self, out: &mut Option<LocalBoxFuture<'static, Applied>>) -> Event {
        let may_read = !self.has_ended && self.gathered.has_room();
        let mut idle = pin!(self.shared.clock.sleep(IDLE_LIMIT));
        let payload = &mut self.payload;
        poll_fn(|context| {
            if let Some(Poll::Ready(applied)) = out.as_mut().map(|out| out.poll_unpin(context)) {
                return Poll::Ready(Event::Applied(applied));
            }
            if may_read && let Poll::Ready(piece) = payload.poll_next_unpin(context) {
                return Poll::Ready(Event::Arrived(piece));
            }
            if out.is_none() && idle.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Idle);
            }
            Poll::Pending
        })
        .await
    }

    fn begin_batch(&mut self) -> LocalBoxFuture<'static, Applied> {
        let batch = std::mem::take(&mut self.gathered);
        let shared = self.shared.clone();
        async move { batch.apply(&shared.node, &shared.clock, PATIENCE).await }.boxed_local()
    }

    /// Answers what has been taken before the stream had to end.
    async fn finish(
        &mut self,
        out: Option<LocalBoxFuture<'static, Applied>>,
        problem: Problem,
    ) -> Result<Option<Problem>, Gone> {
        if let Some(out) = out {
            let applied = out.await;
            self.acknowledge(applied).await?;
        }
        if !self.gathered.is_empty() {
            let applied = self.begin_batch().await;
            self.acknowledge(applied).await?;
        }
        Ok(Some(problem))
    }

    /// Takes a piece of the body, and what has arrived behind it.
    async fn take(&mut self, piece: Option<Result<Bytes, PayloadError>>) -> Result<(), Problem> {
        let (mut next, mut taken) = (Some(piece), 0);
        while let Some(piece) = next {
            let Some(piece) = piece else {
                self.has_ended = true;
                return self.cut(None).await;
            };
            let piece = piece.map_err(|error| {
                Problem::new(ProblemKind::MalformedBody, format!("the body broke off: {error}"))
            })?;
            taken += piece.len();
            self.cut(Some(&piece)).await?;
            if taken >= READ_AT_ONCE_BYTES || !self.gathered.has_room() {
                tokio::task::yield_now().await;
                break;
            }
            next = self.payload.next().now_or_never();
        }
        Ok(())
    }

    /// Cuts a piece into lines, or the last line from what is left, and gathers them.
    async fn cut(&mut self, piece: Option<&[u8]>) -> Result<(), Problem> {
        let session = self.addressed.session;
        let mut cut = vec![];
        let keep = |line: Line<'_>| {
            let read = match line.text {
                Some(text) if text.len() > DECODED_IN_PLACE_BYTES => Cut::Large(text.to_vec()),
                Some(text) => Cut::Read(read_line(text, session)),
                None => Cut::Read(Err(Unreadable::boxed(Receipt::default(), too_long()))),
            };
            cut.push((line.number, read));
        };
        match piece {
            Some(piece) => self.buffer.feed(piece, keep),
            None => self.buffer.finish(keep),
        }
        for (number, read) in cut {
            let read = match read {
                Cut::Read(read) => read,
                Cut::Large(text) => {
                    self.shared.intake.decode_piece(move || read_line(&text, session)).await?
                }
            };
            self.gathered.push(Some(number), read);
        }
        if self.buffer.bytes_held() <= READ_AT_ONCE_BYTES {
            self.room = None;
        } else if self.room.is_none() {
            self.room = Some(self.shared.intake.hold(LINE_BYTES_MAX)?);
        }
        Ok(())
    }

    /// Sends the answers of a batch; tells why its session takes no more, if it does not.
    async fn acknowledge(&mut self, applied: Applied) -> Result<Option<Problem>, Gone> {
        let Applied { answers, closed } = applied;
        let mut text = Vec::with_capacity(96 * answers.len());
        for (line, mut receipt, answer) in answers {
            self.tally.count(&answer);
            let is_refused = matches!(answer, CostAnswer::Refused(_));
            if self.addressed.acknowledge == Acknowledge::Refused && !is_refused {
                continue;
            }
            if !receipt.warnings.is_empty() {
                receipt.warnings.retain(|warning| {
                    self.warned.len() < WARNINGS_MAX && self.warned.insert(warning.pointer.clone())
                });
            }
            write_answer(&mut text, line, &receipt, &answer);
            text.push(b'\n');
        }
        self.send(text).await?;
        Ok(closed)
    }

    /// Waits until the client takes `text`, but not for longer than it may stall.
    async fn send(&mut self, text: Vec<u8>) -> Result<(), Gone> {
        if text.is_empty() {
            return Ok(());
        }
        let stalled = pin!(self.shared.clock.sleep(STALL_LIMIT));
        let sending = pin!(self.acknowledgements.send(Bytes::from(text)));
        match select(sending, stalled).await {
            Either::Left((sent, _)) => sent.map_err(|_| Gone),
            Either::Right(_) => {
                drop(self.share.take());
                if let Some(connection) = &self.connection {
                    connection.shut_down_if_unused();
                }
                Err(Gone)
            }
        }
    }
}

fn too_long() -> Problem {
    let detail = format!("a line may have {LINE_BYTES_MAX} bytes, this one has more");
    Problem::new(ProblemKind::BodyTooLarge, detail)
        .with_way_out("send the update as the body of a request of its own (application/json)")
}
