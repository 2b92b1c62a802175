//! What a request is answered with, before it is known how it is sent.
//!
//! Does not know where it comes from.

use bytes::Bytes;
use http::StatusCode;
use seawall_call::Permit;
use seawall_core::RouteId;
use seawall_http::{Body, Response};
use seawall_wire::Fields;

use crate::answer::record::Record;

/// What a request is answered with.
pub(crate) enum Answered {
    /// What an upstream or a responder says, whose body is on its way.
    Streaming {
        response: Response<Body>,
        route: RouteId,
        permit: Option<Permit>,
        record: Option<Record>,
    },
    /// What we say ourselves, and the rest of the request that was not wanted.
    Ours { response: Response<Bytes>, unread: Option<Body> },
}

impl Answered {
    pub(crate) fn head(&mut self) -> (StatusCode, &mut Fields) {
        match self {
            Self::Streaming { response, .. } => (response.status(), response.headers_mut()),
            Self::Ours { response, .. } => (response.status(), response.headers_mut()),
        }
    }
}
