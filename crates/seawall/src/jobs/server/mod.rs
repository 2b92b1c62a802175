//! Jobs in the server: begun by time, by files that appear, or by hand; kept in a store, so that
//! they go on after a crash, here or on another machine.
//!
//! Does not know: how lines are sent, HTTP. Invariant: what a job is to do stands in
//! the settings, what it is doing stands in the store; neither is kept here.

mod admin;
mod ends;
mod folder;
mod intake;
mod new_run;
mod payload;
mod plan;
mod queues;
mod runner;
mod schedules;
mod service;
mod shown;
#[cfg(test)]
mod stored;

pub(crate) use admin::listed;
pub(crate) use plan::Plan;
pub(crate) use service::{Found, Service};
