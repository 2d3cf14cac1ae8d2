//! Finds the name that a sender may have meant.

/// The known name closest to `found`, if it is close: at most a third of the letters differ.
pub fn closest(found: &str, known: &[&'static str]) -> Option<&'static str> {
    let found = found.to_ascii_lowercase();
    // Longer names are none of ours, and the distance costs length squared.
    if found.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|&name| (strsim::osa_distance(&found, name), name))
        .filter(|(distance, name)| *distance * 3 <= name.len().max(3))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["tolerance", "max_iterations", "rows"];
        assert_eq!(closest("tolerence", &known), Some("tolerance"));
        assert_eq!(closest("max_iteration", &known), Some("max_iterations"));
        assert_eq!(closest("rwos", &known), Some("rows"));
        assert_eq!(closest("flavour", &known), None);
    }
}
