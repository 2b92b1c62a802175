//! A request that is over, for a log of requests.
//!
//! Invariant: nothing in it is a query, a body or a credential, so that a log may hold all of it.

use std::net::IpAddr;
use std::time::Duration;

use crate::{CallId, Fate, Fault, HttpVersion, RouteId, UpstreamId};

/// One request that is over, together with its answer's body.
#[derive(Clone, Copy, Debug)]
pub struct RequestRecord<'a> {
    /// How it ended.
    pub end: RequestEnd,
    /// Its id, which the answer carries too.
    pub id: &'a str,
    /// The client's address: that of the peer, or what a trusted proxy says.
    pub client: IpAddr,
    /// The protocol it came by.
    pub transport: HttpVersion,
    /// Its method; empty if its head could not be read.
    pub method: &'a str,
    /// Its path without the query, as it came; empty if its head could not be read.
    pub path: &'a str,
    /// Its `User-Agent`; empty if nobody asked for it.
    pub user_agent: &'a str,
    /// Its `Referer` without the query; empty if nobody asked for it.
    pub referer: &'a str,
    /// Its route, if it came to one.
    pub route: Option<RouteId>,
    /// Why it came to no route; empty if it did.
    pub refused: &'static str,
    /// Its call, if it came to a route.
    pub call: Option<CallId>,
    /// How its call ended; `None` if there was none.
    pub fate: Option<Fate>,
    /// The status that was answered; 499 if the client had gone.
    pub status: u16,
    /// How many attempts were made.
    pub attempts: u32,
    /// What went wrong, if an attempt or a body failed with a fault.
    pub fault: Option<&'a Fault>,
    /// What stood in its way, in words; empty if nothing did.
    pub cause: &'a str,
    /// The upstream that was to answer.
    pub upstream: Option<UpstreamId>,
    /// The address of the endpoint that was asked last; empty if none was.
    pub endpoint: &'a str,
    /// How many bytes of the answer's body were handed on.
    pub bytes: u64,
    /// From the request's head to the answer's.
    pub head_after: Duration,
    /// From the request's head to the end of the answer's body.
    pub took: Duration,
}

/// Says how a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestEnd {
    /// With an answer.
    Answered,
    /// Without a call, or by a strategy that refused the call.
    Refused,
    /// The upstream, or we, failed.
    Failed,
    /// Its answer began well and broke off.
    Cut,
    /// The client left, or the server stopped.
    Cancelled,
}

impl RequestEnd {
    /// Returns the word for this end.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the end of a request whose call ended with this fate.
    pub const fn of(fate: Fate) -> Self {
        match fate {
            Fate::Ok | Fate::OkAfterRetry | Fate::OkHedged | Fate::Stale | Fate::Fallback => {
                Self::Answered
            }
            Fate::RejectedBreaker
            | Fate::RejectedBulkhead
            | Fate::RejectedRate
            | Fate::RejectedShed => Self::Refused,
            Fate::TimedOut | Fate::Failed => Self::Failed,
            Fate::Cancelled => Self::Cancelled,
        }
    }
}
