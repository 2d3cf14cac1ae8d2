//! Everything that can be wrong with the arrays of a matrix, found before anything is made of them.

use crate::solver::system::{MatrixArrays, SystemFault, SystemMember};

/// A matrix of `m` rows and fewer than `m - ROWS_WITHOUT_ENTRY_MAX` entries is not built: nothing but
/// the claim bounds its size.
pub const ROWS_WITHOUT_ENTRY_MAX: usize = 1_000_000;

/// All that is wrong with the arrays of a system's matrix; empty means that they can be converted.
/// O(nnz) time, no allocation that depends on the input.
pub fn matrix_faults(rows: usize, cols: usize, arrays: &MatrixArrays) -> Vec<SystemFault> {
    use SystemMember as M;
    let mut faults = size_faults(rows, cols);
    match arrays {
        MatrixArrays::CompressedRows { row_pointers, col_indices, values } => {
            let form = CompressedForm { lines: rows, across: cols, line: "row" };
            form.check(M::RowPointers, row_pointers, M::ColIndices, col_indices, &mut faults);
            check_lengths(M::ColIndices, col_indices.len(), values.len(), &mut faults);
            check_values(M::Values, values, &mut faults);
        }
        MatrixArrays::CompressedColumns { col_pointers, row_indices, values } => {
            let form = CompressedForm { lines: cols, across: rows, line: "column" };
            form.check(M::ColPointers, col_pointers, M::RowIndices, row_indices, &mut faults);
            check_lengths(M::RowIndices, row_indices.len(), values.len(), &mut faults);
            check_values(M::Values, values, &mut faults);
        }
        MatrixArrays::Coordinates { row_indices, col_indices, values } => {
            check_range(M::RowIndices, row_indices, rows, &mut faults);
            check_lengths(M::RowIndices, row_indices.len(), values.len(), &mut faults);
            check_range(M::ColIndices, col_indices, cols, &mut faults);
            check_lengths(M::ColIndices, col_indices.len(), values.len(), &mut faults);
            check_values(M::Values, values, &mut faults);
            if faults.is_empty() && rows > values.len() + ROWS_WITHOUT_ENTRY_MAX {
                faults.push(SystemFault::of(
                    M::Rows,
                    format!("at most {} rows", values.len() + ROWS_WITHOUT_ENTRY_MAX),
                    format!("{rows} rows with {} entries", values.len()),
                ));
            }
        }
        MatrixArrays::Dense { values } => {
            match rows.checked_mul(cols) {
                Some(expected) if expected == values.len() => {}
                expected => faults.push(SystemFault::of(
                    M::Values,
                    match expected {
                        Some(count) => format!("{rows} by {cols} = {count} values"),
                        None => format!("{rows} by {cols} values, which no machine can hold"),
                    },
                    format!("{} values", values.len()),
                )),
            }
            check_values(M::Values, values, &mut faults);
        }
    }
    faults
}

/// What is wrong with the numbers of rows and columns alone.
pub(crate) fn size_faults(rows: usize, cols: usize) -> Vec<SystemFault> {
    let mut faults = vec![];
    for (member, count, noun) in
        [(SystemMember::Rows, rows, "rows"), (SystemMember::Cols, cols, "columns")]
    {
        if count == 0 {
            faults.push(SystemFault::of(member, format!("at least 1 of {noun}"), "0".to_owned()));
        } else if count > u32::MAX as usize {
            let expected = format!("at most {} {noun}", u32::MAX);
            faults.push(SystemFault::of(member, expected, count.to_string()));
        }
    }
    if rows != cols {
        let expected = format!("as many columns as rows, {rows}");
        faults.push(SystemFault::of(SystemMember::Cols, expected, cols.to_string()));
    }
    faults
}

/// The shape against which a compressed form is checked: `lines` rows (or columns), each with indices
/// below `across`.
struct CompressedForm {
    lines: usize,
    across: usize,
    line: &'static str,
}

impl CompressedForm {
    fn check(
        &self,
        pointer_member: SystemMember,
        pointers: &[u32],
        index_member: SystemMember,
        indices: &[u32],
        faults: &mut Vec<SystemFault>,
    ) {
        self.check_pointers(pointer_member, pointers, indices.len(), faults);
        check_range(index_member, indices, self.across, faults);
        self.check_order(index_member, pointers, indices, faults);
    }

    fn check_pointers(
        &self,
        member: SystemMember,
        pointers: &[u32],
        entries: usize,
        faults: &mut Vec<SystemFault>,
    ) {
        if pointers.len() != self.lines.saturating_add(1) {
            faults.push(SystemFault::of(
                member,
                format!("{} pointers, one more than {}s", self.lines.saturating_add(1), self.line),
                format!("{} pointers", pointers.len()),
            ));
        }
        if let Some(&first) = pointers.first()
            && first != 0
        {
            faults.push(SystemFault::at(member, 0, "0".to_owned(), first.to_string()));
        }
        if let Some(at) = pointers.windows(2).position(|pair| pair[0] > pair[1]) {
            faults.push(SystemFault::at(
                member,
                at + 1,
                format!("at least {}, the pointer before", pointers[at]),
                pointers[at + 1].to_string(),
            ));
        }
        if let Some(&last) = pointers.last()
            && last as usize != entries
        {
            faults.push(SystemFault::at(
                member,
                pointers.len() - 1,
                format!("{entries}, the number of entries"),
                last.to_string(),
            ));
        }
    }

    /// The first index that is smaller than the one before it in its line, and the first that repeats it.
    fn check_order(
        &self,
        member: SystemMember,
        pointers: &[u32],
        indices: &[u32],
        faults: &mut Vec<SystemFault>,
    ) {
        let (mut smaller, mut repeated) = (None, None);
        for (line, pair) in pointers.windows(2).enumerate() {
            let start = pair[0] as usize;
            let Some(held) = indices.get(start..(pair[1] as usize).min(indices.len())) else {
                continue;
            };
            for (offset, neighbours) in held.windows(2).enumerate() {
                if neighbours[1] <= neighbours[0] {
                    let slot =
                        if neighbours[1] < neighbours[0] { &mut smaller } else { &mut repeated };
                    slot.get_or_insert((line, start + offset + 1));
                }
            }
        }
        if let Some((line, at)) = smaller {
            faults.push(SystemFault::at(
                member,
                at,
                format!("indices ascending within {} {line}", self.line),
                format!("{} after {}", indices[at], indices[at - 1]),
            ));
        }
        if let Some((line, at)) = repeated {
            faults.push(SystemFault::at(
                member,
                at,
                format!("each index once within {} {line}", self.line),
                format!("{} again", indices[at]),
            ));
        }
    }
}

fn check_lengths(
    member: SystemMember,
    indices: usize,
    values: usize,
    faults: &mut Vec<SystemFault>,
) {
    if indices != values {
        let expected = format!("{values} indices, one for each value");
        faults.push(SystemFault::of(member, expected, format!("{indices} indices")));
    }
}

fn check_range(member: SystemMember, indices: &[u32], bound: usize, faults: &mut Vec<SystemFault>) {
    if let Some(at) = indices.iter().position(|&index| index as usize >= bound) {
        let expected = format!("an index below {bound}");
        faults.push(SystemFault::at(member, at, expected, indices[at].to_string()));
    }
}

/// Finite, and not more of them than 32-bit pointers can count.
pub(crate) fn check_values(member: SystemMember, values: &[f64], faults: &mut Vec<SystemFault>) {
    if values.len() > u32::MAX as usize {
        let expected = format!("at most {} values", u32::MAX);
        faults.push(SystemFault::of(member, expected, format!("{} values", values.len())));
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let expected = "a finite number".to_owned();
        faults.push(SystemFault::at(member, at, expected, values[at].to_string()));
    }
}
