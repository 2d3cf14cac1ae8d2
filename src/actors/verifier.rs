//! The actor that checks states. It draws rows by a seeded stream of its own, has them looked at where the
//! state is, and has all of them looked at where that asks for it. Owns what is drawn and when a check
//! escalates; what rows say is judged by [`policy::verification`](crate::policy::verification).

use actix::{Actor, Context, Handler, ResponseFuture};
use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::actors::messages::{
    Challenge, CostsUnavailable, ProbeRows, ProbedState, QuestionUnavailable, Sample, Verification,
    Verify,
};
use crate::ids::ProbeId;
use crate::policy::verification::PROBE_ROWS;
use crate::protocol::verification::VerificationResult;
use crate::runtime::environment::Environment;

/// See the module.
pub struct Verifier {
    draws: ChaCha8Rng,
}

impl Verifier {
    pub fn new(environment: &Environment) -> Self {
        Self { draws: environment.entropy.stream("verifier") }
    }

    /// `probes` sets of distinct rows out of `unknowns`, each in ascending order.
    fn draw(&mut self, probes: usize, unknowns: usize) -> Vec<Vec<u32>> {
        let amount = PROBE_ROWS.min(unknowns);
        let mut probe = |_| {
            let drawn = index::sample(&mut self.draws, unknowns, amount);
            let mut rows: Vec<u32> = drawn.iter().map(|row| row as u32).collect();
            rows.sort_unstable();
            rows
        };
        (0..probes).map(&mut probe).collect()
    }
}

impl Actor for Verifier {
    type Context = Context<Self>;
}

impl Handler<Verify> for Verifier {
    type Result = ResponseFuture<Result<Verification, QuestionUnavailable>>;

    fn handle(&mut self, verify: Verify, _: &mut Self::Context) -> Self::Result {
        let Verify { probes, unknowns, asked } = verify;
        let probe_id = ProbeId(self.draws.next_u64());
        let sample = match asked {
            Challenge::Random { probes } => Sample::Probes(self.draw(probes, unknowns)),
            Challenge::Rows(rows) => Sample::Probes(vec![rows]),
            Challenge::Exhaustive => Sample::All,
        };
        Box::pin(async move {
            let ask = |sample| async {
                let answered = probes.send(ProbeRows(sample)).await;
                answered.unwrap_or(Err(CostsUnavailable::Ended.into()))
            };
            let is_of_all = sample == Sample::All;
            let mut state = ask(sample).await?;
            let escalated = !is_of_all && state.verdict.is_suspicious(&state.claim);
            if escalated {
                state = ask(Sample::All).await?;
            }
            Ok(Verification { probe_id, state, looked_at_all: is_of_all || escalated, escalated })
        })
    }
}

impl From<Verification> for VerificationResult {
    fn from(verification: Verification) -> Self {
        let Verification { probe_id, state, looked_at_all, escalated } = verification;
        let ProbedState { system_version, iteration, claim, verdict, is_being_corrected, took } =
            state;
        Self {
            probe_id,
            checked_version: system_version,
            iteration,
            claim,
            verdict,
            exhaustive: looked_at_all,
            escalated,
            correction_applied: is_being_corrected,
            verification_time_ms: took.as_secs_f64() * 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn rows_are_drawn_evenly_and_none_twice_in_a_probe() {
        let mut verifier = Verifier { draws: ChaCha8Rng::seed_from_u64(3) };
        let mut drawn = vec![0u32; 1_000];
        for probe in verifier.draw(2_000, 1_000) {
            assert_eq!(probe.len(), PROBE_ROWS);
            assert!(probe.is_sorted_by(|a, b| a < b), "distinct and in order");
            probe.iter().for_each(|row| drawn[*row as usize] += 1);
        }
        // Binomial with mean 200 and standard deviation 13.4: five of them.
        assert!(drawn.iter().all(|count| (133..=267).contains(count)), "{drawn:?}");
        assert_eq!(verifier.draw(2, 3), [[0, 1, 2], [0, 1, 2]]);
    }
}
