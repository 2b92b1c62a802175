//! An upstream's address: what `http://host:port/base` means for a connection and for a request.
//!
//! Does not know: names' addresses, connections. Where a request goes can only come from here; what
//! it says in Host too, unless whoever sends it has put a [`NamedHost`] beside it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri};
use http_body::Body as _;
use seawall_core::{Cause, Fault, Step};
use seawall_wire::Host;

use crate::http1::Framing;
use crate::{BadAddress, Body};

/// The host that an upstream is told instead of its own, as an extension of the request.
///
/// It changes what `Host` or `:authority` says, never where the request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHost(pub Authority);

/// Holds where an upstream is.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// A name, or a number without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The socket address, if the host is a number: then nothing has to be looked up.
    pub(crate) fixed: Option<SocketAddr>,
    authority: Authority,
    host_header: HeaderValue,
    /// What stands before every path, without a slash at its end; often empty.
    base: String,
}

impl Address {
    /// Reads `http://host[:port][/base]`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadAddress> {
        let bad = |why: &str| BadAddress(format!("`{text}`: {why}"));
        let uri = Uri::from_str(text).map_err(|error| bad(&error.to_string()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(bad("https is not supported yet, use http://")),
            _ => return Err(bad("write http://host:port or sim:NAME")),
        }
        let authority = uri.authority().ok_or_else(|| bad("the host is missing"))?.clone();
        if authority.as_str().contains('@') {
            return Err(bad("a name and password cannot stand in an address"));
        }
        if uri.query().is_some() {
            return Err(bad("a query cannot stand in an address, put it into the route"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(bad("the host is missing"));
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // `host:` and `host:99999` both end up here: only a bare host means port 80.
            None if authority.as_str() == authority.host() => 80,
            None => return Err(bad("the port is not a number from 1 to 65535")),
        };
        if port == 0 {
            return Err(bad("the port is not a number from 1 to 65535"));
        }
        let fixed = IpAddr::from_str(&host).ok().map(|ip| SocketAddr::new(ip, port));
        let host_header = HeaderValue::from_str(authority.as_str())
            .map_err(|_| bad("the host cannot stand in a Host header"))?;
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port, fixed, authority, host_header, base })
    }

    /// Returns the same with a socket address in place of the name: nothing has to be looked up any
    /// more, and the host that is asked for stays the name.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { fixed: Some(address), ..self.clone() }
    }

    /// Returns the address as it stands in settings; where a name was looked up, with what it
    /// stands for.
    pub(crate) fn text(&self) -> Arc<str> {
        match self.fixed {
            Some(fixed) => format!("http://{fixed}{}", self.base).into(),
            None => format!("http://{}:{}{}", self.host, self.port, self.base).into(),
        }
    }

    /// Makes a request fit for this address and one HTTP/1.1 connection: target in origin form,
    /// our Host, and exactly one way to tell where the body ends, which is returned too.
    pub(crate) fn prepare_http1(&self, request: &mut Request<Body>) -> Result<Framing, Fault> {
        if !self.base.is_empty() || request.uri().authority().is_some() {
            *request.uri_mut() = Uri::from(self.target(request.uri())?);
        }
        *request.version_mut() = http::Version::HTTP_11;
        let length = request.body().size_hint().exact();
        let is_bodiless = matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE);
        let host = match request.extensions().get::<NamedHost>() {
            Some(NamedHost(named)) => HeaderValue::from_str(named.as_str()).map_err(bad_target)?,
            None => self.host_header.clone(),
        };
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        // It is about one hop, and trailers come without being asked for.
        headers.remove(TE);
        headers.remove(EXPECT);
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        Ok(match length {
            Some(0) if is_bodiless => Framing::None,
            Some(length) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                Framing::Length(length)
            }
            None => {
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                Framing::Chunked { with_trailers: true }
            }
        })
    }

    /// Makes a request fit for this address and HTTP/2: absolute target, no Host, no framing.
    pub(crate) fn prepare_http2(&self, request: &mut Request<Body>) -> Result<(), Fault> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        let named = request.extensions().get::<NamedHost>();
        parts.authority = Some(named.map_or(&self.authority, |NamedHost(named)| named).clone());
        parts.path_and_query = Some(self.target(request.uri())?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(bad_target)?;
        *request.version_mut() = http::Version::HTTP_2;
        let length = request.body().size_hint().exact().filter(|&length| length > 0);
        let headers = request.headers_mut();
        headers.remove(HOST);
        // A tunnel is HTTP/1.1's.
        headers.remove(UPGRADE);
        headers.remove(CONNECTION);
        headers.remove(EXPECT);
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Ok(())
    }

    /// Returns what stands before every path, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Returns whether a host and port name this address.
    pub(crate) fn is_at(&self, host: Host<'_>) -> bool {
        let own = Host::parse(self.authority.as_str().as_bytes());
        own.is_some_and(|own| own.is_same(host, 80))
    }

    /// Joins the base with the path and query of a request.
    fn target(&self, uri: &Uri) -> Result<PathAndQuery, Fault> {
        let own = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if self.base.is_empty() {
            return PathAndQuery::from_str(own).map_err(bad_target);
        }
        PathAndQuery::from_str(&format!("{}{own}", self.base)).map_err(bad_target)
    }
}

/// Returns whether a header of a request is not sent as it is, since this crate says it itself.
pub fn is_set_here(name: &http::HeaderName) -> bool {
    [HOST, EXPECT, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
}

fn bad_target(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::ours(Step::Send, Cause::Malformed).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, target: &str) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = target.parse().unwrap();
        Address::parse(address).unwrap().prepare_http1(&mut request).unwrap();
        request
    }

    #[test]
    fn an_address_without_a_base_leaves_the_target_alone() {
        assert_eq!(check("http://weather:8000", "/v1?q=1").uri(), "/v1?q=1");
        assert_eq!(check("http://weather:8000/", "/").uri(), "/");
    }

    #[test]
    fn a_base_stands_before_the_target() {
        assert_eq!(check("http://weather/api/", "/v1?q=1").uri(), "/api/v1?q=1");
    }

    #[test]
    fn a_request_never_chooses_the_host() {
        let request = check("http://weather:8000", "http://evil/v1");
        assert_eq!(request.uri(), "/v1");
        assert_eq!(request.headers()[HOST], "weather:8000");
    }

    #[test]
    fn another_host_is_told_and_the_way_stays_the_same() {
        let address = Address::parse("http://weather:8000/v1").unwrap();
        let named = NamedHost("api.example:81".parse().unwrap());
        let mut request = Request::get("/oslo").body(Body::empty()).unwrap();
        request.extensions_mut().insert(named.clone());
        address.prepare_http1(&mut request).unwrap();
        assert_eq!(request.headers()[HOST], "api.example:81");
        assert_eq!((&*address.host, address.port), ("weather", 8000));
        let mut request = Request::get("/oslo").body(Body::empty()).unwrap();
        request.extensions_mut().insert(named);
        address.prepare_http2(&mut request).unwrap();
        assert_eq!(request.uri(), "http://api.example:81/v1/oslo");
    }

    #[test]
    fn an_address_is_known_by_its_host_and_port() {
        let is_at = |address: &str, host: &str| {
            Address::parse(address).unwrap().is_at(Host::parse(host.as_bytes()).unwrap())
        };
        assert!(is_at("http://weather:8000/v1", "Weather:8000"));
        assert!(is_at("http://weather", "weather:80"));
        assert!(is_at("http://weather:80", "weather"));
        assert!(is_at("http://[::1]:81", "[::1]:81"));
        assert!(!is_at("http://weather:8000", "weather"));
        assert!(!is_at("http://weather", "other"));
    }

    #[test]
    fn te_passes_over_http2_only() {
        let address = Address::parse("http://weather").unwrap();
        let mut request = Request::get("/").body(Body::empty()).unwrap();
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        address.prepare_http2(&mut request).unwrap();
        assert_eq!(request.headers()[TE], "trailers");
        address.prepare_http1(&mut request).unwrap();
        assert!(!request.headers().contains_key(TE));
    }

    #[test]
    fn a_number_needs_no_looking_up() {
        let address = Address::parse("http://[::1]:81").unwrap();
        assert_eq!(address.fixed, Some("[::1]:81".parse().unwrap()));
        assert_eq!(Address::parse("http://127.0.0.1").unwrap().port, 80);
        assert_eq!(Address::parse("http://localhost:1").unwrap().fixed, None);
    }

    #[test]
    fn an_address_that_means_nothing_is_refused() {
        for text in [
            "",
            "weather",
            "weather:80",
            "https://weather",
            "ftp://weather",
            "http://",
            "http://:80",
            "http://a:b@weather",
            "http://weather?x=1",
            "http://weather:0",
            "http://weather:99999",
            "http://weather:",
            "http://we ather",
        ] {
            assert!(Address::parse(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn a_body_is_announced_in_exactly_one_way() {
        let address = Address::parse("http://weather").unwrap();
        let mut request = Request::new(Body::full("four"));
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
        address.prepare_http1(&mut request).unwrap();
        assert_eq!(request.headers()[CONTENT_LENGTH], "4");
        assert!(!request.headers().contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn http2_wants_the_whole_target_and_no_host() {
        let address = Address::parse("http://weather:8000/v1").unwrap();
        let mut request = Request::get("http://evil/oslo?a=b").body(Body::empty()).unwrap();
        request.headers_mut().insert(HOST, HeaderValue::from_static("evil"));
        address.prepare_http2(&mut request).unwrap();
        assert_eq!(request.uri(), "http://weather:8000/v1/oslo?a=b");
        assert!(!request.headers().contains_key(HOST));
    }

    #[test]
    fn a_post_without_a_body_says_so() {
        let mut request = Request::post("/").body(Body::empty()).unwrap();
        Address::parse("http://weather").unwrap().prepare_http1(&mut request).unwrap();
        assert_eq!(request.headers()[CONTENT_LENGTH], "0");
    }
}
