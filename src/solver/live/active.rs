//! Which rows are to be relaxed: a set of row numbers that is walked in ascending order. Owns the
//! bits; who sets them and why is the state's and the push's.

/// A subset of `0..n`: a bit for each row, a bit for each word of those that is not empty, and so on
/// once more. Marking is O(1), finding the next row at or after a given one O(1 + n / 2¹⁸).
///
/// n / 8 bytes, and 1/64 of that on top.
#[derive(Debug, Clone)]
pub(super) struct ActiveRows {
    rows: Vec<u64>,
    words: Vec<u64>,
    blocks: Vec<u64>,
}

impl ActiveRows {
    /// The empty subset of `0..n`.
    pub fn none(n: usize) -> Self {
        let rows = n.div_ceil(64);
        let words = rows.div_ceil(64);
        Self { rows: vec![0; rows], words: vec![0; words], blocks: vec![0; words.div_ceil(64)] }
    }

    /// Adds `row` if `is_active` is 1, leaves the set alone if it is 0.
    ///
    /// # Safety
    /// `row` is below n, `is_active` is 0 or 1.
    #[inline(always)]
    pub unsafe fn mark(&mut self, row: u32, is_active: u64) {
        let row = row as usize;
        // SAFETY: the vectors have a bit for every row below n.
        unsafe {
            let word = self.rows.get_unchecked_mut(row / 64);
            let before = *word;
            *word = before | is_active << (row % 64);
            // Whether a row becomes active cannot be foreseen; that its word was empty before
            // is needed for the levels above only.
            if (before == 0) & (is_active != 0) {
                *self.words.get_unchecked_mut(row / 4_096) |= 1 << (row / 64 % 64);
                *self.blocks.get_unchecked_mut(row / 262_144) |= 1 << (row / 4_096 % 64);
            }
        }
    }

    /// Adds `row`.
    pub fn insert(&mut self, row: usize) {
        assert!(row / 64 < self.rows.len(), "row {row} is beyond the set");
        // SAFETY: just checked, up to unused bits of the last word, which exist.
        unsafe { self.mark(row as u32, 1) };
    }

    /// Takes `row` out, if it is in.
    #[inline(always)]
    pub fn remove(&mut self, row: usize) {
        let word = &mut self.rows[row / 64];
        *word &= !(1 << (row % 64));
        if *word == 0 {
            let word = &mut self.words[row / 4_096];
            *word &= !(1 << (row / 64 % 64));
            if *word == 0 {
                self.blocks[row / 262_144] &= !(1 << (row / 4_096 % 64));
            }
        }
    }

    /// The first row of the set that is not below `from`.
    #[inline(always)]
    pub fn next_from(&self, from: usize) -> Option<usize> {
        let word = first_bit(self.rows.get(from / 64).copied()?, from % 64);
        if let Some(bit) = word {
            return Some(from / 64 * 64 + bit);
        }
        self.next_word(from / 64 + 1)
    }

    fn next_word(&self, from: usize) -> Option<usize> {
        let found = first_bit(self.words.get(from / 64).copied()?, from % 64);
        let word = match found {
            Some(bit) => from / 64 * 64 + bit,
            None => self.next_block(from / 64 + 1)?,
        };
        Some(word * 64 + self.rows[word].trailing_zeros() as usize)
    }

    fn next_block(&self, from: usize) -> Option<usize> {
        let mut mask = u64::MAX << (from % 64);
        for block in from / 64..self.blocks.len() {
            if let Some(bit) = first_bit(self.blocks[block] & mask, 0) {
                let words = block * 64 + bit;
                return Some(words * 64 + self.words[words].trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }

    /// Shows at most `rows_max` rows of the set, each with the number of rows that it stands for: all of
    /// them, for one each, where their words have no more rows than that in equal parts. O(n / 4,096 +
    /// `rows_max`).
    pub fn sample(&self, rows_max: usize, mut look: impl FnMut(usize, f64)) {
        let filled: usize = self.words.iter().map(|word| word.count_ones() as usize).sum();
        let stride = filled.div_ceil(rows_max).max(1);
        let visited = filled.div_ceil(stride);
        let of_a_word = rows_max / visited.max(1);
        let (mut skip, mut seen) = (0, 0);
        for (at, &words) in self.words.iter().enumerate() {
            let mut words = words;
            while words != 0 && skip < words.count_ones() {
                (0..skip).for_each(|_| words &= words - 1);
                let word = 64 * at + words.trailing_zeros() as usize;
                words &= words - 1;
                let count = self.rows[word].count_ones() as usize;
                let step = count.div_ceil(of_a_word);
                // Not always the first of a word: what is regular in the system is not to show.
                let first = seen % step;
                let taken = (count - first).div_ceil(step);
                let stands_for = (count * filled) as f64 / (taken * visited) as f64;
                let mut bits = self.rows[word];
                for position in 0..count {
                    if position % step == first {
                        look(64 * word + bits.trailing_zeros() as usize, stands_for);
                    }
                    bits &= bits - 1;
                }
                skip = stride as u32 - 1;
                seen += 1;
            }
            skip = skip.saturating_sub(words.count_ones());
        }
    }

    /// Takes every row out. O(n / 64).
    pub fn clear(&mut self) {
        self.rows.fill(0);
        self.words.fill(0);
        self.blocks.fill(0);
    }

    /// Makes the set that of the rows below `n` for which `is_active` is 1 where it is 0 for others. O(n).
    pub fn rewrite(&mut self, n: usize, mut is_active: impl FnMut(usize) -> u64) {
        self.clear();
        for (word, bits) in self.rows.iter_mut().enumerate() {
            let rows = 64 * word..n.min(64 * word + 64);
            *bits = rows.enumerate().fold(0, |bits, (at, row)| bits | is_active(row) << at);
            if *bits != 0 {
                self.words[word / 64] |= 1 << (word % 64);
                self.blocks[word / 4_096] |= 1 << (word / 64 % 64);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| *block == 0)
    }

    /// Rows in the set. O(n / 4,096 + words that are not empty).
    pub fn count(&self) -> usize {
        let mut count = 0;
        for (at, &filled) in self.words.iter().enumerate() {
            let mut filled = filled;
            while filled != 0 {
                let word = 64 * at + filled.trailing_zeros() as usize;
                count += self.rows[word].count_ones() as usize;
                filled &= filled - 1;
            }
        }
        count
    }

    pub fn memory_bytes(&self) -> usize {
        8 * (self.rows.capacity() + self.words.capacity() + self.blocks.capacity())
    }
}

#[inline(always)]
fn first_bit(word: u64, from: usize) -> Option<usize> {
    let rest = word & (u64::MAX << from);
    (rest != 0).then(|| rest.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn walked(active: &ActiveRows) -> Vec<usize> {
        let mut rows: Vec<usize> = vec![];
        while let Some(row) = active.next_from(rows.last().map_or(0, |row| row + 1)) {
            rows.push(row);
        }
        rows
    }

    fn check_sample(active: &ActiveRows, expected: &BTreeSet<usize>, rows_max: usize) {
        let (mut rows, mut stood_for) = (vec![], 0.0);
        active.sample(rows_max, |row, stands_for| {
            rows.push(row);
            stood_for += stands_for;
        });
        assert!(rows.is_sorted_by(|a, b| a < b) && rows.len() <= rows_max);
        assert!(rows.iter().all(|row| expected.contains(row)));
        assert_eq!(rows.is_empty(), expected.is_empty());
        let words = expected.iter().map(|row| row / 64).collect::<BTreeSet<_>>().len();
        if 64 * words <= rows_max {
            assert!(rows.iter().eq(expected) && stood_for == expected.len() as f64);
        }
    }

    #[test]
    fn a_sample_stands_for_all_rows() {
        let mut active = ActiveRows::none(1_000_000);
        let in_it = |row: usize| row.is_multiple_of(7) || (300_000..400_000).contains(&row);
        active.rewrite(1_000_000, |row| u64::from(in_it(row)));
        let count = (0..1_000_000).filter(|row| in_it(*row)).count();
        let (mut stood_for, mut sum) = (0.0, 0.0);
        active.sample(1_024, |row, stands_for| {
            stood_for += stands_for;
            sum += stands_for * (row % 64) as f64;
        });
        let part = stood_for / count as f64;
        assert!((0.95..1.05).contains(&part), "{part}");
        let mean = sum / stood_for;
        assert!((29.0..34.0).contains(&mean), "the positions within words average 31.5: {mean}");
    }

    fn check(n: usize, steps: &[(usize, bool)]) {
        let (mut active, mut expected) = (ActiveRows::none(n), BTreeSet::new());
        for &(row, is_in) in steps {
            let row = row % n;
            if is_in {
                active.insert(row);
                expected.insert(row);
            } else {
                active.remove(row);
                expected.remove(&row);
            }
        }
        assert_eq!(walked(&active), expected.iter().copied().collect::<Vec<_>>());
        for rows_max in [1, 2, 3, 64, 1_024] {
            check_sample(&active, &expected, rows_max);
        }
        assert_eq!((active.count(), active.is_empty()), (expected.len(), expected.is_empty()));
        active.clear();
        assert!(active.is_empty() && walked(&active).is_empty());
        active.rewrite(n, |row| u64::from(expected.contains(&row)));
        assert_eq!(walked(&active), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn rows_at_the_ends_of_words_and_blocks_are_found() {
        for n in [1, 63, 64, 65, 4_096, 4_097, 262_144, 262_145, 600_000] {
            let edges = [0, 63, 64, 4_095, 4_096, 262_143, 262_144, 524_288, n - 1];
            check(n, &edges.map(|row| (row, true)));
            let mut steps = edges.map(|row| (row, true)).to_vec();
            steps.extend(edges[1..].iter().map(|&row| (row, false)));
            check(n, &steps);
        }
    }

    #[test]
    fn a_mark_of_nothing_marks_nothing() {
        let mut active = ActiveRows::none(10);
        // SAFETY: 7 is below 10.
        unsafe { active.mark(7, 0) };
        assert!(active.is_empty());
    }

    proptest! {
        #[test]
        fn a_set_under_change_is_walked_in_order(
            n in 1..700_000usize,
            steps in proptest::collection::vec((any::<usize>(), any::<bool>()), 0..200),
        ) {
            check(n, &steps);
        }
    }
}
