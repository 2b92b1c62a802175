//! Carries a call policy out: one future, no allocation on the happy path.
//!
//! Does not know: HTTP, settings files, metrics, logs. It knows tokio's clock, and nothing else
//! of the outside.
//!
//! ```
//! use std::sync::Arc;
//!
//! use seawall_call::{Context, Plain, Policy};
//! use seawall_core::{CancelCell, Silent, UpstreamId};
//! use seawall_policy::Params;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let policy = Policy::new(UpstreamId(0), Params::standard(), Arc::new(Silent));
//! let cancel = CancelCell::default();
//! let context = Context::new(&cancel);
//! let answer = policy.call(context, &Plain, async |attempt| {
//!     if attempt.number == 1 { Err("connection reset") } else { Ok("sunny") }
//! });
//! let answer = answer.await.expect("the second attempt answers");
//! assert_eq!((answer.value, answer.attempts), ("sunny", 2));
//! # }
//! ```

mod answer;
mod call;
mod clock;
mod context;
mod ends;
mod gate;
mod hedge;
mod hold;
mod journey;
mod kind;
mod policy;
mod race;
mod snapshot;
mod ticket;
mod work;

pub use answer::{Answer, CallError};
pub use context::Context;
pub use kind::ErrorKind;
pub use policy::Policy;
pub use seawall_core::{Attempt, Judge, Plain};
pub use snapshot::{EndpointSnapshot, Snapshot};
pub use ticket::Ticket;
