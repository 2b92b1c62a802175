//! Answers that are kept, shared, or prepared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use seawall_call::{Attempt, Cached, CachedAnswer, CallError, Context, Judge};
use seawall_core::{
    CacheUse, CancelCell, CancelReason, Deadline, Failure, Fate, Outcome, Phase, RetryDenied,
};
use seawall_policy::{Params, cache, rate};
use seawall_testkit::call_event;

use crate::scene::{Does, Http, Scene, Status, ms, now, perform, poll_once};

/// Holds a cache of statuses around a scene's policy.
struct Cache {
    scene: Scene,
    cached: Cached<&'static str, Status, Failure>,
    attempts: Arc<AtomicU32>,
    dropped: Arc<AtomicU32>,
}

/// Judges as the gateway does, and can be cloned.
#[derive(Clone)]
struct Same;

impl Judge<Status, Failure> for Same {
    fn outcome(&self, result: Result<&Status, &Failure>) -> Outcome {
        Http.outcome(result)
    }

    fn may_repeat(&self, result: Option<Result<&Status, &Failure>>) -> Result<(), RetryDenied> {
        Http.may_repeat(result)
    }
}

/// Counts an attempt that is dropped before its end.
struct Dropped(Arc<AtomicU32>, bool);

impl Dropped {
    fn end(&mut self) {
        self.1 = true;
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(u32::from(!self.1), Ordering::Relaxed);
    }
}

type Ended = Result<CachedAnswer<Status>, CallError<Arc<Failure>>>;

impl Cache {
    fn new(params: Params) -> Self {
        let scene = Scene::new(params);
        let cached = Cached::new(scene.policy.clone());
        Self { scene, cached, attempts: Arc::default(), dropped: Arc::default() }
    }

    async fn call(&self, key: &'static str, does: Does) -> Ended {
        self.call_with(Context::new(&self.scene.cancel), key, does).await
    }

    async fn call_with(&self, context: Context<'_>, key: &'static str, does: Does) -> Ended {
        self.script(context, key, &[does]).await
    }

    /// Makes one call; the attempts do what the script says, the last line again and again.
    async fn script(&self, context: Context<'_>, key: &'static str, script: &[Does]) -> Ended {
        let (attempts, dropped) = (self.attempts.clone(), self.dropped.clone());
        let script = script.to_vec();
        let make = move |attempt: Attempt| {
            attempts.fetch_add(1, Ordering::Relaxed);
            let mut guard = Dropped(dropped.clone(), false);
            let does = script[(attempt.number as usize - 1).min(script.len() - 1)];
            async move {
                let result = perform(does).await;
                guard.end();
                result
            }
        };
        self.cached.call(context, key, Same, make).await
    }

    /// Calls and returns status, fate and age.
    async fn seen(&self, does: Does) -> (u16, Fate, Option<Duration>) {
        let served = self.call("a", does).await.expect("an answer");
        (served.value.0, served.fate, served.age)
    }

    fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Asserts that no call is under way and nothing is held.
    #[track_caller]
    fn assert_at_rest(&self) {
        assert_eq!(self.cached.in_flight(), 0);
        self.scene.assert_at_rest();
    }
}

fn keeping() -> Params {
    let cache = cache::Params {
        fresh_for: ms(1000),
        stale_while_revalidate: ms(500),
        stale_on_error: ms(5000),
        ..cache::Params::default()
    };
    Params { cache: Some(cache), ..Params::bare() }
}

fn sharing() -> Params {
    Params { coalesce: true, ..Params::bare() }
}

async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_makes_no_attempt() {
    let cache = Cache::new(keeping());
    assert_eq!(cache.seen(Does::Say(200)).await, (200, Fate::Ok, None));
    sleep(ms(999)).await;
    assert_eq!(cache.seen(Does::Hang).await, (200, Fate::Ok, Some(ms(999))));
    assert_eq!(cache.attempts(), 1);
    assert_eq!(cache.scene.told(&call_event!(CacheUsed { how: CacheUse::Fresh, .. })), 1);
    assert_eq!(cache.scene.told(&call_event!(Started)), 1);
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_is_used_while_one_newer_is_fetched() {
    let cache = Cache::new(keeping());
    cache.seen(Does::Say(200)).await;
    sleep(ms(1200)).await;
    for _ in 0..10 {
        let seen = cache.seen(Does::SayLater(201, ms(50))).await;
        assert_eq!(seen, (200, Fate::Ok, Some(ms(1200))));
    }
    sleep(ms(51)).await;
    assert_eq!(cache.attempts(), 2, "one for all ten");
    assert_eq!(cache.scene.told(&call_event!(CacheUsed { how: CacheUse::Revalidating, .. })), 10);
    assert_eq!(cache.seen(Does::Hang).await, (201, Fate::Ok, Some(ms(1))));
    cache.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_newer_answer_that_cannot_be_fetched_leaves_the_old_one() {
    let cache = Cache::new(keeping());
    cache.seen(Does::Say(200)).await;
    sleep(ms(1200)).await;
    cache.seen(Does::Say(500)).await;
    sleep(ms(1)).await;
    assert_eq!(cache.attempts(), 2);
    assert_eq!(cache.seen(Does::Say(500)).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_stands_in_for_a_failure_and_for_every_refusal() {
    let cache = Cache::new(keeping());
    cache.seen(Does::Say(200)).await;
    sleep(ms(2000)).await;
    assert_eq!(cache.seen(Does::Say(500)).await, (200, Fate::Stale, Some(ms(2000))));
    assert_eq!(cache.seen(Does::Fail(Failure::Connect)).await.1, Fate::Stale);
    cache.scene.policy.isolate(now() + ms(60_000));
    let params = Params { breaker: Some(Default::default()), ..keeping() };
    cache.scene.policy.reload(params).expect("they are sound");
    cache.scene.policy.isolate(now() + ms(60_000));
    let served = cache.call("a", Does::Hang).await.expect("an answer");
    assert_eq!((served.fate, served.attempts), (Fate::Stale, 0));
    assert_eq!(cache.scene.told(&call_event!(CacheUsed { how: CacheUse::OnError, .. })), 3);
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_is_never_replaced_by_a_bad_one() {
    let cache = Cache::new(keeping());
    cache.seen(Does::Say(200)).await;
    sleep(ms(2000)).await;
    cache.seen(Does::Say(500)).await;
    assert_eq!(cache.seen(Does::Say(500)).await, (200, Fate::Stale, Some(ms(2000))));
    assert_eq!(cache.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_past_its_stale_time_is_not_used() {
    let cache = Cache::new(keeping());
    cache.seen(Does::Say(200)).await;
    sleep(ms(6000)).await;
    assert_eq!(cache.seen(Does::Say(500)).await, (500, Fate::Failed, None));
}

#[tokio::test(start_paused = true)]
async fn without_a_cache_nothing_is_kept() {
    let cache = Cache::new(Params::bare());
    cache.seen(Does::Say(200)).await;
    cache.seen(Does::Say(200)).await;
    assert_eq!(cache.attempts(), 2);
    assert!(cache.cached.cache().is_empty());
}

#[tokio::test(start_paused = true)]
async fn something_prepared_is_said_when_there_is_nothing_else() {
    let scene = Scene::new(keeping());
    let cached = Cached::new(scene.policy.clone())
        .or_say(|fate| (fate == Fate::Failed).then_some(Status(299, None)));
    let cache = Cache { cached, scene, attempts: Arc::default(), dropped: Arc::default() };
    assert_eq!(cache.seen(Does::Fail(Failure::Reset)).await, (299, Fate::Fallback, None));
    assert_eq!(cache.scene.told(&call_event!(FellBack { fate: Fate::Failed })), 1);
    // What is prepared is not kept, and not every fate has something.
    assert_eq!(cache.seen(Does::Say(200)).await, (200, Fate::Ok, None));
    sleep(ms(20_000)).await;
    let error = cache.call("a", Does::Hang).await.expect_err("nothing is prepared");
    assert_eq!(error.fate(), Fate::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn an_answers_own_word_decides_how_long_it_is_fresh() {
    let scene = Scene::new(keeping());
    let own = |status: &Status| cache::Own {
        fresh_for: (status.0 == 203).then_some(ms(9000)),
        ..Default::default()
    };
    let cached = Cached::new(scene.policy.clone()).own(own).weigh(|_| 100);
    let cache = Cache { cached, scene, attempts: Arc::default(), dropped: Arc::default() };
    cache.seen(Does::Say(203)).await;
    sleep(ms(8999)).await;
    assert_eq!(cache.seen(Does::Hang).await.2, Some(ms(8999)));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_that_ask_the_same_make_one_attempt() {
    let cache = Arc::new(Cache::new(sharing()));
    let calls = (0..1000).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.call("a", Does::SayLater(200, ms(50))).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut shared = 0;
    for call in calls {
        let served = call.await.expect("no panic").expect("an answer");
        assert_eq!((served.value.0, served.fate), (200, Fate::Ok));
        shared += u32::from(served.is_shared);
    }
    assert_eq!((cache.attempts(), shared), (1, 999));
    assert_eq!(cache.scene.told(&call_event!(Coalesced { .. })), 999);
    cache.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_get_the_same_failure_and_the_upstream_one_attempt() {
    let cache = Arc::new(Cache::new(sharing()));
    let fail = async || {
        sleep(ms(1)).await;
        cache.call("a", Does::SayLater(500, ms(50))).await
    };
    let (one, other) = tokio::join!(fail(), fail());
    assert_eq!((one.unwrap().fate, other.unwrap().fate), (Fate::Failed, Fate::Failed));
    assert_eq!(cache.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_caller_may_be_dropped_at_every_point_and_the_second_is_answered() {
    // An attempt that fails after 20 ms, a wait of up to 100 ms, an attempt that answers.
    let script = &[Does::Hang, Does::SayLater(200, ms(40))];
    let mut params = Params { coalesce: true, ..Params::standard() };
    params.timeout.attempt = ms(20 + 40);
    for dropped_at in (0..200).step_by(3) {
        let cache = Cache::new(params.clone());
        let mut first = Box::pin(cache.script(Context::new(&cache.scene.cancel), "a", script));
        assert!(!poll_once(first.as_mut()));
        let second = cache.script(Context::new(&cache.scene.cancel), "a", script);
        let dropping = async {
            // Polled all the while, as a client's task would.
            let waited = tokio::time::timeout(ms(dropped_at), first).await;
            drop(waited);
        };
        let (second, ()) = tokio::join!(second, dropping);
        let second = second.expect("an answer");
        assert_eq!((second.value.0, second.attempts), (200, 2), "dropped after {dropped_at} ms");
        assert_eq!(cache.attempts(), 2);
        cache.assert_at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_caller_that_leaves_drops_the_attempt() {
    let cache = Cache::new(sharing());
    let mut first = Box::pin(cache.call("a", Does::Hang));
    let mut second = Box::pin(cache.call("a", Does::Hang));
    assert!(!poll_once(first.as_mut()) && !poll_once(second.as_mut()));
    sleep(ms(5)).await;
    assert_eq!((cache.attempts(), cache.dropped()), (1, 0));
    drop(first);
    sleep(ms(5)).await;
    assert_eq!(cache.dropped(), 0, "somebody still waits");
    cache.scene.cancel.set(CancelReason::Shutdown);
    drop(second);
    sleep(ms(1)).await;
    assert_eq!(cache.dropped(), 1, "the upstream sees it");
    assert_eq!(cache.scene.told(&call_event!(Abandoned { reason: CancelReason::Shutdown, .. })), 1);
    cache.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_short_deadline_of_the_first_caller_fails_nobody_else() {
    let cache = Cache::new(sharing());
    let deadline = Some(Deadline::at(now() + ms(10)));
    let context = Context { deadline, ..Context::new(&cache.scene.cancel) };
    let first = cache.call_with(context, "a", Does::SayLater(200, ms(50)));
    let second = cache.call("a", Does::SayLater(200, ms(50)));
    let start = now();
    let (first, second) = tokio::join!(
        async {
            let ended = first.await.expect_err("its time is over");
            (ended.fate(), now() - start)
        },
        second
    );
    assert_eq!(first, (Fate::TimedOut, ms(10)));
    assert_eq!(second.expect("an answer").value.0, 200);
    assert_eq!(cache.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_follower_keeps_its_own_deadline() {
    let cache = Cache::new(sharing());
    let start = now();
    let follow = async |wait: u64| {
        sleep(ms(1)).await;
        let deadline = Some(Deadline::at(start + ms(wait)));
        let context = Context { deadline, ..Context::new(&cache.scene.cancel) };
        let ended = cache.call_with(context, "a", Does::Hang).await;
        (ended.is_ok(), now() - start)
    };
    let first = cache.call("a", Does::SayLater(200, ms(50)));
    let (first, short, long) = tokio::join!(first, follow(20), follow(90));
    assert!(first.is_ok());
    assert_eq!(short, (false, ms(20)));
    assert_eq!(long, (true, ms(50)));
}

#[tokio::test(start_paused = true)]
async fn whoever_came_late_outlives_the_time_of_the_call_it_joined() {
    let mut params = sharing();
    params.timeout.total = ms(100);
    params.timeout.attempt = ms(100);
    let cache = Cache::new(params);
    let first = cache.call("a", Does::Hang);
    let late = async {
        sleep(ms(60)).await;
        // Its own call would be answered, 30 ms after the first one has failed.
        cache.call("a", Does::SayLater(200, ms(30))).await
    };
    let (first, late) = tokio::join!(first, late);
    assert_eq!(first.expect_err("it hangs").fate(), Fate::TimedOut);
    assert_eq!(late.expect("an answer").value.0, 200);
    assert_eq!(cache.attempts(), 2);
    cache.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_of_the_first_caller_fails_only_whoever_has_the_same_key() {
    let keyed = Some(rate::Keyed { keys_max: 8 });
    let rate = rate::Params { per_second: 0.1, burst: 1, keyed, ..rate::Params::default() };
    let params = Params { rate: Some(rate), ..sharing() };
    let cache = Cache::new(params);
    let of = |key| Context { key: Some(key), ..Context::new(&cache.scene.cancel) };
    cache.call_with(of(1), "x", Does::Say(200)).await.expect("the one token of caller 1");
    let mut first = Box::pin(cache.call_with(of(1), "a", Does::Say(200)));
    let mut same = Box::pin(cache.call_with(of(1), "a", Does::Say(200)));
    let mut other = Box::pin(cache.call_with(of(2), "a", Does::Say(200)));
    assert!(!poll_once(first.as_mut()) && !poll_once(same.as_mut()) && !poll_once(other.as_mut()));
    let (first, same, other) = tokio::join!(first, same, other);
    assert_eq!(first.expect_err("no token").fate(), Fate::RejectedRate);
    assert_eq!(same.expect_err("no token").fate(), Fate::RejectedRate);
    assert_eq!(other.expect("a token of its own").value.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_shared_call_is_the_first_callers_and_the_second_is_answered() {
    let cancel = CancelCell::default();
    let scene = Scene::new(sharing());
    let cached: Cached<&str, Status, Failure> = Cached::new(scene.policy.clone());
    let count = Arc::new(AtomicU32::new(0));
    let make = {
        let count = count.clone();
        move |_| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(ms(10)).await;
                assert!(number > 0, "on purpose");
                Ok(Status(200, None))
            }
        }
    };
    let first = tokio::spawn({
        let (cached, make) = (cached.clone(), make.clone());
        async move {
            let cancel = CancelCell::default();
            cached.call(Context::new(&cancel), "a", Same, make).await.map(|_| ())
        }
    });
    sleep(ms(1)).await;
    let second = cached.call(Context::new(&cancel), "a", Same, make).await;
    assert!(first.await.expect_err("it panics").is_panic());
    assert_eq!(second.expect("an answer").value.0, 200);
    assert_eq!(cached.in_flight(), 0);
    scene.assert_at_rest();
}

#[tokio::test(start_paused = true)]
async fn time_that_runs_out_while_waiting_is_told() {
    let mut params = sharing();
    params.timeout.total = ms(100);
    let cache = Cache::new(params);
    let mut first = Box::pin(cache.call("a", Does::Hang));
    assert!(!poll_once(first.as_mut()));
    let deadline = Some(Deadline::at(now() + ms(30)));
    let context = Context { deadline, ..Context::new(&cache.scene.cancel) };
    let ended = cache.call_with(context, "a", Does::Hang).await.expect_err("its time is over");
    assert!(matches!(ended, CallError::TimedOut { phase: Phase::Total, attempts: 0, .. }));
    assert_eq!(cache.scene.told(&call_event!(TimedOut { phase: Phase::Total })), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hang_opens_the_breaker_also_where_calls_are_shared() {
    let mut params = Params { coalesce: true, retry: None, ..Params::standard() };
    params.timeout.attempt = params.timeout.total;
    let cache = Cache::new(params);
    for _ in 0..10 {
        let ended = cache.call("a", Does::Hang).await;
        assert_eq!(ended.expect_err("it hangs").fate(), Fate::TimedOut);
    }
    let refused = cache.call("a", Does::Say(200)).await;
    assert_eq!(refused.expect_err("it is open").fate(), Fate::RejectedBreaker);
}
