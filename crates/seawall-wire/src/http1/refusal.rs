//! Why bytes were refused, and what has to happen then.

use seawall_core::RefusedHead;

/// Says why bytes were refused.
///
/// After a refusal nothing more of the connection may be read, and it must be closed.
/// What comes before that depends on the side and the place:
///
/// - **request, [`StreamPosition::Head`]**: nobody has seen anything of this request. Finish the answers to
///   earlier requests, then write one with [`Refusal::status`] and `Connection: close`.
/// - **request, [`StreamPosition::Body`]**: the head may be at the upstream. Fail the body (never end it
///   cleanly), so that the call is cut.
/// - **response, [`StreamPosition::Head`]**: the caller gets a 502.
/// - **response, [`StreamPosition::Body`]**: the client sees a cut answer, never a whole one.
/// - **response, [`StreamPosition::Idle`]**: bytes that no request asked for. The answers before them are
///   whole; the connection must not be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Why, in the words of metrics.
    pub why: RefusedHead,
    /// The status to answer with: 4xx or 505 for a request, 502 for a response.
    pub status: u16,
    /// What exactly, as a lower case fragment that names no bytes of the client.
    pub detail: &'static str,
    /// Where the stream stood.
    pub place: StreamPosition,
}

/// The place in a stream after the pieces that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPosition {
    /// Between messages, and not a byte of the next one is here.
    Idle,
    /// Inside a head.
    Head,
    /// Inside a body.
    Body,
}

/// A refusal before the machine has added where the stream stood and whose side it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(super) why: RefusedHead,
    pub(super) status: u16,
    pub(super) detail: &'static str,
}

pub(super) const fn malformed(detail: &'static str) -> Flaw {
    Flaw { why: RefusedHead::Malformed, status: 400, detail }
}

pub(super) const fn version(detail: &'static str) -> Flaw {
    Flaw { why: RefusedHead::Malformed, status: 505, detail }
}

pub(super) const fn too_large(status: u16, detail: &'static str) -> Flaw {
    Flaw { why: RefusedHead::TooLarge, status, detail }
}

pub(super) const fn method(detail: &'static str) -> Flaw {
    Flaw { why: RefusedHead::Method, status: 405, detail }
}
