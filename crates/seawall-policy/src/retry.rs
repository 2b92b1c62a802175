//! Whether a failed attempt is repeated.

use std::time::Duration;

use crate::backoff;

/// Holds the numbers of a retry.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How many attempts a call makes at most, the first included; at least 1.
    pub attempts_max: u32,
    /// What is worth another attempt.
    pub on: On,
    /// How long to wait between attempts.
    pub backoff: backoff::Params,
    /// Repeats requests whose method is not idempotent, even if they may have been seen.
    pub any_method: bool,
    /// Trusts an `Idempotency-Key` header to make any request repeatable.
    pub idempotency_key: bool,
    /// How many bytes of a request's body are kept for another attempt.
    pub replay_bytes_max: usize,
}

/// Says what is worth another attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct On {
    /// No connection could be opened.
    pub connect: bool,
    /// The connection ended before an answer.
    pub reset: bool,
    /// The attempt timed out.
    pub timeout: bool,
    /// These statuses, ascending.
    pub statuses: Vec<u16>,
}

impl Default for Params {
    /// Three attempts, full jitter from 50 ms, idempotent methods, 64 KiB kept.
    fn default() -> Self {
        Self {
            attempts_max: 3,
            on: On::default(),
            backoff: backoff::Params::default(),
            any_method: false,
            idempotency_key: false,
            replay_bytes_max: 64 * 1024,
        }
    }
}

impl Default for On {
    /// Lost connections, timeouts, and the statuses that mean "not now": 429, 502, 503, 504.
    fn default() -> Self {
        Self { connect: true, reset: true, timeout: true, statuses: vec![429, 502, 503, 504] }
    }
}

/// The shortest wait that a `Retry-After` of zero is turned into.
pub const RETRY_AFTER_FLOOR: Duration = Duration::from_millis(1);
