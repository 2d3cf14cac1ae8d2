//! Finds the entries of `x` that changed most since they were last published, so that a stream can
//! carry few numbers and still follow the whole vector.

/// How many entries a publication may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XPartialMax {
    /// Every entry that changed: whoever applies all publications holds exactly `x`.
    All,
    AtMost(u32),
}

impl XPartialMax {
    /// What the limit comes to for an `x` of length `n`: one that never binds is none.
    pub fn for_order(self, n: usize) -> Self {
        match self {
            Self::AtMost(count) if count as usize >= n => Self::All,
            Self::All | Self::AtMost(_) => self,
        }
    }
}

/// Chosen entries of `x`, indices ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub indices: Vec<u32>,
    pub values: Vec<f64>,
    /// What was published of these entries before. Empty where all changes are published, because
    /// then nobody has to choose among them.
    pub before: Vec<f64>,
}

/// Remembers what was published of one `x` of length n; holds a copy of n values.
#[derive(Debug, Clone)]
pub struct ChangeTracker {
    published: Vec<f64>,
    limit: XPartialMax,
    largest: Vec<(f64, u32)>,
}

impl ChangeTracker {
    /// Starts from an `x` that every reader knows.
    pub fn new(x: &[f64], limit: XPartialMax) -> Self {
        let published = if limit == XPartialMax::AtMost(0) { Vec::new() } else { x.to_vec() };
        Self { published, limit, largest: Vec::new() }
    }

    pub fn limit(&self) -> XPartialMax {
        self.limit
    }

    pub fn memory_bytes(&self) -> u64 {
        8 * self.published.len() as u64
    }

    /// The entries of `x` that differ most from what was published, indices ascending; they count as
    /// published from now on. One pass over n values.
    pub fn take(&mut self, x: &[f64]) -> Changes {
        match self.limit {
            XPartialMax::All => self.collect_changed(x),
            XPartialMax::AtMost(0) => return Changes::default(),
            XPartialMax::AtMost(count) => self.collect_largest(x, count as usize),
        }
        self.largest.sort_unstable_by_key(|&(_, index)| index);
        let indices: Vec<u32> = self.largest.iter().map(|&(_, index)| index).collect();
        let values: Vec<f64> = indices.iter().map(|&index| x[index as usize]).collect();
        let before = match self.limit {
            XPartialMax::All => Vec::new(),
            XPartialMax::AtMost(_) => {
                indices.iter().map(|&index| self.published[index as usize]).collect()
            }
        };
        for (&index, &value) in indices.iter().zip(&values) {
            self.published[index as usize] = value;
        }
        Changes { indices, values, before }
    }

    fn collect_changed(&mut self, x: &[f64]) {
        self.largest.clear();
        for (index, (now, before)) in x.iter().zip(&self.published).enumerate() {
            if now.to_bits() != before.to_bits() {
                self.largest.push((0.0, index as u32));
            }
        }
    }

    /// Gathers candidates above a rising bar; when twice too many are held, the smaller half goes
    /// and the bar rises to what is left. O(n) in all.
    fn collect_largest(&mut self, x: &[f64], count: usize) {
        self.largest.clear();
        let mut bar = 0.0;
        for (index, (now, before)) in x.iter().zip(&self.published).enumerate() {
            let change = (now - before).abs();
            if change > bar {
                self.largest.push((change, index as u32));
                if self.largest.len() >= 2 * count + 32 {
                    bar = keep_largest(&mut self.largest, count);
                }
            }
        }
        if self.largest.len() > count {
            keep_largest(&mut self.largest, count);
        }
    }
}

/// Keeps the `count` largest changes and returns the smallest of them. Equal changes are taken in
/// order of their index, so that the choice is reproducible.
fn keep_largest(changes: &mut Vec<(f64, u32)>, count: usize) -> f64 {
    changes.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    changes.truncate(count);
    changes[count - 1].0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_largest_changes_are_taken_and_nothing_is_lost(
            states in prop::collection::vec(prop::collection::vec(-8i32..8, 90), 1..8),
            count in 1u32..20,
        ) {
            let mut tracker = ChangeTracker::new(&[0.0; 90], XPartialMax::AtMost(count));
            let mut held = vec![0.0; 90];
            for state in states {
                let x: Vec<f64> = state.into_iter().map(f64::from).collect();
                let Changes { indices, values, before } = tracker.take(&x);
                for (&index, &before) in indices.iter().zip(&before) {
                    prop_assert_eq!(before, held[index as usize]);
                }
                prop_assert_eq!(before.len(), indices.len());
                let mut changes: Vec<f64> =
                    x.iter().zip(&held).map(|(now, before): (&f64, &f64)| (now - before).abs()).collect();
                let mut taken: Vec<f64> =
                    indices.iter().map(|&index| changes[index as usize]).collect();
                changes.sort_by(|a, b| b.total_cmp(a));
                taken.sort_by(|a, b| b.total_cmp(a));
                let expected: Vec<f64> =
                    changes.into_iter().filter(|&change| change > 0.0).take(count as usize).collect();
                prop_assert_eq!(taken, expected);
                for (&index, &value) in indices.iter().zip(&values) {
                    held[index as usize] = value;
                }
            }
        }

        #[test]
        fn applying_everything_published_reproduces_x(
            states in prop::collection::vec(prop::collection::vec(-1e3f64..1e3, 40), 1..8),
        ) {
            let mut tracker = ChangeTracker::new(&[0.0; 40], XPartialMax::All);
            let mut held = vec![0.0; 40];
            for x in states {
                let Changes { indices, values, .. } = tracker.take(&x);
                prop_assert!(indices.is_sorted());
                for (&index, &value) in indices.iter().zip(&values) {
                    held[index as usize] = value;
                }
                prop_assert_eq!(&held, &x);
            }
        }
    }

    #[test]
    fn a_limit_that_never_binds_is_none() {
        assert_eq!(XPartialMax::AtMost(5).for_order(5), XPartialMax::All);
        assert_eq!(XPartialMax::AtMost(4).for_order(5), XPartialMax::AtMost(4));
    }

    #[test]
    fn a_limit_of_zero_publishes_nothing_and_holds_nothing() {
        let mut tracker = ChangeTracker::new(&[0.0; 5], XPartialMax::AtMost(0));
        assert_eq!(tracker.take(&[1.0; 5]), Changes::default());
        assert_eq!(tracker.memory_bytes(), 0);
    }
}
