//! The admin port: status, metrics, health, orders. Its own thread and runtime, so that it answers
//! even when the data path is stuck; and the way to the one of a server that runs.
//!
//! Does not know: settings, upstreams, how an order is carried out, what jobs do. The host gives it
//! values, takes its orders, and answers for the jobs.

mod ask;
mod by_hand;
mod guard;
mod handover;
mod jobs;
mod page;
mod room;
mod routes;
mod runtime_file;
mod server;
mod state;

pub use ask::{CannotAsk, RunningServer, ServerAnswer, ask, find};
pub use by_hand::{BreakerAction, BreakerChange, ByHand, ChaosChange};
pub use guard::Guard;
pub use handover::{Predecessor, Taken, take};
pub use jobs::{JobAnswer, JobRequest, Jobs, NewRun};
pub use server::Admin;
pub use state::{ORDERS_MAX, Order, Orders, Refused, Reloaded, State};
