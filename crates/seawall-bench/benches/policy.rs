//! What the policy costs, side by side with tower's own layers, in one run.
//!
//! Measured is the thread's processor time, not the wall clock: the figures hold on a machine that
//! has other work too. Allocations and future sizes are printed first.

use std::future::{Future, poll_fn, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use seawall_bench::allocations::{self, Counting};
use seawall_call::{Attempt, Context, Plain, Policy};
use seawall_core::{CancelCell, Silent, UpstreamId};
use seawall_policy::{Params, rate};
use tokio::runtime::Runtime;
use tower::retry::budget::{Budget as _, TpsBudget};
use tower::{Service, ServiceBuilder, ServiceExt};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Measures the processor time of this thread.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
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

/// Is an upstream that answers after `pends` turns of the scheduler.
async fn answer(pends: u32, value: u64) -> Result<u64, tower::BoxError> {
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

async fn bare(pends: u32) {
    let _ = black_box(answer(pends, 7).await);
}

async fn tower_call<S: Service<u64, Response = u64>>(service: &mut S) {
    if let Ok(service) = service.ready().await {
        let _ = black_box(service.call(7).await);
    }
}

async fn seawall_call(policy: &Policy, cancel: &CancelCell, pends: u32) {
    let context = Context::new(cancel);
    let make = |_attempt: Attempt| answer(pends, 7);
    let _ = black_box(policy.call(context, &Plain, make).await);
}

fn tower_stack(
    pends: u32,
) -> impl Service<u64, Response = u64, Error = tower::BoxError, Future: Send> + Clone + Send + 'static
{
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.2));
    ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(256)
        .retry(TowerRetry(budget))
        .timeout(Duration::from_secs(9))
        .service_fn(move |value| answer(pends, value))
}

fn policy(params: Params) -> Policy {
    Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1)
}

fn standard() -> Policy {
    policy(Params::standard())
}

fn all_parts() -> Policy {
    let rate = Some(rate::Params { per_second: 1e9, burst: 1_000_000, ..Default::default() });
    policy(Params { rate, ..Params::standard() })
}

fn no_parts() -> Policy {
    let timeout = Params::standard().timeout;
    let (retry, budget, breaker, limit, rate) = (None, None, None, None, None);
    policy(Params { timeout, retry, budget, breaker, limit, rate, ..Params::bare() })
}

/// Polls a future that is ready at once.
fn now_or_never(future: impl Future) {
    let mut future = std::pin::pin!(future);
    let polled = future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
    assert!(polled.is_ready(), "the future was to be ready at once");
}

fn ready_calls(criterion: &mut Criterion<ProcessorTime>) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let cancel = CancelCell::default();
    let mut group = criterion.benchmark_group("ready");
    group.bench_function("bare", |bencher| bencher.iter(|| now_or_never(bare(0))));
    let mut timeout =
        ServiceBuilder::new().timeout(Duration::from_secs(9)).service_fn(|value| answer(0, value));
    group.bench_function("tower timeout", |bencher| {
        bencher.iter(|| now_or_never(tower_call(&mut timeout)));
    });
    let mut stack = tower_stack(0);
    group.bench_function("tower shed+limit+retry(budget)+timeout", |bencher| {
        bencher.iter(|| now_or_never(tower_call(&mut stack)));
    });
    for (name, policy) in
        [("no part", no_parts()), ("standard", standard()), ("standard+rate", all_parts())]
    {
        group.bench_function(format!("seawall {name}"), |bencher| {
            bencher.iter(|| now_or_never(seawall_call(&policy, &cancel, 0)));
        });
    }
    group.finish();
}

fn pending_calls(criterion: &mut Criterion<ProcessorTime>) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("64 tasks, one pend");
    group.bench_function("bare", |bencher| {
        bencher.iter_custom(|calls| in_tasks(&runtime, calls, || async || bare(1).await));
    });
    let stack = tower_stack(1);
    group.bench_function("tower shed+limit+retry(budget)+timeout", |bencher| {
        bencher.iter_custom(|calls| {
            in_tasks(&runtime, calls, || {
                let mut stack = stack.clone();
                async move || tower_call(&mut stack).await
            })
        });
    });
    let policy = standard();
    group.bench_function("seawall standard", |bencher| {
        bencher.iter_custom(|calls| {
            in_tasks(&runtime, calls, || {
                let policy = policy.clone();
                async move || seawall_call(&policy, &CancelCell::default(), 1).await
            })
        });
    });
    group.finish();
}

/// Makes calls from two threads at once that share one policy; the sum of their processor time.
fn shared_calls(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("two threads, ready");
    group.bench_function("tower shed+limit+retry(budget)+timeout", |bencher| {
        let stack = tower_stack(0);
        bencher.iter_custom(|calls| {
            in_threads(calls, || {
                let mut stack = stack.clone();
                move || now_or_never(tower_call(&mut stack))
            })
        });
    });
    group.bench_function("seawall standard", |bencher| {
        let policy = standard();
        bencher.iter_custom(|calls| {
            in_threads(calls, || {
                let (policy, cancel) = (policy.clone(), CancelCell::default());
                move || now_or_never(seawall_call(&policy, &cancel, 0))
            })
        });
    });
    group.finish();
}

/// Makes `calls` calls from two threads and returns the processor time both took.
fn in_threads<C: FnMut() + Send>(calls: u64, mut caller: impl FnMut() -> C) -> Duration {
    let start = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let threads = [calls / 2, calls - calls / 2].map(|share| {
            let (mut call, start) = (caller(), &start);
            scope.spawn(move || {
                let runtime = runtime();
                let _inside = runtime.enter();
                start.wait();
                let begun = ProcessorTime.start();
                (0..share).for_each(|_| call());
                ProcessorTime.end(begun)
            })
        });
        threads.into_iter().map(|thread| thread.join().expect("no call panics")).sum()
    })
}

/// Makes `calls` calls from 64 tasks and returns the processor time they took.
fn in_tasks<C: AsyncFnMut() + 'static>(
    runtime: &Runtime,
    calls: u64,
    mut caller: impl FnMut() -> C,
) -> Duration {
    const TASKS: u64 = 64;
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
    let start = ProcessorTime.start();
    runtime.block_on(local);
    ProcessorTime.end(start)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O needs nothing of the system")
}

/// Prints what is counted rather than timed.
fn counts(_criterion: &mut Criterion<ProcessorTime>) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let cancel = CancelCell::default();
    let count = |name: &str, size: usize, call: &mut dyn FnMut()| {
        call();
        let before = allocations::on_this_thread();
        (0..1000).for_each(|_| call());
        let each = (allocations::on_this_thread() - before) as f64 / 1000.0;
        println!("counted: {name}: {each} allocations a call, future of {size} bytes");
    };
    let mut stack = tower_stack(0);
    let size = size_of_val(&tower_call(&mut stack));
    count("tower stack", size, &mut || now_or_never(tower_call(&mut stack)));
    for (name, policy) in [("standard", standard()), ("standard+rate", all_parts())] {
        let size = size_of_val(&seawall_call(&policy, &cancel, 0));
        count(name, size, &mut || now_or_never(seawall_call(&policy, &cancel, 0)));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = counts, ready_calls, pending_calls, shared_calls
}
criterion_main!(benches);
