//! Carries a call policy out: one future, no allocation on the happy path.
//!
//! Does not know: HTTP (without its features), settings files, metrics, logs. It knows tokio's
//! clock, and nothing else of the outside. It is the one crate to depend on: the words of
//! `seawall-core` and the numbers of `seawall-policy` that a service needs are here too.
//!
//! ```toml
//! [dependencies]
//! seawall-call = "0.1"                                        # with tower and http
//! seawall-call = { version = "0.1", features = ["reqwest"] }  # and a client
//! seawall-call = { version = "0.1", default-features = false }
//! ```
//!
//! ```
//! use std::time::Duration;
//!
//! use seawall_call::Policy;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::builder()
//!     .total_timeout(Duration::from_secs(2))
//!     .limit(|limit| limit.in_flight_max = 32)
//!     .build()?;
//! let answer = policy
//!     .run(async |attempt| match attempt.number {
//!         1 => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
//!         _ => Ok("sunny"),
//!     })
//!     .await?;
//! assert_eq!((answer.value, answer.attempts), ("sunny", 2));
//! # Ok(())
//! # }
//! ```
//!
//! Where to look next: [`Policy`] and its [`Builder`]; [`judge_by`] and [`Policy::when`] say what a
//! failure is; [`Policy::with_fallback`], [`Strategy`], [`Cached`] and
//! [`Registry`] stand around it;
//! [`layer`] puts it into tower, `Policy::client` (feature `reqwest`) around a client.

// First, so that a policy's documentation begins with how it is used.
mod call;
mod call_id;

mod answer;
mod answer_cache;
mod around;
mod builder;
mod cached;
#[cfg(feature = "reqwest")]
mod client;
mod clock;
mod context;
mod endpoints;
mod fallback;
pub mod flow;
mod frame;
mod gate;
// Its pages stand outside of the package.
mod guard;
#[cfg(all(doc, not(docsrs), feature = "http"))]
pub mod guide;
mod hedging;
mod journey;
mod judge;
mod kind;
#[cfg(feature = "tower")]
pub mod layer;
mod nested;
mod permit;
mod policy;
#[cfg(feature = "http")]
mod problem;
mod race;
mod readers;
mod registry;
mod single_flight;
mod snapshot;
mod strategy;
mod unsound;
mod when;
mod work;

pub use answer::{Answer, CallError, ErrorSummary};
pub use answer_cache::{Cache, CacheEntry};
pub use builder::{Builder, Part};
pub use cached::{Cached, Served};
pub use call_id::draw_call_id;
#[cfg(feature = "reqwest")]
pub use client::{Client, ClientRequest};
pub use clock::now;
pub use context::Context;
pub use fallback::{Failed, FallbackResult, FallbackStrategy};
pub use judge::{JudgeBy, judge_by};
pub use kind::ErrorKind;
pub use nested::Nested;
pub use permit::Permit;
pub use policy::Policy;
pub use readers::Revocable;
pub use registry::{Registry, RegistryError};
pub use seawall_core::{
    Attempt, AttemptId, BreakerState, CallEvent, CallEventKind, CallId, CancelCell, CancelReason,
    Chaos, Code, Deadline, EndpointId, Event, Failure, Fate, Judge, Neutral, Observer, Observers,
    Origin, Outcome, Phase, Plain, Priority, RetryDenied, RetryReason, Retrying, ShedReason, Side,
    Silent, TraceContext, TripReason, UpstreamEvent, UpstreamEventKind, UpstreamId,
};
pub use seawall_policy::{
    Catalog, CatalogBuilder, CatalogError, CatalogFlaw, ParamKey, ParamProblem, Params, WorstCase,
    adaptive, backoff, breaker, budget, bulkhead, cache, chaos, hedge, outlier, rate, retry, shed,
    timeout,
};
pub use single_flight::{Follower, SingleFlight};
pub use snapshot::{EndpointSnapshot, EndpointTally, Snapshot};
pub use strategy::{Around, CustomPolicy, Strategy};
pub use unsound::Unsound;
pub use when::{Delay, OnRetry, Standard, When};
