//! An upstream's address: what `http://host:port/base` means for a connection and for a request.
//!
//! Does not know: names' addresses, connections. Where a request goes can only come from here; what
//! it says in Host too, unless its head names another.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery};
use http::{Method, Uri};
use seawall_core::{Cause, Fault, Step};
use seawall_wire::name::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};
use seawall_wire::{Host, Name, NameSet, Value};
use thiserror::Error;

use crate::RequestHead;
use crate::http1::Framing;

/// Says what is wrong with an upstream's address.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct BadAddress(pub String);

/// Holds where an upstream is.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// A name, or a number without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The socket address, if the host is a number: then nothing has to be looked up.
    pub(crate) fixed: Option<SocketAddr>,
    authority: Authority,
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
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port, fixed, authority, base })
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

    /// Makes a head fit for this address and one HTTP/1.1 connection: target in origin form, our
    /// Host, and exactly one way to tell where the body ends, which is returned too.
    pub(crate) fn prepare_http1(
        &self,
        head: &mut RequestHead,
        length: Option<u64>,
    ) -> Result<Framing, Fault> {
        if !self.base.is_empty() || head.uri.authority().is_some() {
            head.uri = Uri::from(self.target(&head.uri)?);
        }
        head.version = http::Version::HTTP_11;
        let host = head.named_host.as_ref().unwrap_or(&self.authority);
        let host = Value::new(host.as_str().as_bytes());
        let host = host.ok_or_else(|| bad_target("the host has a control character"))?;
        let headers = &mut head.headers;
        headers.insert(HOST, host);
        // It is about one hop, and trailers come without being asked for.
        headers.remove_any(SAID_HERE.and(NameSet::of(&[TE])));
        let is_bodiless = matches!(head.method, Method::GET | Method::HEAD | Method::DELETE);
        Ok(match length {
            Some(0) if is_bodiless => Framing::None,
            Some(length) => {
                headers.insert_number(CONTENT_LENGTH, length);
                Framing::Length(length)
            }
            None => {
                headers.insert(TRANSFER_ENCODING, "chunked");
                Framing::Chunked { with_trailers: true }
            }
        })
    }

    /// Makes a head fit for this address and one HTTP/2 connection: target in origin form, no Host,
    /// and nothing that is about one HTTP/1 connection (RFC 9113, 8.2.2). Returns the authority that
    /// is asked for.
    pub(crate) fn prepare_http2(
        &self,
        head: &mut RequestHead,
        length: Option<u64>,
    ) -> Result<Authority, Fault> {
        if !self.base.is_empty() || head.uri.authority().is_some() {
            head.uri = Uri::from(self.target(&head.uri)?);
        }
        head.version = http::Version::HTTP_2;
        head.headers.remove_any(SAID_HERE.and(NameSet::of(&[HOST, UPGRADE, CONNECTION])));
        if let Some(length) = length.filter(|length| *length > 0) {
            head.headers.insert_number(CONTENT_LENGTH, length);
        }
        Ok(head.named_host.take().unwrap_or_else(|| self.authority.clone()))
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
    SAID_HERE.and(NameSet::of(&[HOST])).contains(Name::from(name))
}

/// What frames a body is said by whoever sends it.
const SAID_HERE: NameSet = NameSet::of(&[EXPECT, CONTENT_LENGTH, TRANSFER_ENCODING]);

fn bad_target(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::ours(Step::Send, Cause::Malformed).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: Method, target: &str) -> RequestHead {
        RequestHead { method, uri: target.parse().unwrap(), ..RequestHead::default() }
    }

    fn check(address: &str, target: &str) -> RequestHead {
        let mut head = head(Method::GET, target);
        Address::parse(address).unwrap().prepare_http1(&mut head, Some(0)).unwrap();
        head
    }

    fn said(head: &RequestHead, name: Name<'static>) -> Option<String> {
        head.headers.only(name).and_then(Value::to_str).map(str::to_owned)
    }

    #[test]
    fn an_address_without_a_base_leaves_the_target_alone() {
        assert_eq!(check("http://weather:8000", "/v1?q=1").uri, "/v1?q=1");
        assert_eq!(check("http://weather:8000/", "/").uri, "/");
    }

    #[test]
    fn a_base_stands_before_the_target() {
        assert_eq!(check("http://weather/api/", "/v1?q=1").uri, "/api/v1?q=1");
    }

    #[test]
    fn a_request_never_chooses_the_host() {
        let request = check("http://weather:8000", "http://evil/v1");
        assert_eq!(request.uri, "/v1");
        assert_eq!(said(&request, HOST).unwrap(), "weather:8000");
    }

    #[test]
    fn another_host_is_told_and_the_way_stays_the_same() {
        let address = Address::parse("http://weather:8000/v1").unwrap();
        let named_host = Some("api.example:81".parse().unwrap());
        let mut head = RequestHead { named_host, ..head(Method::GET, "/oslo") };
        let mut other = head.clone();
        address.prepare_http1(&mut head, Some(0)).unwrap();
        assert_eq!(said(&head, HOST).unwrap(), "api.example:81");
        assert_eq!((&*address.host, address.port), ("weather", 8000));
        assert_eq!(address.prepare_http2(&mut other, Some(0)).unwrap(), "api.example:81");
        assert_eq!(other.uri, "/v1/oslo");
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
        let mut head = head(Method::GET, "/");
        head.headers.insert(TE, "trailers");
        let mut other = head.clone();
        address.prepare_http2(&mut other, Some(0)).unwrap();
        assert_eq!(said(&other, TE).unwrap(), "trailers");
        address.prepare_http1(&mut head, Some(0)).unwrap();
        assert!(!head.headers.contains(TE));
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
        let mut head = head(Method::GET, "/");
        head.headers.insert(CONTENT_LENGTH, "9");
        head.headers.insert(TRANSFER_ENCODING, "gzip");
        address.prepare_http1(&mut head, Some(4)).unwrap();
        assert_eq!(said(&head, CONTENT_LENGTH).unwrap(), "4");
        assert!(!head.headers.contains(TRANSFER_ENCODING));
    }

    #[test]
    fn http2_wants_the_authority_beside_the_target_and_no_host() {
        let address = Address::parse("http://weather:8000/v1").unwrap();
        let mut head = head(Method::GET, "http://evil/oslo?a=b");
        head.headers.insert(HOST, "evil");
        assert_eq!(address.prepare_http2(&mut head, None).unwrap(), "weather:8000");
        assert_eq!(head.uri, "/v1/oslo?a=b");
        assert!(!head.headers.contains(HOST));
    }

    #[test]
    fn a_post_without_a_body_says_so() {
        let mut head = head(Method::POST, "/");
        Address::parse("http://weather").unwrap().prepare_http1(&mut head, Some(0)).unwrap();
        assert_eq!(said(&head, CONTENT_LENGTH).unwrap(), "0");
    }
}
