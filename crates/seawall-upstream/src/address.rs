//! Addresses in answers that name the upstream: by its own address, or as it was told.
//!
//! Does not know caches or clients. What names another host is none of ours.

use http::uri::Authority;
use seawall_wire::Host;

use crate::Upstream;

/// The host that an upstream is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UpstreamHost {
    /// Its own, as in its address.
    #[default]
    Upstream,
    /// The one that the client asked for; the upstream's own, if it asked for none.
    Keep,
    /// This one.
    Named(Authority),
}

/// The names that an upstream has in its answers.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamNames<'a> {
    /// The upstream.
    pub upstream: &'a Upstream,
    /// The host that it was told.
    pub told: &'a UpstreamHost,
    /// The one that may have answered in its place.
    pub other: Option<&'a Upstream>,
}

/// An address of the upstream in an answer: what comes after its host.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamUrl<'a> {
    /// What stands before every path there.
    base: &'a str,
    target: &'a str,
}

impl UpstreamHost {
    /// Returns the host to tell instead of the upstream's own; `asked` is the one that the client
    /// asked for.
    pub fn named<'a>(&self, asked: impl FnOnce() -> Option<&'a str>) -> Option<Authority> {
        match self {
            Self::Upstream => None,
            Self::Keep => asked()?.parse().ok(),
            Self::Named(host) => Some(host.clone()),
        }
    }
}

impl<'a> UpstreamNames<'a> {
    /// Takes an upstream that is told its own name.
    pub(crate) fn own(upstream: &'a Upstream) -> Self {
        Self { upstream, told: &UpstreamHost::Upstream, other: None }
    }

    /// Reads `http://host:port/path` or `//host:port/path`; nothing if that is not the upstream.
    pub fn read(&self, text: &'a str) -> Option<UpstreamUrl<'a>> {
        let has_scheme = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        let rest = if has_scheme { &text[5..] } else { text };
        let rest = rest.strip_prefix("//")?;
        let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let host = Host::parse(host.as_bytes())?;
        let base = base(host, self.upstream, self.told)
            .or_else(|| base(host, self.other?, &UpstreamHost::Upstream))?;
        Some(UpstreamUrl { base, target })
    }
}

impl<'a> UpstreamUrl<'a> {
    /// Returns the path and query there without the base.
    pub fn below(&self) -> &'a str {
        let below = self.target.strip_prefix(self.base);
        let below = below.filter(|below| below.is_empty() || below.starts_with(['/', '?', '#']));
        below.unwrap_or(self.target)
    }
}

/// Returns the base of an upstream that a host names.
fn base<'u>(host: Host<'_>, upstream: &'u Upstream, told: &UpstreamHost) -> Option<&'u str> {
    let is_told = match told {
        UpstreamHost::Named(name) => {
            Host::parse(name.as_str().as_bytes()).is_some_and(|name| name.is_same(host, 80))
        }
        UpstreamHost::Upstream | UpstreamHost::Keep => false,
    };
    let transport = upstream.protocol().transport();
    transport.base_at(host).or_else(|| is_told.then(|| transport.base()))
}
