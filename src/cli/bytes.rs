//! Sizes as people write them on a command line: `512KiB`, `50MiB`, `8GiB`, `1GB`.

/// Reads a whole or decimal number with one of the units `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`.
///
/// # Errors
/// A sentence for people: clap shows it beside the flag.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" | "k" => 1_024.0,
        "mib" | "m" => 1_048_576.0,
        "gib" | "g" => 1_073_741_824.0,
        _ => return Err(format!("unknown unit `{unit}`, expected B, KiB, MiB, GiB, kB, MB or GB")),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("`{number}` is not a number"))?;
    let bytes = number * factor;
    match (1.0..9e15).contains(&bytes) {
        true => Ok(bytes as u64),
        false => Err("expected a size of at least one byte".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn numbers_with_units_are_sizes_and_nothing_else_is() {
        for (text, bytes) in [("50MiB", 50 << 20), ("8g", 8 << 30), ("1.5kB", 1_500), ("77", 77)] {
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
        for text in ["", "MiB", "0", "-1k", "1 parsec", "infB", "NaNk"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
