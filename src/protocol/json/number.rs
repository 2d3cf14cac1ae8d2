//! JSON number tokens and their exact values.

/// A number token, checked against RFC 8259 §6.
#[derive(Debug, Clone, Copy)]
pub struct NumberToken<'a> {
    text: &'a str,
    negative: bool,
    /// The first 19 significant digits, meaningful where `exact`.
    mantissa: u64,
    /// Power of ten that scales `mantissa`.
    exponent: i64,
    /// Whether `mantissa` holds every digit.
    exact: bool,
}

/// Powers of ten that f64 holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl<'a> NumberToken<'a> {
    /// Reads the token at the start of `text`, or `None` if there is none. Linear in the token.
    pub fn at_start_of(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let negative = bytes.first() == Some(&b'-');
        let mut at = usize::from(negative);
        if !digit(at) || (bytes[at] == b'0' && digit(at + 1)) {
            return None;
        }
        let mut digits = Digits::default();
        at = digits.take(bytes, at);
        let mut exponent = digits.dropped;
        if bytes.get(at) == Some(&b'.') {
            if !digit(at + 1) {
                return None;
            }
            let end = digits.take(bytes, at + 1);
            exponent = digits.dropped - (end - at - 1) as i64;
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let (written, end) = exponent_at(bytes, at + 1)?;
            exponent += written;
            at = end;
        }
        let exact = digits.dropped == 0;
        Some(Self { text: &text[..at], negative, mantissa: digits.mantissa, exponent, exact })
    }

    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The nearest f64, ties to even; infinite where the number overflows.
    pub fn to_f64(self) -> f64 {
        // Clinger: an integer below 2^53 times or over an exact power of ten rounds once.
        let power = self.exponent.unsigned_abs() as usize;
        if self.exact && self.mantissa <= 1 << 53 && power < EXACT_POWERS.len() {
            let whole = self.mantissa as f64;
            let scaled = if self.exponent < 0 {
                whole / EXACT_POWERS[power]
            } else {
                whole * EXACT_POWERS[power]
            };
            return if self.negative { -scaled } else { scaled };
        }
        self.text.parse().expect("the JSON grammar is a subset of what f64 parses")
    }

    /// The value where it is a whole number from 0 to 2^64 − 1, however it is written.
    pub fn to_u64(self) -> Option<u64> {
        if self.exact && self.exponent == 0 {
            return (!self.negative || self.mantissa == 0).then_some(self.mantissa);
        }
        let value = self.to_f64();
        // Beyond 2^53 a written fraction could hide in the rounding.
        let whole = (0.0..=9_007_199_254_740_992.0).contains(&value) && value.fract() == 0.0;
        whole.then_some(value as u64)
    }
}

#[derive(Default)]
struct Digits {
    mantissa: u64,
    taken: u32,
    /// Digits beyond the 19th.
    dropped: i64,
}

impl Digits {
    /// Takes the run of digits from `at` and returns where it ends.
    fn take(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            if self.taken < 19 {
                self.mantissa = self.mantissa * 10 + u64::from(digit - b'0');
                // Leading zeros are not significant.
                self.taken += u32::from(self.mantissa != 0);
            } else {
                self.dropped += 1;
            }
            at += 1;
        }
        at
    }
}

/// The exponent written from `at` on, saturated far beyond f64, and where it ends.
fn exponent_at(bytes: &[u8], mut at: usize) -> Option<(i64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
    let start = at;
    let mut value = 0_i64;
    while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
        value = (value * 10 + i64::from(digit - b'0')).min(100_000_000);
        at += 1;
    }
    (at > start).then_some((if negative { -value } else { value }, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value_of(text: &str) -> Option<f64> {
        let token = NumberToken::at_start_of(text)?;
        assert_eq!(token.text(), text, "the whole text is the number");
        Some(token.to_f64())
    }

    #[test]
    fn hard_numbers_round_as_the_standard_parser_does() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "1",
            "9007199254740993",
            "9007199254740992",
            "1e22",
            "1e23",
            "123456789012345678901234567890",
            "0.1",
            "2.2250738585072011e-308",
            "5e-324",
            "1.7976931348623157e308",
            "1e309",
            "-1e309",
            "1e-400",
            "0.000000000000000000000000001",
            "8.41e+21",
            "9.007199254740991e15",
            "100000000000000000000000000000000000e-30",
            "0e999999999999999999999",
            "1E5",
            "3.0e+2",
        ] {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(value_of(text).map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_no_number() {
        for text in ["", "-", "+1", ".5", "01", "-01", "1.", "1.e5", "1e", "1e+", "NaN", "Infinity"]
        {
            assert!(
                NumberToken::at_start_of(text).is_none_or(|token| token.text() != text),
                "{text}"
            );
        }
    }

    #[test]
    fn whole_numbers_are_whole_however_written() {
        let whole = |text: &str| NumberToken::at_start_of(text).unwrap().to_u64();
        assert_eq!(whole("4294967295"), Some(4_294_967_295));
        assert_eq!(whole("18446744073709551616"), None);
        assert_eq!(whole("2.0"), Some(2));
        assert_eq!(whole("1e3"), Some(1_000));
        assert_eq!(whole("-0"), Some(0));
        assert_eq!(whole("-1"), None);
        assert_eq!(whole("1.5"), None);
    }

    proptest! {
        #[test]
        fn every_f64_comes_back_from_its_shortest_text(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = zmij::Buffer::new().format_finite(value).to_owned();
            prop_assert_eq!(value_of(&text).map(f64::to_bits), Some(bits));
        }

        #[test]
        fn every_token_has_the_standard_parsers_value(
            text in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?"
        ) {
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(value_of(&text).map(f64::to_bits), Some(expected.to_bits()));
        }
    }
}
