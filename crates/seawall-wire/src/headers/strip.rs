//! Removes what is meant for one hop only (RFC 9110, 7.6.1), in place.

use std::collections::HashSet;

use http::HeaderMap;

use super::forward::is_claim;
use crate::name::{
    ALPN, ALT_SVC, AUTHORIZATION, CACHE_CONTROL, CLOSE, CONNECTION, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, EXPECT, HOST, HTTP2_SETTINGS, KEEP_ALIVE,
    MAX_FORWARDS, NameSet, OTHER, PROXY_AUTHENTICATE, PROXY_AUTHENTICATION_INFO,
    PROXY_AUTHORIZATION, PROXY_CONNECTION, PROXY_FEATURES, PROXY_INSTRUCTION, SEAWALL_ATTEMPT,
    SECURITY_SCHEME, SET_COOKIE, TE, TRACEPARENT, TRACESTATE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    UPGRADE_INSECURE_REQUESTS, X_REQUEST_ID, number,
};
use crate::{Fields, Name, Value};

/// Removes from a request what must not reach the upstream.
///
/// That is: every header that `Connection` nominates, the hop-by-hop headers, and every name with
/// an underscore, which CGI-like upstreams cannot tell from one with a hyphen. `TE` is left if it
/// says that the client takes trailers, and then says only that (RFC 9113, 8.2.2).
pub fn strip_request(headers: &mut Fields) {
    let takes_trailers = takes_trailers(headers);
    remove_nominated(headers);
    headers.remove_any(HOP_BY_HOP.and(NameSet::of(&[TRAILER])));
    // No name with a number has an underscore.
    if headers.names().has(OTHER) {
        headers.retain(|name, _| !has_underscore(name));
    }
    if takes_trailers {
        headers.insert(TE, "trailers");
    }
}

/// Removes from an answer what must not reach the client, and says once how long it is.
///
/// `Trailer` stays: what it announces is passed on.
pub fn strip_response(headers: &mut Fields) {
    remove_nominated(headers);
    headers.remove_any(HOP_BY_HOP);
    one_length(headers);
}

/// Removes from the trailers of a request what must not reach the upstream; a program that merges
/// trailers with headers would believe it.
pub fn strip_request_trailers(trailers: &mut HeaderMap) {
    remove_all(trailers, |name| {
        NO_TRAILERS.and(OURS).contains(name) || is_claim(name) || has_underscore(name)
    });
}

/// Removes from the trailers of an answer what must not reach the client.
pub fn strip_response_trailers(trailers: &mut HeaderMap) {
    remove_all(trailers, |name| NO_TRAILERS.contains(name));
}

/// Returns whether a request asks to go on as a WebSocket (RFC 6455, 4.1). No other protocol is
/// passed on: `h2c` would take requests past every rule.
pub fn asks_for_websocket(headers: &Fields) -> bool {
    let asks = |value: Value<'_>| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    headers.get(UPGRADE).is_some_and(asks)
        && options(headers).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// Says in a head that what follows it is a WebSocket.
pub fn say_websocket(headers: &mut Fields) {
    headers.insert(CONNECTION, "upgrade");
    headers.insert(UPGRADE, "websocket");
}

/// Returns whether a request's sender takes trailers (RFC 9110, 10.1.4).
pub fn takes_trailers(headers: &Fields) -> bool {
    let values = headers.get_all(TE).filter_map(Value::to_str);
    values
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("trailers"))
}

/// Makes one length of one that is said twice; whoever read the head has seen that it is the same.
fn one_length(headers: &mut Fields) {
    let mut values = headers.get_all(CONTENT_LENGTH);
    let Some(first) = values.next() else { return };
    if values.next().is_none() && !first.as_bytes().contains(&b',') {
        return;
    }
    let one = first.to_str().and_then(|text| text.split(',').next()?.trim().parse::<u64>().ok());
    drop(values);
    match one {
        Some(length) => headers.insert_number(CONTENT_LENGTH, length),
        None => _ = headers.remove(CONTENT_LENGTH),
    }
}

/// Removes what `Connection` names, and itself; but the host that is asked for is everybody's.
fn remove_nominated(headers: &mut Fields) {
    if !headers.names().contains(CONNECTION) {
        return;
    }
    // Nearly always it says what is removed anyway.
    if options(headers).any(|option| !HOP_BY_HOP.has(number(option))) {
        // Of options, which can be as many as a head has room for, no more are kept than of fields.
        let lower = |name: &[u8]| name.to_ascii_lowercase();
        let names: HashSet<_> = headers.iter().map(|(name, _)| lower(name.as_bytes())).collect();
        let nominated: HashSet<_> =
            options(headers).map(lower).filter(|option| names.contains(option)).collect();
        headers.retain(|name, _| name == HOST || !nominated.contains(&lower(name.as_bytes())));
    }
    headers.remove(CONNECTION);
}

/// Returns the options of the connection.
fn options(headers: &Fields) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(CONNECTION);
    values.flat_map(|value| value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii))
}

/// Makes one `Cookie` of several: HTTP/2 clients send it in crumbs, and few servers expect more than
/// one (RFC 9113, 8.2.3).
pub fn join_cookies(headers: &mut Fields) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).map(Value::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    let joined = crumbs.join(&b"; "[..]);
    headers.insert(COOKIE, Value::read(&joined));
}

fn remove_all(trailers: &mut HeaderMap, is_removed: impl Fn(Name<'_>) -> bool) {
    // An empty Vec, the usual case, costs nothing.
    let removed: Vec<_> =
        trailers.keys().filter(|name| is_removed(Name::from(*name))).cloned().collect();
    for name in removed {
        trailers.remove(name);
    }
}

fn has_underscore(name: Name<'_>) -> bool {
    name.as_bytes().contains(&b'_')
}

/// The headers that are about one connection; the list is YARP's, with `Expect`.
const HOP_BY_HOP: NameSet = NameSet::of(&[
    CONNECTION,
    PROXY_CONNECTION,
    KEEP_ALIVE,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
    PROXY_AUTHENTICATE,
    PROXY_AUTHENTICATION_INFO,
    PROXY_AUTHORIZATION,
    PROXY_FEATURES,
    PROXY_INSTRUCTION,
    SECURITY_SCHEME,
    HTTP2_SETTINGS,
    UPGRADE_INSECURE_REQUESTS,
    ALPN,
    CLOSE,
    ALT_SVC,
]);

/// The fields that cannot be trailers: they frame, route, authenticate or describe what came before
/// them (RFC 9110, 6.5.1).
const NO_TRAILERS: NameSet = HOP_BY_HOP.and(NameSet::of(&[
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TRAILER,
]));

/// What we say in the headers of a request ourselves, besides who asks.
const OURS: NameSet = NameSet::of(&[X_REQUEST_ID, TRACEPARENT, TRACESTATE, SEAWALL_ATTEMPT]);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &Fields) -> Vec<String> {
        let text = |(name, _): (Name<'_>, _)| String::from_utf8_lossy(name.as_bytes()).into_owned();
        let mut names: Vec<String> = headers.iter().map(text).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> Fields {
        let mut headers = Fields::default();
        for (name, value) in pairs {
            headers.append(*name, *value);
        }
        headers
    }

    fn all(headers: &Fields, name: Name<'static>) -> Vec<String> {
        headers.get_all(name).map(|value| value.to_str().unwrap().to_owned()).collect()
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
            sent.insert(CONNECTION, "te");
            strip_request(&mut sent);
            let te: Vec<_> = sent.get_all(TE).map(|te| te.to_str()).collect();
            assert_eq!(te, want.into_iter().map(Some).collect::<Vec<_>>(), "{values:?}");
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
        assert_eq!(all(&sent, COOKIE), ["a=1; b=2; c"]);
        let mut one = headers(&[("cookie", "a=1; b=2")]);
        join_cookies(&mut one);
        assert_eq!(all(&one, COOKIE), ["a=1; b=2"]);
    }

    #[test]
    fn a_length_that_is_said_twice_is_said_once() {
        for pairs in
            [&[("content-length", "5"), ("content-length", "5")][..], &[("content-length", "5, 5")]]
        {
            let mut answer = headers(pairs);
            strip_response(&mut answer);
            assert_eq!(all(&answer, CONTENT_LENGTH), ["5"]);
        }
    }

    #[test]
    fn trailers_lose_what_only_a_head_can_say() {
        let sent = headers(&[
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
        let mut sent = sent.to_map().unwrap();
        let mut answer = sent.clone();
        strip_request_trailers(&mut sent);
        assert_eq!(names(&Fields::from(&sent)), ["grpc-status", "x-sum"]);
        strip_response_trailers(&mut answer);
        let answer = Fields::from(&answer);
        let want = ["grpc-status", "my_key", "x-forwarded-for", "x-request-id", "x-sum"];
        assert_eq!(names(&answer), want);
    }

    #[test]
    fn a9_what_connection_nominates_does_not_pass() {
        let mut sent = headers(&[
            ("connection", "X-One , ,close"),
            ("connection", "x-two;q=1,\tx-three\t,(,x y,HOST"),
            ("host", "a"),
            ("x-one", "1"),
            ("x-one", "2"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        strip_request(&mut sent);
        assert_eq!(names(&sent), ["host", "x-two"]);
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
        assert!(!sent.contains(UPGRADE) && sent.contains(HOST));
    }
}
