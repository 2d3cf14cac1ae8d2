//! `weir analyze`: what a matrix is like and what each method will make of it, for people, for programs,
//! and as a picture. Exit code 0, or 2 when the file or the picture's path is at fault.

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::picture::{Picture, cells_max};
use crate::cli::system_files::{FileError, read_matrix_file};
use crate::solver::analysis::Analysis;
use crate::solver::sparsity::DensityGrid;
use crate::solver::system::LinearSystem;

const EXAMPLES: &str = "\
Examples:
  weir analyze scenarios/systems/case9241pegase.mtx
  weir analyze A.mtx --picture A.png
  weir analyze A.mtx --json | jq '.prospects[] | {method, verdict}'";

/// Find out what a matrix is like and which methods suit it
///
/// One pass over the matrix finds symmetry, diagonal dominance, signs, definiteness as far as it can be
/// proven, bandwidth, components and structural rank, and from them a verdict for each method: certain
/// and impossible are said only where a theorem says so.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AnalyzeArguments {
    /// The matrix, square, in Matrix Market form
    #[arg(value_name = "A.mtx")]
    matrix: PathBuf,
    /// Report as one JSON document
    #[arg(long)]
    json: bool,
    /// Draw the sparsity pattern into this file, .svg or .png
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum BadInput {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot write {}: {source}", path.display())]
    Output { path: PathBuf, source: std::io::Error },
    #[error("--picture {}: the name must end in .svg or .png", path.display())]
    PictureKind { path: PathBuf },
}

#[derive(Debug, Clone, Copy)]
enum PictureKind {
    Svg,
    Png,
}

/// The analysis with the name of its file, as one document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    matrix: String,
    #[serde(flatten)]
    analysis: &'a Analysis,
}

/// Runs `weir analyze`.
pub fn run(arguments: &AnalyzeArguments) -> ExitCode {
    match analyze(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(bad_input) => {
            eprintln!("error: {bad_input}");
            ExitCode::from(2)
        }
    }
}

fn analyze(arguments: &AnalyzeArguments) -> Result<(), BadInput> {
    let picture = arguments.picture.as_deref().map(picture_kind).transpose()?;
    let system = read_matrix_file(&arguments.matrix)?;
    let analysis = Analysis::of(&system);
    let matrix = arguments.matrix.display().to_string();
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&Document { matrix, analysis: &analysis })
            .expect("an analysis holds plain values"),
        false => report::text(&matrix, &analysis),
    };
    // A reader that has gone away needs no report.
    let _ = writeln!(std::io::stdout(), "{text}");
    if let Some((path, kind)) = picture {
        draw(&system, &arguments.matrix, path, kind)?;
    }
    Ok(())
}

fn picture_kind(path: &Path) -> Result<(&Path, PictureKind), BadInput> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "svg" => Ok((path, PictureKind::Svg)),
        "png" => Ok((path, PictureKind::Png)),
        _ => Err(BadInput::PictureKind { path: path.to_owned() }),
    }
}

fn draw(
    system: &LinearSystem,
    matrix: &Path,
    path: &Path,
    kind: PictureKind,
) -> Result<(), BadInput> {
    let grid = DensityGrid::of(system, cells_max(system.nonzeros()));
    let name = matrix.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let picture = Picture::of(&grid, &name);
    let bytes = match kind {
        PictureKind::Svg => picture.to_svg().into_bytes(),
        PictureKind::Png => picture.to_png(),
    };
    std::fs::write(path, bytes).map_err(|source| BadInput::Output { path: path.to_owned(), source })
}
