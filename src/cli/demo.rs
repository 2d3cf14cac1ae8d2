//! `weir demo`: starts a server in this process and uses it as a client would, over HTTP, on real systems;
//! believes nothing that it has not computed again itself.

mod client;
mod curve;
mod exhibits;
mod live;
mod screen;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::actors::node::Node;
use crate::cli::demo::client::{Answer, ClientError, Streamed};
use crate::cli::demo::curve::Curve;
use crate::cli::demo::exhibits::{Grid, IEEE_118, PEGASE_9241};
use crate::cli::demo::screen::Screen;
use crate::cli::text::{grouped, seconds};
use crate::http::server::{HttpConfig, Running, serve};
use crate::ids::NodeId;
use crate::protocol::request_text::json_request;
use crate::runtime::clock::Clock;
use crate::runtime::config::NodeConfig;
use crate::solver::system::LinearSystem;

const TOLERANCE: f64 = 1e-8;

/// Show what weir does, end to end over HTTP, in a few seconds
///
/// Starts a server in this process on a free port, posts two real power grids and a Poisson problem to it,
/// keeps a grid solved while thousands of changes come in, shows what it finds out and how it converges, recomputes every residual from the x in the stream, and
/// ends with exit code 0 only if everything held.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Stay up afterwards, for the page in a browser and for curl
    #[arg(long)]
    serve: bool,
    /// Side of the square on which the Poisson problem is solved
    #[arg(long, value_name = "COUNT", default_value_t = 400, value_parser = clap::value_parser!(u16).range(2..=600))]
    side: u16,
}

/// What stops the demo before its claims can be checked.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(std::io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("refused with status {status}: {problem}")]
    Refused { status: u16, problem: Value },
    #[error("cg was not refused on an indefinite matrix")]
    NotRefused,
    #[error(transparent)]
    Gallery(#[from] crate::solver::gallery::GalleryError),
    #[error("the server failed: {0}")]
    Server(std::io::Error),
}

/// Runs the demo: 0 when every claim held, 1 when one did not or nothing could be shown.
pub fn run(arguments: &DemoArguments) -> ExitCode {
    match actix::System::new().block_on(demo(arguments)) {
        Ok((_, 0)) => ExitCode::SUCCESS,
        Ok((held, failed)) => {
            eprintln!("error: {failed} of {} claims did not hold", held + failed);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &DemoArguments) -> Result<(u32, u32), DemoError> {
    let clock = Clock::system();
    let started = clock.now();
    let running = start()?;
    let base = format!("http://{}", running.address);
    let mut stage =
        Stage { url: format!("{base}/api/v1/solve-stream"), screen: Screen::new(&clock), clock };
    println!("weir serves on {base}; everything below goes through that socket");
    stage.grid(&IEEE_118).await?;
    stage.grid(&PEGASE_9241).await?;
    stage.refusal(&PEGASE_9241).await?;
    stage.live(&PEGASE_9241, &base).await?;
    stage.poisson(usize::from(arguments.side)).await?;
    let (held, failed) = stage.screen.tally();
    stage.screen.title(&match failed {
        0 => format!("All {held} claims held, in {}", seconds(stage.clock.now().since(started))),
        _ => format!("{failed} of {} claims did NOT hold", held + failed),
    });
    if arguments.serve {
        // Before the invitation, so that whoever follows it is heard.
        let interrupt = signal(SignalKind::interrupt());
        let mut interrupt = interrupt.map_err(DemoError::Server)?;
        invite(&running);
        interrupt.recv().await;
    } else {
        stage.screen.line("yourself", "weir serve, and then:");
        println!("{}", curl(&PEGASE_9241, "http://127.0.0.1:3000"));
    }
    running.drain().await.map_err(DemoError::Server)?;
    Ok((held, failed))
}

fn start() -> Result<Running, DemoError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let node = Node::launch(&NodeConfig::for_cores(cores), NodeId(0));
    serve(&HttpConfig::new(anywhere, cores), node).map_err(DemoError::Listen)
}

fn invite(running: &Running) {
    println!("  the page is http://{}/ and this does the same by hand:", running.address);
    println!("{}", curl(&PEGASE_9241, &format!("http://{}", running.address)));
    println!("  stop with ctrl-c");
}

fn curl(grid: &Grid, base: &str) -> String {
    let file = format!("scenarios/systems/{}", grid.name);
    format!(
        "            curl -N -F matrix=@{file}.mtx -F vector=@{file}_b.mtx \\\n                 {base}/api/v1/solve-stream"
    )
}

/// The demo's acts, each a request and what came of it.
struct Stage {
    url: String,
    screen: Screen,
    clock: Clock,
}

impl Stage {
    /// A shipped grid, uploaded as the files that it is; the server chooses the method.
    async fn grid(&mut self, grid: &Grid) -> Result<(), DemoError> {
        self.screen.title(&format!("{}: B θ = P, voltage angles from injections", grid.title));
        let screen = &self.screen;
        let watch = |frame: &Value| tell(screen, frame);
        let form = grid.form(None);
        let answer =
            client::solve(&self.clock, &self.url, &exhibits::form_type(), form, watch).await?;
        let streamed = streamed(answer)?;
        self.check_solution(&grid.system(), &streamed);
        Ok(())
    }

    /// The same grid with a method that must not be used on it.
    async fn refusal(&mut self, grid: &Grid) -> Result<(), DemoError> {
        self.screen.title("The same grid, asking for cg, which it would lead astray");
        let form = grid.form(Some(r#"{"method": "cg"}"#));
        let answer =
            client::solve(&self.clock, &self.url, &exhibits::form_type(), form, |_| {}).await?;
        let Answer::Refused { status, problem } = answer else { return Err(DemoError::NotRefused) };
        let detail = text(&problem["detail"]);
        self.screen.line("answer", &format!("{status} {}", text(&problem["title"])));
        self.screen.line("because", detail);
        let typed = text(&problem["type"]).ends_with("/unsuitable-method");
        self.screen.check(
            status == 422 && typed && detail.contains("positive definite"),
            "refused before the first iteration, with the reason and what to use instead",
        );
        Ok(())
    }

    /// The grid kept solved while its injections change.
    async fn live(&mut self, grid: &Grid, base: &str) -> Result<(), DemoError> {
        self.screen.title(&format!("The same grid, live: {} changes", grouped(live::CHANGES)));
        let answer = live::follow(&self.clock, base, grid).await?;
        self.screen.line(
            "answer",
            &format!(
                "each acknowledged with the version from which it counts, {} in all: {} a second",
                seconds(answer.took),
                grouped((live::CHANGES as f64 / answer.took.as_secs_f64()) as usize)
            ),
        );
        self.screen.check(
            answer.accepted == live::CHANGES as u64 && answer.version == answer.accepted,
            &format!("{} accepted, each once", grouped(answer.accepted as usize)),
        );
        let found = exhibits::relative_residual(&answer.system, &answer.x);
        self.screen.check(
            answer.converged && found <= TOLERANCE,
            &format!(
                "‖b − A x‖ / ‖b‖ = {found:.1e} with the b of version {}, computed again; solved {} after the last acknowledgement",
                grouped(answer.version as usize),
                seconds(answer.caught_up)
            ),
        );
        Ok(())
    }

    /// A large system that takes a few hundred iterations, watched while it converges.
    async fn poisson(&mut self, side: usize) -> Result<(), DemoError> {
        let system = exhibits::poisson(side)?;
        let options = serde_json::json!({ "tolerance": TOLERANCE, "x_partial_max": 0 });
        let body = json_request(&system, "cg", &options);
        self.screen.title(&format!(
            "Poisson on {side} × {side}, {} of JSON, cg, live",
            megabytes(body.len())
        ));
        let mut curve = Curve::new(TOLERANCE);
        let screen = &mut self.screen;
        let watch = |frame: &Value| match text(&frame["type"]) {
            "iteration_update" => {
                let residual = frame["relative_residual"].as_f64().unwrap_or(f64::NAN);
                curve.push(frame["iteration"].as_u64().unwrap_or(0), residual);
                screen.draw_live(&curve);
            }
            "session_opened" | "prepared" => tell(screen, frame),
            _ => {}
        };
        let answer = client::solve(&self.clock, &self.url, "application/json", body, watch).await?;
        let streamed = streamed(answer)?;
        self.screen.draw_last(&curve);
        self.check_solution(&system, &streamed);
        self.screen.check(
            curve.count() >= 10 && streamed.complete,
            &format!(
                "{} states shown on the way, each of the {} frames accounted for",
                curve.count(),
                grouped(streamed.frames as usize)
            ),
        );
        Ok(())
    }

    fn check_solution(&mut self, system: &LinearSystem, streamed: &Streamed) {
        let end = &streamed.end;
        self.screen.line(
            "answer",
            &format!(
                "{} after {}; first line {} after the request, all {} numbers after {}",
                text(&end["reason"]),
                counted(end["iterations"].as_u64().unwrap_or(0), "iteration"),
                seconds(streamed.first_line),
                grouped(streamed.x.len()),
                seconds(streamed.took)
            ),
        );
        let claimed = end["relative_residual"].as_f64().unwrap_or(f64::NAN);
        let found = exhibits::relative_residual(system, &streamed.x);
        self.screen.check(
            end["reason"] == "converged" && found <= TOLERANCE,
            &format!(
                "‖b − A x‖ / ‖b‖ = {found:.1e}, computed again from the x in the stream (the server said {claimed:.1e})"
            ),
        );
    }
}

fn streamed(answer: Answer) -> Result<Streamed, DemoError> {
    match answer {
        Answer::Streamed(streamed) => Ok(streamed),
        Answer::Refused { status, problem } => Err(DemoError::Refused { status, problem }),
    }
}

/// What a frame tells about the system and the method.
fn tell(screen: &Screen, frame: &Value) {
    match text(&frame["type"]) {
        "session_opened" => {
            screen.line("found", &found(&frame["analysis"]));
            let cg = frame["analysis"]["prospects"].as_array().into_iter().flatten();
            let cg = cg.into_iter().find(|prospect| prospect["method"] == "cg");
            if let Some(cg) = cg.filter(|cg| cg["verdict"] == "impossible") {
                screen.line("", &format!("cg cannot solve it: {}", text(&cg["reason"])));
            }
            let preconditioner = match text(&frame["preconditioner"]) {
                "" | "none" => String::new(),
                name => format!(" with {name}"),
            };
            screen.line("chose", &format!("{}{preconditioner}", text(&frame["method"])));
            for reason in frame["reasons"].as_array().into_iter().flatten() {
                screen.line("because", text(reason));
            }
        }
        "prepared" => screen.line("set up", text(&frame["description"])),
        "method_changed" => {
            screen.line(
                "changed",
                &format!(
                    "{} → {}: {}",
                    text(&frame["from"]),
                    text(&frame["to"]),
                    text(&frame["reason"])
                ),
            );
        }
        _ => {}
    }
}

/// What the server's analysis says that decides about methods.
fn found(analysis: &Value) -> String {
    let definiteness = match text(&analysis["definiteness"]["kind"]) {
        "not_symmetric" => "not symmetric",
        "positive" => "symmetric positive definite",
        "negative" => "symmetric negative definite",
        "refuted_by_diagonal" | "refuted_by_minor" => "symmetric, INDEFINITE",
        _ => "symmetric",
    };
    let count = |value: &Value| grouped(value.as_u64().unwrap_or(0) as usize);
    format!(
        "{} unknowns, {} entries, {definiteness}",
        count(&analysis["order"]),
        count(&analysis["nonzeros"])
    )
}

fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count as usize), if count == 1 { "" } else { "s" })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
