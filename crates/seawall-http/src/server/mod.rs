//! The server's side of a connection.
//!
//! Does not know routes or policies. One task does everything; dropping it drops every call that
//! was made for this client.

mod answer;
mod body;
mod clock;
mod first;
mod http1;
mod part;
mod socket;
mod state;

use std::time::Duration;

pub use body::{BadBody, Interim, RequestBody};
pub use clock::Clock;
pub use first::{First, read_first};
pub use http1::{Served, serve_http1};
pub use part::part;
pub use socket::{Socket, Tcp};
pub use state::{ConnectionState, Phase};

/// What a client may send in a head, and how long it may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The bytes of a request line.
    pub line_bytes_max: usize,
    /// The bytes of a request's head, its line included.
    pub head_bytes_max: usize,
    /// The headers of a request.
    pub headers_max: usize,
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub write_stall_timeout: Duration,
}

/// How long a connection must have been quiet before a server that stops closes it: a client that
/// has just had an answer may be sending its next request at this moment, and would not know whether
/// it was heard. One that has been quiet for longer is closed at once.
pub const QUIET_BEFORE_END: Duration = Duration::from_secs(1);
