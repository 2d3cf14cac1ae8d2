//! The lines after the sizes, read block by block: a block is cut at line ends and its pieces are read
//! at the same time. What is read, and the first thing wrong with its place, are those of a reader that
//! goes line by line, whatever the number of threads.

use super::lines::{Line, LineReader, PieceLines};
use super::{Entries, MatrixMarketError};
use rayon::prelude::*;
use std::io::BufRead;

/// Text held at a time. It becomes up to eight times as much in pieces that wait to be joined.
const BLOCK_BYTES: usize = 2 << 20;
/// Text that one thread reads; less is not worth waking another.
const PIECE_BYTES: usize = 128 << 10;

/// What lines become, in their order.
pub(super) trait Gathered: Default + Send {
    fn append(&mut self, later: Self);
}

impl Gathered for Vec<f64> {
    fn append(&mut self, mut later: Self) {
        Vec::append(self, &mut later);
    }
}

impl Gathered for Entries {
    fn append(&mut self, mut later: Self) {
        self.rows.append(&mut later.rows);
        self.cols.append(&mut later.cols);
        self.values.append(&mut later.values);
    }
}

/// Reads exactly `expected` lines that are neither blank nor comments, and nothing but those to the end
/// of the text.
///
/// # Errors
/// The first thing wrong, with its line; also too few or too many lines of that `quantity`.
pub(super) fn read_records<R: BufRead, G: Gathered>(
    lines: &mut LineReader<R>,
    quantity: &'static str,
    expected: usize,
    record: impl Fn(&mut Line<'_>, &mut G) -> Result<(), MatrixMarketError> + Sync,
) -> Result<G, MatrixMarketError> {
    let (mut gathered, mut found) = (G::default(), 0);
    let mut block = Vec::new();
    loop {
        let broken_off = lines.next_block(&mut block, BLOCK_BYTES);
        let pieces = pieces_of(&block, lines.number());
        let read = |piece: &Piece<'_>, allowed: usize| {
            let surplus = |line| MatrixMarketError::Surplus { line, quantity, expected };
            piece.read(allowed, &record, surplus)
        };
        let allowed = expected - found;
        let results: Vec<_> = match pieces.len() {
            0 | 1 => pieces.iter().map(|piece| read(piece, allowed)).collect(),
            _ => pieces.par_iter().map(|piece| read(piece, allowed)).collect(),
        };
        for (piece, result) in pieces.iter().zip(results) {
            let allowed = expected - found;
            // Read again where it went wrong: its surplus may have begun before that.
            let (records, count) = match result {
                Ok((records, count)) if count <= allowed => (records, count),
                Ok(_) | Err(_) => read(piece, allowed)?,
            };
            gathered.append(records);
            found += count;
        }
        lines.count_block(&block);
        broken_off?;
        if block.is_empty() {
            break;
        }
    }
    match found == expected {
        true => Ok(gathered),
        false => Err(lines.truncated(quantity, expected, found)),
    }
}

/// Whole lines of a block.
struct Piece<'a> {
    text: &'a [u8],
    /// Lines of the text before it.
    lines_before: usize,
}

impl Piece<'_> {
    /// Reads at most `allowed` records, and how many there were.
    fn read<G: Gathered>(
        &self,
        allowed: usize,
        record: impl Fn(&mut Line<'_>, &mut G) -> Result<(), MatrixMarketError>,
        surplus: impl Fn(usize) -> MatrixMarketError,
    ) -> Result<(G, usize), MatrixMarketError> {
        let mut lines = PieceLines::new(self.text, self.lines_before);
        let (mut gathered, mut count) = (G::default(), 0);
        while let Some(mut line) = lines.next_line()? {
            if count == allowed {
                return Err(surplus(line.number()));
            }
            record(&mut line, &mut gathered)?;
            count += 1;
        }
        Ok((gathered, count))
    }
}

/// Cuts a block at line ends.
fn pieces_of(block: &[u8], lines_before: usize) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    let (mut rest, mut lines_before) = (block, lines_before);
    while !rest.is_empty() {
        let at_least = rest.len().min(PIECE_BYTES);
        let line_end = memchr::memchr(b'\n', &rest[at_least - 1..]);
        let (text, after) = rest.split_at(line_end.map_or(rest.len(), |at| at_least + at));
        pieces.push(Piece { text, lines_before });
        lines_before += memchr::memchr_iter(b'\n', text).count();
        rest = after;
    }
    pieces
}
