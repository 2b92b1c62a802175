//! Removes what is meant for one hop only (RFC 9110, 7.6.1), in place.

use http::header::{CONNECTION, Entry, HeaderMap, HeaderName, HeaderValue};

/// Removes from a request what must not reach the upstream.
///
/// That is: every header that `Connection` nominates, the hop-by-hop headers, and every name with
/// an underscore, which CGI-like upstreams cannot tell from one with a hyphen.
pub fn strip_request(headers: &mut HeaderMap) {
    remove_nominated(headers);
    remove_all(headers, |name| is_hop_by_hop(name) || name.contains('_'));
}

/// Removes from an answer what must not reach the client.
pub fn strip_response(headers: &mut HeaderMap) {
    remove_nominated(headers);
    remove_all(headers, is_hop_by_hop);
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
            | "trailer"
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
            ("te", "trailers"),
            ("trailer", "x-sum"),
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
