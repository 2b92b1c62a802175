//! The pure machines of the call policy: one file per strategy, and the plan that orders them.
//!
//! Does not know: tokio, a clock, sockets, HTTP, logs. `now` and randomness are arguments; a
//! machine returns a decision and the caller carries it out. So every strategy is tested without
//! sleeping, and a simulator can run them in virtual time. `seawall-call` is the future that
//! carries a whole plan out; use the machines alone where you have a loop of your own.
//!
//! | machine | decides | state |
//! |---|---|---|
//! | [`breaker`] | whether an upstream is called at all | ten packed words, one more for the state |
//! | [`retry`] with [`backoff`] | whether and when an attempt is repeated | none |
//! | [`budget`] | whether a repetition can be afforded | atomics |
//! | [`bulkhead`] | how many run, who waits, who is next | behind the caller's lock |
//! | [`rate`] | how many start in a second | atomics |
//!
//! Numbers ([`Params`]) and state are apart: new numbers take effect with the next call, and no
//! state is lost by them.
//!
//! # Example
//!
//! A loop that asks a breaker before each attempt, and tells it afterwards:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use seawall_core::{BreakerState, Chance, Failure, Outcome};
//! use seawall_policy::breaker::{Admit, Breaker, Params};
//!
//! let params = Params { consecutive: 3, ..Params::default() };
//! let lease = Duration::from_secs(10);
//! let mut now = Instant::now();
//! let mut chance = Chance::seeded(1);
//! let breaker = Breaker::new(now);
//!
//! let mut calls = 0;
//! while let Admit::Pass(grant) = breaker.admit(&params, now, lease, || 0.5) {
//!     calls += 1;
//!     let outcome = Outcome::Failure(Failure::Connect);
//!     breaker.record(&params, grant, outcome, now, &mut chance);
//! }
//! assert_eq!(calls, 3);
//! assert_eq!(breaker.state(now), BreakerState::Open);
//!
//! // No sleeping: five seconds later is a number.
//! now += params.open;
//! assert!(matches!(breaker.admit(&params, now, lease, || 0.5), Admit::Probe(_)));
//! ```
//!
//! What a policy does, and how long it can take, in words:
//!
//! ```
//! let standard = seawall_policy::Params::standard();
//! assert!(standard.check().is_empty());
//! print!("{}", standard.describe());
//! ```

use std::time::{Duration, Instant};

pub mod adaptive;
pub mod backoff;
mod bins;
pub mod breaker;
pub mod budget;
pub mod bulkhead;
pub mod cache;
mod catalog;
pub mod chaos;
mod check;
mod describe;
mod follow;
mod gcra;
pub mod hedge;
pub mod outlier;
pub mod patience;
mod plan;
mod presets;
pub mod rate;
pub mod retry;
pub mod shed;
pub mod sim;
pub mod sketch;
mod sync;
pub mod timeout;
pub mod window;

#[cfg(all(test, loom))]
#[path = "../tests/models/mod.rs"]
mod models;

pub use catalog::{Catalog, CatalogBuilder, CatalogError, CatalogFlaw};
pub use check::{ParamKey, ParamProblem};
pub use plan::{Params, WorstCase};

/// Returns the nanoseconds from `epoch` to `now`; zero for an earlier `now`, and enough for 584
/// years.
#[inline]
fn nanos(epoch: Instant, now: Instant) -> u64 {
    saturated(now.saturating_duration_since(epoch))
}

/// Returns a share of a duration; the longest there is for what is too long for one.
fn scaled(duration: Duration, share: f64) -> Duration {
    seconds(duration.as_secs_f64() * share)
}

/// Turns seconds into a duration; the longest there is for what is too long for one.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// Returns a duration in nanoseconds; 584 years for longer ones.
#[inline]
fn saturated(duration: Duration) -> u64 {
    // In 64 bits: this is on the path of every call, and 128 bits cost it a tenth of its time.
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}
