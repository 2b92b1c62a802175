//! What an HTTP answer, or the lack of one, says about its upstream.
//!
//! Does not know: how often or when to try again; that is the policy's. A request is repeated
//! only if the upstream provably has not seen it, or if seeing it twice does no harm.

use std::time::SystemTime;

use http::{HeaderMap, Method, Response, StatusCode};
use seawall_core::{Cause, Failure, Fault, Judge, Neutral, Outcome, RetryDenied, Sent, Side, Step};
use seawall_policy::retry;
use seawall_wire::retry_after;

use crate::{Body, Replay};

/// Judges the attempts of one HTTP request.
pub struct HttpJudge<'a> {
    is_repeatable: bool,
    body: &'a Replay,
}

impl<'a> HttpJudge<'a> {
    /// Judges the attempts of a request with this method, these headers and this body.
    ///
    /// It may be repeated if its method is idempotent (RFC 9110, 9.2.2), if the policy trusts
    /// its `Idempotency-Key`, or if the policy says that any method may be.
    pub fn new(
        method: &Method,
        headers: &HeaderMap,
        params: Option<&retry::Params>,
        body: &'a Replay,
    ) -> Self {
        Self { is_repeatable: is_repeatable(method, headers, params), body }
    }
}

/// Returns whether a request may be sent again although the upstream may have seen it.
pub fn is_repeatable(method: &Method, headers: &HeaderMap, params: Option<&retry::Params>) -> bool {
    method.is_idempotent()
        || params.is_some_and(|params| {
            params.any_method || (params.idempotency_key && headers.contains_key("idempotency-key"))
        })
}

impl Judge<Response<Body>, Fault> for HttpJudge<'_> {
    fn outcome(&self, result: Result<&Response<Body>, &Fault>) -> Outcome {
        match result {
            Ok(response) => of_status(response.status(), response.headers()),
            Err(fault) => of_fault(fault),
        }
    }

    fn may_repeat(
        &self,
        result: Option<Result<&Response<Body>, &Fault>>,
    ) -> Result<(), RetryDenied> {
        if !self.body.is_whole() {
            return Err(RetryDenied::Body);
        }
        let is_unsent = matches!(result, Some(Err(fault)) if fault.sent == Sent::Unsent);
        if self.is_repeatable || is_unsent { Ok(()) } else { Err(RetryDenied::Method) }
    }
}

/// Says what a status means: 5xx is the upstream's failure, 429 and a 503 with a `Retry-After`
/// are its word that it has too much to do, everything else is an answer.
fn of_status(status: StatusCode, headers: &HeaderMap) -> Outcome {
    let status = status.as_u16();
    // A date means something only beside the wall clock; nothing else here reads a clock.
    let retry_after = || retry_after::read(headers, SystemTime::now());
    match status {
        429 => Outcome::Overload { status, retry_after: retry_after() },
        503 => match retry_after() {
            Some(after) => Outcome::Overload { status, retry_after: Some(after) },
            None => Outcome::Failure(Failure::Status(status)),
        },
        500..=599 => Outcome::Failure(Failure::Status(status)),
        _ => Outcome::Success,
    }
}

/// Says what a fault means for the upstream; our own and the client's mean nothing.
fn of_fault(fault: &Fault) -> Outcome {
    match fault.side {
        Side::Client => return Outcome::Neutral(Neutral::ClientGone),
        Side::Us => return Outcome::Neutral(Neutral::LocalReject),
        Side::Upstream => {}
    }
    Outcome::Failure(match (fault.step, fault.cause) {
        (Step::Resolve | Step::Connect, _) => Failure::Connect,
        (_, Cause::TimedOut) => Failure::TimedOut,
        (_, Cause::Malformed | Cause::TooLarge) => Failure::Malformed,
        (_, Cause::Truncated | Cause::TooSlow) => Failure::Body,
        _ => Failure::Reset,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::RETRY_AFTER;

    use super::*;

    fn outcome(status: u16, retry_after: Option<&'static str>) -> Outcome {
        let mut response = Response::builder().status(status);
        if let Some(value) = retry_after {
            response = response.header(RETRY_AFTER, value);
        }
        let body = Replay::new(Body::empty(), 0);
        let judge = HttpJudge::new(&Method::GET, &HeaderMap::new(), None, &body);
        judge.outcome(Ok(&response.body(Body::empty()).unwrap()))
    }

    fn may_repeat(method: &Method, params: &retry::Params, fault: &Fault) -> bool {
        let body = Replay::new(Body::empty(), 0);
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", "one".parse().unwrap());
        HttpJudge::new(method, &headers, Some(params), &body).may_repeat(Some(Err(fault))).is_ok()
    }

    #[test]
    fn a_status_below_500_is_an_answer() {
        for status in [200, 204, 302, 304, 400, 401, 404, 409, 499] {
            assert_eq!(outcome(status, None), Outcome::Success, "{status}");
        }
    }

    #[test]
    fn a_5xx_status_is_a_failure() {
        for status in [500, 501, 502, 503, 504, 599] {
            assert_eq!(outcome(status, None), Outcome::Failure(Failure::Status(status)));
        }
    }

    #[test]
    fn u6_the_word_of_an_overloaded_upstream_is_heard() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(outcome(503, Some("1")), Outcome::Overload { status: 503, retry_after: second });
        assert_eq!(outcome(429, Some("1")), Outcome::Overload { status: 429, retry_after: second });
        assert_eq!(outcome(429, None), Outcome::Overload { status: 429, retry_after: None });
    }

    #[test]
    fn what_was_not_sent_may_always_be_sent_again() {
        let unsent = Fault::upstream(Step::Connect, Cause::Refused).unsent();
        assert!(may_repeat(&Method::POST, &retry::Params::default(), &unsent));
    }

    #[test]
    fn u4_a_post_that_may_have_been_seen_is_repeated_only_by_permission() {
        let reset = Fault::upstream(Step::Head, Cause::Reset);
        let standard = retry::Params::default();
        assert!(!may_repeat(&Method::POST, &standard, &reset));
        assert!(may_repeat(&Method::PUT, &standard, &reset));
        let keyed = retry::Params { idempotency_key: true, ..standard.clone() };
        assert!(may_repeat(&Method::POST, &keyed, &reset));
        let any = retry::Params { any_method: true, ..standard };
        assert!(may_repeat(&Method::POST, &any, &reset));
    }

    #[test]
    fn only_the_upstreams_own_faults_speak_against_it() {
        let against = |fault: Fault| of_fault(&fault).is_against_upstream();
        assert!(!against(Fault::client(Step::Source, Cause::TooSlow)));
        assert!(!against(Fault::ours(Step::Connect, Cause::Exhausted)));
        assert!(against(Fault::upstream(Step::Connect, Cause::TimedOut)));
        assert!(against(Fault::upstream(Step::Body, Cause::Truncated)));
    }
}
