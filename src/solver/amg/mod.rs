//! Smoothed-aggregation algebraic multigrid: `z ≈ A⁻¹ r` in a number of operations that follows the
//! entries of `A`, with a quality that hardly depends on n. For M-matrices and their kin (Poisson,
//! heat, resistor networks, graph Laplacians, upwind convection), symmetric or not.
//!
//! The hierarchy is kept in f32, because it is only a preconditioner: conjugate gradients or BiCGStab in
//! f64 around it decide how exact the answer is. Each level is scaled to a unit diagonal, which keeps its
//! numbers near 1 and takes the division out of the smoother. Owns set-up, cycle and the two drivers;
//! which system deserves it is decided elsewhere.
//!
//! Sources: Vaněk, Mandel and Brezina, *Computing* 56 (1996) 179; Notay, *SIAM J. Sci. Comput.* 22 (2000)
//! 1444 (flexible conjugate gradients).

mod aggregation;
mod blocks;
mod coarsest;
mod cycle;
mod galerkin;
mod hierarchy;
mod level_matrix;
mod memory;
mod prolongation;
mod refusal;
mod solve;

pub use hierarchy::{Hierarchy, LevelSize, Symmetry};
pub use refusal::AmgRefusal;
pub use solve::{Ended, Goal, Solved, bicgstab, conjugate_gradients};
