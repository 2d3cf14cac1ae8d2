//! What a person sees at a terminal: the built binary under a pseudo-terminal of `script`, which every
//! Linux has.

use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Runs `weir ARGUMENTS` with all its streams on a terminal of 100 columns; what it shows, and its exit
/// code.
fn at_a_terminal(arguments: &str) -> (String, Option<i32>) {
    let weir = env!("CARGO_BIN_EXE_weir");
    let output: Output = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty cols 100 rows 40 && '{weir}' {arguments}"))
        .arg("/dev/null")
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .env_remove("CI")
        .stdin(Stdio::null())
        .output()
        .expect("`script` of util-linux is installed: `.ci/run setup` sees to it");
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

/// A grid on which jacobi takes far longer than a second, as a file in a new directory.
fn slow_system() -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("slow.mtx").to_str().unwrap().to_owned();
    let written = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["generate", "poisson-2d", "--side", "150", "-o", &path])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(written.unwrap().success());
    (directory, path)
}

const SLOWLY: &str = "--method jacobi --max-iterations 100000000 --time-budget 1s";

/// One drawing of the bar while it iterates.
#[derive(Debug)]
struct Drawn {
    percent: u32,
    iteration: u64,
    residual: f64,
}

/// Reads `… 19 % iteration 200, residual 3.1e-2, ×0.983`.
fn drawing(line: &str) -> Option<Drawn> {
    let (before, after) = line.split_once(" % iteration ")?;
    let percent = before.rsplit(' ').next()?.parse().ok()?;
    let (iteration, after) = after.split_once(", residual ")?;
    let residual = after.split(',').next()?.trim().parse().ok()?;
    Some(Drawn { percent, iteration: iteration.parse().ok()?, residual })
}

#[test]
fn the_bar_moves_with_the_residual_and_goes_when_the_solve_is_over() {
    let (_directory, path) = slow_system();
    let (shown, code) = at_a_terminal(&format!("solve {path} {SLOWLY}"));
    assert_eq!(code, Some(1), "{shown}");
    let drawn: Vec<Drawn> = shown.split('\r').filter_map(drawing).collect();
    assert!(drawn.len() >= 3, "a bar that is redrawn for a second: {shown}");
    for pair in drawn.windows(2) {
        assert!(pair[0].iteration <= pair[1].iteration, "{pair:?}");
        assert!(pair[0].residual >= pair[1].residual, "{pair:?}");
        assert!(pair[0].percent <= pair[1].percent && pair[1].percent <= 100, "{pair:?}");
    }
    let (first, last) = (&drawn[0], &drawn[drawn.len() - 1]);
    assert!(first.iteration < last.iteration && first.residual > last.residual, "{drawn:?}");
    // It is wiped before the summary, so that nothing of it stays on the screen.
    let (_, summary) = shown.rsplit_once("\x1b[2K").expect("the bar is wiped");
    assert!(drawing(summary).is_none() && summary.contains("time budget"), "{summary}");
}

#[test]
fn in_a_pipe_there_is_no_bar() {
    let (_directory, path) = slow_system();
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["solve", &path, "--max-iterations", "20", "--method", "jacobi"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(all).unwrap();
    assert!(!text.contains('\x1b') && !text.contains('\r') && !text.contains("━"), "{text}");
}

#[test]
fn the_demo_draws_its_curve_in_place_and_in_colour() {
    let (shown, code) = at_a_terminal("demo --side 150");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("All 7 claims held"), "{shown}");
    // Ten lines up and all below wiped, then drawn again.
    assert!(shown.contains("\x1b[10A\x1b[J"), "the curve is drawn again: {shown}");
    assert!(shown.contains("\x1b[36m") && shown.contains("\x1b[32m✓"), "{shown}");
}
