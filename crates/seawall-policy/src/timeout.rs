//! Time limits: for the whole call, an attempt, a connection, a silence.

use std::time::Duration;

/// No time limit at all, for those who have another way to end what hangs: dropping the call.
pub const NONE: Duration = Duration::MAX;

/// Holds the time limits of a policy; [`NONE`] is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// For everything until the answer's head: queue, attempts, backoff.
    pub total: Duration,
    /// For one attempt, until the answer's head.
    pub attempt: Duration,
    /// For opening a connection; never longer than the attempt.
    pub connect: Duration,
    /// For a silence within a body.
    pub idle: Duration,
    /// For a silence within a body that is a stream.
    pub stream_idle: Duration,
}

impl Default for Params {
    /// 30 s in all, 9 s an attempt (so that three fit), 2 s to connect, 15 s of silence, 5 minutes
    /// of it in a stream.
    fn default() -> Self {
        Self {
            total: Duration::from_secs(30),
            attempt: Duration::from_secs(9),
            connect: Duration::from_secs(2),
            idle: Duration::from_secs(15),
            stream_idle: Duration::from_secs(300),
        }
    }
}
