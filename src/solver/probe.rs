//! A look at one row of a system that depends on nothing but the row, `b` and `x`.

/// What a row shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probed {
    pub row: usize,
    /// `bᵢ − aᵢ·x`, worked out now.
    pub residual: f64,
    /// `|bᵢ| + Σⱼ |aᵢⱼ xⱼ|`, in which the residual may have been rounded.
    pub size: f64,
    /// Products that were summed up.
    pub entries: usize,
    /// Whether the residual that is kept of the row, where one is, is this one up to rounding.
    pub is_tracked: bool,
    /// Whether the row, where this is followed, holds what was opened with and accepted.
    pub is_intact: bool,
}

/// Looks at row `row` with right-hand side `rhs`, given its values, each with the entry of `x` that it
/// meets.
pub(crate) fn look_at(row: usize, rhs: f64, products: impl Iterator<Item = (f64, f64)>) -> Probed {
    let (mut residual, mut size, mut entries) = (rhs, rhs.abs(), 0);
    for (value, x) in products {
        let product = value * x;
        residual -= product;
        size += product.abs();
        entries += 1;
    }
    Probed { row, residual, size, entries, is_tracked: true, is_intact: true }
}
