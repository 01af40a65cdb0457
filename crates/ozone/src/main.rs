//! The `ozone` program; everything is in the library, so that tests reach it.

use std::process::ExitCode;

/// A third of the time of a small request is memory taken and given back, by threads that come and go:
/// see `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ozone::run(std::env::args_os())
}
