//! Changes that come while a method is on its way: what its landing is said to solve, against the
//! products of a plain copy of that version.

use std::rc::Rc;

use super::*;

const TOLERANCE: f64 = 1e-8;

/// Every version that there was, in the plainest form.
struct History {
    a: Vec<Rc<Dense>>,
    b: Vec<Vec<f64>>,
}

impl History {
    fn of(system: &LinearSystem) -> Self {
        let Model { a, b } = Model::of(system);
        Self { a: vec![Rc::new(a)], b: vec![b] }
    }

    fn last(&self) -> usize {
        self.b.len() - 1
    }

    fn change_rhs(&mut self, live: &mut LiveEngine, row: usize, added: f64) {
        let mut b = self.b[self.last()].clone();
        b[row] += added;
        let mut delta = CostDelta::default();
        delta.edit_rhs(row, Change::Set(b[row]), None);
        live.apply(&delta).unwrap();
        self.a.push(Rc::clone(&self.a[self.last()]));
        self.b.push(b);
    }

    fn change_entry(&mut self, live: &mut LiveEngine, row: usize, col: usize, value: f64) {
        let mut a = Dense::clone(&self.a[self.last()]);
        a[row][col] = value;
        let mut delta = CostDelta::default();
        delta.edit_entry(row, col, Change::Set(value), None);
        live.apply(&delta).unwrap();
        self.b.push(self.b[self.last()].clone());
        self.a.push(Rc::new(a));
    }

    /// `‖b − A x‖₂` and `‖b‖₂` of a version.
    fn residual_norm(&self, version: u64, x: &[f64]) -> (f64, f64) {
        let at = version as usize;
        let model = Model { a: Dense::clone(&self.a[at]), b: self.b[at].clone() };
        (model.residual_norm(x), model.rhs_norm())
    }

    /// The version that the state is said to solve; that it does is checked.
    fn settled(&self, live: &LiveEngine) -> Option<u64> {
        let settlement = live.settlement()?;
        let (norm, rhs_norm) = self.residual_norm(settlement.version, &live.copy_x());
        let version = settlement.version;
        assert!(norm <= TOLERANCE * rhs_norm, "version {version}: {norm:e} of {rhs_norm:e}");
        assert!(norm <= settlement.residual_norm * (1.0 + 1e-6), "version {version}");
        assert!(settlement.residual_norm <= settlement.residual_threshold, "version {version}");
        let is_present = version == self.last() as u64;
        assert_eq!(live.is_settled(), is_present, "version {version} of {}", self.last());
        Some(version)
    }
}

/// Lets the method work an iteration at a time while changes come with each; the versions that were
/// solved, the present one never among them.
fn storm(
    live: &mut LiveEngine,
    history: &mut History,
    rounds: usize,
    mut change: impl FnMut(&mut LiveEngine, &mut History, usize),
) -> Vec<u64> {
    let mut solved = vec![];
    for round in 0..rounds {
        change(live, history, round);
        let done = live.work(EngineName::Iteration, 1);
        assert!(!matches!(done.end, LiveEnd::Failed(_)), "{:?}", done.end);
        assert!(!live.is_settled(), "round {round} was to bring too much to be settled");
        if let Some(version) = history.settled(live) {
            solved.push(version);
        }
    }
    assert!(solved.is_sorted());
    solved.dedup();
    solved
}

/// A system whose method needs several iterations, live and solved.
fn in_flight(
    system: LinearSystem,
    method: MethodName,
    preconditioner: PreconditionerName,
) -> (LiveEngine, History) {
    let history = History::of(&system);
    let preconditioner = Some(preconditioner);
    let options =
        SolveOptions { method, preconditioner, tolerance: TOLERANCE, ..SolveOptions::default() };
    (solved(system, options), history)
}

#[test]
fn a_flight_that_changes_of_b_overtake_solves_the_version_of_its_departure() {
    let systems = [
        (gallery::poisson_2d(9, 1).unwrap(), MethodName::Cg, PreconditionerName::None),
        (gallery::poisson_2d(9, 2).unwrap(), MethodName::Cg, PreconditionerName::Ilu),
        (
            gallery::convection_diffusion(9, 3.0, 3).unwrap(),
            MethodName::Bicgstab,
            PreconditionerName::Ilu,
        ),
        (
            gallery::convection_diffusion(9, 3.0, 4).unwrap(),
            MethodName::Gmres,
            PreconditionerName::None,
        ),
        (gallery::resistor_grid(9, 5).unwrap(), MethodName::Direct, PreconditionerName::None),
    ];
    for (system, method, preconditioner) in systems {
        let (mut live, mut history) = in_flight(system, method, preconditioner);
        let mut draws = Draws::seeded(7);
        let rounds = 400;
        let solved = storm(&mut live, &mut history, rounds, |live, history, _| {
            let row = draws.below(live.order());
            history.change_rhs(live, row, 0.1 * draws.number());
        });
        let last = solved.last().copied().unwrap_or(0);
        assert!(solved.len() >= 8, "{method}: {} versions were solved", solved.len());
        assert!(last + 80 >= rounds as u64, "{method}: version {last} is the latest of {rounds}");
    }
}

#[test]
fn where_entries_change_too_a_version_is_only_claimed_if_it_is_solved() {
    let system = gallery::poisson_2d(9, 1).unwrap();
    let (mut live, mut history) = in_flight(system, MethodName::Cg, PreconditionerName::None);
    let mut draws = Draws::seeded(3);
    let solved = storm(&mut live, &mut history, 1_500, |live, history, round| {
        let row = draws.below(live.order());
        match round % 40 {
            0 => {
                let value = 4.0 + 0.5 * (draws.number() + 1.0);
                history.change_entry(live, row, row, value);
            }
            _ => history.change_rhs(live, row, 0.1 * draws.number()),
        }
    });
    assert!(solved.len() >= 8, "{} versions were solved", solved.len());
}

#[test]
fn relaxation_that_does_not_settle_leaves_no_version_solved() {
    let system = gallery::diagonally_dominant(80, 400, 3).unwrap();
    let mut history = History::of(&system);
    let mut live = solved(system, SolveOptions::default());
    settle_by(&mut live, EngineName::Relaxation, 1_000);
    let version = history.settled(&live);
    assert_eq!(version, Some(0));
    (0..80).for_each(|row| history.change_rhs(&mut live, row, 1.5));
    assert_eq!(history.settled(&live), Some(0), "x has not moved");
    let done = live.work(EngineName::Relaxation, 1);
    assert_eq!((done.end, live.settlement()), (LiveEnd::Paused, None));
    history.change_rhs(&mut live, 3, 1.5);
    assert_eq!(live.settlement(), None);
    settle_by(&mut live, EngineName::Relaxation, 1_000);
    assert_eq!(history.settled(&live), Some(81));
}
