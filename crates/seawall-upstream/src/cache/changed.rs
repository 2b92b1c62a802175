//! What a request has changed besides what it asked for: the answer's `Location` and
//! `Content-Location` (RFC 9111, 4.4).
//!
//! Does not know what is kept. Invariant: only what is on the same site is named; one site must not
//! empty another one's cache.

use http::Uri;
use seawall_wire::headers as rules;
use seawall_wire::name::{CONTENT_LOCATION, LOCATION};
use seawall_wire::{Fields, Host};

use crate::{HttpRequest, UpstreamNames};

/// Returns what an answer's headers name, as the path and query at the upstream.
pub(super) fn named(
    names: &UpstreamNames<'_>,
    request: &HttpRequest,
    headers: &Fields,
) -> impl Iterator<Item = Uri> {
    let values = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| headers.get(name));
    values.filter_map(|value| at_upstream(value.to_str()?, names, request)?.parse().ok())
}

fn at_upstream(text: &str, names: &UpstreamNames<'_>, request: &HttpRequest) -> Option<String> {
    let text = text.split('#').next().unwrap_or_default();
    if let Some(url) = names.read(text) {
        return Some(rooted(url.below()));
    }
    if let Some((host, target)) = absolute(text) {
        // The client's word for the same site, from an upstream that knows it.
        let (_, asked) = rules::asked(&request.headers);
        let asked = Host::parse(asked?.as_bytes())?;
        return asked.is_same(Host::parse(host.as_bytes())?, 80).then(|| rooted(target));
    }
    let base = names.upstream.protocol().transport().base();
    let own = request.uri.path();
    Some(match text.chars().next() {
        None | Some('?') => format!("{own}{text}"),
        Some('/') => {
            let below = text.strip_prefix(base).filter(|below| below.starts_with('/'));
            below.unwrap_or(text).to_owned()
        }
        Some(_) => without_dots(&format!("{}{text}", &own[..=own.rfind('/')?])),
    })
}

/// Reads the host of `http://host/target`, `https://host/target` or `//host/target`, and the rest.
fn absolute(text: &str) -> Option<(&str, &str)> {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) => {
            let is_http = ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
            is_http.then_some(rest)?
        }
        None => text.strip_prefix("//")?,
    };
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

fn rooted(target: &str) -> String {
    if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }
}

/// Resolves the dot segments of a path with a query (RFC 3986, 5.2.4).
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let is_folder = path.ends_with("/.") || path.ends_with("/..");
    let end = if is_folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}{query}", kept.join("/"))
}
