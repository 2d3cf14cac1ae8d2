//! What a caller may ask of a solve: method, preconditioner, tolerance, limits. Owns the names and
//! their ranges; which method suits which system is decided from the analysis.

use std::fmt;
use std::str::FromStr;

/// An iterative or direct method, or `hybrid`, which chooses one from the analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MethodName {
    Jacobi,
    GaussSeidel,
    Cg,
    Bicgstab,
    Gmres,
    Direct,
    Hybrid,
}

impl MethodName {
    pub const ALL: [Self; 7] = [
        Self::Jacobi,
        Self::GaussSeidel,
        Self::Cg,
        Self::Bicgstab,
        Self::Gmres,
        Self::Direct,
        Self::Hybrid,
    ];

    /// The name on the wire and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jacobi => "jacobi",
            Self::GaussSeidel => "gauss_seidel",
            Self::Cg => "cg",
            Self::Bicgstab => "bicgstab",
            Self::Gmres => "gmres",
            Self::Direct => "direct",
            Self::Hybrid => "hybrid",
        }
    }
}

/// How the residual is transformed before it becomes a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PreconditionerName {
    None,
    /// `M = diag(A)`.
    Jacobi,
    /// ILU(0); IC(0) inside `cg`.
    Ilu,
    /// A cycle of algebraic multigrid, for M-matrices and their kin.
    Amg,
}

impl PreconditionerName {
    pub const ALL: [Self; 4] = [Self::None, Self::Jacobi, Self::Ilu, Self::Amg];

    /// The name on the wire and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Jacobi => "jacobi",
            Self::Ilu => "ilu",
            Self::Amg => "amg",
        }
    }
}

/// The order in which `gauss_seidel` visits the rows in one iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sweep {
    Forward,
    /// Forward, then backward.
    Symmetric,
}

impl Sweep {
    pub const ALL: [Self; 2] = [Self::Forward, Self::Symmetric];

    /// The name on the wire and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Symmetric => "symmetric",
        }
    }
}

/// A word that names none of the choices there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not one of {}", expected.join(", "))]
pub struct UnknownName {
    pub found: String,
    pub expected: Vec<&'static str>,
}

macro_rules! named {
    ($kind:ty) => {
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $kind {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| {
                    UnknownName {
                        found: text.to_owned(),
                        expected: Self::ALL.iter().map(|name| name.as_str()).collect(),
                    }
                })
            }
        }
    };
}
named!(MethodName);
named!(PreconditionerName);
named!(Sweep);

/// Everything a solve can be told. Build with `SolveOptions { method, ..Default::default() }`.
#[derive(Debug, Clone, PartialEq)]
pub struct SolveOptions {
    pub method: MethodName,
    /// `None` lets the method choose what suits the system.
    pub preconditioner: Option<PreconditionerName>,
    /// Relative: done when `‖b − A x‖₂ ≤ tolerance · ‖b‖₂`. In `(0, 1)`.
    pub tolerance: f64,
    /// At least 1.
    pub iterations_max: u64,
    /// Weight of a `jacobi` or `gauss_seidel` correction, in `(0, 2)`.
    pub damping: f64,
    pub sweep: Sweep,
    /// Basis length of `gmres` between restarts, 1 to 1,000.
    pub restart: usize,
    /// Whether a method that was asked for by name may be damped, preconditioned, begun anew, and replaced by
    /// `hybrid`'s where it stagnates or diverges all the same.
    pub auto_correction: bool,
    /// A method whose factors, basis and vectors are predicted to need more is refused.
    pub memory_bytes_max: u64,
}

impl Default for SolveOptions {
    fn default() -> Self {
        Self {
            method: MethodName::Hybrid,
            preconditioner: None,
            tolerance: 1e-8,
            iterations_max: 10_000,
            damping: 1.0,
            sweep: Sweep::Forward,
            restart: 50,
            auto_correction: false,
            memory_bytes_max: 4 << 30,
        }
    }
}

/// An option outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{member}` must be {expected}, found {found}")]
pub struct OptionFault {
    /// The member's name, as in [`SolveOptions`].
    pub member: &'static str,
    pub expected: &'static str,
    pub found: String,
}

impl SolveOptions {
    /// Checks every range and reports all that are broken, in the order of the members.
    pub fn faults(&self) -> Vec<OptionFault> {
        let checks: [(bool, &'static str, &'static str, String); 5] = [
            (
                self.tolerance > 0.0 && self.tolerance < 1.0,
                "tolerance",
                "between 0 and 1, both excluded",
                self.tolerance.to_string(),
            ),
            (
                self.iterations_max >= 1,
                "max_iterations",
                "at least 1",
                self.iterations_max.to_string(),
            ),
            (
                self.damping > 0.0 && self.damping < 2.0,
                "damping",
                "between 0 and 2, both excluded",
                self.damping.to_string(),
            ),
            ((1..=1_000).contains(&self.restart), "restart", "1 to 1000", self.restart.to_string()),
            (
                self.memory_bytes_max > 0,
                "memory_bytes_max",
                "at least 1",
                self.memory_bytes_max.to_string(),
            ),
        ];
        checks
            .into_iter()
            .filter(|(holds, ..)| !holds)
            .map(|(_, member, expected, found)| OptionFault { member, expected, found })
            .collect()
    }
}
