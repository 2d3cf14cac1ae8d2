//! The systems of the goals, by their letters, and the raw files that peers read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Result, Write};
use std::path::Path;

use weir::solver::gallery;
use weir::solver::matrix_market::{ReadLimits, read_matrix, read_rhs};
use weir::solver::system::LinearSystem;

pub const TITLES: [(&str, &str); 7] = [
    ("a", "random asymmetric dominant, n = 10,000, nnz = 50,000"),
    ("b", "random asymmetric dominant, n = 1,000,000, nnz = 5,000,000"),
    ("c", "Poisson 1000 x 1000"),
    ("d", "Poisson 100 x 100 x 100"),
    ("e", "case9241pegase, DC power flow, indefinite"),
    ("f", "PageRank, R-MAT, n = 1,048,576, 10,000,000 links"),
    ("g", "upwind convection-diffusion 500 x 500"),
];

pub fn title(letter: &str) -> &'static str {
    TITLES.iter().find(|(name, _)| *name == letter).map_or("a system", |(_, title)| title)
}

pub fn system(letter: &str) -> LinearSystem {
    const IN_RANGE: &str = "the sizes are in range";
    match letter {
        "a" => gallery::diagonally_dominant(10_000, 50_000, 1).expect(IN_RANGE),
        "b" => gallery::diagonally_dominant(1_000_000, 5_000_000, 2).expect(IN_RANGE),
        "c" => gallery::poisson_2d(1_000, 7).expect(IN_RANGE),
        "d" => gallery::poisson_3d(100, 7).expect(IN_RANGE),
        "e" => {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/systems");
            read_system(&folder.join("case9241pegase.mtx"))
        }
        "f" => gallery::page_rank(20, 10_000_000, 3).expect(IN_RANGE),
        "g" => gallery::convection_diffusion(500, 50.0, 7).expect(IN_RANGE),
        other => panic!("there is no system `{other}`"),
    }
}

/// `A.mtx` with `A_b.mtx` beside it.
pub fn read_system(matrix: &Path) -> LinearSystem {
    let open = |path: &Path| {
        BufReader::new(
            File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    };
    let read = read_matrix(open(matrix), ReadLimits::default()).expect("a matrix");
    let stem = matrix.file_stem().and_then(|stem| stem.to_str()).expect("a file name");
    let rhs = matrix.with_file_name(format!("{stem}_b.mtx"));
    let rhs = read_rhs(open(&rhs), read.rows).expect("a right-hand side");
    LinearSystem::assemble(read.rows, read.cols, read.arrays, rhs).expect("a system")
}

/// u64 n, u64 entries, u32 pointers, u32 columns, f64 values, f64 b; little-endian.
pub fn write_raw(path: &Path, system: &LinearSystem) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let rows = system.rows();
    for size in [system.order(), system.nonzeros()] {
        file.write_all(&(size as u64).to_le_bytes())?;
    }
    for index in rows.pointers.iter().chain(rows.indices) {
        file.write_all(&index.to_le_bytes())?;
    }
    for value in rows.values.iter().chain(system.rhs()) {
        file.write_all(&value.to_le_bytes())?;
    }
    file.flush()
}
