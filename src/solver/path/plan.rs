//! The plan of a path engine: an ordering that keeps paths short, and what everything will cost, known
//! before a number is computed.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::SymbolicSparseColMatRef;
use faer::sparse::linalg::amd;

use super::graph::Graph;
use super::refusal::PathRefusal;
use super::structure::{self, Run, Structure};
use super::tree;
use crate::solver::method::separator;
use crate::solver::system::Rows;

/// What a plan may ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathLimits {
    /// For factor, structure and vectors, also while factorising anew.
    pub memory_bytes_max: u64,
    /// Additions and multiplications of a factorisation.
    pub flops_max: f64,
}

/// What a path engine costs. Entries are those of `L` below its diagonal; `M` has as many, and stored
/// zeros count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathForecast {
    pub order: usize,
    pub entries: u64,
    /// Additions and multiplications of one factorisation.
    pub flops: f64,
    /// What an engine holds, and what it takes while it factorises anew.
    pub memory_bytes: u64,
    pub peak_bytes: u64,
    /// Entries that a change or a read touches: the mean over all rows, and the most.
    pub path_entries_mean: f64,
    pub path_entries_max: u64,
    /// Columns of the longest path.
    pub path_columns_max: usize,
}

/// An ordering with its structure, ready for [`PathEngine::factor`](super::PathEngine::factor).
#[derive(Debug)]
pub struct PathPlan {
    pub(super) structure: Structure,
    forecast: PathForecast,
    limits: PathLimits,
}

impl PathPlan {
    /// Orders `A + Aᵀ` by approximate minimum degree (Amestoy, Davis and Duff 1996; faer's) and counts.
    /// The counts cost O(nnz) after the ordering; the structure is built only where they fit.
    ///
    /// # Errors
    /// [`PathRefusal::OutOfMemoryBudget`], [`OutOfWorkBudget`](PathRefusal::OutOfWorkBudget) and
    /// [`TooManyEntries`](PathRefusal::TooManyEntries), each before anything large is allocated.
    pub fn of(rows: Rows, limits: PathLimits) -> Result<Self, PathRefusal> {
        let n = rows.count();
        let stored = rows.indices.len() as u64;
        if stored > u64::from(u32::MAX / 2) {
            return Err(PathRefusal::TooManyEntries { entries: stored });
        }
        let refuse_bytes = |needed_bytes| match needed_bytes > limits.memory_bytes_max {
            true => Err(PathRefusal::OutOfMemoryBudget {
                needed_bytes,
                limit_bytes: limits.memory_bytes_max,
            }),
            false => Ok(()),
        };
        refuse_bytes(hopeless_bytes(rows, limits.memory_bytes_max))?;
        let graph = Graph::of(rows);
        let (order, position) = elimination_order(&graph)?;
        let graph = graph.renamed(&order, &position);
        let parents = tree::parents(&graph);
        let counts = tree::column_counts(&graph, &parents);
        let runs = structure::runs(&parents, &counts);
        let forecast = forecast(n, &parents, &runs);
        if forecast.entries > u64::from(u32::MAX) {
            return Err(PathRefusal::TooManyEntries { entries: forecast.entries });
        }
        refuse_bytes(forecast.peak_bytes)?;
        if forecast.flops > limits.flops_max {
            let (flops, limit) = (forecast.flops, limits.flops_max);
            return Err(PathRefusal::OutOfWorkBudget { flops, limit });
        }
        let structure = Structure::new(order, position, &graph, &runs);
        Ok(Self { structure, forecast, limits })
    }

    pub fn forecast(&self) -> PathForecast {
        self.forecast
    }

    pub fn limits(&self) -> PathLimits {
        self.limits
    }

    /// Whether a factor on this plan can hold the entry. O(log rows of its column).
    ///
    /// # Panics
    /// Where the entry lies outside the matrix.
    pub fn has_room(&self, row: usize, col: usize) -> bool {
        let (row, col) = (self.structure.position[row], self.structure.position[col]);
        row == col || self.structure.slot(row.min(col), row.max(col)).is_some()
    }
}

/// Bytes of the dense block that no ordering of a wide graph avoids: minimum degree would take minutes
/// only to predict more.
fn hopeless_bytes(rows: Rows, limit_bytes: u64) -> u64 {
    if rows.count() < separator::ORDER_MIN {
        return 0;
    }
    // L and M of a dense block of order k are k² values.
    let enough = (limit_bytes / 8).isqrt() as usize;
    (separator::front(rows, enough) as u64).pow(2) * 8
}

/// Minimum degree, then postorder, which keeps paths together in memory: the row that comes k-th, and
/// when each row comes.
fn elimination_order(graph: &Graph) -> Result<(Vec<u32>, Vec<u32>), PathRefusal> {
    let n = graph.count();
    let mut order = vec![0; n];
    let mut position = vec![0; n];
    let edges = graph.neighbours.len() / 2;
    let mut memory = MemBuffer::new(amd::order_scratch::<u32>(n, edges));
    let pattern =
        SymbolicSparseColMatRef::new_checked(n, n, &graph.pointers, None, &graph.neighbours);
    let control = amd::Control::default();
    let stack = MemStack::new(&mut memory);
    amd::order(&mut order, &mut position, pattern, control, stack)
        .map_err(|_| PathRefusal::TooManyEntries { entries: graph.neighbours.len() as u64 })?;
    let parents = tree::parents(&graph.renamed(&order, &position));
    let order: Vec<u32> =
        tree::postorder(&parents).into_iter().map(|node| order[node as usize]).collect();
    for (at, &row) in (0..).zip(&order) {
        position[row as usize] = at;
    }
    Ok((order, position))
}

fn forecast(n: usize, parents: &[u32], runs: &[Run]) -> PathForecast {
    let mut path_entries = vec![0_u64; n];
    let mut path_columns = vec![0_u32; n];
    let (mut entries, mut flops, mut row_list) = (0, 0.0, 0);
    for run in runs.iter().rev() {
        entries += run.entries();
        row_list += run.row_list();
        let parent = parents[run.last as usize];
        let mut above = match parent {
            tree::NONE => (0, 0),
            parent => (path_entries[parent as usize], path_columns[parent as usize]),
        };
        for column in (run.first..=run.last).rev() {
            let len = u64::from(run.last - column + run.below);
            flops += 2.0 * (len * (len + 1)) as f64;
            above = (above.0 + len, above.1 + 1);
            path_entries[column as usize] = above.0;
            path_columns[column as usize] = above.1;
        }
    }
    let path_entries_max = path_entries.iter().copied().max().unwrap_or(0);
    let path_columns_max = path_columns.into_iter().max().unwrap_or(0) as usize;
    let values = 16 * entries;
    let held = structure::memory_bytes(n, row_list)
        + values
        + super::engine::vector_bytes(n, path_entries_max, path_columns_max);
    PathForecast {
        order: n,
        entries,
        flops,
        memory_bytes: held,
        peak_bytes: held + values + super::factor::scratch_bytes(n),
        path_entries_mean: path_entries.iter().sum::<u64>() as f64 / n.max(1) as f64,
        path_entries_max,
        path_columns_max,
    }
}
