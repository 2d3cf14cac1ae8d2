//! A scalar for faer whose arithmetic can be told to stop. A factorisation in faer is one call that
//! may last minutes and takes no callback; but it is generic over its scalar. It asks that scalar for
//! its `1` before every dense block and at every column of LU, for the root of every pivot of LLᵀ and
//! whether every pivot of LDLᵀ is finite. Ours looks around when it is asked, and unwinds when nobody
//! wants the result any more. All else is handed to `f64`, so the bits are those of `f64`.

use std::cell::RefCell;
use std::ops::{
    Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Rem, RemAssign, Sub, SubAssign,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::traits::{ComplexField, RealField, SimdCapabilities};
use num_traits::{Num, One, Zero};
use pulp::Simd;

thread_local! {
    /// What the work under way on this thread looks at. A scalar's `1` is made from nothing, so there
    /// is no other way to hand it anything.
    static WATCHED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// The work was left off because nobody wanted its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOff;

/// Runs faer on [`Stoppable`] scalars until it is done or `unwanted` is set; whatever it had built is
/// freed then. Looks at `unwanted` once for every dense block, thousands of times a second.
pub(super) fn unless_unwanted<T>(
    unwanted: &Arc<AtomicBool>,
    work: impl FnOnce() -> T,
) -> Result<T, LeftOff> {
    WATCHED.set(Some(Arc::clone(unwanted)));
    let ended = catch_unwind(AssertUnwindSafe(work));
    WATCHED.set(None);
    ended.or_else(|payload| match payload.downcast::<LeftOff>() {
        Ok(left_off) => Err(*left_off),
        Err(panic) => resume_unwind(panic),
    })
}

/// Unwinds if the work under way is no longer wanted. Not a panic: no hook is run, nothing is printed.
fn look_around() {
    let unwanted = WATCHED.with_borrow(|watched| {
        watched.as_ref().is_some_and(|unwanted| unwanted.load(Ordering::Relaxed))
    });
    if unwanted {
        resume_unwind(Box::new(LeftOff));
    }
}

/// An `f64` in memory and in every result.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
#[repr(transparent)]
pub(super) struct Stoppable(f64);

impl Stoppable {
    /// The same numbers, for faer.
    pub fn of(values: &[f64]) -> &[Self] {
        // SAFETY: `repr(transparent)`: a `Stoppable` is laid out as its only field, an `f64`.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
    }

    /// The same numbers, for faer to write.
    pub fn of_mut(values: &mut [f64]) -> &mut [Self] {
        // SAFETY: as above; every bit pattern is an `f64`.
        unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) }
    }
}

macro_rules! operator {
    ($($operator:ident::$apply:ident, $assigning:ident::$assign:ident;)*) => {$(
        impl $operator for Stoppable {
            type Output = Self;

            #[inline(always)]
            fn $apply(self, other: Self) -> Self {
                Self(self.0.$apply(other.0))
            }
        }

        impl $operator<&Self> for Stoppable {
            type Output = Self;

            #[inline(always)]
            fn $apply(self, other: &Self) -> Self {
                Self(self.0.$apply(other.0))
            }
        }

        impl $operator for &Stoppable {
            type Output = Stoppable;

            #[inline(always)]
            fn $apply(self, other: Self) -> Stoppable {
                Stoppable(self.0.$apply(other.0))
            }
        }

        impl $operator<Stoppable> for &Stoppable {
            type Output = Stoppable;

            #[inline(always)]
            fn $apply(self, other: Stoppable) -> Stoppable {
                Stoppable(self.0.$apply(other.0))
            }
        }

        impl $assigning for Stoppable {
            #[inline(always)]
            fn $assign(&mut self, other: Self) {
                self.0.$assign(other.0);
            }
        }

        impl $assigning<&Self> for Stoppable {
            #[inline(always)]
            fn $assign(&mut self, other: &Self) {
                self.0.$assign(other.0);
            }
        }
    )*};
}
operator! {
    Add::add, AddAssign::add_assign;
    Sub::sub, SubAssign::sub_assign;
    Mul::mul, MulAssign::mul_assign;
    Div::div, DivAssign::div_assign;
    Rem::rem, RemAssign::rem_assign;
}

impl Neg for Stoppable {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Neg for &Stoppable {
    type Output = Stoppable;

    #[inline(always)]
    fn neg(self) -> Stoppable {
        Stoppable(-self.0)
    }
}

impl Zero for Stoppable {
    fn zero() -> Self {
        Self(0.0)
    }

    fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl One for Stoppable {
    fn one() -> Self {
        Self(1.0)
    }
}

impl Num for Stoppable {
    type FromStrRadixErr = <f64 as Num>::FromStrRadixErr;

    fn from_str_radix(text: &str, radix: u32) -> Result<Self, Self::FromStrRadixErr> {
        f64::from_str_radix(text, radix).map(Self)
    }
}

impl RealField for Stoppable {
    fn epsilon_impl() -> Self {
        Self(f64::epsilon_impl())
    }

    fn nbits_impl() -> usize {
        f64::nbits_impl()
    }

    fn min_positive_impl() -> Self {
        Self(f64::min_positive_impl())
    }

    fn max_positive_impl() -> Self {
        Self(f64::max_positive_impl())
    }

    fn sqrt_min_positive_impl() -> Self {
        Self(f64::sqrt_min_positive_impl())
    }

    fn sqrt_max_positive_impl() -> Self {
        Self(f64::sqrt_max_positive_impl())
    }
}

type Vector<S> = <f64 as ComplexField>::SimdVec<S>;
type Mask<S> = <f64 as ComplexField>::SimdMask<S>;
type MemoryMask<S> = <f64 as ComplexField>::SimdMemMask<S>;
type Index<S> = <f64 as ComplexField>::SimdIndex<S>;
type Context<S> = <f64 as ComplexField>::SimdCtx<S>;

/// Functions of one value that `f64` answers.
macro_rules! of_value {
    ($($name:ident($($argument:ident),*);)*) => {$(
        #[inline(always)]
        fn $name($($argument: &Self),*) -> Self {
            Self(f64::$name($(&$argument.0),*))
        }
    )*};
}

/// Functions of vector registers, which are those of `f64`.
macro_rules! of_registers {
    ($($name:ident($($argument:ident: $kind:ident),*) -> $result:ty;)*) => {$(
        #[inline(always)]
        fn $name<S: Simd>(context: &Context<S>, $($argument: $kind<S>),*) -> $result {
            f64::$name(context, $($argument),*)
        }
    )*};
}

impl ComplexField for Stoppable {
    const IS_REAL: bool = true;
    const IS_NATIVE_F64: bool = true;
    const SIMD_CAPABILITIES: SimdCapabilities = f64::SIMD_CAPABILITIES;

    type Arch = <f64 as ComplexField>::Arch;
    type Unit = f64;
    type SimdCtx<S: Simd> = Context<S>;
    type Index = <f64 as ComplexField>::Index;
    type Real = Self;
    type SimdMask<S: Simd> = Mask<S>;
    type SimdMemMask<S: Simd> = MemoryMask<S>;
    type SimdVec<S: Simd> = Vector<S>;
    type SimdIndex<S: Simd> = Index<S>;

    #[inline(always)]
    fn zero_impl() -> Self {
        Self(0.0)
    }

    /// Where LU and all dense blocks can be left off.
    fn one_impl() -> Self {
        look_around();
        Self(1.0)
    }

    #[inline(always)]
    fn nan_impl() -> Self {
        Self(f64::NAN)
    }

    #[inline(always)]
    fn infinity_impl() -> Self {
        Self(f64::INFINITY)
    }

    #[inline(always)]
    fn from_f64_impl(value: f64) -> Self {
        Self(value)
    }

    of_value! {
        from_real_impl(value);
        real_part_impl(value);
        imag_part_impl(value);
        copy_impl(value);
        conj_impl(value);
        recip_impl(value);
        abs_impl(value);
        abs1_impl(value);
        abs2_impl(value);
        mul_real_impl(left, right);
        mul_pow2_impl(left, right);
    }

    /// Where LLᵀ without dense blocks can be left off.
    fn sqrt_impl(value: &Self) -> Self {
        look_around();
        Self(f64::sqrt_impl(&value.0))
    }

    /// Where LDLᵀ without dense blocks can be left off.
    fn is_finite_impl(value: &Self) -> bool {
        look_around();
        value.0.is_finite()
    }

    #[inline(always)]
    fn is_nan_impl(value: &Self) -> bool {
        value.0.is_nan()
    }

    #[inline(always)]
    fn simd_ctx<S: Simd>(simd: S) -> Context<S> {
        f64::simd_ctx(simd)
    }

    #[inline(always)]
    fn ctx_from_simd<S: Simd>(context: &Context<S>) -> S {
        f64::ctx_from_simd(context)
    }

    #[inline(always)]
    fn simd_mask_between<S: Simd>(
        context: &Context<S>,
        start: Self::Index,
        end: Self::Index,
    ) -> Mask<S> {
        f64::simd_mask_between(context, start, end)
    }

    #[inline(always)]
    fn simd_mem_mask_between<S: Simd>(
        context: &Context<S>,
        start: Self::Index,
        end: Self::Index,
    ) -> MemoryMask<S> {
        f64::simd_mem_mask_between(context, start, end)
    }

    #[inline(always)]
    unsafe fn simd_mask_load_raw<S: Simd>(
        context: &Context<S>,
        mask: MemoryMask<S>,
        source: *const Vector<S>,
    ) -> Vector<S> {
        // SAFETY: the caller keeps what `f64` asks for.
        unsafe { f64::simd_mask_load_raw(context, mask, source) }
    }

    #[inline(always)]
    unsafe fn simd_mask_store_raw<S: Simd>(
        context: &Context<S>,
        mask: MemoryMask<S>,
        target: *mut Vector<S>,
        values: Vector<S>,
    ) {
        // SAFETY: the caller keeps what `f64` asks for.
        unsafe { f64::simd_mask_store_raw(context, mask, target, values) }
    }

    #[inline(always)]
    fn simd_splat<S: Simd>(context: &Context<S>, value: &Self) -> Vector<S> {
        f64::simd_splat(context, &value.0)
    }

    #[inline(always)]
    fn simd_splat_real<S: Simd>(context: &Context<S>, value: &Self) -> Vector<S> {
        f64::simd_splat_real(context, &value.0)
    }

    #[inline(always)]
    fn simd_reduce_sum<S: Simd>(context: &Context<S>, value: Vector<S>) -> Self {
        Self(f64::simd_reduce_sum(context, value))
    }

    #[inline(always)]
    fn simd_reduce_max<S: Simd>(context: &Context<S>, value: Vector<S>) -> Self {
        Self(f64::simd_reduce_max(context, value))
    }

    #[inline(always)]
    fn simd_index_splat<S: Simd>(context: &Context<S>, value: Self::Index) -> Index<S> {
        f64::simd_index_splat(context, value)
    }

    of_registers! {
        simd_add(left: Vector, right: Vector) -> Vector<S>;
        simd_sub(left: Vector, right: Vector) -> Vector<S>;
        simd_neg(value: Vector) -> Vector<S>;
        simd_conj(value: Vector) -> Vector<S>;
        simd_abs1(value: Vector) -> Vector<S>;
        simd_abs_max(value: Vector) -> Vector<S>;
        simd_mul_real(left: Vector, right: Vector) -> Vector<S>;
        simd_mul_pow2(left: Vector, right: Vector) -> Vector<S>;
        simd_mul(left: Vector, right: Vector) -> Vector<S>;
        simd_conj_mul(left: Vector, right: Vector) -> Vector<S>;
        simd_mul_add(left: Vector, right: Vector, sum: Vector) -> Vector<S>;
        simd_conj_mul_add(left: Vector, right: Vector, sum: Vector) -> Vector<S>;
        simd_abs2(value: Vector) -> Vector<S>;
        simd_abs2_add(value: Vector, sum: Vector) -> Vector<S>;
        simd_equal(left: Vector, right: Vector) -> Mask<S>;
        simd_less_than(left: Vector, right: Vector) -> Mask<S>;
        simd_less_than_or_equal(left: Vector, right: Vector) -> Mask<S>;
        simd_greater_than(left: Vector, right: Vector) -> Mask<S>;
        simd_greater_than_or_equal(left: Vector, right: Vector) -> Mask<S>;
        simd_select(mask: Mask, left: Vector, right: Vector) -> Vector<S>;
        simd_index_select(mask: Mask, left: Index, right: Index) -> Index<S>;
        simd_index_add(left: Index, right: Index) -> Index<S>;
        simd_index_less_than(left: Index, right: Index) -> Mask<S>;
        simd_and_mask(left: Mask, right: Mask) -> Mask<S>;
        simd_or_mask(left: Mask, right: Mask) -> Mask<S>;
        simd_not_mask(mask: Mask) -> Mask<S>;
        simd_first_true_mask(mask: Mask) -> usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use faer::linalg::matmul::matmul;
    use faer::{Accum, Mat, Par};

    fn product_of<T: RealField>(wrap: impl Fn(f64) -> T) -> Mat<T> {
        let entry = |i: usize, j: usize| wrap(((7 * i + 3 * j) % 11) as f64 / 11.0);
        let (a, b) = (Mat::from_fn(60, 50, entry), Mat::from_fn(50, 70, entry));
        let mut product = Mat::zeros(60, 70);
        matmul(product.as_mut(), Accum::Replace, a.as_ref(), b.as_ref(), T::one_impl(), Par::Seq);
        product
    }

    #[test]
    fn the_numbers_are_those_of_f64_to_the_bit() {
        let unwanted = Arc::default();
        let found = unless_unwanted(&unwanted, || product_of(Stoppable)).unwrap();
        let expected = product_of(|value| value);
        for (i, j) in (0..60).flat_map(|i| (0..70).map(move |j| (i, j))) {
            assert_eq!(found[(i, j)].0.to_bits(), expected[(i, j)].to_bits());
        }
    }

    #[test]
    fn work_that_nobody_wants_any_more_is_left_off_in_the_middle() {
        let unwanted = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&unwanted);
        // Work without an end: only being left off ends it.
        let ended = unless_unwanted(&unwanted, || {
            for round in 0_u64.. {
                let product = product_of(Stoppable);
                assert!(round < 3 && product[(0, 0)].0.is_finite());
                asked.store(round == 2, Ordering::Relaxed);
            }
        });
        assert_eq!(ended, Err(LeftOff));
        // Outside of it nothing looks around.
        assert!(product_of(Stoppable)[(0, 0)].0.is_finite());
    }

    #[test]
    fn a_panic_stays_a_panic() {
        let unwanted = Arc::default();
        let panicked = catch_unwind(|| unless_unwanted(&unwanted, || resume_unwind(Box::new(7))));
        assert_eq!(panicked.map(|_: Result<(), _>| ()).unwrap_err().downcast_ref(), Some(&7));
    }
}
