//! Something prepared for the calls that fail.

use std::cell::Cell;

use seawall_call::{Context, Failed, Fate, Priority};
use seawall_core::Failure;
use seawall_policy::{Params, rate};
use seawall_testkit::call_event;

use crate::scene::{Http, Scene, Status, ms};

#[tokio::test(start_paused = true)]
async fn what_is_prepared_is_asked_for_only_when_a_call_has_failed_and_sees_why() {
    let scene = Scene::new(Params { retry: None, breaker: None, ..Params::standard() });
    let asked = Cell::new(0);
    let policy = scene.policy.clone().with_fallback(async |failed: Failed<Status, Failure>| {
        asked.set(asked.get() + 1);
        assert_eq!((failed.priority, failed.key), (Priority::High, Some(7)));
        tokio::time::sleep(ms(5)).await;
        match (&failed.result, failed.error()) {
            (Ok(answer), _) => Ok(Status(answer.value.0 + 1, None)),
            (Err(_), Some(Failure::Reset)) => Ok(Status(1, None)),
            (Err(_), _) => failed.stands(),
        }
    });
    let call = async |result: Result<Status, Failure>| {
        let context =
            Context { priority: Priority::High, key: Some(7), ..Context::new(&scene.cancel) };
        let ended = policy.call(context, &Http, async |_| result).await;
        ended.map(|answer| (answer.value.0, answer.fate)).map_err(|error| error.fate())
    };
    assert_eq!(call(Ok(Status(200, None))).await, Ok((200, Fate::Ok)));
    assert_eq!(asked.get(), 0);
    assert_eq!(call(Ok(Status(500, None))).await, Ok((501, Fate::Fallback)));
    assert_eq!(call(Err(Failure::Reset)).await, Ok((1, Fate::Fallback)));
    assert_eq!(call(Err(Failure::Connect)).await, Err(Fate::Failed));
    assert_eq!(asked.get(), 3);
    assert_eq!(scene.told(&call_event!(FellBack { .. })), 2);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_falls_back_too() {
    let rate = Some(rate::Params { per_second: 0.001, burst: 1, ..Default::default() });
    let scene = Scene::new(Params { rate, ..Params::standard() });
    let policy = scene.policy.clone().with_fallback(async |failed: Failed<u8, Failure>| {
        assert_eq!(failed.fate(), Fate::RejectedRate);
        Ok(0)
    });
    let work = async |_| Ok(7);
    assert_eq!(policy.run(work).await.expect("it answers").value, 7);
    let answer = policy.run(work).await.expect("something is prepared");
    assert_eq!((answer.value, answer.fate, answer.attempts), (0, Fate::Fallback, 0));
}
