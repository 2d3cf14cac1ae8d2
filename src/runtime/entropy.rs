//! Chance from one seed: every purpose of every node draws from a stream of its own, so that a new
//! reader shifts nobody else's draws.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::ids::NodeId;

/// The root of all randomness of one node.
#[derive(Debug, Clone)]
pub struct Entropy {
    root: [u8; 32],
    node: NodeId,
}

impl Entropy {
    /// Reproducible: equal seeds give equal streams on every machine.
    pub fn seeded(seed: u64, node: NodeId) -> Self {
        Self { root: *blake3::hash(&seed.to_le_bytes()).as_bytes(), node }
    }

    /// Seeded by the operating system.
    #[allow(clippy::disallowed_methods, reason = "the root of a production node's streams")]
    pub fn system(node: NodeId) -> Self {
        Self { root: rand::random(), node }
    }

    /// The stream for this purpose. Asking twice gives the same stream from its beginning.
    pub fn stream(&self, purpose: &str) -> ChaCha8Rng {
        let mut hasher = blake3::Hasher::new_keyed(&self.root);
        hasher.update(&self.node.0.to_le_bytes());
        hasher.update(purpose.as_bytes());
        ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn streams_differ_by_purpose_and_node_and_repeat_by_seed() {
        let draw = |seed, node, purpose: &str| -> u64 {
            Entropy::seeded(seed, NodeId(node)).stream(purpose).random()
        };
        assert_eq!(draw(7, 0, "session_id"), draw(7, 0, "session_id"));
        assert_ne!(draw(7, 0, "session_id"), draw(8, 0, "session_id"));
        assert_ne!(draw(7, 0, "session_id"), draw(7, 1, "session_id"));
        assert_ne!(draw(7, 0, "session_id"), draw(7, 0, "probe"));
    }
}
