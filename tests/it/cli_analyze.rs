//! `weir analyze` and `weir generate` as a person or a script starts them.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};

fn weir(directory: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built for this test")
}

fn grid(name: &str) -> String {
    format!("{}/scenarios/systems/{name}.mtx", env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_report_names_what_decides() {
    let output = weir(&TempDir::new().unwrap(), &["analyze", &grid("case9241pegase")]);
    assert_eq!(output.status.code(), Some(0));
    let report = text(&output.stdout);
    for part in [
        "9,240 by 9,240, 37,644 entries",
        "25 of 9,240 rows fall short",
        "cg            impossible",
        "(322, 322) is -87.72",
    ] {
        assert!(report.contains(part), "no `{part}` in\n{report}");
    }
    assert!(report.lines().all(|line| line.chars().count() <= 110), "{report}");
}

#[test]
fn the_document_holds_a_verdict_for_every_method() {
    let output = weir(&TempDir::new().unwrap(), &["analyze", "--json", &grid("ieee118")]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["order"], 117);
    assert_eq!(document["symmetry"]["values"], true);
    assert_eq!(document["row_dominance"]["kind_up_to_rounding"], "irreducible");
    let methods: Vec<&str> = document["prospects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|prospect| prospect["method"].as_str().unwrap())
        .collect();
    assert_eq!(methods, ["jacobi", "gauss_seidel", "cg", "bicgstab", "gmres", "direct", "hybrid"]);
}

#[test]
fn the_pattern_is_drawn_as_svg_and_as_png() {
    let directory = TempDir::new().unwrap();
    for name in ["pattern.svg", "pattern.png"] {
        let output = weir(&directory, &["analyze", &grid("ieee118"), "--picture", name]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let svg = std::fs::read_to_string(directory.path().join("pattern.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("n = 117   463 entries"));
    let png = std::fs::File::open(directory.path().join("pattern.png")).unwrap();
    let mut reader = png::Decoder::new(std::io::BufReader::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert!(frame.width > 700 && frame.height > 700);
    assert!(pixels.iter().any(|channel| *channel < 0x30), "something dark is drawn");
}

#[test]
fn bad_input_says_what_to_mend() {
    let directory = TempDir::new().unwrap();
    std::fs::write(
        directory.path().join("wide.mtx"),
        "%%MatrixMarket matrix coordinate real general\n2 3 1\n1 1 1\n",
    )
    .unwrap();
    for (arguments, message) in [
        (&["analyze", "absent.mtx"][..], "absent.mtx: "),
        (&["analyze", "wide.mtx"], "cols: expected as many columns as rows, 2, found 3"),
        (&["analyze", "wide.mtx", "--picture", "x.jpg"], "must end in .svg or .png"),
        (&["generate", "poisson-2d", "--side", "0"], "`side` must be 1 to "),
        (&["generate", "poisson-2d", "-o", "no/such/place.mtx"], "cannot write no/such/place.mtx"),
        (&["generate", "dominant", "-o", "-", "--known-solution"], "only the matrix fits"),
    ] {
        let output = weir(&directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let complaint = text(&output.stderr);
        assert!(complaint.contains(message), "{arguments:?}: {complaint}");
    }
}

#[test]
fn every_kind_is_generated_and_read_back() {
    let directory = TempDir::new().unwrap();
    for (kind, sizes, order) in [
        ("poisson-2d", &["--side", "5"][..], 25),
        ("poisson-3d", &["--side", "3"], 27),
        ("convection-diffusion", &["--side", "4", "--peclet", "9"], 16),
        ("dominant", &["--order", "30", "--seed", "5"], 30),
        ("page-rank", &["--scale", "5"], 32),
        ("resistor-grid", &["--side", "4"], 15),
        ("resistor-graph", &["--nodes", "20"], 19),
    ] {
        let output = weir(&directory, &[&["generate", kind], sizes].concat());
        assert_eq!(output.status.code(), Some(0), "{kind}: {}", text(&output.stderr));
        let matrix = std::fs::read(directory.path().join(format!("{kind}.mtx"))).unwrap();
        let read = read_matrix(&matrix[..], ReadLimits::default()).unwrap();
        assert_eq!(read.rows, order, "{kind}");
        let rhs = std::fs::read(directory.path().join(format!("{kind}_b.mtx"))).unwrap();
        assert_eq!(read_rhs(&rhs[..], order).unwrap().len(), order, "{kind}");
        let streamed = weir(&directory, &[&["generate", kind, "-o", "-"], sizes].concat());
        assert_eq!(streamed.stdout, matrix, "{kind}: the same seed gives the same bytes");
    }
}

#[test]
fn a_known_solution_is_found_again() {
    let directory = TempDir::new().unwrap();
    let made = weir(
        &directory,
        &["generate", "dominant", "--order", "50", "--known-solution", "-o", "d.mtx"],
    );
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let solved = weir(&directory, &["solve", "d.mtx", "--tolerance", "1e-12", "-o", "found.mtx"]);
    assert_eq!(solved.status.code(), Some(0), "{}", text(&solved.stderr));
    let vector = |name: &str| {
        read_rhs(&std::fs::read(directory.path().join(name)).unwrap()[..], 50).unwrap()
    };
    let worst = vector("found.mtx")
        .into_iter()
        .zip(vector("d_x.mtx"))
        .map(|(one, other)| (one - other).abs());
    assert!(worst.fold(0.0, f64::max) < 1e-9);
}
