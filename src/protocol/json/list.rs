//! Arrays of numbers: read straight from the text to where they are kept.

use super::fault::{Fault, Malformed};
use super::number::NumberToken;
use super::reader::{JsonReader, Kind, cut};

const FINITE: &str = "a finite number";

impl<'a> JsonReader<'a> {
    /// Reads an array of finite numbers into a vector of that many entries; entries of the wrong type
    /// are faults, each with its own pointer. `None` where it is no array at all.
    pub fn numbers(&mut self) -> Result<Option<Vec<f64>>, Malformed> {
        let mut list = Vec::with_capacity(self.items_ahead());
        let count = self.entries(FINITE, finite, |_, value| list.push(value))?;
        Ok(count.map(|_| list))
    }

    /// Reads an array of finite numbers as [`numbers`](Self::numbers) does, and hands each that is not 0
    /// to `keep` with its position. The answer is how many there were, zeros included.
    pub fn nonzeros(
        &mut self,
        mut keep: impl FnMut(usize, f64),
    ) -> Result<Option<usize>, Malformed> {
        self.entries(FINITE, finite, |position, value| {
            if value != 0.0 {
                keep(position, value);
            }
        })
    }

    /// Reads an array of indices, as [`numbers`](Self::numbers) does.
    pub fn indices(&mut self) -> Result<Option<Vec<u32>>, Malformed> {
        let mut list = Vec::with_capacity(self.items_ahead());
        let expected = "an integer from 0 to 4294967295";
        let whole = |token: NumberToken<'a>| u32::try_from(token.to_u64()?).ok();
        let count = self.entries(expected, whole, |_, index| list.push(index))?;
        Ok(count.map(|_| list))
    }

    /// Items of the array of numbers that is next, exact where it is one: a vector that grows leaves as much
    /// behind as it becomes. At most half as many as there are bytes.
    fn items_ahead(&mut self) -> usize {
        self.skip_space();
        let text = self.rest().as_bytes();
        if text.first() != Some(&b'[') {
            return 0;
        }
        let list = &text[..memchr::memchr(b']', text).unwrap_or(text.len())];
        (memchr::memchr_iter(b',', list).count() + 1).min(list.len() / 2 + 1)
    }

    /// Reads an array entry by entry; what is not `expected` is a fault and taken for the default.
    /// Returns how many entries there were.
    #[inline(always)]
    fn entries<T: Default>(
        &mut self,
        expected: &str,
        convert: impl Fn(NumberToken<'a>) -> Option<T>,
        mut keep: impl FnMut(usize, T),
    ) -> Result<Option<usize>, Malformed> {
        if self.peek()? != Kind::Array {
            self.wrong("an array")?;
            return Ok(None);
        }
        self.at += 1;
        self.skip_space();
        if self.byte() == Some(b']') {
            self.at += 1;
            return Ok(Some(0));
        }
        let mut position = 0;
        loop {
            self.skip_space();
            match self.number_token() {
                Some(token) => {
                    self.at += token.text().len();
                    let value = convert(token).unwrap_or_else(|| {
                        self.fault_at(position, expected, cut(token.text()));
                        T::default()
                    });
                    keep(position, value);
                }
                None => {
                    self.within(position, |reader| reader.wrong(expected))?;
                    keep(position, T::default());
                }
            }
            position += 1;
            self.skip_space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.malformed("expected `,` or `]` after an array entry")),
            }
        }
        self.at += 1;
        Ok(Some(position))
    }

    fn fault_at(&mut self, position: usize, expected: &str, found: String) {
        let pointer = format!("{}/{position}", self.pointer());
        self.faults.push(Fault { pointer, expected: expected.to_owned(), found });
    }
}

fn finite(token: NumberToken<'_>) -> Option<f64> {
    let value = token.to_f64();
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_either_sign_are_counted_and_not_kept() {
        let mut reader = JsonReader::new("[0, 1.5, -0.0, -2, 0e9]", "");
        let mut kept = vec![];
        let count = reader.nonzeros(|position, value| kept.push((position, value))).unwrap();
        assert_eq!((count, kept), (Some(5), vec![(1, 1.5), (3, -2.0)]));
    }
}
