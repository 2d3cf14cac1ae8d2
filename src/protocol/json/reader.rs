//! A pull reader over one JSON text: values one by one, objects and arrays member by member. Keeps a JSON
//! pointer to where it stands, and goes on after a value of the wrong type so that one answer can
//! name several faults. Syntax errors end the reading. Strings and arrays of numbers are read in `string`
//! and `list`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::fault::{Fault, Faults, Malformed};
use super::number::NumberToken;

/// Deepest nesting accepted; a system needs four levels.
const DEPTH_MAX: usize = 64;
/// Most members accepted in an object that is read.
const MEMBERS_MAX: usize = 256;
/// Longest piece of a faulty value that is quoted back, in characters.
const QUOTED_MAX: usize = 40;

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

/// Reads one JSON text from front to back.
pub struct JsonReader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    depth: usize,
    pointer: String,
    pub faults: Faults,
}

impl<'a> JsonReader<'a> {
    /// A reader at the start of `text`, whose pointers begin with `pointer`.
    pub fn new(text: &'a str, pointer: &str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, depth: 0, pointer: pointer.to_owned(), faults: Faults::default() }
    }

    /// Checks that nothing follows the value that was read.
    pub fn finish(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.at == self.text.len() {
            return Ok(());
        }
        Err(self.malformed("expected the end of the text after the first value"))
    }

    /// Bytes of the text that are not read yet.
    pub fn bytes_left(&self) -> usize {
        self.text.len() - self.at.min(self.text.len())
    }

    /// JSON pointer to the value being read.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Records a fault of the value being read.
    pub fn fault(&mut self, expected: impl Into<String>, found: impl Into<String>) {
        let pointer = self.pointer.clone();
        self.faults.push(Fault { pointer, expected: expected.into(), found: found.into() });
    }

    /// Tells the kind of the next value without reading it.
    pub fn peek(&mut self) -> Result<Kind, Malformed> {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') if self.number_token().is_some() => Ok(Kind::Number),
            Some(b't') if self.rest().starts_with("true") => Ok(Kind::Boolean),
            Some(b'f') if self.rest().starts_with("false") => Ok(Kind::Boolean),
            Some(b'n') if self.rest().starts_with("null") => Ok(Kind::Null),
            _ => Err(self.no_value_here()),
        }
    }

    /// Tells the kind of the first item of the array that is next; `None` where there is no array, or
    /// an empty one.
    pub fn peek_first_item(&mut self) -> Result<Option<Kind>, Malformed> {
        if self.peek()? != Kind::Array {
            return Ok(None);
        }
        let start = self.at;
        self.at += 1;
        self.skip_space();
        let kind = if self.byte() == Some(b']') { Ok(None) } else { self.peek().map(Some) };
        self.at = start;
        kind
    }

    /// Reads an object, calling `member` with the reader at each member's value; it must read or
    /// [`skip`](Self::skip) that value. Anything else is a fault and is skipped; then the answer is
    /// `false`.
    pub fn object(
        &mut self,
        expected: &str,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), Malformed>,
    ) -> Result<bool, Malformed> {
        if self.peek()? != Kind::Object {
            self.wrong(expected)?;
            return Ok(false);
        }
        let mut seen = BTreeSet::new();
        self.members(|reader, name| {
            if seen.len() == MEMBERS_MAX {
                return Err(reader.malformed("more than 256 members in one object"));
            }
            if !seen.insert(name.clone()) {
                reader.fault("each member once", "a second value for it");
                return reader.skip();
            }
            member(reader, &name)
        })?;
        Ok(true)
    }

    /// Reads an array, calling `item` with the reader at each item. Anything else is a fault and is
    /// skipped; then the answer is `false`.
    pub fn array(
        &mut self,
        expected: &str,
        item: impl FnMut(&mut Self, usize) -> Result<(), Malformed>,
    ) -> Result<bool, Malformed> {
        if self.peek()? != Kind::Array {
            self.wrong(expected)?;
            return Ok(false);
        }
        self.items(item)?;
        Ok(true)
    }

    /// Reads one finite number.
    pub fn number(&mut self) -> Result<Option<f64>, Malformed> {
        if self.peek()? != Kind::Number {
            return self.wrong("a number").map(|()| None);
        }
        let token = self.take_number();
        let value = token.to_f64();
        if value.is_infinite() {
            self.fault("a number that a 64-bit float can hold", token.text());
            return Ok(None);
        }
        Ok(Some(value))
    }

    /// Reads one whole number within `range`.
    pub fn integer(
        &mut self,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Malformed> {
        let expected = || match *range.end() {
            u64::MAX => format!("an integer of at least {}", range.start()),
            end => format!("an integer from {} to {end}", range.start()),
        };
        if self.peek()? != Kind::Number {
            return self.wrong(&expected()).map(|()| None);
        }
        let token = self.take_number();
        let value = token.to_u64().filter(|value| range.contains(value));
        if value.is_none() {
            self.fault(expected(), token.text());
        }
        Ok(value)
    }

    /// Reads one string.
    pub fn string(&mut self, expected: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
        if self.peek()? != Kind::String {
            return self.wrong(expected).map(|()| None);
        }
        self.take_string().map(Some)
    }

    /// Reads one boolean.
    pub fn boolean(&mut self) -> Result<Option<bool>, Malformed> {
        if self.peek()? != Kind::Boolean {
            return self.wrong("true or false").map(|()| None);
        }
        let value = self.byte() == Some(b't');
        self.at += if value { 4 } else { 5 };
        Ok(Some(value))
    }

    /// Reads `null` if it is next, and tells whether it was.
    pub fn null(&mut self) -> Result<bool, Malformed> {
        let is_null = self.peek()? == Kind::Null;
        self.at += if is_null { 4 } else { 0 };
        Ok(is_null)
    }

    /// Records that the next value is not what its place needs, and skips it.
    pub fn wrong(&mut self, expected: &str) -> Result<(), Malformed> {
        let found = self.describe()?;
        self.fault(expected, found);
        self.skip()
    }

    /// Skips the next value, checking its syntax.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            Kind::Object => self.members(|reader, _| reader.skip()),
            Kind::Array => self.items(|reader, _| reader.skip()),
            Kind::String => self.take_string().map(drop),
            Kind::Number => {
                self.take_number();
                Ok(())
            }
            Kind::Boolean => self.boolean().map(drop),
            Kind::Null => self.null().map(drop),
        }
    }

    /// The next value in words, for a fault; long ones are cut.
    pub fn describe(&mut self) -> Result<String, Malformed> {
        let kind = self.peek()?;
        let start = self.at;
        Ok(match kind {
            Kind::Object => "an object".to_owned(),
            Kind::Array => "an array".to_owned(),
            Kind::Boolean | Kind::Null => {
                self.rest().chars().take_while(char::is_ascii_alphabetic).collect()
            }
            Kind::Number => cut(self.take_number().text()),
            Kind::String => format!("the string \"{}\"", cut(&self.take_string()?)),
        })
        .inspect(|_| self.at = start)
    }

    pub(super) fn within<T>(
        &mut self,
        segment: impl std::fmt::Display,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        use std::fmt::Write;
        let mark = self.pointer.len();
        write!(self.pointer, "/{segment}").expect("a string takes all that fits in memory");
        let result = read(self);
        self.pointer.truncate(mark);
        result
    }

    fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.nested(b'}', |reader, _| {
            if reader.byte() != Some(b'"') {
                return Err(reader.malformed("expected a member name in double quotes"));
            }
            let name = reader.take_string()?;
            reader.skip_space();
            if reader.byte() != Some(b':') {
                return Err(reader.malformed("expected `:` after a member name"));
            }
            reader.at += 1;
            let written = name.clone();
            reader.within(segment(&written), |reader| member(reader, name))
        })
    }

    fn items(
        &mut self,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.nested(b']', |reader, index| reader.within(index, |reader| item(reader, index)))
    }

    /// Reads what stands between brackets, separated by commas; stands at the opening one.
    fn nested(
        &mut self,
        closing: u8,
        mut part: impl FnMut(&mut Self, usize) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.depth == DEPTH_MAX {
            return Err(self.malformed("nested more than 64 deep"));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        let mut index = 0;
        while index > 0 || self.byte() != Some(closing) {
            self.skip_space();
            part(self, index)?;
            index += 1;
            self.skip_space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == closing => break,
                _ => {
                    let closing = char::from(closing);
                    return Err(self.malformed(format!("expected `,` or `{closing}`")));
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    pub(super) fn number_token(&self) -> Option<NumberToken<'a>> {
        NumberToken::at_start_of(self.rest())
    }

    fn take_number(&mut self) -> NumberToken<'a> {
        let token = self.number_token().expect("a number was seen here");
        self.at += token.text().len();
        token
    }

    fn no_value_here(&self) -> Malformed {
        let word: String = self
            .rest()
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '+' | '.'))
            .take(QUOTED_MAX)
            .collect();
        match word.trim_start_matches(['-', '+']).to_ascii_lowercase().as_str() {
            "nan" | "infinity" | "inf" => self.malformed(format!(
                "`{word}` is not JSON and cannot be an entry of a system: numbers must be finite"
            )),
            "" if self.at == self.text.len() => {
                self.malformed("the text ends where a value must be")
            }
            "" => self.malformed(match self.rest().chars().next() {
                Some('\'') => "strings stand in double quotes".to_owned(),
                Some(found @ (']' | '}' | ',')) => format!("expected a value, found `{found}`"),
                found => format!("expected a value, found {found:?}"),
            }),
            _ => self.malformed(format!("`{word}` is no JSON value")),
        }
    }

    pub(super) fn malformed(&self, detail: impl Into<String>) -> Malformed {
        let read = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line_start = read.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        Malformed {
            pointer: self.pointer.clone(),
            line: 1 + read.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + read.len() - line_start,
            detail: detail.into(),
        }
    }
}

/// A member's name as a segment of a JSON pointer; long ones are cut.
fn segment(name: &str) -> Cow<'_, str> {
    if name.len() <= QUOTED_MAX && !name.contains(['~', '/']) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(cut(&name.replace('~', "~0").replace('/', "~1")))
}

/// The beginning of a piece of the text, short enough to be quoted back.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn malformed(text: &str) -> Option<Malformed> {
        let mut reader = JsonReader::new(text, "");
        reader.skip().and_then(|()| reader.finish()).err()
    }

    #[test]
    fn malformed_texts_are_located() {
        for (text, expected) in [
            ("", "the text ends where a value must be at line 1, column 1"),
            ("{\"a\": 1,}", "expected a member name in double quotes at line 1, column 9"),
            ("[1,\n 2,]", "expected a value, found `]` at line 2, column 4"),
            ("[1 2]", "expected `,` or `]` at line 1, column 4"),
            ("{'a': 1}", "expected a member name in double quotes at line 1, column 2"),
            ("[1] 2", "expected the end of the text after the first value at line 1, column 5"),
            ("\"abc", "the text ends inside a string at line 1, column 2"),
            ("[\"\\x\"]", "unknown escape in a string at line 1, column 4"),
            ("\"\\ud800\"", "half a surrogate pair at line 1, column 8"),
            ("[01]", "`01` is no JSON value at line 1, column 2"),
            ("[True]", "`True` is no JSON value at line 1, column 2"),
        ] {
            assert_eq!(malformed(text).map(|fault| fault.to_string()).as_deref(), Some(expected));
        }
    }

    #[test]
    fn not_a_number_is_named_as_such_with_its_place() {
        let mut reader = JsonReader::new("[1, NaN]", "/vector");
        let fault = reader.numbers().unwrap_err();
        assert_eq!(fault.pointer, "/vector/1");
        assert!(fault.detail.contains("numbers must be finite"), "{fault}");
    }

    #[test]
    fn wrong_entries_are_all_named_and_reading_goes_on() {
        let mut reader = JsonReader::new(r#"{"a": [0, -1, 1.5, "x", 4294967296], "b": 7}"#, "");
        let mut last = None;
        reader
            .object("an object", |reader, name| {
                match name {
                    "a" => assert_eq!(reader.indices()?.map(|list| list.len()), Some(5)),
                    _ => last = reader.integer(0..=9)?,
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(last, Some(7));
        let places: Vec<_> =
            reader.faults.list().iter().map(|f| (f.pointer.as_str(), f.found.as_str())).collect();
        let expected =
            [("/a/1", "-1"), ("/a/2", "1.5"), ("/a/3", "the string \"x\""), ("/a/4", "4294967296")];
        assert_eq!(places, expected);
    }

    #[test]
    fn nesting_and_faults_are_bounded() {
        assert!(malformed(&"[".repeat(100_000)).unwrap().detail.contains("64 deep"));
        let mut reader = JsonReader::new(
            "[-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1]",
            "",
        );
        reader.indices().unwrap();
        assert_eq!((reader.faults.list().len(), reader.faults.omitted()), (32, 2));
    }

    #[test]
    fn a_repeated_member_is_a_fault() {
        let mut reader = JsonReader::new(r#"{"a": 1, "a": 2}"#, "");
        let mut values = vec![];
        reader
            .object("an object", |reader, _| {
                values.extend(reader.number()?);
                Ok(())
            })
            .unwrap();
        assert_eq!(values, [1.0]);
        assert_eq!(reader.faults.list()[0].pointer, "/a");
    }

    fn json_like() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            prop::sample::select(vec![
                "{",
                "}",
                "[",
                "]",
                ",",
                ":",
                "\"a\"",
                "\"\\n\"",
                "\"\\u00e9\"",
                "\"\\ud83d\\ude00\"",
                "null",
                "true",
                "false",
                " ",
                "\n",
                "1",
                "-0",
                "2.5e3",
                "01",
                "1.",
                "\"",
                "\\",
                "tru",
            ])
            .prop_map(str::to_owned),
            "\\PC",
        ];
        prop::collection::vec(token, 0..14).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_serde_json_accepts_is_accepted_and_nothing_else(text in json_like()) {
            // A number beyond the range of f64 is well formed: whether it fits is for who asks for one.
            let expected = match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(_) => true,
                Err(error) => error.to_string().starts_with("number out of range"),
            };
            prop_assert_eq!(malformed(&text).is_none(), expected, "{}", text);
        }

        #[test]
        fn strings_read_as_serde_json_reads_them(text in any::<String>()) {
            let quoted = serde_json::to_string(&text).unwrap();
            let mut reader = JsonReader::new(&quoted, "");
            prop_assert_eq!(reader.string("a string").unwrap().unwrap(), text);
        }

        #[test]
        fn lists_read_back(values in prop::collection::vec(any::<f64>(), 0..50)) {
            let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
            let text = serde_json::to_string(&values).unwrap();
            let mut reader = JsonReader::new(&text, "");
            prop_assert_eq!(reader.numbers().unwrap().unwrap(), values);
            prop_assert!(reader.faults.is_empty());
        }
    }
}
