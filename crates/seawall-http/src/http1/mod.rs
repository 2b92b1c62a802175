//! HTTP/1.1 over connections: messages in and out, and the way to one upstream.

mod client;
mod connection;
mod fault;
mod flow;
pub(crate) mod heads;
mod inbound;
mod outbound;

pub(crate) use client::{Http1, is_telling};
pub(crate) use flow::Flow;
pub(crate) use heads::Found;
pub(crate) use inbound::{Broken, Inbound, poll_now};
pub(crate) use outbound::{Framing, Outbound, Unsent, give_room, room};
