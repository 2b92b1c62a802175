//! The bulkhead and its queue.

use std::pin::pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use seawall_call::{CallError, Permit, Revocable};
use seawall_core::{CancelReason, Fate, Phase};
use seawall_policy::{Params, bulkhead, timeout};
use seawall_testkit::{call_event, upstream_event};

use crate::scene::{Does, Http, Scene, Status, ms, now, poll_once};

fn five_at_once() -> Params {
    let limit = bulkhead::Params {
        in_flight_max: 5,
        queue_max: 3,
        queue_wait_max: ms(100),
        ..Default::default()
    };
    Params { limit: Some(limit), ..Params::standard() }
}

#[tokio::test(start_paused = true)]
async fn five_run_at_once_and_the_sixth_waits_its_turn() {
    let scene = Scene::new(five_at_once());
    let slow = [Does::SayLater(200, ms(50))];
    let started = now();
    let (a, b, c, d, e, sixth) = tokio::join!(
        scene.fate(&slow),
        scene.fate(&slow),
        scene.fate(&slow),
        scene.fate(&slow),
        scene.fate(&slow),
        async { (scene.fate(&slow).await, now() - started) },
    );
    assert_eq!([a, b, c, d, e], [Fate::Ok; 5]);
    assert_eq!(sixth, (Fate::Ok, ms(100)));
    assert_eq!(scene.told(&call_event!(Queued { waiting: 1 })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_queue_at_once() {
    let scene = Scene::new(five_at_once());
    let mut running = Vec::new();
    for _ in 0..5 {
        let mut call = Box::pin(scene.call(&[Does::Hang]));
        assert!(!poll_once(call.as_mut()));
        running.push(call);
    }
    {
        let mut sixth = pin!(scene.call(&[Does::Say(200)]));
        assert!(!poll_once(sixth.as_mut()));
        assert_eq!(scene.policy.snapshot().waiting, 1);
    }
    assert_eq!(scene.policy.snapshot().waiting, 0);
    assert_eq!(scene.told(&call_event!(Dequeued { admitted: false, .. })), 1);
    assert_eq!(
        scene.told(&call_event!(Abandoned {
            phase: Phase::Queue,
            reason: CancelReason::ClientGone
        })),
        1
    );
    drop(running);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_served_in_the_order_of_arrival() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 3,
        queue_wait_max: ms(100),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..Params::standard() });
    let order = std::cell::RefCell::new(Vec::new());
    let numbered = async |number: u32| {
        scene.call(&[Does::SayLater(200, ms(10))]).await.expect("all four fit");
        order.borrow_mut().push(number);
    };
    tokio::join!(numbered(1), numbered(2), numbered(3), numbered(4));
    assert_eq!(*order.borrow(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_the_breaker_learns_nothing() {
    let scene = Scene::new(five_at_once());
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut call = Box::pin(scene.call(&[Does::Hang]));
        assert!(!poll_once(call.as_mut()));
        held.push(call);
    }
    for _ in 0..50 {
        let refused = scene.call(&[Does::Say(200)]).await;
        assert!(matches!(refused, Err(CallError::QueueFull)), "{refused:?}");
    }
    assert_eq!(scene.told(&call_event!(Rejected { fate: Fate::RejectedBulkhead })), 50);
    assert_eq!(scene.told(&upstream_event!(BreakerChanged { .. })), 0);
    assert_eq!(scene.attempts(), 5);
    drop(held);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_queue_time() {
    let scene = Scene::new(five_at_once());
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut call = Box::pin(scene.call(&[Does::Hang]));
        assert!(!poll_once(call.as_mut()));
        held.push(call);
    }
    let started = now();
    let refused = scene.call(&[Does::Say(200)]).await;
    assert!(
        matches!(refused, Err(CallError::QueueTimeout { waited }) if waited == ms(100)),
        "{refused:?}"
    );
    assert_eq!(now() - started, ms(100));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_free_just_as_the_wait_ends_came_too_late() {
    let mut params = five_at_once();
    params.limit.as_mut().expect("it has a limit").in_flight_max = 1;
    let scene = Scene::new(params);
    let held = scene.call(&[Does::Say(200)]).await.expect("it is answered");
    let script = [Does::Say(200)];
    let mut second = pin!(scene.call(&script));
    assert!(!poll_once(second.as_mut()), "it waits");
    tokio::time::advance(ms(100)).await;
    drop(held);
    let second = second.await;
    assert!(matches!(second, Err(CallError::QueueTimeout { .. })), "{second:?}");
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok, "the place is there");
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_fifth_of_the_time_it_has_left() {
    let scene = Scene::new(five_at_once());
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut call = Box::pin(scene.call(&[Does::Hang]));
        assert!(!poll_once(call.as_mut()));
        held.push(call);
    }
    let started = now();
    let refused = scene.call_until(Some(now() + ms(200)), &[Does::Say(200)]).await;
    assert!(matches!(refused, Err(CallError::QueueTimeout { .. })), "{refused:?}");
    assert_eq!(now() - started, ms(40));
}

#[tokio::test(start_paused = true)]
async fn an_expired_waiter_is_never_dispatched() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 2,
        queue_wait_max: ms(20),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..Params::standard() });
    let mut first = Box::pin(scene.call(&[Does::Hang]));
    assert!(!poll_once(first.as_mut()));
    let mut late = Box::pin(scene.call(&[Does::Say(200)]));
    assert!(!poll_once(late.as_mut()));
    tokio::time::advance(ms(10)).await;
    let mut in_time = Box::pin(scene.call(&[Does::Say(200)]));
    assert!(!poll_once(in_time.as_mut()));
    // The place is handed to the first waiter in time, but its task wakes too late.
    drop(first);
    tokio::time::advance(ms(15)).await;
    let refused = late.await;
    assert!(matches!(refused, Err(CallError::QueueTimeout { .. })), "{refused:?}");
    assert_eq!(in_time.await.expect("the place was passed on").fate, Fate::Ok);
    assert_eq!(scene.attempts(), 2);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_place_is_kept_until_the_permit_is_dropped() {
    let scene = Scene::new(five_at_once());
    let answer = scene.call(&[Does::Say(200)]).await.expect("the upstream answers");
    assert_eq!(scene.policy.snapshot().in_flight, 1);
    let permit = answer.permit;
    assert_eq!(scene.policy.snapshot().in_flight, 1);
    drop(permit);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_between_hand_over_and_wake_passes_the_place_on() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 2,
        queue_wait_max: ms(100),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..Params::standard() });
    let mut first = Box::pin(scene.call(&[Does::Hang]));
    assert!(!poll_once(first.as_mut()));
    let mut second = Box::pin(scene.call(&[Does::Say(200)]));
    assert!(!poll_once(second.as_mut()));
    let mut third = Box::pin(scene.call(&[Does::Say(200)]));
    assert!(!poll_once(third.as_mut()));
    drop(first);
    drop(second);
    assert!(poll_once(third.as_mut()), "the third was handed the second's place");
    drop(third);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_served_first_while_the_oldest_has_waited_for_too_long() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 10,
        queue_wait_max: ms(1_000),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..Params::standard() });
    let held = scene.call(&[Does::Say(200)]).await.expect("it answers");
    let order = std::cell::RefCell::new(Vec::new());
    let numbered = async |number: u32| {
        let ended = scene.call(&[Does::Say(200)]).await;
        order.borrow_mut().push((number, ended.is_ok()));
    };
    let mut first = pin!(numbered(1));
    let mut second = pin!(numbered(2));
    assert!(!poll_once(first.as_mut()) && !poll_once(second.as_mut()));
    tokio::time::advance(ms(400)).await;
    let mut third = pin!(numbered(3));
    let mut fourth = pin!(numbered(4));
    assert!(!poll_once(third.as_mut()) && !poll_once(fourth.as_mut()));
    // More than half of what the first may wait is over.
    tokio::time::advance(ms(101)).await;
    drop(held);
    fourth.await;
    third.await;
    second.await;
    first.await;
    assert_eq!(*order.borrow(), [(4, true), (3, true), (2, true), (1, true)]);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_policy_share_its_places_and_its_rate() {
    let rate = seawall_policy::rate::Params { per_second: 1.0, burst: 3, ..Default::default() };
    let scene = Scene::new(Params { rate: Some(rate), ..five_at_once() });
    let mut fates = Vec::new();
    for _ in 0..4 {
        let clone = scene.policy.clone();
        let make =
            async |_: seawall_call::Attempt| Ok::<_, seawall_core::Failure>(Status(200, None));
        let context = seawall_call::Context::new(&scene.cancel);
        let ended = clone.call(context, &Http, make).await;
        fates.push(ended.map_or_else(|error| error.fate(), |(answer, _)| answer.fate));
    }
    assert_eq!(fates, [Fate::Ok, Fate::Ok, Fate::Ok, Fate::RejectedRate]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_rate_says_when_to_come_again_and_that_is_long_enough() {
    let rate = seawall_policy::rate::Params { per_second: 4.0, burst: 1, ..Default::default() };
    let scene = Scene::new(Params { rate: Some(rate), ..Params::standard() });
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    let refused = scene.call(&[Does::Say(200)]).await.expect_err("the second is too early");
    assert_eq!((refused.http_status(), refused.retry_after()), (429, Some(ms(250))));
    tokio::time::advance(ms(250)).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
}

#[tokio::test(start_paused = true)]
async fn twenty_calls_that_are_collected_do_not_starve_on_five_places() {
    let limit = bulkhead::Params { in_flight_max: 5, ..Default::default() };
    let policy = seawall_call::Builder::from(Params { limit: Some(limit), ..Params::standard() });
    let policy = policy.build().expect("they are sound");
    let work = async |_| {
        tokio::time::sleep(ms(10)).await;
        Ok::<_, std::io::Error>(())
    };
    let answers = crate::scene::together((0..20).map(|_| policy.run(work))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(policy.snapshot().in_flight, 0, "an answer holds nothing");
}

/// An answer whose caller takes nothing of it.
struct Unread {
    since: Instant,
    permit: Mutex<Option<Permit>>,
}

impl Revocable for Unread {
    fn waits_since(&self) -> Option<Instant> {
        Some(self.since)
    }

    fn waiting_beside(&self) -> u32 {
        1
    }

    fn revoke(&self) -> bool {
        self.permit.lock().expect("nobody panics in here").take().is_some()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_gets_the_place_of_an_answer_that_nobody_has_taken_for_a_second() {
    let (scene, unread) = unread(1).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    assert_eq!(now() - unread.since, ms(1000));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn so_does_a_call_that_finds_the_queue_full() {
    let (scene, _unread) = unread(0).await;
    tokio::time::advance(ms(999)).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBulkhead);
    // Nobody looks again at once.
    tokio::time::advance(ms(5)).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    scene.assert_at_rest();
}

/// Gives the only place to an answer whose caller takes nothing of it.
async fn unread(queue_max: u32) -> (Scene, Arc<Unread>) {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max,
        queue_wait_max: ms(5000),
        order: bulkhead::QueueOrder::Fifo,
        ..Default::default()
    };
    let long = timeout::Params { total: ms(60_000), ..Default::default() };
    let scene = Scene::new(Params { limit: Some(limit), timeout: long, ..Params::standard() });
    let answer = scene.call(&[Does::Say(200)]).await.expect("it is answered");
    let permit = answer.permit;
    let unread = Arc::new(Unread { since: now(), permit: Mutex::new(None) });
    let weak = Arc::downgrade(&unread);
    permit.revocable(weak as Weak<dyn Revocable>);
    *unread.permit.lock().expect("nobody panics in here") = Some(permit);
    (scene, unread)
}
