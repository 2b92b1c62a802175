//! Benchmarks of Seawall against its peers and its limits.
