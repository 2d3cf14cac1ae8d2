//! Matrix Market text (Boisvert, Pozo, Remington 1996): matrices and right-hand sides, from any reader,
//! to any writer. Knows no files. What is read is in range and finite; whether it makes a system is for
//! `assembly` to say.
//!
//! Read: `coordinate` and `array`; `real`, `integer`, `pattern` (ones); `general`, `symmetric`,
//! `skew-symmetric`. The header in any case, comments and blank lines anywhere after it, LF or CRLF.
//! Duplicates stay in the arrays and are summed by assembly.

mod blocks;
mod lines;
mod write;

pub use write::{write_matrix, write_vector};

use crate::solver::system::MatrixArrays;
use blocks::read_records;
use lines::{Line, LineReader};
use std::io::BufRead;

/// What a file may claim and hold. Memory follows what was read, never what was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Largest number of rows, and of columns.
    pub order_max: usize,
    /// Largest number of entries after mirroring; dense ones count all.
    pub entries_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { order_max: u32::MAX as usize, entries_max: 500_000_000 }
    }
}

/// Why a text is not taken. Lines and columns count from 1, columns in bytes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MatrixMarketError {
    #[error("line {line}, column {column}: expected {expected}, found {found}")]
    Syntax { line: usize, column: usize, expected: String, found: String },
    /// Legal Matrix Market that no real system can be made of.
    #[error("line {line}: `{feature}` is not supported; {instead}")]
    Unsupported { line: usize, feature: &'static str, instead: &'static str },
    #[error("line {line}: {found} {quantity}, the limit is {limit}")]
    TooLarge { line: usize, quantity: &'static str, found: u64, limit: usize },
    #[error("the text ends after line {line} with {found} {quantity}, expected {expected}")]
    Truncated { line: usize, quantity: &'static str, expected: usize, found: usize },
    #[error("line {line}: expected {expected} {quantity}, found more")]
    Surplus { line: usize, quantity: &'static str, expected: usize },
    /// The right-hand side does not fit the matrix.
    #[error("line {line}: expected a right-hand side of {expected} by 1, found {rows} by {cols}")]
    RhsShape { line: usize, expected: usize, rows: usize, cols: usize },
    #[error("line {line}: {message}")]
    Io { line: usize, message: String },
}

/// A matrix as it was written: mirrored, but neither sorted nor summed.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketMatrix {
    pub rows: usize,
    pub cols: usize,
    pub arrays: MatrixArrays,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Coordinate,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Real,
    Integer,
    Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mirror {
    General,
    Symmetric,
    Skew,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    layout: Layout,
    field: Field,
    mirror: Mirror,
}

/// Reads one matrix. O(text); 16 bytes an entry, growing with what is read.
///
/// # Errors
/// The first thing wrong, with its line.
pub fn read_matrix(
    input: impl BufRead,
    limits: ReadLimits,
) -> Result<MarketMatrix, MatrixMarketError> {
    let mut lines = LineReader::new(input);
    let header = read_header(&mut lines)?;
    match header.layout {
        Layout::Coordinate => read_coordinates(&mut lines, header, limits),
        Layout::Array => read_array(&mut lines, header, limits),
    }
}

/// Reads the right-hand side of a system of `order` unknowns: Matrix Market, `order` by 1, or one number
/// a line with comments after `%` or `#`. `order` may be a mere claim: what is allocated follows what is
/// read.
///
/// # Errors
/// The first thing wrong, with its line; [`MatrixMarketError::RhsShape`] when the sizes differ.
pub fn read_rhs(input: impl BufRead, order: usize) -> Result<Vec<f64>, MatrixMarketError> {
    let mut lines = LineReader::new(input);
    if !lines.starts_with_banner()? {
        return read_plain(&mut lines, order);
    }
    let header = read_header(&mut lines)?;
    if header.mirror != Mirror::General {
        return Err(lines.unsupported(
            "a symmetric right-hand side",
            "write it as `array real general`, n by 1",
        ));
    }
    // Compared with `order` before anything is made of it.
    let limits = ReadLimits { entries_max: usize::MAX, ..ReadLimits::default() };
    let shape = read_shape(&mut lines, header, limits)?;
    if (shape.rows, shape.cols) != (order, 1) {
        let Shape { rows, cols, .. } = shape;
        return Err(MatrixMarketError::RhsShape {
            line: lines.number(),
            expected: order,
            rows,
            cols,
        });
    }
    match header.layout {
        Layout::Array => read_values(&mut lines, header, order),
        Layout::Coordinate => {
            let read = read_coordinate_lines(&mut lines, header, shape)?;
            sum_of_entries(&lines, read, order)
        }
    }
}

/// Rows of a sparse right-hand side that may have no entry: nothing but the claim bounds their number,
/// and each takes 8 bytes.
const SPARSE_RHS_ZEROS_MAX: usize = 1 << 24;

/// Adds up a sparse vector; what is not stored is 0.
fn sum_of_entries<R: BufRead>(
    lines: &LineReader<R>,
    entries: Entries,
    order: usize,
) -> Result<Vec<f64>, MatrixMarketError> {
    if order > entries.values.len().saturating_add(SPARSE_RHS_ZEROS_MAX) {
        return Err(lines.unsupported(
            "a sparse right-hand side of so many rows with so few entries",
            "write it as `array real general`, n by 1",
        ));
    }
    let mut rhs = vec![0.0; order];
    for (&row, value) in entries.rows.iter().zip(entries.values) {
        rhs[row as usize] += value;
        if !rhs[row as usize].is_finite() {
            let expected = format!("a finite sum of the entries of row {}", row + 1);
            return Err(lines.at_end(expected, "infinity"));
        }
    }
    Ok(rhs)
}

fn read_header<R: BufRead>(lines: &mut LineReader<R>) -> Result<Header, MatrixMarketError> {
    let Some(mut line) = lines.first()? else {
        return Err(lines.at_end("`%%MatrixMarket matrix …`".to_owned(), "an empty text"));
    };
    line.word(&["%%matrixmarket"])?;
    line.word(&["matrix"])?;
    let layout = match line.word(&["coordinate", "array"])? {
        0 => Layout::Coordinate,
        _ => Layout::Array,
    };
    let field = match line.word(&["real", "integer", "pattern", "double", "complex"])? {
        0 | 3 => Field::Real,
        1 => Field::Integer,
        2 => Field::Pattern,
        _ => {
            let instead = "split it into a real system of twice the size";
            return Err(line.unsupported("complex", instead));
        }
    };
    let mirror = match line.word(&["general", "symmetric", "skew-symmetric", "hermitian"])? {
        0 => Mirror::General,
        1 => Mirror::Symmetric,
        2 => Mirror::Skew,
        _ => return Err(line.unsupported("hermitian", "a real matrix is `symmetric`")),
    };
    line.end()?;
    if (layout, field) == (Layout::Array, Field::Pattern) {
        return Err(line.unsupported("array pattern", "an array has values: write `array real`"));
    }
    Ok(Header { layout, field, mirror })
}

/// The line of sizes.
#[derive(Debug, Clone, Copy)]
struct Shape {
    rows: usize,
    cols: usize,
    /// Lines that follow.
    lines: usize,
}

fn read_shape<R: BufRead>(
    lines: &mut LineReader<R>,
    header: Header,
    limits: ReadLimits,
) -> Result<Shape, MatrixMarketError> {
    let expected = match header.layout {
        Layout::Coordinate => "the line of sizes: rows, columns, entries",
        Layout::Array => "the line of sizes: rows, columns",
    };
    let Some(mut line) = lines.next_line()? else {
        return Err(lines.at_end(expected.to_owned(), "the end of the text"));
    };
    let rows = line.size("rows", limits.order_max)?;
    let cols = line.size("columns", limits.order_max)?;
    if header.mirror != Mirror::General && rows != cols {
        return Err(line.syntax_here("as many columns as rows in a symmetric matrix".to_owned()));
    }
    let count = match header.layout {
        Layout::Coordinate => {
            let copies = if header.mirror == Mirror::General { 1 } else { 2 };
            line.size("entries", limits.entries_max / copies)?
        }
        Layout::Array => {
            let whole = rows as u128 * cols as u128;
            if whole > limits.entries_max as u128 {
                let found = u64::try_from(whole).unwrap_or(u64::MAX);
                return Err(line.too_large("entries", found, limits.entries_max));
            }
            match header.mirror {
                Mirror::General => rows * cols,
                Mirror::Symmetric => rows * (rows + 1) / 2,
                Mirror::Skew => rows * rows.saturating_sub(1) / 2,
            }
        }
    };
    line.end()?;
    Ok(Shape { rows, cols, lines: count })
}

/// Entries as written, indices from 0.
#[derive(Default)]
struct Entries {
    rows: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

impl Entries {
    fn push(&mut self, row: u32, col: u32, value: f64) {
        self.rows.push(row);
        self.cols.push(col);
        self.values.push(value);
    }
}

fn read_coordinates<R: BufRead>(
    lines: &mut LineReader<R>,
    header: Header,
    limits: ReadLimits,
) -> Result<MarketMatrix, MatrixMarketError> {
    let shape = read_shape(lines, header, limits)?;
    let Entries { rows, cols, values } = read_coordinate_lines(lines, header, shape)?;
    let arrays = MatrixArrays::Coordinates { row_indices: rows, col_indices: cols, values };
    Ok(MarketMatrix { rows: shape.rows, cols: shape.cols, arrays })
}

fn read_coordinate_lines<R: BufRead>(
    lines: &mut LineReader<R>,
    header: Header,
    shape: Shape,
) -> Result<Entries, MatrixMarketError> {
    read_records(lines, "entries", shape.lines, |line, entries: &mut Entries| {
        let row = line.index("row", shape.rows)?;
        let col = line.index("column", shape.cols)?;
        let value = match header.field {
            Field::Real => line.real()?,
            Field::Integer => line.integer()?,
            Field::Pattern => 1.0,
        };
        line.end()?;
        match header.mirror {
            Mirror::General => entries.push(row, col, value),
            Mirror::Symmetric | Mirror::Skew => {
                push_mirrored(entries, header.mirror, row, col, value, line)?;
            }
        }
        Ok(())
    })
}

fn push_mirrored(
    entries: &mut Entries,
    mirror: Mirror,
    row: u32,
    col: u32,
    value: f64,
    line: &Line<'_>,
) -> Result<(), MatrixMarketError> {
    let skew = mirror == Mirror::Skew;
    if row < col || (skew && row == col) {
        let expected = match skew {
            true => "an entry below the diagonal, as a skew-symmetric matrix is stored",
            false => "an entry on or below the diagonal, as a symmetric matrix is stored",
        };
        return Err(line.syntax_at_start(expected.to_owned()));
    }
    entries.push(row, col, value);
    if row != col {
        entries.push(col, row, if skew { -value } else { value });
    }
    Ok(())
}

fn read_array<R: BufRead>(
    lines: &mut LineReader<R>,
    header: Header,
    limits: ReadLimits,
) -> Result<MarketMatrix, MatrixMarketError> {
    let Shape { rows, cols, lines: count } = read_shape(lines, header, limits)?;
    let by_columns = read_values(lines, header, count)?;
    let mut values = vec![0.0; rows * cols];
    match header.mirror {
        Mirror::General => {
            for (at, value) in by_columns.into_iter().enumerate() {
                values[at % rows * cols + at / rows] = value;
            }
        }
        Mirror::Symmetric | Mirror::Skew => {
            let skew = header.mirror == Mirror::Skew;
            let places = (0..cols)
                .flat_map(|col| (col + usize::from(skew)..rows).map(move |row| (row, col)));
            for ((row, col), value) in places.zip(by_columns) {
                values[row * cols + col] = value;
                if row != col {
                    values[col * cols + row] = if skew { -value } else { value };
                }
            }
        }
    }
    Ok(MarketMatrix { rows, cols, arrays: MatrixArrays::Dense { values } })
}

fn read_values<R: BufRead>(
    lines: &mut LineReader<R>,
    header: Header,
    count: usize,
) -> Result<Vec<f64>, MatrixMarketError> {
    read_records(lines, "values", count, |line, values: &mut Vec<f64>| {
        values.push(match header.field {
            Field::Integer => line.integer()?,
            Field::Real | Field::Pattern => line.real()?,
        });
        line.end()
    })
}

/// Reserved in advance at most; a longer text grows as it is read.
const RESERVED_ENTRIES_MAX: usize = 1 << 16;

fn read_plain<R: BufRead>(
    lines: &mut LineReader<R>,
    order: usize,
) -> Result<Vec<f64>, MatrixMarketError> {
    let mut values = Vec::with_capacity(order.min(RESERVED_ENTRIES_MAX));
    while let Some(mut line) = lines.next_plain_line()? {
        if values.len() == order {
            return Err(lines.surplus("numbers", order));
        }
        values.push(line.real()?);
        line.end()?;
    }
    if values.len() < order {
        return Err(lines.truncated("numbers", order, values.len()));
    }
    Ok(values)
}
