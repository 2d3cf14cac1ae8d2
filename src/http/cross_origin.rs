//! Which web pages may use this server. A page is always asked for by a browser that says where the
//! page came from; programs say nothing and are not concerned.
//!
//! Pages served from this machine (`localhost`, `127.0.0.0/8`, `[::1]`, any port) may do everything;
//! others only what the operator allows by name. Answering everybody, as the plan's CORS setting does,
//! would let any page in a browser on this machine start, read and end sessions, because there is no
//! access control yet. Which names are this server's own is decided by `hosts`.

use actix_cors::Cors;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError};

use crate::http::error::HttpProblem;
use crate::protocol::problem::{Problem, ProblemKind};

/// The origins whose pages may use this server, beside those of this machine.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins {
    /// As browsers write them, such as `https://example.org`; `*` allows all.
    pub named: Vec<String>,
}

impl AllowedOrigins {
    fn allows(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        // Pages that this server itself sent may use it. The name was found to be its own before.
        let own = host.and_then(|host| host.to_str().ok()).is_some_and(|host| {
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        });
        own || is_loopback(origin) || self.named.iter().any(|name| name == "*" || name == origin)
    }
}

/// Whether an origin is a page of this machine.
fn is_loopback(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Answers browsers that ask what a page may do.
pub fn cors(origins: &AllowedOrigins) -> Cors {
    let origins = origins.clone();
    Cors::default()
        .allowed_origin_fn(move |origin, head| origins.allows(origin, head.headers().get(HOST)))
        .allowed_methods(["GET", "HEAD", "POST", "DELETE"])
        .allow_any_header()
        .expose_any_header()
        .supports_credentials()
        .max_age(3_600)
}

/// Refuses changes that a page of a foreign origin asks for: a browser sends forms without asking
/// first, so the headers of [`cors`] alone do not stop them.
pub async fn refuse_foreign_changes<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let foreign = request.headers().get(ORIGIN).is_some_and(|origin| {
        let allowed = request.app_data::<actix_web::web::Data<crate::http::server::Shared>>();
        allowed.is_none_or(|shared| !shared.origins.allows(origin, request.headers().get(HOST)))
    });
    if !reads && foreign {
        let problem = HttpProblem::from(
            Problem::new(
                ProblemKind::ForeignOrigin,
                "the request comes from a page of another site",
            )
            .with_way_out("start the server with `--cors-origin` naming that site"),
        );
        return Ok(request.into_response(problem.error_response()).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_and_named_ones_are_allowed() {
        let origins = AllowedOrigins { named: vec!["https://example.org".into()] };
        let host = HeaderValue::from_static("weir.example");
        let check = |origin: &'static str, expected: bool| {
            let allowed = origins.allows(&HeaderValue::from_static(origin), Some(&host));
            assert_eq!(allowed, expected, "{origin}");
        };
        check("http://localhost:5173", true);
        check("http://127.0.0.1:3000", true);
        check("http://[::1]:3000", true);
        check("https://example.org", true);
        check("https://weir.example", true);
        check("https://example.org.evil.example", false);
        check("http://localhost.evil.example", false);
        check("http://evil.example:3000", false);
        check("null", false);
    }
}
