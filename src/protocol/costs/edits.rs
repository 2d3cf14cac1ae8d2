//! The edits of one update, from its JSON to the change that they make: additions to `b`, then settings
//! of `b`, then settings of entries of `A`, wherever they stand in the text.

use crate::protocol::costs::EDITS_MAX;
use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, JsonReader, Malformed};
use crate::protocol::matrix::unknown_member;
use crate::solver::live::{Change, CostDelta};

const DELTA_MEMBERS: [&str; 2] = ["indices", "values"];
const RHS_MEMBERS: [&str; 3] = ["index", "old_value", "new_value"];
const ENTRY_MEMBERS: [&str; 4] = ["row", "col", "old_value", "new_value"];

/// Most warnings about one update.
pub const WARNINGS_MAX: usize = 16;
/// Rows and columns are numbered with 32 bits.
const INDEX_MAX: u64 = u32::MAX as u64;

const NUMBER: &str = "a number";

/// What has been read of an update's edits.
#[derive(Default)]
pub struct Edits {
    seen: bool,
    /// Rows of `b`, and what is added to each.
    indices: Vec<u32>,
    values: Vec<f64>,
    settings: Vec<(usize, f64, Option<f64>)>,
    /// Settings of entries of `A`; the edits of `b` join them when all are there.
    delta: CostDelta,
}

impl Edits {
    /// Whether there was a list of edits at all.
    pub fn were_seen(&self) -> bool {
        self.seen
    }

    pub fn len(&self) -> usize {
        self.indices.len() + self.settings.len() + self.delta.len()
    }

    /// How many edits are additions to `b`; they come first.
    pub fn additions(&self) -> usize {
        self.indices.len()
    }

    pub fn into_delta(self) -> CostDelta {
        let Self { seen: _, indices, values, settings, mut delta } = self;
        for (index, value) in indices.into_iter().zip(values) {
            delta.edit_rhs(index as usize, Change::Add(value), None);
        }
        for (row, value, old_value) in settings {
            delta.edit_rhs(row, Change::Set(value), old_value);
        }
        delta
    }

    /// Reads `delta_costs`: what is added to which entries of `b`.
    pub fn read_additions(
        &mut self,
        reader: &mut JsonReader<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Malformed> {
        self.seen = true;
        let (mut indices, mut values) = (None, None);
        let (mut indices_seen, mut values_seen) = (false, false);
        let is_object =
            reader.object("an object with `indices` and `values`", |reader, name| {
                match name {
                    "indices" => {
                        indices_seen = true;
                        indices = reader.indices()?;
                    }
                    "values" => {
                        values_seen = true;
                        values = reader.numbers()?;
                    }
                    _ => ignore(warnings, reader, name, &DELTA_MEMBERS)?,
                }
                Ok(())
            })?;
        if is_object {
            missing(
                reader,
                &[
                    ("indices", !indices_seen, "an array of rows"),
                    ("values", !values_seen, "an array of numbers"),
                ],
            );
        }
        if let (Some(indices), Some(values)) = (&indices, &values)
            && indices.len() != values.len()
        {
            let pointer = format!("{}/values", reader.pointer());
            let expected = format!("{} numbers, one for each index", indices.len());
            let found = format!("{} numbers", values.len());
            reader.faults.push(Fault { pointer, expected, found });
        }
        self.indices = indices.unwrap_or_default();
        self.values = values.unwrap_or_default();
        Ok(())
    }

    /// Reads `rhs_updates`: what entries of `b` are set to.
    pub fn read_rhs_updates(
        &mut self,
        reader: &mut JsonReader<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Malformed> {
        self.seen = true;
        let settings = &mut self.settings;
        edits(reader, |reader| {
            let (mut index, mut old, mut new) = (None, None, None);
            reader.object("an object with `index` and `new_value`", |reader, name| {
                match name {
                    "index" => index = reader.integer(0..=INDEX_MAX)?,
                    "old_value" => old = optional_number(reader)?,
                    "new_value" => new = reader.number()?,
                    _ => ignore(warnings, reader, name, &RHS_MEMBERS)?,
                }
                Ok(())
            })?;
            match (index, new) {
                (Some(index), Some(new)) => settings.push((index as usize, new, old)),
                (index, new) => missing(
                    reader,
                    &[("index", index.is_none(), "a row"), ("new_value", new.is_none(), NUMBER)],
                ),
            }
            Ok(())
        })
    }

    /// Reads `matrix_updates`: what entries of `A` are set to.
    pub fn read_matrix_updates(
        &mut self,
        reader: &mut JsonReader<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Malformed> {
        self.seen = true;
        let delta = &mut self.delta;
        edits(reader, |reader| {
            let (mut row, mut col, mut old, mut new) = (None, None, None, None);
            reader.object("an object with `row`, `col` and `new_value`", |reader, name| {
                match name {
                    "row" => row = reader.integer(0..=INDEX_MAX)?,
                    "col" => col = reader.integer(0..=INDEX_MAX)?,
                    "old_value" => old = optional_number(reader)?,
                    "new_value" => new = reader.number()?,
                    _ => ignore(warnings, reader, name, &ENTRY_MEMBERS)?,
                }
                Ok(())
            })?;
            match (row, col, new) {
                (Some(row), Some(col), Some(new)) => {
                    delta.edit_entry(row as usize, col as usize, Change::Set(new), old);
                }
                (row, col, new) => missing(
                    reader,
                    &[
                        ("row", row.is_none(), "a row"),
                        ("col", col.is_none(), "a column"),
                        ("new_value", new.is_none(), NUMBER),
                    ],
                ),
            }
            Ok(())
        })
    }
}

/// Skips a member that nobody reads, with a warning for the first ones.
pub fn ignore(
    warnings: &mut Vec<Warning>,
    reader: &mut JsonReader<'_>,
    name: &str,
    known: &[&'static str],
) -> Result<(), Malformed> {
    if warnings.len() < WARNINGS_MAX {
        warnings.push(unknown_member(reader, name, known));
    }
    reader.skip()
}

/// Reads an array of edits; those beyond the limit are a fault.
fn edits(
    reader: &mut JsonReader<'_>,
    mut edit: impl FnMut(&mut JsonReader<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut surplus = 0_usize;
    reader.array("an array of edits", |reader, index| {
        if index < EDITS_MAX {
            return edit(reader);
        }
        surplus += 1;
        reader.skip()
    })?;
    if surplus > 0 {
        reader.fault(format!("at most {EDITS_MAX} edits"), format!("{surplus} more"));
    }
    Ok(())
}

/// Notes those members that are missing: name, whether it is, what it should be. A member that was there
/// and wrong has its fault already.
fn missing(reader: &mut JsonReader<'_>, members: &[(&str, bool, &str)]) {
    for (name, _, expected) in members.iter().filter(|(_, is_missing, _)| *is_missing) {
        let pointer = format!("{}/{name}", reader.pointer());
        if reader.faults.list().iter().any(|fault| fault.pointer == pointer) {
            continue;
        }
        let (expected, found) = ((*expected).to_owned(), "nothing".to_owned());
        reader.faults.push(Fault { pointer, expected, found });
    }
}

fn optional_number(reader: &mut JsonReader<'_>) -> Result<Option<f64>, Malformed> {
    if reader.null()? { Ok(None) } else { reader.number() }
}
