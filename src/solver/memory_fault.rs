//! A number in memory that becomes another one, as a failing module or a stray write would have it: what
//! a state must be found out for. Strikes in simulated worlds only.

/// One number that is altered behind everybody's back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryFault {
    pub place: FaultPlace,
    /// Taken modulo n.
    pub row: usize,
    /// Is added to the number.
    pub by: f64,
}

/// Which number of a row is altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPlace {
    /// Its entry of `x`.
    Solution,
    /// Its first entry of `A`, where the rows are stored; a copy by columns stays as it is.
    Matrix,
    /// Its entry of `b`, as a change that was accepted and got lost would leave it.
    Cost,
}
