//! Methods that know no more of `A` than its diagonal follow its changes without another set-up, also when
//! they come on the way.

use super::*;

fn check_follows(method: MethodName, seed: u64) {
    let mut draws = Draws::seeded(seed);
    let system = match method {
        MethodName::Cg => gallery::resistor_grid(8, seed).unwrap(),
        _ => dominant(60, &mut draws),
    };
    let n = system.order();
    let mut model = Model::of(&system);
    let preconditioner = match method {
        MethodName::Jacobi | MethodName::GaussSeidel => None,
        _ => Some(PreconditionerName::Jacobi),
    };
    let mut live =
        solved(system, SolveOptions { method, preconditioner, ..SolveOptions::default() });
    let own: Vec<f64> = (0..n).map(|row| model.a[row][row]).collect();
    let mut set_ups = 0;
    for step in 0..300 {
        let what = format!("{method}, step {step}");
        for _ in 0..=draws.below(3) {
            let row = draws.below(n);
            let grown = own[row] * 10f64.powf(1.5 + 1.5 * draws.number());
            let mut delta = CostDelta::default();
            model.set_entry(&mut delta, row, row, grown);
            live.apply(&delta).expect("what the model holds is held");
            if draws.below(2) == 0 {
                set_ups += u32::from(matches!(
                    live.work(EngineName::Iteration, 1).end,
                    LiveEnd::Prepared(_)
                ));
            }
        }
        let end = loop {
            match live.work(EngineName::Iteration, 500).end {
                LiveEnd::Paused => {}
                LiveEnd::Prepared(_) => set_ups += 1,
                end @ (LiveEnd::Settled | LiveEnd::Failed(_)) => break end,
            }
        };
        assert_eq!(end, LiveEnd::Settled, "{what}");
        check_settled(&mut live, &model, 1e-8, &what);
    }
    assert!(set_ups <= 1, "{method}: {set_ups} set-ups");
}

#[test]
fn a_changed_diagonal_is_followed_without_a_set_up() {
    let methods =
        [MethodName::Jacobi, MethodName::GaussSeidel, MethodName::Bicgstab, MethodName::Gmres];
    for (method, seed) in methods.into_iter().zip(60..) {
        check_follows(method, seed);
    }
}
