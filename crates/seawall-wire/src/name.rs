//! The names of fields, and a small number for each that the rules ask for.
//!
//! Does not know what a field means. A name is a token (RFC 9110, 5.6.2) in any case; two names are
//! the same whatever their case.

use http::HeaderName;

/// The name of a field.
///
/// The names that this crate's rules ask for have a number, so that a head that does not have them
/// is known not to without looking.
///
/// ```
/// use seawall_wire::{Name, name};
///
/// assert_eq!(Name::of("Content-Type"), name::CONTENT_TYPE);
/// assert_ne!(Name::of("x-other"), Name::of("x-others"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    text: &'a [u8],
    /// Zero for the names without one.
    number: u8,
}

/// A set of this module's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSet(u64);

impl<'a> Name<'a> {
    /// Makes a name of a text that is known when the program is written.
    ///
    /// # Panics
    ///
    /// Panics if the text is no token; in a constant that is an error of the compiler.
    pub const fn of(text: &'static str) -> Name<'static> {
        let text = text.as_bytes();
        assert!(is_token(text), "a name is a token");
        Name { text, number: number(text) }
    }

    /// Makes the name of a token that was read.
    pub(crate) const fn read(text: &'a [u8], number: u8) -> Self {
        Self { text, number }
    }

    /// Returns its text, in the case in which it was written.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.text
    }

    /// Returns whether it begins with a text, in whatever case.
    pub fn starts_with(&self, text: &str) -> bool {
        let start = self.text.get(..text.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
    }

    pub(crate) const fn number(&self) -> u8 {
        self.number
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Name<'_>) -> bool {
        self.number == other.number
            && (self.number != 0 || self.text.eq_ignore_ascii_case(other.text))
    }
}

impl Eq for Name<'_> {}

impl<'a> From<&'a HeaderName> for Name<'a> {
    fn from(name: &'a HeaderName) -> Self {
        let text = name.as_str().as_bytes();
        Self { text, number: number(text) }
    }
}

impl From<&'static str> for Name<'static> {
    fn from(text: &'static str) -> Self {
        Self::of(text)
    }
}

impl NameSet {
    /// Makes a set of names.
    ///
    /// # Panics
    ///
    /// Panics if one of them is none of this module's; in a constant that is an error of the
    /// compiler.
    pub const fn of(names: &[Name<'_>]) -> Self {
        let mut set = Self(0);
        let mut at = 0;
        while at < names.len() {
            assert!(names[at].number != OTHER, "only names with a number can be in a set");
            set = set.with(names[at].number);
            at += 1;
        }
        set
    }

    /// Returns the set with one number more, zero included.
    pub(crate) const fn with(self, number: u8) -> Self {
        Self(self.0 | 1 << number)
    }

    /// Returns whether a number is in it.
    pub(crate) const fn has(self, number: u8) -> bool {
        self.0 & 1 << number != 0
    }

    /// Returns whether a name is in it.
    pub const fn contains(self, name: Name<'_>) -> bool {
        name.number != 0 && self.has(name.number)
    }

    /// Returns whether two sets have anything in common.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns what is in either set.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Returns the number of a name; zero if it has none.
pub(crate) const fn number(text: &[u8]) -> u8 {
    let len = text.len();
    if len + 1 >= STARTS.len() || len == 0 {
        return OTHER;
    }
    let mut number = STARTS[len];
    while number < STARTS[len + 1] {
        if is_same(TEXTS[number as usize].as_bytes(), text) {
            return number;
        }
        number += 1;
    }
    OTHER
}

/// Returns whether a name of ours, in lower case, is this token of the same length. Once per field:
/// eight letters at a time, the last eight first, since names differ most in their ends.
const fn is_same(name: &[u8], text: &[u8]) -> bool {
    // The bit tells upper from lower case. Of the other characters of a token it makes none that
    // stands in one of our names.
    const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
    let mut left = name.len();
    while left >= 8 {
        if word(name, left - 8) != word(text, left - 8) | LOWER {
            return false;
        }
        left -= 8;
    }
    while left > 0 {
        left -= 1;
        if name[left] != text[left] | 0x20 {
            return false;
        }
    }
    true
}

const fn word(text: &[u8], at: usize) -> u64 {
    match text.split_at(at).1.first_chunk() {
        Some(word) => u64::from_ne_bytes(*word),
        None => 0,
    }
}

/// The number of all names that have none of their own.
pub(crate) const OTHER: u8 = 0;

const fn is_token(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        let is_mark = matches!(
            text[at],
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        );
        if !is_mark && !text[at].is_ascii_alphanumeric() {
            return false;
        }
        at += 1;
    }
    !text.is_empty()
}

macro_rules! names {
    ($($name:ident $text:literal)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "it numbers constants")]
        #[repr(u8)]
        enum Number { $($name),* }

        $(
            #[doc = concat!("`", $text, "`.")]
            pub const $name: Name<'static> =
                Name { text: $text.as_bytes(), number: Number::$name as u8 + 1 };
        )*

        /// The text of each number.
        const TEXTS: &[&str] = &["", $($text),*];
    };
}

// By length, the shortest first; at most 63, so that a set of them is one word.
names! {
    TE "te"
    AGE "age"
    HOST "host"
    DATE "date"
    VARY "vary"
    ETAG "etag"
    ALPN "alpn"
    CLOSE "close"
    COOKIE "cookie"
    EXPECT "expect"
    PRAGMA "pragma"
    UPGRADE "upgrade"
    TRAILER "trailer"
    ALT_SVC "alt-svc"
    REFRESH "refresh"
    EXPIRES "expires"
    LOCATION "location"
    FORWARDED "forwarded"
    X_REAL_IP "x-real-ip"
    CONNECTION "connection"
    KEEP_ALIVE "keep-alive"
    SET_COOKIE "set-cookie"
    TRACESTATE "tracestate"
    RETRY_AFTER "retry-after"
    TRACEPARENT "traceparent"
    X_FORWARDED "x-forwarded"
    X_CLIENT_IP "x-client-ip"
    CONTENT_TYPE "content-type"
    MAX_FORWARDS "max-forwards"
    X_REQUEST_ID "x-request-id"
    GRPC_TIMEOUT "grpc-timeout"
    AUTHORIZATION "authorization"
    CACHE_CONTROL "cache-control"
    CONTENT_RANGE "content-range"
    X_REWRITE_URL "x-rewrite-url"
    IF_NONE_MATCH "if-none-match"
    LAST_MODIFIED "last-modified"
    CONTENT_LENGTH "content-length"
    HTTP2_SETTINGS "http2-settings"
    X_ORIGINAL_URL "x-original-url"
    TRUE_CLIENT_IP "true-client-ip"
    PROXY_FEATURES "proxy-features"
    SECURITY_SCHEME "security-scheme"
    X_FORWARDED_FOR "x-forwarded-for"
    SEAWALL_ATTEMPT "seawall-attempt"
    SEAWALL_OUTCOME "seawall-outcome"
    IDEMPOTENCY_KEY "idempotency-key"
    CONTENT_ENCODING "content-encoding"
    PROXY_CONNECTION "proxy-connection"
    X_FORWARDED_HOST "x-forwarded-host"
    TRANSFER_ENCODING "transfer-encoding"
    PROXY_INSTRUCTION "proxy-instruction"
    X_FORWARDED_PROTO "x-forwarded-proto"
    IF_MODIFIED_SINCE "if-modified-since"
    PROXY_AUTHENTICATE "proxy-authenticate"
    SEAWALL_TIMEOUT_MS "seawall-timeout-ms"
    PROXY_AUTHORIZATION "proxy-authorization"
    X_CLUSTER_CLIENT_IP "x-cluster-client-ip"
    X_ENVOY_ATTEMPT_COUNT "x-envoy-attempt-count"
    GRPC_RETRY_PUSHBACK_MS "grpc-retry-pushback-ms"
    PROXY_AUTHENTICATION_INFO "proxy-authentication-info"
    UPGRADE_INSECURE_REQUESTS "upgrade-insecure-requests"
    X_ENVOY_EXPECTED_RQ_TIMEOUT_MS "x-envoy-expected-rq-timeout-ms"
}

/// `content-location`, which has no number: no set has it, and few heads are asked for it.
pub const CONTENT_LOCATION: Name<'static> = Name::of("content-location");

/// Where the names of each length, or of the next longer one, begin among the numbers.
const STARTS: [u8; LONGEST + 2] = {
    assert!(TEXTS.len() <= 64, "a set of names is one word");
    let mut starts = [0; LONGEST + 2];
    let (mut number, mut len) = (1, 0);
    while len < starts.len() {
        while number < TEXTS.len() && TEXTS[number].len() < len {
            number += 1;
        }
        starts[len] = number as u8;
        len += 1;
    }
    starts
};
const LONGEST: usize = TEXTS[TEXTS.len() - 1].len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_its_text_in_any_case_and_nothing_else_is() {
        for (at, text) in TEXTS.iter().enumerate().skip(1) {
            let text = text.as_bytes();
            assert_eq!(usize::from(number(text)), at);
            assert_eq!(usize::from(number(&text.to_ascii_uppercase())), at);
            for place in 0..text.len() {
                let mut other = text.to_vec();
                other[place] = b'_';
                assert_eq!(number(&other), OTHER);
            }
            assert_eq!(number(&text[..text.len() - 1]), OTHER);
            assert_eq!(number(&[text, b"x"].concat()), OTHER);
        }
        assert_eq!(number(b""), OTHER);
        assert_eq!(number(&[b'x'; 100]), OTHER);
    }

    #[test]
    fn a_name_is_a_token_as_the_http_crate_has_it() {
        for byte in 0..=u8::MAX {
            let bytes = [byte];
            assert_eq!(is_token(&bytes), HeaderName::from_bytes(&bytes).is_ok(), "{byte:#x}");
        }
        assert!(!is_token(b""));
    }
}
