//! What a call tells, and what can be foretold of it.

use std::sync::Arc;

use seawall_call::{Attempt, Context, Plain, Policy};
use seawall_core::{CallEventKind, CancelCell, Failure, Fate, Phase, Silent, UpstreamId};
use seawall_policy::Params;
use seawall_testkit::call_event;

use crate::scene::{Does, Scene, ms, now};

#[tokio::test(start_paused = true)]
async fn a_call_tells_its_steps_in_order() {
    let scene = Scene::new(Params::standard());
    scene.fate(&[Does::Say(503), Does::Say(200)]).await;
    use CallEventKind::{AttemptEnded, AttemptStarted, Ended, RetryScheduled, Started};
    let story = scene.story();
    let is_told = matches!(
        story[..],
        [
            Started,
            AttemptStarted { .. },
            AttemptEnded { .. },
            RetryScheduled { .. },
            AttemptStarted { .. },
            AttemptEnded { .. },
            Ended { .. },
        ]
    );
    assert!(is_told, "{story:?}");
}

#[tokio::test(start_paused = true)]
async fn what_took_how_long_is_told() {
    let scene = Scene::new(Params::standard());
    scene.fate(&[Does::SayLater(200, ms(70))]).await;
    assert_eq!(scene.told(&call_event!(1, AttemptEnded { took, .. } if *took == ms(70))), 1);
    assert_eq!(
        scene.told(&call_event!(Ended { fate: Fate::Ok, attempts: 1, took } if *took == ms(70))),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_in_backoff_tells_so_and_holds_nothing() {
    let scene = Scene::new(Params::standard());
    let script = [Does::AskToWait(503, ms(1_000))];
    {
        let mut call = std::pin::pin!(scene.call(&script));
        assert!(!crate::scene::poll_once(call.as_mut()));
        assert_eq!(scene.policy.snapshot().in_flight, 0);
    }
    assert_eq!(scene.told(&call_event!(Abandoned { phase: Phase::Backoff, .. })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_gives_its_place_back_and_counts_as_a_failure() {
    let policy = Policy::new(UpstreamId(0), Params::standard(), Arc::new(Silent));
    for _ in 0..10 {
        let policy = policy.clone();
        let task = tokio::spawn(async move {
            let cancel = CancelCell::default();
            let context = Context::new(&cancel);
            let make = async |_: Attempt| -> Result<(), ()> { panic!("a bug in an attempt") };
            policy.call(context, &Plain, make).await.map(|(answer, _)| answer.attempts)
        });
        assert!(task.await.expect_err("it panics").is_panic());
    }
    let snapshot = policy.snapshot();
    assert_eq!(snapshot.in_flight, 0);
    assert_eq!(snapshot.breaker, Some(seawall_core::BreakerState::Open));
}

#[tokio::test(start_paused = true)]
async fn two_policies_of_one_seed_wait_alike() {
    let mut waits = Vec::new();
    for _ in 0..2 {
        let scene = Scene::new(Params { breaker: None, ..Params::standard() });
        let started = now();
        for _ in 0..5 {
            scene.fate(&[Does::Fail(Failure::Reset)]).await;
        }
        waits.push(now() - started);
    }
    assert_eq!(waits[0], waits[1]);
    assert!(waits[0] > ms(0), "there was something to compare");
}
