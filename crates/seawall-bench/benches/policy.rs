//! What the policy costs, side by side with tower's own layers, tower-resilience and seatbelt, in
//! one run.
//!
//! Measured is the thread's processor time, not the wall clock: the figures hold on a machine that
//! has other work too. Allocations and future sizes are printed first.

use std::process::Command;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use seawall_bench::allocations::{self, Counting};

mod shared;

use shared::{
    bare, in_tasks, in_tasks_tower, no_parts, now_or_never, resilience_five, runtime,
    seatbelt_call, seatbelt_four, seawall_call, standard, standard_and_rate, tower_call,
    tower_four, tower_timeout,
};

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

const TOWER: &str = "tower, four layers: shed, limit, retry with budget, timeout";
const RESILIENCE: &str = "tower-resilience, five: bulkhead, timeout, retry, breaker, timeout";
const SEATBELT: &str = "seatbelt, four: timeout, retry, breaker, timeout";
const STANDARD: &str = "seawall standard: deadline, retry, budget, breaker, bulkhead, timeout";

fn ready_calls(criterion: &mut Criterion<ProcessorTime>) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut group = criterion.benchmark_group("ready");
    group.bench_function("bare", |bencher| bencher.iter(|| now_or_never(bare(0))));
    let mut timeout = tower_timeout(0);
    group.bench_function("tower timeout", |bencher| {
        bencher.iter(|| now_or_never(tower_call(&mut timeout)));
    });
    let mut four = tower_four(0);
    group.bench_function(TOWER, |bencher| {
        bencher.iter(|| now_or_never(tower_call(&mut four)));
    });
    let mut five = resilience_five(0);
    group.bench_function(RESILIENCE, |bencher| {
        bencher.iter(|| now_or_never(tower_call(&mut five)));
    });
    let seatbelt = seatbelt_four(0);
    group.bench_function(SEATBELT, |bencher| {
        bencher.iter(|| now_or_never(seatbelt_call(&seatbelt)));
    });
    for (name, policy) in [
        ("seawall, no optional part", no_parts()),
        (STANDARD, standard()),
        ("seawall standard and rate", standard_and_rate()),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| now_or_never(seawall_call(&policy, 0)));
        });
    }
    group.finish();
}

fn pending_calls(criterion: &mut Criterion<ProcessorTime>) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut group = criterion.benchmark_group("64 tasks, one pend");
    group.bench_function("bare", |bencher| {
        bencher.iter_custom(|calls| timed(|| in_tasks(&runtime, calls, || async || bare(1).await)));
    });
    let four = tower_four(1);
    group.bench_function(TOWER, |bencher| {
        bencher.iter_custom(|calls| timed(|| in_tasks_tower(&runtime, calls, &four)));
    });
    let five = resilience_five(1);
    group.bench_function(RESILIENCE, |bencher| {
        bencher.iter_custom(|calls| timed(|| in_tasks_tower(&runtime, calls, &five)));
    });
    let seatbelt = seatbelt_four(1);
    group.bench_function(SEATBELT, |bencher| {
        bencher.iter_custom(|calls| {
            timed(|| {
                in_tasks(&runtime, calls, || {
                    let seatbelt = seatbelt.clone();
                    async move || seatbelt_call(&seatbelt).await
                });
            })
        });
    });
    let policy = standard();
    group.bench_function(STANDARD, |bencher| {
        bencher.iter_custom(|calls| {
            timed(|| {
                in_tasks(&runtime, calls, || {
                    let policy = policy.clone();
                    async move || seawall_call(&policy, 1).await
                });
            })
        });
    });
    group.finish();
}

/// Makes calls from two threads at once that share one policy; the sum of their processor time.
fn shared_calls(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("two threads, ready");
    group.bench_function(TOWER, |bencher| {
        let stack = tower_four(0);
        bencher.iter_custom(|calls| {
            in_threads(calls, || {
                let mut stack = stack.clone();
                move || now_or_never(tower_call(&mut stack))
            })
        });
    });
    group.bench_function(STANDARD, |bencher| {
        let policy = standard();
        bencher.iter_custom(|calls| {
            in_threads(calls, || {
                let policy = policy.clone();
                move || now_or_never(seawall_call(&policy, 0))
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

/// Returns the processor time that something takes.
fn timed(work: impl FnOnce()) -> Duration {
    let start = ProcessorTime.start();
    work();
    ProcessorTime.end(start)
}

/// Prints what is counted rather than timed.
fn counts(_criterion: &mut Criterion<ProcessorTime>) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let count = |name: &str, size: usize, call: &mut dyn FnMut()| {
        call();
        let before = allocations::on_this_thread();
        (0..1000).for_each(|_| call());
        let each = (allocations::on_this_thread() - before) as f64 / 1000.0;
        println!("counted: {name}: {each} allocations a call, future of {size} bytes");
    };
    let mut four = tower_four(0);
    let size = size_of_val(&tower_call(&mut four));
    count(TOWER, size, &mut || now_or_never(tower_call(&mut four)));
    let mut five = resilience_five(0);
    let size = size_of_val(&tower_call(&mut five));
    count(RESILIENCE, size, &mut || now_or_never(tower_call(&mut five)));
    let seatbelt = seatbelt_four(0);
    let size = size_of_val(&seatbelt_call(&seatbelt));
    count(SEATBELT, size, &mut || now_or_never(seatbelt_call(&seatbelt)));
    for (name, policy) in [(STANDARD, standard()), ("and a rate limit", standard_and_rate())] {
        let size = size_of_val(&seawall_call(&policy, 0));
        count(name, size, &mut || now_or_never(seawall_call(&policy, 0)));
    }
}

/// Runs the same with Polly, where `SEAWALL_DOTNET` names the program that runs the .NET peers. It
/// prints its own figures, which are by the wall clock: they mean something on an idle machine.
fn polly(_criterion: &mut Criterion<ProcessorTime>) {
    match std::env::var_os("SEAWALL_DOTNET") {
        Some(program) => {
            let ran = Command::new(program).arg("polly").status();
            let ran = ran.expect("SEAWALL_DOTNET is the path of a program");
            assert!(ran.success(), "Polly's program failed: {ran}");
        }
        None => println!("left out: Polly (SEAWALL_DOTNET is not set)"),
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = counts, ready_calls, pending_calls, shared_calls, polly
}
criterion_main!(benches);
