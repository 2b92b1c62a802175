//! Ready-made numbers: what other libraries do by default, as far as it makes sense here.
//!
//! Does not know: how they are used. Each says where it differs from its model, and why; each has
//! no [`ParamProblem`](crate::ParamProblem), which the models have.

use std::time::Duration;

use seawall_core::Code;

use crate::backoff::{Growth, Jitter};
use crate::{Params, backoff, breaker, budget, bulkhead, outlier, retry, timeout};

impl Params {
    /// Returns the numbers of `AddStandardResilienceHandler` (Microsoft.Extensions.Http.Resilience,
    /// on Polly 8), for those who come from there.
    ///
    /// Taken over: 30 s in all; four attempts with two seconds of smooth, growing backoff
    /// ([`Jitter::Smooth`] is Polly's formula); a breaker at 10 % of at least 100 calls in 30 s,
    /// open for 5 s, one probe; a thousand at once and nobody waits; no retry budget.
    ///
    /// Different, and why:
    ///
    /// - An attempt has 5 s, not 10 s, and no wait is longer than 3 s: four times 10 s and the
    ///   waits between them do not fit into 30 s, so the model never makes its last attempt against
    ///   an upstream that hangs. Where good answers take longer than 5 s, take
    ///   `timeout.attempt = 10 s` with `retry.attempts_max = 2`.
    /// - Only idempotent methods are repeated; the model repeats a POST unless told otherwise.
    /// - 408 is an answer to us, since what it says is about the request, not about the upstream.
    /// - The thousand places are held by attempts, not by calls that sleep between two attempts.
    /// - A 429 is repeated, but does not count for the breaker: it is about one caller.
    /// - The rejections of our own strategies are never repeated and never counted by the breaker.
    pub fn polly_standard() -> Self {
        let seconds = Duration::from_secs;
        Self {
            timeout: timeout::Params {
                total: seconds(30),
                attempt: seconds(5),
                ..timeout::Params::default()
            },
            retry: Some(retry::Params {
                attempts_max: 4,
                on: retry::On {
                    codes: [429].into_iter().chain(500..600).map(Code::from).collect(),
                    ..retry::On::default()
                },
                backoff: backoff::Params {
                    base: seconds(2),
                    cap: seconds(3),
                    growth: Growth::Exponential,
                    jitter: Jitter::Smooth,
                },
                ..retry::Params::default()
            }),
            breaker: Some(breaker::Params {
                ratio: 0.1,
                calls_min: 100,
                window: seconds(30),
                consecutive: 0,
                open: seconds(5),
                open_max: seconds(5),
                probes: 1,
                per_endpoint: false,
                ..breaker::Params::default()
            }),
            limit: Some(bulkhead::Params {
                in_flight_max: 1000,
                queue_max: 0,
                order: bulkhead::QueueOrder::Fifo,
                ..bulkhead::Params::fixed()
            }),
            ..Self::bare()
        }
    }

    /// Returns the numbers of Envoy's defaults, with its retries on, for those who come from there.
    ///
    /// Taken over: 15 s in all; one retry after a full jitter of up to 25 ms, on connection
    /// failures, resets and gateway errors (502, 503, 504); retries under way for a fifth of what
    /// is in flight, and three; outlier detection after five failures in a row or 1.9 deviations
    /// below the others, out for 30 s and more; 1024 requests and as many pending.
    ///
    /// Different, and why:
    ///
    /// - An attempt has 7 s: without a `per_try_timeout` a hung first attempt leaves no time for
    ///   the second.
    /// - Half of the endpoints always stay in. Envoy's tenth means that of fewer than ten only one
    ///   is ever left out.
    /// - A request waits no longer than a fifth of what is left of its deadline for its place;
    ///   there, as long as the route allows.
    /// - There is no breaker: what Envoy calls circuit breaking is a limit, and what it does about
    ///   failing hosts is outlier detection. With one endpoint nothing guards an upstream that
    ///   fails; [`standard`](Self::standard) has a breaker.
    pub fn envoy_like() -> Self {
        let seconds = Duration::from_secs;
        Self {
            timeout: timeout::Params {
                total: seconds(15),
                attempt: seconds(7),
                ..timeout::Params::default()
            },
            retry: Some(retry::Params {
                attempts_max: 2,
                on: retry::On {
                    codes: [502, 503, 504].map(Code::from).to_vec(),
                    ..retry::On::default()
                },
                backoff: backoff::Params {
                    base: Duration::from_millis(25),
                    cap: Duration::from_millis(250),
                    ..backoff::Params::default()
                },
                ..retry::Params::default()
            }),
            // A whole retry is saved for each call: only what is under way is bounded.
            budget: Some(budget::Params { ratio: 1.0, ..budget::Params::default() }),
            outlier: Some(outlier::Params { failures_max: 1.1, ..outlier::Params::default() }),
            limit: Some(bulkhead::Params {
                in_flight_max: 1024,
                queue_max: 1024,
                queue_wait_max: seconds(3),
                order: bulkhead::QueueOrder::Fifo,
                holds_abandoned: false,
            }),
            ..Self::bare()
        }
    }
}
