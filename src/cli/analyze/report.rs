//! An analysis as people read it: one line a finding, then a verdict for each method.

use owo_colors::{OwoColorize, Stream, Style};

use crate::cli::text::grouped;
use crate::solver::analysis::{
    Analysis, Definiteness, Dominance, DominanceKind, HMatrixProof, StructuralRank, Verdict,
};

const LABEL_WIDTH: usize = 14;
const LINE_WIDTH: usize = 100;

/// The whole report, without a final line break.
pub fn text(matrix: &str, analysis: &Analysis) -> String {
    let mut text = format!("{}\n\n", matrix.if_supports_color(Stream::Stdout, |name| name.bold()));
    for (label, finding) in findings(analysis) {
        text += &entry(&format!("{label:<LABEL_WIDTH$}"), LABEL_WIDTH, &finding);
    }
    text += "\n";
    for prospect in &analysis.prospects {
        let verdict = verdict_text(prospect.verdict);
        let label = format!(
            "{:<LABEL_WIDTH$}{} ",
            prospect.method.as_str(),
            format!("{verdict:<10}")
                .if_supports_color(Stream::Stdout, |word| word.style(style(prospect.verdict)))
        );
        text += &entry(&label, LABEL_WIDTH + 11, &prospect.reason);
    }
    text.trim_end().to_owned()
}

/// A label and a text wrapped beside it.
fn entry(label: &str, label_width: usize, finding: &str) -> String {
    let mut text = format!("  {label}");
    let mut width = label_width + 2;
    for (at, word) in finding.split(' ').enumerate() {
        let length = word.chars().count() + usize::from(at > 0);
        if at > 0 && width + length > LINE_WIDTH {
            text += &format!("\n{:indent$}", "", indent = label_width + 2);
            width = label_width + 2;
        } else if at > 0 {
            text.push(' ');
        }
        text += word;
        width += length;
    }
    text + "\n"
}

fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Certain => "certain",
        Verdict::Possible => "possible",
        Verdict::Impossible => "impossible",
    }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Certain => Style::new().green(),
        Verdict::Possible => Style::new().yellow(),
        Verdict::Impossible => Style::new().red(),
    }
}

fn findings(analysis: &Analysis) -> Vec<(&'static str, String)> {
    vec![
        ("size", size(analysis)),
        ("symmetry", symmetry(analysis)),
        ("diagonal", diagonal(analysis)),
        ("row gaps", dominance(&analysis.row_dominance, "row", analysis.order)),
        ("column gaps", dominance(&analysis.column_dominance, "column", analysis.order)),
        ("signs", signs(analysis)),
        ("class", class(analysis)),
        ("definiteness", definiteness(analysis)),
        (
            "bandwidth",
            format!(
                "{} below and {} above the diagonal",
                grouped(analysis.bandwidth.lower),
                grouped(analysis.bandwidth.upper)
            ),
        ),
        ("components", components(analysis)),
        ("structure", structure(analysis)),
    ]
}

fn size(analysis: &Analysis) -> String {
    format!(
        "{n} by {n}, {} entries ({:.3} %); at most {} in a row, {} in a column",
        grouped(analysis.nonzeros),
        100.0 * analysis.density,
        grouped(analysis.row_entries_max),
        grouped(analysis.column_entries_max),
        n = grouped(analysis.order),
    )
}

fn symmetry(analysis: &Analysis) -> String {
    let symmetry = &analysis.symmetry;
    let pattern = if symmetry.pattern { "pattern symmetric" } else { "pattern not symmetric" };
    match symmetry.first_asymmetry {
        None => format!("{pattern}, values equal to the last bit"),
        Some(_) if symmetry.up_to_rounding() => format!(
            "{pattern}, values up to rounding (largest relative difference {:.1e})",
            symmetry.relative_difference_max
        ),
        Some(first) => format!(
            "{pattern}, values not: ({row}, {col}) is {} and ({col}, {row}) is {}",
            number(first.value),
            number(first.mirrored),
            row = first.row,
            col = first.col,
        ),
    }
}

fn diagonal(analysis: &Analysis) -> String {
    let diagonal = &analysis.diagonal;
    let range = format!("{} to {}", number(diagonal.smallest), number(diagonal.largest));
    let count = |count: usize, first: Option<usize>, noun: &str| match first {
        Some(row) => format!("; {} {noun}, first in row {row}", grouped(count)),
        None => String::new(),
    };
    let zeros = count(diagonal.zeros, diagonal.first_zero, "zero or missing");
    let negatives = count(diagonal.negatives, diagonal.first_negative, "negative");
    format!("{range}{zeros}{negatives}")
}

fn dominance(dominance: &Dominance, noun: &str, order: usize) -> String {
    let kind = kind_text(dominance.kind);
    let beyond_rounding = dominance.violated_lines - dominance.rounding_lines;
    match dominance.first_violation {
        Some(_) if beyond_rounding == 0 => format!(
            "{} up to rounding: {} of {} {noun}s fall short, each by its last digits only",
            kind_text(dominance.kind_up_to_rounding),
            grouped(dominance.violated_lines),
            grouped(order),
        ),
        Some(first) => format!(
            "{kind}: {} of {} {noun}s fall short, first {noun} {} (diagonal {}, beside it {})",
            grouped(beyond_rounding),
            grouped(order),
            first.line,
            number(first.diagonal),
            number(first.off_diagonal_sum)
        ),
        None => format!(
            "{kind}: {} of {} {noun}s strictly; smallest gap {} in {noun} {}, relative {}",
            grouped(dominance.strict_lines),
            grouped(order),
            number(dominance.gap_min),
            dominance.gap_min_line,
            number(dominance.relative_gap_min)
        ),
    }
}

fn kind_text(kind: DominanceKind) -> &'static str {
    match kind {
        DominanceKind::Strict => "strictly dominant",
        DominanceKind::Irreducible => "irreducibly dominant",
        DominanceKind::WeaklyChained => "weakly chained dominant",
        DominanceKind::Weak => "weakly dominant",
        DominanceKind::None => "not dominant",
    }
}

fn signs(analysis: &Analysis) -> String {
    match analysis.signs.first_positive {
        None => "no positive entry beside the diagonal (Z-matrix)".to_owned(),
        Some(first) => format!(
            "{} positive entries beside the diagonal, first ({}, {})",
            grouped(analysis.signs.positive_off_diagonals),
            first.row,
            first.col
        ),
    }
}

fn class(analysis: &Analysis) -> String {
    let Some(proof) = analysis.h_matrix else {
        return match (analysis.nonsingular(), analysis.h_matrix_up_to_rounding) {
            (true, _) => "nonsingular: the symmetric part is positive definite".to_owned(),
            (false, Some(proof)) => {
                format!("up to rounding, a nonsingular H-matrix ({})", proof_text(proof))
            }
            (false, None) => "not proven to be an H-matrix, nor nonsingular".to_owned(),
        };
    };
    let why = proof_text(proof);
    match analysis.m_matrix {
        true => format!("nonsingular M-matrix ({why}): its inverse has no negative entry"),
        false => format!("nonsingular H-matrix ({why})"),
    }
}

fn proof_text(proof: HMatrixProof) -> &'static str {
    match proof {
        HMatrixProof::Triangular => "triangular",
        HMatrixProof::StrictRows => "strictly dominant rows",
        HMatrixProof::StrictColumns => "strictly dominant columns",
        HMatrixProof::IrreducibleRows => "irreducibly dominant rows",
        HMatrixProof::IrreducibleColumns => "irreducibly dominant columns",
        HMatrixProof::WeaklyChainedRows => "weakly chained dominant rows",
        HMatrixProof::WeaklyChainedColumns => "weakly chained dominant columns",
    }
}

fn definiteness(analysis: &Analysis) -> String {
    match &analysis.definiteness {
        Definiteness::NotSymmetric => "not asked: not symmetric".to_owned(),
        Definiteness::Positive => "positive definite".to_owned(),
        Definiteness::Negative => "negative definite".to_owned(),
        Definiteness::RefutedByDiagonal { row, value } => {
            format!("not definite: ({row}, {row}) is {}", number(*value))
        }
        Definiteness::RefutedByMinor { entry, row_diagonal, column_diagonal } => format!(
            "indefinite: ({}, {}) is {}, more than its diagonals {} and {} allow",
            entry.row,
            entry.col,
            number(entry.value),
            number(*row_diagonal),
            number(*column_diagonal)
        ),
        Definiteness::Unknown => "neither proven nor refuted".to_owned(),
    }
}

fn components(analysis: &Analysis) -> String {
    match analysis.components.count {
        1 => "1: everything is connected".to_owned(),
        count => format!(
            "{}, the largest of {} unknowns",
            grouped(count),
            grouped(analysis.components.largest)
        ),
    }
}

fn structure(analysis: &Analysis) -> String {
    match &analysis.structure.rank {
        StructuralRank::Full => "full structural rank".to_owned(),
        StructuralRank::AtLeast { rank } => {
            format!("structural rank at least {} (search stopped)", grouped(*rank))
        }
        StructuralRank::Deficient { rank, row, rows } => format!(
            "singular: structural rank {} of {}; {} with row {row} have nonzeros in {} columns",
            grouped(*rank),
            grouped(analysis.order),
            if *rows == 1 { "1 row".to_owned() } else { format!("{} rows", grouped(*rows)) },
            grouped(rows - 1)
        ),
    }
}

/// Four significant digits, with an exponent where it is shorter.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        0.0 => "0".to_owned(),
        _ if (1e-3..1e6).contains(&magnitude) => {
            let decimals = (3 - magnitude.log10().floor() as i32).max(0) as usize;
            let text = format!("{value:.decimals$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (4.0, "4"),
            (-0.048_123, "-0.04812"),
            (1234.56, "1235"),
            (120_000.0, "120000"),
            (1.0e-9, "1.000e-9"),
            (123_456_789.0, "1.235e8"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn long_findings_are_wrapped_beside_their_label() {
        let text = entry("label", 5, &"word ".repeat(40));
        assert!(text.lines().count() > 2);
        assert!(text.lines().all(|line| line.chars().count() <= LINE_WIDTH + 1));
        assert!(text.lines().skip(1).all(|line| line.starts_with("       ")));
    }
}
