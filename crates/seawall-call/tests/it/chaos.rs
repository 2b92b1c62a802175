//! What a call does while faults are injected.

use seawall_call::Context;
use seawall_core::{BreakerState, Chaos, Fate};
use seawall_policy::Params;
use seawall_policy::chaos::ChaosPlan;
use seawall_policy::hedge::{After, Params as Hedge};
use seawall_testkit::call_event;

use crate::scene::{Does, Scene, ms, now};

fn plan() -> ChaosPlan {
    ChaosPlan {
        until: now() + ms(60_000),
        key: None,
        latency: 0.0,
        latency_by: ms(0),
        errors: 0.0,
        hangs: 0.0,
        resets: 0.0,
    }
}

fn scene() -> Scene {
    Scene::new(Params { retry: None, breaker: None, ..Params::standard() })
}

#[tokio::test(start_paused = true)]
async fn latency_comes_before_the_attempt() {
    let scene = scene();
    scene
        .policy
        .set_chaos(ChaosPlan { latency: 1.0, latency_by: ms(2_000), ..plan() })
        .expect("its shares are some");
    let start = now();
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    assert_eq!(now() - start, ms(2_000));
    assert_eq!(scene.told(&call_event!(ChaosInjected { what: Chaos::Latency })), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_resets_and_hangs_are_what_they_say() {
    let scene = scene();
    for (plan, fate) in [
        (ChaosPlan { errors: 1.0, ..plan() }, Fate::Failed),
        (ChaosPlan { resets: 1.0, ..plan() }, Fate::Failed),
        (ChaosPlan { hangs: 1.0, ..plan() }, Fate::TimedOut),
    ] {
        scene.policy.set_chaos(plan).expect("its shares are some");
        assert_eq!(scene.fate(&[Does::Say(200)]).await, fate);
    }
    assert_eq!(scene.attempts(), 0, "the upstream has seen none of it");
}

#[tokio::test(start_paused = true)]
async fn chaos_ends_by_itself_and_by_hand() {
    let scene = scene();
    scene.policy.set_chaos(ChaosPlan { errors: 1.0, ..plan() }).expect("its shares are some");
    assert!(scene.policy.snapshot().chaos_for.is_some());
    tokio::time::advance(ms(60_000)).await;
    assert_eq!(scene.policy.snapshot().chaos_for, None);
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    scene.policy.set_chaos(ChaosPlan { errors: 1.0, ..plan() }).expect("its shares are some");
    scene.policy.end_chaos();
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
}

#[tokio::test(start_paused = true)]
async fn latency_longer_than_an_attempt_is_a_time_out() {
    let scene = scene();
    scene
        .policy
        .set_chaos(ChaosPlan { latency: 1.0, latency_by: ms(60_000), ..plan() })
        .expect("its shares are some");
    let start = now();
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::TimedOut);
    assert_eq!(now() - start, ms(9_000));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn only_calls_with_the_key_are_touched() {
    let scene = scene();
    scene
        .policy
        .set_chaos(ChaosPlan { errors: 1.0, key: Some(7), ..plan() })
        .expect("its shares are some");
    for (key, fate) in [(None, Fate::Ok), (Some(8), Fate::Ok), (Some(7), Fate::Failed)] {
        let context = Context { key, ..Context::new(&scene.cancel) };
        let answer = scene.call_with(context, &[Does::Say(200)]).await;
        assert_eq!(answer.expect("it is an answer").fate, fate, "{key:?}");
    }
    assert_eq!(scene.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_drill_is_real_the_breaker_opens_and_retries_are_made() {
    let scene = Scene::new(Params::standard());
    scene.policy.set_chaos(ChaosPlan { resets: 1.0, ..plan() }).expect("its shares are some");
    let ended = scene.call(&[Does::Say(200)]).await;
    assert_eq!(ended.expect_err("all attempts are reset").attempts(), 3);
    for _ in 0..4 {
        scene.fate(&[Does::Say(200)]).await;
    }
    assert_eq!(scene.policy.snapshot().breaker, Some(BreakerState::Open));
    assert_eq!(scene.attempts(), 0, "the upstream has seen none of it");
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_chaos_hangs_is_overtaken_by_a_hedged_one() {
    let hedge = Hedge { after: After::Fixed(ms(50)), min: ms(0), extra_max: 1, ratio_max: 1.0 };
    let scene = Scene::new(Params { hedge: Some(hedge), ..Params::standard() });
    scene
        .policy
        .set_chaos(ChaosPlan { hangs: 1.0, until: now() + ms(10), ..plan() })
        .expect("its shares are some");
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::OkHedged);
    scene.assert_at_rest();
}
