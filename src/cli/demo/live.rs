//! The live session of the demo: a grid whose injections change, as lines of one long request.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::cli::demo::client::{self, ask, numbers};
use crate::cli::demo::exhibits::{self, Grid};
use crate::cli::demo::{DemoError, TOLERANCE};
use crate::runtime::clock::Clock;
use crate::solver::system::LinearSystem;

/// Changes that are sent.
pub const CHANGES: usize = 20_000;

/// What came of the changes.
pub struct Followed {
    /// The system after the changes, made on this side.
    pub system: LinearSystem,
    /// Acknowledged as accepted.
    pub accepted: u64,
    /// The system version of the solution.
    pub version: u64,
    pub converged: bool,
    pub x: Vec<f64>,
    /// From the first change to the last acknowledgement.
    pub took: Duration,
    /// From then to the solution.
    pub caught_up: Duration,
}

/// Opens a live session of `grid`, changes its right-hand side and one of our own alike, and reads the
/// solution of the last version.
pub async fn follow(clock: &Clock, base: &str, grid: &Grid) -> Result<Followed, DemoError> {
    let options = format!(r#"{{"live": true, "tolerance": {TOLERANCE:e}}}"#);
    let form = grid.form(Some(&options));
    let content_type = exhibits::form_type();
    let opened =
        accepted(ask(&format!("{base}/api/v1/sessions"), Some((&content_type, form))).await?)?;
    let session = format!("{base}{}", opened.location);
    let (matrix, mut rhs) = grid.system().into_parts();
    let lines = draw(&mut rhs);
    let sent = clock.now();
    let costs = format!("{session}/costs");
    let answer = accepted(ask(&costs, Some(("application/x-ndjson", lines))).await?)?;
    let answered = clock.now();
    let is_accepted = |line: &&Value| line["status"] == "accepted";
    let accepted_count = answer.lines()?.iter().filter(is_accepted).count() as u64;
    let state = loop {
        let state = accepted(ask(&format!("{session}/solution"), None).await?)?.json()?;
        let is_late = clock.now().since(answered) > Duration::from_secs(10);
        if state["converged"] == true || is_late {
            break state;
        }
    };
    Ok(Followed {
        system: LinearSystem::new(matrix, rhs).expect("sums of finite numbers are finite"),
        accepted: accepted_count,
        version: state["system_version"].as_u64().unwrap_or(0),
        converged: state["converged"] == true,
        x: numbers(&state["x"]),
        took: answered.since(sent),
        caught_up: clock.now().since(answered),
    })
}

/// The changes as lines, worked into `rhs` as well.
fn draw(rhs: &mut [f64]) -> Vec<u8> {
    let mut lines = String::new();
    for change in 0..CHANGES {
        let index = change * 7_919 % rhs.len();
        let value = 0.01 * ((change % 13) as f64 - 6.0);
        rhs[index] += value;
        writeln!(lines, r#"{{"delta_costs":{{"indices":[{index}],"values":[{value}]}},"source_node":"demo","sequence":{change}}}"#)
            .expect("a string takes everything");
    }
    lines.into_bytes()
}

/// The answer, unless it is a problem.
fn accepted(answer: client::Whole) -> Result<client::Whole, DemoError> {
    match answer.status {
        200..300 => Ok(answer),
        status => Err(DemoError::Refused { status, problem: answer.json()? }),
    }
}
