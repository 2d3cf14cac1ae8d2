//! What can be proven about an `x` or one entry of it: the witness that `A` is an H-matrix, the error
//! bound that follows and is kept while everything changes, and single entries found without a solve.
//!
//! Nothing here decides when to look for a witness or what to do without one: that is the session's.

mod bound;
mod coercivity;
mod directed;
pub mod entry;
mod maximum;
mod repair;
mod search;
mod witness;

pub use crate::solver::method::cholesky::{CholeskyLimits, CholeskyRefusal};
pub use bound::{ErrorBound, ProvenBound, Residual, tracking_slack};
pub use coercivity::{Coercivity, CoercivityFault, scaled_norm};
pub use repair::{Repair, RepairFault};
pub(crate) use search::search_unless;
pub use search::{SearchLimits, find, relative_gap_min};
pub use witness::{RowStanding, SINKING, Witness, WitnessFault};
