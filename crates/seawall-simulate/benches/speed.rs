//! How many calls the simulator makes in a second of a processor, at which policy.
//!
//! Measured in time of the processor, so that a busy machine does not matter. The floor is a
//! million with the standard policy: a day of a busy service in a minute or two.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use seawall_policy::{Params, adaptive};
use seawall_simulate::{Setup, Stage, healthy, simulate};

/// A service of 250 places and 20 ms at 45 % and at 140 % of what it can do.
fn setup(params: &Params, per_second: f64) -> Setup {
    let behaviour = healthy(250, 1000, Duration::from_millis(20), Duration::from_millis(80));
    let lasts = Duration::from_secs_f64(200_000.0 / per_second);
    let stages = vec![Stage::new("steady", lasts, behaviour, per_second)];
    Setup { stages, lasts, ..Setup::new(params.clone()) }
}

/// Returns how much processor time this thread has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Simulates so many times; returns how much processor time that took.
fn run(setup: &Setup, times: u64) -> Duration {
    let begun = processor_time();
    for _ in 0..times {
        black_box(simulate(black_box(setup)));
    }
    processor_time() - begun
}

fn speed(criterion: &mut Criterion) {
    let mut learned = Params::standard();
    learned.adaptive = Some(adaptive::Params::default());
    let policies =
        [("none", Params::bare()), ("standard", Params::standard()), ("adaptive", learned)];
    let mut group = criterion.benchmark_group("calls");
    group.sample_size(10);
    for (name, params) in &policies {
        for (load, per_second) in [("steady", 5_000.0), ("overloaded", 15_000.0)] {
            let setup = setup(params, per_second);
            // Counted, not taken from the setup: arrivals are drawn.
            group.throughput(Throughput::Elements(simulate(&setup).total.counts.calls));
            group.bench_function(format!("{name}, {load}"), |bencher| {
                bencher.iter_custom(|times| run(&setup, times));
            });
        }
    }
    let shared = Setup { gateways: 10, ..setup(&policies[1].1, 5_000.0) };
    group.throughput(Throughput::Elements(simulate(&shared).total.counts.calls));
    group.bench_function("standard, ten gateways", |bencher| {
        bencher.iter_custom(|times| run(&shared, times));
    });
    group.finish();
}

criterion_group!(benches, speed);
criterion_main!(benches);
