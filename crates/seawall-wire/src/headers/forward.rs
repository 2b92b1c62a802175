//! Says to the upstream who asked: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! The invariant: what an untrusted peer says about itself never reaches the upstream.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::name::{
    FORWARDED, HOST, NameSet, OTHER, TRUE_CLIENT_IP, X_CLIENT_IP, X_CLUSTER_CLIENT_IP, X_FORWARDED,
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_ORIGINAL_URL, X_REAL_IP, X_REWRITE_URL,
};
use crate::{Fields, Host, Name, Value};

/// The hop that a request has come by.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// The address at the other end of the socket.
    pub peer: IpAddr,
    /// Whether what that peer says about the hops before it is believed: see [`is_trusted`].
    pub is_trusted: bool,
    /// Whether the request came over TLS.
    pub is_tls: bool,
    /// The host of the target, which counts for more than `Host`.
    pub authority: Option<&'a str>,
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
pub fn forward(headers: &mut Fields, hop: &Hop<'_>) {
    if !hop.is_trusted {
        remove_claims(headers);
    }
    let peer = hop.peer.to_canonical();
    let address = text_of(peer);
    let (mut chain, mut list) = (String::new(), String::new());
    let (mut proto, mut host) = (None, None);
    if hop.is_trusted {
        (chain, list) = (joined(headers, X_FORWARDED_FOR), joined(headers, FORWARDED));
        proto = said(headers, X_FORWARDED_PROTO, "proto").filter(|proto| is_token(proto));
        host = said(headers, X_FORWARDED_HOST, "host").filter(|host| is_host(host));
        if chain.is_empty() {
            chain = forwarded(headers, "for").map(bare).collect::<Vec<_>>().join(", ");
        }
    }
    let own_proto = if hop.is_tls { "https" } else { "http" };
    let own_host = hop.authority.or_else(|| headers.get(HOST)?.to_str());
    let own_host = own_host.filter(|host| is_host(host)).map(str::to_owned);
    let own_host = own_host.as_deref();
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
    headers.insert(FORWARDED, Value::read(list.as_bytes()));
    let hops = match chain.is_empty() {
        true => &address,
        false => {
            chain.extend([", ", &address]);
            &chain
        }
    };
    headers.insert(X_FORWARDED_FOR, Value::read(hops.as_bytes()));
    // A trusted proxy knows what its client used; without a word from it, what we see holds.
    if !headers.contains(X_FORWARDED_PROTO) {
        let proto = proto.as_deref().unwrap_or(own_proto);
        headers.insert(X_FORWARDED_PROTO, Value::read(proto.as_bytes()));
    }
    if !headers.contains(X_FORWARDED_HOST)
        && let Some(host) = host.as_deref().or(own_host)
    {
        headers.append(X_FORWARDED_HOST, Value::read(host.as_bytes()));
    }
}

/// Returns the scheme and the host that the client asked for, as [`forward`] has written them.
pub fn asked(headers: &Fields) -> (&'static str, Option<&str>) {
    let first = |name: Name<'static>| headers.get(name)?.to_str()?.split(',').next().map(str::trim);
    let is_tls = first(X_FORWARDED_PROTO).is_some_and(|one| one.eq_ignore_ascii_case("https"));
    let host = first(X_FORWARDED_HOST).filter(|host| is_host(host));
    (if is_tls { "https" } else { "http" }, host)
}

/// Returns the values of a parameter of `Forwarded`, that of the first hop first, without quotes.
pub fn forwarded<'h>(headers: &'h Fields, name: &'static str) -> impl Iterator<Item = &'h str> {
    let lists = headers.get_all(FORWARDED).filter_map(Value::to_str);
    // No address, host or scheme has a comma or a semicolon in its quotes.
    lists.flat_map(|list| list.split([',', ';'])).filter_map(move |pair| {
        let (own, value) = pair.trim().split_once('=')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

/// Returns what a trusted peer says of its client: in the one way, or in the other.
fn said(headers: &Fields, name: Name<'static>, parameter: &'static str) -> Option<String> {
    let own = headers.get(name).and_then(Value::to_str);
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

fn remove_claims(headers: &mut Fields) {
    if headers.names().meets(CLAIMS.with(OTHER)) {
        headers.retain(|name, _| !is_claim(name));
    }
}

/// Returns whether a header claims something that only a proxy in front of us could know.
pub(super) fn is_claim(name: Name<'_>) -> bool {
    CLAIMS.contains(name) || name.number() == OTHER && name.starts_with("x-forwarded-")
}

const CLAIMS: NameSet = NameSet::of(&[
    FORWARDED,
    X_FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    X_REAL_IP,
    X_CLIENT_IP,
    X_CLUSTER_CLIENT_IP,
    TRUE_CLIENT_IP,
    // Some frameworks take these for the path, after we have matched another.
    X_ORIGINAL_URL,
    X_REWRITE_URL,
]);

/// Returns the list in all values of a header; one that is too long to be true is dropped.
fn joined(headers: &Fields, name: Name<'static>) -> String {
    let mut list = String::new();
    for value in headers.get_all(name) {
        let Some(value) = value.to_str() else { return String::new() };
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

/// More than any real chain of proxies; without a bound it would grow at each of them.
const CHAIN_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn map(headers: &Fields) -> HeaderMap {
        headers.to_map().expect("few fields")
    }

    fn claims() -> Fields {
        let mut headers = Fields::default();
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
            headers.append(name, value);
        }
        headers
    }

    fn hop(peer: &str, is_trusted: bool) -> Hop<'static> {
        let peer = peer.parse().expect("an address");
        Hop { peer, is_trusted, is_tls: false, authority: Some("a.example:8080") }
    }

    #[test]
    fn a8_claims_of_an_untrusted_peer_are_overwritten() {
        let mut headers = claims();
        forward(&mut headers, &hop("10.0.0.1", false));
        assert_eq!(map(&headers)["x-forwarded-for"], "10.0.0.1");
        assert_eq!(map(&headers)["x-forwarded-proto"], "http");
        assert_eq!(map(&headers)["x-forwarded-host"], "a.example:8080");
        assert_eq!(map(&headers)["forwarded"], "for=10.0.0.1;proto=http;host=\"a.example:8080\"");
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a8_claims_of_a_trusted_peer_are_added_to() {
        let mut headers = claims();
        forward(&mut headers, &hop("::1", true));
        assert_eq!(map(&headers)["x-forwarded-for"], "1.1.1.1, 2.2.2.2, ::1");
        assert_eq!(headers.get_all("x-forwarded-for").count(), 1);
        assert_eq!(map(&headers)["x-forwarded-proto"], "https");
        assert_eq!(map(&headers)["x-forwarded-host"], "evil.example");
        let want = "for=1.1.1.1, for=\"[::1]\"";
        assert_eq!(map(&headers)["forwarded"], want);
        assert_eq!(map(&headers)["x-real-ip"], "1.1.1.1");
    }

    fn said(pairs: &[(&'static str, &'static str)]) -> [String; 4] {
        let mut headers = Fields::default();
        for (name, value) in pairs {
            headers.append(*name, *value);
        }
        forward(&mut headers, &hop("10.0.0.1", true));
        ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
            .map(|name| map(&headers)[name].to_str().expect("text").to_owned())
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
        assert_eq!(asked(&Fields::default()), ("http", None));
    }

    #[test]
    fn a_chain_that_is_too_long_starts_again() {
        let mut headers = Fields::default();
        let long = HeaderValue::try_from("1".repeat(CHAIN_BYTES_MAX + 1)).expect("a value");
        headers.insert(X_FORWARDED_FOR, &long);
        forward(&mut headers, &hop("10.0.0.1", true));
        assert_eq!(map(&headers)["x-forwarded-for"], "10.0.0.1");
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let mut headers = Fields::default();
        forward(&mut headers, &hop("::ffff:10.0.0.1", false));
        assert_eq!(map(&headers)["x-forwarded-for"], "10.0.0.1");
        let trusted = ["10.0.0.0/8".parse().expect("a net"), "fd00::/8".parse().expect("a net")];
        for (peer, want) in [("::ffff:10.9.9.9", true), ("fd00::1", true), ("11.0.0.1", false)] {
            assert_eq!(is_trusted(&trusted, peer.parse().expect("an address")), want, "{peer}");
        }
        assert!(!is_trusted(&[], "127.0.0.1".parse().expect("an address")));
    }

    #[test]
    fn a_host_that_is_none_is_not_passed_on() {
        let mut headers = Fields::default();
        forward(
            &mut headers,
            &Hop { authority: Some("a\";for=1.1.1.1"), ..hop("10.0.0.1", false) },
        );
        assert_eq!(map(&headers)["forwarded"], "for=10.0.0.1;proto=http");
        assert!(!headers.contains(X_FORWARDED_HOST));
    }
}
