//! What allows relaxation, and for how long. Push and ordered sweeps diverge on matrices of the
//! wrong class, so they run on a licence alone; what it is founded on is found out elsewhere.

/// Why relaxation converges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ground {
    /// `v > 0` with `⟨A⟩ v > 0`: `Σ wᵢ |rᵢ|` falls with every push, for `w > 0` with `wᵀ ⟨A⟩ > 0`.
    HMatrix {
        /// `min (⟨A⟩ v)ᵢ / vᵢ`, which the witness still has to lose.
        margin: f64,
    },
    /// The `A`-norm of the error falls with every push.
    SymmetricPositiveDefinite,
}

/// Says that relaxation converges on one version of a matrix.
///
/// Only whoever has checked may issue one. A change of an entry makes it stale: what was true of the
/// version before need not be true any more, and whoever keeps the ground issues the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Licence {
    ground: Ground,
    version: u64,
}

/// Why nothing was relaxed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RelaxationRefusal {
    #[error("the witness has no margin: min (<A>v)_i / v_i is {margin}, it must be above 0")]
    NoMargin { margin: f64 },
    /// `A` has changed since the licence was issued, and nobody has said that it still holds.
    #[error("the licence is for version {licensed} of the matrix, which is at version {held}")]
    Stale { licensed: u64, held: u64 },
}

impl Licence {
    /// Founds a licence for [`LiveMatrix::version`](super::LiveMatrix::version) `version`.
    ///
    /// # Errors
    /// A witness without margin is no witness.
    pub fn new(ground: Ground, version: u64) -> Result<Self, RelaxationRefusal> {
        match ground {
            Ground::HMatrix { margin } if margin > 0.0 => Ok(Self { ground, version }),
            Ground::HMatrix { margin } => Err(RelaxationRefusal::NoMargin { margin }),
            Ground::SymmetricPositiveDefinite => Ok(Self { ground, version }),
        }
    }

    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// The version of the matrix that it is for.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn check(&self, held: u64) -> Result<(), RelaxationRefusal> {
        match self.version == held {
            true => Ok(()),
            false => Err(RelaxationRefusal::Stale { licensed: self.version, held }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_without_margin_founds_nothing() {
        for margin in [0.0, -1e-3, f64::NAN] {
            assert!(Licence::new(Ground::HMatrix { margin }, 0).is_err(), "{margin}");
        }
        let licence = Licence::new(Ground::HMatrix { margin: 1e-9 }, 3).unwrap();
        assert_eq!(licence.check(3), Ok(()));
        let stale = RelaxationRefusal::Stale { licensed: 3, held: 4 };
        assert_eq!(licence.check(4), Err(stale));
        let renewed = Licence::new(Ground::SymmetricPositiveDefinite, 4).unwrap();
        assert_eq!(renewed.check(4), Ok(()));
    }
}
