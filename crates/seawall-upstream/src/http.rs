//! HTTP upstreams: how an attempt is made, and what its result means.
//!
//! Does not know the client's connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use http_body::Body as _;
use seawall_core::{Attempt, Fault};
use seawall_http::{Body, HttpJudge, Response};
use seawall_policy::Params;

use crate::request::AttemptListener;
use crate::{HttpRequest, Protocol, ResponseCache};

/// The way to an HTTP service, and what is kept of its answers; clones share both.
#[derive(Clone)]
pub struct Http {
    transport: seawall_http::Transport,
    cache: Arc<ResponseCache>,
}

impl Http {
    /// Takes a way to a service; nothing is kept of its answers yet.
    pub fn new(transport: seawall_http::Transport) -> Self {
        Self { transport, cache: Arc::new(ResponseCache::new()) }
    }

    /// Returns the same service by another way; what was kept of its answers stays.
    #[must_use]
    pub fn moved_to(&self, transport: seawall_http::Transport) -> Self {
        Self { transport, cache: Arc::clone(&self.cache) }
    }

    /// Returns the way to the service.
    pub const fn transport(&self) -> &seawall_http::Transport {
        &self.transport
    }

    /// Returns what is kept of its answers.
    pub(crate) const fn cache(&self) -> &Arc<ResponseCache> {
        &self.cache
    }
}

impl Protocol for Http {
    type Request = HttpRequest;
    type Response = Response<Body>;
    type Judge<'a> = HttpJudge<'a>;

    fn judge<'a>(&self, request: &'a HttpRequest, params: &'a Params) -> HttpJudge<'a> {
        request.judge(params.retry.as_ref())
    }

    async fn attempt(
        &self,
        request: &HttpRequest,
        mut attempt: Attempt,
        params: &Params,
    ) -> Result<Response<Body>, Fault> {
        attempt.is_stream = request.is_stream;
        let _heard = request.listener.as_deref().map(Heard::new);
        let retry = params.retry.as_ref();
        let send = || {
            let make = || request.of_attempt(&attempt);
            let may_resend = || request.may_resend(retry);
            self.transport.send_or_resend(make, may_resend, &attempt, request.interim.as_ref())
        };
        let mut sent = send().await;
        // The upstream says that it has not looked at it: a stream that it had no room for, or a
        // connection that it was closing (RFC 9113, 8.7). That is no attempt yet; twice is one.
        if matches!(&sent, Err(fault) if fault.is_not_looked_at())
            && retry.is_some()
            && request.body.is_whole()
        {
            sent = send().await;
        }
        let sent = sent.and_then(|response| request.check(response));
        if let Some(listener) = &request.listener {
            listener.ended(sent.as_ref());
        }
        match request.gathered_bytes_max {
            None => sent,
            // Boxed: calls whose bodies stream carry no room for it.
            Some(bytes_max) => Box::pin(gather(sent?, bytes_max)).await,
        }
    }
}

/// An attempt that a listener hears of, until it is dropped.
struct Heard<'a>(&'a dyn AttemptListener);

impl<'a> Heard<'a> {
    fn new(listener: &'a dyn AttemptListener) -> Self {
        listener.began();
        Self(listener)
    }
}

impl Drop for Heard<'_> {
    fn drop(&mut self) {
        self.0.over();
    }
}

/// Takes the body whole, and one byte more than `bytes_max` if it is longer.
async fn gather(response: Response<Body>, bytes_max: usize) -> Result<Response<Body>, Fault> {
    let (head, mut body) = response.into_parts();
    let mut gathered = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(bytes) = frame?.into_data() {
            let room = bytes_max.saturating_add(1) - gathered.len();
            gathered.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if gathered.len() > bytes_max {
            break;
        }
    }
    Ok(Response::from_parts(head, Body::full(gathered.freeze())))
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
