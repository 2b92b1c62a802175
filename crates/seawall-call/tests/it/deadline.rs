//! Time limits: the attempt's, the policy's, the caller's.

use std::pin::pin;
use std::time::Duration;

use seawall_call::{Attempt, CallError, Context};
use seawall_core::{CallEventKind, Failure, Fate, Neutral, Outcome, Phase, RetryDenied};
use seawall_policy::{Params, backoff, bulkhead, retry, timeout};
use seawall_testkit::{call_event, upstream_event};

use crate::scene::{Does, Http, OnDrop, Scene, Status, ms, now, poll_once};

fn limits(total: Duration, attempt: Duration, attempts_max: u32) -> Params {
    let timeout = timeout::Params { total, attempt, ..timeout::Params::default() };
    let retry = retry::Params { attempts_max, ..retry::Params::default() };
    Params { timeout, retry: Some(retry), ..Params::standard() }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cut_off_at_its_limit() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 1));
    let started = now();
    let ended = scene.call(&[Does::Hang]).await;
    assert!(
        matches!(ended, Err(CallError::TimedOut { phase: Phase::Attempt, attempts: 1, .. })),
        "{ended:?}"
    );
    assert_eq!(now() - started, ms(1000));
    assert_eq!(scene.told(&call_event!(TimedOut { phase: Phase::Attempt })), 1);
    assert_eq!(
        scene.told(&call_event!(AttemptEnded { outcome: Outcome::Failure(Failure::TimedOut), .. })),
        1
    );
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn the_whole_call_ends_at_the_policys_total() {
    let scene = Scene::new(limits(ms(1500), ms(1000), 3));
    let started = now();
    let ended = scene.call(&[Does::Hang]).await;
    assert!(
        matches!(ended, Err(CallError::TimedOut { phase: Phase::Total, attempts: 2, .. })),
        "{ended:?}"
    );
    assert_eq!(now() - started, ms(1500));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_callers_shorter_deadline_holds() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 3));
    let started = now();
    let ended = scene.call_until(Some(now() + ms(300)), &[Does::Hang]).await;
    assert!(
        matches!(ended, Err(CallError::TimedOut { phase: Phase::Total, attempts: 1, .. })),
        "{ended:?}"
    );
    assert_eq!(now() - started, ms(300));
}

#[tokio::test(start_paused = true)]
async fn a_callers_deadline_that_is_the_policys_own_blames_the_upstream() {
    let ended = async |left: Duration, told: Outcome| {
        let scene = Scene::new(limits(ms(1500), ms(3000), 1));
        let cut = scene.call_until(Some(now() + left), &[Does::Hang]).await;
        assert!(matches!(cut, Err(CallError::TimedOut { phase: Phase::Total, .. })), "{cut:?}");
        assert_eq!(
            scene.told(&call_event!(AttemptEnded { outcome, .. } if *outcome == told)),
            1,
            "{left:?}"
        );
    };
    ended(ms(1500), Outcome::Failure(Failure::TimedOut)).await;
    ended(ms(1499), Outcome::Neutral(Neutral::CallerDeadline)).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_too_late_is_told_to_have_timed_out() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 3));
    let ended = scene.call_until(Some(now()), &[Does::Say(200)]).await;
    assert!(matches!(ended, Err(CallError::TimedOut { attempts: 0, .. })), "{ended:?}");
    use CallEventKind::{Ended, Started, TimedOut};
    let story = scene.story();
    assert!(matches!(story[..], [Started, TimedOut { .. }, Ended { .. }]), "{story:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_wakes_too_late_for_its_retry_ends_with_its_last_failure() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 3));
    let mut call = pin!(scene.call(&[Does::Fail(Failure::Reset)]));
    assert!(!poll_once(call.as_mut()), "it waits before the retry");
    tokio::time::advance(ms(3000)).await;
    let Err(CallError::Failed { attempts, denied, .. }) = call.await else { panic!("it failed") };
    assert_eq!((attempts, denied), (1, Some(RetryDenied::Deadline)));
    assert_eq!(
        (scene.told(&call_event!(TimedOut { .. })), scene.told(&call_event!(Abandoned { .. }))),
        (0, 0)
    );
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_callers_longer_deadline_changes_nothing() {
    let scene = Scene::new(limits(ms(1500), ms(1500), 1));
    let started = now();
    let ended = scene.call_until(Some(now() + ms(60_000)), &[Does::Hang]).await;
    assert_eq!(ended.expect_err("it hangs").fate(), Fate::TimedOut);
    assert_eq!(now() - started, ms(1500));
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_deadline_says_nothing_about_the_upstream() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 1));
    for _ in 0..100 {
        let ended = scene.call_until(Some(now() + ms(300)), &[Does::Hang]).await;
        assert_eq!(ended.expect_err("it hangs").fate(), Fate::TimedOut);
    }
    assert_eq!(
        scene.told(&call_event!(AttemptEnded {
            outcome: Outcome::Neutral(Neutral::CallerDeadline),
            ..
        })),
        100
    );
    assert_eq!(scene.told(&upstream_event!(BreakerChanged { .. })), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_had_all_its_time_failed_whoever_set_the_deadline() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 1));
    let _ = scene.call_until(Some(now() + ms(1000)), &[Does::Hang]).await;
    assert_eq!(
        scene.told(&call_event!(AttemptEnded { outcome: Outcome::Failure(Failure::TimedOut), .. })),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_whose_total_is_short_still_blames_the_upstream() {
    let scene = Scene::new(limits(ms(500), ms(1000), 1));
    let _ = scene.call(&[Does::Hang]).await;
    assert_eq!(
        scene.told(&call_event!(AttemptEnded { outcome: Outcome::Failure(Failure::TimedOut), .. })),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_makes_no_attempt() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 3));
    let ended = scene.call_until(Some(now()), &[Does::Say(200)]).await;
    assert!(
        matches!(ended, Err(CallError::TimedOut { phase: Phase::Total, attempts: 0, .. })),
        "{ended:?}"
    );
    assert_eq!(scene.attempts(), 0);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_told_its_limits() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 1));
    let began = now();
    let context = Context::new(&scene.cancel);
    let answer = scene
        .policy
        .call(context, &seawall_call::Plain, async |attempt: Attempt| Ok::<_, Failure>(attempt));
    let attempt = answer.await.expect("it answers").0.value;
    assert_eq!(attempt.number, 1);
    assert_eq!(attempt.deadline.remaining(began), ms(1000));
    assert_eq!(attempt.call_deadline.remaining(began), ms(3000));
    assert_eq!(attempt.connect, ms(2000));
    assert_eq!(attempt.idle, ms(15_000));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_cut_off_is_dropped_at_once() {
    let scene = Scene::new(limits(ms(3000), ms(1000), 1));
    let dropped = std::cell::Cell::new(None);
    let make = async |_: Attempt| {
        let _guard = OnDrop(|| dropped.set(Some(now())));
        std::future::pending::<Result<Status, Failure>>().await
    };
    let (started, context) = (now(), Context::new(&scene.cancel));
    let _ = scene.policy.call(context, &Http, make).await;
    assert_eq!(dropped.get(), Some(started + ms(1000)));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_the_queue_the_backoff_and_the_attempts_together() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 1,
        queue_wait_max: ms(500),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..limits(ms(2000), ms(900), 5) });
    let held = scene.call(&[Does::Say(200)]).await.expect("it answers");
    let (started, script) = (now(), [Does::AskToWait(503, ms(500)), Does::Hang]);
    let (ended, ()) = tokio::join!(scene.call(&script), async {
        tokio::time::sleep(ms(300)).await;
        drop(held);
    });
    // 300 ms in the queue, at least 500 ms of backoff, an attempt of 900 ms, and what is left.
    assert!(
        matches!(ended, Err(CallError::TimedOut { phase: Phase::Total, attempts: 3, .. })),
        "{ended:?}"
    );
    assert_eq!(now() - started, ms(2000));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn what_is_left_for_the_upstream_shrinks_with_every_attempt() {
    let scene = Scene::new(Params { breaker: None, ..limits(ms(3000), ms(1000), 3) });
    let left = std::cell::RefCell::new(Vec::new());
    let make = async |attempt: Attempt| {
        left.borrow_mut().push(attempt.call_deadline.remaining(now()));
        assert!(attempt.deadline <= attempt.call_deadline);
        tokio::time::sleep(ms(700)).await;
        Err::<Status, _>(Failure::Reset)
    };
    let _ = scene.policy.call(Context::new(&scene.cancel), &Http, make).await;
    let left = left.into_inner();
    assert_eq!((left.len(), left[0]), (3, ms(3000)));
    assert!(left[1] <= left[0] - ms(700) && left[2] <= left[1] - ms(700), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backoff_that_would_pass_the_deadline_is_not_waited_for() {
    let retry = retry::Params {
        backoff: backoff::Params {
            base: ms(5_000),
            cap: ms(5_000),
            growth: backoff::Growth::Constant,
            jitter: backoff::Jitter::None,
        },
        ..retry::Params::default()
    };
    let scene = Scene::new(Params { retry: Some(retry), ..limits(ms(3000), ms(1000), 3) });
    let started = now();
    let ended = scene.call(&[Does::Fail(Failure::Reset)]).await;
    assert!(matches!(ended, Err(CallError::Failed { attempts: 1, .. })), "{ended:?}");
    assert_eq!(now(), started);
    assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Deadline })), 1);
}
