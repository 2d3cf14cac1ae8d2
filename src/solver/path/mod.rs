//! The path engine: an exact factorisation `P A Pᵀ = L D Mᵀ` without pivoting, whose elimination tree
//! makes every change local. A change of one `bᵢ`, a read of one `xᵢ` and a change of one entry of `A`
//! each touch only the columns on one path from a node to its root, whatever the condition of `A`; `A`
//! may be asymmetric or indefinite.
//!
//! The way through the files: [`PathPlan`] orders and forecasts before anything is computed (`graph`,
//! `tree`, `structure`), [`PathEngine`] holds the factor (`factor`), `y = L⁻¹ P b` and the reads
//! (`engine`), works changes of `A` in (`rank_one`) and measures itself (`accuracy`). The loops that
//! time is spent in stand in `groups`. When to use a path, and when to factorise anew, is decided by
//! the caller.
//!
//! Sources: Tinney, Brandwajn and Chan 1985 (sparse vector methods); Bennett, *Triangular factors of
//! modified matrices*, Numerische Mathematik 7 (1965); Davis and Hager 1999 (paths of a modification).

mod accuracy;
mod engine;
mod factor;
mod graph;
mod groups;
mod lanes;
mod plan;
mod rank_one;
mod refusal;
mod structure;
mod tree;
mod undo;

pub use accuracy::Accuracy;
pub use engine::{PathEngine, Reading};
pub use plan::{PathForecast, PathLimits, PathPlan};
pub use rank_one::EntryChange;
pub use refusal::{ChangeRefusal, PathRefusal};
