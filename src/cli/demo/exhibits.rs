//! The systems that the demo shows. The grids are part of the binary, so that an installed one has them.

use crate::solver::gallery::{self, GalleryError};
use crate::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};
use crate::solver::system::LinearSystem;

/// A shipped system as it lies in `scenarios/systems/`.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    pub name: &'static str,
    pub title: &'static str,
    pub matrix: &'static [u8],
    pub rhs: &'static [u8],
}

pub const IEEE_118: Grid = Grid {
    name: "ieee118",
    title: "The IEEE 118-bus power grid",
    matrix: include_bytes!("../../../scenarios/systems/ieee118.mtx"),
    rhs: include_bytes!("../../../scenarios/systems/ieee118_b.mtx"),
};

pub const PEGASE_9241: Grid = Grid {
    name: "case9241pegase",
    title: "The European high-voltage grid, 9,241 buses",
    matrix: include_bytes!("../../../scenarios/systems/case9241pegase.mtx"),
    rhs: include_bytes!("../../../scenarios/systems/case9241pegase_b.mtx"),
};

impl Grid {
    /// Read again on this side, so that the answer is checked against the file and not against what the
    /// server made of it.
    pub fn system(&self) -> LinearSystem {
        const SHIPPED: &str = "a shipped file was read when it was made";
        let matrix = read_matrix(self.matrix, ReadLimits::default()).expect(SHIPPED);
        let rhs = read_rhs(self.rhs, matrix.rows).expect(SHIPPED);
        LinearSystem::assemble(matrix.rows, matrix.cols, matrix.arrays, rhs).expect(SHIPPED)
    }

    /// The form that `curl -F matrix=@… -F vector=@…` sends, with options if there are any.
    pub fn form(&self, options: Option<&str>) -> Vec<u8> {
        let mut form = vec![];
        append_part(&mut form, "matrix", self.matrix);
        append_part(&mut form, "vector", self.rhs);
        if let Some(options) = options {
            append_part(&mut form, "options", options.as_bytes());
        }
        form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        form
    }
}

const BOUNDARY: &str = "weir-demo-8f2c61d0";

/// The media type of a form.
pub fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

fn append_part(form: &mut Vec<u8>, name: &str, content: &[u8]) {
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    form.extend_from_slice(head.as_bytes());
    form.extend_from_slice(content);
    form.extend_from_slice(b"\r\n");
}

/// `−Δu = f` on a `side` by `side` grid.
///
/// # Errors
/// When `side` is out of range.
pub fn poisson(side: usize) -> Result<LinearSystem, GalleryError> {
    gallery::poisson_2d(side, 1)
}

/// `‖b − A x‖₂ / ‖b‖₂`, summed row by row in the plainest way there is; shares no code with the solver.
/// Infinite where `x` has another length.
pub fn relative_residual(system: &LinearSystem, x: &[f64]) -> f64 {
    if x.len() != system.order() {
        return f64::INFINITY;
    }
    let rows = system.rows();
    let (mut residual, mut magnitude) = (0.0, 0.0);
    for (row, b) in system.rhs().iter().enumerate() {
        let (cols, values) = rows.row(row);
        let product: f64 = cols.iter().zip(values).map(|(&col, a)| a * x[col as usize]).sum();
        residual += (b - product).powi(2);
        magnitude += b.powi(2);
    }
    (residual / magnitude).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_tells_a_solution_from_its_neighbours() {
        let (system, x) = gallery::with_known_solution(poisson(12).unwrap(), 3);
        assert!(relative_residual(&system, &x) < 1e-14);
        let mut wrong = x.clone();
        wrong[40] += 1e-3;
        assert!(relative_residual(&system, &wrong) > 1e-5);
        assert_eq!(relative_residual(&system, &x[1..]), f64::INFINITY);
    }

    #[test]
    fn the_shipped_grids_are_systems() {
        assert_eq!(IEEE_118.system().order(), 117);
        assert_eq!(PEGASE_9241.system().order(), 9_240);
    }
}
