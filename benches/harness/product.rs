//! The product with `A` against the memory of the machine.

use std::time::Duration;

use rayon::prelude::*;
use weir::runtime::clock::Clock;
use weir::solver::analysis::Analysis;
use weir::solver::engine::Engine;
use weir::solver::options::{MethodName, PreconditionerName, SolveOptions};
use weir::solver::system::LinearSystem;

use super::{Contender, Measured, Timed, race, timed};

/// An engine that iterates on the system: its arrays lie in memory as a solve has them.
fn begun(system: LinearSystem) -> Engine {
    let options = SolveOptions {
        method: MethodName::Bicgstab,
        preconditioner: Some(PreconditionerName::Jacobi),
        ..SolveOptions::default()
    };
    let analysis = Analysis::of(&system);
    let mut engine = Engine::new(system, analysis, None, options).expect("the diagonal is full");
    for _ in 0..3 {
        engine.step();
    }
    engine
}

/// `y = A x` against a triad `a = b + s c` over arrays of the same memory, both counted in bytes that
/// must move for compressed rows: 12 for an entry, 4 for a row pointer, 8 for `x`, 16 for `y` (a store
/// reads the line first); 32 for an element of the triad. Where rows repeat their stencil weir reads no
/// indices and fewer bytes than that, so its rate may exceed the triad's.
pub fn race_product(clock: &Clock, system: LinearSystem) -> Vec<Measured> {
    let engine = begun(system);
    let system = engine.system();
    let (n, nonzeros) = (system.order(), system.nonzeros());
    let x: Vec<f64> = (0..n).map(|i| 1.0 + i as f64 / n as f64).collect();
    let (mut y, mut naive) = (vec![0.0; n], vec![0.0; n]);
    let product_bytes = 12 * nonzeros + 28 * n;
    let length = product_bytes / 32;
    let (b, c) = (vec![1.0_f64; length], vec![2.0_f64; length]);
    let mut a = vec![0.0_f64; length];
    let speed = |took: Duration| Timed {
        took,
        note: format!("{:.1} GB/s", product_bytes as f64 / took.as_secs_f64() / 1e9),
    };
    let measured = race(
        25,
        true,
        vec![
            Contender::new("weir product", || {
                speed(timed(clock, || system.rows().product(&x, &mut y)).0)
            }),
            Contender::new("sprs product, one thread", || {
                naive.fill(0.0);
                speed(
                    timed(clock, || {
                        sprs::prod::mul_acc_mat_vec_csr(
                            system.matrix().view(),
                            &x[..],
                            &mut naive[..],
                        );
                    })
                    .0,
                )
            }),
            Contender::new("triad of as many bytes, all threads", || {
                let triad = || {
                    a.par_chunks_mut(1 << 14)
                        .zip(b.par_chunks(1 << 14))
                        .zip(c.par_chunks(1 << 14))
                        .for_each(|((a, b), c)| {
                            a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + 3.0 * c);
                        });
                };
                speed(timed(clock, triad).0)
            }),
        ],
    );
    assert!(
        y.iter()
            .zip(&naive)
            .all(|(one, other)| (one - other).abs() <= 1e-12 * other.abs().max(1.0))
    );
    measured
}
