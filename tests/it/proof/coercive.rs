//! Bounds that rest on a factorisation, against the exact solution: random positive definite matrices, near
//! singular ones among them, through changes that come one triangle after the other.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use weir::solver::gallery;
use weir::solver::live::{BoundKind, Change, CostDelta, LiveEnd, LiveEngine, StatedBound};
use weir::solver::options::{MethodName, SolveOptions};
use weir::solver::proof::{CholeskyLimits, Coercivity, Residual, scaled_norm};
use weir::solver::system::LinearSystem;

use super::exact::{self, Exact};
use super::live::{live_by, settle};
use super::storm::{below, signed, uniform};
use crate::support::{Dense, solve, system_of};

const LIMITS: CholeskyLimits = CholeskyLimits { memory_bytes_max: 1 << 30, flops_max: 1e10 };

/// `M Mᵀ` of few columns with a little on the diagonal, the same scaled, or one that is nearly skew.
fn drawn(rng: &mut ChaCha8Rng) -> Dense {
    let n = 1 + below(rng, 8);
    let columns = 1 + below(rng, n + 2);
    let shift = [1.0, 1e-2, 1e-6, 1e-11, 1e-15][below(rng, 5)];
    let m: Dense = (0..n).map(|_| (0..columns).map(|_| signed(rng)).collect()).collect();
    let scale: Vec<f64> = (0..n)
        .map(|_| if below(rng, 4) == 0 { 10f64.powi(below(rng, 41) as i32 - 20) } else { 1.0 })
        .collect();
    let is_skewed = below(rng, 5) == 0;
    let mut a = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let product: f64 = m[i].iter().zip(&m[j]).map(|(a, b)| a * b).sum();
            let value = (product + if i == j { shift } else { 0.0 }) * scale[i] * scale[j];
            a[i][j] = value;
            a[j][i] = value;
            if is_skewed && i != j {
                let skew = 3.0 * signed(rng) * scale[i] * scale[j];
                a[i][j] += skew;
                a[j][i] -= skew;
            }
        }
    }
    a
}

/// What a storm of changes came to.
#[derive(Debug, Default)]
struct Seen {
    proven: u32,
    lost: u32,
    unproven: u32,
    violations: u32,
}

/// Checks every entry after every change; bounds are taken times `part`.
fn storm(seed: u64, systems: usize, part: f64) -> Seen {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = Seen::default();
    for _ in 0..systems {
        let mut a = drawn(&mut rng);
        let n = a.len();
        let b: Vec<f64> = (0..n).map(|_| signed(&mut rng)).collect();
        let system = system_of(&a, b.clone());
        let (proof, _) = Coercivity::prove(system.rows(), LIMITS, &Arc::default());
        let Ok(mut proof) = proof else {
            seen.unproven += 1;
            continue;
        };
        let mut mirror = None;
        for _ in 0..8 {
            check(&a, &b, &mut proof, part, &mut rng, &mut seen);
            let (row, col) = mirror.take().unwrap_or((below(&mut rng, n), below(&mut rng, n)));
            let old = a[row][col];
            // Half of the time the other triangle follows at once.
            let new = match row == col {
                true => old * (1.0 + 0.3 * signed(&mut rng)),
                false if a[col][row] != old && uniform(&mut rng) < 0.5 => a[col][row],
                false => old + 0.1 * signed(&mut rng) * (a[row][row] * a[col][col]).abs().sqrt(),
            };
            a[row][col] = new;
            proof.entry_changed(row, col, old, new);
            if row != col && uniform(&mut rng) < 0.5 {
                mirror = Some((col, row));
            }
        }
    }
    seen
}

fn check(
    a: &Dense,
    b: &[f64],
    proof: &mut Coercivity,
    part: f64,
    rng: &mut ChaCha8Rng,
    seen: &mut Seen,
) {
    if proof.least().is_none() {
        seen.lost += 1;
        return;
    }
    let exact: Vec<Exact> = exact::solution(&a.concat(), b).expect("it is proven to be definite");
    // Near the solution, or off along a direction that the matrix hardly sees.
    let off = [0.0, 1e-12, 1e-3][below(rng, 3)];
    let pull = exact.iter().map(|x| x.to_f64().abs()).fold(0.0, f64::max);
    let x: Vec<f64> =
        exact.iter().map(|x| x.to_f64() * (1.0 + off) + off * 1e-3 * pull * signed(rng)).collect();
    let system = system_of(a, b.to_vec());
    let residuals = (0..b.len()).map(|row| Residual::of(system.rows(), row, b, &x).magnitude());
    let norm = scaled_norm(proof.scale(), residuals);
    let Some(over_scale) = proof.error_over_scale(norm) else { return };
    seen.proven += 1;
    let bounds: Vec<f64> =
        proof.scale().iter().map(|s| (part * s * over_scale).next_up()).collect();
    for ((exact, x), bound) in exact.iter().zip(&x).zip(bounds) {
        if bound.is_finite() && exact::error(exact, *x).is_above(&Exact::of(bound)) {
            seen.violations += 1;
        }
    }
}

#[test]
fn a_proven_bound_is_never_violated() {
    let seen = storm(1, 12_000, 1.0);
    assert_eq!(seen.violations, 0, "{seen:?}");
    assert!(seen.proven > 40_000 && seen.lost > 2_400 && seen.unproven > 400, "{seen:?}");
}

/// So the test above would have seen one.
#[test]
fn a_bound_that_promises_too_much_is_caught() {
    let seen = storm(1, 300, 0.1);
    assert!(seen.violations > 20, "{seen:?}");
}

/// Poisson's matrix squared: positive definite, and no H-matrix.
fn plate(side: usize) -> LinearSystem {
    let poisson = gallery::poisson_2d(side, 1).unwrap();
    let n = poisson.order();
    let mut square = vec![vec![0.0; n]; n];
    for (row, line) in square.iter_mut().enumerate() {
        let (cols, values) = poisson.rows().row(row);
        for (&middle, a) in cols.iter().zip(values) {
            let (cols, values) = poisson.rows().row(middle as usize);
            cols.iter().zip(values).for_each(|(&col, b)| line[col as usize] += a * b);
        }
    }
    system_of(&square, (0..n).map(|i| (i as f64).sin()).collect())
}

fn entry(row: usize, col: usize, value: f64) -> CostDelta {
    let mut delta = CostDelta::default();
    delta.edit_entry(row, col, Change::Set(value), None);
    delta
}

fn cost(row: usize, added: f64) -> CostDelta {
    let mut delta = CostDelta::default();
    delta.edit_rhs(row, Change::Add(added), None);
    delta
}

/// Has everything proven that is wanted; what was said of it.
fn certify(live: &mut LiveEngine) -> Vec<String> {
    let mut said = vec![];
    while let Some(job) = live.detach_certificate() {
        match live.take_over(job.run()).end {
            LiveEnd::Prepared(preparation) => said.push(preparation.description),
            end => panic!("{end:?}"),
        }
    }
    said
}

fn truth(live: &LiveEngine) -> Vec<f64> {
    let options =
        SolveOptions { method: MethodName::Direct, tolerance: 1e-13, ..SolveOptions::default() };
    solve(live.live().to_system(), None, options).unwrap().x
}

/// Every entry lies within its own bound and within that of all; the bound of all.
fn check_live(live: &mut LiveEngine) -> StatedBound {
    let overall = live.error_bound();
    let x = truth(live);
    for (row, x) in x.iter().enumerate() {
        let (value, bound) = live.read(row).unwrap();
        assert_eq!(bound.kind, overall.kind);
        let error = (value - x).abs();
        assert!(error <= bound.absolute + 1e-12 && bound.absolute <= overall.absolute);
    }
    overall
}

#[test]
fn a_session_without_a_witness_gets_a_proven_bound_and_keeps_it() {
    for method in [MethodName::Hybrid, MethodName::Cg] {
        let mut live = live_by(plate(12), method);
        assert_eq!(live.error_bound().kind, BoundKind::None);
        let said = certify(&mut live);
        assert!(
            said[0].contains("no witness") && said[1].contains("positive definite"),
            "{said:?}"
        );
        let bound = check_live(&mut live);
        assert_eq!(bound.kind, BoundKind::Proven);
        assert!(bound.relative.is_some_and(|relative| relative < 1e-2), "{bound:?}");
        // One triangle, its mirror, a cost: the bound is true at every moment, settled or not.
        for delta in [entry(5, 40, 0.01), entry(40, 5, 0.01), cost(17, 0.5), entry(3, 3, 25.0)] {
            live.apply(&delta).unwrap();
            assert_eq!(check_live(&mut live).kind, BoundKind::Proven);
            settle(&mut live);
            assert_eq!(check_live(&mut live).kind, BoundKind::Proven);
        }
        assert!(live.detach_certificate().is_none(), "nothing is to be proven");
        // So much that nothing is left of the proof, though the symmetric part stays what it was.
        for row in 0..20 {
            let (there, back) = (live.live().matrix().value(row, row + 70), 5.0);
            live.apply(&entry(row, row + 70, there + back)).unwrap();
            live.apply(&entry(row + 70, row, there - back)).unwrap();
        }
        assert_eq!(live.error_bound().kind, BoundKind::None);
        if method == MethodName::Cg {
            // It works on no such matrix, and nothing is proven of a state that cannot be settled.
            continue;
        }
        settle(&mut live);
        let said = certify(&mut live);
        assert!(said.last().unwrap().contains("positive definite"), "{said:?}");
        assert_eq!(check_live(&mut live).kind, BoundKind::Proven);
    }
}

#[test]
fn what_changes_while_a_proof_is_made_is_worked_into_it() {
    let mut live = live_by(plate(8), MethodName::Hybrid);
    let search = live.detach_certificate().expect("a search for a witness").run();
    live.take_over(search);
    let job = live.detach_certificate().expect("a proof by a factorisation");
    assert!(live.detach_certificate().is_none(), "one at a time");
    live.apply(&entry(4, 30, -0.02)).unwrap();
    live.take_over(job.run());
    assert_eq!(check_live(&mut live).kind, BoundKind::Proven);
    // Here nothing of the proof outlives what comes meanwhile.
    let mut live = live_by(plate(8), MethodName::Hybrid);
    let search = live.detach_certificate().unwrap().run();
    live.take_over(search);
    let job = live.detach_certificate().unwrap();
    live.apply(&entry(4, 4, -30.0)).unwrap();
    live.take_over(job.run());
    assert_eq!(live.error_bound().kind, BoundKind::None);
}
