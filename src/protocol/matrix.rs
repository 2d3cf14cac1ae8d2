//! A matrix as it arrives in JSON: which arrays there are decides what they mean, whatever `format`
//! says. Whether they are a matrix is checked where they are assembled; this file knows where in the
//! request each of them stood.

use crate::protocol::frame::Warning;
use crate::protocol::json::{Fault, Faults, JsonReader, Kind, Malformed};
use crate::protocol::spelling::closest;
use crate::solver::system::{MatrixArrays, SystemFault, SystemMember};

const FORMATS: [&str; 4] = ["csr", "csc", "coo", "dense"];
const MATRIX_MEMBERS: [&str; 5] = ["rows", "cols", "nnz", "data", "format"];
const ARRAYS: [&str; 5] = ["values", "row_indices", "col_indices", "row_pointers", "col_pointers"];
const EXPECTED_ARRAYS: &str = "`values` with `row_indices` and `col_pointers` (compressed columns), with \
     `col_indices` and `row_pointers` (compressed rows) or with `row_indices` and `col_indices` \
     (coordinates), or dense rows";

/// The arrays of a matrix and where they stood.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixRequest {
    pub rows: usize,
    pub cols: usize,
    pub arrays: MatrixArrays,
    pub places: MatrixPlaces,
}

/// Where in the request the members of a system stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixPlaces {
    /// JSON pointer to the object that holds the arrays.
    arrays: String,
    /// JSON pointer to the values.
    values: String,
    /// Row length of dense values that came as an array of rows.
    nested_cols: Option<usize>,
    vector: String,
}

impl MatrixPlaces {
    /// The places of a system whose matrix and vector came as files of their own.
    pub fn of_files() -> Self {
        Self {
            arrays: "matrix".to_owned(),
            values: "matrix".to_owned(),
            nested_cols: None,
            vector: "vector".to_owned(),
        }
    }

    /// The fault with the JSON pointer to what it is about.
    pub fn locate(&self, fault: SystemFault) -> Fault {
        let SystemFault { member, index, expected, found } = fault;
        let member_at = match member {
            SystemMember::Rows | SystemMember::Cols => format!("/matrix/{}", member.as_str()),
            SystemMember::Values => self.values.clone(),
            SystemMember::RowIndices
            | SystemMember::ColIndices
            | SystemMember::RowPointers
            | SystemMember::ColPointers => format!("{}/{}", self.arrays, member.as_str()),
            SystemMember::Rhs => self.vector.clone(),
        };
        let pointer = match (index, self.nested_cols) {
            (None, _) => member_at,
            (Some(index), Some(cols)) if member == SystemMember::Values => {
                format!("{member_at}/{}/{}", index / cols.max(1), index % cols.max(1))
            }
            (Some(index), _) => format!("{member_at}/{index}"),
        };
        Fault { pointer, expected, found }
    }
}

/// Reads the value of `matrix`: the plan's object, or for small dense matrices the rows alone.
/// `None` when faults were recorded that leave nothing to assemble.
pub fn read_matrix(
    reader: &mut JsonReader<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<MatrixRequest>, Malformed> {
    let mut members = Members::default();
    if reader.peek()? == Kind::Array {
        if reader.peek_first_item()? != Some(Kind::Array) {
            reader.wrong("a matrix object, or at least one row of numbers")?;
            return Ok(None);
        }
        members.read_dense(reader)?;
    } else {
        let is_object = reader.object("a matrix object or an array of rows", |reader, name| {
            members.read(reader, name, warnings)
        })?;
        if !is_object {
            return Ok(None);
        }
    }
    Ok(members.resolve(reader, warnings))
}

#[derive(Default)]
struct Members {
    rows: Option<u64>,
    cols: Option<u64>,
    nnz: Option<u64>,
    format: Option<String>,
    values: Option<Values>,
    row_indices: Option<Vec<u32>>,
    col_indices: Option<Vec<u32>>,
    row_pointers: Option<Vec<u32>>,
    col_pointers: Option<Vec<u32>>,
    /// A member had the wrong type; what is missing because of it is not a second fault.
    broken: bool,
}

/// The values of a matrix as they came.
enum Values {
    Flat {
        list: Vec<f64>,
        pointer: String,
    },
    /// As an array of rows, whose first has `cols` numbers.
    Rows {
        kept: DenseRows,
        pointer: String,
        cols: usize,
    },
}

/// Dense rows without their zeros, in compressed form from the start: a zero takes no memory.
#[derive(Default)]
struct DenseRows {
    /// Where each row ends.
    ends: Vec<u32>,
    col_indices: Vec<u32>,
    values: Vec<f64>,
}

impl DenseRows {
    /// Reads one row and returns how many numbers it has, zeros included.
    fn read_row(&mut self, reader: &mut JsonReader<'_>) -> Result<Option<usize>, Malformed> {
        let Self { ends, col_indices, values } = self;
        let count = reader.nonzeros(|col, value| {
            // What no index can name is beyond the largest order, so that its row is refused.
            col_indices.push(u32::try_from(col).unwrap_or(u32::MAX));
            values.push(value);
        })?;
        match u32::try_from(values.len()) {
            Ok(end) => ends.push(end),
            Err(_) => reader.fault("at most 4294967295 nonzeros", "more"),
        }
        Ok(count)
    }

    /// Room for `cols` rows at once, bounded by what `bytes_left` of text can hold: a vector that grows leaves
    /// as much behind as it becomes, while room that is never used is never taken.
    fn reserve_square(&mut self, cols: usize, bytes_left: usize) {
        let entries = cols.saturating_mul(cols).min(self.values.len() + bytes_left / 2);
        self.values.reserve_exact(entries.saturating_sub(self.values.len()));
        self.col_indices.reserve_exact(entries.saturating_sub(self.col_indices.len()));
    }

    fn into_arrays(mut self) -> MatrixArrays {
        self.ends.insert(0, 0);
        let Self { ends, mut col_indices, mut values } = self;
        col_indices.shrink_to_fit();
        values.shrink_to_fit();
        MatrixArrays::CompressedRows { row_pointers: ends, col_indices, values }
    }
}

impl Members {
    fn read(
        &mut self,
        reader: &mut JsonReader<'_>,
        name: &str,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Malformed> {
        const COUNT: std::ops::RangeInclusive<u64> = 0..=u32::MAX as u64;
        match name {
            "rows" => self.rows = reader.integer(COUNT)?,
            "cols" => self.cols = reader.integer(COUNT)?,
            "nnz" if reader.null()? => {}
            "nnz" => self.nnz = reader.integer(0..=u64::MAX)?,
            "format" if reader.null()? => {}
            "format" => self.format = reader.string("a format name")?.map(|text| text.into_owned()),
            "data" if reader.peek()? == Kind::Array => self.read_dense(reader)?,
            "data" => {
                let is_object = reader.object("the matrix arrays", |reader, name| {
                    self.read_array(reader, name, warnings)
                })?;
                self.broken |= !is_object;
            }
            _ => {
                warnings.push(unknown_member(reader, name, &MATRIX_MEMBERS));
                reader.skip()?;
            }
        }
        self.broken |= matches!(name, "rows" if self.rows.is_none());
        self.broken |= matches!(name, "cols" if self.cols.is_none());
        Ok(())
    }

    fn read_array(
        &mut self,
        reader: &mut JsonReader<'_>,
        name: &str,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Malformed> {
        let slot = match name {
            "values" => return self.read_dense(reader),
            "row_indices" => &mut self.row_indices,
            "col_indices" => &mut self.col_indices,
            "row_pointers" => &mut self.row_pointers,
            "col_pointers" => &mut self.col_pointers,
            _ => {
                warnings.push(unknown_member(reader, name, &ARRAYS));
                return reader.skip();
            }
        };
        *slot = reader.indices()?;
        self.broken |= slot.is_none();
        Ok(())
    }

    /// Reads values: an array of numbers, or of rows of one length.
    fn read_dense(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Malformed> {
        let pointer = reader.pointer().to_owned();
        if reader.peek_first_item()? != Some(Kind::Array) {
            self.values = reader.numbers()?.map(|list| Values::Flat { list, pointer });
            self.broken |= self.values.is_none();
            return Ok(());
        }
        let (mut kept, mut cols) = (DenseRows::default(), 0);
        reader.array("an array of rows", |reader, row| {
            let Some(count) = kept.read_row(reader)? else { return Ok(()) };
            if row == 0 {
                cols = count;
                kept.reserve_square(cols, reader.bytes_left());
            } else if count != cols {
                let expected = format!("{cols} numbers, as in the first row");
                reader.fault(expected, format!("{count} numbers"));
            }
            Ok(())
        })?;
        self.values = Some(Values::Rows { kept, pointer, cols });
        Ok(())
    }

    fn resolve(
        mut self,
        reader: &mut JsonReader<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Option<MatrixRequest> {
        let pointer = reader.pointer().to_owned();
        let missing = |faults: &mut Faults, member: &str, expected: &str| {
            let pointer = format!("{pointer}/{member}");
            faults.push(Fault { pointer, expected: expected.into(), found: "nothing".into() });
        };
        if let Some(Values::Rows { kept, cols, .. }) = &self.values {
            let (rows, cols) = (kept.ends.len(), *cols);
            self.check_nested_size(&pointer, rows, cols, &mut reader.faults);
        }
        if !self.broken {
            for (member, value) in [("rows", self.rows), ("cols", self.cols)] {
                if value.is_none() {
                    missing(&mut reader.faults, member, "the number of rows or columns");
                }
            }
        }
        let (format, arrays, places) = self.arrays(&pointer, &mut reader.faults)?;
        self.check_format(&pointer, format, warnings);
        self.check_nnz(&pointer, &arrays, places.nested_cols, &mut reader.faults);
        let (rows, cols) = (self.rows? as usize, self.cols? as usize);
        Some(MatrixRequest { rows, cols, arrays, places })
    }

    /// Nested rows know their own size; a stated one must agree.
    fn check_nested_size(&mut self, pointer: &str, rows: usize, cols: usize, faults: &mut Faults) {
        let sides = [("rows", &mut self.rows, rows), ("cols", &mut self.cols, cols)];
        for (member, stated, counted) in sides {
            let counted = counted as u64;
            match *stated {
                Some(stated) if stated != counted => faults.push(Fault {
                    pointer: format!("{pointer}/{member}"),
                    expected: format!("{counted}, as the dense rows have"),
                    found: stated.to_string(),
                }),
                _ => *stated = Some(counted),
            }
        }
    }

    /// Decides by the names which form it is.
    fn arrays(
        &mut self,
        pointer: &str,
        faults: &mut Faults,
    ) -> Option<(&'static str, MatrixArrays, MatrixPlaces)> {
        let names: Vec<String> = [
            ("row_indices", self.row_indices.is_some()),
            ("col_indices", self.col_indices.is_some()),
            ("row_pointers", self.row_pointers.is_some()),
            ("col_pointers", self.col_pointers.is_some()),
        ]
        .iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| format!("`{name}`"))
        .collect();
        if self.broken {
            return None;
        }
        let Some(values) = self.values.take() else {
            faults.push(Fault {
                pointer: format!("{pointer}/data/values"),
                expected: EXPECTED_ARRAYS.into(),
                found: "no `values`".into(),
            });
            return None;
        };
        let places = |values, nested_cols| MatrixPlaces {
            arrays: format!("{pointer}/data"),
            values,
            nested_cols,
            vector: "/vector".to_owned(),
        };
        let (values, at) = match values {
            Values::Flat { list, pointer } => (list, pointer),
            Values::Rows { kept, pointer, cols } if names.is_empty() => {
                return Some(("dense", kept.into_arrays(), places(pointer, Some(cols))));
            }
            Values::Rows { .. } => {
                faults.push(Fault {
                    pointer: format!("{pointer}/data"),
                    expected: EXPECTED_ARRAYS.into(),
                    found: format!("{} and dense rows", names.join(" and ")),
                });
                return None;
            }
        };
        let (format, arrays) = match (
            self.row_indices.take(),
            self.col_indices.take(),
            self.row_pointers.take(),
            self.col_pointers.take(),
        ) {
            (None, None, None, None) => ("dense", MatrixArrays::Dense { values }),
            (Some(row_indices), None, None, Some(col_pointers)) => {
                ("csc", MatrixArrays::CompressedColumns { col_pointers, row_indices, values })
            }
            (None, Some(col_indices), Some(row_pointers), None) => {
                ("csr", MatrixArrays::CompressedRows { row_pointers, col_indices, values })
            }
            (Some(row_indices), Some(col_indices), None, None) => {
                ("coo", MatrixArrays::Coordinates { row_indices, col_indices, values })
            }
            _ => {
                faults.push(Fault {
                    pointer: format!("{pointer}/data"),
                    expected: EXPECTED_ARRAYS.into(),
                    found: names.join(" and "),
                });
                return None;
            }
        };
        Some((format, arrays, places(at, None)))
    }

    fn check_format(&self, pointer: &str, found: &str, warnings: &mut Vec<Warning>) {
        let Some(stated) = &self.format else { return };
        if stated.eq_ignore_ascii_case(found) {
            return;
        }
        let shown: String = stated.chars().take(20).collect();
        let known = FORMATS.iter().any(|format| stated.eq_ignore_ascii_case(format));
        let doubt = if known { "contradicts the arrays" } else { "is not a format known here" };
        let detail =
            format!("`{shown}` {doubt}; they were read by their names, as {}", words(found));
        warnings.push(Warning { pointer: format!("{pointer}/format"), detail });
    }

    fn check_nnz(
        &self,
        pointer: &str,
        arrays: &MatrixArrays,
        nested_cols: Option<usize>,
        faults: &mut Faults,
    ) {
        let Some(stated) = self.nnz else { return };
        let (stored, nonzeros) = match arrays {
            MatrixArrays::CompressedRows { values, row_pointers, .. } => {
                // Of dense rows only the nonzeros were kept.
                let dense = nested_cols.map(|cols| (row_pointers.len() - 1).saturating_mul(cols));
                (dense.unwrap_or(values.len()), values.len())
            }
            MatrixArrays::CompressedColumns { values, .. }
            | MatrixArrays::Coordinates { values, .. } => (values.len(), values.len()),
            MatrixArrays::Dense { values } => {
                (values.len(), values.iter().filter(|&&value| value != 0.0).count())
            }
        };
        if stated != stored as u64 && stated != nonzeros as u64 {
            faults.push(Fault {
                pointer: format!("{pointer}/nnz"),
                expected: format!("{stored}, the number of `values`"),
                found: stated.to_string(),
            });
        }
    }
}

fn words(format: &str) -> &'static str {
    match format {
        "csr" => "compressed rows (CSR)",
        "csc" => "compressed columns (CSC)",
        "coo" => "coordinates (COO)",
        _ => "dense values, row by row",
    }
}

/// The warning about a member that nobody reads.
pub fn unknown_member(reader: &JsonReader<'_>, name: &str, known: &[&'static str]) -> Warning {
    let hint = match closest(name, known) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    Warning {
        pointer: reader.pointer().to_owned(),
        detail: format!("unknown member, ignored{hint}"),
    }
}
