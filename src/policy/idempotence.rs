//! Which updates of costs were accepted already: the same pair of sender and name counts once. Owns how
//! long names are remembered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::ids::{SystemVersion, UpdateKey, UpdateSource};

/// Names remembered in all, the newest: 1.3 s of 50,000 updates a second.
const NAMES_MAX: usize = 65_536;
/// Senders of whom it is remembered which numbers were forgotten.
const SENDERS_MAX: usize = 1_024;

/// The names of updates that a session has accepted.
///
/// The last 65,536 names; at most about 160 bytes each. Of what is forgotten, a sequence number is known to
/// be old and therefore not accepted again; any other name would be.
#[derive(Debug, Clone, Default)]
pub struct AcceptedUpdates {
    senders: BTreeMap<Arc<str>, Sender>,
    order: VecDeque<(Arc<str>, UpdateKey)>,
    /// Senders of whom something was forgotten.
    forgetful: usize,
}

/// What is remembered of one sender.
#[derive(Debug, Clone, Default)]
struct Sender {
    sequences: BTreeMap<u64, SystemVersion>,
    ids: BTreeMap<String, SystemVersion>,
    /// The largest sequence number that was forgotten.
    forgotten_sequence: Option<u64>,
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
        self.senders
            .get(source.node.as_str())
            .map_or(Acquaintance::New, |sender| sender.recall(&source.key))
    }

    /// Remembers an update that was accepted. O(log of what is remembered).
    pub fn remember(&mut self, source: UpdateSource, version: SystemVersion) {
        if self.order.len() == NAMES_MAX
            && let Some((node, oldest)) = self.order.pop_front()
        {
            self.forget(&node, &oldest);
        }
        let UpdateSource { node, key } = source;
        let name = match self.senders.get_key_value(node.as_str()) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(node),
        };
        let sender = self.senders.entry(Arc::clone(&name)).or_default();
        match &key {
            UpdateKey::Sequence(sequence) => _ = sender.sequences.insert(*sequence, version),
            UpdateKey::Id(id) => _ = sender.ids.insert(id.clone(), version),
        }
        self.order.push_back((name, key));
    }

    fn forget(&mut self, node: &Arc<str>, key: &UpdateKey) {
        let Some(sender) = self.senders.get_mut(node) else { return };
        match key {
            UpdateKey::Id(id) => _ = sender.ids.remove(id),
            UpdateKey::Sequence(sequence) => {
                sender.sequences.remove(sequence);
                let is_first = sender.forgotten_sequence.is_none();
                if !is_first || self.forgetful < SENDERS_MAX {
                    self.forgetful += usize::from(is_first);
                    sender.forgotten_sequence = sender.forgotten_sequence.max(Some(*sequence));
                }
            }
        }
        if sender.is_empty() {
            self.senders.remove(node);
        }
    }

    /// Bytes held, at about.
    pub fn memory_bytes(&self) -> u64 {
        const NAME_BYTES: usize = 160;
        ((self.order.len() + self.forgetful) * NAME_BYTES) as u64
    }
}

impl Sender {
    fn recall(&self, key: &UpdateKey) -> Acquaintance {
        let known = match key {
            UpdateKey::Sequence(sequence) => self.sequences.get(sequence),
            UpdateKey::Id(id) => self.ids.get(id),
        };
        match (known, key, self.forgotten_sequence) {
            (Some(&version), _, _) => Acquaintance::Accepted(version),
            (None, UpdateKey::Sequence(sequence), Some(forgotten)) if *sequence <= forgotten => {
                Acquaintance::TooOld { forgotten_sequence: forgotten }
            }
            (None, UpdateKey::Sequence(_) | UpdateKey::Id(_), _) => Acquaintance::New,
        }
    }

    fn is_empty(&self) -> bool {
        self.sequences.is_empty() && self.ids.is_empty() && self.forgotten_sequence.is_none()
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

    #[test]
    fn senders_without_a_number_are_forgotten_with_their_names_and_others_are_bounded() {
        let mut accepted = AcceptedUpdates::default();
        let named = |at: usize| UpdateSource {
            node: format!("sender {at}"),
            key: UpdateKey::Id("first".to_owned()),
        };
        for at in 0..NAMES_MAX + 10 {
            accepted.remember(named(at), SystemVersion(at as u64));
        }
        assert_eq!((accepted.senders.len(), accepted.order.len()), (NAMES_MAX, NAMES_MAX));
        assert_eq!(accepted.recall(&named(9)), Acquaintance::New);
        assert_eq!(accepted.recall(&named(10)), Acquaintance::Accepted(SystemVersion(10)));
        for at in 0..2 * NAMES_MAX {
            let node = format!("numbered {at}");
            accepted.remember(UpdateSource { node, ..numbered(1) }, SystemVersion(1));
        }
        assert_eq!(accepted.senders.len(), NAMES_MAX + SENDERS_MAX);
        assert_eq!(accepted.forgetful, SENDERS_MAX);
    }
}
