//! Our machines beside those of others, on the same histories: where both are right they agree.
//!
//! tower-resilience and seatbelt, which bring a runtime of their own, stand in seawall-bench.

mod governor;
mod polly;
mod recloser;
