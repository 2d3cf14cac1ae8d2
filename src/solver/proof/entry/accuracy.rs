//! What a caller wants of one entry: how close, and for how long it is willing to wait.

use std::fmt;

/// How close an answer must come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Accuracy {
    /// `|x*_i − value| ≤` this.
    Absolute(f64),
    /// `|x*_i − value| ≤` this part of `|x*_i|`, whose size is found out on the way. An entry that is 0
    /// has no relative accuracy: its search ends with the budget.
    Relative(f64),
}

impl Accuracy {
    /// The largest bound that suffices for an entry that is within `bound` of `value`.
    pub fn of(self, value: f64, bound: f64) -> f64 {
        match self {
            Self::Absolute(accuracy) => accuracy,
            Self::Relative(part) => part * (value.abs() - bound).max(0.0),
        }
    }

    /// What [`of`](Self::of) comes to for an entry of about this size: for predictions.
    pub(super) fn at_size(self, size: f64) -> f64 {
        self.of(size, 0.0)
    }

    /// The number that was asked for.
    pub fn number(self) -> f64 {
        match self {
            Self::Absolute(number) | Self::Relative(number) => number,
        }
    }
}

/// Asked now and then whether to go on; `false` ends the search with what is known by then.
#[derive(Clone, Copy)]
pub struct Patience<'a>(pub &'a dyn Fn() -> bool);

impl Patience<'_> {
    pub const ENDLESS: Self = Self(&|| true);

    pub fn lasts(self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patience")
    }
}
