//! `weir demo` as a person starts it: the real binary, to its end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use crate::http::client::get;

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("demo")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built for this test")
}

#[test]
fn the_demo_runs_to_its_end_and_every_claim_holds() {
    let output = demo(&["--side", "100"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for said in [
        "9,240 unknowns, 37,644 entries, symmetric, INDEFINITE",
        "cg cannot solve it",
        "422",
        "All 7 claims held",
        "curl -N -F matrix=@scenarios/systems/case9241pegase.mtx",
        "┤",
    ] {
        assert!(text.contains(said), "`{said}` is not in:\n{text}");
    }
    assert!(!text.contains('✗') && !text.contains('\x1b'), "{text}");
}

#[test]
fn a_grid_that_is_out_of_range_is_an_error_of_the_command_line() {
    assert_eq!(demo(&["--side", "1"]).status.code(), Some(2));
}

/// A demo that stays up; killed when the test is over.
struct Staying(Child);

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_demo_that_serves_stays_up_with_its_sessions_until_it_is_interrupted() {
    let child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["demo", "--serve", "--side", "50"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut demo = Staying(child);
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut said = String::new();
    let address = loop {
        let line = lines.next().unwrap_or_else(|| panic!("no invitation in:\n{said}"));
        if let Some((_, rest)) = line.split_once("the page is http://") {
            break rest.split('/').next().unwrap().parse().unwrap();
        }
        said += &format!("{line}\n");
    };
    assert!(said.contains("All 7 claims held"), "{said}");
    assert!(get(address, "/").text().contains("<title>"), "the page is served");
    let status = get(address, "/api/v1/status").json();
    assert_eq!(status["sessions"].as_array().map(Vec::len), Some(4), "what was shown: {status}");
    // The invitation's last line says how to end it; only then does it listen for that.
    assert!(lines.any(|line| line.contains("ctrl-c")));

    let id = demo.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(demo.0.wait().unwrap().code(), Some(0));
    assert_eq!(lines.next(), None, "it ends without another word");
}
