//! Which representation a client prefers (RFC 9110 §12.5.1), and what a body is said to be.

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, HeaderMap};

use crate::http::error::HttpProblem;
use crate::protocol::frame_text::StreamFormat;
use crate::protocol::problem::{Problem, ProblemKind};

/// The offer that the client likes best; earlier offers win ties. No `Accept` takes the first.
///
/// # Errors
/// 406, with the offers, when the client takes none of them.
pub fn negotiate(
    request: &HttpRequest,
    offers: &[&'static str],
) -> Result<&'static str, HttpProblem> {
    let accepted = accept_of(request.headers());
    preferred(accepted.as_deref(), offers).ok_or_else(|| {
        let asked = accepted.unwrap_or_default();
        let asked: String = asked.chars().take(100).collect();
        Problem::new(ProblemKind::NotAcceptable, format!("nothing here is `{asked}`"))
            .with_way_out(format!("accept one of {}", offers.join(", ")))
            .into()
    })
}

/// NDJSON unless the client prefers server-sent events.
pub fn stream_format(request: &HttpRequest) -> Result<StreamFormat, HttpProblem> {
    match negotiate(request, &["application/x-ndjson", "text/event-stream"])? {
        "text/event-stream" => Ok(StreamFormat::Sse),
        _ => Ok(StreamFormat::Ndjson),
    }
}

fn accept_of(headers: &HeaderMap) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(ACCEPT).filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn preferred(accept: Option<&str>, offers: &[&'static str]) -> Option<&'static str> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return offers.first().copied();
    };
    let mut best: Option<(&'static str, f64)> = None;
    for &offer in offers {
        let quality = quality_of(accept, offer);
        if quality > 0.0 && best.is_none_or(|(_, best)| quality > best) {
            best = Some((offer, quality));
        }
    }
    best.map(|(offer, _)| offer)
}

/// The quality that the most specific range of `accept` gives to `offer`; 0 where none matches.
fn quality_of(accept: &str, offer: &str) -> f64 {
    let kind = offer.split('/').next().unwrap_or(offer);
    let mut found = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specificity = match name.split_once('/') {
            _ if name == offer => 3,
            Some((main, "*")) if main == kind => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let quality = parts
            .find_map(|parameter| parameter.strip_prefix("q=")?.trim().parse::<f64>().ok())
            .unwrap_or(1.0);
        if specificity > found.0 {
            found = (specificity, quality);
        }
    }
    found.1
}

#[cfg(test)]
mod tests {
    use super::preferred;

    fn check(accept: Option<&str>, expected: Option<&str>) {
        let offers = ["application/x-ndjson", "text/event-stream"];
        assert_eq!(preferred(accept, &offers), expected, "{accept:?}");
    }

    #[test]
    fn the_most_specific_range_decides_and_ties_go_to_the_first_offer() {
        check(None, Some("application/x-ndjson"));
        check(Some("*/*"), Some("application/x-ndjson"));
        check(Some("text/event-stream"), Some("text/event-stream"));
        check(Some("text/*, */*;q=0.1"), Some("text/event-stream"));
        check(
            Some("text/event-stream;q=0.5, application/x-ndjson;q=0.4"),
            Some("text/event-stream"),
        );
        check(Some("*/*, application/x-ndjson;q=0"), Some("text/event-stream"));
        check(Some("Application/X-NDJSON"), Some("application/x-ndjson"));
        check(Some("text/html"), None);
        check(Some("application/x-ndjson;q=0"), None);
    }
}
