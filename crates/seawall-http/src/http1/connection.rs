//! An open connection to an upstream.
//!
//! Does not know: requests, nor who uses it next.

use super::inbound::Inbound;
use crate::Socket;
use crate::head::HeadTooLarge;
use crate::life::Life;

/// One open connection, and what is owed on it.
pub(super) struct Connection {
    pub(super) socket: Box<dyn Socket>,
    pub(super) inbound: Inbound,
    pub(super) life: Life,
    /// Whether an answer is owed.
    pub(super) is_owed: bool,
    pub(super) head_max: HeadTooLarge,
}

impl Drop for Connection {
    /// Resets a connection on which an answer is owed, instead of closing it: a half-read FIN looks
    /// to some servers like a client that still listens, and they would go on working for nobody.
    fn drop(&mut self) {
        if self.is_owed {
            self.socket.reset_on_close();
        }
    }
}
