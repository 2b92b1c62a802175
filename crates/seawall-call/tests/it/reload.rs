//! New numbers, old state.

use seawall_core::{BreakerState, Failure, Fate, TripReason};
use seawall_policy::{Params, bulkhead};
use seawall_testkit::upstream_event;

use crate::scene::{Does, Scene, ms, poll_once};

fn places(in_flight_max: u32) -> Params {
    let limit = bulkhead::Params {
        in_flight_max,
        queue_max: 10,
        queue_wait_max: ms(100),
        ..bulkhead::Params::fixed()
    };
    Params { limit: Some(limit), adaptive: None, retry: None, ..Params::standard() }
}

#[tokio::test(start_paused = true)]
async fn a_larger_limit_admits_waiters_at_once() {
    for larger in [places(3), Params { limit: None, ..places(1) }] {
        let scene = Scene::new(places(1));
        let held = scene.call(&[Does::Say(200)]).await.expect("it answers");
        let mut waiting = [(); 2].map(|()| Box::pin(scene.call(&[Does::Say(200)])));
        for call in &mut waiting {
            assert!(!poll_once(call.as_mut()));
        }
        scene.policy.reload(larger).expect("they are sound");
        for call in waiting {
            assert_eq!(call.await.expect("it was admitted").fate, Fate::Ok);
        }
        drop(held);
        scene.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn a_smaller_limit_is_reached_as_places_come_back() {
    let scene = Scene::new(places(3));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(scene.call(&[Does::Say(200)]).await.expect("it answers"));
    }
    scene.policy.reload(places(1)).expect("they are sound");
    let mut next = Box::pin(scene.call(&[Does::Say(200)]));
    for left in [2, 1] {
        assert!(!poll_once(next.as_mut()));
        held.pop();
        assert_eq!(scene.policy.snapshot().in_flight, left);
    }
    assert!(!poll_once(next.as_mut()));
    held.pop();
    assert!(poll_once(next.as_mut()));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_comes_by_reload_counts_what_is_in_flight() {
    let scene = Scene::new(Params { limit: None, ..places(1) });
    let held = scene.call(&[Does::Say(200)]).await.expect("it answers");
    scene.policy.reload(places(1)).expect("they are sound");
    let refused = scene.call(&[Does::Say(200)]).await;
    assert_eq!(refused.expect_err("the only place is taken").fate(), Fate::RejectedBulkhead);
    drop(held);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_stays_open() {
    let scene = Scene::new(places(3));
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    scene.policy.reload(places(5)).expect("they are sound");
    assert_eq!(scene.policy.snapshot().breaker, Some(BreakerState::Open));
    assert_eq!(scene.policy.snapshot().in_flight_max, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_was_off_starts_anew() {
    let scene = Scene::new(places(3));
    for _ in 0..10 {
        let _ = scene.call(&[Does::Fail(Failure::Connect)]).await;
    }
    scene.policy.reload(Params { breaker: None, ..places(3) }).expect("they are sound");
    assert_eq!(scene.policy.snapshot().breaker, None);
    assert_eq!(
        scene.told(&upstream_event!(BreakerChanged {
            to: BreakerState::Closed,
            why: TripReason::Settings,
            ..
        })),
        1
    );
    let _ = scene.call(&[Does::Say(200)]).await.expect("no breaker refuses it");
    scene.policy.reload(places(3)).expect("they are sound");
    assert_eq!(scene.policy.snapshot().breaker, Some(BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_derived_policy_takes_the_first_ones_new_window_once() {
    let scene = Scene::new(places(3));
    let derived = scene.policy.derive(places(3)).expect("they are sound");
    let mut longer = places(3);
    longer.breaker.as_mut().expect("it is on").window *= 2;
    scene.policy.reload(longer.clone()).expect("they are sound");
    let answered = async |_| Ok::<_, ()>(());
    derived.run(answered).await.expect("it is answered");
    let taken = derived.params();
    let window = |params: &Params| params.breaker.as_ref().map(|breaker| breaker.window);
    assert_eq!(window(&taken), window(&longer));
    derived.run(answered).await.expect("it is answered");
    assert!(std::sync::Arc::ptr_eq(&taken, &derived.params()), "nothing was made anew");
}
