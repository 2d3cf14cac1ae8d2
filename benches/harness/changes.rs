//! Random changes of what a system holds, each by a thousandth of itself.

use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use weir::solver::live::{Change, CostDelta, LiveSystem};

/// Each change multiplies what it meets by 1 plus or minus this.
const CHANGE: f64 = 1e-3;

pub struct Draws(ChaCha8Rng);

impl Draws {
    pub fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    pub fn factor(&mut self) -> f64 {
        if self.0.next_u64() & 1 == 0 { 1.0 + CHANGE } else { 1.0 - CHANGE }
    }

    /// Between -1 and 1.
    pub fn signed(&mut self) -> f64 {
        2.0 * (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 - 1.0
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Target {
    Rhs,
    Entries,
}

/// One change of a value that is held.
pub fn change(live: &LiveSystem, target: Target, draws: &mut Draws) -> CostDelta {
    let mut delta = CostDelta::default();
    let row = draws.below(live.order());
    match target {
        Target::Rhs => {
            let new = live.rhs()[row] * draws.factor();
            delta.edit_rhs(row, Change::Set(new), None);
        }
        Target::Entries => {
            let at = draws.below(live.matrix().row(row).count());
            let (col, value) = live.matrix().row(row).nth(at).expect("one of its entries");
            delta.edit_entry(row, col as usize, Change::Set(value * draws.factor()), None);
        }
    }
    delta
}

/// Rounds of changes of b that are the same for every contender: rows with their new values.
pub struct Rounds {
    pub batch: usize,
    pub rounds: Vec<Vec<(u32, f64)>>,
}

impl Rounds {
    pub fn of(rhs: &[f64], batch: usize, rounds: usize) -> Self {
        let mut draws = Draws::seeded(batch as u64);
        let mut rhs = rhs.to_vec();
        let mut round = || {
            let mut one = |_| {
                let row = draws.below(rhs.len());
                rhs[row] *= draws.factor();
                (row as u32, rhs[row])
            };
            (0..batch).map(&mut one).collect()
        };
        Self { batch, rounds: (0..rounds).map(|_| round()).collect() }
    }

    /// u64 rounds, u64 changes in each, u32 rows, f64 values; little-endian.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for size in [self.rounds.len(), self.batch] {
            file.write_all(&(size as u64).to_le_bytes())?;
        }
        for (row, _) in self.rounds.iter().flatten() {
            file.write_all(&row.to_le_bytes())?;
        }
        for (_, value) in self.rounds.iter().flatten() {
            file.write_all(&value.to_le_bytes())?;
        }
        file.flush()
    }
}
