//! An error as an HTTP answer (RFC 9457).
//!
//! Does not know: any framework. It names the upstream as it is told, and never says an error's own
//! text: that is for logs.

use std::fmt::Write as _;

use http::{HeaderValue, Response, StatusCode, header};

use crate::{CallError, ErrorKind};

impl<E> CallError<E> {
    /// Makes the answer for a caller who gets none: a problem body with status, fate and, where it
    /// is known, `Retry-After`.
    ///
    /// In axum it is an `IntoResponse` as it is:
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use axum::Router;
    /// use axum::body::Body;
    /// use axum::error_handling::HandleErrorLayer;
    /// use axum::routing::get;
    /// use seawall_call::layer::{Http, PolicyLayer};
    /// use seawall_call::{CallError, Policy, Unsound};
    /// use tower::ServiceBuilder;
    ///
    /// fn router() -> Result<Router, Unsound> {
    ///     let refusals = HandleErrorLayer::new(async |error: CallError<Infallible>| {
    ///         error.to_response::<Body>("weather")
    ///     });
    ///     let policy = PolicyLayer::new(Policy::builder().build()?).classified(Http::new());
    ///     let guarded = ServiceBuilder::new().layer(refusals).layer(policy);
    ///     Ok(Router::new().route("/oslo", get(async || "sunny")).layer(guarded))
    /// }
    /// ```
    pub fn to_response<B: From<String>>(&self, upstream: &str) -> Response<B> {
        let mut body = String::new();
        // Writing to a string does not fail.
        let _ = self.write_problem(&mut body, upstream);
        let mut response = Response::new(B::from(body));
        // One of 429, 500, 502, 503, 504.
        *response.status_mut() =
            StatusCode::from_u16(self.http_status()).unwrap_or(StatusCode::BAD_GATEWAY);
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after() {
            // Rounded up: a caller that comes earlier is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn write_problem(&self, f: &mut String, upstream: &str) -> std::fmt::Result {
        let word = match self.kind() {
            ErrorKind::BreakerOpen => "breaker-open",
            ErrorKind::QueueFull | ErrorKind::QueueTimeout => "bulkhead-full",
            ErrorKind::Shed => "shed",
            ErrorKind::RateLimited => "rate-limited",
            ErrorKind::Unsound => "unsound",
            ErrorKind::TimedOut => "timed-out",
            ErrorKind::Failed => "upstream-failed",
        };
        let (status, fate, attempts) = (self.http_status(), self.fate(), self.attempts());
        write!(f, "{{\"type\":\"urn:seawall:{word}\",\"title\":\"")?;
        escape(f, &self.summary().to_string())?;
        write!(f, "\",\"status\":{status},\"upstream\":\"")?;
        escape(f, upstream)?;
        write!(f, "\",\"fate\":\"{fate}\",\"attempts\":{attempts}")?;
        if let Some(wait) = self.retry_after() {
            write!(f, ",\"retry_after_ms\":{}", wait.as_millis())?;
        }
        f.write_char('}')
    }
}

/// Writes text as it stands between the quotes of a JSON string (RFC 8259, 7).
fn escape(f: &mut String, text: &str) -> std::fmt::Result {
    text.chars().try_for_each(|letter| match letter {
        '"' | '\\' => write!(f, "\\{letter}"),
        '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(letter)),
        letter => f.write_char(letter),
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use seawall_core::TripReason;

    use super::*;

    #[test]
    fn an_error_is_an_answer_that_says_when_to_come_again() {
        let error = CallError::<Infallible>::BreakerOpen {
            retry_after: Duration::from_millis(3_100),
            open_for: None,
            cause: Some(TripReason::Ratio),
        };
        let response = error.to_response::<String>("the \"weather\"\n");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "4");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            response.body(),
            r#"{"type":"urn:seawall:breaker-open","title":"the circuit breaker is open for another 3.1s (ratio)","status":503,"upstream":"the \"weather\"\u000a","fate":"rejected_breaker","attempts":0,"retry_after_ms":3100}"#
        );
    }

    #[test]
    fn an_error_without_an_end_says_none() {
        let error =
            CallError::Failed { error: "secret", attempts: 2, denied: None, endpoint: None };
        let response = error.to_response::<String>("weather");
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
        assert!(!response.body().contains("secret"));
    }
}
