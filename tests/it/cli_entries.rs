//! `weir solve --entries` as a person or a script starts it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use weir::solver::gallery;
use weir::solver::matrix_market::{write_matrix, write_vector};
use weir::solver::system::LinearSystem;

use crate::support::{dense_solution, solve};

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("solve")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built for this test")
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn written(directory: &TempDir, system: &LinearSystem) -> String {
    let path = directory.path().join("A.mtx");
    write_matrix(&mut std::fs::File::create(&path).unwrap(), system.matrix(), &[]).unwrap();
    let rhs = directory.path().join("A_b.mtx");
    write_vector(&mut std::fs::File::create(rhs).unwrap(), system.rhs(), &[]).unwrap();
    path.to_str().unwrap().to_owned()
}

fn grid(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/systems/{name}.mtx"));
    path.to_str().unwrap().to_owned()
}

#[test]
fn entries_of_files_are_within_their_proven_bounds() {
    let directory = TempDir::new().unwrap();
    let system = gallery::diagonally_dominant(200, 1_000, 3).unwrap();
    let dense = (0..200).map(|row| {
        let mut entries = vec![0.0; 200];
        let (cols, values) = system.rows().row(row);
        cols.iter().zip(values).for_each(|(&col, value)| entries[col as usize] = *value);
        entries
    });
    let x = dense_solution(&dense.collect(), system.rhs()).unwrap();
    let path = written(&directory, &system);
    let output = weir(&[&path, "--entries", "0,150,199", "--accuracy", "1e-5", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer = document(&output);
    for (entry, index) in answer["entries"].as_array().unwrap().iter().zip([0, 150, 199]) {
        assert_eq!(
            (&entry["entry"], &entry["error_bound"]["kind"]),
            (&index.into(), &"proven".into())
        );
        let bound = entry["error_bound"]["absolute"].as_f64().unwrap();
        assert!((entry["value"].as_f64().unwrap() - x[index]).abs() <= bound + 1e-13, "{entry}");
        assert!(bound <= 1e-5 * x[index].abs() * (1.0 + 1e-9), "{entry}");
    }
}

#[test]
fn grids_are_read_along_a_path_and_people_are_told() {
    let output = weir(&[&grid("case9241pegase"), "--entries", "17", "--accuracy", "1e-7"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["9,240 unknowns", "x[17]", "estimated", "path: ", "exact factorisation"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_path_read_agrees_with_a_solve() {
    let system = {
        let file = std::fs::File::open(grid("case9241pegase")).unwrap();
        let limits = weir::solver::matrix_market::ReadLimits::default();
        let read = weir::solver::matrix_market::read_matrix(std::io::BufReader::new(file), limits)
            .unwrap();
        LinearSystem::assemble(read.rows, read.cols, read.arrays, vec![1.0; read.rows]).unwrap()
    };
    let directory = TempDir::new().unwrap();
    let path = written(&directory, &system);
    let output = weir(&[&path, "--entries", "5,9239", "--absolute-accuracy", "1e-4", "--json"]);
    let answer = document(&output);
    let options = weir::solver::options::SolveOptions {
        tolerance: 1e-12,
        ..weir::solver::options::SolveOptions::default()
    };
    let x = solve(system, None, options).unwrap().x;
    for (entry, index) in answer["entries"].as_array().unwrap().iter().zip([5, 9_239]) {
        let bound = entry["error_bound"]["absolute"].as_f64().unwrap();
        let error = (entry["value"].as_f64().unwrap() - x[index]).abs();
        assert!(error <= 2.0 * bound && entry["end"] == "reached", "{error:e}: {entry}");
    }
}

#[test]
fn what_is_not_reached_exits_with_1_and_what_makes_no_sense_with_2() {
    let directory = TempDir::new().unwrap();
    let path = written(&directory, &gallery::poisson_2d(100, 3).unwrap());
    let short =
        weir(&[&path, "--entries", "5050", "--accuracy", "1e-9", "--touched-max", "100000"]);
    assert_eq!(short.status.code(), Some(1), "{short:?}");
    assert!(String::from_utf8_lossy(&short.stdout).contains("budget"), "{short:?}");
    let ieee = grid("ieee118");
    let many = vec!["1"; 1_001].join(",");
    for (arguments, says) in [
        (vec!["--entries", "5,900"], "900"),
        (vec!["--entries", "x"], "x"),
        (vec!["--entries", &many], "1000"),
        (vec!["--entries", "1", "--accuracy", "2"], "below 1"),
        (vec!["--entries", "1", "--confidence", "0.1"], "0.5"),
        (vec!["--entries", "1", "--method", "cg"], "--method"),
        (vec!["--accuracy", "1e-3"], "--entries"),
    ] {
        let output = weir(&[&[ieee.as_str()], arguments.as_slice()].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: `{says}` is not in: {error}");
    }
}
