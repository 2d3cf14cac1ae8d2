//! What can be done about a solve that has gone astray, and what was done. When it is done is decided by
//! the caller (`policy::correcting`).

use crate::solver::options::{MethodName, PreconditionerName};

/// What the weight of a relaxation's steps is multiplied with (plan 5.4).
pub const DAMPING: f64 = 0.8;

/// A way to bring a solve back, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Correction {
    /// The residual is measured afresh, and the method goes on from it with what it has set up.
    Measure,
    /// The weight of the steps times [`DAMPING`].
    Damp,
    /// Starts again from the present `x` with ILU, or with a set-up made anew where there was one.
    Precondition,
    /// Starts again from the best `x` that is known; everything that was derived from `A` and `b` is made
    /// anew.
    Restart,
    /// Goes on with what `hybrid` would choose.
    OtherMethod,
    /// Rows of `A` that are not what was accepted are mended from the second copy, where there is one.
    Repair,
}

impl Correction {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Measure => "measure",
            Self::Damp => "damp",
            Self::Precondition => "precondition",
            Self::Restart => "restart",
            Self::OtherMethod => "other_method",
            Self::Repair => "repair",
        }
    }
}

/// Which corrections change anything at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remedies {
    pub damps: bool,
    pub preconditions: bool,
    pub changes_method: bool,
}

/// What a correction came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corrected {
    pub method: MethodName,
    pub preconditioner: PreconditionerName,
    /// The weight of a relaxation's steps, where such a method is in force.
    pub damping: Option<f64>,
    /// `‖b − A x‖₂` as it was believed to be, and as it was measured afterwards.
    pub believed_norm: f64,
    pub residual_norm: f64,
    /// Rows that were mended.
    pub repaired_rows: usize,
}
