//! Several numbers that are added and multiplied at once, where the processor can. Each is rounded as
//! alone, so a result does not depend on how many there are.

/// `WIDTH` numbers.
pub(super) trait Lanes: Copy {
    const WIDTH: usize;

    fn all(value: f64) -> Self;

    /// # Safety
    /// `WIDTH` numbers can be read from `at`. This holds for the processor, too: see the type.
    unsafe fn load(at: *const f64) -> Self;

    /// # Safety
    /// As [`load`](Self::load), for writing.
    unsafe fn store(self, at: *mut f64);

    /// The numbers of `values` at the next `WIDTH` rows.
    ///
    /// # Safety
    /// Those rows can be read, and `values` there.
    unsafe fn gather(values: *const f64, rows: *const u32) -> Self;

    /// # Safety
    /// As [`gather`](Self::gather), for writing.
    unsafe fn scatter(self, values: *mut f64, rows: *const u32);

    fn plus(self, other: Self) -> Self;

    fn minus(self, other: Self) -> Self;

    fn times(self, other: Self) -> Self;

    /// Of each lane the larger size. A NaN may be lost.
    fn larger_sizes(self, other: Self) -> Self;

    fn largest(self) -> f64;
}

/// One number, on every processor.
impl Lanes for f64 {
    const WIDTH: usize = 1;

    #[inline(always)]
    fn all(value: f64) -> Self {
        value
    }

    #[inline(always)]
    unsafe fn load(at: *const f64) -> Self {
        // SAFETY: the caller's promise.
        unsafe { *at }
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe { *at = self }
    }

    #[inline(always)]
    unsafe fn gather(values: *const f64, rows: *const u32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { *values.add(*rows as usize) }
    }

    #[inline(always)]
    unsafe fn scatter(self, values: *mut f64, rows: *const u32) {
        // SAFETY: the caller's promise.
        unsafe { *values.add(*rows as usize) = self }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }

    #[inline(always)]
    fn larger_sizes(self, other: Self) -> Self {
        self.max(other.abs())
    }

    #[inline(always)]
    fn largest(self) -> f64 {
        self
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Four, Two};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// Two numbers; SSE2 is part of x86-64.
    #[derive(Clone, Copy)]
    pub struct Two(__m128d);

    /// Four numbers; only to be used where the processor was found to have AVX.
    #[derive(Clone, Copy)]
    pub struct Four(__m256d);

    impl Lanes for Two {
        const WIDTH: usize = 2;

        #[inline(always)]
        fn all(value: f64) -> Self {
            // SAFETY: SSE2 is there.
            Self(unsafe { _mm_set1_pd(value) })
        }

        #[inline(always)]
        unsafe fn load(at: *const f64) -> Self {
            // SAFETY: the caller's promise.
            Self(unsafe { _mm_loadu_pd(at) })
        }

        #[inline(always)]
        unsafe fn store(self, at: *mut f64) {
            // SAFETY: the caller's promise.
            unsafe { _mm_storeu_pd(at, self.0) }
        }

        #[inline(always)]
        unsafe fn gather(values: *const f64, rows: *const u32) -> Self {
            // SAFETY: the caller's promise.
            unsafe {
                let [first, second] = *rows.cast::<[u32; 2]>();
                Self(_mm_set_pd(*values.add(second as usize), *values.add(first as usize)))
            }
        }

        #[inline(always)]
        unsafe fn scatter(self, values: *mut f64, rows: *const u32) {
            // SAFETY: the caller's promise.
            unsafe {
                let [first, second] = *rows.cast::<[u32; 2]>();
                _mm_storel_pd(values.add(first as usize), self.0);
                _mm_storeh_pd(values.add(second as usize), self.0);
            }
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: SSE2 is there.
            Self(unsafe { _mm_add_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            // SAFETY: SSE2 is there.
            Self(unsafe { _mm_sub_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            // SAFETY: SSE2 is there.
            Self(unsafe { _mm_mul_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn larger_sizes(self, other: Self) -> Self {
            // SAFETY: SSE2 is there.
            Self(unsafe { _mm_max_pd(self.0, _mm_andnot_pd(_mm_set1_pd(-0.0), other.0)) })
        }

        #[inline(always)]
        fn largest(self) -> f64 {
            // SAFETY: SSE2 is there.
            unsafe { _mm_cvtsd_f64(self.0).max(_mm_cvtsd_f64(_mm_unpackhi_pd(self.0, self.0))) }
        }
    }

    impl Four {
        #[inline(always)]
        fn halves(self) -> [Two; 2] {
            // SAFETY: a value of this type exists only where AVX does.
            unsafe {
                [Two(_mm256_castpd256_pd128(self.0)), Two(_mm256_extractf128_pd::<1>(self.0))]
            }
        }
    }

    impl Lanes for Four {
        const WIDTH: usize = 4;

        #[inline(always)]
        fn all(value: f64) -> Self {
            // SAFETY: whoever names this type has found AVX.
            Self(unsafe { _mm256_set1_pd(value) })
        }

        #[inline(always)]
        unsafe fn load(at: *const f64) -> Self {
            // SAFETY: the caller's promise.
            Self(unsafe { _mm256_loadu_pd(at) })
        }

        #[inline(always)]
        unsafe fn store(self, at: *mut f64) {
            // SAFETY: the caller's promise.
            unsafe { _mm256_storeu_pd(at, self.0) }
        }

        #[inline(always)]
        unsafe fn gather(values: *const f64, rows: *const u32) -> Self {
            // SAFETY: the caller's promise.
            unsafe {
                let (low, high) = (Two::gather(values, rows), Two::gather(values, rows.add(2)));
                Self(_mm256_set_m128d(high.0, low.0))
            }
        }

        #[inline(always)]
        unsafe fn scatter(self, values: *mut f64, rows: *const u32) {
            let [low, high] = self.halves();
            // SAFETY: the caller's promise.
            unsafe {
                low.scatter(values, rows);
                high.scatter(values, rows.add(2));
            }
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: a value of this type exists only where AVX does.
            Self(unsafe { _mm256_add_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            // SAFETY: as in `plus`.
            Self(unsafe { _mm256_sub_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            // SAFETY: as in `plus`.
            Self(unsafe { _mm256_mul_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn larger_sizes(self, other: Self) -> Self {
            // SAFETY: as in `plus`.
            Self(unsafe { _mm256_max_pd(self.0, _mm256_andnot_pd(_mm256_set1_pd(-0.0), other.0)) })
        }

        #[inline(always)]
        fn largest(self) -> f64 {
            let [low, high] = self.halves();
            low.largest().max(high.largest())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation on scattered numbers, against the same on one number at a time.
    fn check<L: Lanes>() {
        let values: Vec<f64> = (0..16).map(|at| (at as f64 * 0.7).sin() * 3.0).collect();
        let rows: Vec<u32> = vec![3, 11, 4, 15, 9, 2, 6, 5];
        let mut target = values.clone();
        // SAFETY: there are eight rows and sixteen numbers.
        unsafe {
            let gathered = L::gather(values.as_ptr(), rows.as_ptr());
            let loaded = L::load(values.as_ptr());
            let result = gathered.minus(loaded.times(L::all(0.3))).plus(gathered);
            result.scatter(target.as_mut_ptr(), rows.as_ptr());
            let mut stored = [0.0; 4];
            result.store(stored.as_mut_ptr());
            let mut expected = values.clone();
            let mut largest = 0.0_f64;
            for at in 0..L::WIDTH {
                let own = values[rows[at] as usize];
                let value = own - values[at] * 0.3 + own;
                expected[rows[at] as usize] = value;
                assert_eq!(stored[at], value);
                largest = largest.max(value.abs());
            }
            assert_eq!(target, expected);
            assert_eq!(L::all(0.0).larger_sizes(result).largest(), largest);
        }
    }

    #[test]
    fn lanes_of_every_width_compute_as_one_number_does() {
        check::<f64>();
        #[cfg(target_arch = "x86_64")]
        {
            check::<Two>();
            if is_x86_feature_detected!("avx") {
                check::<Four>();
            }
        }
    }
}
