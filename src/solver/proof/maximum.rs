//! The maximum of n numbers that change one at a time. Raising one costs a comparison a level; lowering
//! one only marks its block, which is searched again when the maximum is asked for and lies there.

/// Numbers below one node; a block is eight cache lines.
const FAN: usize = 64;

/// The maximum of n numbers, none of them NaN: 8 bytes for each and an eighth of a byte above them.
///
/// [`set`](Self::set) is O(log n) with base 64, mostly one comparison. [`max`](Self::max) is O(1) where
/// nothing was lowered, else 64 reads for each block searched; a block is searched at most once for each
/// time that its largest number was lowered, so it is amortised O(log n) as well.
#[derive(Debug, Clone)]
pub(super) struct LazyMaximum {
    /// The numbers, then one level of nodes after another up to a single node. Each node is at least as
    /// large as all below it.
    levels: Vec<Vec<f64>>,
    /// Of each level above the numbers, the nodes that may be too large.
    stale: Vec<Vec<bool>>,
}

impl LazyMaximum {
    pub fn new(values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a maximum needs numbers");
        let mut levels = vec![values];
        let mut stale = vec![];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            let nodes: Vec<f64> = below.chunks(FAN).map(largest).collect();
            stale.push(vec![false; nodes.len()]);
            levels.push(nodes);
        }
        Self { levels, stale }
    }

    /// Replaces the number at `at`; NaN counts as infinity.
    pub fn set(&mut self, at: usize, value: f64) {
        let value = if value.is_nan() { f64::INFINITY } else { value };
        let old = std::mem::replace(&mut self.levels[0][at], value);
        let mut node = at;
        if value > old {
            for (level, stale) in self.levels[1..].iter_mut().zip(&mut self.stale) {
                node /= FAN;
                if value <= level[node] {
                    return;
                }
                level[node] = value;
                // Above all that is below it, whatever was stale there.
                stale[node] = false;
            }
        } else if value < old {
            for (level, stale) in self.levels[1..].iter().zip(&mut self.stale) {
                node /= FAN;
                if old < level[node] {
                    return;
                }
                stale[node] = true;
            }
        }
    }

    /// At least the maximum, O(1): what was lowered since it was last searched for may still count.
    pub fn at_most(&self) -> f64 {
        self.levels[self.levels.len() - 1][0]
    }

    /// The maximum.
    pub fn max(&mut self) -> f64 {
        let top = self.levels.len() - 1;
        self.search(top, 0)
    }

    /// Makes a node exact: searches below it for as long as its largest child may be too large.
    fn search(&mut self, level: usize, node: usize) -> f64 {
        if level == 0 || !self.stale[level - 1][node] {
            return self.levels[level][node];
        }
        let start = node * FAN;
        let found = loop {
            let below = &self.levels[level - 1];
            let end = below.len().min(start + FAN);
            let (at, value) = (start..end)
                .map(|at| (at, below[at]))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .expect("a node has numbers below it");
            if level == 1 || !self.stale[level - 2][at] {
                break value;
            }
            self.search(level - 1, at);
        };
        self.stale[level - 1][node] = false;
        self.levels[level][node] = found;
        found
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(f64::NEG_INFINITY, |largest, value| largest.max(*value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_maximum_after_any_changes(
            n in 1usize..9_000,
            changes in proptest::collection::vec((0usize..9_000, -3i32..4, any::<bool>()), 1..400),
        ) {
            let mut plain = vec![0.0; n];
            let mut lazy = LazyMaximum::new(plain.clone());
            for (at, value, ask) in changes {
                // Few places, so that the same are raised and lowered again.
                let at = (at % 7 * 1_231) % n;
                plain[at] = f64::from(value);
                lazy.set(at, f64::from(value));
                let expected = largest(&plain);
                prop_assert!(lazy.at_most() >= expected);
                if ask {
                    prop_assert_eq!(lazy.max(), expected);
                    prop_assert_eq!(lazy.at_most(), expected);
                }
            }
        }
    }

    #[test]
    fn a_number_that_is_none_counts_as_infinite() {
        let mut lazy = LazyMaximum::new(vec![1.0; 3]);
        lazy.set(1, f64::NAN);
        assert_eq!(lazy.max(), f64::INFINITY);
        lazy.set(1, 0.5);
        assert_eq!(lazy.max(), 1.0);
    }
}
