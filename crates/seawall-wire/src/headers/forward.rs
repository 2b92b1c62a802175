//! Says to the upstream who asked: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! The invariant: what an untrusted peer says about itself never reaches the upstream.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

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
/// What a trusted peer says in one of the two ways only is said in the other too, and of the scheme
/// and the host it knows better than we do, so that the two never contradict each other. Call it
/// after [`strip_request`](super::strip_request).
pub fn forward(headers: &mut HeaderMap, hop: &Hop<'_>) {
    if !hop.is_trusted {
        remove_claims(headers);
    }
    let peer = hop.peer.to_canonical();
    let address = text_of(peer);
    let (mut chain, mut list) = (String::new(), String::new());
    let (mut proto, mut host) = (None, None);
    if hop.is_trusted {
        (chain, list) = (joined(headers, &X_FORWARDED_FOR), joined(headers, &FORWARDED));
        proto = said(headers, &X_FORWARDED_PROTO, "proto").filter(|proto| is_token(proto));
        host = said(headers, &X_FORWARDED_HOST, "host").filter(|host| is_host(host));
        if chain.is_empty() {
            chain = forwarded(headers, "for").map(bare).collect::<Vec<_>>().join(", ");
        }
    }
    let own_proto = if hop.is_tls { "https" } else { "http" };
    let own_host = hop.host.and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
    if list.is_empty() {
        // The first hop is the client's: what is known of the request is known of that one.
        let nodes = chain.split(',').map(str::trim).filter(|node| !node.is_empty());
        let mut about = Some((proto.as_deref().unwrap_or(own_proto), host.as_deref().or(own_host)));
        for node in nodes {
            let (proto, host) = about.take().unzip();
            push_element(&mut list, &Node::Said(node), proto, host.flatten());
        }
        let (proto, host) = about.unzip();
        push_element(&mut list, &Node::Peer(&address, peer.is_ipv6()), proto, host.flatten());
    } else {
        let own_proto = proto.is_none().then_some(own_proto);
        let own_host = own_host.filter(|_| host.is_none());
        push_element(&mut list, &Node::Peer(&address, peer.is_ipv6()), own_proto, own_host);
    }
    headers.insert(FORWARDED, value(list));
    headers.insert(X_FORWARDED_FOR, with_address(chain, address));
    // A trusted proxy knows what its client used; without a word from it, what we see holds.
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        let proto = proto.map_or(HeaderValue::from_static(own_proto), value);
        headers.insert(X_FORWARDED_PROTO, proto);
    }
    if !headers.contains_key(&X_FORWARDED_HOST)
        && let Some(host) = host.or_else(|| own_host.map(str::to_owned))
    {
        headers.insert(X_FORWARDED_HOST, value(host));
    }
}

/// Returns the scheme and the host that the client asked for, as [`forward`] has written them.
pub fn asked(headers: &HeaderMap) -> (&'static str, Option<&str>) {
    let first =
        |name: HeaderName| headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim);
    let is_tls = first(X_FORWARDED_PROTO).is_some_and(|one| one.eq_ignore_ascii_case("https"));
    let host = first(X_FORWARDED_HOST).filter(|host| is_host(host));
    (if is_tls { "https" } else { "http" }, host)
}

/// Returns the values of a parameter of `Forwarded`, that of the first hop first, without quotes.
pub fn forwarded<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    let lists = headers.get_all(FORWARDED).iter().filter_map(|list| list.to_str().ok());
    // No address, host or scheme has a comma or a semicolon in its quotes.
    lists.flat_map(|list| list.split([',', ';'])).filter_map(move |pair| {
        let (own, value) = pair.trim().split_once('=')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

/// Returns what a trusted peer says of its client: in the one way, or in the other.
fn said(headers: &HeaderMap, name: &HeaderName, parameter: &'static str) -> Option<String> {
    let own = headers.get(name).and_then(|value| value.to_str().ok());
    let own = own.and_then(|value| value.split(',').next()).map(str::trim);
    own.or_else(|| forwarded(headers, parameter).next()).map(str::to_owned)
}

fn is_host(text: &str) -> bool {
    Host::is_host(text.as_bytes())
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Returns the address of a node without its port and brackets; what is no address stays.
fn bare(node: &str) -> String {
    match node.parse::<SocketAddr>() {
        Ok(address) => address.ip().to_string(),
        Err(_) => node.trim_matches(['[', ']']).to_owned(),
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
pub(super) fn is_claim(name: &str) -> bool {
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

/// A hop in `Forwarded`.
enum Node<'a> {
    /// An address of ours, and whether it has colons.
    Peer(&'a str, bool),
    /// What stood in `X-Forwarded-For`.
    Said(&'a str),
}

fn push_element(list: &mut String, node: &Node<'_>, proto: Option<&str>, host: Option<&str>) {
    list.reserve(128);
    separate(list);
    list.push_str("for=");
    match node {
        Node::Peer(address, false) => list.push_str(address),
        Node::Peer(address, true) => list.extend(["\"[", address, "]\""]),
        Node::Said(said) if said.parse::<Ipv6Addr>().is_ok() => list.extend(["\"[", said, "]\""]),
        Node::Said(said) if said.parse::<IpAddr>().is_ok() => list.push_str(said),
        Node::Said(said) if said.parse::<SocketAddr>().is_ok() => list.extend(["\"", said, "\""]),
        // RFC 7239, 6.2.
        Node::Said(_) => list.push_str("unknown"),
    }
    if let Some(proto) = proto {
        list.extend([";proto=", proto]);
    }
    // A host that was parsed has no quotes to escape.
    if let Some(host) = host {
        list.extend([";host=\"", host, "\""]);
    }
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
        let want = "for=1.1.1.1, for=\"[::1]\"";
        assert_eq!(headers["forwarded"], want);
        assert_eq!(headers["x-real-ip"], "1.1.1.1");
    }

    fn said(pairs: &[(&'static str, &'static str)]) -> [String; 4] {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        forward(&mut headers, &hop("10.0.0.1", true));
        ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
            .map(|name| headers[name].to_str().expect("text").to_owned())
    }

    #[test]
    fn what_a_trusted_peer_says_in_one_way_is_said_in_both() {
        let own = "a.example:8080";
        assert_eq!(
            said(&[("x-forwarded-for", "1.1.1.1, 2001:db8::1"), ("x-forwarded-proto", "https")]),
            [
                "for=1.1.1.1;proto=https;host=\"a.example:8080\", for=\"[2001:db8::1]\", for=10.0.0.1",
                "1.1.1.1, 2001:db8::1, 10.0.0.1",
                "https",
                own,
            ]
        );
        assert_eq!(
            said(&[("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example")]),
            ["for=10.0.0.1;proto=https;host=\"shop.example\"", "10.0.0.1", "https", "shop.example",]
        );
        assert_eq!(
            said(&[(
                "forwarded",
                "For=\"[2001:db8::1]:4711\";Proto=https;host=shop.example, for=9.9.9.9:80",
            )]),
            [
                "For=\"[2001:db8::1]:4711\";Proto=https;host=shop.example, for=9.9.9.9:80, \
                 for=10.0.0.1",
                "2001:db8::1, 9.9.9.9, 10.0.0.1",
                "https",
                "shop.example",
            ]
        );
        assert_eq!(
            said(&[("forwarded", "for=unknown")]),
            [
                "for=unknown, for=10.0.0.1;proto=http;host=\"a.example:8080\"",
                "unknown, 10.0.0.1",
                "http",
                own,
            ]
        );
        assert_eq!(
            said(&[("x-forwarded-for", "1.1.1.1:80, ), a;b=c")]),
            [
                "for=\"1.1.1.1:80\";proto=http;host=\"a.example:8080\", for=unknown, for=unknown, \
                 for=10.0.0.1",
                "1.1.1.1:80, ), a;b=c, 10.0.0.1",
                "http",
                own,
            ]
        );
    }

    #[test]
    fn what_the_client_asked_for_is_read_back() {
        let mut headers = claims();
        forward(&mut headers, &hop("10.0.0.1", true));
        assert_eq!(asked(&headers), ("https", Some("evil.example")));
        forward(&mut headers, &hop("10.0.0.1", false));
        assert_eq!(asked(&headers), ("http", Some("a.example:8080")));
        assert_eq!(asked(&HeaderMap::new()), ("http", None));
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
