//! Carries a call policy out: one future, no allocation on the happy path.
//!
//! Does not know: HTTP, settings files, metrics, logs. It knows tokio's clock, and nothing else
//! of the outside.

mod answer;
mod call;
mod clock;
mod context;
mod gate;
mod journey;
mod policy;
mod race;
mod ticket;

pub use answer::{Answer, CallError};
pub use context::Context;
pub use policy::{Policy, Snapshot};
pub use seawall_core::{Attempt, Judge, Plain};
pub use ticket::Ticket;
