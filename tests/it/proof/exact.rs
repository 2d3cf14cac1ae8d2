//! The judge of proven bounds: dense elimination in double-double arithmetic (about 32 digits), which
//! shares no code with what it judges.

/// `high + low`, with `|low|` at most half a step of `high` (Dekker 1971).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Double {
    pub high: f64,
    low: f64,
}

impl Double {
    pub fn of(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }

    /// `a + b` without rounding (Knuth).
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let share = high - a;
        Self { high, low: (a - (high - share)) + (b - share) }
    }

    pub fn plus(self, other: Self) -> Self {
        let high = Self::sum(self.high, other.high);
        let low = Self::sum(self.low, other.low);
        let joined = Self::sum(high.high, high.low + low.high);
        Self::sum(joined.high, joined.low + low.low)
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { high: -other.high, low: -other.low })
    }

    pub fn times(self, other: Self) -> Self {
        let high = self.high * other.high;
        let lost = self.high.mul_add(other.high, -high);
        Self::sum(high, lost + (self.high * other.low + self.low * other.high))
    }

    pub fn over(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self.minus(other.times(Self::of(first)));
        let second = rest.high / other.high;
        let rest = rest.minus(other.times(Self::of(second)));
        Self::sum(first, second).plus(Self::of(rest.high / other.high))
    }

    pub fn abs(self) -> f64 {
        self.high.abs()
    }
}

/// `A x = b` by elimination on the diagonal, which for an H-matrix is stable in the measure of its witness,
/// row by row and entry by entry; exchanging rows would let a large entry spoil the digits of a small one.
/// None when a pivot is 0. `A` is dense, row by row.
pub fn solution(matrix: &[f64], rhs: &[f64]) -> Option<Vec<Double>> {
    let n = rhs.len();
    let mut a: Vec<Double> = matrix.iter().map(|value| Double::of(*value)).collect();
    let mut b: Vec<Double> = rhs.iter().map(|value| Double::of(*value)).collect();
    for k in 0..n {
        if a[k * n + k].high == 0.0 {
            return None;
        }
        for i in k + 1..n {
            if a[i * n + k].high == 0.0 {
                continue;
            }
            let factor = a[i * n + k].over(a[k * n + k]);
            for j in k + 1..n {
                a[i * n + j] = a[i * n + j].minus(factor.times(a[k * n + j]));
            }
            b[i] = b[i].minus(factor.times(b[k]));
        }
    }
    for k in (0..n).rev() {
        let mut sum = b[k];
        for j in k + 1..n {
            sum = sum.minus(a[k * n + j].times(b[j]));
        }
        b[k] = sum.over(a[k * n + k]);
    }
    Some(b)
}

/// `|x* − x|` of one entry.
pub fn error(exact: Double, x: f64) -> f64 {
    exact.minus(Double::of(x)).abs()
}

#[test]
fn the_judge_solves_a_system_that_f64_cannot() {
    // Hilbert's matrix of order 8, condition 1.5e10, scaled to whole numbers; x = 1.
    let n = 8;
    let scale = 360_360.0;
    let matrix: Vec<f64> = (0..n * n).map(|k| scale / (k / n + k % n + 1) as f64).collect();
    let rhs: Vec<f64> = matrix.chunks(n).map(|row| row.iter().sum()).collect();
    let x = solution(&matrix, &rhs).unwrap();
    assert!(x.iter().all(|x| error(*x, 1.0) < 1e-18), "{x:?}");
    assert_eq!(solution(&[1.0, 2.0, 2.0, 4.0], &[1.0; 2]), None);
}
