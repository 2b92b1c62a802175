//! What happened, as closed lists: metrics, logs, traces and the dashboard all read from them.
//!
//! Does not know who is told. Invariant: what happens to a call cannot be told without saying to
//! which.

mod call;
mod origin;
mod server;
mod upstream;
mod words;

pub use call::{CallEvent, CallEventKind};
pub use origin::Origin;
pub use server::ServerEvent;
pub use upstream::{UpstreamEvent, UpstreamEventKind};
pub use words::{
    BreakerState, CacheUse, Chaos, EjectReason, HttpVersion, Left, LimitReason, Phase, RefusedHead,
    RetryDenied, RetryReason, ShedReason, TripReason,
};

/// Something that happened: to a call, to an upstream, or to the server.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something happened to a call.
    Call(&'a CallEvent<'a>),
    /// An upstream's state changed, for all its calls.
    Upstream(&'a UpstreamEvent<'a>),
    /// Something happened to the server, its connections or its requests.
    Server(&'a ServerEvent<'a>),
}

impl<'a> From<&'a CallEvent<'a>> for Event<'a> {
    fn from(event: &'a CallEvent<'a>) -> Self {
        Self::Call(event)
    }
}

impl<'a> From<&'a UpstreamEvent<'a>> for Event<'a> {
    fn from(event: &'a UpstreamEvent<'a>) -> Self {
        Self::Upstream(event)
    }
}

impl<'a> From<&'a ServerEvent<'a>> for Event<'a> {
    fn from(event: &'a ServerEvent<'a>) -> Self {
        Self::Server(event)
    }
}
