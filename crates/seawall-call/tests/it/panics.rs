//! Code of others that panics: a failure of its own kind, and nothing is lost by it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use seawall_call::{Attempt, Context, Judge, Plain, Policy};
use seawall_core::{
    BreakerState, Event, Failure, Fate, Neutral, Observer, Outcome, RetryDenied, Silent, UpstreamId,
};
use seawall_policy::hedge::{After, Params as Hedge};
use seawall_policy::{Params, retry};
use seawall_testkit::call_event;

use crate::scene::{Http, Scene, Status, ms};

/// Panics where it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Where {
    Closure,
    Poll,
    Later,
    Outcome,
    MayRepeat,
    MayHedge,
}

impl Judge<Status, Failure> for Where {
    fn outcome(&self, result: Result<&Status, &Failure>) -> Outcome {
        assert!(*self != Self::Outcome, "a bug in the judge");
        Http.outcome(result)
    }

    fn may_repeat(&self, _: Option<Result<&Status, &Failure>>) -> Result<(), RetryDenied> {
        assert!(*self != Self::MayRepeat, "a bug in the judge");
        Ok(())
    }

    fn may_hedge(&self) -> bool {
        assert!(*self != Self::MayHedge, "a bug in the judge");
        true
    }
}

/// Makes a call that panics there; the panic must reach its caller.
async fn panic(scene: &Scene, place: Where) {
    let make = |_: Attempt| {
        assert!(place != Where::Closure, "a bug in the closure");
        async move {
            assert!(place != Where::Poll, "a bug in the attempt");
            if place == Where::Later {
                tokio::time::sleep(ms(10)).await;
                panic!("a bug later in the attempt");
            }
            Err::<Status, _>(Failure::Connect)
        }
    };
    let call = scene.policy.call(Context::new(&scene.cancel), &place, make);
    assert!(AssertUnwindSafe(call).catch_unwind().await.is_err(), "the panic is the caller's");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_attempt_or_its_judge_is_a_failure_that_counts_and_is_told_as_such() {
    let hedge = Some(Hedge { after: After::Fixed(ms(50)), ..Hedge::default() });
    for place in [Where::Closure, Where::Poll, Where::Later, Where::Outcome, Where::MayHedge] {
        let retry = Some(retry::Params::default());
        let scene = Scene::new(Params { hedge: hedge.clone(), retry, ..Params::standard() });
        for _ in 0..10 {
            panic(&scene, place).await;
        }
        assert_eq!(
            scene.told(&call_event!(AttemptEnded {
                outcome: Outcome::Failure(Failure::Panicked),
                ..
            })),
            10
        );
        assert_eq!(scene.told(&call_event!(Ended { fate: Fate::Failed, .. })), 10);
        assert_eq!(scene.told(&call_event!(Abandoned { .. })), 0, "nobody went away");
        assert_eq!(scene.policy.snapshot().breaker, Some(BreakerState::Open));
        scene.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_an_attempt_ends_the_call_as_a_failure() {
    let scene = Scene::new(Params::standard());
    panic(&scene, Where::MayRepeat).await;
    assert_eq!(
        scene.told(&call_event!(AttemptEnded { outcome: Outcome::Failure(Failure::Connect), .. })),
        1
    );
    assert_eq!(scene.told(&call_event!(Ended { fate: Fate::Failed, .. })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hedged_attempt_that_panics_is_blamed_alone() {
    let hedge = Some(Hedge { after: After::Fixed(ms(50)), min: ms(0), ..Hedge::default() });
    for at_once in [true, false] {
        let scene = Scene::new(Params { hedge: hedge.clone(), ..Params::standard() });
        let make = async |attempt: Attempt| -> Result<Status, Failure> {
            if attempt.is_hedge {
                if !at_once {
                    tokio::time::sleep(ms(10)).await;
                }
                panic!("a bug in the hedged attempt");
            }
            std::future::pending().await
        };
        let call = scene.policy.call(Context::new(&scene.cancel), &Http, make);
        assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
        assert_eq!(
            scene.told(&call_event!(
                2,
                AttemptEnded { outcome: Outcome::Failure(Failure::Panicked), .. }
            )),
            1
        );
        assert_eq!(
            scene.told(&call_event!(
                1,
                AttemptEnded { outcome: Outcome::Neutral(Neutral::HedgeLost), .. }
            )),
            1
        );
        scene.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_elsewhere_that_takes_a_waiting_call_with_it_is_nobodys_failure() {
    let scene = Arc::new(Scene::new(Params::standard()));
    let shared = scene.clone();
    let task = tokio::spawn(async move {
        let make = |_: Attempt| std::future::pending::<Result<Status, Failure>>();
        let call = shared.policy.call(Context::default(), &Http, make);
        tokio::select! {
            _ = call => {}
            () = tokio::time::sleep(ms(10)) => panic!("a bug beside the call"),
        }
    });
    assert!(task.await.expect_err("it panics").is_panic());
    assert_eq!(
        scene.told(&call_event!(AttemptEnded {
            outcome: Outcome::Neutral(Neutral::ClientGone),
            ..
        })),
        1
    );
    assert_eq!(scene.told(&call_event!(Ended { fate: Fate::Cancelled, .. })), 1);
    scene.assert_at_rest();
}

/// Panics at every event, and counts how often it was told one.
#[derive(Default)]
struct Grumpy(AtomicU32);

impl Observer for Grumpy {
    fn on(&self, event: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("a bug in the observer: {event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_changes_nothing_and_ends_no_process() {
    let grumpy = Arc::new(Grumpy::default());
    let mut params = Params::standard();
    params.limit.as_mut().expect("it is on").in_flight_max = 2;
    params.hedge = Some(Hedge { after: After::Fixed(ms(50)), ..Hedge::default() });
    let policy = Policy::new(UpstreamId(0), params, grumpy.clone());
    let good = policy.run(async |_| Ok::<_, ()>(7)).await;
    assert_eq!(good.expect("it answers").value, 7);
    let bad = policy.run(async |_| Err::<(), _>("no")).await;
    assert_eq!(bad.expect_err("it fails").attempts(), 3);
    // Told in destructors: of a call that is dropped, and while another panic unwinds.
    let hang = |_: Attempt| std::future::pending::<Result<(), ()>>();
    assert!(tokio::time::timeout(ms(70), policy.run(hang)).await.is_err());
    let bug = policy.run(async |_| -> Result<(), ()> { panic!("a bug in the attempt") });
    assert!(AssertUnwindSafe(bug).catch_unwind().await.is_err());
    let waiting = (0..4).map(|_| policy.run(hang));
    let together = crate::scene::together(waiting);
    assert!(tokio::time::timeout(ms(10), together).await.is_err());
    let snapshot = policy.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0), "{snapshot:?}");
    assert!(grumpy.0.load(Ordering::Relaxed) > 20);
}

#[test]
fn who_takes_note_of_nothing_is_not_told() {
    assert!(!Silent.listens());
    assert!(Grumpy::default().listens());
    let _ = Plain;
}
