//! The intake of requests for entries: they are answered where they are decoded, few at a time.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Payload;

use super::{Intake, on_a_thread, plain};
use crate::http::body::{self, BodyKind, BodyMeter};
use crate::http::form::{Form, FormTexts};
use crate::http::received::{bytes_of_files, bytes_of_json};
use crate::protocol::entries::{EntriesRequest, PreparedEntries};
use crate::protocol::problem::{Problem, ProblemKind};

/// Requests for entries under way, most of them waiting: their systems are held meanwhile.
pub(super) const ASKING_MAX: usize = 16;

impl Intake {
    /// Reads a request for entries, as JSON or as a form, and answers it on a thread of the same kind,
    /// few at a time. `answer` is given what its methods may hold beside copies of the system, in bytes.
    ///
    /// # Errors
    /// The problem that answers the request.
    pub async fn answer_entries(
        &self,
        request: &HttpRequest,
        payload: Payload,
        answer: impl FnOnce(PreparedEntries, u64) -> Result<Vec<u8>, Problem> + Send + 'static,
    ) -> Result<Vec<u8>, Problem> {
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
                let unpack = move || plain(whole, encoding, bytes_max);
                let bytes_of = |text: &Vec<u8>| bytes_of_entries(bytes_of_json(text));
                let prepare = |text: Vec<u8>| EntriesRequest::from_json(&text)?.prepare();
                self.decode_into(meter, unpack, bytes_of, prepare).await?
            }
            BodyKind::Form => {
                let form = Form::read(request, payload, &mut meter, &self.limits).await?;
                let bytes_of = |texts: &FormTexts| {
                    bytes_of_entries(bytes_of_files(&texts.matrix, texts.vector.as_deref()))
                };
                let prepare = |FormTexts { matrix, vector, options }: FormTexts| {
                    EntriesRequest::from_files(&matrix, vector.as_deref(), options.as_deref())?
                        .prepare()
                };
                self.decode_into(meter, move || form.into_texts(bytes_max), bytes_of, prepare)
                    .await?
            }
        };
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
