//! Proven bounds against the true error, and probable ones against how often they may fail.

mod coercive;
mod entries;
mod estimate;
mod exact;
mod inquiry;
mod live;
mod storm;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use weir::solver::matrix_market::{ReadLimits, read_matrix};
use weir::solver::proof::{SearchLimits, WitnessFault, find};
use weir::solver::system::LinearSystem;

fn grid(name: &str) -> LinearSystem {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/systems").join(name);
    let read = read_matrix(BufReader::new(File::open(path).unwrap()), ReadLimits::default());
    let read = read.expect("a matrix");
    let rhs = vec![1.0; read.rows];
    LinearSystem::assemble(read.rows, read.cols, read.arrays, rhs).expect("a system")
}

#[test]
fn the_grid_of_9241_buses_is_refuted_as_an_h_matrix() {
    let system = grid("case9241pegase.mtx");
    let fault = find(system.rows(), SearchLimits::default()).unwrap_err();
    assert!(matches!(fault, WitnessFault::NotHMatrix { .. }), "{fault}");
}

#[test]
fn grids_without_series_capacitors_are_witnessed() {
    for name in ["ieee118.mtx", "case1354pegase.mtx"] {
        let system = grid(name);
        let witness = find(system.rows(), SearchLimits::default()).expect(name);
        assert!(witness.holds() && witness.w_min().1 > 0.0, "{name}");
    }
}
