//! Durations as people write them on a command line: `250ms`, `1.5s`, `2m`.

use std::time::Duration;

/// Reads a number with one of the units `us`, `ms`, `s`, `m`, `h`.
///
/// # Errors
/// A sentence for people: clap shows it beside the flag.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "" => return Err("expected a unit: us, ms, s, m or h".to_owned()),
        other => return Err(format!("unknown unit `{other}`, expected us, ms, s, m or h")),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("`{number}` is not a number"))?;
    Duration::try_from_secs_f64(number * seconds)
        .map_err(|_| "expected a duration that is not negative and not endless".to_owned())
}

/// Reads a duration of at least a millisecond: for a limit that would otherwise end what it guards
/// at once.
///
/// # Errors
/// As [`parse_duration`].
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    at_least(Duration::from_millis(1), text)
}

/// Reads a duration of at least 100 ms: for what is done again and again after it.
///
/// # Errors
/// As [`parse_duration`].
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    at_least(Duration::from_millis(100), text)
}

fn at_least(least: Duration, text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    match duration >= least {
        true => Ok(duration),
        false => Err(format!("expected at least {}ms", least.as_millis())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(parse_duration(text).ok(), expected, "{text}");
    }

    #[test]
    fn numbers_with_units_are_durations_and_nothing_else_is() {
        check("250ms", Some(Duration::from_millis(250)));
        check("1.5s", Some(Duration::from_millis(1_500)));
        check("2m", Some(Duration::from_secs(120)));
        check("0s", Some(Duration::ZERO));
        for text in ["", "5", "-1s", "ms", "1 fortnight", "infs", "1e300h", "NaNs"] {
            check(text, None);
        }
    }
}
