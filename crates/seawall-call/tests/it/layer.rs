//! The policy as a tower layer.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_call::layer::{self, Once, PolicyLayer};
use seawall_call::{CallError, ErrorKind, Part, Policy};
use seawall_core::BreakerState;
use seawall_policy::{breaker, bulkhead, hedge, rate, retry};
use tower::limit::{ConcurrencyLimit, RateLimit};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::scene::ms;

/// Counts what an upstream has seen; answers what a function says of the attempt's number.
fn upstream<F>(seen: &Arc<AtomicU32>, says: F) -> impl Upstream
where
    F: Fn(u32) -> Result<u32, &'static str> + Clone + Send + Sync + 'static,
{
    let seen = seen.clone();
    service_fn(move |_: u32| ready(says(seen.fetch_add(1, Ordering::Relaxed) + 1)))
}

/// Is a service of numbers.
trait Upstream:
    Service<u32, Response = u32, Error = &'static str, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Upstream for S where
    S: Service<u32, Response = u32, Error = &'static str, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

fn one_attempt() -> Policy {
    Policy::builder().without(Part::Retry).seed(1).build().expect("it is sound")
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_state() {
    let seen = Arc::default();
    let layer = PolicyLayer::new(one_attempt());
    let service = layer.layer(upstream(&seen, |_| Err("refused")));
    for _ in 0..10 {
        let error = service.clone().oneshot(1).await.expect_err("it fails");
        assert_eq!(error.into_inner(), Some("refused"));
    }
    let refused = layer.layer(upstream(&seen, Ok)).oneshot(1).await.expect_err("it is open");
    assert_eq!(refused.kind(), ErrorKind::BreakerOpen);
    assert_eq!(layer.policy().snapshot().breaker, Some(BreakerState::Open));
    assert_eq!(seen.load(Ordering::Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reserved_in_poll_ready_unlike_in_towers_concurrency_limit() {
    let seen = Arc::default();
    let mut cx = Context::from_waker(Waker::noop());
    let mut polled = ConcurrencyLimit::new(upstream(&seen, Ok), 1);
    let mut other = polled.clone();
    assert!(polled.poll_ready(&mut cx).is_ready());
    assert!(other.poll_ready(&mut cx).is_pending(), "a clone that never calls holds the place");

    let policy = Policy::builder()
        .limit(|limit| (limit.in_flight_max, limit.queue_max) = (1, 0))
        .rate(|rate| (rate.per_second, rate.burst) = (1.0, 1))
        .build()
        .expect("it is sound");
    let service = PolicyLayer::new(policy).layer(upstream(&seen, Ok));
    let mut ready: Vec<_> = (0..100).map(|_| service.clone()).collect();
    for service in &mut ready {
        assert!(service.poll_ready(&mut cx).is_ready());
    }
    // A hundred clones are ready, and none of them has taken the place or the token.
    assert_eq!(service.clone().oneshot(1).await.expect("it answers"), 1);
    let refused = ready.remove(0).call(1).await.expect_err("the token is spent");
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
}

/// Where a server makes a service for each connection, tower's rate limit counts each of them apart
/// (axum#2634).
#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds_for_all_connections_together_unlike_towers() {
    let seen: Arc<AtomicU32> = Arc::default();
    let inner = upstream(&seen, Ok);
    for _ in 0..5 {
        let one = tower::limit::rate::Rate::new(1, Duration::from_secs(1));
        let mut connection = RateLimit::new(inner.clone(), one);
        connection.ready().await.expect("it is ready").call(1).await.expect("each has a token");
    }
    assert_eq!(seen.swap(0, Ordering::Relaxed), 5, "five calls in no time at one a second");

    let limit = rate::Params { per_second: 1.0, burst: 1, ..Default::default() };
    let layer = layer::rate(limit).expect("it is sound");
    let mut refused = 0;
    for _ in 0..5 {
        let mut connection = layer.layer(inner.clone());
        let ended = connection.ready().await.expect("it is ready").call(1).await;
        refused += u32::from(ended.is_err());
    }
    assert_eq!((seen.load(Ordering::Relaxed), refused), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_waited_for_within_the_attempt() {
    let seen = Arc::default();
    let busy = ConcurrencyLimit::new(upstream(&seen, Ok), 1);
    let mut holder = busy.clone();
    holder.ready().await.expect("the permit is free");
    let policy = Policy::builder()
        .without(Part::Retry)
        .attempt_timeout(ms(100))
        .build()
        .expect("it is sound");
    let service = PolicyLayer::new(policy).layer(busy);

    let error = service.clone().oneshot(1).await.expect_err("nobody gives the permit back");
    assert_eq!(error.kind(), ErrorKind::TimedOut);

    let mut waiting = std::pin::pin!(service.clone().oneshot(1));
    assert!(!crate::scene::poll_once(waiting.as_mut()));
    drop(holder);
    assert_eq!(waiting.await.expect("it is ready now"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_is_tried_again() {
    #[derive(Clone, Default)]
    struct Broken(Arc<AtomicU32>);
    impl Service<u32> for Broken {
        type Response = u32;
        type Error = &'static str;
        type Future = std::future::Ready<Result<u32, &'static str>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            let is_first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
            Poll::Ready(if is_first { Err("no connection") } else { Ok(()) })
        }
        fn call(&mut self, request: u32) -> Self::Future {
            ready(Ok(request))
        }
    }
    let policy = Policy::builder().build().expect("it is sound");
    let broken = Broken::default();
    let service = PolicyLayer::new(policy).layer(broken.clone());
    assert_eq!(service.oneshot(7).await.expect("the second attempt is ready"), 7);
    assert_eq!(broken.0.load(Ordering::Relaxed), 2, "each attempt asks");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_gives_its_place_back_and_drops_its_attempt() {
    let alive = Arc::new(());
    let held = alive.clone();
    let layer = PolicyLayer::new(one_attempt());
    let service = layer.layer(service_fn(move |_: u32| {
        let held = held.clone();
        async move {
            let _held = held;
            pending::<Result<u32, &'static str>>().await
        }
    }));
    let at_rest = Arc::strong_count(&alive);
    let mut call = Box::pin(service.clone().oneshot(1));
    assert!(!crate::scene::poll_once(call.as_mut()));
    assert_eq!(layer.policy().snapshot().in_flight, 1);
    assert!(Arc::strong_count(&alive) > at_rest);
    drop(call);
    assert_eq!(layer.policy().snapshot().in_flight, 0);
    assert_eq!(Arc::strong_count(&alive), at_rest);
}

#[tokio::test(start_paused = true)]
async fn the_first_good_answer_of_two_wins() {
    let seen: Arc<AtomicU32> = Arc::default();
    let count = seen.clone();
    let layer = layer::hedge(hedge::Params {
        after: hedge::After::Fixed(ms(20)),
        ratio_max: 1.0,
        ..Default::default()
    });
    let service = layer.expect("it is sound").layer(service_fn(move |_: u32| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            tokio::time::sleep(if number == 1 { ms(5_000) } else { ms(5) }).await;
            Ok::<_, &'static str>(number)
        }
    }));
    let started = crate::scene::now();
    assert_eq!(service.oneshot(1).await.expect("the second answers"), 2);
    assert_eq!(crate::scene::now() - started, ms(25));
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_cloned_is_sent_once() {
    struct Unique;
    let seen: Arc<AtomicU32> = Arc::default();
    let count = seen.clone();
    let policy = Policy::builder().build().expect("it is sound");
    let service = PolicyLayer::new(policy).classified(Once).layer(service_fn(move |_: Unique| {
        count.fetch_add(1, Ordering::Relaxed);
        ready(Err::<(), _>("refused"))
    }));
    let error = service.oneshot(Unique).await.expect_err("it fails");
    assert_eq!(error.to_string(), "attempt 1 failed and was not repeated (body): refused");
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_one_strategy_does_that_and_nothing_else() {
    let seen = Arc::default();
    let failing = upstream(&seen, |_| Err("refused"));
    let kind = |ended: Result<u32, CallError<&'static str>>| ended.expect_err("it fails").kind();

    let retried = layer::retry(retry::Params::default()).expect("it is sound");
    assert_eq!(kind(retried.layer(failing.clone()).oneshot(1).await), ErrorKind::Failed);
    assert_eq!(seen.swap(0, Ordering::Relaxed), 3);

    let guarded = layer::breaker(breaker::Params::default(), ms(1_000)).expect("it is sound");
    for _ in 0..10 {
        let ended = guarded.layer(failing.clone()).oneshot(1).await;
        assert_eq!(kind(ended), ErrorKind::Failed);
    }
    assert_eq!(kind(guarded.layer(failing).oneshot(1).await), ErrorKind::BreakerOpen);
    assert_eq!(seen.load(Ordering::Relaxed), 10);

    let hanging = service_fn(|_: u32| pending::<Result<u32, &'static str>>());
    let timed = layer::timeout(ms(70)).expect("it is sound");
    let started = crate::scene::now();
    assert_eq!(kind(timed.layer(hanging).oneshot(1).await), ErrorKind::TimedOut);
    assert_eq!(crate::scene::now() - started, ms(70));

    let full = bulkhead::Params { in_flight_max: 1, queue_max: 0, ..Default::default() };
    let limited = layer::limit(full).expect("it is sound").layer(hanging);
    let mut first = Box::pin(limited.clone().oneshot(1));
    assert!(!crate::scene::poll_once(first.as_mut()));
    assert_eq!(kind(limited.oneshot(1).await), ErrorKind::QueueFull);

    // Hung attempts must not be forgotten as fast as they are found.
    let patient = layer::breaker(breaker::Params::default(), ms(11_000)).expect("it is sound");
    let window = patient.policy().params().breaker.as_ref().map(|breaker| breaker.window);
    assert_eq!(window, Some(ms(22_000)));
}

#[tokio::test(start_paused = true)]
async fn it_stacks_with_towers_own_layers() {
    let seen = Arc::default();
    let policy = Policy::builder().build().expect("it is sound");
    let service = ServiceBuilder::new()
        .map_err(|error: CallError<_>| error.kind())
        .layer(PolicyLayer::new(policy))
        .concurrency_limit(4)
        .service(upstream(&seen, |number| if number < 3 { Err("refused") } else { Ok(number) }));
    assert_eq!(service.oneshot(1).await, Ok(3));
}
