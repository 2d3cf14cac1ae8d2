//! The intake of requests for entries: those about a system of their own are answered where they are
//! decoded, few at a time.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Payload;

use tokio::sync::OwnedSemaphorePermit;

use super::{DECODED_IN_PLACE_BYTES, HeldMemory, Intake, on_a_thread, plain};
use crate::http::body::{self, BodyEncoding, BodyKind, BodyMeter};
use crate::http::form::{Form, FormTexts};
use crate::http::received::{bytes_of_files, bytes_of_json};
use crate::protocol::entries::{
    EntriesOfSession, EntriesOfSystem, EntriesRequest, PreparedEntries,
};
use crate::protocol::problem::{Problem, ProblemKind};

/// Requests for entries under way, most of them waiting: their systems are held meanwhile.
pub(super) const ASKING_MAX: usize = 16;

/// What entries are asked of.
pub enum AskedEntries {
    /// Answered by the session, at once.
    OfSession(EntriesOfSession),
    OfSystem(AskedOfSystem),
}

/// A system of its own, with its share of the memory and its place among those who ask.
pub struct AskedOfSystem {
    prepared: PreparedEntries,
    held: HeldMemory,
    asking: OwnedSemaphorePermit,
}

impl Intake {
    /// Reads a request for entries, as JSON or as a form.
    ///
    /// # Errors
    /// The problem that answers the request.
    pub async fn receive_entries(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<AskedEntries, Problem> {
        let (kind, encoding) = body::kind_of(request, &[BodyKind::Json, BodyKind::Form])?;
        let asking = Arc::clone(&self.asking).try_acquire_owned().map_err(|_| {
            Problem::new(ProblemKind::Busy, "too many requests for entries are under way")
                .with_retry_after(Duration::from_secs(1))
        })?;
        let mut meter = BodyMeter::new(request, &self.limits)?;
        let bytes_max = self.limits.bytes_max;
        let (prepared, held) = match kind {
            // The others were refused above.
            BodyKind::Json | BodyKind::Lines | BodyKind::MatrixMarket => {
                let whole = body::read_whole(request, payload, &mut meter).await?;
                if encoding == BodyEncoding::Plain && whole.len() <= DECODED_IN_PLACE_BYTES {
                    return self.receive_in_place(&whole, asking).await;
                }
                let unpack = move || plain(whole, encoding, bytes_max);
                let bytes_of = |text: &Vec<u8>| bytes_of_entries(bytes_of_json(text));
                let prepare = |text: Vec<u8>| prepared_of(EntriesRequest::from_json(&text)?);
                match self.decode_into(meter, unpack, bytes_of, prepare).await? {
                    (Prepared::System(prepared), held) => (*prepared, held),
                    (Prepared::Session(question), _) => {
                        return Ok(AskedEntries::OfSession(question));
                    }
                }
            }
            BodyKind::Form => {
                let form = Form::read(request, payload, &mut meter, &self.limits).await?;
                let bytes_of = |texts: &FormTexts| {
                    bytes_of_entries(bytes_of_files(&texts.matrix, texts.vector.as_deref()))
                };
                let prepare = |FormTexts { matrix, vector, options }: FormTexts| {
                    EntriesOfSystem::from_files(&matrix, vector.as_deref(), options.as_deref())?
                        .prepare()
                };
                let unpack = move || form.into_texts(bytes_max);
                self.decode_into(meter, unpack, bytes_of, prepare).await?
            }
        };
        Ok(AskedEntries::OfSystem(AskedOfSystem { prepared, held, asking }))
    }

    /// A small body takes less time to decode than to hand over.
    async fn receive_in_place(
        &self,
        text: &[u8],
        asking: OwnedSemaphorePermit,
    ) -> Result<AskedEntries, Problem> {
        let request = match EntriesRequest::from_json(text)? {
            EntriesRequest::OfSession(question) => return Ok(AskedEntries::OfSession(question)),
            EntriesRequest::OfSystem(request) => request,
        };
        let bytes = bytes_of_entries(bytes_of_json(text));
        let held = HeldMemory::of(bytes, self.memory.reserve(bytes).await);
        let prepared = request.prepare()?;
        Ok(AskedEntries::OfSystem(AskedOfSystem { prepared, held, asking }))
    }

    /// Answers on a thread that serves nobody, few at a time. `answer` is given what its methods may hold
    /// beside copies of the system, in bytes.
    ///
    /// # Errors
    /// The problem that answers the request.
    pub async fn answer_entries(
        &self,
        asked: AskedOfSystem,
        answer: impl FnOnce(PreparedEntries, u64) -> Result<Vec<u8>, Problem> + Send + 'static,
    ) -> Result<Vec<u8>, Problem> {
        let AskedOfSystem { prepared, held, asking } = asked;
        let turn = Arc::clone(&self.answering).acquire_owned().await;
        let turn = turn.expect("this semaphore is never closed");
        on_a_thread(move || {
            let _turn = (turn, asking);
            let methods_bytes = methods_bytes(held.bytes);
            let answered = answer(prepared, methods_bytes);
            drop(held);
            answered
        })
        .await
    }
}

enum Prepared {
    System(Box<PreparedEntries>),
    Session(EntriesOfSession),
}

fn prepared_of(request: EntriesRequest) -> Result<Prepared, Problem> {
    Ok(match request {
        EntriesRequest::OfSession(question) => Prepared::Session(question),
        EntriesRequest::OfSystem(request) => Prepared::System(Box::new(request.prepare()?)),
    })
}

/// A system of this size, the copies of it that are made to answer for its entries, and its methods.
fn bytes_of_entries(decoded_bytes: u64) -> u64 {
    12 * decoded_bytes + METHODS_BYTES_MIN
}

/// What of that is for methods.
fn methods_bytes(held_bytes: u64) -> u64 {
    METHODS_BYTES_MIN + held_bytes.saturating_sub(METHODS_BYTES_MIN) / 12 * 8
}

/// Factors of small systems are larger than these are.
const METHODS_BYTES_MIN: u64 = 4 << 20;
