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
mod policy;
#[cfg(feature = "http")]
mod problem;
mod race;
mod readers;
mod registry;
mod shelf;
mod snapshot;
mod ticket;
mod work;

pub use answer::{Answer, CallError};
pub use builder::{Builder, Part, Unsound};
pub use cached::{Cached, Served};
pub use context::Context;
pub use flight::{Flights, Seat};
pub use judge::{JudgeBy, judge_by};
pub use kind::ErrorKind;
pub use policy::Policy;
pub use readers::Revocable;
pub use registry::{Registry, RegistryError};
pub use seawall_core::{Attempt, Judge, Plain};
pub use shelf::{Entry, Shelf};
pub use snapshot::{EndpointSnapshot, EndpointTally, Snapshot};
pub use ticket::Ticket;
