//! Systems in files: `A` as Matrix Market, `b` as Matrix Market or one number a line. Decides where `b`
//! comes from when nobody says.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::solver::assembly::assemble;
use crate::solver::matrix_market::{
    MarketMatrix, MatrixMarketError, ReadLimits, read_matrix, read_rhs,
};
use crate::solver::system::{LinearSystem, SystemFault};

/// Why a file does not make a system.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Malformed { path: PathBuf, source: MatrixMarketError },
    #[error("{}: {}", path.display(), listed(faults))]
    NotASystem { path: PathBuf, faults: Vec<SystemFault> },
}

/// Where `b` came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RhsSource {
    Given(PathBuf),
    /// `NAME_b.mtx` lay beside `NAME.mtx`.
    Beside(PathBuf),
    Ones,
}

/// Reads `A` from `matrix` and `b` from `rhs`; without that from `NAME_b.mtx` beside `NAME.mtx`; without
/// that either, `b` is all ones.
///
/// # Errors
/// [`FileError`], which names the file.
pub fn read_system(
    matrix: &Path,
    rhs: Option<&Path>,
) -> Result<(LinearSystem, RhsSource), FileError> {
    let read = read_matrix(open(matrix)?, ReadLimits::default())
        .map_err(|source| FileError::Malformed { path: matrix.to_owned(), source })?;
    let beside = beside(matrix).filter(|path| path.is_file());
    let source = match (rhs, beside) {
        (Some(path), _) => RhsSource::Given(path.to_owned()),
        (None, Some(path)) => RhsSource::Beside(path),
        (None, None) => RhsSource::Ones,
    };
    let system = with_rhs(matrix, read, |order| match &source {
        RhsSource::Given(path) | RhsSource::Beside(path) => read_vector(path, order),
        RhsSource::Ones => Ok(vec![1.0; order]),
    })?;
    Ok((system, source))
}

/// Reads `A` alone; `b` is all ones.
///
/// # Errors
/// [`FileError`], which names the file.
pub fn read_matrix_file(matrix: &Path) -> Result<LinearSystem, FileError> {
    let read = read_matrix(open(matrix)?, ReadLimits::default())
        .map_err(|source| FileError::Malformed { path: matrix.to_owned(), source })?;
    with_rhs(matrix, read, |order| Ok(vec![1.0; order]))
}

/// The right-hand side is made after the matrix, so that a size that is only claimed allocates nothing.
fn with_rhs(
    path: &Path,
    read: MarketMatrix,
    rhs: impl FnOnce(usize) -> Result<Vec<f64>, FileError>,
) -> Result<LinearSystem, FileError> {
    let not_a_system = |faults| FileError::NotASystem { path: path.to_owned(), faults };
    let matrix = assemble(read.rows, read.cols, read.arrays).map_err(not_a_system)?;
    let rhs = rhs(matrix.rows())?;
    LinearSystem::new(matrix, rhs).map_err(not_a_system)
}

/// Reads a vector of `order` numbers: a right-hand side or an initial guess.
///
/// # Errors
/// [`FileError`], which names the file.
pub fn read_vector(path: &Path, order: usize) -> Result<Vec<f64>, FileError> {
    read_rhs(open(path)?, order)
        .map_err(|source| FileError::Malformed { path: path.to_owned(), source })
}

fn open(path: &Path) -> Result<BufReader<File>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
    }
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// `NAME_b.mtx` for `NAME.mtx`.
fn beside(matrix: &Path) -> Option<PathBuf> {
    let stem = matrix.file_stem()?.to_str()?;
    let extension = matrix.extension()?.to_str()?;
    Some(matrix.with_file_name(format!("{stem}_b.{extension}")))
}

const FAULTS_SHOWN: usize = 5;

fn listed(faults: &[SystemFault]) -> String {
    let shown: Vec<String> = faults.iter().take(FAULTS_SHOWN).map(ToString::to_string).collect();
    match faults.len().checked_sub(FAULTS_SHOWN) {
        Some(more) if more > 0 => format!("{}; and {more} more", shown.join("; ")),
        _ => shown.join("; "),
    }
}
