//! Carries a call policy out: one future, no allocation on the happy path.
//!
//! Does not know: HTTP, settings files, metrics, logs. It knows tokio's clock, and nothing else
//! of the outside.

mod answer;
mod call;
mod context;

pub use answer::{Answer, CallError, Ticket};
pub use call::{Policy, Snapshot};
pub use context::Context;
pub use seawall_core::{Attempt, Judge, Plain};
