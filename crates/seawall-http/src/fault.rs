//! What a lost connection means.

use std::io;

use seawall_core::{Cause, Fault, Side};

/// Returns whether a fault before the answer's head is that the connection was lost.
pub(crate) fn is_lost(fault: &Fault) -> bool {
    fault.side == Side::Upstream && matches!(fault.cause, Cause::Reset | Cause::Io)
}

/// Returns whether an error means that the other side is gone.
pub(crate) fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}
