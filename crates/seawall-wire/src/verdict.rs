//! What the head of an answer says about its upstream, and whether it may be asked again.
//!
//! Does not know: how often or when to try again, or the body. 5xx is the upstream's failure, 429
//! and a 503 with a `Retry-After` are its word that it has too much to do, all else is an answer.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use seawall_core::{Code, Failure, Outcome};

use crate::name::GRPC_RETRY_PUSHBACK_MS;
use crate::{Lookup, retry_after};

/// Says what a status means; `now` reads the wall clock, beside which alone a date means something,
/// and is only asked for where there may be one.
pub fn of_head(
    status: StatusCode,
    headers: &impl Lookup,
    now: impl FnOnce() -> SystemTime,
) -> Outcome {
    let status = status.as_u16();
    let overload = |retry_after| Outcome::Overload {
        code: Some(Code::from(status)),
        retry_after,
        is_throttled: status == 429,
    };
    if status >= 500
        && let Some(Pushback::After(after)) = pushback(headers)
    {
        return overload(Some(after));
    }
    match status {
        429 => overload(retry_after::read(headers, now())),
        503 => match retry_after::read(headers, now()) {
            Some(after) => overload(Some(after)),
            None => Outcome::Failure(Failure::Answered(status.into())),
        },
        500..=599 => Outcome::Failure(Failure::Answered(status.into())),
        _ => Outcome::Success,
    }
}

/// Is what an upstream says about trying again (gRPC proposal A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Not at all: a negative number, or nothing that is a number.
    Never,
    /// After so long.
    After(Duration),
}

/// Reads what an upstream says about trying again; `None` if it says nothing.
pub fn pushback(headers: &impl Lookup) -> Option<Pushback> {
    let value = headers.first(GRPC_RETRY_PUSHBACK_MS)?;
    let millis = value.to_str().and_then(|text| text.trim().parse::<u32>().ok());
    Some(match millis {
        Some(millis) => Pushback::After(Duration::from_millis(millis.into())),
        None => Pushback::Never,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn check(status: u16, header: Option<(&'static str, &'static str)>, expected: Outcome) {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        }));
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(of_head(status, &headers, || SystemTime::UNIX_EPOCH), expected, "{status}");
    }

    #[test]
    fn a_head_says_what_it_means() {
        let second = Some(Duration::from_secs(1));
        let failed = |status: u16| Outcome::Failure(Failure::Answered(status.into()));
        let overload = |status: u16, retry_after| Outcome::Overload {
            code: Some(status.into()),
            retry_after,
            is_throttled: status == 429,
        };
        check(404, None, Outcome::Success);
        check(500, None, failed(500));
        check(503, None, failed(503));
        check(503, Some(("retry-after", "1")), overload(503, second));
        check(429, Some(("retry-after", "1")), overload(429, second));
        check(429, None, overload(429, None));
        check(500, Some(("grpc-retry-pushback-ms", "1000")), overload(500, second));
        check(200, Some(("grpc-retry-pushback-ms", "1000")), Outcome::Success);
        check(500, Some(("grpc-retry-pushback-ms", "-1")), failed(500));
    }
}
