//! From a request's body to a session that only needs to be opened. Reading happens on the HTTP
//! threads; decoding, assembling and analysing on threads that serve nobody, few at a time.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Payload};
use tokio::sync::Semaphore;

use crate::http::body::{self, BodyEncoding, BodyKind, BodyLimits, BodyMeter};
use crate::http::form::Form;
use crate::http::sessions::query_pairs;
use crate::protocol::options::RequestOptions;
use crate::protocol::problem::{Problem, ProblemKind};
use crate::protocol::solve::{PreparedSession, SolveRequest};

/// Takes requests in, some at a time.
#[derive(Debug, Clone)]
pub struct Intake {
    limits: BodyLimits,
    decoding: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Intake {
    /// At most `decoding_max` bodies are decoded at once, and `waiting_max` wait for that.
    pub fn new(limits: BodyLimits, decoding_max: usize, waiting_max: usize) -> Self {
        Self {
            limits,
            decoding: Arc::new(Semaphore::new(decoding_max)),
            waiting: Arc::new(Semaphore::new(decoding_max + waiting_max)),
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
        let (kind, encoding) = body::kind_of(request)?;
        let mut meter = BodyMeter::new(request, &self.limits)?;
        let bytes_max = self.limits.bytes_max;
        match kind {
            BodyKind::Json => {
                let whole = body::read_whole(request, payload, &mut meter).await?;
                self.decode(meter, move || {
                    SolveRequest::from_json(&plain(whole, encoding, bytes_max)?)
                })
                .await
            }
            BodyKind::MatrixMarket => {
                let pairs = query_pairs(request);
                let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let options = RequestOptions::of_query(pairs)?;
                let whole = body::read_whole(request, payload, &mut meter).await?;
                self.decode(meter, move || {
                    let matrix = plain(whole, encoding, bytes_max)?;
                    SolveRequest::from_files(&matrix, None, options)
                })
                .await
            }
            BodyKind::Form => {
                let form = Form::read(request, payload, &mut meter, &self.limits).await?;
                self.decode(meter, move || form.into_request(bytes_max)).await
            }
        }
    }

    /// Runs `read` and what follows on a thread of its own kind; holds the body's share of the memory
    /// until that is done.
    async fn decode(
        &self,
        meter: BodyMeter,
        read: impl FnOnce() -> Result<SolveRequest, Problem> + Send + 'static,
    ) -> Result<PreparedSession, Problem> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| {
            Problem::new(ProblemKind::Busy, "too many bodies wait to be decoded")
                .with_retry_after(Duration::from_secs(1))
        })?;
        let turn = Arc::clone(&self.decoding).acquire_owned().await;
        let turn = turn.expect("this semaphore is never closed");
        // The job holds its turn itself: a client that leaves does not free the thread at work.
        let job = web::block(move || {
            let _held = (waiting, turn, meter);
            read()?.prepare()
        });
        job.await.map_err(|_| {
            Problem::new(ProblemKind::Internal, "decoding the body failed unexpectedly")
        })?
    }
}

fn plain(body: Vec<u8>, encoding: BodyEncoding, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    match encoding {
        BodyEncoding::Plain => Ok(body),
        BodyEncoding::Gzip => body::inflate(&body, bytes_max),
    }
}
