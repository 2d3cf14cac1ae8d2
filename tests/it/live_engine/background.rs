//! Set-ups that are made apart from their engine while costs change: whatever has changed by the time they
//! come home, what is settled solves the system as it stands, and no bound is violated.

use weir::solver::live::{SetUp, SetUpJob};

use super::*;

/// Changes `count` entries of `A` that are stored and as many of `b`, without taking away dominance.
fn change_values(live: &mut LiveEngine, model: &mut Model, draws: &mut Draws, count: usize) {
    let n = model.b.len();
    for _ in 0..count {
        let mut delta = CostDelta::default();
        let (row, added) = (draws.below(n), draws.number());
        let value = model.b[row] + added;
        model.set_rhs(&mut delta, row, value);
        let grown = model.a[row][row] * (1.0 + 0.2 * added.abs());
        model.set_entry(&mut delta, row, row, grown);
        live.apply(&delta).expect("what the model holds is held");
    }
}

fn made(live: &mut LiveEngine, engine: EngineName) -> SetUp {
    live.detach(engine).unwrap_or_else(|| panic!("{engine} has a set-up")).run()
}

/// Takes over what was made, which must be of use.
fn take_over(live: &mut LiveEngine, set_up: SetUp) -> String {
    match live.take_over(set_up).end {
        LiveEnd::Prepared(preparation) => preparation.description,
        end => panic!("{end:?}"),
    }
}

/// As the governor says, but every set-up that can leaves, and stays away for some calls; whoever can
/// work does meanwhile.
struct Session {
    live: LiveEngine,
    governor: Governor,
    out: Option<(SetUpJob, usize)>,
    taken_over: usize,
    /// Calls of an engine while a set-up was out.
    worked_meanwhile: usize,
}

impl Session {
    fn call(&mut self, draws: &mut Draws) -> Option<LiveStop> {
        if let Some((_, calls_left)) = &mut self.out {
            *calls_left = calls_left.saturating_sub(1);
            if *calls_left == 0
                && let Some(stop) = self.come_home()
            {
                return Some(stop);
            }
        }
        let Some(plan) = self.governor.choose(&self.live.offers()) else {
            return self.come_home();
        };
        let offers = self.live.offers();
        let chosen = offers.iter().find(|offer| offer.engine == plan.engine).unwrap();
        if chosen.set_up.nonzeros > 0
            && let Some(job) = self.live.detach(plan.engine)
        {
            assert!(job.version() <= self.live.version());
            assert!(self.live.detach(plan.engine).is_none(), "one at a time");
            self.out = Some((job, 1 + draws.below(6)));
            return None;
        }
        self.worked_meanwhile += usize::from(self.out.is_some());
        let done = self.live.work(plan.engine, plan.entries_max);
        self.governor.learn(&plan, &done, Duration::from_nanos(done.work.nonzeros));
        match done.end {
            LiveEnd::Failed(stop) => Some(stop),
            LiveEnd::Settled | LiveEnd::Paused | LiveEnd::Prepared(_) => None,
        }
    }

    fn come_home(&mut self) -> Option<LiveStop> {
        let (job, _) = self.out.take()?;
        self.taken_over += 1;
        match self.live.take_over(job.run()).end {
            LiveEnd::Failed(stop) => Some(stop),
            LiveEnd::Settled | LiveEnd::Paused | LiveEnd::Prepared(_) => None,
        }
    }

    fn settle(&mut self, draws: &mut Draws) -> Option<LiveStop> {
        let mut last_stop = None;
        for _ in 0..CALLS_MAX {
            if self.live.is_settled() {
                return None;
            }
            let is_out = self.out.is_some();
            last_stop = self.call(draws).or(last_stop);
            let has_set_ups = is_out || self.out.is_some();
            if !self.live.is_settled() && !has_set_ups && self.live.offers().is_empty() {
                return last_stop;
            }
        }
        panic!("not settled after {CALLS_MAX} calls");
    }
}

#[test]
fn thousands_of_mixed_changes_meet_set_ups_that_come_home_late() {
    let (mut settled, mut stopped, mut taken_over, mut meanwhile) = (0, 0, 0, 0);
    for seed in 20..26 {
        let mut draws = Draws::seeded(seed);
        let system = dominant(20 + 2 * (seed - 20) as usize, &mut draws);
        let mut model = Model::of(&system);
        let live = of_method(system, MethodName::Hybrid);
        let governor = Governor::default();
        let mut session = Session { live, governor, out: None, taken_over: 0, worked_meanwhile: 0 };
        for step in 0..400 {
            let what = format!("seed {seed}, step {step}");
            let delta = mixed_delta(&mut draws, &mut model);
            session.live.apply(&delta).expect("what the model holds is held");
            check_bound(&mut session.live, &model, &what);
            // Some changes come before the last one is worked in.
            if draws.below(3) == 0 {
                session.call(&mut draws);
                check_bound(&mut session.live, &model, &what);
                continue;
            }
            match session.settle(&mut draws) {
                None => {
                    check_settled(&mut session.live, &model, 1e-8, &what);
                    settled += 1;
                }
                Some(stop) => {
                    let condition = model.condition();
                    assert!(condition > 1e7, "{what}: {stop}, condition {condition:e}");
                    stopped += 1;
                }
            }
        }
        taken_over += session.taken_over;
        meanwhile += session.worked_meanwhile;
    }
    assert!(settled > 1_200 && stopped < 250, "{settled} settled, {stopped} stopped");
    assert!(taken_over > 200 && meanwhile > 200, "{taken_over} taken over, {meanwhile} meanwhile");
}

#[test]
fn a_path_that_comes_home_behind_catches_up_and_solves() {
    let system = gallery::resistor_grid(14, 3).unwrap();
    let mut model = Model::of(&system);
    let mut draws = Draws::seeded(30);
    let mut live = of_method(system, MethodName::Hybrid);
    let plan = made(&mut live, EngineName::Path);
    change_values(&mut live, &mut model, &mut draws, 5);
    assert!(take_over(&mut live, plan).starts_with("plan"));
    let job = live.detach(EngineName::Path).expect("a factor is next");
    assert!(live.offers().iter().all(|offer| offer.engine != EngineName::Path));
    change_values(&mut live, &mut model, &mut draws, 6);
    let factor = job.run();
    change_values(&mut live, &mut model, &mut draws, 6);
    assert!(take_over(&mut live, factor).starts_with("path engine"));
    assert!(!live.is_settled());
    // Nothing is factorised again: what waited is worked into the factor that came home.
    let before = live.memory_bytes();
    let (mut touched, mut end) = (0, LiveEnd::Paused);
    while end == LiveEnd::Paused {
        let done = live.work(EngineName::Path, 1);
        (touched, end) = (touched + done.work.nonzeros, done.end);
    }
    assert_eq!(end, LiveEnd::Settled);
    assert!(touched > 0 && live.memory_bytes() <= before);
    check_settled(&mut live, &model, 1e-8, "after the catching up");
}

#[test]
fn a_storm_that_outruns_every_factor_pays_for_few() {
    let system = gallery::resistor_grid(12, 5).unwrap();
    let mut model = Model::of(&system);
    let mut draws = Draws::seeded(31);
    let mut live = of_method(system, MethodName::Hybrid);
    let n = model.b.len();
    let (mut attempts, mut changes) = (0, 0);
    for _ in 0..300 {
        let job = live.detach(EngineName::Path);
        attempts += usize::from(job.is_some());
        // Everything changes while it is out.
        for row in 0..n {
            let mut delta = CostDelta::default();
            let grown = model.a[row][row] * 1.001;
            model.set_entry(&mut delta, row, row, grown);
            live.apply(&delta).unwrap();
            changes += 1;
        }
        if let Some(job) = job {
            live.take_over(job.run());
        }
    }
    // 64 changes are waited for, twice as many each time, up to 1,024 here.
    let most = 4 + changes / 1_024;
    // Each attempt is a plan and a factor.
    assert!((2..=2 * most).contains(&attempts), "{attempts}, at most {most} were to be made");
    let mut governor = Governor::default();
    change_values(&mut live, &mut model, &mut draws, 1);
    assert_eq!(settle(&mut live, &mut governor), None);
    check_settled(&mut live, &model, 1e-8, "after the storm");
}

#[test]
fn a_storm_that_sinks_every_witness_pays_for_few() {
    let system = gallery::poisson_2d(12, 2).unwrap();
    let mut model = Model::of(&system);
    let mut draws = Draws::seeded(35);
    let mut live = of_method(system, MethodName::Hybrid);
    let nonzeros = live.nonzeros();
    let (mut attempts, mut changes) = (0, 0);
    for round in 0..400 {
        let job = live.detach(EngineName::Relaxation);
        attempts += usize::from(job.is_some());
        // Some diagonals fall so far that their rows sink, and rise again.
        for _ in 0..10 {
            let mut delta = CostDelta::default();
            let row = draws.below(144);
            let value = if round % 2 == 0 { 2.0 } else { 4.0 };
            model.set_entry(&mut delta, row, row, value);
            live.apply(&delta).unwrap();
            changes += 1;
        }
        if let Some(job) = job {
            live.take_over(job.run());
            check_bound(&mut live, &model, "after a search in the storm");
        }
    }
    assert!((2..=16 + changes / 16).contains(&attempts), "{attempts} of {changes}, {nonzeros}");
    for row in 0..144 {
        let mut delta = CostDelta::default();
        model.set_entry(&mut delta, row, row, 4.5);
        live.apply(&delta).unwrap();
    }
    while let Some(job) = live.detach(EngineName::Relaxation) {
        take_over(&mut live, job.run());
    }
    assert_eq!(live.error_bound().kind, BoundKind::Proven, "when the storm is over");
    check_bound(&mut live, &model, "when the storm is over");
}

#[test]
fn a_witness_that_comes_home_is_one_of_the_matrix_as_it_is() {
    let system = gallery::poisson_2d(12, 1).unwrap();
    let n = system.order();
    for (changed, holds) in [(0, true), (3, true), (n, true), (3, false)] {
        let mut model = Model::of(&system);
        let mut draws = Draws::seeded(32);
        let mut live = of_method(system.clone(), MethodName::Hybrid);
        let job = live.detach(EngineName::Relaxation).expect("weak dominance needs a search");
        change_values(&mut live, &mut model, &mut draws, changed);
        if !holds {
            // No H-matrix any more: a row is far from dominant.
            let mut delta = CostDelta::default();
            let halved = 0.2 * model.a[60][60];
            model.set_entry(&mut delta, 60, 60, halved);
            live.apply(&delta).unwrap();
        }
        let description = take_over(&mut live, job.run());
        let what = format!("{changed} changed, {description}");
        assert_eq!(live.error_bound().kind == BoundKind::Proven, holds, "{what}");
        check_bound(&mut live, &model, &what);
        if holds && changed > 0 {
            assert_eq!(settle_by(&mut live, EngineName::Relaxation, 50_000), LiveEnd::Settled);
            check_settled(&mut live, &model, 1e-8, &what);
        }
    }
}

/// Taken over before its first step, so that nothing is set up.
fn unprepared(system: LinearSystem, options: SolveOptions) -> LiveEngine {
    let analysis = Analysis::of(&system);
    LiveEngine::of(Engine::new(system, analysis, None, options).unwrap()).unwrap()
}

#[test]
fn what_a_method_is_given_for_an_older_matrix_serves_the_present_one() {
    for (method, preconditioner) in [
        (MethodName::Cg, Some(PreconditionerName::Amg)),
        (MethodName::Bicgstab, Some(PreconditionerName::Ilu)),
        (MethodName::Gmres, Some(PreconditionerName::Ilu)),
        (MethodName::Direct, None),
    ] {
        let system = gallery::poisson_2d(18, 1).unwrap();
        let mut model = Model::of(&system);
        let mut draws = Draws::seeded(33);
        let options = SolveOptions { method, preconditioner, ..Default::default() };
        let mut live = unprepared(system, options);
        let mut steps = 0;
        while let Some(job) = live.detach(EngineName::Iteration) {
            steps += 1;
            assert!(job.peak_bytes() > 12 * live.nonzeros() as u64 / 2);
            let offered = live.offers();
            assert!(offered.iter().all(|offer| offer.engine != EngineName::Iteration), "{method}");
            change_values(&mut live, &mut model, &mut draws, 10);
            if method != MethodName::Cg {
                // The pattern grows between one step and the next.
                let mut delta = CostDelta::default();
                let (row, col) = (draws.below(150), 150 + draws.below(150));
                model.set_entry(&mut delta, row, col, -0.1);
                model.set_entry(&mut delta, col, row, -0.1);
                live.apply(&delta).unwrap();
            }
            take_over(&mut live, job.run());
        }
        assert_eq!(steps, if method == MethodName::Direct { 2 } else { 1 }, "{method}");
        let end = settle_by(&mut live, EngineName::Iteration, 100_000);
        assert_eq!(end, LiveEnd::Settled, "{method}");
        check_settled(&mut live, &model, 1e-8, method.as_str());
    }
}

#[test]
fn a_stale_factor_is_renewed_when_going_on_would_take_longer() {
    let system = gallery::poisson_2d(20, 1).unwrap();
    let mut model = Model::of(&system);
    let mut live = of_method(system, MethodName::Direct);
    // Half as much again: each refinement leaves nearly half of the residual.
    let mut delta = CostDelta::default();
    for row in 0..model.b.len() {
        for col in 0..model.b.len() {
            if model.a[row][col] != 0.0 {
                let grown = 1.48 * model.a[row][col];
                model.set_entry(&mut delta, row, col, grown);
            }
        }
    }
    live.apply(&delta).unwrap();
    let mut renewed = None;
    for call in 0..40 {
        let offers = live.offers();
        let offer = offers.iter().find(|offer| offer.engine == EngineName::Iteration);
        if offer.is_some_and(|offer| offer.set_up.nonzeros > 0) {
            renewed = Some(call);
            break;
        }
        if live.work(EngineName::Iteration, 1).end == LiveEnd::Settled {
            break;
        }
    }
    assert!(renewed.is_some_and(|call| call <= 3), "{renewed:?}");
    // It goes on while its successor is made, and lands where that takes its place.
    let job = live.detach(EngineName::Iteration).expect("a renewal");
    assert!(live.offers().iter().any(|offer| offer.engine == EngineName::Iteration));
    live.work(EngineName::Iteration, 1);
    take_over(&mut live, job.run());
    take_over_all(&mut live);
    assert_eq!(settle_by(&mut live, EngineName::Iteration, u64::MAX), LiveEnd::Settled);
    check_settled(&mut live, &model, 1e-8, "with a fresh factor");
}

fn take_over_all(live: &mut LiveEngine) {
    while let Some(job) = live.detach(EngineName::Iteration) {
        take_over(live, job.run());
    }
}

#[test]
fn a_set_up_that_is_lost_costs_nothing_but_itself() {
    let system = gallery::poisson_2d(14, 1).unwrap();
    let mut draws = Draws::seeded(34);
    for engine in [EngineName::Path, EngineName::Relaxation] {
        let mut live = of_method(system.clone(), MethodName::Hybrid);
        let mut model = Model::of(&system);
        drop(live.detach(engine).expect("something to set up"));
        change_values(&mut live, &mut model, &mut draws, 3);
        live.lose("its worker failed");
        assert!(live.detach(engine).is_none(), "{engine} waits for changes");
        let mut governor = Governor::default();
        assert_eq!(settle(&mut live, &mut governor), None, "{engine}");
        check_settled(&mut live, &model, 1e-8, engine.as_str());
    }
}

#[test]
fn nobody_waits_for_a_set_up_that_is_no_longer_wanted() {
    let system = gallery::poisson_2d(40, 1).unwrap();
    let mut live = of_method(system, MethodName::Hybrid);
    let unwanted = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    live.heed(unwanted.clone());
    let plan = made(&mut live, EngineName::Path);
    take_over(&mut live, plan);
    let job = live.detach(EngineName::Path).unwrap();
    unwanted.store(true, std::sync::atomic::Ordering::Relaxed);
    let set_up = job.run();
    assert_eq!((set_up.work().nonzeros, set_up.memory_bytes()), (0, 0));
}
