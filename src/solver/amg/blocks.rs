//! Sparse rows computed block by block, on all threads, each block in memory of its own. Blocks have a
//! fixed number of rows, so that the number of threads never changes a bit.

use std::ops::Range;

use rayon::prelude::*;

use super::memory::Ledger;
use super::refusal::AmgRefusal;

/// Rows in a block.
const BLOCK: usize = 1_024;

/// Blocks that are computed before the memory of the next ones is asked for.
const WAVE: usize = 4;

/// No column, row or aggregate.
pub(super) const NONE: u32 = u32::MAX;

/// Some rows of a sparse matrix; columns in the order in which they first occurred.
#[derive(Debug)]
pub(super) struct Block<T> {
    /// One more than rows.
    pub pointers: Vec<u32>,
    pub cols: Vec<u32>,
    pub values: Vec<T>,
}

/// A sparse matrix in blocks of rows.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    blocks: Vec<Block<T>>,
}

/// Where a column of the row under way stands, so that what comes to it again is added there.
#[derive(Debug, Clone, Copy)]
struct Mark {
    row: u32,
    at: u32,
}

/// What one thread computes blocks with.
struct Desk<T> {
    marks: Vec<Mark>,
    cols: Vec<u32>,
    values: Vec<T>,
}

/// Adds up the rows of a block.
pub(super) struct RowSum<'a, T> {
    marks: &'a mut [Mark],
    cols: &'a mut [u32],
    values: &'a mut [T],
    /// Where the present row starts and ends.
    start: usize,
    end: usize,
    row: u32,
}

impl<T: Copy + std::ops::AddAssign> RowSum<'_, T> {
    /// Adds `value` at `col` of the present row.
    #[inline(always)]
    pub fn add(&mut self, col: u32, value: T) {
        let mark = &mut self.marks[col as usize];
        if mark.row == self.row {
            self.values[mark.at as usize] += value;
        } else {
            *mark = Mark { row: self.row, at: self.end as u32 };
            self.cols[self.end] = col;
            self.values[self.end] = value;
            self.end += 1;
        }
    }

    /// Columns and values of the present row so far.
    pub fn present(&mut self) -> (&mut [u32], &mut [T]) {
        let range = self.start..self.end;
        (&mut self.cols[range.clone()], &mut self.values[range])
    }
}

impl<T: Copy + Default + Send + Sync + std::ops::AddAssign> Blocks<T> {
    /// `rows` rows of a matrix with `cols` columns: `add_row(i, sum)` adds the entries of row `i`, of
    /// which there are at most `entries_max(i)`. `check_entries` is shown now and then how many there are.
    ///
    /// # Errors
    /// [`AmgRefusal::OutOfMemoryBudget`], asked before each wave of blocks; what `check_entries` says.
    pub fn compute(
        rows: usize,
        cols: usize,
        ledger: &mut Ledger,
        entries_max: impl Fn(usize) -> usize + Sync,
        add_row: impl Fn(usize, &mut RowSum<'_, T>) + Sync,
        check_entries: impl Fn(u64) -> Result<(), AmgRefusal>,
    ) -> Result<Self, AmgRefusal> {
        let threads = rayon::current_num_threads().min(rows.div_ceil(BLOCK)).max(1);
        let marks_bytes = (threads * size_of::<Mark>() * cols) as u64;
        ledger.take(marks_bytes)?;
        let mut desks: Vec<Desk<T>> = (0..threads).map(|_| Desk::new(cols)).collect();
        let mut blocks: Vec<Block<T>> = Vec::with_capacity(rows.div_ceil(BLOCK));
        let mut entries = 0;
        for wave in (0..rows).step_by(WAVE * BLOCK) {
            let ranges: Vec<Range<usize>> = (wave..rows.min(wave + WAVE * BLOCK))
                .step_by(BLOCK)
                .map(|start| start..rows.min(start + BLOCK))
                .collect();
            let bound = |range: &Range<usize>| -> Vec<u32> {
                range.clone().map(|row| entries_max(row).min(cols) as u32).collect()
            };
            let bounds: Vec<Vec<u32>> = ranges.par_iter().map(bound).collect();
            let totals = || bounds.iter().map(|rows| total(rows));
            // The blocks are no larger than their bounds; each desk drafts one at a time.
            let entries_max: usize = totals().sum();
            let draft_max = threads * totals().max().unwrap_or(0);
            let bound_bytes = (4 + size_of::<T>() as u64) * (entries_max + draft_max) as u64
                + 4 * (ranges.len() * (BLOCK + 1)) as u64;
            ledger.take(bound_bytes)?;
            let share = ranges.len().div_ceil(threads);
            let computed: Vec<Vec<Block<T>>> = desks
                .par_iter_mut()
                .zip(ranges.par_chunks(share))
                .zip(bounds.par_chunks(share))
                .map(|((desk, ranges), bounds)| {
                    let blocks = ranges.iter().zip(bounds);
                    blocks
                        .map(|(range, bounds)| desk.compute(range.clone(), bounds, &add_row))
                        .collect()
                })
                .collect();
            let done = blocks.len();
            let bytes: u64 = computed.iter().flatten().map(Block::bytes).sum();
            ledger.give_back(bound_bytes - bytes);
            blocks.extend(computed.into_iter().flatten());
            entries += blocks[done..].iter().map(|block| block.cols.len() as u64).sum::<u64>();
            check_entries(entries)?;
        }
        ledger.give_back(marks_bytes);
        Ok(Self { blocks })
    }
}

impl<T: Copy> Blocks<T> {
    /// Columns and values of one row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> (&[u32], &[T]) {
        let block = &self.blocks[row / BLOCK];
        let at = row % BLOCK;
        let range = block.pointers[at] as usize..block.pointers[at + 1] as usize;
        (&block.cols[range.clone()], &block.values[range])
    }

    /// Stored entries.
    pub fn entries(&self) -> usize {
        self.blocks.iter().map(|block| block.cols.len()).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(Block::bytes).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Block<T>> {
        self.blocks.iter()
    }
}

impl<T: Copy + Default + std::ops::AddAssign> Desk<T> {
    fn new(cols: usize) -> Self {
        Self { marks: vec![Mark { row: NONE, at: 0 }; cols], cols: vec![], values: vec![] }
    }

    /// Computes the rows of `range`, which have at most `bounds` entries each.
    fn compute(
        &mut self,
        range: Range<usize>,
        bounds: &[u32],
        add_row: &impl Fn(usize, &mut RowSum<'_, T>),
    ) -> Block<T> {
        let entries_max = total(bounds);
        let mut pointers = Vec::with_capacity(range.len() + 1);
        pointers.push(0);
        let mut end = 0;
        for (row, &bound) in range.zip(bounds) {
            self.make_room(end + bound as usize, entries_max);
            let Self { marks, cols, values } = self;
            let mut sum = RowSum { marks, cols, values, start: end, end, row: row as u32 };
            add_row(row, &mut sum);
            end = sum.end;
            pointers.push(end as u32);
        }
        // Exactly as large as needed; the desk keeps its room for the next block.
        Block { pointers, cols: self.cols[..end].to_vec(), values: self.values[..end].to_vec() }
    }

    /// Sees to room for `needed` entries, but never for more than `entries_max` because of it.
    #[inline(always)]
    fn make_room(&mut self, needed: usize, entries_max: usize) {
        if self.cols.len() < needed {
            let length = (2 * needed).min(entries_max);
            self.cols.resize(length, 0);
            self.values.resize(length, T::default());
        }
    }
}

fn total(bounds: &[u32]) -> usize {
    bounds.iter().map(|&bound| bound as usize).sum()
}

impl<T> Block<T> {
    fn bytes(&self) -> u64 {
        let entries = self.cols.capacity() * 4 + self.values.capacity() * size_of::<T>();
        (entries + self.pointers.capacity() * 4) as u64
    }
}
