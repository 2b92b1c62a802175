//! What a person can say to a policy, and what one policy derives from another.

use seawall_call::{Context, Policy};
use seawall_core::Fate;
use seawall_policy::{Params, rate};

use crate::scene::{Does, Http, Scene, ms, now};

#[tokio::test(start_paused = true)]
async fn an_isolated_upstream_is_not_called() {
    let scene = Scene::new(Params::standard());
    scene.policy.isolate(now() + ms(60_000));
    let error = scene.call(&[Does::Say(200)]).await.expect_err("nothing is sent");
    assert_eq!((error.fate(), error.retry_after()), (Fate::RejectedBreaker, Some(ms(60_000))));
    assert_eq!(scene.attempts(), 0);
    assert!(scene.policy.release());
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    assert!(!scene.policy.release(), "nothing is left to take back");
}

#[tokio::test(start_paused = true)]
async fn a_forced_breaker_lets_every_failure_through() {
    let scene = Scene::new(Params { retry: None, ..Params::standard() });
    scene.policy.force_closed(now() + ms(60_000));
    for _ in 0..100 {
        assert_eq!(scene.fate(&[Does::Say(500)]).await, Fate::Failed);
    }
    assert_eq!(scene.attempts(), 100);
}

/// Calls something that never answers.
async fn hang(scene: &Scene, policy: &Policy) -> Fate {
    let never = |_| std::future::pending();
    let result = policy.call(Context::new(&scene.cancel), &Http, never).await;
    result.expect_err("it never answers").fate()
}

#[tokio::test(start_paused = true)]
async fn a_derived_policy_has_its_own_numbers_and_shares_the_state() {
    let scene = Scene::new(Params { retry: None, ..Params::standard() });
    let mut params = Params::bare();
    params.timeout.total = ms(10);
    params.timeout.attempt = ms(10);
    let hasty = scene.policy.derive(params).expect("they are sound");
    for _ in 0..10 {
        scene.fate(&[Does::Say(500)]).await;
    }
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::RejectedBreaker);
    let start = now();
    assert_eq!(hang(&scene, &hasty).await, Fate::TimedOut, "it asks no breaker");
    assert_eq!(now() - start, ms(10));
    let strict = hasty.derive(Params::standard()).expect("they are sound");
    assert_eq!(hang(&scene, &strict).await, Fate::RejectedBreaker, "it is the same breaker");
}

#[tokio::test(start_paused = true)]
async fn each_caller_has_its_own_rate() {
    let keyed = Some(rate::Keyed { keys_max: 100 });
    let rate = rate::Params { per_second: 1.0, burst: 2, keyed, ..Default::default() };
    let scene = Scene::new(Params { rate: Some(rate), ..Params::standard() });
    let mut fates = Vec::new();
    for key in [1, 1, 1, 2] {
        let context = Context { key: Some(key), ..Context::new(&scene.cancel) };
        fates.push(match scene.call_with(context, &[Does::Say(200)]).await {
            Ok(answer) => answer.fate,
            Err(error) => error.fate(),
        });
    }
    assert_eq!(fates, [Fate::Ok, Fate::Ok, Fate::RejectedRate, Fate::Ok]);
    let room = scene.policy.room(Some(2)).expect("there is a rate limit");
    assert_eq!((room.limit, room.remaining), (2, 1));
}
