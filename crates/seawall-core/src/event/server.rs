//! What happens to a server: its connections, its requests, its settings, its end.
//!
//! Does not know upstreams. A request that has a route has a call, and carries its id.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::{CallId, Fate, Fault, HttpVersion, Left, RefusedHead, RequestRecord, RouteId};

/// Something that happened to the server.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// A client connected.
    ConnectionOpened {
        /// The client's socket address.
        peer: SocketAddr,
    },
    /// A client's connection ended.
    ConnectionClosed {
        /// How it ended.
        how: Left,
        /// How long it was open.
        open_for: Duration,
    },
    /// A client was turned away because too many were connected.
    ConnectionRefused,
    /// The operating system would not give us a connection.
    AcceptFailed {
        /// Its error number.
        errno: i32,
    },
    /// A request was refused before it was routed.
    RequestRefused {
        /// Why.
        why: RefusedHead,
        /// The status that was answered.
        status: u16,
    },
    /// A request entered a route.
    RequestStarted {
        /// When its head had come.
        at: Instant,
        /// The call that will be made for it; it may be answered without one.
        call: CallId,
        /// The route.
        route: RouteId,
        /// The protocol it came by.
        transport: HttpVersion,
    },
    /// A request left its route, so long after it had entered it.
    RequestEnded {
        /// Its call.
        call: CallId,
        /// The route.
        route: RouteId,
        /// How it ended.
        fate: Fate,
        /// The status that was answered; 499 if the client had gone.
        status: u16,
        /// How many attempts were made.
        attempts: u32,
        /// From the head's last byte to the answer's head.
        took: Duration,
    },
    /// A request is over, its answer's body included, and is one of those that are to be logged.
    RequestOver {
        /// What there is to say about it.
        request: &'a RequestRecord<'a>,
    },
    /// The body of an answer did not reach its end.
    BodyCut {
        /// The route.
        route: RouteId,
        /// What went wrong.
        fault: &'a Fault,
    },
    /// Settings took effect.
    SettingsLoaded {
        /// The new generation, from 1.
        generation: u64,
    },
    /// Settings were refused; the old ones keep serving.
    SettingsRefused {
        /// How many errors they had.
        errors: usize,
    },
    /// The server began to stop.
    DrainStarted {
        /// How many requests were in flight.
        in_flight: usize,
    },
    /// The server has stopped.
    DrainEnded {
        /// How many connections had to be cut.
        cut: usize,
    },
    /// Our code panicked; the request it served was answered with 500.
    Panicked,
}
