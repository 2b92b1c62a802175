//! Retries, backoff and the budget.

use seawall_call::{Attempt, CallError, Context, Judge};
use seawall_core::{CancelCell, Failure, Fate, Outcome, RetryDenied, RetryReason};
use seawall_policy::{Params, breaker, budget, bulkhead, retry, timeout};
use seawall_testkit::call_event;

use crate::scene::{Does, Scene, Status, ms, now, poll_once};

fn without_breaker() -> Params {
    Params { breaker: None, ..Params::standard() }
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_ok_and_a_later_one_is_ok_after_retry() {
    let scene = Scene::new(Params::standard());
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    let answer = scene.call(&[Does::Fail(Failure::Reset), Does::Say(503), Does::Say(200)]).await;
    let answer = answer.expect("the third attempt answers");
    assert_eq!((answer.fate, answer.attempts), (Fate::OkAfterRetry, 3));
    assert_eq!(answer.value, Status(200, None));
    assert_eq!(scene.told(&call_event!(2, RetryScheduled { reason: RetryReason::Reset, .. })), 1);
    assert_eq!(scene.told(&call_event!(3, RetryScheduled { reason: RetryReason::Status, .. })), 1);
    drop(answer);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_not_worth_another_attempt_is_passed_on_as_it_came() {
    let scene = Scene::new(Params::standard());
    for (status, fate) in [(500, Fate::Failed), (404, Fate::Ok), (201, Fate::Ok)] {
        let answer = scene.call(&[Does::Say(status)]).await.expect("it is an answer");
        assert_eq!((answer.value, answer.fate), (Status(status, None), fate));
    }
    assert_eq!(scene.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_passed_on_when_all_attempts_are_used() {
    let scene = Scene::new(without_breaker());
    let answer = scene.call(&[Does::Say(503)]).await.expect("503 is an answer");
    assert_eq!((answer.value, answer.fate), (Status(503, None), Fate::Failed));
    assert_eq!(answer.attempts, 3);
    assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Attempts })), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_passed_on_when_all_attempts_are_used() {
    let scene = Scene::new(without_breaker());
    let ended = scene.call(&[Does::Fail(Failure::Reset), Does::Fail(Failure::Connect)]).await;
    assert!(
        matches!(ended, Err(CallError::Failed { error: Failure::Connect, attempts: 3, .. })),
        "{ended:?}"
    );
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hang_is_tried_again() {
    let scene = Scene::new(Params::standard());
    let answer = scene.call(&[Does::Hang, Does::Say(200)]).await.expect("the second answers");
    assert_eq!((answer.fate, answer.attempts), (Fate::OkAfterRetry, 2));
    assert_eq!(scene.told(&call_event!(RetryScheduled { reason: RetryReason::TimedOut, .. })), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_never_undercut() {
    let scene = Scene::new(Params::standard());
    let started = now();
    let answer = scene.call(&[Does::AskToWait(429, ms(1_500)), Does::Say(200)]).await;
    assert_eq!(answer.expect("the second answers").fate, Fate::OkAfterRetry);
    assert!(now() - started >= ms(1_500), "{:?}", now() - started);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_is_passed_on_at_once() {
    let scene = Scene::new(Params::standard());
    let started = now();
    let answer = scene.call(&[Does::AskToWait(429, ms(120_000))]).await.expect("429 is an answer");
    assert_eq!(answer.value, Status(429, Some(ms(120_000))));
    assert_eq!((answer.fate, answer.attempts), (Fate::Failed, 1));
    assert_eq!(now(), started);
    assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Deadline })), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_while_a_call_waits_for_its_next_attempt() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 0,
        queue_wait_max: ms(0),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..Params::standard() });
    let again = [Does::AskToWait(503, ms(1_000)), Does::Say(200)];
    let (first, second) = tokio::join!(scene.call(&again), async {
        tokio::time::sleep(ms(500)).await;
        assert_eq!(scene.policy.snapshot().in_flight, 0);
        scene.fate(&[Does::Say(200)]).await
    });
    assert_eq!(first.expect("it had its place again").fate, Fate::OkAfterRetry);
    assert_eq!(second, Fate::Ok, "the only place was free");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_our_own_is_not_tried_again() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 0,
        queue_wait_max: ms(0),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..Params::standard() });
    let held = scene.call(&[Does::Say(200)]).await.expect("it answers");
    let refused = scene.call(&[Does::Say(200)]).await;
    assert!(matches!(refused, Err(CallError::QueueFull)), "{refused:?}");
    assert_eq!(scene.told(&call_event!(RetryScheduled { .. })), 0);
    assert_eq!(scene.attempts(), 1);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_opens_the_breaker_is_passed_on_instead_of_tried_again() {
    let breaker = breaker::Params { consecutive: 2, ..breaker::Params::default() };
    let scene = Scene::new(Params { breaker: Some(breaker), ..Params::standard() });
    let ended = scene.call(&[Does::Fail(Failure::Connect)]).await;
    assert!(
        matches!(ended, Err(CallError::Failed { error: Failure::Connect, attempts: 2, .. })),
        "{ended:?}"
    );
    assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Breaker })), 1);
}

#[tokio::test(start_paused = true)]
async fn the_upstream_never_sees_more_than_calls_and_budget_together() {
    let budget = budget::Params { ratio: 0.1, floor_per_second: 0.0, ..Default::default() };
    let scene = Scene::new(Params { budget: Some(budget), ..without_breaker() });
    for _ in 0..500 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    assert_eq!(scene.attempts(), 550);
    assert!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Budget })) > 0);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_deadline() {
    let timeout = timeout::Params { total: ms(1_000), attempt: ms(300), ..Default::default() };
    let retry = retry::Params { attempts_max: 50, ..retry::Params::default() };
    let scene =
        Scene::new(Params { timeout, retry: Some(retry), budget: None, ..without_breaker() });
    let started = now();
    let latest = std::cell::Cell::new(started);
    let make = async |_: Attempt| {
        latest.set(now());
        Err::<Status, _>(Failure::Connect)
    };
    let context = Context::new(&scene.cancel);
    let _ = scene.policy.call(context, &crate::scene::Http, make).await;
    assert!(latest.get() < started + ms(1_000));
    assert!(now() <= started + ms(1_000), "nobody waits for an attempt that will not be made");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_not_be_repeated_is_sent_once() {
    struct Once;
    impl Judge<Status, Failure> for Once {
        fn outcome(&self, _: Result<&Status, &Failure>) -> Outcome {
            Outcome::Failure(Failure::Reset)
        }
        fn may_repeat(&self, _: Option<Result<&Status, &Failure>>) -> Result<(), RetryDenied> {
            Err(RetryDenied::Method)
        }
    }
    let scene = Scene::new(Params::standard());
    let cancel = CancelCell::default();
    let context = Context::new(&cancel);
    let make = async |_: Attempt| Err::<Status, _>(Failure::Reset);
    let ended = scene.policy.call(context, &Once, make).await;
    assert_eq!(ended.expect_err("it fails").attempts(), 1);
    assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Method })), 1);
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_counts_calls_and_not_attempts() {
    let rate = seawall_policy::rate::Params { per_second: 1.0, burst: 2, ..Default::default() };
    let scene = Scene::new(Params { rate: Some(rate), ..without_breaker() });
    for _ in 0..2 {
        let ended = scene.call(&[Does::Fail(Failure::Reset)]).await;
        assert_eq!(ended.expect_err("it fails").attempts(), 3);
    }
    let refused = scene.call(&[Does::Say(200)]).await;
    assert!(matches!(refused, Err(CallError::RateLimited { .. })), "{refused:?}");
    assert_eq!(refused.expect_err("it is refused").fate(), Fate::RejectedRate);
    assert_eq!(scene.attempts(), 6);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_finds_the_breaker_open_is_not_sent() {
    let breaker = breaker::Params { consecutive: 5, ..breaker::Params::default() };
    let scene = Scene::new(Params { breaker: Some(breaker), ..Params::standard() });
    let script = [Does::AskToWait(503, ms(1_000))];
    let (refused, ()) = tokio::join!(scene.call(&script), async {
        let once = Params { retry: None, ..(*scene.policy.params()).clone() };
        let once = scene.policy.derive(once).expect("they are sound");
        for _ in 0..5 {
            let make = async |_: Attempt| Err::<Status, _>(Failure::Connect);
            let _ = once.call(Context::new(&scene.cancel), &crate::scene::Http, make).await;
        }
    });
    let answer = refused.expect("what the upstream said stands");
    assert_eq!((answer.value, answer.fate), (Status(503, Some(ms(1_000))), Fate::Failed));
    assert_eq!((answer.attempts, answer.denied), (1, Some(RetryDenied::Breaker)));
    drop(answer);
    assert_eq!(scene.attempts(), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_which_the_upstream_was_isolated_is_passed_on_at_once() {
    let (scene, started) = (Scene::new(Params::standard()), now());
    let script = [Does::SayLater(503, ms(10))];
    let (answer, ()) = tokio::join!(scene.call(&script), async {
        scene.policy.isolate(now() + ms(60_000));
    });
    let answer = answer.expect("503 is an answer, and nothing is gained by waiting");
    assert_eq!((answer.value, answer.attempts), (Status(503, None), 1));
    assert_eq!(now() - started, ms(10));
    assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Breaker })), 1);
}

#[tokio::test(start_paused = true)]
async fn of_hundreds_of_calls_that_fail_at_once_no_more_are_retried_than_the_share() {
    let limit = bulkhead::Params { in_flight_max: 1_000, ..Default::default() };
    let scene = Scene::new(Params { limit: Some(limit), adaptive: None, ..without_breaker() });
    // Good times: a hundred retries are saved up.
    for _ in 0..1_000 {
        scene.fate(&[Does::Say(200)]).await;
    }
    let script = [Does::SayLater(503, ms(10)), Does::SayLater(200, ms(100))];
    // Unconstrained: each stands for a task of its own.
    let call = |_| Box::pin(tokio::task::unconstrained(scene.fate(&script)));
    let mut calls: Vec<_> = (0..300).map(call).collect();
    for call in &mut calls {
        assert!(!poll_once(call.as_mut()));
    }
    tokio::time::advance(ms(10)).await;
    for call in &mut calls {
        poll_once(call.as_mut());
    }
    // A fifth of what is in flight, those who wait in their backoff included; not the hundred
    // that could be paid for.
    let scheduled = scene.told(&call_event!(RetryScheduled { .. }));
    assert!((40..=60).contains(&scheduled), "{scheduled}");
    assert_eq!(
        scene.told(&call_event!(RetryDenied { why: RetryDenied::InFlight })),
        300 - scheduled
    );
    assert_eq!(scene.attempts(), 1_300);
    drop(calls);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_retrying_itself_gets_no_retries_while_the_budget_is_low() {
    let scene = Scene::new(Params::standard());
    let again = Context { caller_attempt: 2, ..Context::new(&scene.cancel) };
    let answer = scene.call_with(again, &[Does::Say(503), Does::Say(200)]).await;
    assert_eq!(answer.expect("503 is an answer").attempts, 1);
    assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Layered })), 1);
}
