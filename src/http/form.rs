//! An uploaded form (`multipart/form-data`): the parts `matrix`, `vector` and `options`, so that
//! `curl -F matrix=@A.mtx -F vector=@b.mtx` is a request.

use actix_multipart::{Field, Multipart};
use actix_web::HttpRequest;
use actix_web::web::Payload;
use futures_util::StreamExt;

use crate::http::body::{self, BodyLimits, BodyMeter};
use crate::http::received::Received;
use crate::protocol::options::RequestOptions;
use crate::protocol::problem::{Problem, ProblemEntry, ProblemKind};

/// The first bytes of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most parts of a form; one more than there are names, so that a repeated one is named.
const PARTS_MAX: usize = 4;

/// The parts of a form, as they came.
#[derive(Debug, Default)]
pub struct Form {
    matrix: Option<Vec<u8>>,
    vector: Option<Vec<u8>>,
    options: Option<Vec<u8>>,
}

/// The texts of a form's parts.
#[derive(Debug)]
pub struct FormTexts {
    pub matrix: Vec<u8>,
    pub vector: Option<Vec<u8>>,
    pub options: Option<Vec<u8>>,
}

impl Form {
    /// Reads all parts into memory.
    ///
    /// # Errors
    /// As [`BodyMeter::next`], and 422 for a part that is not known or given twice.
    pub async fn read(
        request: &HttpRequest,
        payload: Payload,
        meter: &mut BodyMeter,
        limits: &BodyLimits,
    ) -> Result<Self, Problem> {
        let mut parts = Multipart::new(request.headers(), payload);
        let mut form = Self::default();
        for _ in 0..PARTS_MAX {
            let Some(part) = body::within(limits, parts.next()).await? else { return Ok(form) };
            let part = part.map_err(|error| {
                Problem::new(
                    ProblemKind::MalformedBody,
                    format!("the form cannot be read: {error}"),
                )
            })?;
            form.take(part, meter).await?;
        }
        Err(Problem::new(
            ProblemKind::InvalidRequest,
            "the form has more parts than there are names",
        ))
    }

    async fn take(&mut self, mut part: Field, meter: &mut BodyMeter) -> Result<(), Problem> {
        let name: String = part.name().unwrap_or_default().chars().take(40).collect();
        let slot = match name.as_str() {
            "matrix" => &mut self.matrix,
            "vector" => &mut self.vector,
            "options" => &mut self.options,
            _ => return Err(bad_part(&name, "`matrix`, `vector` or `options`", "another part")),
        };
        if slot.is_some() {
            return Err(bad_part(&name, "each part once", "a second one"));
        }
        let content = slot.insert(Vec::new());
        while let Some(piece) = meter.next(&mut part).await? {
            content.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// The texts that the parts are. Parts that are gzip files are inflated, each to at most
    /// `bytes_max` bytes. Linear in the parts.
    ///
    /// # Errors
    /// A problem that names the part.
    pub fn into_received(self, bytes_max: usize) -> Result<Received, Problem> {
        let FormTexts { matrix, vector, options } = self.into_texts(bytes_max)?;
        let options = match options {
            Some(options) => RequestOptions::from_json(&options, "options")?,
            None => RequestOptions::default(),
        };
        Ok(Received::Files { matrix, vector, options })
    }

    /// The parts, inflated where they are gzip files.
    ///
    /// # Errors
    /// As [`into_received`](Self::into_received); the options are not looked into.
    pub fn into_texts(self, bytes_max: usize) -> Result<FormTexts, Problem> {
        let matrix = self
            .matrix
            .ok_or_else(|| bad_part("matrix", "a file in Matrix Market form", "nothing"))?;
        let matrix = inflated(matrix, bytes_max)?;
        let vector = self.vector.map(|vector| inflated(vector, bytes_max)).transpose()?;
        Ok(FormTexts { matrix, vector, options: self.options })
    }
}

fn inflated(part: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    match part.starts_with(&GZIP_MAGIC) {
        true => body::inflate(&part, bytes_max),
        false => Ok(part),
    }
}

fn bad_part(name: &str, expected: &str, found: &str) -> Problem {
    let detail = format!("part `{name}`: expected {expected}, found {found}");
    let entry = ProblemEntry {
        pointer: name.to_owned(),
        detail: detail.clone(),
        expected: Some(expected.to_owned()),
        found: Some(found.to_owned()),
        held: None,
    };
    Problem { errors: vec![entry], ..Problem::new(ProblemKind::InvalidRequest, detail) }
}
