//! What a call does when its upstream has several endpoints.

use std::cell::RefCell;
use std::sync::Arc;

use seawall_call::{Attempt, Context};
use seawall_core::{BreakerState, EjectReason, EndpointId, Failure, Fate};
use seawall_policy::Params;
use seawall_policy::hedge::{After, Params as Hedge};
use seawall_testkit::upstream_event;

use crate::scene::{Http, Scene, Status, ms};

fn scene(names: &[&str], params: Params) -> Scene {
    let scene = Scene::new(params);
    let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
    scene.policy.set_endpoints(&names).expect("they are few");
    scene
}

/// Makes a call in which one endpoint is dead; returns its fate and where it went.
async fn call(scene: &Scene, dead: u16) -> (Fate, Vec<u16>) {
    let seen = RefCell::new(Vec::new());
    let make = async |attempt: Attempt| {
        seen.borrow_mut().push(attempt.endpoint.0);
        if attempt.endpoint.0 == dead { Err(Failure::Reset) } else { Ok(Status(200, None)) }
    };
    let fate = match scene.policy.call(Context::new(&scene.cancel), &Http, make).await {
        Ok((answer, _)) => answer.fate,
        Err(error) => error.fate(),
    };
    (fate, seen.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_another_endpoint() {
    let scene = scene(&["a", "b"], Params { breaker: None, outlier: None, ..Params::standard() });
    for _ in 0..20 {
        let (fate, seen) = call(&scene, 0).await;
        assert!(matches!(fate, Fate::Ok | Fate::OkAfterRetry), "{fate}");
        assert!(seen == [1] || seen == [0, 1], "{seen:?}");
    }
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hedged_attempt_goes_to_another_endpoint() {
    let hedge = Hedge { after: After::Fixed(ms(10)), min: ms(0), extra_max: 1, ratio_max: 1.0 };
    let scene = scene(&["a", "b"], Params { hedge: Some(hedge), ..Params::standard() });
    let seen = RefCell::new(Vec::new());
    let make = async |attempt: Attempt| {
        seen.borrow_mut().push(attempt.endpoint.0);
        tokio::time::sleep(if attempt.is_hedge { ms(1) } else { ms(1_000) }).await;
        Ok(Status(200, None))
    };
    let answer = scene.policy.call(Context::new(&scene.cancel), &Http, make).await;
    let (answer, _) = answer.expect("the hedged attempt answers");
    let seen = seen.borrow();
    assert_ne!(seen[0], seen[1]);
    assert_eq!(answer.endpoint, EndpointId(seen[1]));
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_is_left_out_and_the_others_serve() {
    let scene = scene(&["a", "b", "c"], Params { breaker: None, ..Params::standard() });
    for _ in 0..100 {
        call(&scene, 2).await;
    }
    let snapshot = scene.policy.snapshot();
    let out: Vec<bool> = snapshot.endpoints.iter().map(|endpoint| endpoint.is_out).collect();
    assert_eq!(out, [false, false, true]);
    assert_eq!(call(&scene, 2).await.0, Fate::Ok);
    assert_eq!(
        scene.told(&upstream_event!(EndpointEjected { why: EjectReason::Consecutive, .. })),
        1
    );
    assert!(snapshot.endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_has_its_own_breaker_and_keeps_it_by_name() {
    let scene = scene(&["a", "b"], Params { outlier: None, ..Params::standard() });
    for _ in 0..100 {
        call(&scene, 1).await;
    }
    let state = |name: &str| {
        let endpoints = scene.policy.snapshot().endpoints;
        endpoints.into_iter().find(|end| &*end.name == name).map(|end| end.breaker)
    };
    assert_eq!(state("b"), Some(BreakerState::Open));
    assert_eq!(scene.policy.snapshot().breaker, Some(BreakerState::Closed), "one is good");
    assert_eq!(call(&scene, 1).await, (Fate::Ok, vec![0]));
    scene.policy.set_endpoints(&["b".into(), "c".into()]).expect("they are few");
    assert_eq!((state("b"), state("c")), (Some(BreakerState::Open), Some(BreakerState::Closed)));
}

#[tokio::test(start_paused = true)]
async fn one_breaker_for_all_endpoints_opens_for_all_and_says_so() {
    let mut params = Params { outlier: None, retry: None, ..Params::standard() };
    let breaker = params.breaker.as_mut().expect("the standard policy has one");
    (breaker.per_endpoint, breaker.consecutive) = (false, 0);
    let scene = scene(&["a", "b"], params);
    let mut calls = 0;
    while call(&scene, 1).await.0 != Fate::RejectedBreaker {
        calls += 1;
        assert!(calls < 1_000, "half of all calls fail");
    }
    for _ in 0..20 {
        assert_eq!(call(&scene, 1).await, (Fate::RejectedBreaker, vec![]), "on every endpoint");
    }
    let opened =
        upstream_event!(BreakerChanged { endpoint: EndpointId::ALL, to: BreakerState::Open, .. });
    assert_eq!(scene.told(&opened), 1);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_of_an_endpoint_says_whose_it_is() {
    let scene = scene(&["a", "b"], Params { outlier: None, ..Params::standard() });
    for _ in 0..100 {
        call(&scene, 1).await;
    }
    let opened = upstream_event!(BreakerChanged {
        endpoint: EndpointId(1),
        address: "b",
        to: BreakerState::Open,
        ..
    });
    assert_eq!(scene.told(&opened), 1);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_of_an_upstream_without_endpoints_guards_it_all() {
    let scene = Scene::new(Params { retry: None, ..Params::standard() });
    for _ in 0..100 {
        call(&scene, 0).await;
    }
    let opened =
        upstream_event!(BreakerChanged { endpoint: EndpointId::ALL, to: BreakerState::Open, .. });
    assert_eq!(scene.told(&opened), 1);
}

#[tokio::test(start_paused = true)]
async fn more_endpoints_than_there_are_bits_are_all_picked_and_each_has_its_breaker() {
    let names: Vec<String> = (0..200).map(|number| format!("node {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scene = scene(&names, Params { outlier: None, ..Params::standard() });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5_000 {
        let (fate, tried) = call(&scene, 150).await;
        assert!(matches!(fate, Fate::Ok | Fate::OkAfterRetry), "{fate}");
        seen.extend(tried);
    }
    assert_eq!(seen.len(), 200, "nobody is left out");
    let snapshot = scene.policy.snapshot();
    let open = |at: usize| snapshot.endpoints[at].breaker == BreakerState::Open;
    assert!(open(150) && (0..200).filter(|at| open(*at)).count() == 1);
    scene.assert_at_rest();
}

#[test]
fn more_endpoints_than_there_may_be_are_refused_and_the_old_ones_stay() {
    let scene = scene(&["a", "b"], Params::standard());
    let many: Vec<Arc<str>> = (0..70_000).map(|number| number.to_string().into()).collect();
    let refused = scene.policy.set_endpoints(&many).expect_err("they are too many");
    assert_eq!(refused.to_string(), "endpoints is 70000, it must be at most 65535");
    assert_eq!(scene.policy.snapshot().endpoints.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_left_out_does_not_hide_that_nothing_gets_through() {
    let scene = scene(&["a", "b"], Params::standard());
    let out = || scene.policy.snapshot().endpoints.iter().position(|endpoint| endpoint.is_out);
    let mut dead = 0;
    while out().is_none() {
        call(&scene, dead).await;
    }
    // The other one fails, too, until it is not called any more.
    dead = 1 - dead;
    while call(&scene, dead).await.0 != Fate::RejectedBreaker {}

    let snapshot = scene.policy.snapshot();
    let left_out = &snapshot.endpoints[0];
    assert!(left_out.is_out && left_out.breaker == BreakerState::Closed, "{left_out:?}");
    assert_eq!(snapshot.breaker, Some(BreakerState::Open));
    assert!(snapshot.trip.is_some() && snapshot.breaker_for.is_some(), "{snapshot:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_keeps_its_place_and_what_is_known_of_it() {
    let scene = scene(&["a", "b", "c"], Params { breaker: None, ..Params::standard() });
    for _ in 0..100 {
        call(&scene, 2).await;
    }
    let names = ["a", "", "c", "d"].map(|name| (!name.is_empty()).then(|| Arc::from(name)));
    scene.policy.place_endpoints(&names).expect("they are few");
    let snapshot = scene.policy.snapshot();
    let out: Vec<_> = snapshot.endpoints.iter().map(|end| (&*end.name, end.is_out)).collect();
    assert_eq!(out, [("a", false), ("c", true), ("d", false)]);
    for _ in 0..100 {
        let (fate, seen) = call(&scene, 2).await;
        assert!(fate == Fate::Ok && (seen == [0] || seen == [3]), "{fate}, {seen:?}");
    }
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_ends_at_its_own_endpoint_whatever_came_and_went() {
    let scene = scene(&["a", "b"], Params::standard());
    let make = async |_: Attempt| {
        let names = ["c".into(), "d".into(), "a".into(), "b".into()];
        scene.policy.set_endpoints(&names).expect("they are few");
        Ok::<_, Failure>(Status(200, None))
    };
    let call = scene.policy.call(Context::new(&scene.cancel), &Http, make);
    let _answered = call.await.expect("it is answered");
    let snapshot = scene.policy.snapshot();
    assert!(snapshot.endpoints.iter().all(|end| end.in_flight == 0), "{snapshot:?}");
}
