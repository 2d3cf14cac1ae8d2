//! Wall time on the wire: RFC 3339 in UTC with milliseconds, for display only.

use serde::{Serialize, Serializer};

/// Microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    pub unix_microseconds: i64,
}

impl Timestamp {
    /// `2025-09-19T19:26:51.605Z`, as bytes; the years 0 to 9999 are representable, others saturate.
    pub fn rfc3339(self) -> [u8; 24] {
        const EARLIEST: i64 = -62_167_219_200_000_000;
        const LATEST: i64 = 253_402_300_799_999_999;
        let microseconds = self.unix_microseconds.clamp(EARLIEST, LATEST);
        let days = microseconds.div_euclid(86_400_000_000);
        let milliseconds = microseconds.rem_euclid(86_400_000_000) / 1_000;
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        write_digits(&mut text[0..4], year);
        write_digits(&mut text[5..7], month);
        write_digits(&mut text[8..10], day);
        write_digits(&mut text[11..13], milliseconds / 3_600_000);
        write_digits(&mut text[14..16], milliseconds / 60_000 % 60);
        write_digits(&mut text[17..19], milliseconds / 1_000 % 60);
        write_digits(&mut text[20..23], milliseconds % 1_000);
        text
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.rfc3339();
        serializer.serialize_str(std::str::from_utf8(&text).expect("digits and punctuation only"))
    }
}

fn write_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Days since 1970-01-01 to (year, month, day) in the proleptic Gregorian calendar, counted in
/// 400-year eras that begin on 1 March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unix_microseconds: i64, expected: &str) {
        let text = Timestamp { unix_microseconds }.rfc3339();
        assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
    }

    #[test]
    fn timestamps_agree_with_the_calendar() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_758_310_011_605_000, "2025-09-19T19:26:51.605Z");
        check(951_782_399_999_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000_000, "2000-02-29T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(i64::MAX, "9999-12-31T23:59:59.999Z");
    }
}
