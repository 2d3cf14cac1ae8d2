//! Pure numerics: systems, their analysis, methods, preconditioners, residuals. No clock, no I/O, no
//! async, no actor: time and randomness arrive as arguments, so everything here is a plain function.

pub mod amg;
pub mod analysis;
pub mod assembly;
pub mod certificate;
pub mod change_tracker;
pub mod correction;
pub mod engine;
pub mod gallery;
pub mod live;
pub mod matrix_market;
pub mod memory_fault;
pub mod options;
pub mod outcome;
pub mod path;
pub mod probe;
pub mod proof;
pub mod sparsity;
pub mod system;

mod digest;
mod huge_pages;
mod iterate;
mod kernel;
mod loss;
mod method;
mod preconditioner;
mod residual;
mod scaling;
mod stencils;
mod watch;
