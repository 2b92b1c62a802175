//! Carries a call policy out: one future, no allocation on the happy path.
//!
//! Does not know: HTTP, settings files, metrics, logs. It knows tokio's clock, and nothing else
//! of the outside.
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

mod answer;
mod builder;
mod cached;
mod call;
mod clock;
mod context;
mod ends;
mod flight;
mod frame;
mod gate;
#[cfg(all(doc, feature = "http"))]
pub mod guide;
mod hedge;
mod hold;
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
mod registry;
mod shelf;
mod snapshot;
mod work;

pub use answer::{Answer, CallError, Summary};
pub use builder::{Builder, Part, Unsound};
pub use cached::{Cached, Served};
pub use clock::now;
pub use context::Context;
pub use flight::{Flights, Seat};
pub use judge::{JudgeBy, judge_by};
pub use kind::ErrorKind;
pub use nested::Nested;
pub use permit::Permit;
pub use policy::Policy;
pub use registry::{Registry, RegistryError};
pub use seawall_core::{Attempt, Judge, Plain};
pub use shelf::{Entry, Shelf};
pub use snapshot::{EndpointSnapshot, EndpointTally, Snapshot};
