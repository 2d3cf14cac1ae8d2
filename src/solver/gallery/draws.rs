//! What generated systems are drawn from, all of it from one named generator.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Uniform in [0, 1), multiples of 2⁻⁵³.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

pub(super) fn symmetric_uniform(rng: &mut ChaCha8Rng) -> f64 {
    2.0 * uniform(rng) - 1.0
}

/// Uniform in `0..count`; the bias of the multiplication is below `count / 2⁶⁴`.
pub(super) fn below(rng: &mut ChaCha8Rng, count: usize) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

pub(super) fn conductance(rng: &mut ChaCha8Rng) -> f64 {
    (64 + below(rng, 16_321)) as f64 / 1024.0
}

pub(super) fn rmat_link(rng: &mut ChaCha8Rng, scale: u32) -> (usize, usize) {
    let (mut from, mut to) = (0, 0);
    for _ in 0..scale {
        let quadrant = uniform(rng);
        let (lower, right) = match quadrant {
            q if q < 0.57 => (0, 0),
            q if q < 0.76 => (0, 1),
            q if q < 0.95 => (1, 0),
            _ => (1, 1),
        };
        from = 2 * from + lower;
        to = 2 * to + right;
    }
    (from, to)
}

pub(super) fn uniform_vector(length: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| symmetric_uniform(&mut rng)).collect()
}
