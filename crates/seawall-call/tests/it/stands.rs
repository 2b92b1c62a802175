//! A retry that is refused here: the last failure stands, with what stood against repeating it.

use seawall_call::{CallError, Context};
use seawall_core::{Failure, Fate, RetryDenied};
use seawall_policy::{Params, backoff, bulkhead, retry};
use seawall_testkit::call_event;
use tokio::join;

use crate::scene::{Does, Held, Scene, Status, ms, now};

/// One place, and a wait of exactly 50 ms before a retry.
fn one_place(queue_max: u32) -> Params {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max,
        queue_wait_max: ms(20),
        order: bulkhead::QueueOrder::Fifo,
        ..Default::default()
    };
    let backoff =
        backoff::Params { base: ms(50), jitter: backoff::Jitter::None, ..Default::default() };
    let retry = retry::Params { backoff, ..Default::default() };
    Params { limit: Some(limit), retry: Some(retry), ..Params::standard() }
}

/// Makes a call whose first attempt comes to this, while another takes the only place before the
/// second.
async fn refused(scene: &Scene, first: Does) -> Result<Held, CallError<Failure>> {
    let script = [first, Does::Say(200)];
    let (ended, other) = join!(scene.call(&script), async {
        tokio::time::sleep(ms(10)).await;
        scene.call(&[Does::SayLater(200, ms(500))]).await
    });
    assert_eq!(other.expect("it has the place").fate, Fate::Ok);
    ended
}

#[tokio::test(start_paused = true)]
async fn a_bad_status_stands_when_the_queue_is_full_or_too_slow_for_its_retry() {
    for queue_max in [0, 5] {
        let scene = Scene::new(one_place(queue_max));
        let answer = refused(&scene, Does::Say(503)).await.expect("what the upstream said");
        assert_eq!((answer.value, answer.fate), (Status(503, None), Fate::Failed));
        assert_eq!((answer.attempts, answer.denied), (1, Some(RetryDenied::Bulkhead)));
        assert_eq!(scene.told(&call_event!(RetryDenied { why: RetryDenied::Bulkhead })), 1);
        assert_eq!(scene.told(&call_event!(Rejected { .. })), 0, "the call was not refused");
        drop(answer);
        scene.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_and_a_timeout_stand_too() {
    let scene = Scene::new(one_place(0));
    let ended = refused(&scene, Does::Fail(Failure::Reset)).await.expect_err("it failed");
    assert_eq!(ended.inner(), Some(&Failure::Reset));
    assert_eq!((ended.attempts(), ended.denied()), (1, Some(RetryDenied::Bulkhead)));

    let mut params = one_place(0);
    params.timeout.attempt = ms(30);
    let scene = Scene::new(params);
    let ended = scene.call(&[Does::Hang, Does::Say(200)]);
    let (ended, ()) = join!(ended, async {
        tokio::time::sleep(ms(40)).await;
        scene.policy.isolate(now() + ms(60_000));
    });
    let ended = ended.expect_err("it took too long");
    assert_eq!(ended.fate(), Fate::TimedOut);
    assert_eq!((ended.attempts(), ended.denied()), (1, Some(RetryDenied::Breaker)));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_failure_stands_when_its_retry_is_shed_or_displaced() {
    let mut params = one_place(1);
    params.limit.as_mut().expect("it is on").queue_wait_max = ms(2_000);
    let scene = Scene::new(params);
    let low = Context { priority: seawall_core::Priority::Low, ..Context::new(&scene.cancel) };
    let high = Context { priority: seawall_core::Priority::High, ..Context::new(&scene.cancel) };
    let (ended, other, third) = join!(
        scene.call_with(low, &[Does::Say(503), Does::Say(200)]),
        async {
            tokio::time::sleep(ms(10)).await;
            scene.fate(&[Does::SayLater(200, ms(500))]).await
        },
        async {
            tokio::time::sleep(ms(100)).await;
            scene.call_with(high, &[Does::Say(200)]).await.map(drop)
        }
    );
    assert!(other == Fate::Ok && third.is_ok(), "{other:?} {third:?}");
    let answer = ended.expect("what the upstream said");
    assert_eq!((answer.fate, answer.denied), (Fate::Failed, Some(RetryDenied::Shed)));
    assert_eq!(scene.told(&call_event!(Shed { .. })), 0);
    drop(answer);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn what_stands_holds_no_place_and_gives_none_back() {
    let scene = Scene::new(one_place(0));
    let other = async {
        tokio::time::sleep(ms(10)).await;
        scene.call(&[Does::SayLater(200, ms(500))]).await
    };
    let mut other = std::pin::pin!(other);
    let script = [Does::Say(503), Does::Say(200)];
    let ended = tokio::select! {
        ended = scene.call(&script) => ended,
        _ = &mut other => panic!("it takes longer"),
    };
    let answer = ended.expect("what the upstream said");
    assert_eq!(scene.policy.snapshot().in_flight, 1, "the other's place");
    drop(answer);
    assert_eq!(scene.policy.snapshot().in_flight, 1, "the other's place");
    drop(other.await);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn what_the_last_attempt_came_to_is_dropped_before_the_next_begins() {
    struct Connection<'a>(&'a std::cell::Cell<u32>);
    impl Drop for Connection<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let open = std::cell::Cell::new(0);
    let policy = seawall_call::Builder::from(one_place(0)).build().expect("they are sound");
    let make = |_| {
        assert_eq!(open.get(), 0, "the attempt would wait for a connection that its call holds");
        open.set(1);
        std::future::ready(Ok::<_, Failure>(Connection(&open)))
    };
    let judge = seawall_call::judge_by(|_: Result<&Connection<'_>, &Failure>| {
        seawall_core::Outcome::Failure(Failure::Answered(503.into()))
    });
    let (answer, _) = policy.call(Context::default(), &judge, make).await.expect("the last one");
    assert_eq!((answer.attempts, open.get()), (3, 1), "only the answer is left");
}
