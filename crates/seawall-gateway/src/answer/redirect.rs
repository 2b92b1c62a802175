//! Redirects on their way back: what names the upstream is made to name what the client asked for.
//!
//! Does not know caches: what is kept names the upstream, and each client is told in its own words.
//! As nginx does by default, `Location` and `Refresh` are looked at, and an address without a host
//! passes as it is.

use http::HeaderValue;
use seawall_wire::headers as rules;
use seawall_wire::name::{LOCATION, REFRESH};
use seawall_wire::{Fields, Host};

use crate::call::forward::Job;
use crate::settings::{Fallback, Target, UpstreamHost};

/// Rewrites the redirects in an answer's headers.
///
/// `roots` returns what stands before the part that the paths at the upstream and here have in
/// common, if there is one.
pub(crate) fn rewrite<'u>(
    headers: &mut Fields,
    job: &Job<'_>,
    roots: impl FnOnce() -> Option<(String, &'u str)>,
) {
    let is_redirect = headers.contains(LOCATION) || headers.contains(REFRESH);
    if !is_redirect || !job.route.rewrites_redirects {
        return;
    }
    let roots = roots();
    headers.change(|name, value| {
        if name != LOCATION && name != REFRESH {
            return None;
        }
        let text = value.to_str()?;
        let at = if name == LOCATION { 0..text.len() } else { in_refresh(text) };
        let target = Named::read(&text[at.clone()], job)?;
        let target = target.here(roots.as_ref(), rules::asked(&job.headers));
        HeaderValue::try_from(format!("{}{target}{}", &text[..at.start], &text[at.end..])).ok()
    });
}

/// Finds the address in `5; url=http://...`; it may stand in quotes.
fn in_refresh(text: &str) -> std::ops::Range<usize> {
    let Some(at) = text.to_ascii_lowercase().find("url=") else { return 0..0 };
    let start = at + "url=".len();
    match text[start..].chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inside = &text[start + 1..];
            start + 1..start + 1 + inside.find(quote).unwrap_or(inside.len())
        }
        _ => start..text.len(),
    }
}

/// The part of an address of the upstream that comes after its host.
pub(crate) struct Named<'a> {
    /// What stands before every path there.
    base: &'a str,
    target: &'a str,
}

impl<'a> Named<'a> {
    /// Reads `http://host:port/path` or `//host:port/path`; nothing if that is not the upstream.
    pub(crate) fn read(text: &'a str, job: &'a Job<'_>) -> Option<Self> {
        let has_scheme = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        let rest = if has_scheme { &text[5..] } else { text };
        let rest = rest.strip_prefix("//")?;
        let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let host = Host::parse(host.as_bytes())?;
        let base =
            named_by(host, &job.route.target, &job.route.upstream_host).or_else(|| {
                match job.route.fallback.as_ref()? {
                    Fallback::Upstream(other) => named_by(host, other, &UpstreamHost::Upstream),
                    Fallback::Prepared(_) => None,
                }
            })?;
        Some(Self { base, target })
    }

    /// Returns the path and query there without the base.
    pub(crate) fn below(&self) -> &'a str {
        let below = self.target.strip_prefix(self.base);
        let below = below.filter(|below| below.is_empty() || below.starts_with(['/', '?', '#']));
        below.unwrap_or(self.target)
    }

    /// Writes it as the client would have asked for it.
    fn here(&self, roots: Option<&(String, &str)>, asked: (&str, Option<&str>)) -> String {
        let target = self.below();
        let moved = roots.and_then(|(there, here)| {
            Some(format!("{here}{}", target.strip_prefix(there.as_str())?))
        });
        let target = moved.as_deref().unwrap_or(target);
        match asked {
            (scheme, Some(host)) => format!("{scheme}://{host}{target}"),
            // Two slashes would begin a host.
            (_, None) => format!("/{}", target.trim_start_matches('/')),
        }
    }
}

/// Returns the base of an upstream that a host names: by its address, or as it was told.
fn named_by<'t>(host: Host<'_>, target: &'t Target, told: &UpstreamHost) -> Option<&'t str> {
    let is_told = match told {
        UpstreamHost::Named(name) => {
            Host::parse(name.as_str().as_bytes()).is_some_and(|name| name.is_same(host, 80))
        }
        UpstreamHost::Upstream | UpstreamHost::Keep => false,
    };
    target.upstream.base_at(host).or_else(|| is_told.then(|| target.upstream.base()))
}
