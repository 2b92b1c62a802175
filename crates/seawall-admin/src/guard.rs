//! Who may do what on the admin port.
//!
//! Does not know what is behind it. The threats are a web page in the operator's browser (it can
//! send requests to loopback, and by DNS rebinding read the answers), other users of this machine,
//! and, where the port is opened to it, the network. Invariant: nothing changes without the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode};
use seawall_core::Secret;

/// The token that callers must show, and for what.
pub struct Guard {
    token: Secret,
    is_made_here: bool,
    /// Whether reading needs the token, too.
    guards_reading: bool,
    wrong: Mutex<Wrong>,
}

/// Counts wrong tokens within the current second.
struct Wrong {
    since: Instant,
    tries: u32,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

impl Guard {
    /// Takes the token of the settings, or makes one.
    ///
    /// # Errors
    ///
    /// Says so if the port would be open to the network without a token.
    pub fn new(listen: SocketAddr, token: Option<&Secret>) -> Result<Self, String> {
        // Whoever says a token means it; without one only this machine is let in.
        let guards_reading = token.is_some();
        if token.is_none() && !listen.ip().is_loopback() {
            return Err(format!(
                "admin.listen = \"{listen}\" would open the dashboard to the network without a \
                 token: set admin.token = {{ env = \"SEAWALL_ADMIN_TOKEN\" }}, or listen on 127.0.0.1"
            ));
        }
        let made = match token {
            Some(token) => token.clone(),
            None => Secret::new(random_token().map_err(|e| format!("cannot make a token: {e}"))?),
        };
        let wrong = Mutex::new(Wrong { since: Instant::now(), tries: 0 });
        Ok(Self { token: made, is_made_here: token.is_none(), guards_reading, wrong })
    }

    /// Returns the token if this process made it, so that the same user's `seawall reload` may
    /// read it; one from the settings is never written down.
    pub(super) fn made_here(&self) -> Option<&str> {
        self.is_made_here.then(|| self.token.expose())
    }

    /// Says whether a request may pass.
    pub(super) fn check(&self, request: &Parts, now: Instant) -> Result<(), Denied> {
        // A path that is forgotten in the list is guarded all the same.
        let reads = request.method == Method::GET || request.method == Method::HEAD;
        let changes = CHANGING.contains(&request.uri.path()) || !reads;
        let host = host(request).ok_or(MISDIRECTED)?;
        let has_token = request.headers.contains_key(AUTHORIZATION);
        // A page that rebinds its own name to this address has no token.
        let is_welcome = is_own_name(&host) || (has_token && self.admits(request, now).is_ok());
        if !is_welcome {
            return Err(MISDIRECTED);
        }
        if changes {
            if request.method != Method::POST {
                return Err(Denied { status: StatusCode::METHOD_NOT_ALLOWED, why: "use POST" });
            }
            from_here(request, &host)?;
        }
        let is_health = HEALTH.contains(&request.uri.path());
        if changes && shown(request).is_some_and(|shown| shown.scheme == Scheme::Basic) {
            // A browser sends it along by itself, whatever page made it ask.
            return Err(Denied {
                status: StatusCode::UNAUTHORIZED,
                why: "changes need a Bearer token",
            });
        }
        if changes || (self.guards_reading && !is_health) {
            self.admits(request, now)?;
        }
        Ok(())
    }

    /// Says whether a request shows the token.
    fn admits(&self, request: &Parts, now: Instant) -> Result<(), Denied> {
        let Some(Shown { token: shown, .. }) = shown(request) else {
            return Err(Denied { status: StatusCode::UNAUTHORIZED, why: "token required" });
        };
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(wrong.since) >= Duration::from_secs(1) {
            *wrong = Wrong { since: now, tries: 0 };
        }
        if wrong.tries >= WRONG_PER_SECOND_MAX {
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Err(Denied { status, why: "too many wrong tokens" });
        }
        if self.token.matches(&shown) {
            return Ok(());
        }
        wrong.tries += 1;
        Err(Denied { status: StatusCode::UNAUTHORIZED, why: "wrong token" })
    }
}

/// The token that a request shows.
struct Shown {
    scheme: Scheme,
    token: Vec<u8>,
}

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// As it is (RFC 6750).
    Bearer,
    /// As the password of any user (RFC 7617): what browsers and `curl -u` can do.
    Basic,
}

/// Returns the token that a request shows, right or wrong. The name of a scheme has no case (RFC
/// 9110, 11.1).
fn shown(request: &Parts) -> Option<Shown> {
    let value = request.headers.get(AUTHORIZATION)?.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (&value[..end], value[end..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Shown { scheme: Scheme::Bearer, token: rest.to_owned() });
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = BASE64.decode(rest).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(Shown { scheme: Scheme::Basic, token: decoded[colon + 1..].to_owned() })
}

/// Refuses what a page of another origin can send: its browser says where it comes from.
fn from_here(request: &Parts, host: &Authority) -> Result<(), Denied> {
    let denied = Err(Denied { status: StatusCode::FORBIDDEN, why: "from another origin" });
    let headers = &request.headers;
    if let Some(origin) = headers.get(ORIGIN)
        && origin.as_bytes() != format!("http://{host}").as_bytes()
    {
        return denied;
    }
    match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => denied,
    }
}

/// Returns the one host that a request is for.
fn host(request: &Parts) -> Option<Authority> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host: Authority = hosts.next()?.to_str().ok()?.parse().ok()?;
    let is_only = hosts.next().is_none();
    let is_target = request.uri.authority().is_none_or(|target| *target == host);
    (is_only && is_target).then_some(host)
}

/// Returns whether a host is an address or `localhost`, to which no name server can rebind.
fn is_own_name(host: &Authority) -> bool {
    let name = host.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn random_token() -> std::io::Result<String> {
    use std::fmt::Write as _;
    use std::io::Read as _;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut token, byte| {
        // Writing to a string cannot fail.
        let _ = write!(token, "{byte:02x}");
        token
    }))
}

/// The paths that change something.
const CHANGING: [&str; 4] = ["/reload", "/breaker", "/chaos", "/jobs"];
/// The paths that tell nothing but one word; probes have no token.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
const WRONG_PER_SECOND_MAX: u32 = 5;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MISDIRECTED: Denied =
    Denied { status: StatusCode::MISDIRECTED_REQUEST, why: "this host is not served here" };

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 9090);
    const OPEN: ([u8; 4], u16) = ([0, 0, 0, 0], 9090);

    fn guard(listen: ([u8; 4], u16)) -> Guard {
        Guard::new(listen.into(), Some(&Secret::new("secret"))).expect("there is a token")
    }

    /// Returns the status with which a request is refused; 200 if it passes.
    fn check(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = http::Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "127.0.0.1:9090");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("the request is sound").into_parts();
        guard.check(&parts, Instant::now()).map_or_else(|denied| denied.status.as_u16(), |()| 200)
    }

    const TOKEN: (&str, &str) = ("authorization", "Bearer secret");

    #[test]
    fn a2_a_change_by_get_is_405() {
        assert_eq!(check(&guard(LOOPBACK), "GET", "/reload", &[TOKEN]), 405);
        assert_eq!(check(&guard(LOOPBACK), "HEAD", "/reload", &[TOKEN]), 405);
        assert_eq!(check(&guard(LOOPBACK), "POST", "/reload", &[TOKEN]), 200);
    }

    #[test]
    fn a2_a_change_from_another_origin_is_403() {
        let guard = guard(LOOPBACK);
        for from in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:8080"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(check(&guard, "POST", "/reload", &[TOKEN, from]), 403, "{from:?}");
        }
        for from in [("origin", "http://127.0.0.1:9090"), ("sec-fetch-site", "same-origin")] {
            assert_eq!(check(&guard, "POST", "/reload", &[TOKEN, from]), 200, "{from:?}");
        }
    }

    #[test]
    fn a2_a_change_without_the_token_is_401() {
        let guard = guard(LOOPBACK);
        assert_eq!(check(&guard, "POST", "/reload", &[]), 401);
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer ", "secret"] {
            assert_eq!(
                check(&guard, "POST", "/reload", &[("authorization", wrong)]),
                401,
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_browser_shows_the_token_as_a_password_and_may_only_look() {
        let guard = guard(OPEN);
        let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let as_basic = basic("anybody:secret");
        let scheme_in_capitals = as_basic.replace("Basic", "BASIC");
        for shown in [&*as_basic, &scheme_in_capitals, &basic(":secret"), "bearer secret"] {
            assert_eq!(check(&guard, "GET", "/", &[("authorization", shown)]), 200, "{shown}");
        }
        for shown in [&*basic("secret:"), &basic("secret"), &basic("a:secre"), "Basic secret"] {
            assert_eq!(check(&guard, "GET", "/", &[("authorization", shown)]), 401, "{shown}");
        }
        let from_a_page = [("authorization", &*as_basic)];
        assert_eq!(check(&guard, "POST", "/reload", &from_a_page), 401, "browsers send it along");
        assert_eq!(check(&guard, "POST", "/reload", &[("authorization", "BEARER secret")]), 200);
    }

    #[test]
    fn a_token_in_the_settings_is_wanted_on_loopback_too() {
        assert_eq!(check(&guard(LOOPBACK), "GET", "/metrics", &[]), 401);
        assert_eq!(check(&guard(LOOPBACK), "GET", "/healthz", &[]), 200);
        let own = Guard::new(LOOPBACK.into(), None).expect("loopback needs no token");
        assert_eq!(check(&own, "GET", "/metrics", &[]), 200);
    }

    #[test]
    fn a2_a_foreign_host_is_421() {
        let guard = guard(LOOPBACK);
        for host in ["evil.example", "evil.example:9090", "localhost.evil.example:9090"] {
            assert_eq!(check(&guard, "GET", "/status.json", &[("host", host)]), 421, "{host}");
            assert_eq!(check(&guard, "GET", "/metrics", &[("host", host)]), 421, "{host}");
        }
        for host in ["localhost:9090", "127.0.0.1:9090", "[::1]:9090"] {
            assert_eq!(
                check(&guard, "GET", "/status.json", &[TOKEN, ("host", host)]),
                200,
                "{host}"
            );
        }
        let twice = [("host", "127.0.0.1:9090"), ("host", "evil.example")];
        assert_eq!(check(&guard, "GET", "/", &twice), 421);
        assert_eq!(check(&guard, "GET", "http://evil.example/", &[]), 421);
    }

    #[test]
    fn a2_only_five_wrong_tokens_a_second_are_compared() {
        let guard = guard(LOOPBACK);
        let wrong = ("authorization", "Bearer wrong");
        let (parts, ()) = http::Request::post("/reload")
            .header("host", "localhost")
            .header(wrong.0, wrong.1)
            .body(())
            .expect("the request is sound")
            .into_parts();
        let now = Instant::now() + Duration::from_secs(10);
        let status = |now| guard.check(&parts, now).map_err(|denied| denied.status.as_u16());
        assert_eq!(
            (0..7).map(|_| status(now)).collect::<Vec<_>>(),
            [Err(401), Err(401), Err(401), Err(401), Err(401), Err(429), Err(429)]
        );
        assert_eq!(status(now + Duration::from_secs(1)), Err(401), "a new second");
    }

    #[test]
    fn a1_a_port_open_to_the_network_needs_a_token() {
        assert!(Guard::new(OPEN.into(), None).is_err());
        let guard = guard(OPEN);
        assert_eq!(check(&guard, "GET", "/metrics", &[]), 401);
        assert_eq!(check(&guard, "GET", "/metrics", &[TOKEN]), 200);
        let by_name = ("host", "seawall.internal:9090");
        assert_eq!(check(&guard, "GET", "/metrics", &[TOKEN, by_name]), 200);
        assert_eq!(check(&guard, "GET", "/metrics", &[by_name]), 421);
        assert_eq!(check(&guard, "GET", "/healthz", &[]), 200);
    }

    #[test]
    fn each_process_makes_its_own_token() {
        let token = || {
            let guard = Guard::new(LOOPBACK.into(), None).expect("loopback needs no token");
            guard.made_here().expect("it was made here").to_owned()
        };
        assert_eq!(token().len(), 64);
        assert_ne!(token(), token());
    }
}
