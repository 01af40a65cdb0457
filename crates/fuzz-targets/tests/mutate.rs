//! A blind fuzzer for every test run: the corpora, damaged at random.
//!
//! `OZONIDE_MUTATIONS=n` sets how many per target, `OZONIDE_MUTATION_SEED=n` repeats one.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz_targets::TARGETS;

/// Inputs per target of the ordinary test.
const MUTATIONS: u64 = 150;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn mutated(seed: u64, corpus: &[Vec<u8>]) -> Vec<u8> {
    const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x08, b'/'];
    let mut random = Random(seed);
    let mut data = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        let length = random.below(16).min(data.len() - at);
        match random.below(7) {
            0 if at < data.len() => data[at] ^= 1 << random.below(8),
            1 if at < data.len() => data[at] = EDGES[random.below(EDGES.len())],
            2 => data.insert(at, EDGES[random.below(EDGES.len())]),
            3 => drop(data.drain(at..at + length)),
            4 => {
                let copy = data[at..at + length].to_vec();
                let to = random.below(data.len() + 1);
                data.splice(to..to, copy);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                data.splice(at.., other[from..].iter().copied());
            }
            _ => data[at..at + length].fill_with(|| random.next().to_le_bytes()[0]),
        }
    }
    data
}

#[test]
fn damaged_corpora_harm_no_decoder() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let only = number("OZONIDE_MUTATION_SEED");
    let seeds = only.map_or(0..number("OZONIDE_MUTATIONS").unwrap_or(MUTATIONS), |n| n..n + 1);
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        for seed in seeds.clone() {
            let data = mutated(seed, &corpus);
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&data)));
            assert!(
                outcome.is_ok(),
                "{name} fails on seed {seed} (OZONIDE_MUTATION_SEED): {}",
                hex::encode(&data)
            );
        }
    }
}
