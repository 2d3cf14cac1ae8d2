//! Which updates of costs were accepted already: the same pair of sender and name counts once. Owns how
//! long names are remembered.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{SystemVersion, UpdateKey, UpdateSource};

/// Names remembered in all, the newest: 1.3 s of 50,000 updates a second.
const NAMES_MAX: usize = 65_536;
/// Senders of whom it is remembered which numbers were forgotten.
const SENDERS_MAX: usize = 1_024;

/// The names of updates that a session has accepted.
///
/// The last 65,536 names; about 160 bytes each. Of what is forgotten, a sequence number is known to be
/// old and therefore not accepted again; any other name would be.
#[derive(Debug, Clone, Default)]
pub struct AcceptedUpdates {
    versions: BTreeMap<UpdateSource, SystemVersion>,
    order: VecDeque<UpdateSource>,
    /// The largest sequence number of each sender that was forgotten.
    forgotten_sequences: BTreeMap<String, u64>,
}

/// What is known of an update before it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance {
    New,
    /// It has counted since this version.
    Accepted(SystemVersion),
    /// Its number is not above this one, up to which nothing is remembered.
    TooOld {
        forgotten_sequence: u64,
    },
}

impl AcceptedUpdates {
    /// O(log of what is remembered).
    pub fn recall(&self, source: &UpdateSource) -> Acquaintance {
        if let Some(&version) = self.versions.get(source) {
            return Acquaintance::Accepted(version);
        }
        match (&source.key, self.forgotten_sequences.get(&source.node)) {
            (&UpdateKey::Sequence(sequence), Some(&forgotten)) if sequence <= forgotten => {
                Acquaintance::TooOld { forgotten_sequence: forgotten }
            }
            _ => Acquaintance::New,
        }
    }

    /// Remembers an update that was accepted. O(log of what is remembered).
    pub fn remember(&mut self, source: UpdateSource, version: SystemVersion) {
        if self.order.len() == NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.versions.remove(&oldest);
            if let UpdateKey::Sequence(sequence) = oldest.key {
                self.note_forgotten(oldest.node, sequence);
            }
        }
        self.versions.insert(source.clone(), version);
        self.order.push_back(source);
    }

    fn note_forgotten(&mut self, sender: String, sequence: u64) {
        if let Some(forgotten) = self.forgotten_sequences.get_mut(&sender) {
            *forgotten = sequence.max(*forgotten);
        } else if self.forgotten_sequences.len() < SENDERS_MAX {
            self.forgotten_sequences.insert(sender, sequence);
        }
    }

    /// Bytes held, at about.
    pub fn memory_bytes(&self) -> u64 {
        const NAME_BYTES: usize = 160;
        ((self.order.len() + self.forgotten_sequences.len()) * NAME_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(sequence: u64) -> UpdateSource {
        UpdateSource { node: "a".to_owned(), key: UpdateKey::Sequence(sequence) }
    }

    #[test]
    fn a_name_counts_once_for_each_sender() {
        let mut accepted = AcceptedUpdates::default();
        accepted.remember(numbered(7), SystemVersion(3));
        assert_eq!(accepted.recall(&numbered(7)), Acquaintance::Accepted(SystemVersion(3)));
        assert_eq!(accepted.recall(&numbered(6)), Acquaintance::New);
        let other = UpdateSource { node: "b".to_owned(), ..numbered(7) };
        assert_eq!(accepted.recall(&other), Acquaintance::New);
        let named = UpdateSource { key: UpdateKey::Id("7".to_owned()), ..numbered(7) };
        assert_eq!(accepted.recall(&named), Acquaintance::New);
    }

    #[test]
    fn a_number_that_was_forgotten_is_not_taken_for_new() {
        let mut accepted = AcceptedUpdates::default();
        for sequence in 0..NAMES_MAX as u64 + 2 {
            accepted.remember(numbered(sequence), SystemVersion(sequence));
        }
        let too_old = Acquaintance::TooOld { forgotten_sequence: 1 };
        assert_eq!(accepted.recall(&numbered(1)), too_old);
        assert_eq!(accepted.recall(&numbered(2)), Acquaintance::Accepted(SystemVersion(2)));
        assert_eq!(accepted.recall(&numbered(1 << 40)), Acquaintance::New);
    }
}
