//! Nothing but benchmarks: `cargo bench -p benches` measures the pieces that a request passes
//! (`benches/pieces`), one by one and without a network. One binary, so that RocksDB is linked once.
