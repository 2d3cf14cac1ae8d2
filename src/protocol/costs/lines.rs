//! Lines of a stream that arrives in pieces. Owns how they are counted and cut; what is in them is read
//! elsewhere.

/// Splits pieces of a stream into lines, which are counted from 1; blank ones are counted and left out.
#[derive(Debug)]
pub struct LineBuffer {
    bytes_max: usize,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Whether the line that has begun is too long already: its bytes are dropped.
    overflown: bool,
    /// Lines that have ended.
    ended: u64,
}

/// One line of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counts from 1.
    pub number: u64,
    /// Without its newline; `None` where it was longer than is taken.
    pub text: Option<&'a [u8]>,
}

impl LineBuffer {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, begun: vec![], overflown: false, ended: 0 }
    }

    /// Bytes that are kept of a line whose end has not come.
    pub fn bytes_held(&self) -> usize {
        self.begun.len()
    }

    /// Takes the next piece and hands out the lines that end in it. A line within the piece is not copied.
    pub fn feed(&mut self, piece: &[u8], mut line: impl FnMut(Line<'_>)) {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (text, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.begun.is_empty() && !self.overflown {
                self.ended += 1;
                hand_out(self.ended, self.bytes_max, text, &mut line);
            } else {
                self.keep(text);
                self.finish(&mut line);
            }
        }
        self.keep(rest);
    }

    /// Hands out the last line of the stream, if it has no newline.
    pub fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if self.begun.is_empty() && !self.overflown {
            return;
        }
        self.ended += 1;
        if self.overflown {
            line(Line { number: self.ended, text: None });
        } else {
            hand_out(self.ended, self.bytes_max, &self.begun, &mut line);
        }
        self.overflown = false;
        // What a long line took is given back.
        self.begun = vec![];
    }

    fn keep(&mut self, text: &[u8]) {
        // One byte more than the limit may be a carriage return.
        if self.overflown || self.begun.len() + text.len() > self.bytes_max + 1 {
            self.overflown |= !text.is_empty();
            self.begun = vec![];
        } else {
            self.begun.extend_from_slice(text);
        }
    }
}

fn hand_out(number: u64, bytes_max: usize, text: &[u8], line: &mut impl FnMut(Line<'_>)) {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.len() > bytes_max {
        line(Line { number, text: None });
    } else if !text.trim_ascii().is_empty() {
        line(Line { number, text: Some(text) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Found = Vec<(u64, Option<String>)>;

    fn lines(bytes_max: usize, pieces: &[&[u8]]) -> Found {
        let (mut buffer, mut found) = (LineBuffer::new(bytes_max), vec![]);
        let mut note = |line: Line<'_>| {
            let text = line.text.map(|text| String::from_utf8_lossy(text).into_owned());
            found.push((line.number, text));
        };
        pieces.iter().for_each(|piece| {
            buffer.feed(piece, &mut note);
            assert!(buffer.bytes_held() <= bytes_max + 1);
        });
        buffer.finish(&mut note);
        found
    }

    #[test]
    fn lines_are_counted_with_blank_ones_and_cut_where_they_end() {
        let found = lines(8, &[b"one\n\n  \r\ntwo\r\nth", b"r", b"ee\n", b"four"]);
        let expected = [(1, "one"), (4, "two"), (5, "three"), (6, "four")];
        assert_eq!(found, expected.map(|(number, text)| (number, Some(text.to_owned()))));
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_the_next_is_read() {
        let expected = vec![(1, None), (2, Some("short".to_owned())), (3, None)];
        assert_eq!(lines(5, &[b"too long\nshort\nlonger"]), expected);
        assert_eq!(lines(5, &[b"too", b" lo", b"ng", b"\nsho", b"rt\r", b"\nlonger"]), expected);
        assert_eq!(lines(5, &[b"too long", b"\nshort\n", b"longer", b"\n"]), expected);
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_changes_no_line(
            text in prop::collection::vec(prop::sample::select(b"ab\n\r ".to_vec()), 0..60),
            cuts in prop::collection::vec(0usize..60, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(lines(5, &pieces), lines(5, &[&text]));
        }
    }
}
