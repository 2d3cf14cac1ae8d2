//! A change of costs: edits of `b` and of entries of `A`. Owns what an edit means, what is wrong with
//! one, and how deltas merge. What is held, and the changing of it, is the state's (`state.rs`).

use std::fmt;

/// Faults listed for one delta; a delta with more is refused all the same.
pub const FAULTS_MAX: usize = 64;

/// What happens to a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    Set(f64),
    Add(f64),
}

/// One change of one value. With `old_value` it is a compare-and-set: it holds only if the value
/// is equal to it when the edit's turn comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edit<Place> {
    pub place: Place,
    pub change: Change,
    pub old_value: Option<f64>,
}

/// An entry of `A`, stored or not. One that is not stored holds 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryPlace {
    pub row: usize,
    pub col: usize,
}

/// An entry of `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RhsPlace {
    pub row: usize,
}

/// Edits of `b` and of entries of `A` that count together or not at all.
///
/// Edits of one value take effect in their order, each seeing what the one before it left. Setting an
/// entry to 0 deletes it; setting one that is not stored makes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CostDelta {
    rhs: Vec<Edit<RhsPlace>>,
    entries: Vec<Edit<EntryPlace>>,
}

/// The list of a delta that a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeltaMember {
    Rhs,
    Entries,
}

/// One thing wrong with an arriving delta.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{member}[{index}]: {fault}")]
pub struct DeltaFault {
    pub member: DeltaMember,
    /// The edit's position in its member.
    pub index: usize,
    pub fault: EditFault,
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum EditFault {
    #[error("row {row} lies outside the {order} rows")]
    RowOutOfRange { row: usize, order: usize },
    #[error("column {col} lies outside the {order} columns")]
    ColOutOfRange { col: usize, order: usize },
    #[error("expected a finite value, found {value}")]
    NotFinite { value: f64 },
    #[error("expected a finite old value, found {value}")]
    OldValueNotFinite { value: f64 },
    /// The sender edited a value that is not held any more, so it has missed a change.
    #[error("the value held is {held}, the sender expected {expected}")]
    Stale { held: f64, expected: f64 },
    #[error("{held} + {added} is beyond the largest number")]
    Overflow { held: f64, added: f64 },
    #[error("the matrix may hold {entries_max} entries, this would be one more")]
    TooManyEntries { entries_max: usize },
}

impl fmt::Display for DeltaMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rhs => "rhs",
            Self::Entries => "entries",
        })
    }
}

impl CostDelta {
    /// Appends an edit of `b[row]`.
    pub fn edit_rhs(&mut self, row: usize, change: Change, old_value: Option<f64>) {
        self.rhs.push(Edit { place: RhsPlace { row }, change, old_value });
    }

    /// Appends an edit of `A[row, col]`.
    pub fn edit_entry(&mut self, row: usize, col: usize, change: Change, old_value: Option<f64>) {
        self.entries.push(Edit { place: EntryPlace { row, col }, change, old_value });
    }

    /// Edits of `b`, in their order.
    pub fn rhs(&self) -> &[Edit<RhsPlace>] {
        &self.rhs
    }

    /// Edits of `A`, in their order.
    pub fn entries(&self) -> &[Edit<EntryPlace>] {
        &self.entries
    }

    /// Edits in all.
    pub fn len(&self) -> usize {
        self.rhs.len() + self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One delta with the effect of all of them in their order, if all of them hold: the last writer
    /// wins a value, sums are added up (and so rounded otherwise than one by one).
    ///
    /// A later `old_value` is compared with what the earlier edits leave where that is known, and
    /// dropped when it agrees. Edits that cannot be joined without knowing the system stay apart, in
    /// their order: an `old_value` after an addition to an unknown value, a comparison that must fail,
    /// an invalid number. So a fault of one delta is a fault of the merged one, but for an overflow of
    /// an unknown value on the way to a finite one.
    ///
    /// O(m log m) for m edits in all; the edits come out sorted by place.
    pub fn merged(deltas: impl IntoIterator<Item = Self>) -> Self {
        let mut merged = Self::default();
        for delta in deltas {
            merged.rhs.extend(delta.rhs);
            merged.entries.extend(delta.entries);
        }
        merge_edits(&mut merged.rhs);
        merge_edits(&mut merged.entries);
        merged
    }

    /// See [`CostDelta::merged`].
    pub fn merge(&mut self, later: Self) {
        *self = Self::merged([std::mem::take(self), later]);
    }
}

impl Change {
    fn number(self) -> f64 {
        match self {
            Self::Set(value) | Self::Add(value) => value,
        }
    }
}

impl<Place> Edit<Place> {
    /// What the edit makes of the value held.
    ///
    /// # Errors
    /// A number is not finite, the old value is stale, or the sum overflows.
    pub fn outcome(&self, held: f64) -> Result<f64, EditFault> {
        let value = self.change.number();
        if !value.is_finite() {
            return Err(EditFault::NotFinite { value });
        }
        if let Some(expected) = self.old_value {
            if !expected.is_finite() {
                return Err(EditFault::OldValueNotFinite { value: expected });
            }
            if expected != held {
                return Err(EditFault::Stale { held, expected });
            }
        }
        match self.change {
            Change::Set(value) => Ok(value),
            Change::Add(added) if (held + added).is_finite() => Ok(held + added),
            Change::Add(added) => Err(EditFault::Overflow { held, added }),
        }
    }

    /// What the edit leaves, where that follows from the edit alone.
    fn known_outcome(&self) -> Option<f64> {
        match (self.change, self.old_value) {
            (Change::Set(value), _) => Some(value),
            (Change::Add(added), Some(held)) => Some(held + added),
            (Change::Add(_), None) => None,
        }
    }
}

impl<Place: PartialEq + Copy> Edit<Place> {
    /// One edit with the effect of `self` and then `later`, where there is one.
    fn joined(&self, later: &Self) -> Option<Self> {
        let is_valid = |edit: &Self| {
            edit.change.number().is_finite() && edit.old_value.is_none_or(f64::is_finite)
        };
        if self.place != later.place || !is_valid(self) || !is_valid(later) {
            return None;
        }
        if later.old_value.is_some() && later.old_value != self.known_outcome() {
            return None;
        }
        let change = match (self.change, later.change) {
            (_, Change::Set(value)) => Change::Set(value),
            (Change::Set(value), Change::Add(added)) => Change::Set(value + added),
            (Change::Add(first), Change::Add(second)) => Change::Add(first + second),
        };
        // An addition that overflows by itself, or meets a value that is known, is left to fail.
        let overflows = !change.number().is_finite()
            || self.known_outcome().is_some_and(|left| !left.is_finite());
        (!overflows).then_some(Self { place: self.place, change, old_value: self.old_value })
    }
}

fn merge_edits<Place: Ord + Copy>(edits: &mut Vec<Edit<Place>>) {
    edits.sort_by_key(|edit| edit.place);
    let mut kept = 0_usize;
    for at in 0..edits.len() {
        let edit = edits[at];
        match kept.checked_sub(1).and_then(|last| Some((last, edits[last].joined(&edit)?))) {
            Some((last, joined)) => edits[last] = joined,
            None => {
                edits[kept] = edit;
                kept += 1;
            }
        }
    }
    edits.truncate(kept);
}

/// What a list of edits comes to: each place once, ascending, with where it was found and the value
/// it will hold.
pub(super) struct Planned<Place, Found> {
    pub place: Place,
    pub found: Found,
    pub held: f64,
    pub value: f64,
}

/// Plays `edits` through without changing anything. `find` looks a place up that `check` lets pass.
/// Faults are added to `faults`, each edit's first one, up to [`FAULTS_MAX`] in all.
pub(super) fn plan<Place: Ord + Copy, Found>(
    member: DeltaMember,
    edits: &[Edit<Place>],
    check: impl Fn(Place) -> Result<(), EditFault>,
    find: impl Fn(Place) -> (Found, f64),
    faults: &mut Vec<DeltaFault>,
) -> Vec<Planned<Place, Found>> {
    let mut order: Vec<usize> = vec![];
    if !edits.is_sorted_by_key(|edit| edit.place) {
        order.extend(0..edits.len());
        order.sort_by_key(|&at| edits[at].place);
    }
    let mut planned: Vec<Planned<Place, Found>> = Vec::with_capacity(edits.len());
    for turn in 0..edits.len() {
        let index = order.get(turn).copied().unwrap_or(turn);
        let edit = &edits[index];
        if planned.last().is_none_or(|last| last.place != edit.place) {
            if let Err(fault) = check(edit.place) {
                note(faults, DeltaFault { member, index, fault });
                continue;
            }
            let (found, held) = find(edit.place);
            planned.push(Planned { place: edit.place, found, held, value: held });
        }
        let last = planned.last_mut().expect("the edit's place was planned just now");
        match edit.outcome(last.value) {
            Ok(value) => last.value = value,
            Err(fault) => note(faults, DeltaFault { member, index, fault }),
        }
    }
    planned
}

pub(super) fn note(faults: &mut Vec<DeltaFault>, fault: DeltaFault) {
    if faults.len() < FAULTS_MAX {
        faults.push(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edit(change: Change, old_value: Option<f64>) -> Edit<RhsPlace> {
        Edit { place: RhsPlace { row: 3 }, change, old_value }
    }

    fn check(edits: &[(Change, Option<f64>)], expected: &[(Change, Option<f64>)]) {
        let one = |(change, old_value): &(Change, Option<f64>)| {
            let mut delta = CostDelta::default();
            delta.edit_rhs(3, *change, *old_value);
            delta
        };
        let merged = CostDelta::merged(edits.iter().map(one));
        let expected: Vec<_> = expected.iter().map(|(c, o)| edit(*c, *o)).collect();
        assert_eq!(merged.rhs(), expected);
    }

    #[test]
    fn the_last_writer_wins_and_sums_add_up() {
        use Change::{Add, Set};
        check(&[(Set(1.0), None), (Set(2.0), None)], &[(Set(2.0), None)]);
        check(&[(Add(1.0), None), (Add(2.0), None), (Add(4.0), None)], &[(Add(7.0), None)]);
        check(&[(Set(1.0), Some(9.0)), (Add(2.0), None)], &[(Set(3.0), Some(9.0))]);
        check(&[(Add(1.0), None), (Set(5.0), None)], &[(Set(5.0), None)]);
    }

    #[test]
    fn an_old_value_is_settled_where_it_is_known_and_kept_where_it_is_not() {
        use Change::{Add, Set};
        check(&[(Set(1.0), None), (Set(2.0), Some(1.0))], &[(Set(2.0), None)]);
        check(&[(Add(1.0), Some(4.0)), (Set(2.0), Some(5.0))], &[(Set(2.0), Some(4.0))]);
        let unknown = [(Add(1.0), None), (Set(2.0), Some(5.0))];
        check(&unknown, &unknown);
        let bound_to_fail = [(Set(1.0), None), (Set(2.0), Some(7.0))];
        check(&bound_to_fail, &bound_to_fail);
    }

    #[test]
    fn numbers_that_are_not_finite_survive_a_merge_to_be_refused() {
        use Change::{Add, Set};
        let infinite = [(Set(f64::INFINITY), None), (Set(1.0), None)];
        check(&infinite, &infinite);
        let overflowing = [(Add(f64::MAX), None), (Add(f64::MAX), None)];
        check(&overflowing, &overflowing);
        let known = [(Add(f64::MAX), Some(f64::MAX)), (Set(1.0), None)];
        check(&known, &known);
    }

    #[test]
    fn every_fault_names_its_edit() {
        let edits = [
            edit(Change::Set(f64::NAN), None),
            edit(Change::Set(2.0), Some(1.5)),
            edit(Change::Add(f64::MAX), None),
            edit(Change::Set(0.0), Some(f64::INFINITY)),
        ];
        let mut faults = vec![];
        let held = f64::MAX;
        plan(DeltaMember::Rhs, &edits, |_| Ok(()), |_| ((), held), &mut faults);
        let found: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 4);
        assert_eq!(found[0], "rhs[0]: expected a finite value, found NaN");
        assert_eq!(faults[1].fault, EditFault::Stale { held, expected: 1.5 });
        assert_eq!(faults[2].fault, EditFault::Overflow { held, added: f64::MAX });
        assert_eq!(faults[3].index, 3);
    }

    fn changes() -> impl Strategy<Value = Vec<(usize, Change, Option<f64>)>> {
        let number = || (-3i32..=3).prop_map(f64::from);
        let change = prop_oneof![number().prop_map(Change::Set), number().prop_map(Change::Add)];
        let old_value = prop_oneof![3 => Just(None), 1 => number().prop_map(Some)];
        proptest::collection::vec((0..3usize, change, old_value), 0..24)
    }

    /// Plays edits one after the other; `None` if one of them does not hold.
    fn played(delta: &CostDelta, mut held: [f64; 3]) -> Option<[f64; 3]> {
        for edit in delta.rhs() {
            held[edit.place.row] = edit.outcome(held[edit.place.row]).ok()?;
        }
        Some(held)
    }

    proptest! {
        #[test]
        fn a_merged_delta_does_what_its_parts_do_in_order(edits in changes(), start in -2i32..2) {
            let mut whole = CostDelta::default();
            let mut step_by_step = CostDelta::default();
            for (row, change, old_value) in edits {
                whole.edit_rhs(row, change, old_value);
                let mut one = CostDelta::default();
                one.edit_rhs(row, change, old_value);
                step_by_step.merge(one);
            }
            let held = [f64::from(start); 3];
            let expected = played(&whole, held);
            // Small integers: sums are exact in every order.
            prop_assert_eq!(played(&CostDelta::merged([whole.clone()]), held), expected);
            prop_assert_eq!(played(&step_by_step, held), expected);
            let mut faults = vec![];
            let planned = plan(
                DeltaMember::Rhs, whole.rhs(), |_| Ok(()), |place| ((), held[place.row]), &mut faults,
            );
            prop_assert_eq!(faults.is_empty(), expected.is_some());
            if let Some(expected) = expected {
                for plan in planned {
                    prop_assert_eq!(plan.value, expected[plan.place.row]);
                }
            }
        }
    }
}
