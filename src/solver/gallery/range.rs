//! Which parameters a generated system may have.

use super::ENTRIES_MAX;

/// A parameter outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind}: `{parameter}` must be {expected}, found {found}")]
pub struct GalleryError {
    pub kind: &'static str,
    pub parameter: &'static str,
    pub expected: String,
    pub found: String,
}

pub(super) fn grid(
    kind: &'static str,
    side: usize,
    dimensions: u32,
) -> Result<usize, GalleryError> {
    let entries_per_cell = 2 * dimensions as usize + 1;
    let cells =
        side.checked_pow(dimensions).filter(|cells| *cells <= ENTRIES_MAX / entries_per_cell);
    match cells {
        Some(cells) if cells > 0 => Ok(cells),
        _ => {
            let most = (ENTRIES_MAX / entries_per_cell) as f64;
            let largest = most.powf(1.0 / f64::from(dimensions)).floor();
            let expected = format!("1 to {largest}");
            Err(GalleryError { kind, parameter: "side", expected, found: side.to_string() })
        }
    }
}

pub(super) fn whole_in_range(
    kind: &'static str,
    parameter: &'static str,
    found: usize,
    least: usize,
    most: usize,
) -> Result<(), GalleryError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let expected = format!("{least} to {most}");
    Err(GalleryError { kind, parameter, expected, found: found.to_string() })
}

pub(super) fn in_range(
    kind: &'static str,
    parameter: &'static str,
    found: f64,
    least: f64,
    most: f64,
) -> Result<(), GalleryError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let expected = format!("{least} to {most}");
    Err(GalleryError { kind, parameter, expected, found: found.to_string() })
}
