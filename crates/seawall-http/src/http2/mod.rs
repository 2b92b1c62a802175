//! HTTP/2 on both sides: one connection that many streams share.
//!
//! Does not know what a message means. [`seawall_wire::http2::Connection`] is the machine; here it
//! gets a socket, and its streams get bodies. Whoever drives a connection owns its socket; streams
//! reach it through the [`Mux`].

mod client;
mod driver;
mod fault;
mod flow;
mod mux;
mod outgoing;
mod state;
mod stream;

pub(crate) use client::Http2;
pub(crate) use driver::{Driver, Lost};
pub(crate) use mux::Mux;
pub(crate) use outgoing::{Outgoing, Unsent};
pub(crate) use state::{Accepted, Gone};

use seawall_wire::http2::Http2Limits;

/// What a peer may send, where only the limits of heads can be set.
pub(crate) const fn limits(
    streams_max: u32,
    head_bytes_max: usize,
    fields_max: usize,
) -> Http2Limits {
    Http2Limits {
        streams_max,
        head_bytes_max,
        fields_max,
        interim_max: INTERIM_MAX,
        stream_window: STREAM_WINDOW_BYTES,
        connection_window: CONNECTION_WINDOW_BYTES,
    }
}

/// What is held of one body that is not read, and of all on a connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// As over HTTP/1.
const INTERIM_MAX: u8 = 10;
