//! A body in plain text, before it is decoded: what it is, and how much its decoding may take.

use crate::protocol::options::RequestOptions;
use crate::protocol::problem::Problem;
use crate::protocol::solve::SolveRequest;

/// A JSON item takes at least two bytes of text, and becomes a value and its place in compressed rows
/// (8 and 4 bytes; the other forms have two or three items for an entry and need less for each). The
/// analysis may turn the places around (4 bytes). A row of a matrix brings an item of the vector, too,
/// whose reserve is what the analysis keeps of a row.
const BYTES_OF_ITEM: u64 = 16;
/// A line of a matrix file becomes two coordinate entries if the matrix is symmetric (16 bytes each),
/// and those become compressed rows (12 bytes each); the analysis comes when the entries are gone.
const BYTES_OF_LINE: u64 = 56;
/// A line of a vector file.
const BYTES_OF_VECTOR_LINE: u64 = 8;

/// The texts of a request.
#[derive(Debug)]
pub enum Received {
    Json(Vec<u8>),
    Files { matrix: Vec<u8>, vector: Option<Vec<u8>>, options: RequestOptions },
}

impl Received {
    /// Most bytes that the arrays of this request take, whatever they are: from the number of items,
    /// not from the size, since the shortest tokens grow most. Linear in the texts.
    pub fn decoded_bytes(&self) -> u64 {
        match self {
            Self::Json(text) => bytes_of_json(text),
            Self::Files { matrix, vector, .. } => bytes_of_files(matrix, vector.as_deref()),
        }
    }

    /// Decodes the request; its text is gone when that is done.
    ///
    /// # Errors
    /// A problem that names every fault found.
    pub fn into_request(self) -> Result<SolveRequest, Problem> {
        match self {
            Self::Json(text) => SolveRequest::from_json(&text),
            Self::Files { matrix, vector, options } => {
                SolveRequest::from_files(&matrix, vector.as_deref(), options)
            }
        }
    }
}

/// Most bytes that the arrays of a JSON text take.
pub(super) fn bytes_of_json(text: &[u8]) -> u64 {
    BYTES_OF_ITEM * (1 + count(text, b','))
}

/// Most bytes that the arrays of a matrix file and a vector file take.
pub(super) fn bytes_of_files(matrix: &[u8], vector: Option<&[u8]>) -> u64 {
    let vector_lines = vector.map_or(0, |vector| 1 + count(vector, b'\n'));
    BYTES_OF_LINE * (1 + count(matrix, b'\n')) + BYTES_OF_VECTOR_LINE * vector_lines
}

fn count(text: &[u8], separator: u8) -> u64 {
    // Chunks whose count fits a byte are counted many bytes at a time.
    let chunks = text.chunks(255);
    chunks.map(|chunk| u64::from(chunk.iter().map(|&b| u8::from(b == separator)).sum::<u8>())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::system::MatrixArrays;

    /// What the arrays of a request take, and the compressed rows that they become.
    fn taken(request: &SolveRequest) -> usize {
        let vectors =
            8 * (request.vector.len() + request.initial_guess.as_ref().map_or(0, Vec::len));
        vectors
            + match &request.arrays {
                // Become compressed rows where they stand.
                MatrixArrays::Dense { values } => 12 * values.len(),
                MatrixArrays::CompressedRows { row_pointers, col_indices, values } => {
                    4 * (row_pointers.len() + col_indices.len()) + 8 * values.len()
                }
                MatrixArrays::CompressedColumns { col_pointers, row_indices, values } => {
                    4 * (col_pointers.len() + row_indices.len()) + 20 * values.len()
                }
                MatrixArrays::Coordinates { values, .. } => 28 * values.len(),
            }
    }

    fn check(received: Received) {
        let expected = received.decoded_bytes();
        let taken = taken(&received.into_request().unwrap()) as u64;
        assert!(taken <= expected, "{taken} bytes taken, {expected} expected");
        assert!(expected <= 4 * taken, "{taken} bytes taken, {expected} expected");
    }

    #[test]
    fn the_shortest_tokens_stay_within_what_is_expected_of_them() {
        let ones = |count: usize| vec!["1"; count].join(",");
        let (flat, vector) = (ones(900), ones(30));
        let rows = vec![format!("[{}]", ones(30)); 30].join(",");
        for matrix in [
            format!("[{rows}]"),
            format!(r#"{{"rows": 30, "cols": 30, "data": {{"values": [{flat}]}}}}"#),
            format!(
                r#"{{"rows": 30, "cols": 30, "data":
                {{"values": [{flat}], "row_indices": [{flat}], "col_indices": [{flat}]}}}}"#
            ),
            format!(
                r#"{{"rows": 30, "cols": 30, "data":
                {{"values": [{flat}], "row_indices": [{flat}], "col_pointers": [{vector},1]}}}}"#
            ),
        ] {
            check(Received::Json(
                format!(r#"{{"matrix": {matrix}, "vector": [{vector}]}}"#).into_bytes(),
            ));
        }
        let entries: String = (2..=300).map(|row| format!("{row} 1\n")).collect();
        let header = "%%MatrixMarket matrix coordinate pattern symmetric\n300 300 299\n";
        check(Received::Files {
            matrix: format!("{header}{entries}").into_bytes(),
            vector: Some(b"1\n".repeat(300)),
            options: RequestOptions::default(),
        });
    }

    #[test]
    fn separators_are_counted_across_chunks() {
        for size in [0, 1, 254, 255, 256, 1_000] {
            assert_eq!(count(&vec![b','; size], b','), size as u64);
            assert_eq!(count(&vec![b'.'; size], b','), 0);
        }
    }
}
