//! One stream: which of its sides have ended, and how much each may still send.

/// A stream of a connection, with what its user keeps for it.
#[derive(Debug)]
pub(super) struct Stream<T> {
    pub(super) user: T,
    /// Whether the peer has sent its END_STREAM, or must not send anything more.
    pub(super) is_received: bool,
    /// Whether we have sent our END_STREAM, or must not send anything more.
    pub(super) is_sent: bool,
    /// How much the peer lets us send.
    pub(super) send_window: i64,
    /// How much the peer may send.
    pub(super) receive_window: i64,
    /// How much of what came was taken, and not granted anew.
    pub(super) taken: i64,
    /// How much of the body must still come, if the head has said how long it is.
    pub(super) length: Option<u64>,
    /// Whether the head has come that is not an interim one.
    pub(super) has_head: bool,
    /// Whether an answer to it has no body, whatever it says.
    pub(super) is_head: bool,
    /// How many interim answers have come.
    pub(super) interim: u8,
}

impl<T> Stream<T> {
    pub(super) const fn new(user: T, send_window: i64, receive_window: i64) -> Self {
        Self {
            user,
            is_received: false,
            is_sent: false,
            send_window,
            receive_window,
            taken: 0,
            length: None,
            has_head: false,
            is_head: false,
            interim: 0,
        }
    }

    /// Returns whether nothing more goes either way.
    pub(super) const fn is_over(&self) -> bool {
        self.is_received && self.is_sent
    }
}
