//! What an error says besides its kind.

use seawall_call::{CallError, ErrorKind};
use seawall_core::{Failure, RetryDenied, TripReason};
use seawall_policy::{Params, breaker, budget, retry, timeout};

use crate::scene::{Does, Scene, ms};

fn without_breaker() -> Params {
    Params { breaker: None, ..Params::standard() }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_since_when_and_why_the_breaker_is_open() {
    let scene = Scene::new(Params { retry: None, ..Params::standard() });
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(1_500)).await;
    let refused = scene.call(&[Does::Say(200)]).await.expect_err("it is open");
    let CallError::BreakerOpen { open_for: Some(open_for), cause, .. } = refused else {
        panic!("{refused:?}")
    };
    // The machine keeps the instant to 16 ns.
    assert_eq!(open_for.as_millis(), 1_500);
    assert_eq!(cause, Some(TripReason::Consecutive));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_a_probe_opened_again_has_been_open_since_the_first_time() {
    let scene = Scene::new(Params { retry: None, ..Params::standard() });
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(5_000)).await;
    let probed = scene.call(&[Does::Fail(Failure::Connect)]).await;
    assert_eq!(probed.expect_err("the probe fails").kind(), ErrorKind::Failed);
    tokio::time::advance(ms(1_000)).await;
    let refused = scene.call(&[Does::Say(200)]).await.expect_err("it is open again");
    let CallError::BreakerOpen { open_for: Some(open_for), cause, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((open_for.as_millis(), cause), (6_000, Some(TripReason::Consecutive)));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_was_isolated_says_that_somebody_did_it() {
    let scene = Scene::new(Params::standard());
    scene.policy.isolate(crate::scene::now() + ms(1_000));
    let refused = scene.call(&[Does::Say(200)]).await.expect_err("it is isolated");
    assert!(
        matches!(
            refused,
            CallError::BreakerOpen { open_for: None, cause: Some(TripReason::ByHand), .. }
        ),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_throttles_has_no_time_at_which_it_opened() {
    let throttle = breaker::Params {
        mode: breaker::Mode::Throttle { multiple: 1.0 },
        calls_min: 1,
        ..breaker::Params::default()
    };
    let scene = Scene::new(Params { retry: None, breaker: Some(throttle), ..Params::standard() });
    let mut refused = None;
    for _ in 0..100 {
        match scene.call(&[Does::Fail(Failure::Connect)]).await {
            Err(CallError::Failed { .. }) => {}
            other => refused = Some(other),
        }
    }
    let refused = refused.expect("nine of ten are refused");
    assert!(
        matches!(refused, Err(CallError::BreakerOpen { open_for: None, cause: None, .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_error_says_what_stood_against_another_attempt() {
    let check = async |params: Params, denied: Option<RetryDenied>| {
        let error = Scene::new(params).call(&[Does::Fail(Failure::Reset)]).await;
        assert_eq!(error.expect_err("it fails").denied(), denied);
    };
    check(without_breaker(), Some(RetryDenied::Attempts)).await;
    let none = budget::Params { ratio: 0.0, floor_per_second: 0.0, ..Default::default() };
    check(Params { budget: Some(none), ..without_breaker() }, Some(RetryDenied::Budget)).await;
    let total = timeout::Params { total: ms(1), ..Default::default() };
    check(Params { timeout: total, ..without_breaker() }, Some(RetryDenied::Deadline)).await;
    check(Params { retry: None, ..without_breaker() }, None).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_failure_says_why_it_was_not_asked_for_again() {
    let scene = Scene::new(without_breaker());
    let answer = scene.call(&[Does::Say(503)]).await.expect("503 is an answer");
    assert_eq!(answer.denied, Some(RetryDenied::Attempts));
    // The policy does not list it.
    let answer = scene.call(&[Does::Say(500)]).await.expect("500 is an answer");
    assert_eq!(answer.denied, Some(RetryDenied::Final));
    let answer = scene.call(&[Does::Say(503), Does::Say(200)]).await.expect("it answers");
    assert_eq!(answer.denied, None);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_timed_out_says_it_too() {
    let retry = retry::Params { attempts_max: 2, ..Default::default() };
    let scene = Scene::new(Params { retry: Some(retry), ..without_breaker() });
    let error = scene.call(&[Does::Hang]).await.expect_err("nobody answers");
    assert_eq!((error.kind(), error.denied()), (ErrorKind::TimedOut, Some(RetryDenied::Attempts)));
    assert_eq!(error.attempts(), 2);
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes one call that fails so.
async fn fails<E>(error: impl Fn() -> E) -> Result<(), CallError<E>> {
    let policy = seawall_call::Builder::from(Params::bare()).build().expect("they are sound");
    policy.run(async |_| Err(error())).await.map(|answer| answer.value)
}

#[tokio::test(start_paused = true)]
async fn boxed_errors_and_those_of_anyhow_pass_through_a_question_mark_with_their_cause() {
    async fn boxed() -> Result<(), BoxError> {
        Ok(fails(|| BoxError::from("connection reset")).await?)
    }
    async fn any() -> anyhow::Result<()> {
        Ok(fails(|| anyhow::anyhow!("connection reset").context("could not ask")).await?)
    }
    async fn plain() -> Result<(), BoxError> {
        Ok(fails(|| std::io::Error::from(std::io::ErrorKind::ConnectionReset)).await?)
    }
    let text = |error: BoxError| error.to_string();
    assert_eq!(text(boxed().await.unwrap_err()), "attempt 1 failed: connection reset");
    assert_eq!(text(plain().await.unwrap_err()), "attempt 1 failed: connection reset");
    let error = any().await.unwrap_err();
    assert_eq!(error.to_string(), "attempt 1 failed: could not ask: connection reset");
}

#[test]
fn a_summary_leaves_out_what_the_attempt_said_itself() {
    let error =
        CallError::Failed { error: "password wrong", attempts: 3, denied: None, endpoint: None };
    assert_eq!(error.summary().to_string(), "attempt 3 failed");
}
