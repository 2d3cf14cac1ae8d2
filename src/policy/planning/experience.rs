//! What the governor has learnt about one engine: what its runs take, how long it is left alone after it
//! has lost, and what its set-up would have saved. Owns when a loser is tried again.

use crate::solver::outcome::Work;

/// Seconds that an entry takes before anything was measured.
const SECONDS_PER_ENTRY: f64 = 1.5e-9;

/// Weight of the latest run in what is expected of the next.
const LATEST: f64 = 0.3;

/// Runs are remembered by the size they were foreseen to have, four times larger from one class to
/// the next: what a forecast is worth differs between one change and ten thousand.
const SIZE_CLASSES: usize = 16;
const SIZE_RATIO_LOG2: u32 = 2;

/// An engine that lost is tried again after so many runs of its size, then after twice as many.
const RETRY_RUNS: u64 = 64;
const RETRY_RUNS_MAX: u64 = 2_048;

/// The same for one that gave up.
const RETRY_RUNS_MAX_IN_VAIN: u64 = 1 << 20;

#[derive(Debug, Clone, Default)]
pub(super) struct Experience {
    /// Seconds per foreseen entry, by size; none where nothing was run.
    rates: [Option<Rate>; SIZE_CLASSES],
    /// Runs of any engine since this one's last, by size, and how many it waits for.
    idle: [u64; SIZE_CLASSES],
    patience: [u64; SIZE_CLASSES],
    /// Seconds per entry that was foreseen to be left, well on the way, by size.
    rest_rates: [Option<f64>; SIZE_CLASSES],
    /// Seconds per entry that was really touched.
    speed: Option<f64>,
    /// Seconds per foreseen entry of a set-up.
    set_up_rate: Option<f64>,
    /// Seconds that being set up would have saved so far.
    pub regret: f64,
}

impl Experience {
    /// Seconds that the work foreseen will take: as runs of its size did, or of the nearest size there is.
    pub fn foresee(&self, work: Work) -> f64 {
        let distance = |at: &usize| at.abs_diff(size_class(work));
        let known = (0..SIZE_CLASSES).filter(|at| self.rates[*at].is_some());
        let nearest = known.min_by_key(distance).and_then(|at| self.rates[at]);
        let rate = nearest.map(|rate| rate.expected).or(self.speed).unwrap_or(SECONDS_PER_ENTRY);
        work.nonzeros as f64 * rate
    }

    /// Seconds that are left of a run that is well on its way; none before one was seen to its end.
    pub fn foresee_rest(&self, work: Work) -> Option<f64> {
        let distance = |at: &usize| at.abs_diff(size_class(work));
        let known = (0..SIZE_CLASSES).filter(|at| self.rest_rates[*at].is_some());
        let rate = known.min_by_key(distance).and_then(|at| self.rest_rates[at])?;
        Some(work.nonzeros as f64 * rate)
    }

    /// A run that was settled, with what was foreseen to be left well on its way and the seconds that were.
    pub fn ran(&mut self, left: impl Iterator<Item = (Work, f64)>) {
        let mut sums = [(0.0, 0.0); SIZE_CLASSES];
        for (work, seconds) in left {
            let (entries, taken) = &mut sums[size_class(work)];
            *entries += work.nonzeros as f64;
            *taken += seconds;
        }
        for (rate, (entries, taken)) in self.rest_rates.iter_mut().zip(sums) {
            if entries > 0.0 {
                blend(rate, taken / entries);
            }
        }
    }

    /// Seconds that a set-up will take.
    pub fn foresee_set_up(&self, work: Work) -> f64 {
        work.nonzeros as f64 * self.set_up_rate.unwrap_or(SECONDS_PER_ENTRY)
    }

    /// Seconds for each entry that is really touched.
    pub fn speed(&self) -> f64 {
        self.speed.unwrap_or(SECONDS_PER_ENTRY)
    }

    /// Whether it was never run for this size.
    pub fn is_new_to(&self, foreseen: Work) -> bool {
        self.rates[size_class(foreseen)].is_none()
    }

    /// Whether it is due for another run of this size although it lost: others have had theirs since, or
    /// it was run to its end once only, which may have been held up.
    pub fn is_due_again(&self, foreseen: Work) -> bool {
        let class = size_class(foreseen);
        let is_single = self.rates[class].is_some_and(|rate| rate.is_single);
        is_single || self.idle[class] >= self.patience[class].max(RETRY_RUNS)
    }

    /// `work` was done in so many seconds.
    pub fn worked(&mut self, work: Work, seconds: f64) {
        if work.nonzeros > 0 {
            blend(&mut self.speed, seconds / work.nonzeros as f64);
        }
    }

    /// A set-up, or a part of one: what was saved up pays for it, and the next part goes on with the rest.
    pub fn set_up(&mut self, work: Work, seconds: f64) {
        blend(&mut self.set_up_rate, seconds / work.nonzeros.max(1) as f64);
        self.regret = (self.regret - seconds).max(0.0);
    }

    /// A run that ended settled, in so many seconds; `has_lost` where another would have taken less.
    pub fn settled(&mut self, foreseen: Work, seconds: f64, has_lost: bool) {
        let class = size_class(foreseen);
        let rate = seconds / foreseen.nonzeros.max(1) as f64;
        let first = Rate { expected: rate, latest: [rate; 2], is_single: true };
        self.rates[class] = Some(self.rates[class].map_or(first, |known| known.after(rate)));
        self.idle[class] = 0;
        let patience = &mut self.patience[class];
        *patience = match has_lost {
            true => (2 * *patience).clamp(RETRY_RUNS, RETRY_RUNS_MAX),
            false => 0,
        };
    }

    /// Another engine has had a run of this size.
    pub fn passed(&mut self, foreseen: Work) {
        self.idle[size_class(foreseen)] += 1;
    }

    /// A run that led to nothing: so many seconds until the system is settled all the same, by another.
    pub fn gave_up(&mut self, foreseen: Work, seconds: f64) {
        let class = size_class(foreseen);
        let rate = seconds / foreseen.nonzeros.max(1) as f64;
        // The better of this and the next run counts, when there is a next.
        let first = Rate { expected: rate, latest: [0.0, rate], is_single: false };
        self.rates[class] = Some(self.rates[class].map_or(first, |known| known.after(rate)));
        self.idle[class] = 0;
        let patience = &mut self.patience[class];
        *patience = (2 * *patience).clamp(RETRY_RUNS, RETRY_RUNS_MAX_IN_VAIN);
    }
}

/// What runs of a size take, by the better of the first two and then the middle one of the latest three: a
/// single run that was held up, as the first after a set-up is, says nothing of the next, and an engine that
/// is left for it may not come back.
#[derive(Debug, Clone, Copy)]
struct Rate {
    expected: f64,
    /// The run before the last, and the last.
    latest: [f64; 2],
    /// Run once, and to its end.
    is_single: bool,
}

impl Rate {
    fn after(self, seen: f64) -> Self {
        let [before, last] = self.latest;
        let middle = before.min(last).max(before.max(last).min(seen));
        let expected = match self.is_single {
            true => self.expected.min(seen),
            false => self.expected + LATEST * (middle - self.expected),
        };
        Self { expected, latest: [last, seen], is_single: false }
    }
}

fn size_class(work: Work) -> usize {
    (work.nonzeros.max(1).ilog2() / SIZE_RATIO_LOG2).min(SIZE_CLASSES as u32 - 1) as usize
}

fn blend(known: &mut Option<f64>, seen: f64) {
    *known = Some(known.map_or(seen, |known| known + LATEST * (seen - known)));
}
