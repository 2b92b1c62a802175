//! The admin port: status, metrics, health, reload. Its own thread and runtime, so that it answers
//! even when the data path is stuck.

mod ask;
mod guard;
mod handover;
mod page;
mod room;
mod routes;
mod runtime_file;
mod server;

pub(crate) use ask::{CannotAsk, Said, Server, ask, find};
pub(crate) use guard::Key;
pub(crate) use handover::{Predecessor, take};
pub(crate) use server::Admin;
