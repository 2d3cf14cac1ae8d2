//! A request as a client writes it, for those of our own that are clients: the demo and the benches.

use serde_json::Value;

use crate::solver::system::LinearSystem;

/// The system as a JSON request in compressed rows. Costs a tree of all its numbers.
pub fn json_request(system: &LinearSystem, method: &str, options: &Value) -> Vec<u8> {
    let rows = system.rows();
    serde_json::to_vec(&serde_json::json!({
        "matrix": {
            "rows": system.order(),
            "cols": system.order(),
            "data": {
                "values": rows.values,
                "col_indices": rows.indices,
                "row_pointers": rows.pointers,
            },
            "format": "csr",
        },
        "vector": system.rhs(),
        "method": method,
        "options": options,
    }))
    .expect("numbers and strings only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::solve::SolveRequest;
    use crate::solver::gallery;

    #[test]
    fn what_is_written_is_read_as_the_same_system() {
        let system = gallery::diagonally_dominant(40, 200, 1).unwrap();
        let options = serde_json::json!({ "tolerance": 1e-3 });
        let request = SolveRequest::from_json(&json_request(&system, "cg", &options)).unwrap();
        assert_eq!(request.vector, system.rhs());
        assert_eq!(request.options.tolerance, 1e-3);
        let (rows, cols) = (request.rows, request.cols);
        let read = LinearSystem::assemble(rows, cols, request.arrays, request.vector).unwrap();
        assert_eq!(read.matrix(), system.matrix());
    }
}
