//! Two numbers that are added and multiplied at once, where the processor can.

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::{
        __m128d, _mm_add_pd, _mm_andnot_pd, _mm_cvtsd_f64, _mm_loadu_pd, _mm_max_pd, _mm_mul_pd,
        _mm_set_pd, _mm_set1_pd, _mm_storeh_pd, _mm_storel_pd, _mm_storeu_pd, _mm_sub_pd,
        _mm_unpackhi_pd,
    };

    /// A pair of numbers; every operation is that of both, rounded as alone.
    #[derive(Debug, Clone, Copy)]
    pub struct Two(__m128d);

    // SAFETY of this module: SSE2 is part of x86-64; loads and stores are unaligned.
    impl Two {
        #[inline(always)]
        pub fn both(value: f64) -> Self {
            Self(unsafe { _mm_set1_pd(value) })
        }

        /// # Safety
        /// Two numbers can be read from `at`.
        #[inline(always)]
        pub unsafe fn load(at: *const f64) -> Self {
            Self(unsafe { _mm_loadu_pd(at) })
        }

        /// # Safety
        /// A number can be read from each.
        #[inline(always)]
        pub unsafe fn gather(first: *const f64, second: *const f64) -> Self {
            Self(unsafe { _mm_set_pd(*second, *first) })
        }

        /// # Safety
        /// Two numbers can be written to `at`.
        #[inline(always)]
        pub unsafe fn store(self, at: *mut f64) {
            unsafe { _mm_storeu_pd(at, self.0) }
        }

        /// # Safety
        /// A number can be written to each.
        #[inline(always)]
        pub unsafe fn scatter(self, first: *mut f64, second: *mut f64) {
            unsafe {
                _mm_storel_pd(first, self.0);
                _mm_storeh_pd(second, self.0);
            }
        }

        #[inline(always)]
        pub fn plus(self, other: Self) -> Self {
            Self(unsafe { _mm_add_pd(self.0, other.0) })
        }

        #[inline(always)]
        pub fn minus(self, other: Self) -> Self {
            Self(unsafe { _mm_sub_pd(self.0, other.0) })
        }

        #[inline(always)]
        pub fn times(self, other: Self) -> Self {
            Self(unsafe { _mm_mul_pd(self.0, other.0) })
        }

        /// The larger sizes of both pairs. A NaN may be lost.
        #[inline(always)]
        pub fn larger_sizes(self, other: Self) -> Self {
            Self(unsafe { _mm_max_pd(self.0, _mm_andnot_pd(_mm_set1_pd(-0.0), other.0)) })
        }

        #[inline(always)]
        pub fn numbers(self) -> [f64; 2] {
            unsafe { [_mm_cvtsd_f64(self.0), _mm_cvtsd_f64(_mm_unpackhi_pd(self.0, self.0))] }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod native {
    /// A pair of numbers; every operation is that of both, rounded as alone.
    #[derive(Debug, Clone, Copy)]
    pub struct Two([f64; 2]);

    impl Two {
        #[inline(always)]
        pub fn both(value: f64) -> Self {
            Self([value; 2])
        }

        /// # Safety
        /// Two numbers can be read from `at`.
        #[inline(always)]
        pub unsafe fn load(at: *const f64) -> Self {
            // SAFETY: the caller's promise.
            Self(unsafe { [*at, *at.add(1)] })
        }

        /// # Safety
        /// A number can be read from each.
        #[inline(always)]
        pub unsafe fn gather(first: *const f64, second: *const f64) -> Self {
            // SAFETY: the caller's promise.
            Self(unsafe { [*first, *second] })
        }

        /// # Safety
        /// Two numbers can be written to `at`.
        #[inline(always)]
        pub unsafe fn store(self, at: *mut f64) {
            // SAFETY: the caller's promise.
            unsafe {
                *at = self.0[0];
                *at.add(1) = self.0[1];
            }
        }

        /// # Safety
        /// A number can be written to each.
        #[inline(always)]
        pub unsafe fn scatter(self, first: *mut f64, second: *mut f64) {
            // SAFETY: the caller's promise.
            unsafe {
                *first = self.0[0];
                *second = self.0[1];
            }
        }

        #[inline(always)]
        pub fn plus(self, other: Self) -> Self {
            Self([self.0[0] + other.0[0], self.0[1] + other.0[1]])
        }

        #[inline(always)]
        pub fn minus(self, other: Self) -> Self {
            Self([self.0[0] - other.0[0], self.0[1] - other.0[1]])
        }

        #[inline(always)]
        pub fn times(self, other: Self) -> Self {
            Self([self.0[0] * other.0[0], self.0[1] * other.0[1]])
        }

        /// The larger sizes of both pairs. A NaN may be lost.
        #[inline(always)]
        pub fn larger_sizes(self, other: Self) -> Self {
            Self([self.0[0].max(other.0[0].abs()), self.0[1].max(other.0[1].abs())])
        }

        #[inline(always)]
        pub fn numbers(self) -> [f64; 2] {
            self.0
        }
    }
}

pub(super) use native::Two;
