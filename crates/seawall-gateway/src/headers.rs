//! What is passed on of a request's headers: the rules are `seawall-wire`'s, the order is ours.
//!
//! Does not know attempts or answers. What the client nominates for removal goes first, so that it
//! cannot take what we add.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;
use seawall_core::Chance;
use seawall_wire::deadline;
use seawall_wire::headers::{self as rules, Hop};

use crate::UpstreamHost;

/// What of a request's headers goes to the upstream.
pub(crate) struct Outbound {
    pub(crate) headers: HeaderMap,
    /// The host that the upstream is told; `None` for its own.
    pub(crate) host: Option<Authority>,
    /// The request's id, which the answer carries too.
    pub(crate) request_id: HeaderValue,
    /// How long the client will wait, if it says so.
    pub(crate) limit: Option<Duration>,
}

/// Makes the headers of the request to the upstream.
pub(crate) fn outbound(
    mut headers: HeaderMap,
    authority: Option<&str>,
    told: &UpstreamHost,
    peer: SocketAddr,
    trusted: &[IpNet],
) -> Outbound {
    let limit = deadline::read(&headers);
    // It stays in the map: the upstream puts its own in the same place, or removes it.
    let asked = headers.get(header::HOST).cloned();
    let host = authority.and_then(|host| HeaderValue::from_str(host).ok()).or(asked);
    rules::strip_request(&mut headers);
    let is_trusted = rules::is_trusted(trusted, peer.ip());
    let hop = Hop { peer: peer.ip(), is_trusted, is_tls: false, host: host.as_ref() };
    rules::forward(&mut headers, &hop);
    rules::check_traceparent(&mut headers);
    let request_id = request_id(&mut headers);
    let host = told.named(host.as_ref());
    Outbound { headers, host, request_id, limit }
}

/// Returns the id of a request; one that has none is given one.
pub(crate) fn request_id(headers: &mut HeaderMap) -> HeaderValue {
    rules::request_id(headers, random())
}

/// Draws a number that no other request has; not a secret.
fn random() -> u128 {
    thread_local! {
        static CHANCE: RefCell<Chance> =
            RefCell::new(Chance::seeded(RandomState::new().build_hasher().finish()));
    }
    CHANCE.with_borrow_mut(|chance| u128::from(chance.bits()) << 64 | u128::from(chance.bits()))
}
