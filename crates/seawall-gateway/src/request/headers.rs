//! What is passed on of a request's headers: the rules are `seawall-wire`'s, the order is ours.
//!
//! Does not know attempts or answers. What the client nominates for removal goes first, so that it
//! cannot take what we add.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use http::uri::Authority;
use ipnet::IpNet;
use seawall_core::Chance;
use seawall_upstream::UpstreamHost;
use seawall_wire::headers::{self as rules, Hop};
use seawall_wire::{Fields, deadline, name};

/// What of a request's headers goes to the upstream.
pub(crate) struct Outbound {
    pub(crate) headers: Fields,
    /// The host that the upstream is told; `None` for its own.
    pub(crate) host: Option<Authority>,
    /// The request's id, which the answer carries too.
    pub(crate) request_id: HeaderValue,
    /// How long the client will wait, if it says so.
    pub(crate) limit: Option<Duration>,
}

/// Makes the headers of the request to the upstream.
pub(crate) fn outbound(
    mut headers: Fields,
    authority: Option<&str>,
    told: &UpstreamHost,
    peer: SocketAddr,
    trusted: &[IpNet],
) -> Outbound {
    let limit = deadline::read(&headers);
    rules::strip_request(&mut headers);
    let is_trusted = rules::is_trusted(trusted, peer.ip());
    let hop = Hop { peer: peer.ip(), is_trusted, is_tls: false, authority };
    rules::forward(&mut headers, &hop);
    rules::check_traceparent(&mut headers);
    let request_id = request_id(&mut headers);
    // It stays among the fields: the upstream puts its own in the same place, or removes it.
    let host = told.named(|| authority.or_else(|| headers.get(name::HOST)?.to_str()));
    Outbound { headers, host, request_id, limit }
}

/// Returns the id of a request; one that has none is given one.
pub(crate) fn request_id(headers: &mut Fields) -> HeaderValue {
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
