//! Lengths of time as a scenario writes them: `250us`, `1.5 ms`, `2 s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A length of time of at least one nanosecond's grain, written with its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScenarioDuration(pub Duration);

/// A scenario's clock ends here: tokio's timer wheel, stretched 1,000-fold, holds about 19 hours.
const LONGEST: Duration = Duration::from_secs(12 * 3_600);

/// Not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a time from 0 to 12 h with its unit, such as `250us`, `1.5 ms` or `2 s`, found `{found}`"
)]
pub struct DurationError {
    found: String,
}

impl std::str::FromStr for ScenarioDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DurationError { found: text.to_owned() };
        let signed: jiff::SignedDuration = text.parse().map_err(|_| error())?;
        let duration = Duration::try_from(signed).map_err(|_| error())?;
        if duration <= LONGEST { Ok(Self(duration)) } else { Err(error()) }
    }
}

impl<'de> Deserialize<'de> for ScenarioDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        let check = |text: &str, expected: Duration| {
            assert_eq!(text.parse(), Ok(ScenarioDuration(expected)), "{text}");
        };
        check("250us", Duration::from_micros(250));
        check("1.5 ms", Duration::from_micros(1_500));
        check("2 s", Duration::from_secs(2));
        check("0 s", Duration::ZERO);
    }

    #[test]
    fn a_bare_number_a_negative_time_and_a_day_are_refused() {
        for text in ["5", "-1 s", "24 h", "", "soon"] {
            let error = text.parse::<ScenarioDuration>().unwrap_err();
            assert_eq!(error, DurationError { found: text.to_owned() });
        }
    }
}
