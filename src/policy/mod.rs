//! Pure decisions: a state and an input go in, a decision comes out. No clock, no actor.

pub mod admission;
pub mod announcing;
pub mod convergence;
pub mod correcting;
pub mod holding;
pub mod idempotence;
pub mod planning;
pub mod remedy;
pub mod residuals;
pub mod scheduling;
pub mod verification;
