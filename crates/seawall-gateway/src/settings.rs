//! The gateway's settings as they are meant: every value here is legal.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;
use seawall_core::RouteId;
use seawall_http::server;
use seawall_upstream::{Operation, Prepared, Responder, Upstream};

use crate::{BadRoute, KeySource, PrioritySource};

/// Holds everything that one generation of settings says about the gateway.
#[derive(Clone, Default)]
pub struct Settings {
    /// What holds for every connection and request.
    pub server: Server,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
}

/// Holds what is set for every connection and request.
#[derive(Clone, Debug)]
pub struct Server {
    /// The limits on what clients may send and how slowly.
    pub limits: ServerLimits,
    /// The proxies whose `Forwarded` and `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether answers carry a `seawall-outcome` header.
    pub outcome_header: bool,
    /// Which requests the observer is told of when they are over.
    pub logged: Logged,
    /// Whether it is told their `User-Agent` and `Referer`, too.
    pub log_agents: bool,
}

/// Says which requests are told of when they are over, their answer's body included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logged {
    /// None.
    Off,
    /// Those that failed, were refused or were cut.
    #[default]
    Failed,
    /// All.
    All,
}

seawall_core::words!(Logged { Failed => "failed", All => "all", Off => "off" });

/// The limits on what clients may send and how slowly.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerLimits {
    /// The bytes of a request line.
    pub line_bytes_max: usize,
    /// The bytes of a request's head, its line included.
    pub head_bytes_max: usize,
    /// The headers of a request.
    pub headers_max: usize,
    /// The bytes of a request's body, where a route says nothing else.
    pub body_bytes_max: u64,
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// The bytes a second below which a body is cut, after `body_grace`.
    pub body_rate_min: u64,
    /// How long a body may be as slow as it likes.
    pub body_grace: Duration,
    /// How long a client may leave an answer unread.
    pub write_stall_timeout: Duration,
    /// The bytes a second below which an answer is cut, once its client has let it wait for
    /// `write_stall_timeout` in all; 0 for none.
    pub read_rate_min: u64,
    /// How long a connection may be idle between requests.
    pub keep_alive_timeout: Duration,
    /// How many requests a connection may carry.
    pub keep_alive_requests_max: u64,
    /// How many clients may be connected.
    pub connections_max: usize,
    /// How many of them from one address.
    pub connections_per_address_max: usize,
    /// How many streams an HTTP/2 connection may have open.
    pub streams_max: u32,
}

impl ServerLimits {
    /// Returns those of a connection, whatever it serves.
    pub(crate) fn on_the_wire(&self) -> server::ClientLimits {
        server::ClientLimits {
            line_bytes_max: self.line_bytes_max,
            head_bytes_max: self.head_bytes_max,
            headers_max: self.headers_max,
            streams_max: self.streams_max,
            first_byte_timeout: self.first_byte_timeout,
            head_timeout: self.head_timeout,
            keep_alive_timeout: self.keep_alive_timeout,
            write_stall_timeout: self.write_stall_timeout,
        }
    }
}

/// Says what one route does.
#[derive(Clone)]
pub struct Route {
    /// The route's number in metrics.
    pub id: RouteId,
    /// The route as written: `GET /api/weather/{city}`.
    pub name: Arc<str>,
    /// The method it serves; `None` for any.
    pub method: Option<Method>,
    /// The host it serves, in lower case without port; `None` for any.
    pub host: Option<Arc<str>>,
    /// The path it serves: `/api/weather/{city}`, `/files/{*rest}`.
    pub path: Arc<str>,
    /// How much its requests matter.
    pub priority: PrioritySource,
    /// What tells its callers apart, for a rate limit that counts each apart.
    pub key: KeySource,
    /// The bytes of a body on this route; `None` for the server's limit.
    pub body_bytes_max: Option<u64>,
    /// Whether a `Location` that names the upstream is made to name what the client asked for.
    pub rewrites_redirects: bool,
    /// Where it ends.
    pub to: RouteEnd,
}

/// Where a route ends.
#[derive(Clone)]
pub enum RouteEnd {
    /// It calls an upstream.
    Call(Arc<Operation>),
    /// It answers something that was prepared.
    Prepared(Prepared),
    /// Something else answers: a hub.
    Responder(Arc<dyn Responder>),
}

impl Route {
    /// Makes a route of one method, or of any, that calls an upstream as its own policy says and
    /// with nothing else set.
    ///
    /// # Errors
    ///
    /// Fails if the path is none.
    pub fn new(
        id: RouteId,
        method: Option<Method>,
        path: &str,
        upstream: Upstream,
    ) -> Result<Self, BadRoute> {
        let name = format!("{} {path}", method.as_ref().map_or("*", Method::as_str));
        let operation = Operation::new(name, upstream, path)?;
        Ok(Self::to(id, method, path, operation))
    }

    /// Makes a route of one method, or of any, to an operation, which gives it its name.
    pub fn to(id: RouteId, method: Option<Method>, path: &str, operation: Operation) -> Self {
        Self {
            id,
            name: Arc::clone(&operation.name),
            method,
            host: None,
            path: path.into(),
            priority: PrioritySource::default(),
            key: KeySource::default(),
            body_bytes_max: None,
            rewrites_redirects: true,
            to: RouteEnd::Call(Arc::new(operation)),
        }
    }
}

impl Default for Server {
    /// Safe limits, nobody trusted, answers say what the policy did.
    fn default() -> Self {
        Self {
            limits: ServerLimits::default(),
            trusted_proxies: Vec::new(),
            outcome_header: true,
            logged: Logged::default(),
            log_agents: false,
        }
    }
}

impl Default for ServerLimits {
    /// 8 KiB line, 32 KiB head of 100 headers, 10 MiB body; 10 s for a first byte and for a head,
    /// 240 B/s after 5 s for a body, 30 s of unread answer, 60 s and 1000 requests kept alive.
    fn default() -> Self {
        Self {
            line_bytes_max: 8 * 1024,
            head_bytes_max: 32 * 1024,
            headers_max: 100,
            body_bytes_max: 10 * 1024 * 1024,
            first_byte_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_rate_min: 240,
            body_grace: Duration::from_secs(5),
            write_stall_timeout: Duration::from_secs(30),
            read_rate_min: 240,
            keep_alive_timeout: Duration::from_secs(60),
            keep_alive_requests_max: 1000,
            connections_max: 16_384,
            connections_per_address_max: 16_384,
            streams_max: 100,
        }
    }
}
