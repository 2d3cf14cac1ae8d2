//! Lines and words of a Matrix Market text, with their places for errors.

use super::MatrixMarketError;
use std::io::{BufRead, Read};

/// The standard allows 1,024 characters a line; comments are sometimes longer.
const LINE_BYTES_MAX: usize = 1 << 16;
/// Of an unexpected word, shown in an error.
const FOUND_CHARS_MAX: usize = 40;

/// Reads line by line into one buffer.
pub(super) struct LineReader<R> {
    input: R,
    buffer: Vec<u8>,
    number: usize,
    /// The line in the buffer was looked at but not taken.
    held_back: bool,
}

impl<R: BufRead> LineReader<R> {
    pub fn new(input: R) -> Self {
        Self { input, buffer: Vec::with_capacity(128), number: 0, held_back: false }
    }

    /// Number of the line read last.
    pub fn number(&self) -> usize {
        self.number
    }

    /// False at the end of the text.
    fn advance(&mut self) -> Result<bool, MatrixMarketError> {
        if std::mem::take(&mut self.held_back) {
            return Ok(true);
        }
        self.buffer.clear();
        let mut bounded = self.input.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.buffer).map_err(|error| {
            MatrixMarketError::Io { line: self.number + 1, message: error.to_string() }
        })?;
        if read == 0 {
            return Ok(false);
        }
        self.number += 1;
        if read > LINE_BYTES_MAX {
            return Err(too_long(self.number));
        }
        while let [rest @ .., b'\n' | b'\r'] = &self.buffer[..] {
            let length = rest.len();
            self.buffer.truncate(length);
        }
        Ok(true)
    }

    fn line(&self) -> Line<'_> {
        Line { bytes: &self.buffer, at: 0, word_at: 0, number: self.number }
    }

    /// Looks at the first line without taking it.
    pub fn starts_with_banner(&mut self) -> Result<bool, MatrixMarketError> {
        self.held_back = self.advance()?;
        let banner = b"%%matrixmarket";
        Ok(self.buffer.get(..banner.len()).is_some_and(|start| start.eq_ignore_ascii_case(banner)))
    }

    /// The very first line, whatever it holds.
    pub fn first(&mut self) -> Result<Option<Line<'_>>, MatrixMarketError> {
        Ok(self.advance()?.then(|| self.line()))
    }

    /// The next line that is neither blank nor a comment.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, MatrixMarketError> {
        self.next_without(b"%")
    }

    /// As [`Self::next_line`], where `#` opens a comment, too.
    pub fn next_plain_line(&mut self) -> Result<Option<Line<'_>>, MatrixMarketError> {
        self.next_without(b"%#")
    }

    fn next_without(&mut self, marks: &[u8]) -> Result<Option<Line<'_>>, MatrixMarketError> {
        while self.advance()? {
            let first = self.buffer.iter().find(|byte| !byte.is_ascii_whitespace());
            if first.is_some_and(|byte| !marks.contains(byte)) {
                return Ok(Some(self.line()));
            }
        }
        Ok(None)
    }

    /// Reads about `bytes` of whole lines into `block`, which is empty at the end of the text. They are not
    /// yet counted: see [`Self::count_block`].
    ///
    /// # Errors
    /// [`MatrixMarketError::Io`], where the lines before the one that broke off are in `block` all the same.
    pub fn next_block(
        &mut self,
        block: &mut Vec<u8>,
        bytes: usize,
    ) -> Result<(), MatrixMarketError> {
        block.clear();
        let read = self.input.by_ref().take(bytes as u64).read_to_end(block).and_then(|_| {
            match block.last() {
                None | Some(b'\n') => Ok(0),
                // A line that is not at its end by then is refused for its length.
                Some(_) => {
                    let mut bounded = self.input.by_ref().take(LINE_BYTES_MAX as u64 + 1);
                    bounded.read_until(b'\n', block)
                }
            }
        });
        read.map(drop).map_err(|error| {
            block.truncate(memchr::memrchr(b'\n', block).map_or(0, |at| at + 1));
            let line = self.number + memchr::memchr_iter(b'\n', block).count() + 1;
            MatrixMarketError::Io { line, message: error.to_string() }
        })
    }

    /// The lines of a block are read.
    pub fn count_block(&mut self, block: &[u8]) {
        let unended = block.last().is_some_and(|&byte| byte != b'\n');
        self.number += memchr::memchr_iter(b'\n', block).count() + usize::from(unended);
    }

    pub fn unsupported(&self, feature: &'static str, instead: &'static str) -> MatrixMarketError {
        MatrixMarketError::Unsupported { line: self.number, feature, instead }
    }

    pub fn truncated(
        &self,
        quantity: &'static str,
        expected: usize,
        found: usize,
    ) -> MatrixMarketError {
        MatrixMarketError::Truncated { line: self.number, quantity, expected, found }
    }

    pub fn surplus(&self, quantity: &'static str, expected: usize) -> MatrixMarketError {
        MatrixMarketError::Surplus { line: self.number, quantity, expected }
    }

    /// Something missed where the text ends.
    pub fn at_end(&self, expected: String, found: &str) -> MatrixMarketError {
        let line = self.number.max(1);
        MatrixMarketError::Syntax { line, column: 1, expected, found: found.to_owned() }
    }
}

/// The lines of a text that is held already.
pub(super) struct PieceLines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> PieceLines<'a> {
    /// `lines_before` stand before `text`, which begins with a line.
    pub fn new(text: &'a [u8], lines_before: usize) -> Self {
        Self { rest: text, number: lines_before }
    }

    /// The next line that is neither blank nor a comment.
    #[inline]
    pub fn next_line(&mut self) -> Result<Option<Line<'a>>, MatrixMarketError> {
        while !self.rest.is_empty() {
            let end = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |at| at + 1);
            let (whole, rest) = self.rest.split_at(end);
            self.rest = rest;
            self.number += 1;
            if whole.len() > LINE_BYTES_MAX {
                return Err(too_long(self.number));
            }
            let mut bytes = whole;
            while let [shorter @ .., b'\n' | b'\r'] = bytes {
                bytes = shorter;
            }
            let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
            if first.is_some_and(|&byte| byte != b'%') {
                return Ok(Some(Line { bytes, at: 0, word_at: 0, number: self.number }));
            }
        }
        Ok(None)
    }
}

fn too_long(line: usize) -> MatrixMarketError {
    let (quantity, found) = ("bytes or more", LINE_BYTES_MAX as u64 + 1);
    MatrixMarketError::TooLarge { line, quantity, found, limit: LINE_BYTES_MAX }
}

/// A line being read word by word.
pub(super) struct Line<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the word read last began.
    word_at: usize,
    number: usize,
}

impl<'a> Line<'a> {
    pub fn number(&self) -> usize {
        self.number
    }

    #[inline]
    fn next_word(&mut self) -> &'a [u8] {
        let bytes = self.bytes;
        let mut at = self.at;
        while at < bytes.len() && bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        self.word_at = at;
        while at < bytes.len() && !bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        self.at = at;
        &bytes[self.word_at..at]
    }

    /// Which of `choices` (lower case) the next word is.
    pub fn word(&mut self, choices: &[&str]) -> Result<usize, MatrixMarketError> {
        let word = self.next_word();
        let chosen = choices.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        chosen.ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|name| format!("`{name}`")).collect();
            self.syntax_here(names.join(" or "))
        })
    }

    /// A count that must not exceed `limit`.
    pub fn size(&mut self, noun: &'static str, limit: usize) -> Result<usize, MatrixMarketError> {
        let word = self.next_word();
        let Some(size) = whole(word) else {
            return Err(self.syntax_here(format!("the number of {noun}")));
        };
        match usize::try_from(size) {
            Ok(size) if size <= limit => Ok(size),
            _ => Err(self.too_large(noun, size, limit)),
        }
    }

    /// An index from 1 to `bound`, returned from 0.
    #[inline]
    pub fn index(&mut self, noun: &str, bound: usize) -> Result<u32, MatrixMarketError> {
        let word = self.next_word();
        match whole(word) {
            Some(index) if index >= 1 && index <= bound as u64 => Ok((index - 1) as u32),
            _ => Err(self.syntax_here(format!("a {noun} index between 1 and {bound}"))),
        }
    }

    #[inline]
    pub fn real(&mut self) -> Result<f64, MatrixMarketError> {
        let word = self.next_word();
        let value = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
        match value {
            Some(value) if value.is_finite() => Ok(value),
            Some(_) => Err(self.syntax_here("a finite number".to_owned())),
            None => Err(self.syntax_here("a number".to_owned())),
        }
    }

    /// A whole number that f64 holds exactly.
    pub fn integer(&mut self) -> Result<f64, MatrixMarketError> {
        const EXACT_MAX: u64 = 1 << 53;
        let word = self.next_word();
        let value = std::str::from_utf8(word).ok().and_then(|text| text.parse::<i64>().ok());
        match value {
            Some(value) if value.unsigned_abs() <= EXACT_MAX => Ok(value as f64),
            _ => Err(self.syntax_here("an integer of at most 2^53".to_owned())),
        }
    }

    #[inline]
    pub fn end(&mut self) -> Result<(), MatrixMarketError> {
        match self.next_word() {
            [] => Ok(()),
            _ => Err(self.syntax_here("the end of the line".to_owned())),
        }
    }

    /// The word read last is not what was expected.
    pub fn syntax_here(&self, expected: String) -> MatrixMarketError {
        let found = match &self.bytes[self.word_at..self.at] {
            [] => "the end of the line".to_owned(),
            word => {
                let text = String::from_utf8_lossy(word);
                let shown: String = text.chars().take(FOUND_CHARS_MAX).collect();
                let more = if text.chars().nth(FOUND_CHARS_MAX).is_some() { "…" } else { "" };
                format!("`{}{more}`", shown.escape_debug())
            }
        };
        MatrixMarketError::Syntax { line: self.number, column: self.word_at + 1, expected, found }
    }

    /// The line as a whole is not what was expected.
    pub fn syntax_at_start(&self, expected: String) -> MatrixMarketError {
        let whole =
            Line { bytes: self.bytes, at: self.bytes.len(), word_at: 0, number: self.number };
        whole.syntax_here(expected)
    }

    pub fn too_large(&self, quantity: &'static str, found: u64, limit: usize) -> MatrixMarketError {
        MatrixMarketError::TooLarge { line: self.number, quantity, found, limit }
    }

    pub fn unsupported(&self, feature: &'static str, instead: &'static str) -> MatrixMarketError {
        MatrixMarketError::Unsupported { line: self.number, feature, instead }
    }
}

/// Digits only. Saturates, so that a claim of any length is compared with a limit.
#[inline]
fn whole(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &byte in word {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.saturating_mul(10).saturating_add(u64::from(digit));
    }
    Some(value)
}
