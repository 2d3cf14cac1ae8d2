//! Matrix Market in and out: every form, every kind of mistake with its line, and bit-for-bit round trips.

use proptest::prelude::*;
use weir::solver::assembly::assemble;
use weir::solver::matrix_market::{
    MatrixMarketError, ReadLimits, read_matrix, read_rhs, write_matrix, write_vector,
};
use weir::solver::system::{CsrMatrix, MatrixArrays};

fn read(text: &str) -> Result<CsrMatrix, MatrixMarketError> {
    let read = read_matrix(text.as_bytes(), ReadLimits::default())?;
    Ok(assemble(read.rows, read.cols, read.arrays).expect("what was read is well formed"))
}

fn check(text: &str, expected: &[&[f64]]) {
    let matrix = read(text).unwrap();
    let dense: Vec<Vec<f64>> =
        matrix.to_dense().rows().into_iter().map(|row| row.to_vec()).collect();
    assert_eq!(dense, expected, "{text}");
}

fn refuse(text: &str, message: &str) {
    assert_eq!(read(text).unwrap_err().to_string(), message, "{text}");
}

const GENERAL: &str = "%%MatrixMarket matrix coordinate real general\n";

#[test]
fn every_form_is_read() {
    check(&format!("{GENERAL}2 2 3\n1 1 4\n2 1 -1.5e0\n2 2 .5\n"), &[&[4.0, 0.0], &[-1.5, 0.5]]);
    check(
        "%%MatrixMarket matrix coordinate integer symmetric\n2 2 3\n1 1 4\n2 1 -1\n2 2 5\n",
        &[&[4.0, -1.0], &[-1.0, 5.0]],
    );
    check(
        "%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 1 3\n",
        &[&[0.0, -3.0], &[3.0, 0.0]],
    );
    check(
        "%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 2\n2 1\n",
        &[&[0.0, 1.0], &[1.0, 0.0]],
    );
    check(
        "%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4\n",
        &[&[1.0, 3.0], &[2.0, 4.0]],
    );
    check(
        "%%MatrixMarket matrix array integer symmetric\n2 2\n1\n2\n3\n",
        &[&[1.0, 2.0], &[2.0, 3.0]],
    );
    check(
        "%%MatrixMarket matrix array real skew-symmetric\n2 2\n7\n",
        &[&[0.0, -7.0], &[7.0, 0.0]],
    );
}

#[test]
fn case_comments_blank_lines_and_carriage_returns_do_not_matter() {
    check(
        "%%matrixmarket MATRIX Coordinate REAL General\r\n% a comment\r\n\r\n  2 2 2\r\n%x\r\n1 1 1\r\n\r\n\t2\t2  2 \r\n\r\n% end",
        &[&[1.0, 0.0], &[0.0, 2.0]],
    );
}

#[test]
fn duplicates_are_summed() {
    check(&format!("{GENERAL}1 1 3\n1 1 1\n1 1 2\n1 1 4\n"), &[&[7.0]]);
    check(
        "%%MatrixMarket matrix coordinate real symmetric\n2 2 4\n1 1 1\n2 1 1\n2 1 2\n2 2 1\n",
        &[&[1.0, 3.0], &[3.0, 1.0]],
    );
}

#[test]
fn mistakes_are_named_with_line_and_column() {
    refuse("", "line 1, column 1: expected `%%MatrixMarket matrix …`, found an empty text");
    refuse("1 2 3\n", "line 1, column 1: expected `%%matrixmarket`, found `1`");
    refuse(
        "%%MatrixMarket vector coordinate real general\n",
        "line 1, column 16: expected `matrix`, found `vector`",
    );
    refuse(
        GENERAL,
        "line 1, column 1: expected the line of sizes: rows, columns, entries, found the end of the text",
    );
    refuse(
        &format!("{GENERAL}2 2\n"),
        "line 2, column 4: expected the number of entries, found the end of the line",
    );
    refuse(
        &format!("{GENERAL}2 2 1\n0 1 4\n"),
        "line 3, column 1: expected a row index between 1 and 2, found `0`",
    );
    refuse(
        &format!("{GENERAL}2 2 1\n1 3 4\n"),
        "line 3, column 3: expected a column index between 1 and 2, found `3`",
    );
    refuse(
        &format!("{GENERAL}2 2 1\n1 1 four\n"),
        "line 3, column 5: expected a number, found `four`",
    );
    refuse(
        &format!("{GENERAL}2 2 1\n1 1 nan\n"),
        "line 3, column 5: expected a finite number, found `nan`",
    );
    refuse(
        &format!("{GENERAL}2 2 1\n1 1 1e999\n"),
        "line 3, column 5: expected a finite number, found `1e999`",
    );
    refuse(
        &format!("{GENERAL}2 2 1\n1 1 1 1\n"),
        "line 3, column 7: expected the end of the line, found `1`",
    );
    refuse(
        "%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1 1.5\n",
        "line 3, column 5: expected an integer of at most 2^53, found `1.5`",
    );
    refuse(
        "%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 1\n",
        "line 3, column 1: expected an entry on or below the diagonal, as a symmetric matrix is stored, found `1 2 1`",
    );
    refuse(
        "%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n1 1 1\n",
        "line 3, column 1: expected an entry below the diagonal, as a skew-symmetric matrix is stored, found `1 1 1`",
    );
}

#[test]
fn counts_that_do_not_match_are_refused() {
    refuse(
        &format!("{GENERAL}2 2 3\n1 1 1\n2 2 1\n"),
        "the text ends after line 4 with 2 entries, expected 3",
    );
    refuse(&format!("{GENERAL}2 2 1\n1 1 1\n2 2 1\n"), "line 4: expected 1 entries, found more");
    refuse(
        "%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n",
        "the text ends after line 5 with 3 values, expected 4",
    );
}

#[test]
fn complex_hermitian_and_array_pattern_are_refused_with_a_way_out() {
    refuse(
        "%%MatrixMarket matrix coordinate complex general\n",
        "line 1: `complex` is not supported; split it into a real system of twice the size",
    );
    refuse(
        "%%MatrixMarket matrix coordinate real hermitian\n",
        "line 1: `hermitian` is not supported; a real matrix is `symmetric`",
    );
    refuse(
        "%%MatrixMarket matrix array pattern general\n",
        "line 1: `array pattern` is not supported; an array has values: write `array real`",
    );
}

#[test]
fn a_claim_alone_allocates_nothing() {
    refuse(
        &format!("{GENERAL}3 3 1000000000000\n"),
        "line 2: 1000000000000 entries, the limit is 500000000",
    );
    refuse(
        &format!("{GENERAL}3 3 99999999999999999999999\n"),
        "line 2: 18446744073709551615 entries, the limit is 500000000",
    );
    refuse(
        "%%MatrixMarket matrix array real general\n4000000000 4000000000\n",
        "line 2: 16000000000000000000 entries, the limit is 500000000",
    );
    refuse(
        &format!("{GENERAL}3 3 400000000\n1 1 1\n"),
        "the text ends after line 3 with 1 entries, expected 400000000",
    );
    let read = read_matrix(
        format!("{GENERAL}4000000000 4000000000 1\n1 1 1\n").as_bytes(),
        ReadLimits::default(),
    );
    let read = read.unwrap();
    assert!(assemble(read.rows, read.cols, read.arrays).is_err());
}

#[test]
fn a_claimed_order_allocates_no_right_hand_side() {
    let order = 4_294_967_295;
    let text = format!("{GENERAL}{order} 1 1\n1 1 1\n");
    assert_eq!(
        read_rhs(text.as_bytes(), order).unwrap_err().to_string(),
        "line 3: `a sparse right-hand side of so many rows with so few entries` is not supported; write it as `array real general`, n by 1"
    );
    let text = format!("{GENERAL}5000000 1 1\n7 1 1\n");
    assert_eq!(read_rhs(text.as_bytes(), 5_000_000).unwrap().iter().sum::<f64>(), 1.0);
}

#[test]
fn a_line_without_end_is_refused() {
    let text = format!("{GENERAL}% {}", "x".repeat(200_000));
    let message = read(&text).unwrap_err().to_string();
    assert_eq!(message, "line 2: 65537 bytes or more, the limit is 65536");
}

#[test]
fn a_right_hand_side_comes_as_market_or_as_plain_numbers() {
    for text in [
        "%%MatrixMarket matrix array real general\n3 1\n1\n0\n2.5\n",
        "%%MatrixMarket matrix coordinate real general\n3 1 3\n3 1 2\n1 1 1\n3 1 .5\n",
        "1\n0\n2.5",
        "# injections\r\n% in MW\r\n1\r\n\r\n 0 \r\n2.5e0\r\n",
    ] {
        assert_eq!(read_rhs(text.as_bytes(), 3).unwrap(), [1.0, 0.0, 2.5], "{text}");
    }
}

#[test]
fn a_right_hand_side_of_another_size_is_refused() {
    for (text, message) in [
        (
            "%%MatrixMarket matrix array real general\n2 1\n1\n2\n",
            "line 2: expected a right-hand side of 3 by 1, found 2 by 1",
        ),
        (
            "%%MatrixMarket matrix coordinate real general\n4000000000 1 1\n1 1 1\n",
            "line 2: expected a right-hand side of 3 by 1, found 4000000000 by 1",
        ),
        (
            "%%MatrixMarket matrix array real general\n1 3\n1\n2\n3\n",
            "line 2: expected a right-hand side of 3 by 1, found 1 by 3",
        ),
        ("1\n2\n", "the text ends after line 2 with 2 numbers, expected 3"),
        ("1\n2\n3\n4\n", "line 4: expected 3 numbers, found more"),
        ("1\n2,5\n3\n", "line 2, column 1: expected a number, found `2,5`"),
        (
            "%%MatrixMarket matrix array real symmetric\n1 1\n1\n",
            "line 1: `a symmetric right-hand side` is not supported; write it as `array real general`, n by 1",
        ),
    ] {
        assert_eq!(read_rhs(text.as_bytes(), 3).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_symmetric_matrix_is_written_as_its_lower_half() {
    let dense = MatrixArrays::Dense { values: vec![2.0, 1e-300, 1e-300, 0.1] };
    let mut text = vec![];
    let comments = ["two lines\nof comment".to_owned()];
    write_matrix(&mut text, &assemble(2, 2, dense).unwrap(), &comments).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "%%MatrixMarket matrix coordinate real symmetric\n% two lines\n% of comment\n2 2 3\n1 1 2\n2 1 1e-300\n2 2 0.1\n"
    );
}

fn finite() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite())
}

proptest! {
    #[test]
    fn matrices_and_vectors_round_trip_to_the_bit(
        n in 1usize..9,
        entries in proptest::collection::btree_map((0u32..8, 0u32..8), finite(), 0..40),
        mirrored in any::<bool>(),
    ) {
        let mut kept: Vec<(u32, u32, f64)> = vec![];
        for ((row, col), value) in entries {
            if (row as usize) < n && (col as usize) < n && (!mirrored || col <= row) {
                kept.push((row, col, value));
                if mirrored && col < row {
                    kept.push((col, row, value));
                }
            }
        }
        let matrix = assemble(n, n, MatrixArrays::Coordinates {
            row_indices: kept.iter().map(|entry| entry.0).collect(),
            col_indices: kept.iter().map(|entry| entry.1).collect(),
            values: kept.iter().map(|entry| entry.2).collect(),
        }).unwrap();
        let mut text = vec![];
        write_matrix(&mut text, &matrix, &[]).unwrap();
        let back = read(std::str::from_utf8(&text).unwrap()).unwrap();
        prop_assert_eq!(&back, &matrix);
        let bits = |matrix: &CsrMatrix| matrix.data().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&matrix));

        let vector: Vec<f64> = kept.iter().map(|entry| entry.2).collect();
        let mut text = vec![];
        write_vector(&mut text, &vector, &[]).unwrap();
        let back = read_rhs(&text[..], vector.len()).unwrap();
        prop_assert!(back.iter().zip(&vector).all(|(one, other)| one.to_bits() == other.to_bits()));
    }
}

/// Longer than a block, with comments, blank lines and both kinds of line ends strewn in; `spoiled` lines
/// (from 0, among those after the sizes) hold something else.
fn long_text(entries: usize, claimed: usize, spoiled: &[(usize, &str)]) -> String {
    let mut text = format!("{GENERAL}{entries} {entries} {claimed}\n");
    for at in 0..entries {
        let spoil = spoiled.iter().find(|(line, _)| *line == at);
        let line = match (spoil, at % 1_000) {
            (Some((_, spoil)), _) => (*spoil).to_owned(),
            (None, 7) => "% a comment\n".to_owned(),
            (None, 8) => "\r\n".to_owned(),
            (None, _) => format!("{} {} {}.5\r\n", at + 1, entries - at, at),
        };
        text += &line;
        if !line.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

#[test]
fn a_long_text_is_read_in_pieces_as_if_it_was_read_line_by_line() {
    let entries = 200_000;
    let kept = || (0..entries).filter(|at| !(7..=8).contains(&(at % 1_000)));
    let text = long_text(entries, kept().count(), &[]);
    assert!(text.len() > 3 << 20, "{} bytes are one block", text.len());
    let read = read_matrix(text.as_bytes(), ReadLimits::default()).unwrap();
    let expected = MatrixArrays::Coordinates {
        row_indices: kept().map(|at| at as u32).collect(),
        col_indices: kept().map(|at| (entries - at - 1) as u32).collect(),
        values: kept().map(|at| at as f64 + 0.5).collect(),
    };
    assert!(read.arrays == expected);
    // However the text arrives.
    let trickling = std::io::BufReader::with_capacity(97, text.as_bytes());
    assert!(read_matrix(trickling, ReadLimits::default()).unwrap().arrays == expected);
}

#[test]
fn the_first_mistake_of_a_long_text_is_the_one_that_is_named() {
    let entries = 200_000;
    let lines = (0..entries).filter(|at| !(7..=8).contains(&(at % 1_000))).count();
    let found = |claimed: usize, spoiled: &[(usize, &str)]| {
        let text = long_text(entries, claimed, spoiled);
        read_matrix(text.as_bytes(), ReadLimits::default()).unwrap_err().to_string()
    };
    let mistakes = [(190_001, "1 1"), (150_123, "1  x 1"), (150_124, "0 1 1")];
    assert_eq!(
        found(lines, &mistakes),
        "line 150126, column 4: expected a column index between 1 and 200000, found `x`"
    );
    assert_eq!(
        found(lines - 1, &[]),
        "line 200002: expected 199599 entries, found more".to_owned()
    );
    // What follows the last entry is too much before it is anything else.
    assert_eq!(found(10, &mistakes), "line 15: expected 10 entries, found more");
    assert_eq!(
        found(lines + 2, &[]),
        "the text ends after line 200002 with 199600 entries, expected 199602"
    );
    let long = format!("% {}", "x".repeat(1 << 16));
    assert!(found(lines, &[(170_000, &long)]).starts_with("line 170003: 65537 bytes or more"));
}
