//! `Cache-CacheControl`: its directives, of requests and of answers (RFC 9111, 5.2).
//!
//! Does not know what follows from them. A number that cannot be read is zero: what cannot be
//! understood is not fresh.

use std::time::Duration;

use crate::Fields;
use crate::name::CACHE_CONTROL;

/// The directives of `Cache-Control`; those that are not known are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// Whether there is the header at all.
    pub is_said: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`, with or without names of headers.
    pub no_cache: bool,
    /// `private`, with or without names of headers.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`; the smallest, if there are several.
    pub max_age: Option<Duration>,
    /// `s-maxage`.
    pub s_maxage: Option<Duration>,
    /// `min-fresh`.
    pub min_fresh: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861).
    pub stale_if_error: Option<Duration>,
}

impl CacheControl {
    /// Reads the directives in all values of the header.
    pub fn read(headers: &Fields) -> Self {
        let mut control = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            control.is_said = true;
            match value.to_str() {
                Some(text) => directives(text, |name, value| control.take(name, value)),
                // Nobody can tell what it forbids.
                None => control.no_store = true,
            }
        }
        control
    }

    fn take(&mut self, name: &str, value: &str) {
        let flag = match name.to_ascii_lowercase().as_str() {
            "no-store" => &mut self.no_store,
            "no-cache" => &mut self.no_cache,
            "private" => &mut self.private,
            "public" => &mut self.public,
            "must-revalidate" => &mut self.must_revalidate,
            "proxy-revalidate" => &mut self.proxy_revalidate,
            "only-if-cached" => &mut self.only_if_cached,
            "max-age" => return shorten(&mut self.max_age, value),
            "s-maxage" => return shorten(&mut self.s_maxage, value),
            "min-fresh" => return shorten(&mut self.min_fresh, value),
            "stale-while-revalidate" => return shorten(&mut self.stale_while_revalidate, value),
            "stale-if-error" => return shorten(&mut self.stale_if_error, value),
            _ => return,
        };
        *flag = true;
    }
}

fn shorten(place: &mut Option<Duration>, value: &str) {
    let read = seconds(value).unwrap_or_default();
    *place = Some(place.map_or(read, |earlier| earlier.min(read)));
}

/// Reads seconds; more than fit are 68 years (RFC 9111, 1.2.2).
pub(super) fn seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(text.parse().map_or(SECONDS_MAX, |s: u64| s.min(SECONDS_MAX))))
}

/// Hands every directive on with its value, which may stand in quotes.
fn directives(mut text: &str, mut take: impl FnMut(&str, &str)) {
    while !text.is_empty() {
        let (part, rest) = match text[..].char_indices().find(comma_outside_quotes()) {
            Some((at, _)) => (&text[..at], &text[at + 1..]),
            None => (text, ""),
        };
        text = rest;
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        take(name.trim(), value.trim().trim_matches('"'));
    }
}

/// Finds a comma that no quotes are around.
fn comma_outside_quotes() -> impl FnMut(&(usize, char)) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    move |&(_, letter)| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match letter {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    }
}

/// As long as anything can be.
const SECONDS_MAX: u64 = 1 << 31;
