//! The judge of proven bounds: systems of f64 solved without any rounding, in whole numbers of any length.
//! It shares no code with what it judges.

use num_bigint::{BigInt, Sign};

/// `mantissa · 2^exponent`, exactly.
#[derive(Debug, Clone, PartialEq)]
struct Dyadic {
    mantissa: BigInt,
    exponent: i64,
}

impl Dyadic {
    /// `value` is finite.
    fn of(value: f64) -> Self {
        assert!(value.is_finite(), "{value} is no number");
        let bits = value.to_bits();
        let (field, fraction) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
        // Numbers below the normal ones have no leading 1 and the exponent of the smallest normal.
        let (mantissa, field) =
            if field == 0 { (fraction, 1) } else { (fraction | 1 << 52, field) };
        // Without the zeros at its end, so that whole numbers stay short.
        let zeros = if mantissa == 0 { 0 } else { mantissa.trailing_zeros() };
        let size = BigInt::from(mantissa >> zeros);
        let mantissa = if value < 0.0 { -size } else { size };
        Self { mantissa, exponent: field - 1_075 + i64::from(zeros) }
    }

    /// `value · 2^-exponent`, which must be whole.
    fn in_units_of(self, exponent: i64) -> BigInt {
        if self.mantissa.sign() == Sign::NoSign {
            return self.mantissa;
        }
        let shift = u64::try_from(self.exponent - exponent).expect("a unit that divides it");
        self.mantissa << shift
    }
}

/// The largest power of two of which all are multiples; 0 where all are 0.
fn common_exponent(values: impl Iterator<Item = f64>) -> i64 {
    let dyadics = values.filter(|value| *value != 0.0).map(Dyadic::of);
    dyadics.map(|dyadic| dyadic.exponent).min().unwrap_or(0)
}

/// A quotient of whole numbers times a power of two; the denominator is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Exact {
    numerator: BigInt,
    denominator: BigInt,
    exponent: i64,
}

impl Exact {
    pub fn of(value: f64) -> Self {
        let Dyadic { mantissa, exponent } = Dyadic::of(value);
        Self { numerator: mantissa, denominator: BigInt::from(1), exponent }
    }

    /// `self − other`.
    pub fn minus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let part = |of: &Self, with: &Self| -> BigInt {
            (&of.numerator * &with.denominator) << (of.exponent - exponent) as u64
        };
        Self {
            numerator: part(self, other) - part(other, self),
            denominator: &self.denominator * &other.denominator,
            exponent,
        }
    }

    pub fn times(&self, other: &Self) -> Self {
        Self {
            numerator: &self.numerator * &other.numerator,
            denominator: &self.denominator * &other.denominator,
            exponent: self.exponent + other.exponent,
        }
    }

    /// `|self|`.
    pub fn abs(self) -> Self {
        let (sign, digits) = self.numerator.into_parts();
        let sign = if sign == Sign::Minus { Sign::Plus } else { sign };
        Self { numerator: BigInt::from_biguint(sign, digits), ..self }
    }

    pub fn is_above(&self, other: &Self) -> bool {
        self.minus(other).numerator.sign() == Sign::Plus
    }

    /// The larger of two.
    pub fn max(self, other: Self) -> Self {
        if other.is_above(&self) { other } else { self }
    }

    /// To about 15 digits; infinite or 0 beyond the range of f64.
    pub fn to_f64(&self) -> f64 {
        let excess = self.numerator.bits() as i64 - self.denominator.bits() as i64;
        // 61 or 62 bits of the quotient.
        let shift = 62 - excess;
        let quotient = match shift >= 0 {
            true => (&self.numerator << shift as u64) / &self.denominator,
            false => &self.numerator / (&self.denominator << shift.unsigned_abs()),
        };
        let quotient = i64::try_from(quotient).expect("63 bits at most") as f64;
        let mut exponent = self.exponent - shift;
        let mut value = quotient;
        while exponent != 0 && value != 0.0 && value.is_finite() {
            let step = exponent.clamp(-500, 500);
            value *= 2f64.powi(step as i32);
            exponent -= step;
        }
        value
    }
}

/// `A x = b`, exactly; none where `A` is singular. `A` is dense, row by row, all finite.
///
/// Fraction-free elimination keeps every number whole, a minor of the matrix: each row is multiplied by
/// the power of two that makes it whole, the right-hand side by one more.
///
/// Source: Bareiss, *Sylvester's identity and multistep integer-preserving Gaussian elimination*,
/// Mathematics of Computation 22 (1968).
pub fn solution(matrix: &[f64], rhs: &[f64]) -> Option<Vec<Exact>> {
    let n = rhs.len();
    let exponents: Vec<i64> =
        matrix.chunks(n).map(|row| common_exponent(row.iter().copied())).collect();
    let scaled = |i: usize| Dyadic::of(rhs[i]).exponent - exponents[i];
    let rhs_exponent = (0..n).filter(|i| rhs[*i] != 0.0).map(scaled).min().unwrap_or(0);
    let mut rows: Vec<Vec<BigInt>> = (0..n)
        .map(|i| {
            let whole = |value: &f64| Dyadic::of(*value).in_units_of(exponents[i]);
            let right = Dyadic::of(rhs[i]).in_units_of(exponents[i] + rhs_exponent);
            matrix[i * n..(i + 1) * n].iter().map(whole).chain([right]).collect()
        })
        .collect();
    let determinant = eliminate(&mut rows)?;
    let numerators = substitute(&rows, &determinant);
    let (sign, digits) = determinant.into_parts();
    let denominator = BigInt::from_biguint(Sign::Plus, digits);
    let signed = |numerator: BigInt| if sign == Sign::Minus { -numerator } else { numerator };
    let exact = |numerator| Exact {
        numerator: signed(numerator),
        denominator: denominator.clone(),
        exponent: rhs_exponent,
    };
    Some(numerators.into_iter().map(exact).collect())
}

/// To upper triangular form; the determinant of what stands there, none where it is 0.
fn eliminate(rows: &mut [Vec<BigInt>]) -> Option<BigInt> {
    let n = rows.len();
    let zero = BigInt::ZERO;
    let mut before = BigInt::from(1);
    for k in 0..n {
        let pivot_row = (k..n).find(|&i| rows[i][k] != zero)?;
        rows.swap(k, pivot_row);
        let (above, below) = rows.split_at_mut(k + 1);
        let pivots = &above[k];
        for row in below {
            for j in k + 1..=n {
                row[j] = (&pivots[k] * &row[j] - &row[k] * &pivots[j]) / &before;
            }
            row[k] = BigInt::ZERO;
        }
        before = pivots[k].clone();
    }
    Some(before)
}

/// `determinant · x`, whole by Cramer's rule.
fn substitute(rows: &[Vec<BigInt>], determinant: &BigInt) -> Vec<BigInt> {
    let n = rows.len();
    let mut numerators = vec![BigInt::ZERO; n];
    for k in (0..n).rev() {
        let beside: BigInt = (k + 1..n).map(|j| &rows[k][j] * &numerators[j]).sum();
        numerators[k] = (determinant * &rows[k][n] - beside) / &rows[k][k];
    }
    numerators
}

/// `|x* − x|` of one entry.
pub fn error(exact: &Exact, x: f64) -> Exact {
    exact.minus(&Exact::of(x)).abs()
}

/// Asserts `error ≤ bound`, without rounding.
#[track_caller]
pub fn assert_within(error: &Exact, bound: f64, what: impl std::fmt::Debug) {
    let is_within = bound == f64::INFINITY || !error.is_above(&Exact::of(bound));
    assert!(is_within, "{:e} above {bound:e}: {what:?}", error.to_f64());
}

#[test]
fn the_judge_solves_a_system_that_f64_cannot() {
    // Hilbert's matrix of order 12, condition 1.7e16, scaled to whole numbers; x = 1, −1, 1, …
    let n = 12;
    let scale = 5_354_228_880.0;
    let matrix: Vec<f64> = (0..n * n).map(|k| scale / (k / n + k % n + 1) as f64).collect();
    assert!(matrix.iter().all(|value| value.fract() == 0.0));
    let alternating = |row: &[f64]| row.iter().enumerate().map(|(j, a)| [*a, -a][j % 2]).sum();
    let rhs: Vec<f64> = matrix.chunks(n).map(alternating).collect();
    let x = solution(&matrix, &rhs).unwrap();
    for (k, x) in x.iter().enumerate() {
        let expected = [1.0, -1.0][k % 2];
        assert_eq!(
            (error(x, expected), x.to_f64()),
            (Exact { numerator: BigInt::ZERO, ..error(x, expected) }, expected)
        );
    }
    assert_eq!(solution(&[1.0, 2.0, 2.0, 4.0], &[1.0; 2]), None);
}

#[test]
fn the_judge_knows_numbers_at_both_ends_of_the_range_apart() {
    // x = (1e-300 / 1e300, 5e-324) with a row exchange.
    let tiny = f64::from_bits(1);
    let x = solution(&[0.0, 1.0, 1e300, 0.0], &[tiny, 1e-300]).unwrap();
    assert!(error(&x[1], tiny).numerator == BigInt::ZERO && x[1].to_f64() == tiny);
    assert!(x[0].is_above(&Exact::of(0.0)) && Exact::of(tiny).is_above(&x[0]));
    assert_eq!(x[0].times(&Exact::of(1e300)).times(&Exact::of(1e300)).to_f64(), 1e300 * 1e-300);
    assert_eq!(Exact::of(-0.1).abs().to_f64(), 0.1);
    assert_within(&error(&Exact::of(0.3), 0.1 + 0.2), 5.6e-17, "one step");
    assert!(error(&Exact::of(0.3), 0.1 + 0.2).is_above(&Exact::of(5.5e-17)));
}
