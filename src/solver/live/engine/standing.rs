//! What kind of matrix is held, followed at O(log) per change: symmetric or not, and what its diagonal
//! has. Methods rely on it, so a change of standing asks for another look at them.

use std::collections::BTreeSet;

use crate::solver::analysis::{Analysis, Definiteness, SYMMETRY_ROUNDING};
use crate::solver::live::matrix::LiveMatrix;
use crate::solver::live::state::EntryChange;

/// Pairs that are remembered one by one; a matrix with more is taken for asymmetric until it is
/// analysed again.
const PAIRS_MAX: usize = 1 << 16;

/// What methods rely on beside dominance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    pub is_symmetric: bool,
    pub has_zero_diagonal: bool,
    pub has_negative_diagonal: bool,
    /// Set where methods are to be chosen anew whatever the rest says.
    is_unsuited: bool,
}

impl Class {
    /// Equal to the class of no matrix.
    pub const UNSUITED: Self = Self {
        is_symmetric: false,
        has_zero_diagonal: false,
        has_negative_diagonal: false,
        is_unsuited: true,
    };

    /// Whether methods that suit `known` may rely on what is no longer there.
    pub fn lacks_what(self, known: Self) -> bool {
        known.is_unsuited
            || (known.is_symmetric && !self.is_symmetric)
            || (self.has_zero_diagonal && !known.has_zero_diagonal)
            || (self.has_negative_diagonal && !known.has_negative_diagonal)
    }
}

/// The class of a matrix under change.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// None where the matrix was asymmetric at the last analysis, or is in too many places.
    asymmetric_pairs: Option<BTreeSet<(u32, u32)>>,
    zeros: usize,
    negatives: usize,
}

impl Standing {
    pub fn of(analysis: &Analysis) -> Self {
        let is_symmetric = analysis.definiteness != Definiteness::NotSymmetric;
        Self {
            asymmetric_pairs: is_symmetric.then(BTreeSet::new),
            zeros: analysis.diagonal.zeros,
            negatives: analysis.diagonal.negatives,
        }
    }

    pub fn class(&self) -> Class {
        Class {
            is_symmetric: self.asymmetric_pairs.as_ref().is_some_and(BTreeSet::is_empty),
            has_zero_diagonal: self.zeros > 0,
            has_negative_diagonal: self.negatives > 0,
            is_unsuited: false,
        }
    }

    /// What an analysis has found counts where the pairs are not known one by one; it is of the matrix
    /// before `changes`.
    pub fn analysed(&mut self, mut found: Self, matrix: &LiveMatrix, changes: &[EntryChange]) {
        let is_contradicted = changes.is_empty() && found.class() != self.class();
        if self.asymmetric_pairs.is_none() || is_contradicted {
            changes.iter().for_each(|change| found.entry_changed(matrix, change));
            *self = found;
        }
    }

    /// Follows one change, which `matrix` holds already.
    pub fn entry_changed(&mut self, matrix: &LiveMatrix, change: &EntryChange) {
        let EntryChange { row, col, old, new, is_new: _ } = *change;
        if row == col {
            self.zeros = self.zeros + usize::from(new == 0.0) - usize::from(old == 0.0);
            self.negatives = self.negatives + usize::from(new < 0.0) - usize::from(old < 0.0);
            return;
        }
        let Some(pairs) = &mut self.asymmetric_pairs else { return };
        let (value, mirrored) = (matrix.value(row, col), matrix.value(col, row));
        let largest = value.abs().max(mirrored.abs());
        let pair = (row.min(col) as u32, row.max(col) as u32);
        if (value - mirrored).abs() <= SYMMETRY_ROUNDING * largest {
            pairs.remove(&pair);
        } else {
            pairs.insert(pair);
            if pairs.len() > PAIRS_MAX {
                self.asymmetric_pairs = None;
            }
        }
    }
}
