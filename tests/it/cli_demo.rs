//! `weir demo` as a person starts it: the real binary, to its end.

use std::process::{Command, Output, Stdio};

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
        "All 5 claims held",
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
