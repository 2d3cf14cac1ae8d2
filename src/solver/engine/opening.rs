//! How a solve opens: with the caller's guess, or with zero where the guess is worth less. Owns which
//! guess is taken; everything after the first residual is the engine's.

use crate::solver::engine::Engine;
use crate::solver::huge_pages;
use crate::solver::iterate::Iterate;
use crate::solver::kernel;
use crate::solver::outcome::Refusal;
use crate::solver::system::LinearSystem;

/// A guess whose residual is larger than this many times `‖b‖₂` is worth less than zero. Far below the
/// largest f64, so that whatever a solve announces relative to `‖b‖₂` stays finite.
const GUESS_RESIDUAL_MAX: f64 = 1e100;

/// Refuses a guess of the wrong length or with an entry that is not finite.
pub(super) fn check_guess(system: &LinearSystem, guess: Option<&[f64]>) -> Result<(), Refusal> {
    let Some(guess) = guess else { return Ok(()) };
    let (expected, found) = (system.order(), guess.len());
    if expected != found {
        return Err(Refusal::GuessLength { expected, found });
    }
    match guess.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Refusal::GuessNotFinite { index, value: guess[index] }),
        None => Ok(()),
    }
}

impl Engine {
    /// Brings the guess into the engine's scale and measures its residual. For `b = 0` the answer is
    /// `x = 0` at once. One product, none for a zero guess.
    pub(super) fn open(&mut self) {
        let n = self.system.order();
        let zero_guess = self.iterate.x.iter().all(|x| *x == 0.0);
        if self.rhs_norm == 0.0 {
            let guess = std::mem::take(&mut self.iterate.x);
            self.iterate = Iterate { x: vec![0.0; n], r: vec![0.0; n], norm: 0.0, is_true: true };
            if !zero_guess {
                self.replace_guess(guess, "b = 0 has the solution 0".to_owned());
            }
            return;
        }
        self.iterate.r = huge_pages::zeros(n);
        if zero_guess {
            self.reset_to_zero();
        } else {
            self.measure_guess();
        }
        self.measured_norm = self.iterate.norm;
        self.keep_best();
    }

    fn measure_guess(&mut self) {
        let guess = self.scaled.is_some().then(|| self.iterate.x.clone());
        if self.scaled.is_some() {
            let scaling = self.scaling;
            self.iterate.x.iter_mut().for_each(|x| *x = scaling.scale_x(*x));
        }
        let (problem, _, iterate) = self.parts();
        iterate.measure(&problem);
        let relative = iterate.norm / kernel::norm2(problem.rhs);
        if relative <= GUESS_RESIDUAL_MAX {
            return;
        }
        let guess = guess.unwrap_or_else(|| self.iterate.x.clone());
        self.reset_to_zero();
        let why = format!("its residual exceeds {GUESS_RESIDUAL_MAX:e} times that of zero");
        self.replace_guess(guess, why);
    }

    fn replace_guess(&mut self, guess: Vec<f64>, why: String) {
        self.replaced_guess = Some(guess);
        self.selection.reasons.push(format!("the initial guess is replaced by zero: {why}"));
    }

    fn reset_to_zero(&mut self) {
        let (problem, _, iterate) = self.parts();
        iterate.x.fill(0.0);
        iterate.r.copy_from_slice(problem.rhs);
        iterate.norm = kernel::norm2(problem.rhs);
        iterate.is_true = true;
    }

    /// The caller's guess where zero was taken in its place, once: whoever tells of changes has to
    /// start from what the caller knows.
    pub fn take_replaced_guess(&mut self) -> Option<Vec<f64>> {
        self.replaced_guess.take()
    }
}
