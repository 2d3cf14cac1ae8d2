//! What must hold for any bytes at the doors through which systems, changes and checks arrive: no panic, what is accepted is
//! well formed, what is well formed survives a round trip to the bit, what is refused says why.

#![allow(dead_code, reason = "each fuzz target uses one of the doors")]

use weir::ids::SessionId;
use weir::policy::verification::PROBES_MAX;
use weir::protocol::costs::{
    CostAnswer, CostBody, CostUpdate, EDITS_MAX, Line, LineBuffer, NAME_BYTES_MAX, ReadUpdate,
    Unreadable, read_body, read_line, write_answer, write_answers,
};
use weir::protocol::options::RequestOptions;
use weir::protocol::problem::Problem;
use weir::protocol::solve::SolveRequest;
use weir::protocol::verification::{LooksAt, ROWS_MAX, VerifyRequest};
use weir::solver::assembly::assemble;
use weir::solver::live::{Change, CostDelta, Edit};
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

/// Reads `bytes` as a request for a check; true when it was accepted.
pub fn verify(bytes: &[u8]) -> bool {
    match VerifyRequest::from_json(bytes) {
        Ok(VerifyRequest { looks_at: LooksAt::Rows(rows), .. }) => {
            assert!((1..=ROWS_MAX).contains(&rows.len()) && rows.is_sorted_by(|a, b| a < b));
            true
        }
        Ok(VerifyRequest { looks_at: LooksAt::Probes(probes), .. }) => {
            assert!((1..=PROBES_MAX).contains(&probes));
            true
        }
        Ok(VerifyRequest { looks_at: LooksAt::All, .. }) => true,
        Err(problem) => {
            assert_explained(&problem);
            false
        }
    }
}

/// Longest line of a stream, short enough for a run to meet it.
const LINE_BYTES: usize = 512;

/// Reads `bytes` as a body of updates of costs, and as a stream of lines; true when an update was
/// accepted.
pub fn costs(bytes: &[u8]) -> bool {
    let session = Some(SessionId::from_random_bits(1));
    let mut any_accepted = false;
    match read_body(bytes, session) {
        Ok(CostBody::One(update)) => {
            assert_sound(&update);
            assert_eq!(read_line(bytes, session), Ok(update), "one update is one line");
            any_accepted = true;
        }
        Ok(CostBody::Array(updates)) => {
            let answers: Vec<_> = updates.into_iter().map(answered).collect();
            any_accepted |= answers.iter().any(|(_, answer)| is_accepted(answer));
            let mut text = vec![];
            write_answers(&mut text, &answers);
            let document: serde_json::Value =
                serde_json::from_slice(&text).expect("an answer is a JSON document");
            let results = document["results"].as_array().expect("an array is answered by one");
            assert_eq!(results.len(), answers.len());
        }
        Err(problem) => assert_explained(&problem),
    }
    let mut buffer = LineBuffer::new(LINE_BYTES);
    let mut last = 0;
    let mut line = |line: Line<'_>| {
        assert!(line.number > last, "lines are counted");
        last = line.number;
        let Some(text) = line.text else { return };
        assert!(text.len() <= LINE_BYTES && !text.contains(&b'\n'));
        let (receipt, answer) = answered(read_line(text, session));
        any_accepted |= is_accepted(&answer);
        let mut text = vec![];
        write_answer(&mut text, Some(line.number), &receipt, &answer);
        assert!(!text.contains(&b'\n'), "an acknowledgement is one line");
        serde_json::from_slice::<serde_json::Value>(&text).expect("an answer is a JSON document");
    };
    bytes.chunks(37).for_each(|piece| buffer.feed(piece, &mut line));
    buffer.finish(&mut line);
    any_accepted
}

fn is_accepted(answer: &CostAnswer) -> bool {
    matches!(answer, CostAnswer::Accepted(_))
}

fn answered(read: ReadUpdate) -> (weir::protocol::costs::Receipt, CostAnswer) {
    match read {
        Ok(update) => {
            assert_sound(&update);
            (update.receipt, CostAnswer::Accepted(weir::ids::SystemVersion(1)))
        }
        Err(unreadable) => {
            let Unreadable { receipt, problem } = *unreadable;
            assert_explained(&problem);
            (receipt, CostAnswer::Refused(Box::new(problem)))
        }
    }
}

fn assert_sound(update: &CostUpdate) {
    let CostUpdate { delta, source, receipt, .. } = update;
    assert!(delta.len() <= EDITS_MAX && receipt.additions <= delta.rhs().len());
    assert_finite(delta);
    if let Some(source) = source {
        assert!((1..=NAME_BYTES_MAX).contains(&source.node.len()));
    }
}

fn assert_finite(delta: &CostDelta) {
    fn check<Place>(edit: &Edit<Place>) {
        let (Change::Set(value) | Change::Add(value)) = edit.change;
        assert!(value.is_finite() && edit.old_value.is_none_or(f64::is_finite));
    }
    delta.rhs().iter().for_each(check);
    delta.entries().iter().for_each(check);
}

fn assert_explained(problem: &Problem) {
    let document: serde_json::Value =
        serde_json::from_slice(&problem.to_json()).expect("a problem is a JSON document");
    let status = document["status"].as_u64().expect("a problem has a status");
    assert!((400..500).contains(&status), "status {status} for bad input");
    assert!(document["detail"].is_string() || document["title"].is_string());
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
            assert_explained(&problem);
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
