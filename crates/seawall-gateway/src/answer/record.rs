//! What there is to say about a request when it is over, kept until then.
//!
//! Does not know who writes it down. Invariants: a request is told once at most, and not at all if
//! nobody wants to know; nothing in it is a query, a body or a credential.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Version};
use seawall_call::{CallError, Policy};
use seawall_core::{
    CallId, CancelReason, Fate, Fault, HttpVersion, Left, RequestEnd, RequestRecord, RouteId,
    ServerEvent, UpstreamId,
};
use seawall_http::RequestHead;
use seawall_upstream::in_full;
use seawall_wire::{Name, Value};
use tokio::time::Instant;

use crate::request::caller;
use crate::settings::{Logged, Server};
use crate::shared::Shared;
use seawall_http::server::ConnectionState;

/// Holds what is known of a request until it is over.
pub(crate) struct Record {
    logged: Logged,
    id: HeaderValue,
    method: Method,
    target: Option<PathAndQuery>,
    client: IpAddr,
    transport: HttpVersion,
    agents: Option<Box<Agents>>,
    route: Option<RouteId>,
    call: Option<CallId>,
    started: Instant,
    /// What is known with the answer's head.
    head: Head,
}

/// Holds how a request's call ended.
#[derive(Clone, Copy)]
struct Head {
    fate: Option<Fate>,
    status: u16,
    attempts: u32,
    after: Duration,
}

/// Holds what a request says of its sender.
struct Agents {
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
}

/// Says how a request ended, as far as its record does not know it.
#[derive(Default)]
pub(crate) struct Ending<'a> {
    /// How; `None` if the fate says it all.
    pub(crate) end: Option<RequestEnd>,
    pub(crate) fault: Option<&'a Fault>,
    pub(crate) cause: Cow<'a, str>,
    pub(crate) refused: &'static str,
    pub(crate) upstream: Option<UpstreamId>,
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) bytes: u64,
}

impl Record {
    /// Begins to keep what is known, if anybody wants to know; before headers are changed.
    pub(crate) fn begin(
        head: &RequestHead,
        connection: &ConnectionState,
        server: &Server,
        started: Instant,
    ) -> Option<Self> {
        if server.logged == Logged::Off {
            return None;
        }
        let agents = server.log_agents.then(|| {
            let said = |name: Name<'static>| head.headers.get(name).map(Value::to_header);
            Box::new(Agents { user_agent: said(USER_AGENT), referer: said(REFERER) })
        });
        Some(Self {
            logged: server.logged,
            id: HeaderValue::from_static(""),
            method: head.method.clone(),
            target: head.uri.path_and_query().cloned(),
            client: caller::client(&head.headers, connection.peer.ip(), &server.trusted_proxies),
            transport: transport(head.version),
            agents,
            route: None,
            call: None,
            started,
            head: Head { fate: None, status: 0, attempts: 0, after: Duration::ZERO },
        })
    }

    /// Notes the id, once the request has one.
    pub(crate) fn with_id(mut self, id: &HeaderValue) -> Self {
        self.id = id.clone();
        self
    }

    /// Notes the route that the request came to, and its call.
    pub(crate) fn on_route(mut self, route: RouteId, call: CallId) -> Self {
        (self.route, self.call) = (Some(route), Some(call));
        self
    }

    /// Notes what is known with the answer's head.
    pub(crate) fn answered(
        &mut self,
        fate: Option<Fate>,
        status: StatusCode,
        attempts: u32,
        after: Duration,
    ) {
        self.head = Head { fate, status: status.as_u16(), attempts, after };
    }

    /// Returns whether the answer to this request has no body, whatever its head says.
    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// Tells how the request ended, if it is one of those that are to be told.
    pub(crate) fn tell(&self, gateway: &Shared, ending: &Ending<'_>) {
        let Head { fate, status, attempts, after } = self.head;
        let end = ending.end.or_else(|| fate.map(RequestEnd::of)).unwrap_or(RequestEnd::Answered);
        if end == RequestEnd::Answered && self.logged != Logged::All {
            return;
        }
        let said = format!("the upstream answered {status}");
        let cause = match &*ending.cause {
            "" if end == RequestEnd::Failed => &said,
            cause => cause,
        };
        let agents = self.agents.as_deref();
        let user_agent = agents.and_then(|agents| agents.user_agent.as_ref());
        let referer = agents.and_then(|agents| agents.referer.as_ref());
        let request = RequestRecord {
            end,
            id: text(Some(&self.id)),
            client: self.client,
            transport: self.transport,
            method: self.method.as_str(),
            path: self.target.as_ref().map_or("", PathAndQuery::path),
            user_agent: text(user_agent),
            referer: text(referer).split(['?', '#']).next().unwrap_or_default(),
            route: self.route,
            refused: ending.refused,
            call: self.call,
            fate,
            status,
            attempts,
            fault: ending.fault,
            cause,
            upstream: ending.upstream,
            endpoint: ending.endpoint.as_deref().unwrap_or_default(),
            bytes: ending.bytes,
            head_after: after,
            took: self.started.elapsed(),
        };
        gateway.say(&ServerEvent::RequestOver { request: &request });
    }
}

/// Tells of a request whose head never became one.
pub(crate) fn tell_unread(
    gateway: &Shared,
    connection: &ConnectionState,
    transport: HttpVersion,
    id: &HeaderValue,
    (refused, status, cause): (&'static str, u16, &'static str),
) {
    if gateway.table().server.logged == Logged::Off {
        return;
    }
    let request = RequestRecord {
        end: RequestEnd::Refused,
        id: text(Some(id)),
        client: connection.peer.ip().to_canonical(),
        transport,
        method: "",
        path: "",
        user_agent: "",
        referer: "",
        route: None,
        refused,
        call: None,
        fate: None,
        status,
        attempts: 0,
        fault: None,
        cause,
        upstream: None,
        endpoint: "",
        bytes: 0,
        head_after: Duration::ZERO,
        took: Duration::ZERO,
    };
    gateway.say(&ServerEvent::RequestOver { request: &request });
}

impl<'a> Ending<'a> {
    /// Says how a call ended that has no answer.
    pub(crate) fn failed(error: &'a CallError<Arc<Fault>>, policy: &Policy) -> Self {
        Self {
            fault: error.inner().map(|fault| &**fault),
            cause: in_full(error).into(),
            upstream: Some(policy.upstream()),
            endpoint: error.endpoint().and_then(|endpoint| policy.endpoint_name(endpoint)),
            ..Self::default()
        }
    }

    /// Says that an answer's body broke off.
    pub(crate) fn cut(fault: &'a Fault) -> Self {
        let cause = in_full(fault).into();
        Self { end: Some(RequestEnd::Cut), fault: Some(fault), cause, ..Self::default() }
    }

    /// Says that the client left before the end, or why we left it.
    pub(crate) fn cancelled(connection: &ConnectionState) -> Self {
        let cause = match (connection.cancel.reason(), connection.verdict()) {
            (CancelReason::Shutdown, _) => "the server stopped",
            (_, Some(Left::WriteStall)) => "the client did not read the answer",
            (_, Some(Left::BodyTooSlow)) => "the client sent its body too slowly",
            (_, Some(Left::Flooded)) => "the client sent frames that bring nothing",
            _ => "the client left",
        };
        Self { end: Some(RequestEnd::Cancelled), cause: cause.into(), ..Self::default() }
    }
}

/// Returns the protocol of a request.
pub(crate) fn transport(version: Version) -> HttpVersion {
    if version == Version::HTTP_2 { HttpVersion::Http2 } else { HttpVersion::Http1 }
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

const USER_AGENT: Name<'static> = Name::of("user-agent");
const REFERER: Name<'static> = Name::of("referer");
