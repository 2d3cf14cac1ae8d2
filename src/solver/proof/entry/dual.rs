//! How far one entry of a computed `x` is off: `Aᵀ z = e_i` says what every residual does to it, and takes
//! it away.

use crate::solver::analysis::Analysis;
use crate::solver::engine::Engine;
use crate::solver::options::SolveOptions;
use crate::solver::path::{PathEngine, PathLimits, PathPlan};
use crate::solver::proof::bound::Residual;
use crate::solver::proof::directed::{add_up, mul_up, sum_slack};
use crate::solver::proof::entry::run::{Run, RunEnd};
use crate::solver::proof::entry::{EntrySource, Known, Stored};
use crate::solver::system::{CsrMatrix, LinearSystem, Rows};

/// Solves with `Aᵀ`.
#[derive(Debug)]
pub(super) enum Dual {
    /// By the factor of `A = Aᵀ` that the caller holds.
    Same,
    /// By a factor of its own, made when it is first needed.
    Planned(PathLimits),
    Factored {
        columns: CsrMatrix,
        engine: Box<PathEngine>,
    },
    /// By a solve for each entry.
    Solved {
        columns: CsrMatrix,
        options: SolveOptions,
    },
    /// It could not be factorised.
    Failed,
}

/// An entry brought closer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::solver) struct Corrected {
    pub value: f64,
    pub bound: f64,
}

impl Dual {
    pub fn by_path(system: &LinearSystem, limits: PathLimits) -> Self {
        if is_symmetric(system.rows()) { Self::Same } else { Self::Planned(limits) }
    }

    /// Whether a correction costs passes over a factor, not a solve.
    pub fn is_direct(&self) -> bool {
        match self {
            Self::Same | Self::Planned(_) | Self::Factored { .. } => true,
            Self::Solved { .. } | Self::Failed => false,
        }
    }

    pub fn by_engine(system: &LinearSystem, options: SolveOptions) -> Self {
        Self::Solved { columns: system.transposed(), options }
    }

    /// `x_i + zᵀ r` with `r = b − A x`, off by `Σ |z_k|` times the rounding of `r_k` and, because `z` is
    /// rounded, by `sᵀ (x* − x)` with `s = e_i − Aᵀ z`. Every rounding is in the bound, so it is as true as
    /// `error_of`, which bounds `|x* − x|` in each row. Costs two passes over a factor or a solve, and two
    /// over `A`.
    pub fn correct(
        &mut self,
        path: Option<&mut PathEngine>,
        (system, x, entry): (&LinearSystem, &[f64], usize),
        error_of: impl Fn(usize) -> f64,
        run: &mut Run,
    ) -> Option<Corrected> {
        let mut unit = vec![0.0; system.order()];
        unit[entry] = 1.0;
        self.factorise(system);
        let z = self.solve(path, &unit, run)?;
        let columns = match self {
            Self::Factored { columns, .. } | Self::Solved { columns, .. } => Rows::of(columns),
            Self::Same | Self::Planned(_) | Self::Failed => system.rows(),
        };
        let known = Known::Solution { rhs: system.rhs(), x };
        let source = Stored { rows: system.rows(), known };
        run.touched_entries += 2 * system.nonzeros() as u64;
        corrected(source, entry, &z, |row| Residual::of(columns, row, &unit, &z), error_of)
    }

    fn factorise(&mut self, system: &LinearSystem) {
        let Self::Planned(limits) = self else { return };
        let columns = system.transposed();
        let rows = Rows::of(&columns);
        let engine = PathPlan::of(rows, *limits)
            .and_then(|plan| PathEngine::factor(plan, rows, system.rhs()));
        *self = match engine {
            Ok(engine) => Self::Factored { columns, engine: Box::new(engine) },
            Err(_) => Self::Failed,
        };
    }

    fn solve(
        &mut self,
        path: Option<&mut PathEngine>,
        unit: &[f64],
        run: &mut Run,
    ) -> Option<Vec<f64>> {
        let engine = match self {
            Self::Same => path?,
            Self::Factored { engine, .. } => engine,
            Self::Solved { columns, options } => return iterated(columns, options, unit, run),
            Self::Planned(_) | Self::Failed => return None,
        };
        let mut z = unit.to_vec();
        engine.correct(&mut z).ok()?;
        Some(z)
    }
}

/// `x_i + zᵀ r`, where `rest_of` tells `s = e_i − Aᵀ z` and `error_of` bounds `|x* − x|`, each row by row.
/// One pass over `A` beside that of `rest_of`; none where it overflows.
pub(in crate::solver) fn corrected<S: EntrySource>(
    source: S,
    entry: usize,
    z: &[f64],
    rest_of: impl Fn(usize) -> Residual,
    error_of: impl Fn(usize) -> f64,
) -> Option<Corrected> {
    let (mut correction, mut magnitude, mut off) = (0.0, 0.0, 0.0);
    for (row, z_k) in z.iter().enumerate() {
        let residual = source.rhs(row);
        let term = z_k * residual.value;
        correction += term;
        magnitude += term.abs();
        off = add_up(off, mul_up(z_k.abs(), residual.slack));
        off = add_up(off, mul_up(rest_of(row).magnitude(), error_of(row)));
    }
    let value = source.base(entry) + correction;
    let rounding = sum_slack(z.len(), magnitude) + 2.0 * f64::EPSILON * value.abs();
    let bound = add_up(off, rounding.next_up());
    (value.is_finite() && bound.is_finite()).then_some(Corrected { value, bound })
}

fn iterated(
    columns: &CsrMatrix,
    options: &SolveOptions,
    unit: &[f64],
    run: &mut Run,
) -> Option<Vec<f64>> {
    let system = LinearSystem::new(columns.clone(), unit.to_vec()).ok()?;
    let analysis = Analysis::of(&system);
    let mut engine = Engine::new(system, analysis, None, options.clone()).ok()?;
    (run.drive(&mut engine) == RunEnd::Converged).then(|| engine.solution().to_vec())
}

fn is_symmetric(rows: Rows) -> bool {
    (0..rows.count()).all(|row| {
        let (cols, values) = rows.row(row);
        let is_mirrored =
            |(&col, value): (&u32, &f64)| rows.value_at(col as usize, row as u32) == *value;
        cols.iter().zip(values).all(is_mirrored)
    })
}
