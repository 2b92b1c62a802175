//! Problem bodies: what a client is told when there is no answer to pass on (RFC 9457).
//!
//! Does not know sockets. A problem names the upstream as it is called in the settings
//! and the request's path, never its query, its headers or an error's own text.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use seawall_core::Fate;
use seawall_http::Response;
use seawall_wire::name;
use serde::Serialize;

/// Describes a failure to a client.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Problem<'a> {
    /// The last part of the type: `breaker-open`.
    #[serde(rename = "type", serialize_with = "as_urn")]
    pub(crate) word: &'static str,
    pub(crate) title: Cow<'a, str>,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) detail: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_word")]
    pub(crate) fate: Option<Fate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<u32>,
    #[serde(
        rename = "retry_after_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_milliseconds"
    )]
    pub(crate) retry_after: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<&'a str>,
}

impl Problem<'_> {
    /// Writes the body.
    pub(crate) fn body(&self) -> Bytes {
        // Strings and numbers only: there is nothing in it that cannot be written.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Makes the answer.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body());
        response.head_mut().status =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(name::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(name::CACHE_CONTROL, "no-store");
        if let Some(wait) = self.retry_after {
            headers.insert_number(name::RETRY_AFTER, seconds_rounded_up(wait));
        }
        response
    }

    /// Writes the whole answer as the last bytes of an HTTP/1 connection.
    pub(crate) fn last_words(&self) -> Vec<u8> {
        let body = self.body();
        let reason = StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Refused");
        let allow =
            if self.status == 405 { "allow: GET, HEAD, POST, PUT, PATCH, DELETE\r\n" } else { "" };
        let id = self.request_id.map(|id| format!("x-request-id: {id}\r\n")).unwrap_or_default();
        let mut bytes = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {MEDIA_TYPE}\r\ncache-control: no-store\r\n\
             {allow}{id}content-length: {}\r\nconnection: close\r\n\r\n",
            self.status,
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&body);
        bytes
    }
}

const MEDIA_TYPE: &str = "application/problem+json";

/// A `Retry-After` is in whole seconds; rounding down would bring the client back too early.
fn seconds_rounded_up(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn as_urn<S: serde::Serializer>(word: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:seawall:{word}"))
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn as_word<S: serde::Serializer>(fate: &Option<Fate>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(fate.map_or("", Fate::as_str))
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn as_milliseconds<S: serde::Serializer>(
    wait: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let milliseconds = wait.unwrap_or_default().as_millis();
    serializer.serialize_u64(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_breaker() -> Problem<'static> {
        Problem {
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
        let text = String::from_utf8(open_breaker().body().to_vec()).expect("JSON is UTF-8");
        assert_eq!(
            text,
            r#"{"type":"urn:seawall:breaker-open","title":"weather-api: circuit breaker open","status":503,"detail":"next probe in 3.1 s","instance":"/api/weather/oslo","upstream":"weather-api","fate":"rejected_breaker","attempts":0,"retry_after_ms":3100,"request_id":"0197"}"#
        );
    }

    #[test]
    fn retry_after_is_rounded_up() {
        let response = open_breaker().response();
        assert!(response.headers().get(name::RETRY_AFTER).is_some_and(|value| value == "4"));
        assert_eq!(seconds_rounded_up(Duration::from_secs(3)), 3);
    }

    #[test]
    fn a_path_cannot_break_out_of_the_body() {
        let problem = Problem { word: "no-route", instance: "/\"<\u{1b}", ..Problem::default() };
        let text = String::from_utf8(problem.body().to_vec()).expect("JSON is UTF-8");
        assert!(text.contains(r#""instance":"/\"<\u001b""#), "{text}");
    }
}
