//! What must hold for any bytes at the doors through which systems arrive: no panic, what is accepted is
//! well formed, what is well formed survives a round trip to the bit, what is refused says why.

#![allow(dead_code, reason = "each fuzz target uses one of the doors")]

use weir::protocol::options::RequestOptions;
use weir::protocol::problem::Problem;
use weir::protocol::solve::SolveRequest;
use weir::solver::assembly::assemble;
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs, write_matrix, write_vector};
use weir::solver::system::{CsrMatrix, Rows};

/// Keeps a run within memory, and reaches the limits themselves.
const LIMITS: ReadLimits = ReadLimits { order_max: 1 << 20, entries_max: 1 << 20 };
/// Unknowns of the system that right-hand sides are read for.
const ORDER: usize = 3;

/// Reads `bytes` as a matrix and as a right-hand side; true when either was accepted.
pub fn matrix_market(bytes: &[u8]) -> bool {
    let matrix = match read_matrix(bytes, LIMITS) {
        Ok(read) => {
            let (rows, cols) = (read.rows, read.cols);
            match assemble(rows, cols, read.arrays) {
                Ok(matrix) => {
                    assert_eq!((matrix.rows(), matrix.cols()), (rows, cols));
                    assert_well_formed(&matrix);
                    assert_round_trip(&matrix);
                    true
                }
                Err(faults) => {
                    assert!(!faults.is_empty(), "refused without a fault");
                    false
                }
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    };
    let rhs = match read_rhs(bytes, ORDER) {
        Ok(values) => {
            assert_eq!(values.len(), ORDER);
            assert!(values.iter().all(|value| value.is_finite()));
            let mut text = vec![];
            write_vector(&mut text, &values, &[]).expect("a vector takes all bytes");
            let back = read_rhs(&text[..], ORDER).expect("what was written is read");
            assert!(back.iter().zip(&values).all(|(one, other)| one.to_bits() == other.to_bits()));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    };
    matrix || rhs
}

/// Reads `bytes` as a request to solve and prepares it; true when it was accepted.
pub fn json_system(bytes: &[u8]) -> bool {
    accepted(SolveRequest::from_json(bytes))
}

/// Between the matrix and the right-hand side of an upload.
const PART_END: &[u8] = b"\n--\n";

/// Reads `bytes` as an uploaded matrix with a right-hand side behind a line `--`, or without one, and
/// prepares it; true when it was accepted.
pub fn upload(bytes: &[u8]) -> bool {
    let end = bytes.windows(PART_END.len()).position(|window| window == PART_END);
    let (matrix, vector) = match end {
        Some(end) => (&bytes[..end], Some(&bytes[end + PART_END.len()..])),
        None => (bytes, None),
    };
    accepted(SolveRequest::from_files(matrix, vector, RequestOptions::default()))
}

fn accepted(request: Result<SolveRequest, Problem>) -> bool {
    match request.and_then(SolveRequest::prepare) {
        Ok(session) => {
            let system = session.engine.system();
            assert_eq!(system.order(), system.rhs().len());
            assert!(system.rhs().iter().all(|value| value.is_finite()));
            assert_well_formed(system.matrix());
            true
        }
        Err(problem) => {
            let document = problem.to_json();
            let document: serde_json::Value =
                serde_json::from_slice(&document).expect("a problem is a JSON document");
            let status = document["status"].as_u64().expect("a problem has a status");
            assert!((400..500).contains(&status), "status {status} for bad input");
            assert!(document["detail"].is_string() || document["title"].is_string());
            false
        }
    }
}

fn assert_well_formed(matrix: &CsrMatrix) {
    assert!(matrix.is_csr() && matrix.rows() == matrix.cols() && matrix.rows() > 0);
    let rows = Rows::of(matrix);
    assert_eq!(rows.pointers.len(), matrix.rows() + 1);
    assert_eq!(rows.pointers[0], 0);
    assert_eq!(rows.pointers[matrix.rows()] as usize, rows.values.len());
    assert_eq!(rows.indices.len(), rows.values.len());
    assert!(rows.pointers.is_sorted());
    for row in 0..matrix.rows() {
        let cols = rows.cols(row);
        assert!(cols.windows(2).all(|pair| pair[0] < pair[1]), "row {row} ascends");
        assert!(cols.last().is_none_or(|last| (*last as usize) < matrix.cols()));
    }
    assert!(rows.values.iter().all(|value| value.is_finite()));
}

fn assert_round_trip(matrix: &CsrMatrix) {
    let mut text = vec![];
    write_matrix(&mut text, matrix, &[]).expect("a vector takes all bytes");
    let read = read_matrix(&text[..], ReadLimits::default()).expect("what was written is read");
    let back = assemble(read.rows, read.cols, read.arrays).expect("what was written is a matrix");
    let (one, other) = (Rows::of(&back), Rows::of(matrix));
    assert_eq!((one.pointers, one.indices), (other.pointers, other.indices));
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(one.values), bits(other.values));
}
