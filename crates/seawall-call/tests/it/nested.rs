//! A policy around a policy.

use std::cell::Cell;

use seawall_call::{Builder, CallError, Context, Nested, Policy};
use seawall_core::{Failure, RetryDenied};
use seawall_policy::{Params, rate};

use crate::scene::{Http, Status, ms, now};

fn policy(params: Params) -> Policy {
    Builder::from(params).build().expect("they are sound")
}

/// Calls through both; the innermost attempt comes to this.
async fn both(
    outer: &Policy,
    inner: &Policy,
    result: Result<Status, Failure>,
) -> (Result<Status, CallError<CallError<Failure>>>, u32) {
    let attempts = Cell::new(0);
    let attempt = async |_| {
        attempts.set(attempts.get() + 1);
        result
    };
    let call = async |_| {
        inner.call(Context::default(), &Http, attempt).await.map(|(answer, _)| answer.value)
    };
    let ended = outer.call(Context::default(), &Nested::judged_by(Http), call).await;
    (ended.map(|(answer, _)| answer.value), attempts.get())
}

#[tokio::test(start_paused = true)]
async fn what_the_inner_policy_refuses_is_neither_repeated_nor_counted() {
    let outer = policy(Params::standard());
    let rate = Some(rate::Params { per_second: 0.001, burst: 1, ..Default::default() });
    let inner = policy(Params { rate, ..Params::standard() });
    assert!(both(&outer, &inner, Ok(Status(200, None))).await.0.is_ok());
    for _ in 0..30 {
        let (ended, attempts) = both(&outer, &inner, Ok(Status(200, None))).await;
        let error = ended.expect_err("it is refused");
        assert!(matches!(error.inner(), Some(CallError::RateLimited { .. })), "{error:?}");
        assert_eq!((error.attempts(), attempts), (1, 0));
    }
    assert_eq!(outer.snapshot().breaker, Some(seawall_core::BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn what_the_inner_policy_has_repeated_is_not_repeated_again() {
    let (outer, inner) = (policy(Params::standard()), policy(Params::standard()));
    let (ended, attempts) = both(&outer, &inner, Err(Failure::Connect)).await;
    let error = ended.expect_err("it fails");
    assert_eq!((attempts, error.denied()), (3, Some(RetryDenied::Layered)));
}

#[tokio::test(start_paused = true)]
async fn what_the_inner_policy_does_not_repeat_the_outer_one_may() {
    let (outer, inner) = (policy(Params::standard()), policy(Params::bare()));
    let (ended, attempts) = both(&outer, &inner, Err(Failure::Connect)).await;
    assert!(ended.is_err());
    assert_eq!(attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_context_ends_within_its_limit_on_the_clock_of_the_policy() {
    let policy = policy(Params::standard());
    // The paused clock is an hour ahead of the machine's.
    tokio::time::advance(ms(3_600_000)).await;
    let start = now();
    let hang = |_| std::future::pending::<Result<(), ()>>();
    let context = Context::default().within(ms(40));
    let ended = policy.call(context, &seawall_call::Plain, hang).await;
    assert!(matches!(ended, Err(CallError::TimedOut { attempts: 1, .. })), "{ended:?}");
    assert_eq!(now() - start, ms(40));
    let shorter = context.within(ms(60_000));
    assert_eq!(shorter.deadline, context.deadline, "an earlier deadline stays");
}
