//! What an HTTP answer, or the lack of one, says about its upstream.
//!
//! Does not know: how often or when to try again; that is the policy's. A request is repeated
//! only if the upstream provably has not seen it, or if seeing it twice does no harm.

use std::time::SystemTime;

use http::{Method, StatusCode};
use seawall_core::{
    Cause, Chaos, Failure, Fault, Judge, Neutral, Outcome, RetryDenied, Sent, Side, Step,
};
use seawall_policy::retry;
use seawall_wire::verdict::{self, Pushback};
use seawall_wire::{Lookup, Name, name};

use crate::{Body, Replay, Response};

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
        headers: &impl Lookup,
        params: Option<&retry::Params>,
        body: &'a Replay,
    ) -> Self {
        Self { is_repeatable: is_repeatable(method, headers, params), body }
    }
}

/// Returns whether a request may be sent again although the upstream may have seen it.
pub fn is_repeatable(
    method: &Method,
    headers: &impl Lookup,
    params: Option<&retry::Params>,
) -> bool {
    method.is_idempotent()
        || params.is_some_and(|params| {
            params.any_method
                || (params.idempotency_key && headers.first(name::IDEMPOTENCY_KEY).is_some())
        })
}

/// Returns whether a request may be sent again over a fresh connection after one that had been
/// forgotten: it is then most likely unseen, so the caller's own key is enough.
pub fn may_resend(method: &Method, headers: &impl Lookup, params: Option<&retry::Params>) -> bool {
    is_repeatable(method, headers, params) || headers.first(name::IDEMPOTENCY_KEY).is_some()
}

impl Judge<Response<Body>, Fault> for HttpJudge<'_> {
    fn outcome(&self, result: Result<&Response<Body>, &Fault>) -> Outcome {
        match result {
            // Nothing else here reads a clock: a date means something only beside the wall's.
            Ok(response) => {
                verdict::of_head(response.status(), response.headers(), SystemTime::now)
            }
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
        if let Some(Ok(response)) = result
            && verdict::pushback(response.headers()) == Some(Pushback::Never)
        {
            return Err(RetryDenied::Pushback);
        }
        let is_unsent = matches!(result, Some(Err(fault)) if fault.sent == Sent::Unsent);
        if self.is_repeatable || is_unsent { Ok(()) } else { Err(RetryDenied::Method) }
    }

    fn may_hedge(&self) -> bool {
        self.is_repeatable && self.body.is_whole()
    }

    fn injected(&self, what: Chaos) -> Option<Result<Response<Body>, Fault>> {
        Some(match what {
            Chaos::Reset => Err(Fault::upstream(Step::Head, Cause::Reset)),
            Chaos::Error => {
                let mut response = Response::new(Body::empty());
                response.head_mut().status = StatusCode::SERVICE_UNAVAILABLE;
                // Whoever looks at it must see that the upstream did not say this.
                response.headers_mut().insert(SEAWALL_CHAOS, "error");
                Ok(response)
            }
            Chaos::Latency | Chaos::Hang => return None,
        })
    }
}

const SEAWALL_CHAOS: Name<'static> = Name::of("seawall-chaos");

/// Says what a fault means for the upstream; our own and the client's mean nothing.
fn of_fault(fault: &Fault) -> Outcome {
    if fault.sent == Sent::Stale {
        return Outcome::Neutral(Neutral::StaleConnection);
    }
    match fault.side {
        Side::Client if fault.is_client_gone() => return Outcome::Neutral(Neutral::ClientGone),
        Side::Client => return Outcome::Neutral(Neutral::LocalReject),
        Side::Us => return Outcome::Neutral(Neutral::LocalReject),
        // It says something of the limit in the settings; the upstream will say the same again.
        Side::Upstream if fault.is_head_too_large() => {
            return Outcome::Neutral(Neutral::LocalReject);
        }
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

    use http::HeaderMap;

    use super::*;

    fn outcome(status: u16, retry_after: Option<&'static str>) -> Outcome {
        let mut response = Response::new(Body::empty());
        response.head_mut().status = StatusCode::from_u16(status).unwrap();
        if let Some(value) = retry_after {
            response.headers_mut().insert(name::RETRY_AFTER, value);
        }
        let body = Replay::new(Body::empty(), 0);
        let judge = HttpJudge::new(&Method::GET, &HeaderMap::new(), None, &body);
        judge.outcome(Ok(&response))
    }

    fn overload(status: u16, retry_after: Option<Duration>) -> Outcome {
        let is_throttled = status == 429;
        Outcome::Overload { code: Some(status.into()), retry_after, is_throttled }
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
            let failed = Outcome::Failure(Failure::Answered(status.into()));
            assert_eq!(outcome(status, None), failed);
        }
    }

    #[test]
    fn u6_the_word_of_an_overloaded_upstream_is_heard() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(outcome(503, Some("1")), overload(503, second));
        assert_eq!(outcome(429, Some("1")), overload(429, second));
        assert_eq!(outcome(429, None), overload(429, None));
    }

    #[test]
    fn an_upstream_may_say_when_and_whether_to_try_again() {
        let body = Replay::new(Body::empty(), 0);
        let judge = HttpJudge::new(&Method::GET, &HeaderMap::new(), None, &body);
        let answer = |millis: &'static str| {
            let mut response = Response::new(Body::empty());
            response.head_mut().status = StatusCode::INTERNAL_SERVER_ERROR;
            response.headers_mut().insert(name::GRPC_RETRY_PUSHBACK_MS, millis);
            response
        };
        let after = Some(Duration::from_millis(250));
        let wait = answer("250");
        assert_eq!(judge.outcome(Ok(&wait)), overload(500, after));
        assert_eq!(judge.may_repeat(Some(Ok(&wait))), Ok(()));
        for never in ["-1", "soon", ""] {
            let never = answer(never);
            assert_eq!(judge.may_repeat(Some(Ok(&never))), Err(RetryDenied::Pushback));
        }
    }

    #[test]
    fn only_what_may_be_sent_twice_is_hedged() {
        let body = Replay::new(Body::empty(), 0);
        let may = |method| {
            let judge = HttpJudge::new(&method, &HeaderMap::new(), None, &body);
            judge.may_hedge()
        };
        assert!(may(Method::GET) && may(Method::PUT) && !may(Method::POST));
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
        assert!(!against(Fault::upstream(Step::Head, Cause::Reset).stale()));
        assert!(against(Fault::upstream(Step::Connect, Cause::TimedOut)));
        assert!(against(Fault::upstream(Step::Body, Cause::Truncated)));
    }
}
