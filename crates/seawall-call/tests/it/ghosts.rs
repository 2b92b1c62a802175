//! What becomes of the places of attempts that were given up.

use seawall_core::Fate;
use seawall_policy::{Params, adaptive, bulkhead};
use seawall_testkit::upstream_event;

use crate::scene::{Does, Scene, ms, now};

fn scene(holds_abandoned: bool, queue_max: u32) -> Scene {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max,
        queue_wait_max: ms(1_000),
        holds_abandoned,
        ..Default::default()
    };
    let mut params = Params { limit: Some(limit), adaptive: None, ..Params::standard() };
    params.timeout.attempt = ms(500);
    Scene::new(params)
}

async fn leave(scene: &Scene) {
    assert!(tokio::time::timeout(ms(100), scene.call(&[Does::Hang])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_place_comes_back_at_once_where_the_upstream_cancels() {
    let scene = scene(false, 0);
    leave(&scene).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_attempt_would_have_ended() {
    let scene = scene(true, 0);
    leave(&scene).await;
    assert_eq!(scene.policy.snapshot().ghosts, 1);
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBulkhead);
    tokio::time::advance(ms(400)).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    scene.assert_at_rest();
    assert_eq!(scene.policy.snapshot().ghosts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_the_place_when_it_comes_back() {
    let scene = scene(true, 1);
    leave(&scene).await;
    let start = now();
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    assert_eq!(now() - start, ms(400));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_answered_attempt_holds_no_place_beyond_its_answer() {
    let scene = scene(true, 0);
    for _ in 0..3 {
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    }
    assert_eq!(scene.policy.snapshot().ghosts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_was_there_before_the_place_was_given_up_gets_it_when_it_comes_back() {
    let scene = scene(true, 1);
    let start = now();
    let (left, waited) = tokio::join!(
        tokio::time::timeout(ms(100), scene.call(&[Does::Hang])),
        scene.call_until(Some(start + ms(5_000)), &[Does::Say(200)]),
    );
    assert!(left.is_err());
    assert_eq!(waited.expect("it was there first").fate, Fate::Ok);
    assert_eq!(now() - start, ms(500));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_callers_short_deadline_does_not_free_the_place_of_an_upstream_that_works_on() {
    let scene = scene(true, 0);
    let cut = scene.call_until(Some(now() + ms(100)), &[Does::Hang]).await;
    assert_eq!(cut.expect_err("its time is over").fate(), Fate::TimedOut);
    assert_eq!(scene.policy.snapshot().ghosts, 1);
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBulkhead);
    tokio::time::advance(ms(400)).await;
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    scene.assert_at_rest();
}

/// Leaves one of two places to what was given up; returns how many are kept once a later attempt
/// has been answered.
async fn kept_after_an_answer(holds_abandoned: bool, is_learned: bool) -> u32 {
    let limit =
        bulkhead::Params { in_flight_max: 2, queue_max: 0, holds_abandoned, ..Default::default() };
    let adaptive = is_learned.then(Default::default);
    let scene = Scene::new(Params { limit: Some(limit), adaptive, ..Params::standard() });
    leave(&scene).await;
    tokio::time::advance(ms(100)).await;
    assert_eq!(scene.fate(&[Does::SayLater(200, ms(10))]).await, Fate::Ok);
    scene.policy.snapshot().ghosts
}

#[tokio::test(start_paused = true)]
async fn a_later_answer_gives_the_place_back_whether_or_not_the_limit_is_learned() {
    assert_eq!(kept_after_an_answer(true, true).await, 0);
    assert_eq!(kept_after_an_answer(true, false).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_learned_whether_or_not_places_are_kept() {
    for holds_abandoned in [true, false] {
        let limit = bulkhead::Params { holds_abandoned, ..Default::default() };
        let adaptive = Some(adaptive::Params { min: 1, initial: 1 });
        let scene = Scene::new(Params { limit: Some(limit), adaptive, ..Params::standard() });
        assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
        assert_eq!(scene.told(&upstream_event!(LimitChanged { from: 1, to: 2, .. })), 1);
    }
}
