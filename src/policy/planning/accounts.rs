//! What each engine has spent since the system was last settled, whatever changed meanwhile, and who was
//! abandoned for it. Owns how a budget grows with the changes that come on the way.

use std::time::Duration;

use crate::solver::live::EngineName;

/// An engine that was abandoned may try again when others have had so many times what the next best of them
/// was foreseen to take.
const ABANDONED_TIMES: u32 = 4;

#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    of: [Account; EngineName::ALL.len()],
    /// Who was abandoned, and the time that others are given before it may try again.
    abandoned: Vec<(EngineName, Duration)>,
}

/// One engine's.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    spent: Duration,
    /// Seconds that changes on the way were foreseen to add to its work: a budget grows by that, and is not
    /// begun anew.
    added: f64,
    latest: Option<Call>,
}

/// A call of an engine: the version it began with, and the seconds it was foreseen to be from settled then
/// and took.
#[derive(Debug, Clone, Copy)]
struct Call {
    version: u64,
    foreseen: f64,
    took: f64,
}

impl Accounts {
    /// A call of an engine that was foreseen to be so many seconds from settled.
    pub fn spend(&mut self, engine: EngineName, version: u64, foreseen: f64, took: Duration) {
        let account = self.account(engine);
        account.spent += took;
        if let Some(before) = account.latest
            && before.version != version
        {
            // What changes that came since its last call have added to what that had left.
            account.added += (foreseen - (before.foreseen - before.took).max(0.0)).max(0.0);
        }
        account.latest = Some(Call { version, foreseen, took: took.as_secs_f64() });
        for (abandoned, left) in &mut self.abandoned {
            if *abandoned != engine {
                *left = left.saturating_sub(took);
            }
        }
        self.abandoned.retain(|(_, left)| !left.is_zero());
    }

    pub fn spent(&self, engine: EngineName) -> Duration {
        self.of[place(engine)].spent
    }

    /// What is left of a budget; zero when it is overdrawn.
    pub fn left(&self, engine: EngineName, budget: Duration) -> Duration {
        let account = &self.of[place(engine)];
        let added = Duration::from_secs_f64(account.added.min(1e9));
        budget.saturating_add(added).saturating_sub(account.spent)
    }

    /// It is given up for now, for another that will take so long; returns what it had spent.
    pub fn abandon(&mut self, engine: EngineName, other: Duration) -> Duration {
        self.abandoned.push((engine, other.saturating_mul(ABANDONED_TIMES)));
        std::mem::take(self.account(engine)).spent
    }

    pub fn is_abandoned(&self, engine: EngineName) -> bool {
        self.abandoned.iter().any(|(abandoned, _)| *abandoned == engine)
    }

    fn account(&mut self, engine: EngineName) -> &mut Account {
        &mut self.of[place(engine)]
    }
}

fn place(engine: EngineName) -> usize {
    match engine {
        EngineName::Relaxation => 0,
        EngineName::Path => 1,
        EngineName::Iteration => 2,
    }
}
