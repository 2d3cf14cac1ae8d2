//! The path engine: a change of b, a read and a change of A, each against a faer factorisation with the
//! same ordering, in one run.
//!
//! ```text
//! cargo bench --bench path                 both systems
//! cargo bench --bench path -- e            one of them
//! ```
//! A single operation is shorter than what the clock resolves well, so the median is taken over batches
//! of 16 at random places, and the 99th percentile over single operations.

mod harness;

use std::time::Duration;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::linalg::cholesky::{
    CholeskySymbolicParams, LdltRef, SymbolicCholesky, SymmetricOrdering,
    factorize_symbolic_cholesky,
};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par, Side};
use harness::places::{BATCH, Place, places, typical};
use harness::{arguments, median, systems, timed};
use weir::runtime::clock::Clock;
use weir::solver::gallery;
use weir::solver::path::{PathEngine, PathLimits, PathPlan};
use weir::solver::system::LinearSystem;

fn main() {
    let asked = arguments();
    for (letter, name) in [("e", "case9241pegase"), ("p", "Poisson 300 x 300")] {
        if asked.is_empty() || asked.iter().any(|asked| asked == letter) {
            measure(name, &system(letter));
        }
    }
}

fn system(letter: &str) -> LinearSystem {
    match letter {
        "p" => gallery::poisson_2d(300, 7).expect("the size is in range"),
        letter => systems::system(letter),
    }
}

fn measure(name: &str, system: &LinearSystem) {
    let clock = Clock::system();
    let limits = PathLimits { memory_bytes_max: 4 << 30, flops_max: 1e12 };
    let turns = 5;
    let mut set_ups = vec![];
    let mut factorisations = vec![];
    let mut engine = None;
    for _ in 0..turns {
        let (took, plan) = timed(&clock, || PathPlan::of(system.rows(), limits).expect("a plan"));
        set_ups.push(took);
        if engine.is_none() {
            println!("\n{name}: {:?}", plan.forecast());
        }
        let (took, made) = timed(&clock, || {
            PathEngine::factor(plan, system.rows(), system.rhs()).expect("regular")
        });
        factorisations.push(took);
        engine = Some(made);
    }
    let mut engine = engine.expect("at least one turn");
    let peer = Peer::new(system);
    let (mut refactored, mut solved, mut passes) = (vec![], vec![], vec![]);
    let mut x = vec![0.0; system.order()];
    for _ in 0..turns {
        let (took, values) = timed(&clock, || peer.factor(system));
        refactored.push(took);
        let (took, ()) = timed(&clock, || peer.solve(&values, system.rhs(), &mut x));
        solved.push(took);
        let (took, ()) = timed(&clock, || engine.solution(&mut x).expect("finite"));
        passes.push(took);
    }
    let whole = median(&refactored) + median(&solved);
    println!("plan {:?}, factor and check {:?}", median(&set_ups), median(&factorisations));
    println!("all of x, one pass over M: {:?}", median(&passes));
    println!("faer LDLᵀ: refactorisation {:?}, solve {:?}", median(&refactored), median(&solved));
    println!("{:<28} {:>11} {:>11} {:>9}", "", "median", "p99", "ratio");
    let order = system.order();
    let places = places(system, BATCH * 2_000);
    report(&clock, "change of b", median(&solved), &places, |(row, _, _, _)| {
        engine.change_rhs(row, 1e-6).expect("finite");
    });
    report(&clock, "change of b and a read", median(&solved), &places, |(row, _, _, other)| {
        engine.change_rhs(row, 1e-6).expect("finite");
        std::hint::black_box(engine.read(other as usize % order).expect("finite"));
    });
    let mut turn = 0.0;
    report(&clock, "change of A", whole, &places, |(row, col, value, _)| {
        // There and back, so that the matrix stays where it is.
        turn = if turn == 1e-3 { -1e-3 } else { 1e-3 };
        std::hint::black_box(engine.change_entry(row, col, turn * value)).expect("regular");
    });
    println!("wear {:e}", engine.wear());
}

fn report(clock: &Clock, name: &str, peer: Duration, places: &[Place], work: impl FnMut(Place)) {
    let (typical, slow) = typical(clock, places, work);
    let ratio = peer.as_secs_f64() / typical.as_secs_f64();
    println!("{name:<28} {typical:>11.2?} {slow:>11.2?} {ratio:>8.1}x");
}

/// faer's LDLᵀ on a symbolic factor that is kept.
struct Peer {
    symbolic: SymbolicCholesky<u32>,
}

impl Peer {
    fn new(system: &LinearSystem) -> Self {
        let params = CholeskySymbolicParams::default();
        let pattern = pattern(system);
        let symbolic =
            factorize_symbolic_cholesky(pattern, Side::Upper, SymmetricOrdering::Amd, params)
                .expect("it fits");
        Self { symbolic }
    }

    fn factor(&self, system: &LinearSystem) -> Vec<f64> {
        let mut values = vec![0.0; self.symbolic.len_val()];
        let scratch =
            self.symbolic.factorize_numeric_ldlt_scratch::<f64>(Par::Seq, Default::default());
        let mut memory = MemBuffer::new(scratch);
        let matrix = SparseColMatRef::new(pattern(system), system.rows().values);
        self.symbolic
            .factorize_numeric_ldlt(
                &mut values,
                matrix,
                Side::Upper,
                Default::default(),
                Par::Seq,
                MemStack::new(&mut memory),
                Default::default(),
            )
            .expect("no pivot vanishes");
        values
    }

    fn solve(&self, values: &[f64], rhs: &[f64], x: &mut [f64]) {
        x.copy_from_slice(rhs);
        let mut memory = MemBuffer::new(self.symbolic.solve_in_place_scratch::<f64>(1, Par::Seq));
        let count = x.len();
        LdltRef::new(&self.symbolic, values).solve_in_place_with_conj(
            Conj::No,
            MatMut::from_column_major_slice_mut(x, count, 1),
            Par::Seq,
            MemStack::new(&mut memory),
        );
    }
}

fn pattern(system: &LinearSystem) -> SymbolicSparseColMatRef<'_, u32> {
    let (n, rows) = (system.order(), system.rows());
    SymbolicSparseColMatRef::new_checked(n, n, rows.pointers, None, rows.indices)
}
