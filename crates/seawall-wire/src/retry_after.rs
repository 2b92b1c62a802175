//! When an upstream asks to be left alone for a while (RFC 9110, 10.2.3).

use std::time::{Duration, SystemTime};

use crate::Lookup;
use crate::name::RETRY_AFTER;

/// Returns how long the upstream asks to wait: seconds, or until a date.
///
/// A date in the past is zero. Nothing is returned if the header is absent or is neither. The
/// caller bounds the result by its deadline: an upstream may ask for years.
pub fn read(headers: &impl Lookup, now: SystemTime) -> Option<Duration> {
    let text = headers.first(RETRY_AFTER)?.to_str()?.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean longer than anyone waits.
        return Some(Duration::from_secs(
            text.parse().map_or(SECONDS_MAX, |s: u64| s.min(SECONDS_MAX)),
        ));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// A century: adding it to an instant cannot pass the end of a clock.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 3600;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn check(text: &[u8], want: Option<Duration>) {
        // Sun, 06 Nov 1994 08:49:37 GMT, the example of the RFC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_bytes(text).expect("a value"));
        assert_eq!(read(&headers, now), want, "{:?}", text.escape_ascii().to_string());
    }

    #[test]
    fn seconds_and_dates_are_read() {
        let seconds = |count| Some(Duration::from_secs(count));
        check(b"0", seconds(0));
        check(b" 120 ", seconds(120));
        check(b"Sun, 06 Nov 1994 08:50:37 GMT", seconds(60));
        check(b"Sunday, 06-Nov-94 08:50:37 GMT", seconds(60));
        check(b"Sun Nov  6 08:50:37 1994", seconds(60));
    }

    #[test]
    fn a_date_in_the_past_is_now() {
        check(b"Sun, 06 Nov 1994 08:49:36 GMT", Some(Duration::ZERO));
    }

    #[test]
    fn more_than_fits_is_a_century() {
        check(b"99999999999999999999999", Some(Duration::from_secs(SECONDS_MAX)));
        check(b"18446744073709551615", Some(Duration::from_secs(SECONDS_MAX)));
    }

    #[test]
    fn anything_else_is_nothing() {
        for text in ["", "-1", "+5", "1.5", "5s", "soon", "Sun, 06 Nov 1994", "\u{663}"] {
            check(text.as_bytes(), None);
        }
        assert_eq!(read(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
