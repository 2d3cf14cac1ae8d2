//! Pages for people: the start page, and what each problem means.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use actix_web::web::Path;

use crate::http::error::HttpProblem;
use crate::protocol::problem::{Problem, ProblemKind};

const START: &str = include_str!("../../dashboards/start.html");

/// The start page loads nothing from anywhere else, and may not.
const ONLY_ITSELF: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src \
     'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// `GET /`
pub async fn start() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, ONLY_ITSELF))
        .body(START)
}

/// `GET /problems/{code}`
pub async fn problem(code: Path<String>) -> Result<HttpResponse, HttpProblem> {
    let kind = ProblemKind::ALL.into_iter().find(|kind| kind.code() == code.as_str());
    let kind = kind.ok_or_else(|| {
        let known: Vec<&str> = ProblemKind::ALL.into_iter().map(ProblemKind::code).collect();
        Problem::new(ProblemKind::NotFound, "there is no problem of this name")
            .with_way_out(format!("the problems are {}", known.join(", ")))
    })?;
    let text = format!(
        "{}\n\n{}\n\nStatus {}, type /problems/{}\n",
        kind.title(),
        kind.explanation(),
        kind.status(),
        kind.code()
    );
    Ok(HttpResponse::Ok().insert_header(ContentType::plaintext()).body(text))
}
