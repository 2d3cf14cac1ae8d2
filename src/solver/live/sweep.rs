//! Ordered sweeps, for when so many rows are active that picking them costs more than passing over
//! all, and the relaxation that changes between push and sweeps.

use crate::solver::kernel::Reach;
use crate::solver::live::licence::{Licence, RelaxationRefusal};
use crate::solver::live::push::{PushEnd, RelaxationEnd, Relaxed};
use crate::solver::live::state::LiveSystem;

/// When one round of push relaxes more than this part of the rows, sweeps take over: they read `x`
/// where push writes `r`, and need no set. On a random dominant matrix a row of a sweep costs a third
/// of a row of push, but a sweep takes every row: take-overs at a sixteenth, a quarter, a third and a
/// half of 10,000 rows made a single change cost 292, 147, 125 and 113 µs.
const CROWD_PART: usize = 2;

/// Sweeps stop when they find fewer than this part of the rows at or above their threshold: push ends it.
const LEFT_PART: usize = 8;

/// Fewer rows than this are no crowd.
const CROWD_MIN: usize = 64;

/// How a run of sweeps ended inside.
enum SweepEnd {
    /// Few rows are left.
    Few,
    OverBudget,
    Failed(RelaxationEnd),
}

impl LiveSystem {
    /// Makes every row fall below its threshold, by push while few rows are active and by ordered
    /// sweeps while many are.
    ///
    /// # Errors
    /// `licence` is for another version of `A`; nothing was done.
    pub fn relax(
        &mut self,
        licence: &Licence,
        entries_max: u64,
    ) -> Result<Relaxed, RelaxationRefusal> {
        licence.check(self.matrix.version())?;
        let crowd = (self.order() / CROWD_PART).max(CROWD_MIN);
        let mut done = Relaxed { steps: 0, entries: 0, end: RelaxationEnd::OverBudget };
        loop {
            let (steps, entries, end) = self.push_until(entries_max - done.entries, crowd);
            done.steps += steps;
            done.entries += entries;
            match end {
                PushEnd::Ended(end) => return Ok(Relaxed { end, ..done }),
                PushEnd::Crowded => {}
            }
            let (steps, entries, end) = self.sweep_until(entries_max - done.entries);
            done.steps += steps;
            done.entries += entries;
            match end {
                SweepEnd::Few => {}
                // What is left may be enough for push.
                SweepEnd::OverBudget if entries > 0 => {}
                SweepEnd::OverBudget => return Ok(done),
                SweepEnd::Failed(end) => return Ok(Relaxed { end, ..done }),
            }
        }
    }

    /// Gauss-Seidel sweeps until few rows are left at or above their threshold, and a measurement of
    /// what they leave; each costs one pass over `A`. After a failure `(x, r)` is what it was before.
    fn sweep_until(&mut self, entries_max: u64) -> (u64, u64, SweepEnd) {
        let entries = self.matrix.nonzeros() as u64;
        let affordable = (entries_max / entries.max(1)).saturating_sub(1);
        if affordable == 0 {
            return (0, 0, SweepEnd::OverBudget);
        }
        let ceiling = self.ceiling();
        let few = self.order() / LEFT_PART;
        let reach = self.matrix.stored_rows().reach();
        let mut x = self.copy_x();
        let mut sweeps = 0;
        let mut end = SweepEnd::OverBudget;
        while sweeps < affordable {
            sweeps += 1;
            let swept = match reach {
                Reach::Cached => self.sweep::<{ Reach::CACHED }>(&mut x, ceiling),
                Reach::Streamed => self.sweep::<{ Reach::STREAMED }>(&mut x, ceiling),
                Reach::Scattered => self.sweep::<{ Reach::SCATTERED }>(&mut x, ceiling),
            };
            match swept {
                Ok(moving) if moving <= few => {
                    end = SweepEnd::Few;
                    break;
                }
                Ok(_) => {}
                Err(failure) => {
                    return (0, sweeps * entries, SweepEnd::Failed(failure));
                }
            }
        }
        self.write_x(&x);
        (sweeps * self.order() as u64, (sweeps + 1) * entries, end)
    }

    /// One sweep over all rows, `xᵢ += (bᵢ − aᵢ · x) / aᵢᵢ`; returns how many rows were at or above their
    /// threshold and could be moved.
    fn sweep<const REACH: u8>(&self, x: &mut [f64], ceiling: f64) -> Result<usize, RelaxationEnd> {
        let rows = self.matrix.stored_rows();
        let overlay = self.matrix.overlay();
        let has_overlay = !overlay.is_empty();
        let mut moving = 0;
        for (row, node) in self.nodes.iter().enumerate() {
            // SAFETY: `row` is below n, the length of `x`.
            let mut r = self.rhs[row] - unsafe { rows.row_dot::<REACH>(row, x) };
            if has_overlay {
                let products = overlay.row(row).map(|entry| entry.value * x[entry.col as usize]);
                r -= products.sum::<f64>();
            }
            let update = r * node.inverse_diagonal();
            let before = x[row];
            let after = before + update;
            let is_over = r.abs() >= node.threshold();
            if !(r.abs() <= ceiling && after.abs() <= f64::MAX) || (is_over && !node.has_diagonal())
            {
                return Err(failure(row, r, ceiling, node.has_diagonal()));
            }
            x[row] = after;
            moving += usize::from(is_over & (update.abs() > f64::EPSILON * before.abs()));
        }
        Ok(moving)
    }
}

#[cold]
fn failure(row: usize, residual: f64, ceiling: f64, has_diagonal: bool) -> RelaxationEnd {
    match () {
        () if !residual.is_finite() => RelaxationEnd::NotFinite { row },
        () if residual.abs() > ceiling => RelaxationEnd::Diverging { row, residual },
        () if !has_diagonal => RelaxationEnd::ZeroDiagonal { row },
        () => RelaxationEnd::NotFinite { row },
    }
}
