//! The way to one service: where it is and how a request gets there.

use std::sync::Arc;

use seawall_core::{Attempt, Fault, Sent};
use seawall_wire::Host;

use crate::address::Address;
use crate::endpoint_transport::EndpointTransport;
use crate::names::Names;
use crate::server::Interim;
use crate::{BadAddress, Body, NamesNews, Options, Request, Resolve, Response, Simulation};

/// The way to an HTTP service, which may have several endpoints; clones share its connections.
///
/// # Examples
///
/// ```
/// use seawall_http::{Options, Transport};
///
/// let weather = Transport::new("http://127.0.0.1:8000/v1", Options::default())?;
/// assert!(Transport::new("weather", Options::default()).is_err());
/// # Ok::<(), seawall_http::BadAddress>(())
/// ```
#[derive(Clone)]
pub struct Transport {
    first: EndpointTransport,
    /// The endpoints after the first.
    others: Arc<[EndpointTransport]>,
    /// What they are as they were written.
    written: Arc<[Arc<str>]>,
    /// The endpoints once names have been looked up; nothing if no endpoint has a name.
    names: Option<Arc<Names>>,
}

impl Transport {
    /// Makes the way to `http://host:port[/base]` or `sim:NAME`; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// Fails if the address is neither.
    pub fn new(address: &str, options: Options) -> Result<Self, BadAddress> {
        Self::several(&[address], options)
    }

    /// Makes the way to an upstream with several endpoints, in the order of
    /// [`EndpointId`](seawall_core::EndpointId); nothing is connected yet.
    ///
    /// # Errors
    ///
    /// Fails if there is no address, or if one is none.
    pub fn several(addresses: &[&str], options: Options) -> Result<Self, BadAddress> {
        let mut ways = addresses.iter().map(|address| EndpointTransport::to(address, &options));
        let first = ways.next().ok_or_else(|| BadAddress("there is no address".to_owned()))??;
        let others = ways.collect::<Result<_, _>>()?;
        let written = addresses.iter().map(|address| Arc::from(*address)).collect();
        let listed: Vec<_> =
            addresses.iter().filter_map(|address| Address::parse(address).ok()).collect();
        let has_names = listed.iter().any(|address| address.fixed.is_none());
        let names = has_names.then(|| Arc::new(Names::new(listed, options)));
        Ok(Self { first, others, written, names })
    }

    /// Returns the endpoints that there are now, each at the place that is its
    /// [`EndpointId`](seawall_core::EndpointId): as they were written, or what their names stand
    /// for once somebody [follows](Self::follow_names) them.
    pub fn endpoints(&self) -> Vec<Option<Arc<str>>> {
        let found = self.names.as_ref().map(|names| names.endpoints()).unwrap_or_default();
        match found.is_empty() {
            true => self.written.iter().cloned().map(Some).collect(),
            false => found,
        }
    }

    /// Looks the names of the endpoints up, at once and then every [`Options::dns_refresh`], and
    /// tells what has changed. Every address of a name is an endpoint of its own, 64 at most.
    ///
    /// Without it each new connection looks its name up, and takes the first address that answers.
    /// Ends at once if no endpoint has a name, and never otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it; the endpoints stay as they are.
    pub async fn follow_names(
        &self,
        resolver: &dyn Resolve,
        tell: impl Fn(NamesNews<'_>) + Send + Sync,
    ) {
        if let Some(names) = &self.names {
            names.follow(resolver, &tell).await;
        }
    }

    /// Returns whether an endpoint has a name that can be [followed](Self::follow_names).
    pub fn has_names(&self) -> bool {
        self.names.is_some()
    }

    /// Makes the way to a simulated upstream, whose scenario can be changed from outside.
    pub fn simulated(simulation: Simulation) -> Self {
        let (first, others, written) = (
            EndpointTransport::Simulated(simulation),
            Arc::default(),
            Arc::from([Arc::from("sim:")]),
        );
        Self { first, others, written, names: None }
    }

    /// Returns whether the upstream can say that it has not looked at a request; then any may be
    /// sent again (RFC 9113, 8.7).
    pub fn may_refuse(&self) -> bool {
        matches!(&self.first, EndpointTransport::Http2(_))
    }

    /// Returns the simulation, if the upstream's first endpoint is one.
    pub fn simulation(&self) -> Option<&Simulation> {
        match &self.first {
            EndpointTransport::Simulated(simulation) => Some(simulation),
            EndpointTransport::Http1(_) | EndpointTransport::Http2(_) => None,
        }
    }

    /// Returns what stands before every path at the endpoint that a host and port name; nothing if
    /// there is no such endpoint.
    pub fn base_at(&self, host: Host<'_>) -> Option<&str> {
        let mut addresses =
            [&self.first].into_iter().chain(&*self.others).filter_map(EndpointTransport::address);
        addresses.find(|address| address.is_at(host)).map(Address::base)
    }

    /// Returns what stands before every path at the first endpoint.
    pub fn base(&self) -> &str {
        self.first.address().map_or("", Address::base)
    }

    /// Sends one request; its URI is the path and query at the upstream, to which the upstream
    /// adds its base, its authority and the `Host` header, or
    /// [that which its head names](crate::RequestHead::named_host).
    ///
    /// Must be called on a tokio runtime. The deadline of the attempt is the caller's business;
    /// what is looked at here is how long a connection may take and a body may be silent.
    ///
    /// # Errors
    ///
    /// Fails with what went wrong; [`Fault::sent`] says whether the upstream can have seen the
    /// request. A status of the upstream is never an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future resets the connection (HTTP/1.1) or the stream (HTTP/2), and so does
    /// dropping the body of the answer before its end: the upstream sees it at once.
    pub async fn send(
        &self,
        request: impl Into<Request<Body>>,
        attempt: &Attempt,
    ) -> Result<Response<Body>, Fault> {
        self.send_over(request.into(), attempt, false, None).await
    }

    /// Sends a request, and once more over a fresh connection if the first one was found to have
    /// been forgotten by the other side ([`Sent::Stale`]) and `may_resend` agrees. Both are one
    /// attempt: the upstream has most likely not seen the first. What it says before its answer
    /// (103, say) is told to `interim`.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// That of [`send`](Self::send).
    pub async fn send_or_resend<R: Into<Request<Body>>>(
        &self,
        make: impl Fn() -> R,
        may_resend: impl FnOnce() -> bool,
        attempt: &Attempt,
        interim: Option<&Interim>,
    ) -> Result<Response<Body>, Fault> {
        match self.send_over(make().into(), attempt, false, interim).await {
            Err(fault) if fault.sent == Sent::Stale && may_resend() => {
                // Boxed: few calls come here, and all would carry the room for it.
                Box::pin(self.send_over(make().into(), attempt, true, interim)).await
            }
            result => result,
        }
    }

    async fn send_over(
        &self,
        request: Request<Body>,
        attempt: &Attempt,
        is_fresh: bool,
        interim: Option<&Interim>,
    ) -> Result<Response<Body>, Fault> {
        let found = self.names.as_ref().and_then(|names| names.way(attempt.endpoint));
        let way = match (&found, usize::from(attempt.endpoint.0)) {
            (Some(way), _) => way,
            (None, 0) => &self.first,
            // A call that began before a reload may mean an endpoint that is gone.
            (None, place) => self.others.get(place - 1).unwrap_or(&self.first),
        };
        match way {
            EndpointTransport::Http1(http1) => {
                http1.send(request, attempt, is_fresh, interim).await
            }
            // Boxed: calls over HTTP/1 carry no room for them.
            EndpointTransport::Http2(http2) => {
                Box::pin(http2.send(request, attempt, is_fresh, interim)).await
            }
            EndpointTransport::Simulated(simulation) => {
                Box::pin(simulation.send(request, attempt)).await
            }
        }
    }
}
