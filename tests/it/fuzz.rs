//! A short fuzz run at the doors through which systems, changes of costs and checks arrive: the saved
//! corpus, then seeded mutations of it, against the invariants that the fuzz targets check.

#[path = "../fuzz/invariants.rs"]
mod invariants;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const MUTATIONS: usize = 20_000;

/// Words that decoders trip over.
const WORDS: [&[u8]; 32] = [
    b"0",
    b"1",
    b"-1",
    b"2",
    b"1e999",
    b"-0.0",
    b"5e-324",
    b"1.7976931348623157e308",
    b"nan",
    b"inf",
    b"4294967295",
    b"4294967296",
    b"18446744073709551616",
    b"1000000000000",
    b"\r\n",
    b"\n",
    b"\n\n",
    b"%",
    b"%%MatrixMarket",
    b"symmetric",
    b"skew-symmetric",
    b"pattern",
    b"array",
    b"complex",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b"null",
    b"\"",
    b"\xff\xfe",
];

struct Mutator {
    rng: ChaCha8Rng,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }

    /// A corpus entry with one to four changes.
    fn next(&mut self) -> Vec<u8> {
        let chosen = self.below(self.corpus.len());
        let mut bytes = self.corpus[chosen].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(12)).min(bytes.len());
        match self.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copied = bytes[at..end].to_vec();
                bytes.splice(at..at, copied);
            }
            3 => bytes.truncate(at),
            4 => {
                let other = self.below(self.corpus.len());
                let tail = self.corpus[other].clone();
                let from = self.below(tail.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&tail[from..]);
            }
            5 => self.replace_number(bytes, at),
            _ => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }

    /// Puts a word in the place of the first number at or after `at`: the structure stays whole.
    fn replace_number(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
            return;
        };
        let start = at + start;
        let length = bytes[start..].iter().position(|byte| !byte.is_ascii_digit());
        let end = length.map_or(bytes.len(), |length| start + length);
        let word = WORDS[self.below(14)];
        bytes.splice(start..end, word.iter().copied());
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = format!("{}/tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs corpus and mutations; both outcomes must occur often, or the run would prove nothing.
fn check(target: &str, door: fn(&[u8]) -> bool) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 10, "the corpus of {target} is gone");
    let mut accepted = corpus.iter().filter(|bytes| door(bytes)).count();
    assert!(accepted >= 6, "{accepted} of the saved inputs are accepted");
    let mut mutator = Mutator { rng: ChaCha8Rng::seed_from_u64(1), corpus };
    for _ in 0..MUTATIONS {
        accepted += usize::from(door(&mutator.next()));
    }
    assert!((MUTATIONS / 50..MUTATIONS).contains(&accepted), "{accepted} accepted");
}

#[test]
fn no_bytes_break_the_matrix_market_reader() {
    check("matrix_market", invariants::matrix_market);
}

#[test]
fn no_bytes_break_the_json_system_decoder() {
    check("json_system", invariants::json_system);
}

#[test]
fn no_bytes_break_the_upload_of_two_files() {
    check("upload", invariants::upload);
}

#[test]
fn no_bytes_break_the_reader_of_cost_updates() {
    check("costs", invariants::costs);
}

#[test]
fn no_bytes_break_the_reader_of_checks() {
    check("verify", invariants::verify);
}
