//! Claims of convergence that a measurement refuted. Owns when a method has made enough of them.

/// False claims in a row that end a method.
const FALSE_CLAIMS_MAX: u32 = 3;

/// A claim that leaves less than this many percent of the first one's residual is progress, and what
/// was claimed before is forgotten.
const PROGRESS_PERCENT: u32 = 50;

/// The false claims of one method since its last progress.
#[derive(Debug, Clone, Default)]
pub(super) struct FalseClaims {
    count: u32,
    /// Iteration and measured residual norm of the first one.
    first: Option<(u64, f64)>,
}

/// What was observed over too many false claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stall {
    /// Iterations from the first claim to the last.
    pub window: u64,
    /// The measured residual fell by less than this many percent over them.
    pub expected_fall_percent: u32,
}

impl FalseClaims {
    /// Takes in a claim that turned out to be `norm` at `iteration`; says so when it was one too many.
    pub fn note_false(&mut self, iteration: u64, norm: f64) -> Option<Stall> {
        let left = 1.0 - f64::from(PROGRESS_PERCENT) / 100.0;
        let (since, first_norm) = *self.first.get_or_insert((iteration, norm));
        if norm < left * first_norm {
            *self = Self { count: 1, first: Some((iteration, norm)) };
            return None;
        }
        self.count += 1;
        let window = iteration - since;
        let stalled = self.count >= FALSE_CLAIMS_MAX;
        stalled.then_some(Stall { window, expected_fall_percent: PROGRESS_PERCENT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(norms: &[f64], expected: Option<Stall>) {
        let mut claims = FalseClaims::default();
        let found = (1..).zip(norms).find_map(|(k, norm)| claims.note_false(10 * k, *norm));
        assert_eq!(found, expected, "{norms:?}");
    }

    #[test]
    fn three_claims_at_one_level_are_a_stall_over_the_iterations_they_took() {
        check(&[1.0, 0.9, 0.8], Some(Stall { window: 20, expected_fall_percent: 50 }));
    }

    #[test]
    fn progress_forgets_what_was_claimed_before() {
        check(&[1.0, 0.9, 0.1, 0.1, 0.01, 0.01, 1e-3], None);
        let since_the_progress = Some(Stall { window: 20, expected_fall_percent: 50 });
        check(&[1.0, 0.9, 0.1, 0.1, 0.1], since_the_progress);
    }
}
