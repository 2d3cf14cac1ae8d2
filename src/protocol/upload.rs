//! A system that comes as files: a matrix in Matrix Market form, a right-hand side beside it or none,
//! and options. Where the files stood in the request is `http`'s business.

use crate::protocol::frame::Warning;
use crate::protocol::json::JsonReader;
use crate::protocol::matrix::MatrixPlaces;
use crate::protocol::options::{RequestOptions, located};
use crate::protocol::problem::{Problem, ProblemEntry, ProblemKind};
use crate::protocol::solve::{SolveRequest, invalid_system};
use crate::solver::assembly::matrix_faults;
use crate::solver::matrix_market::{self, MarketMatrix, MatrixMarketError, ReadLimits};

impl SolveRequest {
    /// Reads a matrix file and, where there is one, the file of the right-hand side (Matrix Market, or
    /// one number a line). Without one `b` is all ones, and a warning says so. Linear in the files.
    ///
    /// # Errors
    /// A problem that names the file and the line.
    pub fn from_files(
        matrix: &[u8],
        vector: Option<&[u8]>,
        options: RequestOptions,
    ) -> Result<Self, Problem> {
        let MarketMatrix { rows, cols, arrays } =
            matrix_market::read_matrix(matrix, ReadLimits::default())
                .map_err(|error| of_file("matrix", &error))?;
        let places = MatrixPlaces::of_files();
        // A file of one line can claim any number of rows: check before `b` is made of it.
        let faults = matrix_faults(rows, cols, &arrays);
        if !faults.is_empty() {
            return Err(invalid_system(&places, faults));
        }
        let RequestOptions { solve, stream, mut warnings } = options;
        let vector = match vector {
            Some(vector) => {
                matrix_market::read_rhs(vector, rows).map_err(|error| of_file("vector", &error))?
            }
            None => {
                let detail = "no right-hand side was sent: b is all ones".to_owned();
                warnings.push(Warning { pointer: String::new(), detail });
                vec![1.0; rows]
            }
        };
        Ok(Self {
            rows,
            cols,
            arrays,
            vector,
            initial_guess: None,
            options: solve,
            stream,
            warnings,
            places,
        })
    }
}

impl RequestOptions {
    /// Reads a JSON object of options, named `place` in problems.
    ///
    /// # Errors
    /// A problem that names each option that cannot be used.
    pub fn from_json(text: &[u8], place: &str) -> Result<Self, Problem> {
        let text = std::str::from_utf8(text).map_err(|_| {
            Problem::new(ProblemKind::MalformedBody, format!("`{place}` is not UTF-8"))
        })?;
        let mut options = Self::default();
        let mut reader = JsonReader::new(text, place);
        options.read_all(&mut reader)?;
        reader.finish()?;
        let prefix = format!("{place}/");
        let faults = &mut reader.faults;
        options.solve.faults().into_iter().for_each(|fault| faults.push(located(&prefix, fault)));
        match faults.is_empty() {
            true => Ok(options),
            false => Err(Problem::of_faults(ProblemKind::InvalidRequest, faults)),
        }
    }
}

fn of_file(file: &str, error: &MatrixMarketError) -> Problem {
    let kind = match error {
        MatrixMarketError::RhsShape { .. } => ProblemKind::InvalidSystem,
        MatrixMarketError::TooLarge { .. } => ProblemKind::BodyTooLarge,
        _ => ProblemKind::MalformedBody,
    };
    let entry = ProblemEntry {
        pointer: file.to_owned(),
        detail: error.to_string(),
        expected: None,
        found: None,
        held: None,
    };
    Problem { errors: vec![entry], ..Problem::new(kind, format!("{file}: {error}")) }
}
