//! What can be wrong with a JSON text: that it is none, or that values are not what their places need.
//! Knows nothing of reading.

/// Most faults that are kept; further ones are counted.
const FAULTS_MAX: usize = 32;

/// A text that is not JSON (RFC 8259).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} at line {line}, column {column}")]
pub struct Malformed {
    /// JSON pointer to the value that was being read.
    pub pointer: String,
    /// Counts from 1.
    pub line: usize,
    /// In bytes, counts from 1.
    pub column: usize,
    pub detail: String,
}

/// A value that is JSON, but not what its place needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the value; empty for the whole text.
    pub pointer: String,
    pub expected: String,
    pub found: String,
}

/// The faults found so far, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    list: Vec<Fault>,
    omitted: u64,
}

impl Faults {
    pub fn push(&mut self, fault: Fault) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(fault);
        } else {
            self.omitted += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The first faults, in the order in which they were found.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// How many more there were.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }
}
