//! Ends of a route that call no upstream: a hub, and whatever else answers by itself.
//!
//! Does not know: how requests are routed or answers sent. It stands here, below all products,
//! because the gateway serves it and others implement it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Method, Uri};
use seawall_call::Context;
use seawall_http::server::{Interim, RequestBody};
use seawall_http::{Body, Response};
use seawall_wire::Fields;

/// Answers the requests of a route by itself.
pub trait Responder: Send + Sync + 'static {
    /// Answers one request. An answer with status 101 makes a tunnel of the connection: its body is
    /// what the client is sent from then on. Only a request with an [`Upgrade`] may be answered so.
    ///
    /// # Cancel safety
    ///
    /// The future, and then the answer's body, are dropped when the client leaves.
    fn respond<'a>(&'a self, request: RoutedRequest<'a>) -> Responding<'a>;
}

/// The future of an answer.
pub type Responding<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// A request that has found its route.
pub struct RoutedRequest<'a> {
    /// The route's name.
    pub route: &'a Arc<str>,
    /// What is to be done.
    pub method: Method,
    /// Path and query, as they were asked for.
    pub uri: Uri,
    /// The fields, without those that are meant for one hop.
    pub headers: Fields,
    /// The body, which ends with a fault past the route's limits.
    pub body: Body,
    /// The address of the client: that of the peer, or what a trusted proxy says.
    pub client: IpAddr,
    /// The request's id.
    pub request_id: &'a HeaderValue,
    /// The deadline, why the request ends if it is dropped, and how much it matters.
    pub context: Context<'a>,
    /// The connection, if its client asks for a WebSocket.
    pub upgrade: Option<Upgrade>,
}

/// A connection whose client asks for another protocol.
pub struct Upgrade(Interim);

impl Upgrade {
    /// Takes where the client's connection can be switched.
    pub const fn new(interim: Interim) -> Self {
        Self(interim)
    }

    /// Returns what the client sends from here on; the request must be answered with status 101.
    pub fn accept(self) -> RequestBody {
        self.0.switch()
    }
}
