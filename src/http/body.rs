//! Request bodies: how much of one is taken, for how long it may keep us waiting, and what it claims
//! to be. All bodies together stay within one budget of memory.

use std::io::Read;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::{Bytes, Payload};
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::protocol::problem::{Problem, ProblemKind};
use crate::runtime::clock::Clock;

/// A body of unknown length that comes to this much gets room for the largest at once.
const LARGE_BODY_BYTES: usize = 1 << 20;

/// What bodies may cost.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Of one body, as it arrives and as it inflates.
    pub bytes_max: usize,
    /// A body from which nothing arrives for this long is given up.
    pub idle_limit: Duration,
    /// KiB that all bodies together may hold.
    pub budget: Arc<Semaphore>,
    pub clock: Clock,
}

/// Counts what one body takes, and holds its share of the budget.
#[derive(Debug)]
pub struct BodyMeter {
    limits: BodyLimits,
    taken: usize,
    share: Option<OwnedSemaphorePermit>,
}

/// What a body claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    Json,
    /// JSON, one text a line.
    Lines,
    MatrixMarket,
    Form,
}

impl BodyKind {
    /// What may describe a system.
    pub const OF_SYSTEMS: [Self; 3] = [Self::Json, Self::MatrixMarket, Self::Form];
    /// What may hold updates of costs.
    pub const OF_UPDATES: [Self; 2] = [Self::Json, Self::Lines];

    fn named(content_type: &str) -> Option<Self> {
        match content_type {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" => Some(Self::Lines),
            "text/x-matrix-market" | "application/x-matrix-market" => Some(Self::MatrixMarket),
            "multipart/form-data" => Some(Self::Form),
            _ => None,
        }
    }

    fn way_out(self) -> &'static str {
        match self {
            Self::Json => "application/json (may be gzip)",
            Self::Lines => "application/x-ndjson (one JSON text a line)",
            Self::MatrixMarket => "text/x-matrix-market (may be gzip)",
            Self::Form => "multipart/form-data with the parts `matrix`, `vector` and `options`",
        }
    }
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoding {
    Plain,
    Gzip,
}

impl BodyMeter {
    /// Meters a body that announces its length, if it does.
    ///
    /// # Errors
    /// 413 when it announces more than the limit.
    pub fn new(request: &HttpRequest, limits: &BodyLimits) -> Result<Self, Problem> {
        let announced = header(request, &CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        if announced.is_some_and(|announced| announced > limits.bytes_max as u64) {
            return Err(too_large(limits.bytes_max));
        }
        Ok(Self { limits: limits.clone(), taken: 0, share: None })
    }

    /// The next piece of a body; `None` at its end.
    ///
    /// # Errors
    /// 408 when nothing arrives, 413 beyond the limit, 503 beyond the budget, 400 when it breaks off.
    pub async fn next<E: std::fmt::Display>(
        &mut self,
        body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> Result<Option<Bytes>, Problem> {
        let piece = within(&self.limits, body.next()).await?;
        let Some(piece) = piece else { return Ok(None) };
        let piece = piece.map_err(|error| {
            Problem::new(ProblemKind::MalformedBody, format!("the body broke off: {error}"))
        })?;
        self.take(piece.len())?;
        Ok(Some(piece))
    }

    fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        let held = self.taken.div_ceil(1024);
        self.taken += bytes;
        if self.taken > self.limits.bytes_max {
            return Err(too_large(self.limits.bytes_max));
        }
        let wanted = u32::try_from(self.taken.div_ceil(1024) - held).unwrap_or(u32::MAX);
        let more = hold_kibibytes(&self.limits, wanted)?;
        match &mut self.share {
            Some(share) => share.merge(more),
            None => self.share = Some(more),
        }
        Ok(())
    }
}

/// A share of the budget for `bytes`.
///
/// # Errors
/// 503 beyond the budget.
pub fn hold(limits: &BodyLimits, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
    hold_kibibytes(limits, u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX))
}

fn hold_kibibytes(limits: &BodyLimits, kibibytes: u32) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&limits.budget).try_acquire_many_owned(kibibytes).map_err(|_| {
        let detail = "the bodies being read fill the memory set aside for them";
        Problem::new(ProblemKind::Busy, detail).with_retry_after(Duration::from_secs(2))
    })
}

/// Waits for a part of a body, but not for longer than the idle limit.
pub async fn within<T>(limits: &BodyLimits, part: impl Future<Output = T>) -> Result<T, Problem> {
    let (part, limit) = (pin!(part), pin!(limits.clock.sleep(limits.idle_limit)));
    match select(part, limit).await {
        Either::Left((arrived, _)) => Ok(arrived),
        Either::Right(_) => {
            let seconds = limits.idle_limit.as_secs_f64();
            let detail = format!("nothing of the body arrived for {seconds} s");
            Err(Problem::new(ProblemKind::BodyTimeout, detail))
        }
    }
}

/// Reads a whole body into memory.
///
/// # Errors
/// As [`BodyMeter::next`].
pub async fn read_whole(
    request: &HttpRequest,
    mut payload: Payload,
    meter: &mut BodyMeter,
) -> Result<Vec<u8>, Problem> {
    let announced = header(request, &CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let mut whole = Vec::with_capacity(announced.unwrap_or(8 << 10).min(meter.limits.bytes_max));
    while let Some(piece) = meter.next(&mut payload).await? {
        if whole.len() + piece.len() > whole.capacity() && whole.len() >= LARGE_BODY_BYTES {
            // A vector that grows leaves as much behind as it becomes; room that is not used is not taken.
            whole.reserve_exact(meter.limits.bytes_max - whole.len());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// What the request's headers say its body is, one of the kinds that are `taken`.
///
/// # Errors
/// 415 for anything else.
pub fn kind_of(
    request: &HttpRequest,
    taken: &[BodyKind],
) -> Result<(BodyKind, BodyEncoding), Problem> {
    let unsupported = |detail: String| {
        let ways: Vec<&str> = taken.iter().map(|kind| kind.way_out()).collect();
        Problem::new(ProblemKind::UnsupportedMediaType, detail)
            .with_way_out(format!("send {}", ways.join(", or ")))
    };
    let content_type = header(request, &CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = BodyKind::named(&essence).filter(|kind| taken.contains(kind)).ok_or_else(|| {
        let found = if essence.is_empty() {
            "no content type".to_owned()
        } else {
            format!("`{}`", essence.chars().take(60).collect::<String>())
        };
        unsupported(format!("{found} is not read here"))
    })?;
    let encoding =
        header(request, &CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase();
    match (encoding.as_str(), kind) {
        ("" | "identity", _) => Ok((kind, BodyEncoding::Plain)),
        ("gzip" | "x-gzip", BodyKind::Json | BodyKind::MatrixMarket) => {
            Ok((kind, BodyEncoding::Gzip))
        }
        ("gzip" | "x-gzip", BodyKind::Form | BodyKind::Lines) => {
            Err(unsupported("a body of this type is not read in compressed form".to_owned()))
        }
        (other, _) => {
            let shown: String = other.chars().take(40).collect();
            Err(unsupported(format!("the encoding `{shown}` is not read here")))
        }
    }
}

/// Inflates a gzip body of at most `bytes_max` bytes. Takes as long as the body is large.
///
/// # Errors
/// 413 beyond the limit, 400 where it is not gzip.
pub fn inflate(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let mut inflated = Vec::with_capacity(body.len().saturating_mul(3).min(bytes_max));
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(bytes_max as u64 + 1);
    decoder.read_to_end(&mut inflated).map_err(|error| {
        Problem::new(ProblemKind::MalformedBody, format!("the body is not gzip: {error}"))
    })?;
    if inflated.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(inflated)
}

fn header<'r>(request: &'r HttpRequest, name: &HeaderName) -> Option<&'r str> {
    request.headers().get(name)?.to_str().ok()
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("this server takes bodies of at most {bytes_max} bytes");
    Problem::new(ProblemKind::BodyTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(inflate(&bomb, 1 << 20).unwrap_err().kind, ProblemKind::BodyTooLarge);
        assert_eq!(inflate(&bomb, 10 << 20).unwrap().len(), 10 << 20);
    }

    #[test]
    fn what_is_not_gzip_is_said_to_be_so() {
        assert_eq!(inflate(b"{}", 100).unwrap_err().kind, ProblemKind::MalformedBody);
    }
}
