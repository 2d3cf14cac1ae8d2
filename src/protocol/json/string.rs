//! Strings of a JSON text: borrowed from it where they can be, with their escapes undone where not.

use std::borrow::Cow;

use super::fault::Malformed;
use super::reader::JsonReader;

impl<'a> JsonReader<'a> {
    /// Reads the string at whose opening quote the reader stands; borrowed where nothing is escaped.
    pub(super) fn take_string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let plain = rest
                .bytes()
                .position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)
                .ok_or_else(|| self.malformed("the text ends inside a string"))?;
            text = if text.is_empty() {
                Cow::Borrowed(&rest[..plain])
            } else {
                Cow::Owned(text.into_owned() + &rest[..plain])
            };
            self.at += plain + 1;
            match rest.as_bytes()[plain] {
                b'"' => return Ok(text),
                b'\\' => text.to_mut().push(self.take_escape()?),
                _ => return Err(self.malformed("a string holds a bare control character")),
            }
        }
    }

    fn take_escape(&mut self) -> Result<char, Malformed> {
        let escape = self.byte();
        self.at += 1;
        Ok(match escape {
            Some(quoted @ (b'"' | b'\\' | b'/')) => char::from(quoted),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.take_unicode_escape(),
            _ => {
                self.at -= 1;
                return Err(self.malformed("unknown escape in a string"));
            }
        })
    }

    fn take_unicode_escape(&mut self) -> Result<char, Malformed> {
        let first = self.take_hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.malformed("half a surrogate pair"));
        }
        if !self.rest().starts_with("\\u") {
            return Err(self.malformed("half a surrogate pair"));
        }
        self.at += 2;
        let second = self.take_hex4()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.malformed("half a surrogate pair"));
        }
        let scalar = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(scalar).expect("a surrogate pair names a scalar value"))
    }

    fn take_hex4(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let value = digits.and_then(|digits| {
            digits
                .iter()
                .try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
        });
        let value = value.ok_or_else(|| self.malformed("expected four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }
}
