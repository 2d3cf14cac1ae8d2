//! `weir generate`: writes a system of the gallery as Matrix Market files. Exit code 0, or 2 when a size
//! or the output path is at fault.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::text::grouped;
use crate::solver::gallery::{self, GalleryError};
use crate::solver::matrix_market::{write_matrix, write_vector};
use crate::solver::system::LinearSystem;

const EXAMPLES: &str = "\
Examples:
  weir generate poisson-2d --side 300 -o p.mtx && weir solve p.mtx
  weir generate dominant --order 10000 --entries 50000 --seed 7
  weir generate page-rank --scale 16 -o - | head";

/// Write a system of a known kind as Matrix Market files
///
/// NAME.mtx gets the matrix, NAME_b.mtx the right-hand side. The same kind, sizes and seed give the same
/// files everywhere.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GenerateArguments {
    #[command(subcommand)]
    kind: Kind,
    /// Where chance comes from
    #[arg(long, global = true, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// The matrix file; - writes only the matrix, to standard output [default: KIND.mtx]
    #[arg(short, long, global = true, value_name = "NAME.mtx")]
    output: Option<PathBuf>,
    /// Choose a solution x, set b = A x, and write x to NAME_x.mtx
    #[arg(long, global = true)]
    known_solution: bool,
}

/// A kind of system, with its sizes.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Kind {
    /// Heat or potential on a square grid: symmetric positive definite, n = side²
    #[command(name = "poisson-2d")]
    Poisson2d {
        #[arg(long, default_value_t = 100)]
        side: usize,
    },
    /// Heat or potential on a cube: symmetric positive definite, n = side³
    #[command(name = "poisson-3d")]
    Poisson3d {
        #[arg(long, default_value_t = 20)]
        side: usize,
    },
    /// What spreads while a wind carries it: an asymmetric M-matrix, n = side²
    ConvectionDiffusion {
        #[arg(long, default_value_t = 100)]
        side: usize,
        /// Strength of the wind against the spreading
        #[arg(long, default_value_t = 50.0)]
        peclet: f64,
    },
    /// Random and asymmetric, each diagonal larger than the rest of its row
    Dominant {
        /// n
        #[arg(long, default_value_t = 10_000)]
        order: usize,
        /// Entries drawn, the diagonal included [default: 5 for each row]
        #[arg(long)]
        entries: Option<usize>,
    },
    /// PageRank on a random graph with hubs: n = 2^scale
    PageRank {
        #[arg(long, default_value_t = 13)]
        scale: u32,
        /// Links drawn [default: 10 for each page]
        #[arg(long)]
        links: Option<usize>,
    },
    /// Resistors along a square grid of nodes, one corner grounded: n = side² − 1
    ResistorGrid {
        #[arg(long, default_value_t = 100)]
        side: usize,
    },
    /// Resistors in a ring with random chords, one node grounded: n = nodes − 1
    ResistorGraph {
        #[arg(long, default_value_t = 10_000)]
        nodes: usize,
        /// Resistors in all [default: 2 for each node]
        #[arg(long)]
        resistors: Option<usize>,
    },
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Poisson2d { .. } => "poisson-2d",
            Self::Poisson3d { .. } => "poisson-3d",
            Self::ConvectionDiffusion { .. } => "convection-diffusion",
            Self::Dominant { .. } => "dominant",
            Self::PageRank { .. } => "page-rank",
            Self::ResistorGrid { .. } => "resistor-grid",
            Self::ResistorGraph { .. } => "resistor-graph",
        }
    }

    pub fn system(self, seed: u64) -> Result<LinearSystem, GalleryError> {
        match self {
            Self::Poisson2d { side } => gallery::poisson_2d(side, seed),
            Self::Poisson3d { side } => gallery::poisson_3d(side, seed),
            Self::ConvectionDiffusion { side, peclet } => {
                gallery::convection_diffusion(side, peclet, seed)
            }
            Self::Dominant { order, entries } => {
                let full = order.saturating_mul(order);
                let entries = entries.unwrap_or(order.saturating_mul(5).min(full));
                gallery::diagonally_dominant(order, entries, seed)
            }
            Self::PageRank { scale, links } => {
                let pages = 1usize.checked_shl(scale).unwrap_or(usize::MAX);
                gallery::page_rank(scale, links.unwrap_or(pages.saturating_mul(10)), seed)
            }
            Self::ResistorGrid { side } => gallery::resistor_grid(side, seed),
            Self::ResistorGraph { nodes, resistors } => {
                let resistors = resistors.unwrap_or(nodes.saturating_mul(2));
                gallery::resistor_graph(nodes, resistors, seed)
            }
        }
    }

    /// The kind with its sizes, as they would be typed.
    pub fn recipe(self) -> String {
        let name = self.name();
        let option = |flag: &str, value: Option<usize>| {
            value.map(|value| format!(" --{flag} {value}")).unwrap_or_default()
        };
        match self {
            Self::Poisson2d { side } | Self::Poisson3d { side } | Self::ResistorGrid { side } => {
                format!("{name} --side {side}")
            }
            Self::ConvectionDiffusion { side, peclet } => {
                format!("{name} --side {side} --peclet {peclet}")
            }
            Self::Dominant { order, entries } => {
                format!("{name} --order {order}{}", option("entries", entries))
            }
            Self::PageRank { scale, links } => {
                format!("{name} --scale {scale}{}", option("links", links))
            }
            Self::ResistorGraph { nodes, resistors } => {
                format!("{name} --nodes {nodes}{}", option("resistors", resistors))
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum BadInput {
    #[error(transparent)]
    Size(#[from] GalleryError),
    #[error("cannot write {}: {source}", path.display())]
    Output { path: PathBuf, source: std::io::Error },
    #[error("--output -: only the matrix fits on standard output; give --known-solution a file")]
    NoRoomForSolution,
    #[error("--output {}: needs a file name such as A.mtx", path.display())]
    NoFileName { path: PathBuf },
}

/// Runs `weir generate`.
pub fn run(arguments: &GenerateArguments) -> ExitCode {
    match generate(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(bad_input) => {
            eprintln!("error: {bad_input}");
            ExitCode::from(2)
        }
    }
}

fn generate(arguments: &GenerateArguments) -> Result<(), BadInput> {
    let kind = arguments.kind;
    let default = PathBuf::from(format!("{}.mtx", kind.name()));
    let path = arguments.output.as_ref().unwrap_or(&default);
    let to_stdout = path == Path::new("-");
    if to_stdout && arguments.known_solution {
        return Err(BadInput::NoRoomForSolution);
    }
    let comments = [format!("weir generate {} --seed {}", kind.recipe(), arguments.seed)];
    let system = kind.system(arguments.seed)?;
    if to_stdout {
        let mut output = BufWriter::new(std::io::stdout().lock());
        // A reader that has seen enough is no error.
        let _ = write_matrix(&mut output, system.matrix(), &comments).and_then(|()| output.flush());
        return Ok(());
    }
    let (system, solution) = match arguments.known_solution {
        true => {
            let (system, solution) = gallery::with_known_solution(system, arguments.seed);
            (system, Some(solution))
        }
        false => (system, None),
    };
    let rhs_path = sibling(path, "b")?;
    save(path, |output| write_matrix(output, system.matrix(), &comments))?;
    save(&rhs_path, |output| write_vector(output, system.rhs(), &comments))?;
    let mut written = format!("{} and {}", path.display(), rhs_path.display());
    if let Some(solution) = solution {
        let solution_path = sibling(path, "x")?;
        save(&solution_path, |output| write_vector(output, &solution, &comments))?;
        written =
            format!("{}, {} and {}", path.display(), rhs_path.display(), solution_path.display());
    }
    let (order, nonzeros) = (grouped(system.order()), grouped(system.nonzeros()));
    // A reader that has gone away needs no summary.
    let _ = writeln!(std::io::stdout(), "{written}: {order} unknowns, {nonzeros} entries");
    Ok(())
}

/// `NAME_b.mtx` for `NAME.mtx`.
fn sibling(path: &Path, suffix: &str) -> Result<PathBuf, BadInput> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let stem = stem.ok_or_else(|| BadInput::NoFileName { path: path.to_owned() })?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("mtx");
    Ok(path.with_file_name(format!("{stem}_{suffix}.{extension}")))
}

fn save(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), BadInput> {
    let failed = |source| BadInput::Output { path: path.to_owned(), source };
    let mut output = BufWriter::with_capacity(1 << 18, File::create(path).map_err(failed)?);
    write(&mut output).and_then(|()| output.flush()).map_err(failed)
}
