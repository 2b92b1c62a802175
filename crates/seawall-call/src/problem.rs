//! An error as an HTTP answer (RFC 9457).
//!
//! Does not know: any framework. It names the upstream as it is told, and never says an error's own
//! text: that is for logs.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use seawall_core::Phase;
use seawall_wire::ProblemDetails;

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
    /// use seawall_call::layer::{HttpClassifier, PolicyLayer};
    /// use seawall_call::{CallError, Policy, Unsound};
    /// use tower::ServiceBuilder;
    ///
    /// fn router() -> Result<Router, Unsound> {
    ///     let refusals = HandleErrorLayer::new(async |error: CallError<Infallible>| {
    ///         error.to_response::<Body>("weather")
    ///     });
    ///     let policy = PolicyLayer::new(Policy::builder().build()?).classified(HttpClassifier::new());
    ///     let guarded = ServiceBuilder::new().layer(refusals).layer(policy);
    ///     Ok(Router::new().route("/oslo", get(async || "sunny")).layer(guarded))
    /// }
    /// ```
    pub fn to_response<B: From<String>>(&self, upstream: &str) -> Response<B> {
        let problem = self.to_problem(upstream);
        let mut response = Response::new(B::from(problem.body()));
        // One of 429, 500, 502, 503, 504.
        *response.status_mut() =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static(ProblemDetails::MEDIA_TYPE);
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Says for a client why its call has no answer.
    pub fn to_problem<'a>(&self, upstream: &'a str) -> ProblemDetails<'a> {
        let word = match self.kind() {
            ErrorKind::BreakerOpen => "breaker-open",
            ErrorKind::QueueFull | ErrorKind::QueueTimeout => "bulkhead-full",
            ErrorKind::Shed => "shed",
            ErrorKind::RateLimited => "rate-limited",
            ErrorKind::Unsound => "unsound",
            ErrorKind::TimedOut => "timed-out",
            ErrorKind::Failed => "upstream-failed",
        };
        let (title, detail) = match self {
            Self::BreakerOpen { retry_after, .. } => (
                format!("{upstream}: circuit breaker open"),
                format!("next probe in {}", seconds(*retry_after)),
            ),
            Self::QueueFull => (
                format!("{upstream}: concurrency limit reached"),
                "all slots are in use and the queue is full".to_owned(),
            ),
            Self::QueueTimeout { waited } => (
                format!("{upstream}: concurrency limit reached"),
                format!("no slot became free within {}", seconds(*waited)),
            ),
            Self::Shed { priority, .. } => (
                "server overloaded".to_owned(),
                format!("requests of {} priority are being shed", priority.as_str()),
            ),
            Self::RateLimited { retry_after } => (
                format!("{upstream}: rate limit exceeded"),
                format!("try again in {}", seconds(*retry_after)),
            ),
            Self::TimedOut { phase, .. } => {
                (format!("{upstream} did not answer in time"), timed_out(*phase).to_owned())
            }
            Self::Unsound(_) => {
                (format!("{upstream}: the policy of this call cannot work"), String::new())
            }
            Self::Failed { .. } => {
                (format!("no valid response from {upstream}"), self.summary().to_string())
            }
        };
        ProblemDetails {
            word,
            title: title.into(),
            status: self.http_status(),
            detail: detail.into(),
            upstream: Some(upstream),
            fate: Some(self.fate()),
            attempts: Some(self.attempts()),
            retry_after: self.retry_after(),
            ..ProblemDetails::default()
        }
    }
}

const fn timed_out(phase: Phase) -> &'static str {
    match phase {
        Phase::Queue => "timed out while waiting in the queue",
        Phase::Backoff => "timed out between two attempts",
        Phase::Connect => "no connection could be opened in time",
        Phase::Attempt => "the last attempt took too long",
        Phase::Total | Phase::Body => "the call took too long",
    }
}

/// Writes a duration as people read it: `3.1 s`.
fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

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
            r#"{"type":"urn:seawall:breaker-open","title":"the \"weather\"\u000a: circuit breaker open","status":503,"detail":"next probe in 3.1 s","upstream":"the \"weather\"\u000a","fate":"rejected_breaker","attempts":0,"retry_after_ms":3100}"#
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
