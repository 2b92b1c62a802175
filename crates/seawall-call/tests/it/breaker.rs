//! The breaker, and what teaches it.

use std::pin::pin;

use seawall_call::CallError;
use seawall_core::{
    BreakerState, CancelReason, Failure, Fate, Neutral, Outcome, Phase, TripReason,
};
use seawall_policy::{Params, bulkhead};
use seawall_testkit::{call_event, upstream_event};

use crate::scene::{Does, Scene, ms, poll_once};

/// Returns the standard policy with one attempt a call.
fn single() -> Params {
    Params { retry: None, ..Params::standard() }
}

fn breaker(scene: &Scene) -> Option<BreakerState> {
    scene.policy.snapshot().breaker
}

#[tokio::test(start_paused = true)]
async fn ten_failures_in_a_row_open_it_and_the_next_call_is_refused_at_once() {
    let scene = Scene::new(single());
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    assert_eq!(
        scene.told(&upstream_event!(BreakerChanged {
            to: BreakerState::Open,
            why: TripReason::Consecutive,
            ..
        })),
        1
    );
    let refused = scene.call(&[Does::Say(200)]).await;
    let Err(CallError::BreakerOpen { retry_after, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(retry_after > ms(3_900) && retry_after <= ms(5_000), "{retry_after:?}");
    assert_eq!(scene.attempts(), 10);
    assert_eq!(scene.told(&call_event!(Rejected { fate: Fate::RejectedBreaker })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hang_counts_as_a_failure() {
    let scene = Scene::new(single());
    for _ in 0..10 {
        let _ = scene.call(&[Does::Hang]).await;
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Open));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_never_counts() {
    for (reason, neutral) in [
        (CancelReason::ClientGone, Neutral::ClientGone),
        (CancelReason::Shutdown, Neutral::Shutdown),
        (CancelReason::HedgeLost, Neutral::HedgeLost),
    ] {
        let neutral = Outcome::Neutral(neutral);
        let scene = Scene::new(single());
        scene.cancel.set(reason);
        for _ in 0..100 {
            let mut call = pin!(scene.call(&[Does::Hang]));
            assert!(!poll_once(call.as_mut()));
        }
        assert_eq!(breaker(&scene), Some(BreakerState::Closed));
        assert_eq!(
            scene.told(
                &call_event!(Abandoned { phase: Phase::Attempt, reason: why } if *why == reason)
            ),
            100
        );
        assert_eq!(
            scene.told(&call_event!(AttemptEnded { outcome, .. } if *outcome == neutral)),
            100
        );
        assert_eq!(scene.told(&call_event!(Ended { fate: Fate::Cancelled, .. })), 100);
        scene.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn probes_that_answer_close_it() {
    let scene = Scene::new(single());
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(5_000)).await;
    for _ in 0..3 {
        assert_eq!(breaker(&scene), Some(BreakerState::HalfOpen));
        let _ = scene.call(&[Does::Say(200)]).await.expect("a probe is let through");
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Closed));
    assert_eq!(
        scene.told(&upstream_event!(BreakerChanged {
            to: BreakerState::HalfOpen,
            why: TripReason::Waited,
            ..
        })),
        1
    );
    assert_eq!(
        scene.told(&upstream_event!(BreakerChanged {
            to: BreakerState::Closed,
            why: TripReason::ProbesPassed,
            ..
        })),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_gives_its_slot_back() {
    let scene = Scene::new(single());
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(5_000)).await;
    for _ in 0..20 {
        let mut probe = pin!(scene.call(&[Does::Hang]));
        assert!(!poll_once(probe.as_mut()));
    }
    for _ in 0..3 {
        let _ = scene.call(&[Does::Say(200)]).await.expect("no slot was lost");
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_waits_in_the_queue_holds_no_slot() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 10,
        queue_wait_max: ms(100),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..single() });
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    let held = {
        tokio::time::advance(ms(5_000)).await;
        scene.call(&[Does::Say(200)]).await.expect("the first probe").permit
    };
    let mut queued = Vec::new();
    for _ in 0..10 {
        let mut call = Box::pin(scene.call(&[Does::Say(200)]));
        assert!(!poll_once(call.as_mut()), "it waits for the permit");
        queued.push(call);
    }
    drop(held);
    for call in queued {
        assert_eq!(call.await.expect("each is a probe when its turn comes").fate, Fate::Ok);
    }
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_a_full_queue_refuses_gives_its_slot_back() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 0,
        queue_wait_max: ms(0),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..single() });
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(5_000)).await;
    let held = scene.call(&[Does::Say(200)]).await.expect("the first probe");
    for _ in 0..10 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBulkhead);
    }
    drop(held);
    for _ in 0..2 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_breaker_opened_while_it_waited_is_not_dispatched() {
    let limit = bulkhead::Params {
        in_flight_max: 10,
        queue_max: 10,
        queue_wait_max: ms(100),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..single() });
    let script = [Does::SayLater(500, ms(10))];
    let mut failing = Vec::new();
    for _ in 0..10 {
        let mut call = Box::pin(async { scene.call(&script).await.map(|answer| answer.fate) });
        assert!(!poll_once(call.as_mut()));
        failing.push(call);
    }
    let mut waiting = pin!(scene.call(&[Does::Say(200)]));
    assert!(!poll_once(waiting.as_mut()));
    for call in failing {
        assert_eq!(call.await.expect("500 is an answer"), Fate::Failed);
    }
    let refused = waiting.await;
    assert!(matches!(refused, Err(CallError::BreakerOpen { .. })), "{refused:?}");
    assert_eq!(scene.attempts(), 10);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_cut_open_it_although_their_heads_were_good() {
    let scene = Scene::new(single());
    for _ in 0..10 {
        let answer = scene.call(&[Does::Say(200)]).await.expect("the head is good");
        answer.permit.body_failed(Failure::Body);
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Open));
    assert_eq!(
        scene.told(&upstream_event!(BreakerChanged {
            to: BreakerState::Open,
            why: TripReason::Ratio,
            ..
        })),
        1
    );
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_body_of_old_that_is_cut_while_probes_decide_does_not_count() {
    let scene = Scene::new(single());
    let old = scene.call(&[Does::Say(200)]).await.expect("the head is good");
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(5_000)).await;
    old.permit.body_failed(Failure::Body);
    for _ in 0..3 {
        let _ = scene.call(&[Does::Say(200)]).await.expect("a probe is let through");
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Closed));
}

/// Opens the breaker and waits until probes are let through.
async fn half_opened(params: Params) -> Scene {
    let scene = Scene::new(params);
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Open));
    tokio::time::advance(ms(5_000)).await;
    scene
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_calls_that_come_while_it_is_half_open_three_are_sent() {
    let scene = half_opened(single()).await;
    let (script, mut herd) = ([Does::SayLater(200, ms(20))], Vec::new());
    for _ in 0..100 {
        let mut call = Box::pin(scene.call(&script));
        if !poll_once(call.as_mut()) {
            herd.push(call);
        }
    }
    assert_eq!((herd.len(), scene.attempts()), (3, 10 + 3));
    for call in herd {
        assert_eq!(call.await.expect("it is a probe").fate, Fate::Ok);
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Closed));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_cut_off_and_opens_it_again() {
    let scene = half_opened(single()).await;
    assert_eq!(scene.fate(&[Does::Hang]).await, Fate::TimedOut);
    assert_eq!(breaker(&scene), Some(BreakerState::Open));
    assert_eq!(
        scene.told(&upstream_event!(BreakerChanged {
            to: BreakerState::Open,
            why: TripReason::ProbeFailed,
            ..
        })),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn probes_that_nobody_polls_any_more_lose_their_places_when_their_lease_is_over() {
    let scene = half_opened(single()).await;
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut call = Box::pin(scene.call(&[Does::Hang]));
        assert!(!poll_once(call.as_mut()));
        stuck.push(call);
    }
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBreaker);
    tokio::time::advance(ms(10_000)).await;
    for _ in 0..3 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Closed));
    drop(stuck);
    assert_eq!(breaker(&scene), Some(BreakerState::Closed), "what was stuck has no say");
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn attempts_that_began_before_it_opened_have_no_say_while_probes_decide() {
    let scene = Scene::new(single());
    let mut old = Vec::new();
    for late in [Does::SayLater(500, ms(5_500)), Does::SayLater(200, ms(5_500))] {
        for _ in 0..20 {
            let script = [late];
            let scene = &scene;
            let mut call = Box::pin(async move { scene.fate(&script).await });
            assert!(!poll_once(call.as_mut()));
            old.push(call);
        }
    }
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(5_000)).await;
    let script = [Does::SayLater(200, ms(1_000))];
    let mut probe = pin!(scene.call(&script));
    assert!(!poll_once(probe.as_mut()));
    for call in old {
        call.await;
    }
    assert_eq!(breaker(&scene), Some(BreakerState::HalfOpen));
    assert!(probe.await.is_ok());
    for _ in 0..2 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn answers_that_blame_the_caller_never_open_it() {
    let scene = Scene::new(single());
    for status in [400, 401, 403, 404, 409, 422, 301, 204].into_iter().cycle().take(200) {
        assert_eq!(scene.fate(&[Does::Say(status)]).await, Fate::Ok, "{status}");
    }
    assert_eq!(scene.told(&upstream_event!(BreakerChanged { .. })), 0);
}

#[tokio::test(start_paused = true)]
async fn no_refusal_of_ours_is_counted_or_tried_again() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 1,
        queue_wait_max: ms(10),
        ..Default::default()
    };
    let rate = seawall_policy::rate::Params { per_second: 1.0, burst: 60, ..Default::default() };
    let scene = Scene::new(Params { limit: Some(limit), rate: Some(rate), ..Params::standard() });
    let held = scene.call(&[Does::Say(200)]).await.expect("it answers");
    for _ in 0..25 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBulkhead, "queue time");
    }
    let mut waits = Box::pin(scene.call(&[Does::Say(200)]));
    assert!(!poll_once(waits.as_mut()));
    for _ in 0..25 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBulkhead, "queue full");
    }
    while scene.fate(&[Does::Say(200)]).await == Fate::RejectedBulkhead {}
    for _ in 0..25 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedRate);
    }
    drop(waits);
    drop(held);
    scene.policy.isolate(crate::scene::now() + ms(1_000));
    tokio::time::advance(ms(999)).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBreaker);
    assert_eq!(scene.attempts(), 1);
    assert_eq!(
        scene.told(&call_event!(RetryScheduled { .. }))
            + scene.told(&call_event!(RetryDenied { .. })),
        0
    );
    assert_eq!(
        scene.told(&upstream_event!(BreakerChanged { .. })),
        1,
        "only what was said by hand"
    );
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn losers_of_a_hedged_call_never_open_it() {
    let hedge = seawall_policy::hedge::Params {
        after: seawall_policy::hedge::After::Fixed(ms(1)),
        min: ms(0),
        extra_max: 1,
        ratio_max: 1.0,
    };
    let scene = Scene::new(Params { hedge: Some(hedge), budget: None, ..single() });
    for _ in 0..100 {
        assert_eq!(scene.fate(&[Does::Hang, Does::Say(200)]).await, Fate::OkHedged);
    }
    assert_eq!(
        scene
            .told(&call_event!(AttemptEnded { outcome: Outcome::Neutral(Neutral::HedgeLost), .. })),
        100
    );
    assert_eq!(scene.told(&upstream_event!(BreakerChanged { .. })), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_sends_everything_and_tells_what_it_would_have_refused() {
    let dry = seawall_policy::breaker::Params { is_dry_run: true, ..Default::default() };
    let scene = Scene::new(Params { breaker: Some(dry), ..single() });
    for _ in 0..30 {
        assert_eq!(scene.fate(&[Does::Fail(Failure::Connect)]).await, Fate::Failed);
    }
    assert_eq!(scene.attempts(), 30);
    assert_eq!(scene.told(&upstream_event!(BreakerChanged { to: BreakerState::Open, .. })), 1);
    assert_eq!(scene.told(&call_event!(BreakerSpared)), 20);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_passed_on_and_counts_as_a_failure() {
    let slow = seawall_policy::breaker::Params { slow: Some(ms(200)), ..Default::default() };
    let scene = Scene::new(Params { breaker: Some(slow), ..single() });
    for _ in 0..9 {
        assert_eq!(scene.fate(&[Does::SayLater(200, ms(200))]).await, Fate::Ok);
    }
    assert_eq!(scene.fate(&[Does::SayLater(200, ms(199))]).await, Fate::Ok);
    assert_eq!(breaker(&scene), Some(BreakerState::Closed), "a quick one ends the row");
    for _ in 0..10 {
        assert_eq!(scene.fate(&[Does::SayLater(200, ms(200))]).await, Fate::Ok);
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Open));
}

#[tokio::test(start_paused = true)]
async fn a_derived_policy_with_another_window_does_not_empty_the_count() {
    let ratio = seawall_policy::breaker::Params { consecutive: 0, ..Default::default() };
    let longer = seawall_policy::breaker::Params { window: ratio.window * 2, ..ratio.clone() };
    let scene = Scene::new(Params { breaker: Some(ratio), ..single() });
    let other = Params { breaker: Some(longer), ..single() };
    let derived = scene.policy.derive(other.clone()).expect("they are sound");
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
        let failing = async |_| Err::<(), _>("refused");
        let _ = derived.run(failing).await;
        let context = seawall_call::Context::default();
        let _ = scene.policy.call_as(&other, context, &seawall_call::Plain, failing).await;
    }
    assert_eq!(breaker(&scene), Some(BreakerState::Open));
}
