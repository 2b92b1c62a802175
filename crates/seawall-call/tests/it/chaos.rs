//! What a call does while faults are injected.

use seawall_core::Fate;
use seawall_policy::Params;
use seawall_policy::chaos::Plan;

use crate::scene::{Does, Scene, ms, now};

fn plan() -> Plan {
    Plan {
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
    scene.policy.set_chaos(Some(Plan { latency: 1.0, latency_by: ms(2_000), ..plan() }));
    let start = now();
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    assert_eq!(now() - start, ms(2_000));
    assert_eq!(scene.told(&["ChaosInjected", "Latency"]), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_resets_and_hangs_are_what_they_say() {
    let scene = scene();
    for (plan, fate) in [
        (Plan { errors: 1.0, ..plan() }, Fate::Failed),
        (Plan { resets: 1.0, ..plan() }, Fate::Failed),
        (Plan { hangs: 1.0, ..plan() }, Fate::TimedOut),
    ] {
        scene.policy.set_chaos(Some(plan));
        assert_eq!(scene.fate(&[Does::Say(200)]).await, fate);
    }
    assert_eq!(scene.attempts(), 0, "the upstream has seen none of it");
}

#[tokio::test(start_paused = true)]
async fn chaos_ends_by_itself_and_by_hand() {
    let scene = scene();
    scene.policy.set_chaos(Some(Plan { errors: 1.0, ..plan() }));
    assert!(scene.policy.snapshot().chaos_for.is_some());
    tokio::time::advance(ms(60_000)).await;
    assert_eq!(scene.policy.snapshot().chaos_for, None);
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
    scene.policy.set_chaos(Some(Plan { errors: 1.0, ..plan() }));
    scene.policy.set_chaos(None);
    assert_eq!(scene.fate(&[Does::Say(200)]).await, Fate::Ok);
}
