//! Whether an answer may be kept by a cache that many share, and used again (RFC 9111).
//!
//! Does not know: where answers are kept, or what to do when an upstream fails. The invariant: in
//! doubt an answer is not kept, and not used. What the RFC leaves to the cache is decided so:
//!
//! - An answer to a request with `Authorization` or `Cookie` is kept, and such a request is given
//!   a kept one, only if the answer says `public` or `s-maxage`.
//! - An answer with `Set-Cookie`, with `Vary: *` or to a part of the whole (206) is never kept.
//! - There is no guess from `Last-Modified`: what says nothing is as fresh as the settings say.

mod control;

use std::time::{Duration, SystemTime};

use http::{HeaderName, Method, StatusCode, Version};

use crate::name::{
    AGE, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, COOKIE,
    DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, PRAGMA, SET_COOKIE,
    TRANSFER_ENCODING, VARY,
};
use crate::{Fields, Name, Value};

pub use control::CacheControl;

/// The directives of a request: what it asks of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// It wants an answer that the upstream has confirmed.
    pub no_cache: bool,
    /// It wants a kept answer or none.
    pub only_if_cached: bool,
    /// How old the answer may be.
    pub max_age: Option<Duration>,
    /// For how long it must still be fresh.
    pub min_fresh: Option<Duration>,
    /// Whether it says who asks.
    pub is_personal: bool,
}

impl RequestDirectives {
    /// Reads a request; `None` if it must not be answered from a cache, nor its answer be kept.
    pub fn read(method: &Method, headers: &Fields) -> Option<Self> {
        let is_read = *method == Method::GET || *method == Method::HEAD;
        if !is_read || PARTIAL.iter().any(|name| headers.contains(*name)) {
            return None;
        }
        let control = CacheControl::read(headers);
        if control.no_store {
            return None;
        }
        // Pragma counts only without Cache-Control (RFC 9111, 5.4).
        let pragma = !control.is_said && has_token(headers, PRAGMA, "no-cache");
        Some(Self {
            no_cache: control.no_cache || pragma,
            only_if_cached: control.only_if_cached,
            max_age: control.max_age,
            min_fresh: control.min_fresh,
            is_personal: headers.contains(AUTHORIZATION) || headers.contains(COOKIE),
        })
    }

    /// Returns whether a kept answer of this age will do, as far as the request goes.
    pub fn takes(&self, age: Duration, fresh_for: Duration) -> bool {
        !self.no_cache
            && self.max_age.is_none_or(|max| age <= max)
            && self.min_fresh.is_none_or(|min| fresh_for >= min)
    }
}

/// The directives of an answer: what it says of its being stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// How long it is fresh, by its own word.
    pub fresh_for: Option<Duration>,
    /// How old it was when it came.
    pub age: Duration,
    /// How long it may be used while a newer one is fetched, by its own word.
    pub stale_while_revalidate: Option<Duration>,
    /// How long it may be used when the upstream fails, by its own word.
    pub stale_if_error: Option<Duration>,
    /// Whether it forbids every use after its time that it does not name.
    pub must_revalidate: bool,
    /// Whether it may be given to requests that say who asks.
    pub is_declared: bool,
}

impl ResponseDirectives {
    /// Reads an answer to a request that [`RequestDirectives::read`] has let pass; `None` if it must not be
    /// kept.
    pub fn read(
        asked: &RequestDirectives,
        version: Version,
        status: StatusCode,
        headers: &Fields,
        now: SystemTime,
    ) -> Option<Self> {
        let control = CacheControl::read(headers);
        let is_declared = control.public || control.s_maxage.is_some();
        let is_barred = control.no_store
            || control.private
            || headers.contains(SET_COOKIE)
            || (asked.is_personal && !is_declared)
            || !has_end(version, status, headers)
            || vary(headers).is_none()
            || status.is_informational()
            || status == StatusCode::PARTIAL_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        if is_barred {
            return None;
        }
        let date = one_date(headers, DATE);
        let explicit = control.s_maxage.or(control.max_age).or_else(|| expires(headers, date, now));
        // Without a word of its own the settings decide, but not for errors.
        if explicit.is_none() && !control.public && !BY_DEFAULT.contains(&status.as_u16()) {
            return None;
        }
        let apparent = date.and_then(|date| now.duration_since(date).ok()).unwrap_or_default();
        Some(Self {
            fresh_for: if control.no_cache { Some(Duration::ZERO) } else { explicit },
            age: apparent.max(age(headers)),
            stale_while_revalidate: control.stale_while_revalidate.filter(|_| !control.no_cache),
            stale_if_error: control.stale_if_error.filter(|_| !control.no_cache),
            must_revalidate: control.no_cache
                || control.must_revalidate
                || control.proxy_revalidate
                || control.s_maxage.is_some(),
            is_declared,
        })
    }
}

/// Returns the headers that an answer was chosen by; `None` if by more than headers say (`*`), or
/// by more than are looked at.
pub fn vary(headers: &Fields) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for token in tokens(headers, VARY) {
        let name = HeaderName::try_from(token).ok().filter(|_| token != "*")?;
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > VARY_MAX {
            return None;
        }
    }
    Some(names)
}

/// Returns what a request says in a header by which an answer was chosen, in one form.
pub fn selecting(headers: &Fields, name: &HeaderName) -> Option<Vec<u8>> {
    let mut values = headers.get_all(name);
    let mut joined = values.next()?.as_bytes().trim_ascii().to_vec();
    for value in values {
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes().trim_ascii());
    }
    Some(joined)
}

/// Returns whether the client has the answer already: its condition matches the answer's validator
/// (RFC 9110, 13.1.2 and 13.1.3).
pub fn is_not_modified(request: &Fields, answer: &Fields) -> bool {
    if request.contains(IF_NONE_MATCH) {
        let Some(etag) = answer.get(ETAG).and_then(Value::to_str) else { return false };
        return tokens(request, IF_NONE_MATCH)
            .any(|one| one == "*" || weak(one) == weak(etag.trim()));
    }
    let since = one_date(request, IF_MODIFIED_SINCE);
    let modified = one_date(answer, LAST_MODIFIED);
    matches!((since, modified), (Some(since), Some(modified)) if modified <= since)
}

/// Takes the client's own conditions out, and puts those in that ask whether an answer that is
/// kept is still the one; returns whether it has anything to ask by.
pub fn make_conditional(request: &mut Fields, kept: Option<&Fields>) -> bool {
    request.remove(IF_NONE_MATCH);
    request.remove(IF_MODIFIED_SINCE);
    let Some(kept) = kept else { return false };
    let pairs = [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
    let mut is_conditional = false;
    for (validator, condition) in pairs {
        if let Some(value) = kept.get(validator) {
            request.insert(condition, value);
            is_conditional = true;
        }
    }
    is_conditional
}

/// Returns whether a 304 is about the answer that is kept: where it has a strong tag, that must be
/// the answer's (RFC 9111, 4.3.4).
pub fn is_about(kept: &Fields, not_modified: &Fields) -> bool {
    match not_modified.get(ETAG) {
        Some(tag) if !tag.as_bytes().starts_with(b"W/") => kept.get(ETAG) == Some(tag),
        _ => true,
    }
}

/// Puts what a 304 says in the place of what a kept answer says (RFC 9111, 3.2).
pub fn update(kept: &mut Fields, not_modified: &Fields) {
    // These describe the body, and the body is the old one.
    let is_new = |name: &Name<'_>| !BODY.contains(name);
    for (name, _) in not_modified.iter().filter(|(name, _)| is_new(name)) {
        kept.remove(name);
    }
    for (name, value) in not_modified.iter().filter(|(name, _)| is_new(name)) {
        kept.append(name, value);
    }
}

/// Returns the headers that a 304 for a kept answer carries (RFC 9110, 15.4.5).
pub fn for_not_modified(kept: &Fields) -> Fields {
    let mut headers = kept.clone();
    headers.retain(|name, _| !name.starts_with("content-") || name == CONTENT_LOCATION);
    headers
}

/// Returns whether the end of the body can be told from its being cut: an HTTP/1 body without a
/// length and without chunks ends when the connection does, for whatever reason.
fn has_end(version: Version, status: StatusCode, headers: &Fields) -> bool {
    version >= Version::HTTP_2
        || status == StatusCode::NO_CONTENT
        || headers.contains(CONTENT_LENGTH)
        || headers.contains(TRANSFER_ENCODING)
}

/// Returns how long an answer is fresh by its `Expires`; a date that cannot be read has passed.
fn expires(headers: &Fields, date: Option<SystemTime>, now: SystemTime) -> Option<Duration> {
    if !headers.contains(EXPIRES) {
        return None;
    }
    let left = one_date(headers, EXPIRES)
        .and_then(|expires| expires.duration_since(date.unwrap_or(now)).ok());
    Some(left.unwrap_or_default())
}

/// Returns the age that an answer says it has: the first, if it says several, and none if that is no
/// number (RFC 9111, 5.1).
fn age(headers: &Fields) -> Duration {
    let first = headers.get(AGE).and_then(|age| age.to_str()?.split(',').next());
    first.and_then(|age| control::seconds(age.trim())).unwrap_or_default()
}

/// Reads a date that must stand there once.
fn one_date(headers: &Fields, name: Name<'static>) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.only(name)?.to_str()?.trim()).ok()
}

fn tokens<'h>(headers: &'h Fields, name: Name<'static>) -> impl Iterator<Item = &'h str> {
    // What is no text is a name that nothing has.
    let texts = headers.get_all(name).map(|value| value.to_str().unwrap_or("*"));
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn has_token(headers: &Fields, name: Name<'static>, token: &str) -> bool {
    tokens(headers, name).any(|one| one.eq_ignore_ascii_case(token))
}

/// Returns a tag without its mark of weakness.
fn weak(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// Requests with one of these want a part, or a change only if something holds.
const PARTIAL: [Name<'static>; 4] = [
    Name::of("range"),
    Name::of("if-range"),
    Name::of("if-match"),
    Name::of("if-unmodified-since"),
];

/// What may be kept without a word of its own; fewer than the RFC allows, since a 404 that an
/// operator did not ask to keep is a surprise.
const BY_DEFAULT: [u16; 6] = [200, 203, 204, 300, 301, 308];

const BODY: [Name<'static>; 7] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    Name::of("content-md5"),
    Name::of("content-digest"),
    Name::of("repr-digest"),
    Name::of("digest"),
];

/// An answer that was chosen by more headers than this is hardly ever the right one again.
const VARY_MAX: usize = 16;

#[cfg(test)]
mod tests;
