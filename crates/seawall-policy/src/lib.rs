//! The pure machines of the call policy: one file per strategy, and the plan that orders them.
//!
//! Does not know: tokio, a clock, sockets, HTTP, logs. `now` and randomness are arguments; a
//! machine returns a decision and the caller carries it out.

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod bulkhead;
mod plan;
pub mod rate;
pub mod retry;
pub mod timeout;

pub use plan::Params;
