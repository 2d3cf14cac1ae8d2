//! G10 and G11: single entries without a solve. G12: what keeping a bound costs, and that none fails.

use std::time::Duration;

use weir::runtime::clock::Clock;
use weir::solver::gallery;
use weir::solver::proof::entry::{bidirectional, push};

use crate::harness::session::{Contender, Tally, solved};
use crate::harness::single::{Asked, Prepared, ask, dominant_grid, gauss_seidel, keeping};
use crate::harness::systems::system;
use crate::harness::{changes, timed, with_threads};
use crate::storm;
use crate::table::{Row, duration};

const ACCURACY: f64 = 1e-3;

/// What push over-relaxes with on the dominant grid.
const RELAXATION: f64 = 1.3;

/// The bound of an estimate holds with this probability of failure: that of one standard error.
const ONE_SIGMA: f64 = 0.3173;

pub fn grid(goal: &'static str, orders: &[usize]) -> Vec<Row> {
    let mut rows = vec![];
    let mut least = None;
    for &order in orders {
        let prepared = Prepared::of(dominant_grid(order));
        let (full, sweeps, x) = with_threads(1, || gauss_seidel(&prepared, ACCURACY));
        let norm = x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        let Asked { took, touched, .. } = ask(&prepared, |entry, space| {
            push(&prepared.query(entry, ACCURACY * norm, RELAXATION), space).expect("a query")
        });
        let first = *least.get_or_insert(touched);
        if order > 10_000 {
            let times = if order > 1_000_000 { 6_000.0 } else { 1_000.0 };
            let peer = vec![(format!("{sweeps} sweeps and a proof"), Ok(full))];
            let work = format!("dominant grid, n = {order}: one entry to 1e-3, proven");
            let note = format!("{touched} entries touched");
            rows.push(Row::race(goal, work, (took, note), &peer, times));
            rows.push(Row::figure(
                goal,
                format!("entries touched at n = {order} to those at n = {}", orders[0]),
                touched.to_string(),
                (touched as f64 / first as f64, 1.1, ""),
                "",
            ));
        }
    }
    rows
}

pub fn expander(goal: &'static str, orders: &[usize]) -> Vec<Row> {
    let of = |&order: &usize| {
        let system = gallery::diagonally_dominant(order, 5 * order, 1).expect("in range");
        let prepared = Prepared::of(system);
        let (full, sweeps, x) = with_threads(1, || gauss_seidel(&prepared, ACCURACY));
        let norm = x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        let Asked { took, touched, last } = ask(&prepared, |entry, space| {
            let query = prepared.query(entry, ACCURACY * norm, 1.0);
            bidirectional(&query, ONE_SIGMA, 3, space).expect("a query")
        });
        let times = if order > 1_000_000 { 2_000.0 } else { 100.0 };
        let peer = vec![(format!("{sweeps} sweeps and a proof"), Ok(full))];
        let work = format!("random expander, n = {order}: one entry, standard error 1e-3");
        let note = format!("{touched} entries touched, {} walks", last.walks);
        Row::race(goal, work, (took, note), &peer, times)
    };
    orders.iter().map(of).collect()
}

pub fn certificate(goal: &'static str) -> Vec<Row> {
    let clock = Clock::system();
    let (took, seen) = timed(&clock, || storm::storm(1_000_000, 1));
    let (keeping, _) = keeping(&clock);
    let change = with_threads(1, change_of_a);
    let part = 100.0 * keeping.as_secs_f64() / change.as_secs_f64();
    vec![
        Row::figure(
            goal,
            "violations in 1,000,000 random changes of random H-matrices",
            "0".to_owned(),
            (0.0, 0.0, ""),
            format!("each judged without rounding, {:.0} s; {seen:?}", took.as_secs_f64()),
        ),
        Row::figure(
            goal,
            "keeping the bound, of one change of an entry on a",
            duration(keeping),
            (part, 10.0, " %"),
            format!("of {} for the change", duration(change)),
        ),
    ]
}

/// One change of an entry of `A`, worked in; the mean.
fn change_of_a() -> Duration {
    const CHANGES: u32 = 2_000;
    let mut live = solved(system("a"));
    let mut governor = Contender::governor();
    governor.prepare(&mut live);
    let mut draws = changes::Draws::seeded(5);
    let mut took = Duration::ZERO;
    for _ in 0..CHANGES {
        let delta = changes::change(live.live(), changes::Target::Entries, &mut draws);
        let (spent, ()) = timed(&Clock::system(), || {
            live.apply(&delta).expect("a change of what is held");
            governor.settle(&mut live, &mut Tally::default(), Duration::MAX);
        });
        took += spent;
    }
    took / CHANGES
}
