//! From a request's body to a session that only needs to be opened. Reading happens on the HTTP
//! threads; decoding, assembling and analysing on threads that serve nobody, few at a time and no more
//! than the memory set aside for that holds.

mod entries;

pub use entries::AskedEntries;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Payload};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::body::{self, BodyEncoding, BodyKind, BodyLimits, BodyMeter};
use crate::http::form::Form;
use crate::http::received::Received;
use crate::http::sessions::query_pairs;
use crate::protocol::options::RequestOptions;
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::solve::PreparedSession;

/// A body of at most this many bytes is decoded by the thread that read it: that takes less time than to
/// hand it over and back.
pub const DECODED_IN_PLACE_BYTES: usize = 64 << 10;

/// Takes requests in, some at a time.
#[derive(Debug, Clone)]
pub struct Intake {
    limits: BodyLimits,
    decoding: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    asking: Arc<Semaphore>,
    answering: Arc<Semaphore>,
    memory: DecodingMemory,
}

/// Memory for what bodies become, beside the bodies themselves. Those who need it wait for it with
/// nothing of it in hand, so that they cannot wait for each other.
#[derive(Debug, Clone)]
struct DecodingMemory {
    kibibytes: Arc<Semaphore>,
    kibibytes_max: u32,
}

impl DecodingMemory {
    fn new(bytes_max: usize) -> Self {
        let kibibytes_max = u32::try_from(bytes_max.div_ceil(1_024)).unwrap_or(u32::MAX);
        Self { kibibytes: Arc::new(Semaphore::new(kibibytes_max as usize)), kibibytes_max }
    }

    /// Waits until `bytes` are free; for all there is where that is less.
    async fn reserve(&self, bytes: u64) -> OwnedSemaphorePermit {
        let wanted = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX);
        let reserved =
            Arc::clone(&self.kibibytes).acquire_many_owned(wanted.min(self.kibibytes_max));
        reserved.await.expect("this semaphore is never closed")
    }
}

impl Intake {
    /// At most `decoding_max` bodies are decoded at once, into at most `decoding_bytes_max`, and
    /// `waiting_max` wait for that.
    pub fn new(
        limits: BodyLimits,
        decoding_max: usize,
        decoding_bytes_max: usize,
        waiting_max: usize,
    ) -> Self {
        Self {
            limits,
            memory: DecodingMemory::new(decoding_bytes_max),
            decoding: Arc::new(Semaphore::new(decoding_max)),
            waiting: Arc::new(Semaphore::new(decoding_max + waiting_max)),
            asking: Arc::new(Semaphore::new(entries::ASKING_MAX)),
            // One at least; the others of the threads stay for those who open sessions.
            answering: Arc::new(Semaphore::new(decoding_max.div_ceil(2))),
        }
    }

    /// Reads and prepares the session that a request asks for.
    ///
    /// # Errors
    /// The problem that answers the request.
    pub async fn receive(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<PreparedSession, Problem> {
        let (kind, encoding) = body::kind_of(request, &BodyKind::OF_SYSTEMS)?;
        let mut meter = BodyMeter::new(request, &self.limits)?;
        let bytes_max = self.limits.bytes_max;
        match kind {
            // Lines are no way to describe a system, so they were refused above.
            BodyKind::Json | BodyKind::Lines => {
                let whole = body::read_whole(request, payload, &mut meter).await?;
                self.decode(meter, move || Ok(Received::Json(plain(whole, encoding, bytes_max)?)))
                    .await
            }
            BodyKind::MatrixMarket => {
                let pairs = query_pairs(request);
                let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let options = RequestOptions::of_query(pairs)?;
                let whole = body::read_whole(request, payload, &mut meter).await?;
                self.decode(meter, move || {
                    let matrix = plain(whole, encoding, bytes_max)?;
                    Ok(Received::Files { matrix, vector: None, options })
                })
                .await
            }
            BodyKind::Form => {
                let form = Form::read(request, payload, &mut meter, &self.limits).await?;
                self.decode(meter, move || form.into_received(bytes_max)).await
            }
        }
    }

    /// Reads a whole JSON body and decodes it: a small one where it is, others in their turn on threads
    /// that serve nobody. An item of the body may take `bytes_of_item` while it is decoded.
    ///
    /// # Errors
    /// The problem that answers the request.
    pub async fn receive_json<T: Send + 'static>(
        &self,
        request: &HttpRequest,
        payload: Payload,
        encoding: BodyEncoding,
        bytes_of_item: u64,
        decode: impl FnOnce(&[u8]) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let mut meter = BodyMeter::new(request, &self.limits)?;
        let whole = body::read_whole(request, payload, &mut meter).await?;
        if encoding == BodyEncoding::Plain && whole.len() <= DECODED_IN_PLACE_BYTES {
            return decode(&whole);
        }
        let turn = self.turn().await?;
        let bytes_max = self.limits.bytes_max;
        let (whole, held) =
            on_a_thread(move || Ok((plain(whole, encoding, bytes_max)?, (turn, meter)))).await?;
        let items = 1 + memchr::memchr_iter(b',', &whole).count() as u64;
        let memory = self.memory.reserve(bytes_of_item * items).await;
        on_a_thread(move || {
            let _held = (held, memory);
            decode(&whole)
        })
        .await
    }

    /// Decodes a piece of a stream that is too large to be decoded where it is.
    ///
    /// # Errors
    /// 503 where too many wait for that.
    pub async fn decode_piece<T: Send + 'static>(
        &self,
        decode: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turn().await?;
        on_a_thread(move || {
            let _held = turn;
            Ok(decode())
        })
        .await
    }

    /// Room for `bytes` of a stream's piece that has not arrived in full.
    ///
    /// # Errors
    /// 503 where the bodies being read leave none.
    pub fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        body::hold(&self.limits, bytes)
    }

    /// Waits for a turn to decode.
    async fn turn(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Problem> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| {
            Problem::new(ProblemKind::Busy, "too many bodies wait to be decoded")
                .with_retry_after(Duration::from_secs(1))
        })?;
        let turn = Arc::clone(&self.decoding).acquire_owned().await;
        Ok((waiting, turn.expect("this semaphore is never closed")))
    }

    /// Runs `unpack` and what follows on threads of their own kind; holds the body's share of the
    /// memory until that is done.
    async fn decode(
        &self,
        meter: BodyMeter,
        unpack: impl FnOnce() -> Result<Received, Problem> + Send + 'static,
    ) -> Result<PreparedSession, Problem> {
        let prepare = |received: Received| received.into_request()?.prepare();
        Ok(self.decode_into(meter, unpack, Received::decoded_bytes, prepare).await?.0)
    }

    /// As [`decode`](Self::decode), for whatever a body is to become; with the share of the memory that
    /// it takes, for as long as it is kept.
    async fn decode_into<U: Send + 'static, T: Send + 'static>(
        &self,
        meter: BodyMeter,
        unpack: impl FnOnce() -> Result<U, Problem> + Send + 'static,
        bytes_of: impl FnOnce(&U) -> u64 + Send + 'static,
        prepare: impl FnOnce(U) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(T, HeldMemory), Problem> {
        let held = (self.turn().await?, meter);
        // A job holds what it uses itself: a client that leaves does not free the thread at work.
        let (received, bytes, held) = on_a_thread(move || {
            let received = unpack()?;
            let bytes = bytes_of(&received);
            Ok((received, bytes, held))
        })
        .await?;
        let memory = self.memory.reserve(bytes).await;
        on_a_thread(move || {
            let _held = held;
            Ok((prepare(received)?, HeldMemory::of(bytes, memory)))
        })
        .await
    }
}

/// A share of the memory for what bodies become.
#[derive(Debug)]
struct HeldMemory {
    bytes: u64,
    _permit: OwnedSemaphorePermit,
}

impl HeldMemory {
    /// Of `bytes` that were wanted; there may have been fewer.
    fn of(bytes: u64, permit: OwnedSemaphorePermit) -> Self {
        Self { bytes: bytes.min(1_024 * permit.num_permits() as u64), _permit: permit }
    }
}

async fn on_a_thread<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    web::block(job)
        .await
        .map_err(|_| Problem::new(ProblemKind::Internal, "decoding the body failed unexpectedly"))?
}

fn plain(body: Vec<u8>, encoding: BodyEncoding, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    match encoding {
        BodyEncoding::Plain => Ok(body),
        BodyEncoding::Gzip => body::inflate(&body, bytes_max),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn large_bodies_are_decoded_one_after_the_other_and_small_ones_beside_them() {
        let memory = DecodingMemory::new(1 << 20);
        let large = memory.reserve(900 << 10).now_or_never().expect("there is room");
        let small = memory.reserve(100 << 10).now_or_never().expect("there is room for it, too");
        assert!(memory.reserve(900 << 10).now_or_never().is_none());
        drop((large, small));
        let too_large = memory.reserve(u64::MAX).now_or_never().expect("it gets all there is");
        assert!(memory.reserve(1).now_or_never().is_none());
        drop(too_large);
        assert!(memory.reserve(1).now_or_never().is_some());
    }
}
