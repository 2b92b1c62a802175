//! Says to the upstream who asked: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! The invariant: what an untrusted peer says about itself never reaches the upstream.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::Host;

/// The hop that a request has come by.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// The address at the other end of the socket.
    pub peer: IpAddr,
    /// Whether what that peer says about the hops before it is believed: see [`is_trusted`].
    pub is_trusted: bool,
    /// Whether the request came over TLS.
    pub is_tls: bool,
    /// The host that was asked for.
    pub host: Option<&'a HeaderValue>,
}

/// Returns whether `peer` is one of the `trusted` proxies.
///
/// An IPv4 address that comes in through an IPv6 socket is the IPv4 address.
pub fn is_trusted(trusted: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// Says in `headers` who asked.
///
/// What is there already is overwritten, unless the peer is trusted: then this hop is added to it.
/// Call it after [`strip_request`](super::strip_request).
pub fn forward(headers: &mut HeaderMap, hop: &Hop<'_>) {
    let host = hop.host.filter(|host| Host::is_host(host.as_bytes()));
    let proto = if hop.is_tls { "https" } else { "http" };
    let peer = hop.peer.to_canonical();
    let (chain, forwarded) = match hop.is_trusted {
        true => (joined(headers, &X_FORWARDED_FOR), joined(headers, &FORWARDED)),
        false => {
            remove_claims(headers);
            (String::new(), String::new())
        }
    };
    let address = text_of(peer);
    headers.insert(FORWARDED, with_element(forwarded, &address, peer.is_ipv6(), proto, host));
    headers.insert(X_FORWARDED_FOR, with_address(chain, address));
    // A trusted proxy knows what its client used; without a word from it, what we see holds.
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if let (Some(host), false) = (host, headers.contains_key(&X_FORWARDED_HOST)) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
}

fn remove_claims(headers: &mut HeaderMap) {
    let removed: Vec<HeaderName> =
        headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
    for name in removed {
        headers.remove(name);
    }
}

/// Returns whether a header claims something that only a proxy in front of us could know.
fn is_claim(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "forwarded"
                | "x-forwarded"
                | "x-real-ip"
                | "x-client-ip"
                | "x-cluster-client-ip"
                | "true-client-ip"
                // Some frameworks take these for the path, after we have matched another.
                | "x-original-url"
                | "x-rewrite-url"
        )
}

/// Returns the list in all values of a header; one that is too long to be true is dropped.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let mut list = String::new();
    for value in headers.get_all(name) {
        let Ok(value) = value.to_str() else { return String::new() };
        if list.len() + value.len() > CHAIN_BYTES_MAX {
            return String::new();
        }
        if !value.trim().is_empty() {
            separate(&mut list);
            list.push_str(value);
        }
    }
    list
}

fn with_address(mut chain: String, address: String) -> HeaderValue {
    if chain.is_empty() {
        return value(address);
    }
    separate(&mut chain);
    chain.push_str(&address);
    value(chain)
}

fn with_element(
    mut list: String,
    address: &str,
    is_ipv6: bool,
    proto: &str,
    host: Option<&HeaderValue>,
) -> HeaderValue {
    list.reserve(128);
    separate(&mut list);
    let (open, close) = if is_ipv6 { ("for=\"[", "]\"") } else { ("for=", "") };
    list.extend([open, address, close, ";proto=", proto]);
    // A host that was parsed has no quotes to escape.
    if let Some(host) = host.and_then(|host| host.to_str().ok()) {
        list.extend([";host=\"", host, "\""]);
    }
    value(list)
}

/// Writes an address. Most have four numbers, and the general way of formatting them is dear: it
/// was a fifteenth of what a proxied request costs outside the kernel.
fn text_of(peer: IpAddr) -> String {
    let IpAddr::V4(peer) = peer else { return peer.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, number) in peer.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        for unit in [100, 10, 1] {
            if number >= unit || unit == 1 {
                text.push(char::from(b'0' + number / unit % 10));
            }
        }
    }
    text
}

fn separate(list: &mut String) {
    if !list.is_empty() {
        list.push_str(", ");
    }
}

fn value(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("made of values, names and numbers")
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// More than any real chain of proxies; without a bound it would grow at each of them.
const CHAIN_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HeaderValue = HeaderValue::from_static("a.example:8080");

    fn claims() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-prefix", "/admin"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("x-original-url", "/admin"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn hop(peer: &str, is_trusted: bool) -> Hop<'static> {
        static STATIC: HeaderValue = HOST;
        let peer = peer.parse().expect("an address");
        Hop { peer, is_trusted, is_tls: false, host: Some(&STATIC) }
    }

    #[test]
    fn a8_claims_of_an_untrusted_peer_are_overwritten() {
        let mut headers = claims();
        forward(&mut headers, &hop("10.0.0.1", false));
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "a.example:8080");
        assert_eq!(headers["forwarded"], "for=10.0.0.1;proto=http;host=\"a.example:8080\"");
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a8_claims_of_a_trusted_peer_are_added_to() {
        let mut headers = claims();
        forward(&mut headers, &hop("::1", true));
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, ::1");
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "evil.example");
        let want = "for=1.1.1.1, for=\"[::1]\";proto=http;host=\"a.example:8080\"";
        assert_eq!(headers["forwarded"], want);
        assert_eq!(headers["x-real-ip"], "1.1.1.1");
    }

    #[test]
    fn a_chain_that_is_too_long_starts_again() {
        let mut headers = HeaderMap::new();
        let long = HeaderValue::try_from("1".repeat(CHAIN_BYTES_MAX + 1)).expect("a value");
        headers.insert(X_FORWARDED_FOR, long);
        forward(&mut headers, &hop("10.0.0.1", true));
        assert_eq!(headers[X_FORWARDED_FOR], "10.0.0.1");
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let mut headers = HeaderMap::new();
        forward(&mut headers, &hop("::ffff:10.0.0.1", false));
        assert_eq!(headers[X_FORWARDED_FOR], "10.0.0.1");
        let trusted = ["10.0.0.0/8".parse().expect("a net"), "fd00::/8".parse().expect("a net")];
        for (peer, want) in [("::ffff:10.9.9.9", true), ("fd00::1", true), ("11.0.0.1", false)] {
            assert_eq!(is_trusted(&trusted, peer.parse().expect("an address")), want, "{peer}");
        }
        assert!(!is_trusted(&[], "127.0.0.1".parse().expect("an address")));
    }

    #[test]
    fn a_host_that_is_none_is_not_passed_on() {
        let bad = HeaderValue::from_static("a\";for=1.1.1.1");
        let mut headers = HeaderMap::new();
        forward(&mut headers, &Hop { host: Some(&bad), ..hop("10.0.0.1", false) });
        assert_eq!(headers[FORWARDED], "for=10.0.0.1;proto=http");
        assert!(!headers.contains_key(X_FORWARDED_HOST));
    }
}
