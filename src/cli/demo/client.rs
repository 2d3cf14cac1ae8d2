//! The demo's client: real HTTP, frames read line by line as they arrive. Knows no type of the server's;
//! what it believes is what the lines say.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use serde_json::Value;

use crate::runtime::clock::Clock;

/// Longest answer that is read whole.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What went wrong between the demo and its own server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the request failed: {0}")]
    Request(String),
    #[error("the stream broke off: {0}")]
    Broken(String),
    #[error("line {line} of the stream is not JSON: {source}")]
    NotJson { line: u64, source: serde_json::Error },
}

/// How the server answered.
#[derive(Debug)]
pub enum Answer {
    Streamed(Streamed),
    /// A problem document instead of a stream.
    Refused {
        status: u16,
        problem: Value,
    },
}

/// What a stream held, and when.
#[derive(Debug, Default)]
pub struct Streamed {
    pub frames: u64,
    /// `sequence` of the last frame.
    last_sequence: u64,
    /// Every number is there, or was announced as skipped because this reader was slow.
    pub complete: bool,
    pub x: Vec<f64>,
    pub end: Value,
    /// From the request to the first line.
    pub first_line: Duration,
    /// From the request to the last line.
    pub took: Duration,
}

/// An answer of one piece.
pub struct Whole {
    pub status: u16,
    /// Where the thing that was made can be found.
    pub location: String,
    pub text: Vec<u8>,
}

/// Posts `body` to `url`, or gets what is there if there is none, and reads the whole answer.
pub async fn ask(url: &str, body: Option<(&str, Vec<u8>)>) -> Result<Whole, ClientError> {
    let client = awc::Client::builder().timeout(Duration::from_secs(60)).finish();
    let sent = match body {
        Some((content_type, body)) => {
            client.post(url).insert_header(("content-type", content_type)).send_body(body)
        }
        None => client.get(url).send(),
    };
    let mut response = sent.await.map_err(|error| ClientError::Request(error.to_string()))?;
    let location = response.headers().get("location").and_then(|value| value.to_str().ok());
    let (status, location) = (response.status().as_u16(), location.unwrap_or("").to_owned());
    let text = response.body().limit(ANSWER_BYTES_MAX).await;
    let text = text.map_err(|error| ClientError::Broken(error.to_string()))?.to_vec();
    Ok(Whole { status, location, text })
}

impl Whole {
    /// The answer as JSON.
    pub fn json(&self) -> Result<Value, ClientError> {
        serde_json::from_slice(&self.text)
            .map_err(|source| ClientError::NotJson { line: 1, source })
    }

    /// The lines of the answer as JSON.
    pub fn lines(&self) -> Result<Vec<Value>, ClientError> {
        let lines = self.text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .zip(1..)
            .map(|(text, line)| {
                serde_json::from_slice(text).map_err(|source| ClientError::NotJson { line, source })
            })
            .collect()
    }
}

/// Posts `body` to `url` and shows every frame to `watch` as it arrives.
pub async fn solve(
    clock: &Clock,
    url: &str,
    content_type: &str,
    body: Vec<u8>,
    mut watch: impl FnMut(&Value),
) -> Result<Answer, ClientError> {
    let started = clock.now();
    let request = awc::Client::builder()
        .timeout(Duration::from_secs(60))
        .finish()
        .post(url)
        .insert_header(("content-type", content_type))
        .insert_header(("accept", "application/x-ndjson"));
    let mut response =
        request.send_body(body).await.map_err(|error| ClientError::Request(error.to_string()))?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        let text = response.body().await.map_err(|e| ClientError::Broken(e.to_string()))?;
        let problem = serde_json::from_slice(&text)
            .map_err(|source| ClientError::NotJson { line: 1, source })?;
        return Ok(Answer::Refused { status, problem });
    }
    let mut streamed = Streamed { complete: true, ..Streamed::default() };
    let mut pending = BytesMut::new();
    let mut searched = 0;
    while let Some(piece) = response.next().await {
        pending.extend_from_slice(&piece.map_err(|e| ClientError::Broken(e.to_string()))?);
        while let Some(length) = pending[searched..].iter().position(|&byte| byte == b'\n') {
            let line = pending.split_to(searched + length + 1);
            searched = 0;
            let since = clock.now().since(started);
            streamed.take(&line, since, &mut watch)?;
        }
        searched = pending.len();
    }
    match streamed.end.is_null() {
        true => Err(ClientError::Broken("it has no end frame".to_owned())),
        false => Ok(Answer::Streamed(streamed)),
    }
}

impl Streamed {
    fn take(
        &mut self,
        line: &[u8],
        since: Duration,
        watch: &mut impl FnMut(&Value),
    ) -> Result<(), ClientError> {
        let frame: Value = serde_json::from_slice(line)
            .map_err(|source| ClientError::NotJson { line: self.frames + 1, source })?;
        if self.frames == 0 {
            self.first_line = since;
        }
        let sequence = frame["sequence"].as_u64().unwrap_or(0);
        let skipped = frame["skipped"].as_u64().unwrap_or(0);
        self.complete &= sequence == self.last_sequence + 1 + skipped;
        self.last_sequence = sequence;
        self.frames += 1;
        self.took = since;
        watch(&frame);
        match frame["type"].as_str() {
            Some("solution") => self.x = numbers(&frame["x"]),
            Some("end") => self.end = frame,
            _ => {}
        }
        Ok(())
    }
}

/// The numbers of an array; empty where any is missing.
pub fn numbers(array: &Value) -> Vec<f64> {
    let items = array.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(Value::as_f64).collect::<Option<_>>().unwrap_or_default()
}
