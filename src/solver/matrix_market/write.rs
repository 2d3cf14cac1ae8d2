//! Writes matrices and vectors so that reading them back gives the same bits.

use crate::solver::assembly::transposed;
use crate::solver::system::{CsrMatrix, Rows};
use std::io::{self, Write};

/// Writes `coordinate real`, row by row: `symmetric` when `A = Aᵀ` to the last bit (half the size),
/// otherwise `general`. O(nnz), and one transpose of memory.
///
/// # Errors
/// What the writer reports.
pub fn write_matrix(
    output: &mut impl Write,
    matrix: &CsrMatrix,
    comments: &[String],
) -> io::Result<()> {
    let rows = Rows::of(matrix);
    let symmetric = matrix.rows() == matrix.cols() && is_symmetric(rows);
    let kept = |row: usize, col: u32| !symmetric || col as usize <= row;
    let count = match symmetric {
        true => (0..rows.count())
            .map(|row| rows.cols(row).iter().filter(|&&col| kept(row, col)).count())
            .sum(),
        false => matrix.nnz(),
    };
    let mirror = if symmetric { "symmetric" } else { "general" };
    writeln!(output, "%%MatrixMarket matrix coordinate real {mirror}")?;
    write_comments(output, comments)?;
    writeln!(output, "{} {} {count}", matrix.rows(), matrix.cols())?;
    let mut text = NumberText::default();
    for row in 0..rows.count() {
        let (cols, values) = rows.row(row);
        for (&col, &value) in cols.iter().zip(values).filter(|&(&col, _)| kept(row, col)) {
            output.write_all(text.index(row + 1))?;
            output.write_all(b" ")?;
            output.write_all(text.index(col as usize + 1))?;
            output.write_all(b" ")?;
            output.write_all(text.real(value))?;
            output.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// Writes `array real general`, n by 1.
///
/// # Errors
/// What the writer reports.
pub fn write_vector(
    output: &mut impl Write,
    values: &[f64],
    comments: &[String],
) -> io::Result<()> {
    writeln!(output, "%%MatrixMarket matrix array real general")?;
    write_comments(output, comments)?;
    writeln!(output, "{} 1", values.len())?;
    let mut text = NumberText::default();
    for &value in values {
        output.write_all(text.real(value))?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

fn write_comments(output: &mut impl Write, comments: &[String]) -> io::Result<()> {
    comments
        .iter()
        .flat_map(|comment| comment.lines())
        .try_for_each(|line| writeln!(output, "% {line}"))
}

fn is_symmetric(rows: Rows<'_>) -> bool {
    let mirror = transposed(rows.count(), rows.pointers, rows.indices, rows.values);
    mirror.pointers == rows.pointers
        && mirror.indices == rows.indices
        && mirror
            .values
            .iter()
            .zip(rows.values)
            .all(|(one, other)| one.to_bits() == other.to_bits())
}

#[derive(Default)]
struct NumberText {
    whole: itoa::Buffer,
    real: zmij::Buffer,
}

impl NumberText {
    fn index(&mut self, index: usize) -> &[u8] {
        self.whole.format(index).as_bytes()
    }

    /// The shortest digits that read back as the same bits; whole numbers without `.0`.
    fn real(&mut self, value: f64) -> &[u8] {
        let text = self.real.format(value);
        text.strip_suffix(".0").unwrap_or(text).as_bytes()
    }
}
