//! What a set-up holds, counted before it is allocated, and whether anybody still wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::refusal::AmgRefusal;

/// Bytes held by a set-up and how many there may be.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    held_bytes: u64,
    peak_bytes: u64,
    limit_bytes: u64,
    unwanted: Arc<AtomicBool>,
}

impl Ledger {
    pub fn new(limit_bytes: u64, unwanted: Arc<AtomicBool>) -> Self {
        Self { held_bytes: 0, peak_bytes: 0, limit_bytes, unwanted }
    }

    /// Counts `bytes` that are about to be allocated.
    ///
    /// # Errors
    /// [`AmgRefusal::OutOfMemoryBudget`] when they do not fit; then they are not counted.
    /// [`AmgRefusal::Unwanted`] when nobody wants the hierarchy any more.
    pub fn take(&mut self, bytes: u64) -> Result<(), AmgRefusal> {
        if self.unwanted.load(Ordering::Relaxed) {
            return Err(AmgRefusal::Unwanted);
        }
        let needed_bytes = self.held_bytes.saturating_add(bytes);
        let limit_bytes = self.limit_bytes;
        if needed_bytes > limit_bytes {
            return Err(AmgRefusal::OutOfMemoryBudget { needed_bytes, limit_bytes });
        }
        self.held_bytes = needed_bytes;
        self.peak_bytes = self.peak_bytes.max(needed_bytes);
        Ok(())
    }

    /// Counts `bytes` off that were freed, or never allocated after all.
    pub fn give_back(&mut self, bytes: u64) {
        assert!(bytes <= self.held_bytes, "more is given back than was taken");
        self.held_bytes -= bytes;
    }

    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }
}
