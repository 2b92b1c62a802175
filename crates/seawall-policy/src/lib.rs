//! The pure machines of the call policy: one file per strategy, and the plan that orders them.
//!
//! Does not know: tokio, a clock, sockets, HTTP, logs. `now` and randomness are arguments; a
//! machine returns a decision and the caller carries it out.

use std::time::{Duration, Instant};

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod bulkhead;
mod check;
mod gcra;
mod plan;
pub mod rate;
pub mod retry;
pub mod sim;
pub mod timeout;
pub mod window;

pub use check::{Key, Problem};
pub use plan::{Params, WorstCase};

/// Returns the nanoseconds from `epoch` to `now`; zero for an earlier `now`, and enough for 584
/// years.
fn nanos(epoch: Instant, now: Instant) -> u64 {
    saturated(now.saturating_duration_since(epoch))
}

/// Returns a duration in nanoseconds; 584 years for longer ones.
fn saturated(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
