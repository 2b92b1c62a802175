//! Removes what is meant for one hop only (RFC 9110, 7.6.1), in place.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HeaderMap, HeaderName, HeaderValue, TE, UPGRADE,
};

use super::forward::is_claim;

/// Removes from a request what must not reach the upstream.
///
/// That is: every header that `Connection` nominates, the hop-by-hop headers, and every name with
/// an underscore, which CGI-like upstreams cannot tell from one with a hyphen. `TE` is left if it
/// says that the client takes trailers, and then says only that (RFC 9113, 8.2.2).
pub fn strip_request(headers: &mut HeaderMap) {
    let takes_trailers = takes_trailers(headers);
    remove_nominated(headers);
    remove_all(headers, |name| is_hop_by_hop(name) || name == "trailer" || name.contains('_'));
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes from an answer what must not reach the client, and says once how long it is.
///
/// `Trailer` stays: what it announces is passed on.
pub fn strip_response(headers: &mut HeaderMap) {
    remove_nominated(headers);
    remove_all(headers, is_hop_by_hop);
    one_length(headers);
}

/// Removes from the trailers of a request what must not reach the upstream; a program that merges
/// trailers with headers would believe it.
pub fn strip_request_trailers(trailers: &mut HeaderMap) {
    remove_all(trailers, |name| {
        is_no_trailer(name) || is_claim(name) || name.contains('_') || OURS.contains(&name)
    });
}

/// Removes from the trailers of an answer what must not reach the client.
pub fn strip_response_trailers(trailers: &mut HeaderMap) {
    remove_all(trailers, is_no_trailer);
}

/// Returns whether a request asks to go on as a WebSocket (RFC 6455, 4.1). No other protocol is
/// passed on: `h2c` would take requests past every rule.
pub fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let asks = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    let mut options = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
    headers.get(UPGRADE).is_some_and(asks)
        && options.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// Says in a head that what follows it is a WebSocket.
pub fn say_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Returns whether a request's sender takes trailers (RFC 9110, 10.1.4).
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("trailers"))
}

/// Makes one length of one that is said twice; whoever read the head has seen that it is the same.
fn one_length(headers: &mut HeaderMap) {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return };
    if values.next().is_none() && !first.as_bytes().contains(&b',') {
        return;
    }
    let one =
        first.to_str().ok().and_then(|text| text.split(',').next()?.trim().parse::<u64>().ok());
    match one {
        Some(length) => headers.insert(CONTENT_LENGTH, HeaderValue::from(length)),
        None => headers.remove(CONTENT_LENGTH),
    };
}

fn remove_nominated(headers: &mut HeaderMap) {
    // Nearly always there is one value, and its clone is a counted reference.
    let mut values = headers.get_all(CONNECTION).iter();
    let Some(first) = values.next().cloned() else { return };
    let others: Vec<HeaderValue> = values.cloned().collect();
    headers.remove(CONNECTION);
    for value in [first].iter().chain(&others) {
        for token in value.as_bytes().split(|&byte| byte == b',') {
            let Ok(name) = str::from_utf8(token.trim_ascii()) else { continue };
            // What is no name at all nominates nothing.
            if let Ok(Entry::Occupied(entry)) = headers.try_entry(name) {
                entry.remove_entry_mult();
            }
        }
    }
}

/// Makes one `Cookie` of several: HTTP/2 clients send it in crumbs, and few servers expect more than
/// one (RFC 9113, 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut values = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (values.next(), values.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for value in headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(value.as_bytes());
    }
    let joined = HeaderValue::from_maybe_shared(Bytes::from(joined));
    headers.insert(COOKIE, joined.expect("made of values, `;` and a space"));
}

fn remove_all(headers: &mut HeaderMap, is_removed: impl Fn(&str) -> bool) {
    // Names are kept in lower case. An empty Vec, the usual case, costs nothing.
    let removed: Vec<HeaderName> =
        headers.keys().filter(|name| is_removed(name.as_str())).cloned().collect();
    for name in removed {
        headers.remove(name);
    }
}

/// Returns whether a header is about one connection; the list is YARP's, with `Expect`.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "proxy-connection"
            | "keep-alive"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-features"
            | "proxy-instruction"
            | "security-scheme"
            | "http2-settings"
            | "upgrade-insecure-requests"
            | "alpn"
            | "close"
            | "alt-svc"
    )
}

/// Returns whether a field cannot be a trailer: it frames, routes, authenticates or describes what
/// came before it (RFC 9110, 6.5.1).
fn is_no_trailer(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name,
            "authorization"
                | "cache-control"
                | "content-encoding"
                | "content-length"
                | "content-range"
                | "content-type"
                | "cookie"
                | "host"
                | "max-forwards"
                | "set-cookie"
                | "trailer"
        )
}

/// What we say in the headers of a request ourselves, besides who asks.
const OURS: [&str; 4] = ["x-request-id", "traceparent", "tracestate", "seawall-attempt"];

#[cfg(test)]
mod tests {
    use http::header::{HOST, UPGRADE};

    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn hop_by_hop_headers_do_not_pass() {
        let mut sent = headers(&[
            ("host", "a"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-authorization", "Basic x"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ]);
        let mut answer = sent.clone();
        strip_request(&mut sent);
        assert_eq!(names(&sent), ["accept", "host"]);
        strip_response(&mut answer);
        assert_eq!(names(&answer), ["accept", "host"]);
    }

    #[test]
    fn te_passes_if_it_is_about_trailers_and_says_nothing_else() {
        let check = |values: &[&'static str], want: Option<&str>| {
            let pairs: Vec<_> = values.iter().map(|value| ("te", *value)).collect();
            let mut sent = headers(&pairs);
            sent.insert(CONNECTION, HeaderValue::from_static("te"));
            strip_request(&mut sent);
            let te: Vec<_> = sent.get_all(TE).iter().collect();
            assert_eq!(te, want.into_iter().collect::<Vec<_>>(), "{values:?}");
            let mut answer = headers(&pairs);
            strip_response(&mut answer);
            assert!(answer.is_empty());
        };
        check(&["trailers"], Some("trailers"));
        check(&["deflate;q=0.5, Trailers"], Some("trailers"));
        check(&["gzip", "trailers"], Some("trailers"));
        check(&["gzip"], None);
        check(&["trailers-not"], None);
        check(&[], None);
    }

    #[test]
    fn trailer_announces_to_clients_only() {
        let mut sent = headers(&[("trailer", "x-sum")]);
        let mut answer = sent.clone();
        strip_request(&mut sent);
        strip_response(&mut answer);
        assert_eq!((sent.len(), answer.len()), (0, 1));
    }

    #[test]
    fn cookie_crumbs_are_joined() {
        let mut sent =
            headers(&[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2"), ("cookie", "c")]);
        join_cookies(&mut sent);
        assert_eq!(sent.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c"]);
        let mut one = headers(&[("cookie", "a=1; b=2")]);
        join_cookies(&mut one);
        assert_eq!(one[COOKIE], "a=1; b=2");
    }

    #[test]
    fn a_length_that_is_said_twice_is_said_once() {
        for pairs in
            [&[("content-length", "5"), ("content-length", "5")][..], &[("content-length", "5, 5")]]
        {
            let mut answer = headers(pairs);
            strip_response(&mut answer);
            assert_eq!(answer.get_all(CONTENT_LENGTH).iter().collect::<Vec<_>>(), ["5"]);
        }
    }

    #[test]
    fn trailers_lose_what_only_a_head_can_say() {
        let mut sent = headers(&[
            ("grpc-status", "0"),
            ("x-sum", "1"),
            ("my_key", "1"),
            ("content-length", "5"),
            ("set-cookie", "a=1"),
            ("authorization", "x"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-request-id", "1"),
            ("trailer", "x-sum"),
            ("connection", "close"),
        ]);
        let mut answer = sent.clone();
        strip_request_trailers(&mut sent);
        assert_eq!(names(&sent), ["grpc-status", "x-sum"]);
        strip_response_trailers(&mut answer);
        let want = ["grpc-status", "my_key", "x-forwarded-for", "x-request-id", "x-sum"];
        assert_eq!(names(&answer), want);
    }

    #[test]
    fn a9_what_connection_nominates_does_not_pass() {
        let mut sent = headers(&[
            ("connection", "X-One , ,close"),
            ("connection", "x-two;q=1,\tx-three\t,(,x y"),
            ("x-one", "1"),
            ("x-one", "2"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        strip_request(&mut sent);
        assert_eq!(names(&sent), ["x-two"]);
    }

    #[test]
    fn names_with_underscores_pass_to_clients_only() {
        let mut sent = headers(&[("x_forwarded_for", "1"), ("content_length", "5"), ("x-a", "1")]);
        let mut answer = sent.clone();
        strip_request(&mut sent);
        assert_eq!(names(&sent), ["x-a"]);
        strip_response(&mut answer);
        assert_eq!(answer.len(), 3);
    }

    #[test]
    fn a_clean_head_is_left_alone() {
        let mut sent = headers(&[("host", "a"), ("accept", "*/*"), ("content-length", "5")]);
        let before = sent.clone();
        strip_request(&mut sent);
        assert_eq!(sent, before);
        assert!(!sent.contains_key(UPGRADE) && sent.contains_key(HOST));
    }
}
