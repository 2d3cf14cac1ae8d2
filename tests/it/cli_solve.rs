//! `weir solve` as a person or a script starts it: the real binary, files, exit codes, documents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use weir::solver::gallery;
use weir::solver::matrix_market::{read_rhs, write_matrix, write_vector};
use weir::solver::system::LinearSystem;

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built for this test")
}

/// Runs `weir solve … --json` and returns the exit code and the document.
fn solve(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = weir(&[&["solve", "--json"], arguments].concat());
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {output:?}");
    });
    (output.status.code(), document)
}

/// The plan's 9.1 example, mended: x = 2.5, 4, 3.5.
const THREE: &str = "%%MatrixMarket matrix coordinate real symmetric
3 3 5
1 1 2
2 1 -1
2 2 2
3 2 -1
3 3 2
";
const THREE_RHS: &str = "1\n2\n3\n";

struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `NAME.mtx` with `NAME_b.mtx` beside it.
    fn system(&self, name: &str, system: &LinearSystem) -> String {
        let path = self.path(&format!("{name}.mtx"));
        write_matrix(&mut fs::File::create(&path).unwrap(), system.matrix(), &[]).unwrap();
        let rhs = self.path(&format!("{name}_b.mtx"));
        write_vector(&mut fs::File::create(rhs).unwrap(), system.rhs(), &[]).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn grid(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("scenarios/systems/{name}.mtx"))
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_mended_example_of_the_plan_is_solved_and_written() {
    let files = Files::new();
    let matrix = files.text("three.mtx", THREE);
    let rhs = files.text("right.txt", THREE_RHS);
    let solution = files.path("x.mtx");
    let (code, report) = solve(&[&matrix, &rhs, "-o", solution.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert_eq!(report["converged"], true);
    assert_eq!(report["rhs_source"], "given");
    let x = read_rhs(fs::read(solution).unwrap().as_slice(), 3).unwrap();
    for (found, expected) in x.iter().zip([2.5, 4.0, 3.5]) {
        assert!((found - expected).abs() < 1e-6, "{x:?}");
    }
}

#[test]
fn the_right_hand_side_lies_beside_the_matrix_or_is_ones() {
    let files = Files::new();
    let matrix = files.text("three.mtx", THREE);
    assert_eq!(solve(&[&matrix]).1["rhs_source"], "ones");
    let output = weir(&["solve", &matrix]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("all ones"), "{output:?}");
    files.text("three_b.mtx", THREE_RHS);
    let (_, report) = solve(&[&matrix]);
    assert_eq!(report["rhs_source"], "beside");
    assert!(report["rhs"].as_str().unwrap().ends_with("three_b.mtx"));
}

#[test]
fn a_dash_sends_the_solution_to_standard_output_and_the_summary_elsewhere() {
    let files = Files::new();
    let matrix = files.text("three.mtx", THREE);
    files.text("three_b.mtx", THREE_RHS);
    let output = weir(&["solve", &matrix, "-o", "-"]);
    let x = read_rhs(output.stdout.as_slice(), 3).unwrap();
    assert!((x[1] - 4.0).abs() < 1e-6, "{x:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("converged"), "{output:?}");
    let both = weir(&["solve", &matrix, "-o", "-", "--json"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_piped_solve_draws_no_bar() {
    let files = Files::new();
    let matrix = files.system("poisson", &gallery::poisson_2d(40, 1).unwrap());
    let output = weir(&["solve", &matrix]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.contains(&0x1b), "no escapes in a pipe");
}

#[test]
fn an_iteration_limit_stops_with_its_reason_and_the_state_it_reached() {
    let files = Files::new();
    let matrix = files.system("poisson", &gallery::poisson_2d(40, 1).unwrap());
    let (code, report) = solve(&[&matrix, "--method", "jacobi", "--max-iterations", "5"]);
    assert_eq!(code, Some(1));
    assert_eq!(report["ended"], "max_iterations");
    assert_eq!(report["iterations"], 5);
    let relative = report["relative_residual"].as_f64().unwrap();
    assert!(relative > 1e-8 && relative < 1.0, "{relative}");
}

#[test]
fn a_time_budget_of_a_second_is_kept() {
    let files = Files::new();
    let matrix = files.system("poisson", &gallery::poisson_2d(300, 1).unwrap());
    let arguments = ["--method", "jacobi", "--max-iterations", "1000000000", "--time-budget", "1s"];
    let (code, report) = solve(&[&[matrix.as_str()][..], &arguments].concat());
    assert_eq!(code, Some(1));
    assert_eq!(report["ended"], "time_budget");
    let iterate = report["seconds"]["iterate"].as_f64().unwrap();
    assert!((0.9..3.0).contains(&iterate), "{iterate} s");
    assert!(report["iterations"].as_u64().unwrap() > 10);
}

#[test]
fn a_strictly_dominant_system_comes_with_a_proven_error_bound() {
    let files = Files::new();
    let system = gallery::diagonally_dominant(500, 2_500, 3).unwrap();
    let (system, expected) = gallery::with_known_solution(system, 4);
    let matrix = files.system("dominant", &system);
    let solution = files.path("x.mtx");
    let (code, report) = solve(&[&matrix, "-o", solution.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    let bound = report["error_bound_infinity"].as_f64().expect("a bound");
    let x = read_rhs(fs::read(solution).unwrap().as_slice(), 500).unwrap();
    let error = x.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error <= bound && bound < 1e-5, "error {error:e}, bound {bound:e}");
}

#[test]
fn a_method_that_cannot_work_is_refused_with_the_one_that_can() {
    let files = Files::new();
    let matrix = files.system("dominant", &gallery::diagonally_dominant(50, 250, 3).unwrap());
    let (code, report) = solve(&[&matrix, "--method", "cg"]);
    assert_eq!(code, Some(1));
    assert_eq!(report["ended"], "refused");
    let detail = report["detail"].as_str().unwrap();
    assert!(detail.contains("symmetric") && detail.contains("try "), "{detail}");
}

#[test]
fn an_initial_guess_that_is_exact_needs_no_iteration() {
    let files = Files::new();
    let matrix = files.text("three.mtx", THREE);
    files.text("three_b.mtx", THREE_RHS);
    let guess = files.text("x0.txt", "2.5\n4\n3.5\n");
    let (code, report) =
        solve(&[&matrix, "--initial-guess", &guess, "--method", "jacobi", "--max-iterations", "1"]);
    assert_eq!((code, &report["iterations"]), (Some(0), &Value::from(0)));
}

#[test]
fn hybrid_solves_every_real_grid() {
    for (name, unknowns) in [
        ("ieee118", 117),
        ("case300", 299),
        ("case1354pegase", 1_353),
        ("case2869pegase", 2_868),
        ("case6470rte", 6_469),
        ("case6515rte", 6_514),
        ("case9241pegase", 9_240),
    ] {
        let (code, report) = solve(&[&grid(name)]);
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(report["unknowns"], unknowns);
        assert_eq!(report["rhs_source"], "beside");
        assert!(report["relative_residual"].as_f64().unwrap() <= 1e-8, "{report}");
        assert!(!report["reasons"].as_array().unwrap().is_empty(), "says why");
    }
}

#[test]
fn indefinite_grids_are_refused_by_what_cannot_converge_on_them_with_the_evidence() {
    for name in ["case300", "case6470rte", "case6515rte", "case9241pegase"] {
        for (method, class) in [
            ("cg", "needs a positive definite matrix"),
            ("jacobi", "not an H-matrix"),
            ("gauss_seidel", "not an H-matrix"),
        ] {
            let output = weir(&["solve", &grid(name), "--method", method]);
            assert_eq!(output.status.code(), Some(1));
            let text = String::from_utf8_lossy(&output.stdout);
            for part in ["NOT CONVERGED", class, "entry", " is -", "try hybrid"] {
                assert!(text.contains(part), "{name}, {method}: `{part}` is not in: {text}");
            }
        }
    }
}

/// Exit code 2, nothing on standard output, and an error that holds all of `says`.
fn check_bad_input(arguments: &[&str], says: &[&str]) {
    let output = weir(&[&["solve"], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    for part in says {
        assert!(error.contains(part), "{arguments:?}: `{part}` is not in: {error}");
    }
}

#[test]
fn files_at_fault_are_named_with_the_place_in_them() {
    let files = Files::new();
    let three = files.text("three.mtx", THREE);
    check_bad_input(&["nowhere.mtx"], &["nowhere.mtx", "No such file"]);
    check_bad_input(&[files.directory.path().to_str().unwrap()], &["directory"]);
    let garbage = files.text("garbage.mtx", "hello\n");
    check_bad_input(&[&garbage], &["garbage.mtx", "line 1"]);
    let outside = files.text("outside.mtx", &THREE.replace("3 3 2", "4 3 2"));
    check_bad_input(&[&outside], &["outside.mtx", "line 7"]);
    let wide = files.text("wide.mtx", "%%MatrixMarket matrix array real general\n1 2\n1\n2\n");
    check_bad_input(&[&wide], &["wide.mtx", "cols"]);
    let short = files.text("short.txt", "1\n2\n");
    check_bad_input(&[&three, &short], &["short.txt", "3"]);
    let nan = files.text("nan.txt", "1\nNaN\n3\n");
    check_bad_input(&[&three, &nan], &["nan.txt", "line 2", "finite"]);
    check_bad_input(&[&three, "--initial-guess", &short], &["short.txt"]);
    let general = "%%MatrixMarket matrix coordinate real general\n4294967295";
    let claim = files.text("claim.mtx", &format!("{general} 4294967295 1\n1 1 1\n"));
    files.text("claim_b.mtx", &format!("{general} 1 1\n1 1 1\n"));
    check_bad_input(&[&claim], &["claim.mtx", "rows"]);
}

#[test]
fn options_at_fault_are_named_as_flags() {
    let files = Files::new();
    let three = files.text("three.mtx", THREE);
    check_bad_input(&[&three, "--tolerance", "0"], &["--tolerance", "found 0"]);
    check_bad_input(&[&three, "--max-iterations", "0"], &["--max-iterations"]);
    check_bad_input(&[&three, "--damping", "2.5"], &["--damping", "2.5"]);
    check_bad_input(&[&three, "--restart", "0"], &["--restart"]);
    check_bad_input(&[&three, "--memory-limit", "0"], &["--memory-limit"]);
    check_bad_input(&[&three, "--method", "magic"], &["--method", "hybrid"]);
    check_bad_input(&[&three, "--time-budget", "5"], &["--time-budget", "unit"]);
    let missing = files.path("missing/x.mtx");
    check_bad_input(&[&three, "-o", missing.to_str().unwrap()], &["cannot write", "missing"]);
    check_bad_input(&[], &["A.mtx"]);
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = weir(&["completions", shell]);
        let script = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        assert!(script.contains("time-budget"), "{shell}: knows the flags of solve");
    }
}
