//! Benchmarks of Seawall against its peers and its limits.
//!
//! Not shipped. What the benches share is here; the benches are in `benches/`, the limits that a
//! test can hold (allocations, sizes) in `tests/`.

pub mod allocations;
