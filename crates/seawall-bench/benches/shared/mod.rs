//! The stacks that are compared, and the two ways in which they are called.
//!
//! Does not know: what is measured. Every stack calls the same upstream with the same limits, and
//! each is driven as its users would.

// Not every bench and test uses everything in here.
#![allow(dead_code, reason = "shared by several binaries, none of which uses all of it")]

use std::future::{Future, poll_fn, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use seawall_call::{Attempt, Policy};
use seawall_core::{Silent, UpstreamId};
use seawall_policy::{Params, rate};
use tokio::runtime::Runtime;
use tower::retry::budget::{Budget as _, TpsBudget};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_resilience::bulkhead::BulkheadLayer;
use tower_resilience::circuitbreaker::CircuitBreakerLayer;
use tower_resilience::retry::RetryLayer;
use tower_resilience::timelimiter::TimeLimiterLayer;

/// For everything together, and for one attempt.
const TOTAL: Duration = Duration::from_secs(30);
const ATTEMPT: Duration = Duration::from_secs(9);
const PLACES: usize = 256;

/// Is an upstream that answers after `pends` turns of the scheduler.
pub(crate) async fn answer(pends: u32, value: u64) -> Result<u64, tower::BoxError> {
    let mut left = pends;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    Ok(black_box(value))
}

pub(crate) async fn bare(pends: u32) {
    let _ = black_box(answer(pends, 7).await);
}

/// Retries every error within tower's budget, as its users would.
#[derive(Clone)]
struct TowerRetry(Arc<TpsBudget>);

impl tower::retry::Policy<u64, u64, tower::BoxError> for TowerRetry {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _request: &mut u64,
        result: &mut Result<u64, tower::BoxError>,
    ) -> Option<Self::Future> {
        match result {
            Ok(_) => {
                self.0.deposit();
                None
            }
            Err(_) => self.0.withdraw().then(|| ready(())),
        }
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

/// Is a tower service of any make.
pub(crate) trait Stack:
    Service<u64, Response = u64, Future: Send> + Clone + Send + 'static
{
}

impl<S: Service<u64, Response = u64, Future: Send> + Clone + Send + 'static> Stack for S {}

/// Tower's own four layers.
pub(crate) fn tower_four(pends: u32) -> impl Stack {
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.2));
    ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(PLACES)
        .retry(TowerRetry(budget))
        .timeout(ATTEMPT)
        .service_fn(move |value| answer(pends, value))
}

/// Tower's timeout alone.
pub(crate) fn tower_timeout(pends: u32) -> impl Stack {
    ServiceBuilder::new().timeout(ATTEMPT).service_fn(move |value| answer(pends, value))
}

/// Five layers of tower-resilience: bulkhead, timeout, retry, circuit breaker, timeout.
pub(crate) fn resilience_five(pends: u32) -> impl Stack {
    let limit = |duration| TimeLimiterLayer::builder().timeout_duration(duration).build();
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(PLACES).build();
    let breaker = CircuitBreakerLayer::builder().failure_rate_threshold(0.5).build();
    ServiceBuilder::new()
        .layer(bulkhead.expect("the number of places is legal"))
        .layer(limit(TOTAL))
        .layer(RetryLayer::builder().max_attempts(3).build())
        .layer(breaker.expect("the share is legal"))
        .layer(limit(ATTEMPT))
        .service_fn(move |value| answer(pends, value))
}

pub(crate) async fn tower_call<S: Service<u64, Response = u64>>(service: &mut S) {
    if let Ok(service) = service.ready().await {
        let _ = black_box(service.call(7).await);
    }
}

/// Four layers of seatbelt: timeout, retry, circuit breaker, timeout; called natively.
pub(crate) fn seatbelt_four(
    pends: u32,
) -> impl layered::Service<u64, Out = Seat> + Clone + 'static {
    use layered::{Execute, Stack as _};
    use seatbelt::breaker::Breaker;
    use seatbelt::retry::Retry;
    use seatbelt::timeout::Timeout;
    use seatbelt::{RecoveryInfo, ResilienceContext};

    let clock = tick::Clock::new_tokio();
    let context: ResilienceContext<u64, Seat> = ResilienceContext::new(&clock);
    let judge = |out: &Seat| match out {
        Ok(_) => RecoveryInfo::never(),
        Err(_) => RecoveryInfo::retry(),
    };
    let stack = (
        Timeout::layer("total", &context).timeout(TOTAL).timeout_output(|_| Err("total")),
        Retry::layer("retry", &context)
            .clone_input()
            .recovery_with(move |out: &Seat, _| judge(out)),
        Breaker::layer("breaker", &context)
            .recovery_with(move |out: &Seat, _| judge(out))
            .rejected_input(|_, _| Err("open")),
        Timeout::layer("attempt", &context).timeout(ATTEMPT).timeout_output(|_| Err("attempt")),
        Execute::new(move |value| async move { answer(pends, value).await.map_err(|_| "failed") }),
    );
    Arc::new(stack.into_service())
}

/// Is what seatbelt's stack answers.
pub(crate) type Seat = Result<u64, &'static str>;

pub(crate) async fn seatbelt_call(service: &impl layered::Service<u64, Out = Seat>) {
    let _ = black_box(service.execute(7).await);
}

pub(crate) async fn seawall_call(policy: &Policy, pends: u32) {
    let make = |_attempt: Attempt| answer(pends, 7);
    let _ = black_box(policy.run(make).await);
}

fn policy(params: Params) -> Policy {
    Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1)
}

/// Deadline, retry, budget, circuit breaker, bulkhead with its queue, attempt timeout.
pub(crate) fn standard() -> Policy {
    policy(Params::standard())
}

/// The same, and a rate limit.
pub(crate) fn standard_and_rate() -> Policy {
    let rate = Some(rate::Params { per_second: 1e9, burst: 1_000_000, ..Default::default() });
    policy(Params { rate, ..Params::standard() })
}

/// The standard policy with a limit that is not learned.
pub(crate) fn fixed() -> Policy {
    let limit = Some(seawall_policy::bulkhead::Params::fixed());
    policy(Params { adaptive: None, limit, ..Params::standard() })
}

/// Time limits and nothing else.
pub(crate) fn no_parts() -> Policy {
    policy(Params::bare())
}

/// Polls a future that is ready at once.
pub(crate) fn now_or_never(future: impl Future) {
    let mut future = std::pin::pin!(future);
    let polled = future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
    assert!(polled.is_ready(), "the future was to be ready at once");
}

/// Makes `calls` calls from 64 tasks.
pub(crate) fn in_tasks<C: AsyncFnMut() + 'static>(
    runtime: &Runtime,
    calls: u64,
    mut caller: impl FnMut() -> C,
) {
    let local = tokio::task::LocalSet::new();
    for task in 0..TASKS {
        let mut call = caller();
        let share = calls / TASKS + u64::from(task < calls % TASKS);
        local.spawn_local(async move {
            for _ in 0..share {
                call().await;
            }
        });
    }
    runtime.block_on(local);
}

/// Makes `calls` calls of a tower stack from 64 tasks, each with its own clone.
pub(crate) fn in_tasks_tower(runtime: &Runtime, calls: u64, stack: &impl Stack) {
    in_tasks(runtime, calls, || {
        let mut stack = stack.clone();
        async move || tower_call(&mut stack).await
    });
}

const TASKS: u64 = 64;

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O needs nothing of the system")
}
