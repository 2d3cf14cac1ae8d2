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

    fn change_entries(&mut self, live: &mut LiveEngine, places: &[(usize, usize, f64)]) {
        let mut a = Dense::clone(&self.a[self.last()]);
        let mut delta = CostDelta::default();
        for &(row, col, value) in places {
            a[row][col] = value;
            delta.edit_entry(row, col, Change::Set(value), None);
        }
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
fn a_flight_that_changes_of_a_overtake_solves_the_version_of_its_departure() {
    let systems = [
        (gallery::poisson_2d(9, 1).unwrap(), MethodName::Cg, PreconditionerName::Jacobi),
        (
            gallery::convection_diffusion(9, 3.0, 3).unwrap(),
            MethodName::Bicgstab,
            PreconditionerName::None,
        ),
        (
            gallery::convection_diffusion(9, 3.0, 4).unwrap(),
            MethodName::Gmres,
            PreconditionerName::Ilu,
        ),
    ];
    for (system, method, preconditioner) in systems {
        let (mut live, mut history) = in_flight(system, method, preconditioner);
        let mut draws = Draws::seeded(3);
        let solved = storm(&mut live, &mut history, 500, |live, history, round| {
            let row = draws.below(live.order());
            match round % 3 {
                // CG keeps its symmetric matrix.
                0 => {
                    let value = history.a[history.last()][row][row] * (1.0 + 0.02 * draws.number());
                    history.change_entries(live, &[(row, row, value)]);
                }
                1 if method != MethodName::Cg => {
                    let col = draws.below(live.order());
                    let value = history.a[history.last()][row][col] + 1e-3 * draws.number();
                    history.change_entries(live, &[(row, col, value)]);
                }
                _ => history.change_rhs(live, row, 0.1 * draws.number()),
            }
        });
        let last = solved.last().copied().unwrap_or(0);
        assert!(solved.len() >= 8, "{method}: {} versions were solved", solved.len());
        assert!(last + 120 >= 500, "{method}: version {last} is the latest");
    }
}

/// New entries with every iteration: the rows are merged with them on the way.
fn new_entries(rounds: usize, places_a_round: usize) -> Vec<u64> {
    let system = gallery::convection_diffusion(9, 3.0, 4).unwrap();
    let (mut live, mut history) = in_flight(system, MethodName::Bicgstab, PreconditionerName::None);
    let mut draws = Draws::seeded(5);
    storm(&mut live, &mut history, rounds, |live, history, _| {
        let mut place = || (draws.below(81), draws.below(81), 1e-4 * (2.0 + draws.number()));
        let mut places: Vec<_> = (0..places_a_round).map(|_| place()).collect();
        places.retain(|(row, col, _)| row != col);
        places.sort_by_key(|place| (place.0, place.1));
        places.dedup_by_key(|place| (place.0, place.1));
        history.change_entries(live, &places);
    })
}

#[test]
fn entries_that_are_new_and_merged_on_the_way_belong_to_a_later_version() {
    let solved = new_entries(90, 25);
    assert!(solved.len() >= 3, "{solved:?}");
}

#[test]
fn nothing_is_claimed_where_more_entries_have_changed_than_are_remembered() {
    // A flight takes some twenty iterations, and 1,024 entries are remembered.
    let solved = new_entries(50, 400);
    assert!(solved.iter().all(|version| *version == 0), "{solved:?}");
}

#[test]
fn relaxation_that_does_not_settle_leaves_no_version_solved() {
    let system = gallery::poisson_2d(30, 3).unwrap();
    let mut history = History::of(&system);
    let mut live = solved(system, SolveOptions::default());
    settle_by(&mut live, EngineName::Relaxation, 1_000);
    let version = history.settled(&live);
    assert_eq!(version, Some(0));
    (0..900).for_each(|row| history.change_rhs(&mut live, row, 1.5));
    assert_eq!(history.settled(&live), Some(0), "x has not moved");
    let done = live.work(EngineName::Relaxation, 1);
    assert_eq!((done.end, live.settlement()), (LiveEnd::Paused, None));
    history.change_rhs(&mut live, 3, 1.5);
    assert_eq!(live.settlement(), None);
    settle_by(&mut live, EngineName::Relaxation, 1_000);
    assert_eq!(history.settled(&live), Some(901));
}
