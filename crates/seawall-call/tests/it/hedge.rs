//! What a hedged call does.

use std::cell::Cell;
use std::pin::pin;

use seawall_call::{Attempt, Context, Judge};
use seawall_core::{Failure, Fate, Neutral, Outcome, RetryDenied};
use seawall_policy::hedge::{After, Params as Hedge};
use seawall_policy::{Params, budget, bulkhead, retry};
use seawall_testkit::call_event;

use crate::scene::{Does, Http, OnDrop, Scene, Status, ms, now, poll_once};

fn hedging(after: After, extra_max: u32) -> Params {
    let hedge = Hedge { after, min: ms(0), extra_max, ratio_max: 1.0 };
    Params { hedge: Some(hedge), retry: None, ..Params::standard() }
}

fn after(millis: u64) -> Params {
    hedging(After::Fixed(ms(millis)), 1)
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_overtaken_by_a_second_one() {
    let (scene, start) = (Scene::new(after(50)), now());
    let answer = scene.call(&[Does::SayLater(200, ms(1_000)), Does::SayLater(200, ms(10))]).await;
    let answer = answer.expect("the hedged attempt answers");
    assert_eq!((answer.fate, answer.attempts), (Fate::OkHedged, 2));
    assert_eq!(now() - start, ms(60), "the loser does not delay the winner");
    drop(answer);
    assert_eq!(
        scene
            .told(&call_event!(AttemptEnded { outcome: Outcome::Neutral(Neutral::HedgeLost), .. })),
        1
    );
    assert_eq!(scene.told(&call_event!(HedgeEnded { won: true })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_quick_enough_is_not_hedged() {
    let scene = Scene::new(after(50));
    let fate = scene.fate(&[Does::SayLater(200, ms(40))]).await;
    assert_eq!((fate, scene.attempts()), (Fate::Ok, 1));
    assert_eq!(scene.told(&call_event!(HedgeEnded { .. })), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_may_still_win() {
    let (scene, start) = (Scene::new(after(50)), now());
    let fate = scene.fate(&[Does::SayLater(200, ms(70)), Does::Hang]).await;
    assert_eq!((fate, scene.attempts()), (Fate::Ok, 2));
    assert_eq!(now() - start, ms(70));
    assert_eq!(scene.told(&call_event!(HedgeEnded { won: false })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_failure_waits_for_the_attempt_that_is_still_under_way() {
    let scene = Scene::new(after(50));
    let script = [Does::SayLater(500, ms(60)), Does::SayLater(200, ms(100))];
    assert_eq!(scene.fate(&script).await, Fate::OkHedged);
    assert_eq!(scene.told(&call_event!(AttemptEnded { outcome: Outcome::Failure(_), .. })), 1);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_last_failure_is_the_answer() {
    let scene = Scene::new(after(50));
    let script = [Does::SayLater(500, ms(200)), Does::Fail(Failure::Reset)];
    let answer = scene.call(&script).await.expect("the upstream's own words");
    assert_eq!((answer.value.0, answer.fate), (500, Fate::Failed));
}

#[tokio::test(start_paused = true)]
async fn at_once_sends_all_together() {
    let (scene, start) = (Scene::new(hedging(After::AtOnce, 2)), now());
    let script = [Does::Hang, Does::Hang, Does::SayLater(200, ms(5))];
    assert_eq!(scene.fate(&script).await, Fate::OkHedged);
    assert_eq!((scene.attempts(), now() - start), (3, ms(5)));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_quantile_is_waited_for_once_it_is_known() {
    let scene = Scene::new(hedging(After::Quantile(0.9), 1));
    for _ in 0..30 {
        assert_eq!(scene.fate(&[Does::SayLater(200, ms(20))]).await, Fate::Ok);
    }
    tokio::time::advance(ms(1_000)).await;
    let start = now();
    assert_eq!(scene.fate(&[Does::Hang, Does::SayLater(200, ms(20))]).await, Fate::OkHedged);
    let took = now() - start;
    assert!((ms(39)..=ms(42)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_does_not_say_how_long_answers_take() {
    let params = Params { breaker: None, retry: None, ..hedging(After::Quantile(0.9), 1) };
    let scene = Scene::new(params);
    for _ in 0..100 {
        scene.fate(&[Does::Fail(Failure::Connect)]).await;
    }
    tokio::time::advance(ms(1_000)).await;
    let slow = Does::SayLater(200, ms(100));
    assert_eq!(scene.fate(&[slow, Does::Say(200)]).await, Fate::Ok, "nothing is known yet");
}

#[tokio::test(start_paused = true)]
async fn the_hedged_attempt_has_no_more_time_than_the_call() {
    let mut params = after(50);
    params.timeout.total = ms(100);
    params.timeout.attempt = ms(100);
    let (scene, start) = (Scene::new(params), now());
    assert_eq!(scene.fate(&[Does::Hang]).await, Fate::TimedOut);
    assert_eq!((scene.attempts(), now() - start), (2, ms(100)));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn no_place_no_hedge() {
    let limit = bulkhead::Params { in_flight_max: 1, ..Default::default() };
    let scene = Scene::new(Params { limit: Some(limit), ..after(50) });
    assert_eq!(scene.fate(&[Does::SayLater(200, ms(200))]).await, Fate::Ok);
    assert_eq!(scene.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn hedges_are_paid_from_the_retry_budget() {
    let budget = budget::Params { ratio: 0.0, floor_per_second: 1.0, ..Default::default() };
    let scene = Scene::new(Params { budget: Some(budget), ..after(50) });
    for _ in 0..5 {
        assert_eq!(scene.fate(&[Does::SayLater(200, ms(80)), Does::Hang]).await, Fate::Ok);
    }
    assert_eq!(scene.attempts(), 6, "one hedge in the first second");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_left_gives_up_all_its_attempts() {
    let scene = Scene::new(after(50));
    assert!(tokio::time::timeout(ms(60), scene.call(&[Does::Hang])).await.is_err());
    assert_eq!(scene.attempts(), 2);
    assert_eq!(
        scene.told(&call_event!(AttemptEnded {
            outcome: Outcome::Neutral(Neutral::ClientGone),
            ..
        })),
        2
    );
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hedged_call_is_retried_like_any_other() {
    let retry = retry::Params::default();
    let scene = Scene::new(Params { retry: Some(retry), ..after(50) });
    let script = [Does::SayLater(503, ms(60)), Does::SayLater(503, ms(60)), Does::Say(200)];
    let answer = scene.call(&script).await.expect("the retry answers");
    assert_eq!((answer.fate, answer.attempts), (Fate::OkAfterRetry, 3));
    drop(answer);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn the_losers_are_dropped_before_the_winner_is_handed_on() {
    let scene = Scene::new(after(50));
    let dropped = Cell::new(false);
    let make = async |attempt: Attempt| {
        if attempt.is_hedge {
            return Ok::<_, Failure>(Status(200, None));
        }
        let _guard = OnDrop(|| dropped.set(true));
        std::future::pending().await
    };
    let mut call = pin!(scene.policy.call(Context::new(&scene.cancel), &Http, make));
    assert!(!poll_once(call.as_mut()) && !dropped.get());
    tokio::time::advance(ms(50)).await;
    let answer = call.await.expect("the hedged attempt answers");
    assert!(dropped.get(), "the loser outlived the call");
    assert_eq!(scene.policy.snapshot().in_flight, 1, "only the winner has its place");
    drop(answer);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_sent_twice_at_once_is_not_hedged() {
    struct Once;
    impl Judge<Status, Failure> for Once {
        fn outcome(&self, result: Result<&Status, &Failure>) -> Outcome {
            Http.outcome(result)
        }
        fn may_repeat(&self, result: Option<Result<&Status, &Failure>>) -> Result<(), RetryDenied> {
            Http.may_repeat(result)
        }
    }
    let scene = Scene::new(after(50));
    let make = async |_: Attempt| {
        tokio::time::sleep(ms(500)).await;
        Ok::<_, Failure>(Status(200, None))
    };
    let answer = scene.policy.call(Context::new(&scene.cancel), &Once, make).await;
    let (answer, _) = answer.expect("it answers");
    assert_eq!((answer.fate, answer.attempts), (Fate::Ok, 1));
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_hedged_than_their_share() {
    let mut params = after(50);
    params.budget = None;
    params.hedge = params.hedge.map(|hedge| Hedge { ratio_max: 0.1, ..hedge });
    let scene = Scene::new(params);
    for _ in 0..200 {
        scene.fate(&[Does::SayLater(200, ms(100)), Does::Hang]).await;
    }
    // A tenth, and the ten that a new policy may hedge; what would be more than ten is not saved.
    assert_eq!(scene.attempts(), 229);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_finds_no_place_costs_nothing() {
    let limit = bulkhead::Params { in_flight_max: 1, ..Default::default() };
    let budget = budget::Params { ratio: 0.0, floor_per_second: 1.0, ..Default::default() };
    let crowded = Params { limit: Some(limit), budget: Some(budget), ..after(50) };
    let roomy = Params { limit: Some(bulkhead::Params::default()), ..crowded.clone() };
    let scene = Scene::new(crowded);
    for _ in 0..5 {
        assert_eq!(scene.fate(&[Does::SayLater(200, ms(80))]).await, Fate::Ok);
    }
    assert_eq!(scene.policy.snapshot().budget, Some(1.0), "nothing was sent, nothing is paid");
    scene.policy.reload(roomy).expect("they are sound");
    assert_eq!(scene.fate(&[Does::Hang, Does::Say(200)]).await, Fate::OkHedged);
    assert_eq!(scene.policy.snapshot().budget, Some(0.0));
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_the_budget_refuses_does_not_use_up_the_share_of_hedges() {
    let budget = budget::Params { ratio: 0.0, floor_per_second: 1.0, ..Default::default() };
    let mut params = Params { budget: Some(budget), ..after(50) };
    params.hedge = params.hedge.map(|hedge| Hedge { ratio_max: 0.5, ..hedge });
    let scene = Scene::new(params);
    for _ in 0..8 {
        scene.fate(&[Does::SayLater(200, ms(60)), Does::Hang]).await;
    }
    assert_eq!(scene.attempts(), 9, "one hedge in the first second");
    // The share of eight calls is four, and ten were there before; one was used.
    for _ in 0..3 {
        tokio::time::advance(ms(1_000)).await;
        assert_eq!(scene.fate(&[Does::Hang, Does::Say(200)]).await, Fate::OkHedged);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_runs_out_of_time_leaves_the_hedged_one_its_own() {
    let mut params = after(50);
    params.timeout.attempt = ms(100);
    let (scene, start) = (Scene::new(params), now());
    let script = [Does::Hang, Does::SayLater(200, ms(80))];
    assert_eq!(scene.fate(&script).await, Fate::OkHedged);
    assert_eq!(now() - start, ms(130));
    assert_eq!(
        scene.told(&call_event!(
            1,
            AttemptEnded { outcome: Outcome::Failure(Failure::TimedOut), .. }
        )),
        1
    );
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_an_open_breaker_refuses_refuses_nothing_to_the_caller() {
    let scene = Scene::new(after(50));
    let script = [Does::SayLater(200, ms(100))];
    let (fate, ()) = tokio::join!(scene.fate(&script), async {
        scene.policy.isolate(now() + ms(60_000));
    });
    assert_eq!((fate, scene.attempts()), (Fate::Ok, 1));
    assert_eq!(scene.told(&call_event!(Rejected { .. })), 0);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_is_due_at_the_deadline_or_later_is_not_sent() {
    for late in [0, 30] {
        let mut params = hedging(After::Fixed(ms(50)), 2);
        params.timeout.total = ms(100);
        params.timeout.attempt = ms(100);
        let scene = Scene::new(params);
        let mut call = pin!(scene.call(&[Does::Hang]));
        assert!(!poll_once(call.as_mut()));
        tokio::time::advance(ms(50)).await;
        assert!(!poll_once(call.as_mut()));
        tokio::time::advance(ms(50 + late)).await;
        assert!(call.await.is_err());
        assert_eq!(scene.attempts(), 2);
        scene.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_are_sent_beside_the_first_as_the_numbers_say() {
    for extra in 1..=3 {
        let scene = Scene::new(hedging(After::Fixed(ms(10)), extra));
        assert_eq!(scene.fate(&[Does::SayLater(200, ms(500))]).await, Fate::Ok);
        assert_eq!(scene.attempts(), 1 + extra);
        scene.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_pays_its_share_once_however_many_attempts_it_sends() {
    let mut params = hedging(After::Fixed(ms(10)), 3);
    params.budget = None;
    params.hedge = params.hedge.map(|hedge| Hedge { ratio_max: 0.1, ..hedge });
    let scene = Scene::new(params);
    for _ in 0..100 {
        scene.fate(&[Does::SayLater(200, ms(100))]).await;
    }
    // Ten calls before anything is saved up, and a tenth of those after the first.
    assert_eq!(scene.attempts(), 100 + 19 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_policy_hedges_its_first_slow_call() {
    let scene = Scene::new(Params { hedge: Some(Hedge::default()), ..Params::standard() });
    let start = now();
    assert_eq!(scene.fate(&[Does::Hang, Does::Say(200)]).await, Fate::OkHedged);
    assert_eq!(now() - start, ms(900), "a tenth of what an attempt may take");
    assert_eq!(scene.attempts(), 2);
}
