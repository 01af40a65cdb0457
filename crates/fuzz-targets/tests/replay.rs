//! The committed corpora go through their targets with every test run.

use std::fs;
use std::path::{Path, PathBuf};

use fuzz_targets::TARGETS;

/// Largest corpus of a target, in bytes: they are to stay small.
const CORPUS_BYTES_MAX: u64 = 64 << 10;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

#[test]
fn every_target_takes_its_corpus() {
    for (name, target) in TARGETS {
        target(&[]);
        let mut bytes = 0;
        let mut files: Vec<PathBuf> = fs::read_dir(corpus(name))
            .unwrap_or_else(|error| panic!("the corpus of {name}: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let data = fs::read(&file).unwrap();
            bytes += data.len() as u64;
            println!("{}", file.display());
            target(&data);
            // Torn off anywhere, it is still only bytes.
            for cut in [data.len() / 3, data.len() / 2, data.len().saturating_sub(1)] {
                target(&data[..cut]);
            }
        }
        assert!(bytes <= CORPUS_BYTES_MAX, "the corpus of {name} has {bytes} bytes");
    }
}
