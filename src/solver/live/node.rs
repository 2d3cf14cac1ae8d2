//! What relaxing a row needs of its unknown, packed into half a cache line.

/// The mark in a column's end: the overlay holds entries of the column, too.
const OVERLAID: u32 = 1 << 31;

/// One unknown with its residual and its column, 32 bytes that never cross a cache line.
///
/// The inverse of the diagonal and the threshold keep the upper half of their number only: sign, the
/// full range of exponents and 20 bits. A step of relaxation that is wrong by 1e-6 of itself leaves 1e-6
/// of the residual behind; `r = b − A x` holds for every step, right or wrong.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Node {
    pub r: f64,
    pub x: f64,
    /// Upper half of `1 / aᵢᵢ`, 0 for a diagonal that is 0.
    inverse: u32,
    /// Upper half of the threshold, which is thereby rounded down.
    threshold: u32,
    column_start: u32,
    column_end: u32,
}

impl Node {
    pub const EMPTY: Self =
        Self { r: 0.0, x: 0.0, inverse: 0, threshold: 0, column_start: 0, column_end: 0 };

    pub fn set_diagonal(&mut self, diagonal: f64) {
        self.inverse = if diagonal == 0.0 { 0 } else { upper_half(1.0 / diagonal) };
    }

    /// `threshold` is positive and normal.
    pub fn set_threshold(&mut self, threshold: f64) {
        self.threshold = upper_half(threshold);
    }

    pub fn set_column(&mut self, range: std::ops::Range<usize>) {
        self.column_start = range.start as u32;
        self.column_end = range.end as u32;
    }

    pub fn mark_overlaid(&mut self) {
        self.column_end |= OVERLAID;
    }

    #[inline(always)]
    pub fn is_overlaid(&self) -> bool {
        self.column_end & OVERLAID != 0
    }

    /// Stored entries of the column.
    #[inline(always)]
    pub fn column(&self) -> std::ops::Range<usize> {
        self.column_start as usize..(self.column_end & !OVERLAID) as usize
    }

    #[inline(always)]
    pub fn has_diagonal(&self) -> bool {
        self.inverse != 0
    }

    /// `1 / aᵢᵢ` to 20 bits.
    #[inline(always)]
    pub fn inverse_diagonal(&self) -> f64 {
        f64::from_bits(u64::from(self.inverse) << 32)
    }

    /// At least `|aᵢᵢ|`, by few parts in a million; infinite for a diagonal that is 0.
    pub fn diagonal_at_most(&self) -> f64 {
        const SLACK: f64 = 1.000_001;
        SLACK / self.inverse_diagonal().abs()
    }

    /// At most the threshold that was set, by less than one part in a million.
    pub fn threshold(&self) -> f64 {
        f64::from_bits(u64::from(self.threshold) << 32)
    }

    /// 1 where `|r|` has reached the threshold or is not a number, else 0. Without a jump: bit patterns
    /// without their sign are ordered as the numbers are, with NaN above infinity.
    #[inline(always)]
    pub fn is_active(&self) -> u64 {
        u64::from(self.magnitude() >= self.threshold)
    }

    /// The upper half of `|r|`, ordered as `|r|` is.
    #[inline(always)]
    pub fn magnitude(&self) -> u32 {
        upper_half(self.r) & !(1 << 31)
    }
}

/// What a sweep needs of a row beside `A`, `b` and `x`: a quarter of its node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    inverse: u32,
    threshold: u32,
}

impl Scale {
    pub const EMPTY: Self = Self { inverse: 0, threshold: 0 };

    pub fn of(node: &Node) -> Self {
        Self { inverse: node.inverse, threshold: node.threshold }
    }

    /// As [`Node::has_diagonal`].
    #[inline(always)]
    pub fn has_diagonal(self) -> bool {
        self.inverse != 0
    }

    /// As [`Node::inverse_diagonal`].
    #[inline(always)]
    pub fn inverse_diagonal(self) -> f64 {
        f64::from_bits(u64::from(self.inverse) << 32)
    }

    /// As [`Node::is_active`] for the residual `r`.
    #[inline(always)]
    pub fn is_reached_by(self, r: f64) -> bool {
        upper_half(r) & !(1 << 31) >= self.threshold
    }
}

#[inline(always)]
fn upper_half(value: f64) -> u32 {
    (value.to_bits() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_active_from_its_threshold_on_whatever_the_scale() {
        for scale in [f64::MIN_POSITIVE, 1e-200, 0.3, 7.0, 1e300] {
            let mut node = Node::EMPTY;
            node.set_threshold(scale);
            assert!(node.threshold() <= scale && node.threshold() > scale * (1.0 - 1e-6));
            for (r, expected) in [
                (0.0, 0),
                (scale * (1.0 - 1e-5), 0),
                (scale, 1),
                (-scale, 1),
                (f64::INFINITY, 1),
                (f64::NAN, 1),
            ] {
                node.r = r;
                assert_eq!(node.is_active(), expected, "{r:e} at {scale:e}");
            }
        }
    }

    #[test]
    fn diagonals_of_every_scale_have_an_inverse_and_zero_has_none() {
        for diagonal in [f64::MAX, -3.0, 1e-300, f64::MIN_POSITIVE] {
            let mut node = Node::EMPTY;
            node.set_diagonal(diagonal);
            assert!((node.inverse_diagonal() * diagonal - 1.0).abs() < 4e-6, "{diagonal:e}");
            assert!(node.has_diagonal());
        }
        let mut node = Node::EMPTY;
        node.set_diagonal(-0.0);
        assert!(!node.has_diagonal());
    }

    #[test]
    fn the_mark_leaves_the_column_as_it_is() {
        let mut node = Node::EMPTY;
        node.set_column(7..2_147_483_647);
        assert!(!node.is_overlaid());
        node.mark_overlaid();
        assert!(node.is_overlaid());
        assert_eq!(node.column(), 7..2_147_483_647);
        assert_eq!(size_of::<Node>(), 32);
    }
}
