//! Operations at random places of a matrix, each too short for the clock.

use std::time::Duration;

use weir::runtime::clock::Clock;
use weir::solver::system::LinearSystem;

use super::changes::Draws;
use super::{median, quantile, timed};

/// Operations that are timed together.
pub const BATCH: usize = 16;

/// An entry that is stored, and a number for another choice.
pub type Place = (usize, usize, f64, u32);

pub fn places(system: &LinearSystem, count: usize) -> Vec<Place> {
    let mut draws = Draws::seeded(3);
    let rows = system.rows();
    let mut one = |_| {
        let entry = draws.below(system.nonzeros());
        let row = rows.pointers.partition_point(|&start| start as usize <= entry) - 1;
        let other = draws.below(u32::MAX as usize) as u32;
        (row, rows.indices[entry] as usize, rows.values[entry], other)
    };
    (0..count).map(&mut one).collect()
}

/// The median over batches, and the 99th percentile over single operations.
pub fn typical(
    clock: &Clock,
    places: &[Place],
    mut work: impl FnMut(Place),
) -> (Duration, Duration) {
    let (mut batches, mut singles) = (vec![], vec![]);
    for (number, batch) in places.chunks(BATCH).enumerate() {
        if number % 2 == 0 {
            let (took, ()) = timed(clock, || batch.iter().for_each(|place| work(*place)));
            batches.push(took / BATCH as u32);
        } else {
            for place in batch {
                singles.push(timed(clock, || work(*place)).0);
            }
        }
    }
    (median(&batches), quantile(&singles, 0.99))
}
