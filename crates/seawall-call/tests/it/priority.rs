//! Which calls are refused first, and how many are not.

use std::sync::Arc;

use seawall_call::Context;
use seawall_core::{Fate, LimitReason, Priority, ShedReason};
use seawall_policy::shed::Load;
use seawall_policy::{Params, adaptive, bulkhead, shed};
use seawall_testkit::{call_event, upstream_event};

use crate::scene::{Does, Scene, ms};

async fn fate(scene: &Scene, priority: Priority, does: Does) -> Fate {
    let context = Context { priority, ..Context::new(&scene.cancel) };
    match scene.call_with(context, &[does]).await {
        Ok(answer) => answer.fate,
        Err(error) => error.fate(),
    }
}

#[tokio::test(start_paused = true)]
async fn low_priority_is_shed_first_when_there_is_too_much_to_do() {
    let scene = Scene::new(Params { shed: Some(shed::Params::default()), ..Params::standard() });
    let load = Arc::new(Load::default());
    scene.policy.set_load(load.clone());
    for (now, admitted) in [(0.7, 4), (0.85, 3), (0.92, 2), (0.99, 1)] {
        load.set(now);
        for (place, priority) in Priority::ALL.into_iter().enumerate() {
            let wanted = if place < admitted { Fate::Ok } else { Fate::RejectedShed };
            let seen = fate(&scene, priority, Does::Say(200)).await;
            assert_eq!(seen, wanted, "{priority:?} at {now}");
        }
    }
    assert_eq!(scene.told(&call_event!(Shed { why: ShedReason::Load, .. })), 6);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_call_of_higher_priority_takes_the_place_of_one_that_waits() {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 1,
        queue_wait_max: ms(1_000),
        ..Default::default()
    };
    let scene = Scene::new(Params { limit: Some(limit), ..Params::standard() });
    let work = Does::SayLater(200, ms(50));
    let fates = tokio::join!(
        fate(&scene, Priority::Normal, work),
        fate(&scene, Priority::Low, work),
        fate(&scene, Priority::High, work),
        fate(&scene, Priority::Normal, work),
    );
    let wanted = (Fate::Ok, Fate::RejectedShed, Fate::Ok, Fate::RejectedBulkhead);
    assert_eq!(fates, wanted);
    assert_eq!(scene.told(&call_event!(Shed { why: ShedReason::Displaced, .. })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_learned_limit_is_the_number_of_places() {
    let adaptive = adaptive::Params { min: 2, initial: 2 };
    let limit = bulkhead::Params { queue_max: 0, ..Default::default() };
    let params = Params { limit: Some(limit), adaptive: Some(adaptive), ..Params::standard() };
    let scene = Scene::new(params);
    assert_eq!(scene.policy.snapshot().in_flight_max, Some(2));
    // Two at a time for a few seconds, and no slower: there is room for more.
    for _ in 0..200 {
        let work = [Does::SayLater(200, ms(20))];
        tokio::join!(scene.fate(&work), scene.fate(&work));
    }
    let places = scene.policy.snapshot().in_flight_max.expect("there is a limit");
    assert!(places >= 4, "{places}");
    assert!(scene.told(&upstream_event!(LimitChanged { why: LimitReason::Room, .. })) > 0);
}
