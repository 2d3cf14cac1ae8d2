//! Under which names this server answers. A page whose name its owner points at 127.0.0.1 (DNS
//! rebinding) counts as this server's own page in a browser on this machine; what gives it away is
//! the name that it asks for. So a server on loopback answers to names of this machine only, and to
//! those that the operator adds.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, ResponseError};

use crate::http::error::HttpProblem;
use crate::http::server::Shared;
use crate::protocol::problem::{Problem, ProblemKind};

/// The names that requests may ask for, whatever the port.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    named: Vec<String>,
    all: bool,
}

impl AllowedHosts {
    /// Names of this machine and those in `named`, among which `*` allows all. A server that listens on
    /// other addresses than loopback cannot know its names: it answers to all unless some are named.
    pub fn new(listens_on: IpAddr, named: &[String]) -> Self {
        let unknown = named.is_empty() && !listens_on.is_loopback();
        Self { named: named.to_vec(), all: unknown || named.iter().any(|name| name == "*") }
    }

    /// Whether a request for this `host[:port]` is answered.
    fn allows(&self, authority: &str) -> bool {
        if self.all {
            return true;
        }
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let host = authority.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        is_of_this_machine(host) || self.named.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// `localhost`, names below it, `127.0.0.0/8` and `[::1]`: no other machine can own these (RFC 6761).
fn is_of_this_machine(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse().is_ok_and(|address: Ipv6Addr| address.to_canonical().is_loopback());
    }
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
}

/// Refuses requests for a name that is not this server's. Browsers always say which name they ask for;
/// a request without any comes from a program.
pub async fn refuse_unknown_hosts<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let allowed = request.app_data::<Data<Shared>>().map(|shared| &shared.hosts);
    // HTTP/2 has it in `:authority`, HTTP/1.1 in `Host`, a request to a proxy in both.
    let authority = request.uri().authority().map(|authority| Some(authority.as_str()));
    let headers = request.headers().get_all(HOST).map(|host| host.to_str().ok());
    let is_allowed = |host: Option<&str>| {
        host.is_some_and(|host| allowed.is_some_and(|allowed| allowed.allows(host)))
    };
    if authority.into_iter().chain(headers).all(is_allowed) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let detail = "this server does not go by the name that the request asks for";
    let problem = HttpProblem::from(
        Problem::new(ProblemKind::UnknownHost, detail)
            .with_way_out("start the server with `--allow-host` naming it, or ask for `localhost`"),
    );
    Ok(request.into_response(problem.error_response()).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn check(listens_on: IpAddr, named: &[&str], cases: &[(&str, bool)]) {
        let named: Vec<String> = named.iter().map(|&name| name.to_owned()).collect();
        let hosts = AllowedHosts::new(listens_on, &named);
        for &(authority, expected) in cases {
            assert_eq!(hosts.allows(authority), expected, "`{authority}` with {named:?}");
        }
    }

    #[test]
    fn on_loopback_names_of_this_machine_are_allowed_and_no_others() {
        for listens_on in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
            check(
                listens_on,
                &[],
                &[
                    ("localhost", true),
                    ("LocalHost.:3000", true),
                    ("weir.localhost:3000", true),
                    ("127.0.0.1:3000", true),
                    ("127.8.9.10", true),
                    ("[::1]:3000", true),
                    ("[::ffff:127.0.0.1]", true),
                    ("evil.example", false),
                    ("evil.example:3000", false),
                    ("localhost.evil.example", false),
                    ("evillocalhost", false),
                    ("127.0.0.1.evil.example", false),
                    ("localhost@evil.example", false),
                    ("10.0.0.1", false),
                    ("0.0.0.0:3000", false),
                    ("[::2]", false),
                    ("", false),
                    ("local host", false),
                ],
            );
        }
    }

    #[test]
    fn names_are_added_to_those_of_this_machine() {
        check(
            Ipv4Addr::LOCALHOST.into(),
            &["Weir.example"],
            &[("weir.example:443", true), ("localhost", true), ("a.weir.example", false)],
        );
    }

    #[test]
    fn a_server_on_other_addresses_checks_only_when_names_are_given() {
        let anywhere = Ipv4Addr::UNSPECIFIED.into();
        check(anywhere, &[], &[("evil.example", true), ("10.0.0.1:3000", true)]);
        check(anywhere, &["weir.example"], &[("evil.example", false), ("weir.example", true)]);
        check(Ipv4Addr::LOCALHOST.into(), &["*"], &[("evil.example", true)]);
    }
}
