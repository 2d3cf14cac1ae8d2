//! JSON text into a byte buffer, without an intermediate tree.

/// Appends the shortest text that reads back as `value`.
///
/// # Panics
/// When `value` is not finite: JSON has no such number, and no announced state has one.
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    assert!(value.is_finite(), "a number on the wire is finite");
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
}

/// Appends `value` in decimal.
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `text` quoted and escaped as RFC 8259 §7 asks.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain_from..]);
    out.push(b'"');
}

/// Writes one object, member by member, in the order of the calls.
pub struct JsonObject<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> JsonObject<'a> {
    /// Opens the object.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Goes on with an object that has been opened and has members already.
    pub fn resume(out: &'a mut Vec<u8>) -> Self {
        Self { out, empty: false }
    }

    /// Writes a member's name and returns the buffer for its value. Names need no escaping.
    pub fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.empty { b"\"" } else { b",\"" });
        self.empty = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        write_string(self.member(name), value);
        self
    }

    /// Writes text that is known to need no escaping: names, ids, timestamps.
    pub fn plain_text(&mut self, name: &str, value: &[u8]) -> &mut Self {
        let out = self.member(name);
        out.push(b'"');
        out.extend_from_slice(value);
        out.push(b'"');
        self
    }

    pub fn number(&mut self, name: &str, value: f64) -> &mut Self {
        write_f64(self.member(name), value);
        self
    }

    /// Writes `null` for `None`.
    pub fn optional_number(&mut self, name: &str, value: Option<f64>) -> &mut Self {
        match value {
            Some(value) => self.number(name, value),
            None => self.null(name),
        }
    }

    pub fn integer(&mut self, name: &str, value: u64) -> &mut Self {
        write_u64(self.member(name), value);
        self
    }

    /// Writes `null` for `None`.
    pub fn optional_integer(&mut self, name: &str, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.integer(name, value),
            None => self.null(name),
        }
    }

    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.member(name).extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    pub fn null(&mut self, name: &str) -> &mut Self {
        self.member(name).extend_from_slice(b"null");
        self
    }

    /// Writes an object through `write`.
    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut JsonObject<'_>)) -> &mut Self {
        let mut inner = JsonObject::open(self.member(name));
        write(&mut inner);
        inner.close();
        self
    }

    /// Writes an array, each item through `write`.
    pub fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Vec<u8>, T),
    ) -> &mut Self {
        let out = self.member(name);
        out.push(b'[');
        for (position, item) in items.into_iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write(out, item);
        }
        out.push(b']');
        self
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_string_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn every_finite_number_reads_back_to_the_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let mut out = Vec::new();
            write_f64(&mut out, value);
            let back = serde_json::from_slice::<f64>(&out).unwrap();
            prop_assert_eq!(back.to_bits(), bits);
        }
    }

    #[test]
    #[should_panic(expected = "a number on the wire is finite")]
    fn a_number_that_json_cannot_hold_is_our_defect() {
        write_f64(&mut Vec::new(), f64::NAN);
    }
}
