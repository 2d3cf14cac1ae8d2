//! weir keeps the solution of a large sparse linear system true while its costs change.
//!
//! Layers, each naming only what stands before it:
//! `ids → solver → policy → protocol → runtime → actors → http | simulation → cli`.
//! `ARCHITECTURE.md` has the map, the invariants and where to start reading.

pub mod actors;
pub mod cli;
pub mod http;
pub mod ids;
pub mod policy;
pub mod protocol;
pub mod runtime;
pub mod simulation;
pub mod solver;

/// Vectors of a solve that ends are taken up by the next one instead of going back to the kernel and
/// coming again page by page; requests allocate on one thread and free on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
