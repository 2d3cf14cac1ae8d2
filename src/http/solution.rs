//! `GET /api/v1/sessions/{id}/solution`: the present `x`, whole, for chosen indices, or binary.

use std::convert::Infallible;
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;

use crate::actors::messages::SolutionState;
use crate::http::error::HttpProblem;
use crate::http::negotiation::negotiate;
use crate::http::server::Shared;
use crate::http::sessions::{query_pairs, session_of};
use crate::ids::SessionId;
use crate::protocol::json::{Fault, Faults, JsonObject, write_f64, write_u64};
use crate::protocol::ndjson::write_bound;
use crate::protocol::problem::{Problem, ProblemKind};

/// Entries rendered at a time: 64 KiB in binary, about 150 KiB in JSON.
const ENTRIES_AT_A_TIME: usize = 8_192;
/// Most indices that one request may name.
const INDICES_MAX: usize = 10_000;

/// Answers with `x` as it is now, with the residual measured for it.
pub async fn solution(
    request: HttpRequest,
    path: Path<String>,
    shared: Data<Shared>,
) -> Result<HttpResponse, HttpProblem> {
    let format = negotiate(&request, &["application/json", "application/octet-stream"])?;
    let session = session_of(&path)?;
    let indices = indices_of(&request)?;
    let state = shared.node.solution(session).await?;
    let x = match &indices {
        Some(indices) => Arc::new(chosen(&state.x, indices)?),
        None => Arc::clone(&state.x),
    };
    if format == "application/octet-stream" {
        return Ok(binary(&state, x));
    }
    Ok(json(session, &state, indices, x))
}

/// Little-endian f64, one after the other; what speaks of the state stands in headers.
fn binary(state: &SolutionState, x: Arc<Vec<f64>>) -> HttpResponse {
    let size = 8 * x.len() as u64;
    let chunks = in_pieces(x.len(), move |range| {
        let mut piece = Vec::with_capacity(8 * range.len());
        x[range].iter().for_each(|value| piece.extend_from_slice(&value.to_le_bytes()));
        piece
    });
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header(("cache-control", "no-store, no-transform"))
        .insert_header(("vary", "Accept"))
        .insert_header(("weir-residual-norm", state.residual_norm.to_string()))
        .insert_header(("weir-relative-residual", state.relative_residual.to_string()))
        .insert_header(("weir-iteration", state.iteration.to_string()))
        .insert_header(("weir-system-version", state.system_version.0.to_string()))
        .insert_header(("weir-converged", state.converged.to_string()))
        .body(SizedStream::new(size, chunks))
}

fn json(
    session: SessionId,
    state: &SolutionState,
    indices: Option<Vec<u32>>,
    x: Arc<Vec<f64>>,
) -> HttpResponse {
    let mut head = Vec::with_capacity(512);
    let mut object = JsonObject::open(&mut head);
    object
        .text("session_id", &session.to_string())
        .integer("system_version", state.system_version.0)
        .integer("iteration", state.iteration)
        .number("residual_norm", state.residual_norm)
        .number("relative_residual", state.relative_residual)
        .flag("converged", state.converged)
        .integer("unknowns", state.x.len() as u64);
    if let Some(bound) = &state.error_bound {
        write_bound(&mut object, bound);
    }
    if let Some(indices) = indices {
        object.array("indices", indices, |out, index| write_u64(out, u64::from(index)));
    }
    object.member("x").push(b'[');
    let mut head = Some(head);
    let entries = x.len();
    let chunks = in_pieces(entries, move |range| {
        let mut piece = head.take().unwrap_or_default();
        for position in range.clone() {
            if position > 0 {
                piece.push(b',');
            }
            write_f64(&mut piece, x[position]);
        }
        if range.end == entries {
            piece.extend_from_slice(b"]}");
        }
        piece
    });
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("cache-control", "no-store, no-transform"))
        .insert_header(("vary", "Accept"))
        .streaming(chunks)
}

/// Calls `render` for one range of entries after the other, as the socket takes them; once for none.
fn in_pieces(
    entries: usize,
    render: impl FnMut(std::ops::Range<usize>) -> Vec<u8> + 'static,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + 'static {
    stream::unfold((Some(0), render), move |(next, mut render)| {
        let piece = next.map(|from| {
            let end = entries.min(from + ENTRIES_AT_A_TIME);
            let piece = Bytes::from(render(from..end));
            (Ok(piece), ((end < entries).then_some(end), render))
        });
        std::future::ready(piece)
    })
}

/// The entries of `x` at `indices`.
fn chosen(x: &[f64], indices: &[u32]) -> Result<Vec<f64>, Problem> {
    let mut faults = Faults::default();
    let mut values = Vec::with_capacity(indices.len());
    for (position, &index) in indices.iter().enumerate() {
        match x.get(index as usize) {
            Some(&value) => values.push(value),
            None => faults.push(Fault {
                pointer: format!("?indices/{position}"),
                expected: format!("an index below {}", x.len()),
                found: index.to_string(),
            }),
        }
    }
    match faults.is_empty() {
        true => Ok(values),
        false => Err(Problem::of_faults(ProblemKind::UnknownIndex, &faults)),
    }
}

fn indices_of(request: &HttpRequest) -> Result<Option<Vec<u32>>, Problem> {
    let mut faults = Faults::default();
    let mut indices = None;
    for (name, value) in query_pairs(request) {
        if name != "indices" {
            let (expected, found) = ("`indices`".to_owned(), "another parameter".to_owned());
            faults.push(Fault { pointer: format!("?{name}"), expected, found });
            continue;
        }
        let list: &mut Vec<u32> = indices.get_or_insert_default();
        for word in value.split(',') {
            match word.trim().parse() {
                Ok(index) => list.push(index),
                Err(_) => faults.push(Fault {
                    pointer: format!("?indices/{}", list.len()),
                    expected: "indices from 0 on, with commas between them".into(),
                    found: format!("`{}`", word.chars().take(40).collect::<String>()),
                }),
            }
        }
    }
    if indices.as_ref().is_some_and(|indices| indices.len() > INDICES_MAX) {
        faults.push(Fault {
            pointer: "?indices".into(),
            expected: format!(
                "at most {INDICES_MAX} indices; leave them out for the whole solution"
            ),
            found: "more".into(),
        });
    }
    match faults.is_empty() {
        true => Ok(indices),
        false => Err(Problem::of_faults(ProblemKind::InvalidQuery, &faults)),
    }
}
