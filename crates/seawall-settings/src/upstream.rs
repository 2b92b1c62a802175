//! Upstreams as they are meant: every address read, every policy known.
//!
//! Does not know: how an upstream is called. Addresses are read by the crate that uses them, so
//! that what is taken here is taken there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use http::Uri;
use seawall_http::{Options, Transport};

use super::keys;
use super::policy::{self, Policy, STANDARD};
use super::raw::Section;
use super::report::{SettingsProblem, SettingsReport};
use super::resolved::Resolved;
use super::types::UpstreamSettings;

/// Reads one upstream; nothing after reporting what is wrong with it.
pub(super) fn upstream(
    section: &Section,
    policies: &[Policy],
    written: &[Section],
    report: &mut SettingsReport,
) -> Option<(UpstreamSettings, Resolved)> {
    let resolved = Resolved::new(keys::UPSTREAM, &[section]);
    let options = Options {
        http2: resolved.get(keys::UPSTREAM_HTTP2),
        idle_max: resolved.get(keys::UPSTREAM_IDLE_CONNECTIONS) as usize,
        idle_timeout: resolved.get(keys::UPSTREAM_IDLE_CONNECTION_TIMEOUT),
        age_max: resolved.get(keys::UPSTREAM_CONNECTION_AGE),
        requests_max: resolved.get(keys::UPSTREAM_CONNECTION_REQUESTS),
        dns_refresh: resolved.get(keys::UPSTREAM_DNS_REFRESH),
        body_rate_min: resolved.get(keys::UPSTREAM_BODY_RATE),
        headers_max: resolved.get(keys::UPSTREAM_ANSWER_HEADERS) as usize,
        head_bytes_max: resolved.get(keys::UPSTREAM_ANSWER_HEAD) as usize,
    };
    let addresses = addresses(section, &resolved, &options, report);
    let (name, span) = match section.text(keys::UPSTREAM_POLICY) {
        Some(named) => named,
        None => (STANDARD, section.span.clone()),
    };
    let of = format!("upstream `{}`", section.name);
    let policy = named_policy(name, span, &of, policies, written, report)?;
    let settings = UpstreamSettings {
        name: section.name.as_str().into(),
        addresses: addresses?,
        options,
        policy: policy.name.as_str().into(),
        params: policy.params.clone(),
    };
    Some((settings, resolved))
}

/// Finds a policy that something names; nothing after reporting that it is not there.
pub(super) fn named_policy<'a>(
    name: &str,
    span: Range<usize>,
    of: &str,
    policies: &'a [Policy],
    written: &[Section],
    report: &mut SettingsReport,
) -> Option<&'a Policy> {
    let policy = policies.iter().find(|policy| policy.name == name);
    // A policy whose `extends` is broken is reported there, not at everyone who uses it.
    if policy.is_none() && written.iter().all(|other| other.name != name) {
        let names: Vec<_> = policies.iter().map(|policy| &*policy.name).collect();
        report.add(policy::unknown(name, span, of, &names));
    }
    policy
}

/// Reads the addresses of an upstream's endpoints; nothing after reporting what is wrong.
fn addresses(
    section: &Section,
    resolved: &Resolved,
    options: &Options,
    report: &mut SettingsReport,
) -> Option<Vec<Arc<str>>> {
    let url = section.text(keys::UPSTREAM_URL).map(|(url, span)| (url.to_owned(), span));
    let mut is_fine = url.is_some();
    let mut listed: Vec<(String, Range<usize>)> = url.into_iter().collect();
    let is_simulated = listed.iter().any(|(address, _)| address.starts_with("sim:"));
    let span = resolved.span(keys::UPSTREAM_ENDPOINTS).unwrap_or(0..0);
    let further = resolved.get(keys::UPSTREAM_ENDPOINTS).iter();
    listed.extend(further.map(|address| (address.clone(), span.clone())));
    if listed.len() > ENDPOINTS_MAX {
        let title =
            format!("an upstream has {ENDPOINTS_MAX} endpoints at most, not {}", listed.len());
        report.add(SettingsProblem::error(title).at(span.clone(), ""));
        return None;
    }
    for (place, (address, span)) in listed.iter().enumerate() {
        let problem = if listed[..place].iter().any(|(other, _)| other == address) {
            Some(SettingsProblem::error(format!(
                "`{address}` is an endpoint of this upstream twice"
            )))
        } else if place > 0 && (is_simulated || address.starts_with("sim:")) {
            Some(SettingsProblem::error("a simulated upstream has one endpoint"))
        } else {
            address_problem(address, options)
        };
        if let Some(problem) = problem {
            report.add(problem.at(span.clone(), ""));
            is_fine = false;
        }
    }
    is_fine.then(|| listed.into_iter().map(|(address, _)| address.into()).collect())
}

const ENDPOINTS_MAX: usize = seawall_policy::outlier::ENDPOINTS_MAX as usize;

/// Says what is wrong with an upstream's address.
fn address_problem(address: &str, options: &Options) -> Option<SettingsProblem> {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let problem = match scheme.as_deref() {
        Some("https") => {
            return Some(
                SettingsProblem::error(
                    "TLS to upstreams is not in this version: `https://` cannot be called",
                )
                .help(format!(
                    "use http:// on a network that you trust: \"http{}\"",
                    &address[5..]
                )),
            );
        }
        Some("http") | None => Transport::new(address, options.clone()).err()?,
        Some(other) => {
            let title = format!("`{other}://` is not a way to call an upstream");
            return Some(
                SettingsProblem::error(title).help("url = \"http://host:port\", or \"sim:NAME\""),
            );
        }
    };
    let is_bare = scheme.is_none() && !address.starts_with("sim:");
    let guess = format!("http://{address}");
    let help = (is_bare && Transport::new(&guess, options.clone()).is_ok())
        .then(|| format!("url = \"{guess}\""));
    Some(
        SettingsProblem::error(format!("not the address of an upstream: {}", problem.0))
            .help_if(help),
    )
}

/// Returns host and port of an address; nothing for a simulated upstream.
pub fn socket_of(address: &str) -> Option<(String, u16)> {
    let uri: Uri = address.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    Some((host, uri.port_u16().unwrap_or(80)))
}

/// Returns whether an address is that of a listener on this machine; names other than
/// `localhost` are not looked up.
pub(super) fn is_at(address: &str, listen: SocketAddr) -> bool {
    let Some((host, port)) = socket_of(address) else { return false };
    let is_localhost = host.eq_ignore_ascii_case("localhost");
    let ip = if is_localhost { Some(Ipv4Addr::LOCALHOST.into()) } else { host.parse().ok() };
    let Some(ip) = ip.map(|ip: IpAddr| ip.to_canonical()) else { return false };
    // Who connects to 0.0.0.0 reaches this machine, and who listens there is at all its addresses.
    let is_here = |ip: IpAddr| ip.is_unspecified() || ip.is_loopback();
    let is_same = ip == listen.ip()
        || (ip.is_unspecified() && is_here(listen.ip()))
        || (is_here(ip) && listen.ip().is_unspecified())
        || (is_localhost && is_here(listen.ip()));
    port == listen.port() && is_same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_ours_by_whichever_name() {
        let at = |address: &str, listen: &str| is_at(address, listen.parse().unwrap());
        for (address, listen) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:8080/base", "127.0.0.1:8080"),
            ("http://LOCALHOST:8080", "[::1]:8080"),
            ("http://0.0.0.0:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080", "0.0.0.0:8080"),
            ("http://127.0.0.2:8080", "0.0.0.0:8080"),
            ("http://[::1]:8080", "[::]:8080"),
            ("http://localhost", "0.0.0.0:80"),
            ("http://10.0.0.7:8080", "10.0.0.7:8080"),
            ("http://[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
        ] {
            assert!(at(address, listen), "{address} at {listen}");
        }
        for (address, listen) in [
            ("http://127.0.0.1:8081", "127.0.0.1:8080"),
            ("http://127.0.0.2:8080", "127.0.0.1:8080"),
            ("http://10.0.0.8:8080", "10.0.0.7:8080"),
            ("http://weather.internal:8080", "0.0.0.0:8080"),
            ("sim:calm", "0.0.0.0:80"),
        ] {
            assert!(!at(address, listen), "{address} at {listen}");
        }
    }
}
