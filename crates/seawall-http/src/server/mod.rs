//! The server's side of a connection.
//!
//! Does not know routes or policies. One task does everything; dropping it drops every call that
//! was made for this client.

mod answer;
mod body;
mod catch_panic;
mod connection_limit;
mod drain;
mod first;
mod http1;
mod http2;
mod listener;
mod part;
mod state;
mod timer;

use std::time::Duration;

use seawall_core::Left;
use seawall_wire::http1::{Wake, WakeTimes};

pub use body::{BadBody, Interim, RequestBody};
pub use catch_panic::CatchPanic;
pub use connection_limit::ConnectionLimit;
pub use first::{First, read_first};
pub use http1::{ServedConnection, serve_http1};
pub use http2::serve_http2;
pub use listener::{ConnectionService, listen};
pub use part::part;
pub use state::{ConnectionState, DrainPhase};
pub use timer::ConnectionTimer;

/// The limits on what a client may send in a head, and how long it may take.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// The bytes of a request line.
    pub line_bytes_max: usize,
    /// The bytes of a request's head, its line included.
    pub head_bytes_max: usize,
    /// The headers of a request.
    pub headers_max: usize,
    /// The streams that a client may have open (HTTP/2).
    pub streams_max: u32,
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub write_stall_timeout: Duration,
}

impl ClientLimits {
    fn times(&self) -> WakeTimes {
        WakeTimes {
            first_byte: self.first_byte_timeout,
            head: self.head_timeout,
            idle: self.keep_alive_timeout,
            drain: QUIET_BEFORE_END,
            write_stall: self.write_stall_timeout,
        }
    }
}

/// How long a connection must have been quiet before a server that stops closes it: a client that
/// has just had an answer may be sending its next request at this moment, and would not know whether
/// it was heard. One that has been quiet for longer is closed at once.
const QUIET_BEFORE_END: Duration = Duration::from_secs(1);

/// Returns how a connection ends on which something is due.
const fn left_at(wake: Wake) -> Left {
    match wake {
        Wake::FirstByte => Left::FirstByteTimeout,
        Wake::Head => Left::HeadTimeout,
        Wake::Idle => Left::IdleTimeout,
        Wake::Drain => Left::Finished,
        Wake::WriteStall => Left::WriteStall,
    }
}
