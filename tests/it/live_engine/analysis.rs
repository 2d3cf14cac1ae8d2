//! A matrix that has lost what the method relies on is analysed apart from the engine, which goes on: what
//! changes meanwhile counts, and nobody works who has lost his ground.

use weir::solver::live::SetUpJob;

use super::*;

fn set(live: &mut LiveEngine, model: &mut Model, row: usize, col: usize, value: f64) {
    let mut delta = CostDelta::default();
    model.set_entry(&mut delta, row, col, value);
    live.apply(&delta).expect("what the model holds is held");
}

fn is_offered(live: &LiveEngine) -> bool {
    live.offers().iter().any(|offer| offer.engine == EngineName::Iteration)
}

/// A grid whose method relies on symmetry, which is taken away, and the analysis that follows.
fn grid_without_symmetry(method: MethodName) -> (LiveEngine, Model, SetUpJob) {
    let system = gallery::poisson_2d(12, 2).unwrap();
    let mut model = Model::of(&system);
    let mut live = of_method(system, method);
    assert!(!live.can_detach(EngineName::Iteration), "nothing is to be analysed");
    set(&mut live, &mut model, 5, 6, -0.25);
    assert!(is_offered(&live));
    let job = live.detach(EngineName::Iteration).expect("an analysis");
    assert_eq!(job.version(), 1);
    assert!(job.predicted().nonzeros > 0 && job.peak_bytes() > 12 * live.nonzeros() as u64);
    (live, model, job)
}

fn prepared(end: LiveEnd) -> String {
    match end {
        LiveEnd::Prepared(preparation) => preparation.description,
        end => panic!("{end:?}"),
    }
}

#[test]
fn symmetry_that_is_lost_is_found_out_apart_and_nobody_relies_on_it_meanwhile() {
    let (mut live, mut model, job) = grid_without_symmetry(MethodName::Hybrid);
    assert!(!is_offered(&live) && !live.can_detach(EngineName::Iteration));
    // An entry off the pattern, while the analysis is out.
    set(&mut live, &mut model, 40, 90, 0.5);
    let description = prepared(live.take_over(job.run()).end);
    assert!(description.starts_with("the matrix was analysed anew"), "{description}");
    assert!(is_offered(&live));
    assert_eq!(settle_by(&mut live, EngineName::Iteration, 1_000), LiveEnd::Settled);
    check_settled(&mut live, &model, 1e-8, "after the analysis");
}

#[test]
fn symmetry_that_comes_back_meanwhile_is_seen_and_the_method_in_force_goes_on() {
    let (mut live, mut model, job) = grid_without_symmetry(MethodName::Hybrid);
    set(&mut live, &mut model, 6, 5, -0.25);
    assert!(is_offered(&live), "what it relies on is there");
    let made = job.run();
    live.work(EngineName::Iteration, 1);
    prepared(live.take_over(made).end);
    for value in [-0.5, -0.25, -1.0] {
        set(&mut live, &mut model, 60, 60, 4.0 - value);
        assert_eq!(settle_by(&mut live, EngineName::Iteration, 1_000), LiveEnd::Settled);
        check_settled(&mut live, &model, 1e-8, "after the analysis");
    }
    // It was made for an asymmetric matrix; this one has been analysed since.
    assert!(!live.can_detach(EngineName::Iteration));
}

#[test]
fn a_symmetric_matrix_that_was_not_is_known_again_whatever_came_meanwhile() {
    let (mut live, mut model, job) = grid_without_symmetry(MethodName::Hybrid);
    prepared(live.take_over(job.run()).end);
    set(&mut live, &mut model, 5, 6, -1.0);
    set(&mut live, &mut model, 60, 60, 5.0);
    let job = live.detach(EngineName::Iteration).expect("symmetry is regained: an analysis");
    assert!(is_offered(&live), "a method for every matrix goes on");
    // Lost in two other places, one of which is mended.
    set(&mut live, &mut model, 100, 101, -0.5);
    set(&mut live, &mut model, 20, 100, 0.125);
    set(&mut live, &mut model, 101, 100, -0.5);
    prepared(live.take_over(job.run()).end);
    let job = live.detach(EngineName::Iteration).expect("one place is asymmetric");
    set(&mut live, &mut model, 100, 20, 0.125);
    prepared(live.take_over(job.run()).end);
    assert!(live.can_detach(EngineName::Iteration), "symmetric again, and analysed as asymmetric");
    assert_eq!(settle_by(&mut live, EngineName::Iteration, 1_000), LiveEnd::Settled);
    check_settled(&mut live, &model, 1e-8, "in the end");
    assert!(!live.can_detach(EngineName::Iteration));
}

#[test]
fn an_analysis_that_is_lost_is_made_on_the_spot() {
    let (mut live, model, job) = grid_without_symmetry(MethodName::Hybrid);
    drop(job);
    live.lose("the worker is gone");
    assert!(is_offered(&live) && !live.can_detach(EngineName::Iteration));
    assert_eq!(settle_by(&mut live, EngineName::Iteration, 1_000), LiveEnd::Settled);
    check_settled(&mut live, &model, 1e-8, "after the loss");
}

#[test]
fn a_method_asked_for_by_name_is_refused_by_an_analysis_apart_unless_it_was_mended_meanwhile() {
    let (mut live, _, job) = grid_without_symmetry(MethodName::Cg);
    let end = live.take_over(job.run()).end;
    let LiveEnd::Failed(LiveStop::Refused(refusal)) = end else { panic!("{end:?}") };
    assert!(refusal.to_string().contains("symmetric"), "{refusal}");
    assert!(live.offers().is_empty());

    let (mut live, mut model, job) = grid_without_symmetry(MethodName::Cg);
    set(&mut live, &mut model, 6, 5, -0.25);
    let description = prepared(live.take_over(job.run()).end);
    assert!(description.contains("has changed since"), "{description}");
    assert_eq!(settle_by(&mut live, EngineName::Iteration, 1_000), LiveEnd::Settled);
    check_settled(&mut live, &model, 1e-8, "mended");
}
