//! Which address is served by what. Everything that is not in this table is a 404, every method that
//! is not in its line a 405 with `Allow`.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, ResponseError, Route};

use crate::http::error::{HttpProblem, method_not_allowed};
use crate::http::{costs, entries, pages, sessions, solution, solve_stream, verify};
use crate::protocol::problem::{Problem, ProblemKind};

/// Registers every resource.
pub fn register(config: &mut ServiceConfig) {
    let mut resource = |path: &str, allowed: &'static str, routes: Vec<Route>| {
        let mut resource = web::resource(path);
        for route in routes {
            resource = resource.route(route);
        }
        let refuse = move || std::future::ready(method_not_allowed(allowed));
        config.service(resource.default_service(web::to(refuse)));
    };
    resource("/", "GET, HEAD", vec![web::get().to(pages::start), web::head().to(pages::start)]);
    resource("/problems/{code}", "GET", vec![web::get().to(pages::problem)]);
    resource("/api/v1/solve-stream", "POST", vec![web::post().to(solve_stream::solve_stream)]);
    resource("/api/v1/entries", "POST", vec![web::post().to(entries::entries)]);
    resource("/api/v1/verify", "POST", vec![web::post().to(verify::verify)]);
    resource("/api/v1/sessions", "POST", vec![web::post().to(sessions::create)]);
    resource(
        "/api/v1/sessions/{id}",
        "GET, DELETE",
        vec![web::get().to(sessions::status), web::delete().to(sessions::delete)],
    );
    resource("/api/v1/sessions/{id}/stream", "GET", vec![web::get().to(sessions::listen)]);
    resource("/api/v1/sessions/{id}/solution", "GET", vec![web::get().to(solution::solution)]);
    resource("/api/v1/sessions/{id}/residuals", "GET", vec![web::get().to(sessions::residuals)]);
    resource("/api/v1/sessions/{id}/costs", "POST", vec![web::post().to(costs::of_session)]);
    resource("/api/v1/swarm/costs", "POST", vec![web::post().to(costs::of_any_session)]);
    resource("/api/v1/status", "GET", vec![web::get().to(sessions::node_status)]);
    resource("/api/v1/status/{id}", "GET", vec![web::get().to(sessions::status)]);
    resource(
        "/api/v1/health",
        "GET, HEAD",
        vec![web::get().to(sessions::health), web::head().to(sessions::health)],
    );
    config.default_service(web::to(not_found));
    // A wrong path segment or query string never reaches a handler otherwise.
    config.app_data(web::PathConfig::default().error_handler(|error, _| {
        HttpProblem::from(Problem::new(ProblemKind::NotFound, error.to_string())).into()
    }));
}

async fn not_found(request: HttpRequest) -> actix_web::HttpResponse {
    let path: String = request.path().chars().take(100).collect();
    let detail = format!("there is nothing at `{path}`");
    HttpProblem::from(
        Problem::new(ProblemKind::NotFound, detail).with_way_out("`GET /` lists what there is"),
    )
    .error_response()
}
