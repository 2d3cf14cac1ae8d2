//! Problems as responses.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};

use crate::actors::messages::{
    CostsUnavailable, OpenRefused, QuestionUnavailable, SolutionUnavailable,
};
use crate::actors::node::NodeError;
use crate::policy::admission::Overload;
use crate::protocol::problem::{Problem, ProblemKind};

/// When a client that met a limit should try again.
const RETRY_AFTER_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

/// A problem on its way out.
#[derive(Debug)]
pub struct HttpProblem(pub Box<Problem>);

impl From<Problem> for HttpProblem {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl fmt::Display for HttpProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl ResponseError for HttpProblem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status()).expect("the statuses of problems are valid")
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        response.insert_header((CACHE_CONTROL, "no-store"));
        if let Some(retry_after) = self.0.retry_after {
            response.insert_header((RETRY_AFTER, retry_after.as_secs_f64().ceil().to_string()));
        }
        response.body(self.0.to_json())
    }
}

impl From<NodeError> for HttpProblem {
    fn from(error: NodeError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            NodeError::Refused(OpenRefused::Overloaded(Overload::Sessions { .. })) => {
                Problem::new(ProblemKind::TooManySessions, detail)
                    .with_retry_after(RETRY_AFTER_LIMIT)
            }
            NodeError::Refused(OpenRefused::Overloaded(Overload::Memory { .. })) => {
                Problem::new(ProblemKind::ServerMemory, detail).with_retry_after(RETRY_AFTER_LIMIT)
            }
            NodeError::Refused(OpenRefused::Draining) | NodeError::Stopped => {
                Problem::new(ProblemKind::Draining, detail)
            }
            NodeError::UnknownSession(_) => Problem::new(ProblemKind::UnknownSession, detail),
            NodeError::SolutionUnavailable(SolutionUnavailable::NeverReached) => {
                Problem::new(ProblemKind::NoSolution, detail)
            }
            NodeError::SolutionUnavailable(
                SolutionUnavailable::Preparing | SolutionUnavailable::TooManyReaders { .. },
            ) => Problem::new(ProblemKind::SolutionNotReady, detail)
                .with_retry_after(RETRY_AFTER_LIMIT),
        };
        problem.into()
    }
}

impl From<CostsUnavailable> for Problem {
    fn from(error: CostsUnavailable) -> Self {
        let detail = error.to_string();
        match error {
            CostsUnavailable::UnknownSession(_) => Self::new(ProblemKind::UnknownSession, detail),
            CostsUnavailable::NotLive => Self::new(ProblemKind::NotLive, detail)
                .with_way_out("open a session with `\"options\": {\"live\": true}`"),
            CostsUnavailable::Ended => Self::new(ProblemKind::SessionEnded, detail),
            CostsUnavailable::TooManyPending { .. } => {
                Self::new(ProblemKind::TooManyChanges, detail)
                    .with_retry_after(std::time::Duration::from_secs(1))
            }
            CostsUnavailable::Stopped => Self::new(ProblemKind::Draining, detail),
        }
    }
}

impl From<QuestionUnavailable> for Problem {
    fn from(error: QuestionUnavailable) -> Self {
        match error {
            QuestionUnavailable::Session(unavailable) => unavailable.into(),
            QuestionUnavailable::OutOfRange { .. } => {
                Self::new(ProblemKind::InvalidRequest, error.to_string())
            }
            QuestionUnavailable::TooManyWaiting { .. } => {
                Self::new(ProblemKind::Busy, error.to_string())
                    .with_retry_after(std::time::Duration::from_secs(1))
            }
        }
    }
}

/// 405 with the methods that the resource takes.
pub fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let detail = format!("this resource takes {allowed}");
    let problem = HttpProblem::from(Problem::new(ProblemKind::MethodNotAllowed, detail));
    let mut response = problem.error_response();
    let value = actix_web::http::header::HeaderValue::from_static(allowed);
    response.headers_mut().insert(ALLOW, value);
    response
}
