//! All targets in one fuzzer; `OZONIDE_FUZZ_TARGET` names the one to run. Start it with `fuzz/run`.
#![no_main]

use std::sync::LazyLock;

use fuzz_targets::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("OZONIDE_FUZZ_TARGET").unwrap_or_default();
    fuzz_targets::target(&name).unwrap_or_else(|| {
        let names: Vec<&str> = fuzz_targets::TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("set OZONIDE_FUZZ_TARGET to one of {}", names.join(", "))
    })
});

fuzz_target!(|data: &[u8]| TARGET(data));
