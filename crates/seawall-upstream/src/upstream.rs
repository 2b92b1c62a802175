//! One upstream: where it is and how a request gets there.

use http::{Request, Response};
use seawall_core::{Attempt, Cause, Fault, Step};
use thiserror::Error;

use crate::Body;

/// Sends requests to one upstream; clones share its connections.
#[derive(Clone)]
pub struct Upstream {
    _address: std::sync::Arc<str>,
}

/// Holds what can be set about the way to an upstream.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Speaks HTTP/2 with prior knowledge instead of HTTP/1.1.
    pub http2: bool,
}

/// Says what is wrong with an upstream's address.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct BadAddress(pub String);

impl Upstream {
    /// Makes the way to `http://host:port[/base]` or `sim:NAME`; nothing is connected yet.
    pub fn new(address: &str, _options: Options) -> Result<Self, BadAddress> {
        Ok(Self { _address: address.into() })
    }

    /// Sends one request; its URI is the path and query at the upstream.
    pub async fn send(
        &self,
        _request: Request<Body>,
        _attempt: &Attempt,
    ) -> Result<Response<Body>, Fault> {
        Err(Fault::ours(Step::Connect, Cause::Refused))
    }
}
