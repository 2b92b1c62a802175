//! Problem details: a failure as a client is told of it (RFC 9457).
//!
//! Does not know: what went wrong, or how an answer is written. Invariant: whatever is put in, what
//! comes out is one JSON object.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::Duration;

use seawall_core::Fate;

/// What a client is told of a failure. It names the upstream as it is called in the settings and
/// the request's path, never a query, a header or an error's own text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemDetails<'a> {
    /// The last part of the type: `breaker-open`.
    pub word: &'static str,
    /// What went wrong, in a few words.
    pub title: Cow<'a, str>,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// More about it; may be empty.
    pub detail: Cow<'a, str>,
    /// The path that was asked for; may be empty.
    pub instance: &'a str,
    /// The upstream that was to be called.
    pub upstream: Option<&'a str>,
    /// How the call ended.
    pub fate: Option<Fate>,
    /// How many attempts were made.
    pub attempts: Option<u32>,
    /// When it is worth asking again.
    pub retry_after: Option<Duration>,
    /// The id of the request.
    pub request_id: Option<&'a str>,
}

impl ProblemDetails<'_> {
    /// The media type of [`body`](Self::body).
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// Writes the JSON object; what is empty is left out.
    pub fn body(&self) -> String {
        let mut text = String::with_capacity(256);
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    /// Returns the seconds of a `Retry-After`: rounded up, since rounding down would bring the
    /// client back too early.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.retry_after?;
        Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }

    fn write(&self, f: &mut String) -> fmt::Result {
        write!(f, "{{\"type\":\"urn:seawall:{}\"", self.word)?;
        text(f, "title", &self.title)?;
        write!(f, ",\"status\":{}", self.status)?;
        let texts = [("detail", &*self.detail), ("instance", self.instance)];
        for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
            text(f, name, value)?;
        }
        self.upstream.map_or(Ok(()), |upstream| text(f, "upstream", upstream))?;
        self.fate.map_or(Ok(()), |fate| text(f, "fate", fate.as_str()))?;
        self.attempts.map_or(Ok(()), |attempts| write!(f, ",\"attempts\":{attempts}"))?;
        if let Some(wait) = self.retry_after {
            write!(f, ",\"retry_after_ms\":{}", wait.as_millis())?;
        }
        self.request_id.map_or(Ok(()), |id| text(f, "request_id", id))?;
        f.write_char('}')
    }
}

/// Writes a member that is a string (RFC 8259, 7).
fn text(f: &mut String, name: &str, value: &str) -> fmt::Result {
    write!(f, ",\"{name}\":\"")?;
    value.chars().try_for_each(|letter| match letter {
        '"' | '\\' => write!(f, "\\{letter}"),
        '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(letter)),
        letter => f.write_char(letter),
    })?;
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_breaker() -> ProblemDetails<'static> {
        ProblemDetails {
            word: "breaker-open",
            title: "weather-api: circuit breaker open".into(),
            status: 503,
            detail: "next probe in 3.1 s".into(),
            instance: "/api/weather/oslo",
            upstream: Some("weather-api"),
            fate: Some(Fate::RejectedBreaker),
            attempts: Some(0),
            retry_after: Some(Duration::from_millis(3100)),
            request_id: Some("0197"),
        }
    }

    #[test]
    fn a_problem_says_the_fate_in_machine_form() {
        assert_eq!(
            open_breaker().body(),
            r#"{"type":"urn:seawall:breaker-open","title":"weather-api: circuit breaker open","status":503,"detail":"next probe in 3.1 s","instance":"/api/weather/oslo","upstream":"weather-api","fate":"rejected_breaker","attempts":0,"retry_after_ms":3100,"request_id":"0197"}"#
        );
    }

    #[test]
    fn retry_after_is_rounded_up() {
        let problem = open_breaker();
        assert_eq!(problem.retry_after_seconds(), Some(4));
        let whole = ProblemDetails { retry_after: Some(Duration::from_secs(3)), ..problem };
        assert_eq!(whole.retry_after_seconds(), Some(3));
        assert_eq!(ProblemDetails::default().retry_after_seconds(), None);
    }

    #[test]
    fn a_path_cannot_break_out_of_the_body() {
        let problem =
            ProblemDetails { word: "no-route", instance: "/\"<\u{1b}\n", ..Default::default() };
        assert!(problem.body().contains(r#""instance":"/\"<\u001b\u000a""#), "{}", problem.body());
    }
}
