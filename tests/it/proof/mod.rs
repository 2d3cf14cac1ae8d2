//! Proven bounds against the true error, and probable ones against how often they may fail.

mod coercive;
mod entries;
mod estimate;
mod exact;
mod inquiry;
mod live;
mod storm;

use weir::solver::proof::{SearchLimits, WitnessFault, find};

use crate::support::grid;

#[test]
fn the_grid_of_9241_buses_is_refuted_as_an_h_matrix() {
    let system = grid("case9241pegase");
    let fault = find(system.rows(), SearchLimits::default()).unwrap_err();
    assert!(matches!(fault, WitnessFault::NotHMatrix { .. }), "{fault}");
}

#[test]
fn grids_without_series_capacitors_are_witnessed() {
    for name in ["ieee118", "case1354pegase"] {
        let system = grid(name);
        let witness = find(system.rows(), SearchLimits::default()).expect(name);
        assert!(witness.holds() && witness.w_min().1 > 0.0, "{name}");
    }
}
