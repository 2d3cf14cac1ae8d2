//! The goals G1 to G14 as one table, ours beside the peers, on the same systems in one run.
//!
//! ```text
//! cargo bench --bench goals                        everything (about half an hour)
//! cargo bench --bench goals -- G1 G5               some of them
//! cargo bench --bench goals -- G4 --seconds 20     longer for each batch size (5)
//! cargo bench --bench goals -- G13 a e             some systems of the storms through HTTP
//! cargo bench --bench goals -- G10 --orders 10000,1000000
//! ```
//! `benches/peers/install.sh` makes the peers ready; one that is missing is left out. Unless a row says
//! otherwise both sides run on one thread and are timed by the processor: ours by the mean over the
//! second half of the rounds (the governor learns in the first), peers by their mean. On G10, G11 the
//! peer is our own Gauss–Seidel to the same certificate, on G14 a triad of as many bytes.

#[path = "../../tests/it/proof/exact.rs"]
mod exact;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../../tests/it/proof/storm.rs"]
mod storm;

mod cold;
mod kept;
mod path;
mod peers;
mod single;
mod staleness;
mod table;

use std::path::Path;

use harness::product::race_product;
use harness::systems::system;
use harness::{arguments, flag, with_threads};
use peers::Peers;
use table::{Row, print_head};
use weir::runtime::clock::Clock;

/// What was asked on the command line.
struct Asked {
    words: Vec<String>,
    seconds: f64,
    orders: Vec<usize>,
}

impl Asked {
    fn of(words: Vec<String>) -> Self {
        let seconds = flag(&words, "--seconds").map_or(5.0, |text| text.parse().expect("seconds"));
        let orders = flag(&words, "--orders").unwrap_or("10000,1000000,10000000");
        let orders = orders.split(',').map(|text| text.parse().expect("an order")).collect();
        Self { words, seconds, orders }
    }

    fn wants(&self, goal: &str) -> bool {
        let is_goal = |word: &&String| word.starts_with('G');
        self.words.iter().filter(is_goal).count() == 0 || self.words.iter().any(|w| w == goal)
    }

    fn wants_system(&self, letter: &str) -> bool {
        let is_letter = |word: &&String| word.len() == 1;
        self.words.iter().filter(is_letter).count() == 0 || self.words.iter().any(|w| w == letter)
    }
}

fn main() {
    let asked = Asked::of(arguments());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/systems");
    std::fs::create_dir_all(&folder).expect("a folder for the peers' files");
    let peers = Peers::default();
    print_head();
    let print = |rows: Vec<Row>| rows.iter().for_each(Row::print);
    for goal in ["G1", "G2"].into_iter().filter(|goal| asked.wants(goal)) {
        print(path::measure(goal, &folder, &peers));
    }
    for number in 3..=14 {
        let goal = format!("G{number}");
        if asked.wants(&goal) {
            measure(number, &asked, &folder, &peers);
        }
    }
}

fn measure(number: u32, asked: &Asked, folder: &Path, peers: &Peers) {
    let print = |rows: Vec<Row>| rows.iter().for_each(Row::print);
    match number {
        6 => print(cold::measure("G6", folder, peers)),
        10 => print(single::grid("G10", &asked.orders)),
        11 => {
            let large = asked.orders.iter().copied().filter(|order| *order > 10_000);
            print(single::expander("G11", &large.collect::<Vec<_>>()));
        }
        12 => print(single::certificate("G12")),
        13 => {
            let address = harness::http::start_server();
            let seconds = asked.seconds.ceil() as u64;
            let systems = staleness::SYSTEMS.into_iter();
            let storms = systems.map(|pair| (pair, staleness::STORM));
            let singles = staleness::SINGLES.into_iter().map(|pair| (pair, staleness::SINGLE));
            let all = storms.chain(singles);
            for (pair, rate) in all.filter(|((letter, _), _)| asked.wants_system(letter)) {
                staleness::measure("G13", address, pair, rate, seconds).print();
            }
        }
        14 => print(["c", "d"].into_iter().flat_map(product).collect()),
        number => {
            let goal = format!("G{number}");
            let found = kept::GOALS.iter().find(|kept| kept.goal == goal);
            let found = found.expect("the rest are systems kept solved");
            print(kept::measure(found, folder, peers, asked.seconds));
        }
    }
}

/// G14, with one thread and with two.
fn product(letter: &str) -> Vec<Row> {
    let clock = Clock::system();
    let of = |threads: usize| {
        let measured = with_threads(threads, || race_product(&clock, system(letter)));
        let ours = &measured[0];
        let triad = measured.last().expect("a race has contenders");
        let found = ours.median.as_secs_f64() / triad.median.as_secs_f64();
        let plural = if threads == 1 { "thread" } else { "threads" };
        Row::figure(
            "G14",
            format!("{letter}: product with A to a triad of as many bytes, {threads} {plural}"),
            table::duration(ours.median),
            (found, 1.3, "x"),
            format!("triad {}", table::duration(triad.median)),
        )
    };
    vec![of(1), of(2)]
}
